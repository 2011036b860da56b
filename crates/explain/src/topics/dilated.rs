//! Kernels with holes, and what falls through them.

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::DType;
use kiln_data::{Dataset, Shapes, ShapesConfig};
use kiln_nn::{PaddingConfig2d, dilated};
use kiln_page::text::percent;

use super::values::rows;
use super::{Topic, formula};
use crate::draw::Drawing;
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "dilated",
    title: "Dilated convolution",
    summary: "A kernel whose weights stand apart sees farther at the same cost, and some rates leave holes: gridding.",
    explain,
};

/// By how many pixels the weights of layers stand apart, one after the other.
const RATES: [&[usize]; 6] =
    [&[1, 1, 1], &[2, 2, 2], &[1, 2, 4], &[1, 2, 5], &[2, 4, 8], &[1, 2, 4, 8, 16, 1]];
const SIDE: usize = 32;

/// `x` through layers of 3 by 3 weights, all of them alike.
fn through(rates: &[usize], weight: f64, x: Tensor<4>) -> Tensor<4> {
    rates.iter().fold(x, |x, rate| {
        let mut layer = dilated([1, 1], *rate).init(&x.device());
        layer.weight = Param::from_tensor(Tensor::full([1, 1, 3, 3], weight, (&x.device(), x.dtype())));
        layer.forward(x)
    })
}

/// On how many paths each pixel of a map of `side` reaches the middle one through layers of such rates.
pub fn paths(rates: &[usize], side: usize) -> Vec<Vec<f64>> {
    let device = Device::flex().autodiff();
    let x = Tensor::<4>::zeros([1, 1, side, side], (&device, DType::F64)).require_grad();
    let middle = through(rates, 1.0, x.clone()).narrow(2, side / 2, 1).narrow(3, side / 2, 1);
    let gradient = x.grad(&middle.sum().backward()).expect("an input that is followed");
    rows(gradient)
}

/// The side of the field, and how many of its pixels are seen.
fn field(rates: &[usize]) -> (usize, usize) {
    let side = 1 + 2 * rates.iter().sum::<usize>();
    let seen = paths(rates, side).iter().flatten().filter(|paths| **paths > 0.0).count();
    (side, seen)
}

