//! What some topics find in an image: one of the reader's, or one of `shapes`.

use burn::prelude::*;
use image::imageops::{FilterType, crop_imm, resize};
use image::{GrayImage, Luma, Rgb, RgbImage};
use kiln_core::Network;
use kiln_data::{Dataset, Shapes, ShapesConfig};
use kiln_graph::{Graph, Heat, Output, Weights};
use kiln_nn::{Border, Difference, image_gradients};
use kiln_resnet::{Depth, ResNetConfig};

use super::pooling::POOLS;
use super::values::{ends, flat, rows, tensor};
use crate::draw::Drawing;
use crate::page::{Figure, Picture};

type Look = (&'static str, fn(&RgbImage) -> Figure);

/// Topics that look at an image.
const LOOKS: [Look; 3] = [("receptive-field", fields), ("pooling", pools), ("sobel", edges)];

/// Their names.
pub fn of_images() -> impl Iterator<Item = &'static str> {
    LOOKS.iter().map(|(name, _)| *name)
}

/// What a topic finds in an image; nothing, if it does not look at images.
pub(super) fn figure(topic: &str, seed: u64, image: Option<&RgbImage>) -> Option<Figure> {
    let (_, look) = LOOKS.iter().find(|(name, _)| *name == topic)?;
    Some(match image {
        Some(image) => look(image),
        None => look(&generated(seed)),
    })
}

fn generated(seed: u64) -> RgbImage {
    let config = ShapesConfig::new("explained", 1, seed).with_size(SIDE as usize);
    let shapes = Shapes::new(config).expect("a size that `shapes` has");
    shapes.get(0).expect("`shapes` reads no file").image
}

/// The image whose field is looked at, in pixels.
const SIDE: u32 = 224;
/// Other images, their longer side.
const LONGER: u32 = 160;

/// In shades of grey from 0 to 1, its longer side [`LONGER`].
fn grey(image: &RgbImage) -> Tensor<4> {
    let share = f64::from(LONGER) / f64::from(image.width().max(image.height()));
    let [width, height] =
        [image.width(), image.height()].map(|side| ((f64::from(side) * share).round() as u32).max(16));
    let small = image::DynamicImage::from(resize(image, width, height, FilterType::Triangle)).to_luma8();
    let values = small.pixels().map(|pixel| f64::from(pixel.0[0]) / 255.0).collect();
    tensor(values, [height as usize, width as usize])
}

/// A map as a picture, black where it is `low`, white where it is `high`.
fn panel(name: &str, map: Tensor<4>, [low, high]: [f64; 2]) -> (String, Drawing) {
    let values = rows(map);
    let [height, width] = [values.len(), values[0].len()];
    let picture = GrayImage::from_fn(width as u32, height as u32, |column, row| {
        let share = (values[row as usize][column as usize] - low) / (high - low).max(1e-12);
        Luma([(255.0 * share).clamp(0.0, 255.0).round() as u8])
    });
    picture_of(name, &image::DynamicImage::from(picture).to_rgb8())
}

fn picture_of(name: &str, picture: &RgbImage) -> (String, Drawing) {
    let sides = [160.0, 160.0 * f64::from(picture.height()) / f64::from(picture.width())];
    let mut drawing = Drawing::new(name, sides).at_most(260.0);
    drawing.image([0.0, 0.0, sides[0], sides[1]], picture);
    (name.to_string(), drawing)
}

fn edges(image: &RgbImage) -> Figure {
    let image = grey(image);
    let found = image_gradients(image.clone(), Difference::Sobel, Border::Reflect);
    let size = found.magnitude();
    let mut sorted: Vec<f64> = flat(size.clone());
    sorted.sort_by(f64::total_cmp);
    let least = sorted[sorted.len() * 9 / 10].max(1e-9);
    let [_, most] = ends(sorted.iter().copied());
    let strong = size.clone().greater_equal_elem(least).float().cast(image.dtype());
    Figure {
        name: "photograph".into(),
        caption: "An image: in Gx and Gy grey is no change, white is brighter to the right or below, black darker; the edges are the tenth of the pixels where the magnitude is largest.".into(),
        picture: Picture::Small(vec![
            panel("the image", image, [0.0, 1.0]),
            panel("Gx", found.x.clone(), [-most, most]),
            panel("Gy", found.y.clone(), [-most, most]),
            panel("magnitude", size, [0.0, most]),
            panel("edges", strong, [0.0, 1.0]),
        ]),
    }
}