fn named(rates: &[usize]) -> String {
    rates.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

fn explain(seed: u64) -> Page {
    let mut fields = Table::new(
        "Layers of 3 by 3 weights, of these rates: the side of the field that one output sees, and how much of it",
        &["rates", "side", "pixels", "seen", "share", "weights"],
    );
    for rates in RATES {
        let (side, seen) = field(rates);
        let share = seen as f64 / (side * side) as f64;
        let cells = [side, side * side, seen].map(|count| count.to_string());
        fields.row(named(rates), cells.into_iter().chain([percent(share, 1), (9 * rates.len()).to_string()]));
    }
    let mut kernels = Table::new(
        "One layer of 3 by 3 weights: its extent, and the padding that keeps the size of the map",
        &["rate", "extent", "padding"],
    );
    for rate in [1, 2, 4, 6, 12, 18, 24] {
        let padding = dilated([1, 1], rate).padding;
        let PaddingConfig2d::Explicit(padding, ..) = padding else { unreachable!("padded explicitly") };
        kernels.row(rate.to_string(), [(rate * 2 + 1).to_string(), padding.to_string()]);
    }
    let (side, seen) = field(RATES[1]);
    let small = |rates: &[usize]| {
        let mut drawing =
            Drawing::new(format!("What layers of rates {} see", named(rates)), [190.0, 190.0]).at_most(220.0);
        let cell = 10.0;
        let paths = paths(rates, 19);
        let largest = paths.iter().flatten().fold(1.0, |most: f64, one| most.max(*one));
        for (row, list) in paths.iter().enumerate() {
            for (column, count) in list.iter().enumerate() {
                let place = [cell * column as f64, cell * row as f64, cell, cell];
                if *count > 0.0 {
                    // One path of many is still to be seen.
                    drawing.shade(place, 1, 0.2 + 0.8 * count / largest);
                }
                drawing.frame(place, "cell");
            }
        }
        (format!("rates {}", named(rates)), drawing)
    };

    // An image, and a chessboard of pixels over it, through layers that take means.
    let shapes = Shapes::new(ShapesConfig::new("explained", 1, seed).with_size(SIDE))
        .expect("a size that `shapes` has");
    let image = shapes.get(0).expect("`shapes` reads no file").image;
    let grey: Vec<f64> =
        image.pixels().map(|pixel| pixel.0.iter().map(|one| f64::from(*one)).sum::<f64>() / 765.0).collect();
    let tensor = |values: Vec<f64>| {
        Tensor::<4>::from_data(TensorData::new(values, [1, 1, SIDE, SIDE]), (&Device::flex(), DType::F64))
    };
    let board: Vec<f64> = (0..SIDE * SIDE)
        .map(|at| if (at / SIDE + at % SIDE).is_multiple_of(2) { 0.25 } else { -0.25 })
        .collect();
    let both: Vec<f64> = grey.iter().zip(&board).map(|(a, b)| a + b).collect();
    let mut left = Table::new(
        "How much of the chessboard is left behind three layers that take means of 9 pixels each (in the middle, away from the border)",
        &["rates", "of its height", "expected"],
    );
    let mut pictures = Vec::new();
    let mut drawn = |name: String, x: Tensor<4>| {
        let mut drawing =
            Drawing::new(format!("The image and the chessboard, {name}"), [160.0, 160.0]).at_most(200.0);
        let values: Vec<f64> = x.into_data().iter().collect();
        let picture = image::GrayImage::from_fn(SIDE as u32, SIDE as u32, |column, row| {
            let value = values[row as usize * SIDE + column as usize];
            image::Luma([(255.0 * (0.2 + 0.6 * value)).clamp(0.0, 255.0) as u8])
        });
        drawing.image([0.0, 0.0, 160.0, 160.0], &image::DynamicImage::from(picture).to_rgb8());
        pictures.push((name, drawing));
    };
    drawn("before".into(), tensor(both.clone()));
    let mut heights = Vec::new();
    for (rates, expected) in [(RATES[0], 1.0 / 729.0), (RATES[1], 1.0), (RATES[3], 1.0 / 81.0)] {
        let rest = rows(through(rates, 1.0 / 9.0, tensor(board.clone())));
        let height = rest[SIDE / 2][SIDE / 2].abs() / 0.25;
        left.row(named(rates), [height, expected].map(|one| format!("{one:.6}")));
        heights.push(height);
        drawn(format!("rates {}", named(rates)), through(rates, 1.0 / 9.0, tensor(both.clone())));
    }
    Page {
        idea: [
            "A dilated convolution leaves pixels out between those that its weights meet, so that the same nine weights see farther without a stride that makes the map smaller.",
            "With rates that double from layer to layer the field grows exponentially with depth, at a cost that grows linearly.",
            "Where all rates have a common factor above 1, neighbouring outputs look at different pixels and never at each other's: the map falls apart into grids.",
        ],
        formulas: vec![
            formula(r"y_{i,j} = \sum_{u,v} w_{u,v}\, x_{i + r u,\, j + r v}", "y_ij = Σ w_uv x_(i + r u, j + r v)"),
            formula(r"k' = r (k - 1) + 1, \quad p = \frac{r (k - 1)}{2}", "extent k' = r (k − 1) + 1,  padding p = r (k − 1) / 2"),
            formula(r"\text{field} = 1 + \sum_l r_l (k_l - 1)", "field = 1 + Σ r_l (k_l − 1)"),
        ],
        figures: vec![Figure {
            name: "fields".into(),
            caption: format!("What the output in the middle sees of 19 by 19 pixels through three layers, the fuller the more paths lead there. With rates 2, 2, 2 it sees {seen} of the {} pixels of its field.", side * side),
            picture: Picture::Small(RATES[..4].iter().map(|rates| small(rates)).collect()),
        }],
        tables: vec![fields, kernels],
        experiment: Experiment {
            question: "What do such rates do to fine detail?".into(),
            method: "A chessboard of single pixels is laid over an image of “shapes”, and three layers, each a mean over nine pixels, should smooth it away. The chessboard is the worst case for even rates.".into(),
            result: format!(
                "Rates 1, 1, 1 leave {:.4} of its height, rates 1, 2, 5 {:.4}. With rates 2, 2, 2 all of it passes ({:.4}): a mean over every second pixel meets squares of one colour alone. Each layer of an odd rate leaves a ninth of \
                 it, each of an even one everything. Rates such as 1, 2, 5, whose fields have no holes, are what Wang et al. call hybrid dilated convolution.",
                heights[0], heights[2], heights[1]
            ),
            figures: vec![Figure {
                name: "chessboards".into(),
                caption: "The image with the chessboard, and behind three layers that take means; it fades towards the border, where zeros are padded.".into(),
                picture: Picture::Small(pictures),
            }],
            tables: vec![left],
        },
        code: vec!["crates/nn/src/conv/mod.rs: dilated", "crates/models/deeplab/src/aspp.rs: Aspp"],
        tests: vec![
            "crates/nn/tests/convolutions.rs: dilation_is_a_kernel_with_zeros_between",
            "crates/explain/tests/fields.rs: dilated_layers_have_the_worked_fields",
        ],
        sources: vec![
            ["Yu and Koltun 2016, Multi-scale context aggregation by dilated convolutions", "https://arxiv.org/abs/1511.07122"],
            ["Wang et al. 2018, Understanding convolution for semantic segmentation", "https://arxiv.org/abs/1702.08502"],
            ["Chen et al. 2017, DeepLab: semantic image segmentation with deep convolutional nets, atrous convolution, and fully connected CRFs", "https://arxiv.org/abs/1606.00915"],
        ],
    }
}