fn pools(image: &RgbImage) -> Figure {
    let image = grey(image);
    let [_, _, height, width] = image.dims();
    // A multiple of four, of which no pool leaves a border out.
    let image = image.narrow(2, 0, height / 4 * 4).narrow(3, 0, width / 4 * 4);
    let mut panels = vec![panel("the image", image.clone(), [0.0, 1.0])];
    for (name, pool) in POOLS {
        let small = pool(pool(image.clone()));
        let ends = ends(flat(small.clone()));
        panels.push(panel(name, small, ends));
    }
    Figure {
        name: "photograph".into(),
        caption: "Every pool on one image, its windows of 2 by 2 twice, one after the other, so that of 16 pixels one is left; each from its smallest value, black, to its largest, white.".into(),
        picture: Picture::Small(panels),
    }
}

fn fields(image: &RgbImage) -> Figure {
    let short = image.width().min(image.height());
    let corner = [(image.width() - short) / 2, (image.height() - short) / 2];
    let square =
        resize(&*crop_imm(image, corner[0], corner[1], short, short), SIDE, SIDE, FilterType::Triangle);
    let device = Device::flex();
    device.seed(1);
    let network = ResNetConfig::new(Depth::D18, 1000).init(&device);
    let side = SIDE as usize;
    let graph = Graph::capture(&network, [1, 3, side, side], |network, images| {
        vec![Output::new("logits", &network.forward(images))]
    });
    let graph = graph.expect("an image that is large enough");
    // Centred, about as bright and as varied as images are to trained networks.
    let numbers =
        (0..3).flat_map(|channel| square.pixels().map(move |pixel| f32::from(pixel.0[channel]) / 64.0 - 2.0));
    let pixels =
        Tensor::<4>::from_data(TensorData::new(numbers.collect::<Vec<f32>>(), [1, 3, side, side]), &device);
    let weights = Weights::of(&network);
    let mut panels = Vec::new();
    for module in ["max_pool2d", "layer1", "layer2", "layer3"] {
        let node = graph.find(module).expect("a part of ResNet");
        let [_, _, rows, columns] = node.shape() else { unreachable!("its parts give maps") };
        let place = [rows / 2, columns / 2];
        let heat =
            graph.effective_field(&weights, pixels.clone(), node, place).expect("operations that are known");
        let seen = graph.sees(node, place).expect("a field that is known");
        let size = graph.field(node).expect("a field that is known").sides[0].size;
        let (_, mut drawing) = picture_of(module, &lit(&square, &heat));
        let scale = 160.0 / f64::from(SIDE);
        let [y, x] = seen.clone().map(|range| *range.start() as f64 * scale);
        let [height, width] = seen.map(|range| range.count() as f64 * scale);
        drawing.frame([x, y, width, height], "cell strong");
        panels.push((format!("{module}: {size} pixels"), drawing));
    }
    Figure {
        name: "photograph".into(),
        caption: "What the middle of a map of ResNet-18, with fresh weights, can see of an image (the frame) and what of it matters: the yellower a pixel, the larger the gradient that reaches it (its root is drawn).".into(),
        picture: Picture::Small(panels),
    }
}

/// The image, darkened, and yellow where there is heat.
fn lit(image: &RgbImage, heat: &Heat) -> RgbImage {
    const YELLOW: [f32; 3] = [255.0, 230.0, 60.0];
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let share = heat.values[y as usize * heat.width + x as usize].sqrt();
        let pixel = image.get_pixel(x, y).0.map(|one| 0.55 * f32::from(one));
        Rgb([0, 1, 2].map(|c| (pixel[c] + share * (YELLOW[c] - pixel[c])).round() as u8))
    })
}
