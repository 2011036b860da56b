//! Arithmetic by hand: sizes, places, pixels.

#![allow(clippy::unwrap_used)]

use image::{Rgb, RgbImage};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn grey(rows: &[&[u8]]) -> RgbImage {
    RgbImage::from_fn(rows[0].len() as u32, rows.len() as u32, |x, y| Rgb([rows[y as usize][x as usize]; 3]))
}

fn row(image: &RgbImage, y: u32) -> Vec<u8> {
    (0..image.width()).map(|x| image.get_pixel(x, y).0[0]).collect()
}

fn resized(image: &RgbImage, size: [usize; 2], interpolation: Interpolation) -> RgbImage {
    let resize = Transform::Resize { size: Size::HeightWidth(size), interpolation };
    let input = [image.height() as usize, image.width() as usize];
    resize.resolve(input, &mut rng(0)).unwrap().image(image, interpolation)
}

fn pipeline(transforms: &[Transform]) -> Pipeline {
    Pipeline::new(transforms.to_vec(), [0.5; 3], [0.5; 3]).unwrap()
}

fn parsed(text: &str) -> Result<Transform, toml::de::Error> {
    toml::from_str(text)
}

#[test]
fn a_transform_is_a_table_and_its_defaults_are_torchvisions() {
    let table = [
        (
            "name = 'resize'\nsize = 256",
            Transform::Resize { size: Size::Side(256), interpolation: Interpolation::Bilinear },
        ),
        (
            "name = 'resize'\nsize = [240, 320]\ninterpolation = 'bicubic'",
            Transform::Resize { size: Size::HeightWidth([240, 320]), interpolation: Interpolation::Bicubic },
        ),
        ("name = 'center-crop'\nsize = 224", Transform::CenterCrop { size: Size::Side(224) }),
        (
            "name = 'random-resized-crop'\nsize = 224",
            Transform::RandomResizedCrop {
                size: Size::Side(224),
                scale: [0.08, 1.0],
                ratio: [3.0 / 4.0, 4.0 / 3.0],
                interpolation: Interpolation::Bilinear,
            },
        ),
        ("name = 'pad-and-crop'\nsize = 32\npad = 4", Transform::PadAndCrop { size: Size::Side(32), pad: 4 }),
        ("name = 'horizontal-flip'", Transform::HorizontalFlip { probability: 0.5 }),
        (
            "name = 'random-resize'\nsize = [256, 480]",
            Transform::RandomResize { size: [256, 480], interpolation: Interpolation::Bilinear },
        ),
        ("name = 'random-crop'\nsize = 224", Transform::RandomCrop { size: Size::Side(224) }),
        ("name = 'lighting'\nstd = 0.1", Transform::Lighting { std: 0.1 }),
        (
            "name = 'color-jitter'\nbrightness = 0.4\nhue = 0.1",
            Transform::ColorJitter { brightness: 0.4, contrast: 0.0, saturation: 0.0, hue: 0.1 },
        ),
        (
            "name = 'auto-augment'",
            Transform::AutoAugment { policy: Policy::ImageNet, interpolation: nearest(), fill: [0; 3] },
        ),
        (
            "name = 'rand-augment'\ninterpolation = 'bilinear'",
            Transform::RandAugment {
                operations: 2,
                magnitude: 9,
                bins: 31,
                interpolation: Interpolation::Bilinear,
                fill: [0; 3],
            },
        ),
        (
            "name = 'trivial-augment'\nfill = [124, 116, 104]",
            Transform::TrivialAugment { bins: 31, interpolation: nearest(), fill: [124, 116, 104] },
        ),
        (
            "name = 'random-erasing'",
            Transform::RandomErasing {
                probability: 0.5,
                scale: [0.02, 0.33],
                ratio: [0.3, 3.3],
                fill: Filling::Mean,
            },
        ),
        ("name = 'cutout'\nsize = 16", Transform::Cutout { size: 16, count: 1 }),
    ];
    for (text, expected) in table {
        let transform = parsed(text).unwrap();
        assert_eq!(transform, expected);
        assert_eq!(parsed(&toml::to_string(&transform).unwrap()).unwrap(), expected);
    }
}

#[test]
fn wrong_transforms_are_refused_by_name() {
    let unreadable = [
        ("name = 'horizontal-flip'\nprobabilty = 0.5", "probabilty"),
        ("name = 'rotate'", "rotate"),
        ("name = 'auto-augment'\npolicy = 'coco'", "coco"),
        ("name = 'resize'\nsize = 'large'", "a number of pixels or [height, width]"),
        ("name = 'pad-and-crop'\nsize = 32", "pad"),
    ];
    for (text, named) in unreadable {
        let error = parsed(text).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    let impossible = [
        ("name = 'center-crop'\nsize = 0", "`size` is 0 x 0"),
        ("name = 'horizontal-flip'\nprobability = 1.5", "`probability` is 1.5"),
        ("name = 'random-resized-crop'\nsize = 8\nscale = [0.5, 0.1]", "`scale` is [0.5, 0.1]"),
        ("name = 'random-resized-crop'\nsize = 8\nratio = [0.0, 1.0]", "`ratio` is [0, 1]"),
        ("name = 'random-resize'\nsize = [480, 256]", "`size` is [480, 256]"),
        ("name = 'random-crop'\nsize = 0", "`size` is 0 x 0"),
        ("name = 'lighting'\nstd = -0.1", "`std` is -0.1"),
        ("name = 'color-jitter'\ncontrast = -1.0", "`contrast` is -1"),
        ("name = 'color-jitter'\nhue = 0.6", "`hue` is 0.6"),
        ("name = 'rand-augment'\nmagnitude = 31", "`magnitude` is 31, of 31 `bins`"),
        ("name = 'rand-augment'\noperations = 0", "`operations` is 0"),
        ("name = 'trivial-augment'\nbins = 1", "`bins` is 1"),
        ("name = 'random-erasing'\nprobability = 2", "`probability` is 2"),
        ("name = 'random-erasing'\nscale = [0.3, 0.2]", "`scale` is [0.3, 0.2]"),
        ("name = 'random-erasing'\nratio = [0.0, 1.0]", "`ratio` is [0, 1]"),
        ("name = 'cutout'\nsize = 0", "`size` is 0"),
        ("name = 'cutout'\nsize = 4\ncount = 0", "`count` is 0"),
    ];
    for (text, named) in impossible {
        let error = Pipeline::new(vec![parsed(text).unwrap()], [0.5; 3], [0.5; 3]).unwrap_err().to_string();
        assert!(error.starts_with("transforms[0]: ") && error.contains(named), "{error}");
    }
    let erasing = ["name = 'cutout'\nsize = 4", "name = 'horizontal-flip'"].map(|text| parsed(text).unwrap());
    let error = Pipeline::new(erasing.to_vec(), [0.5; 3], [0.5; 3]).unwrap_err().to_string();
    assert!(error.starts_with("transforms[0]: an image is erased only once it is numbers"), "{error}");
    assert!(Pipeline::new(vec![], [0.5; 3], [0.5, 0.0, 0.5]).unwrap_err().to_string().starts_with("std: "));
}

#[test]
fn a_reduction_is_the_widened_triangle_by_hand() {
    // 4 to 2: the triangle reaches 2 pixels; the pixels at 0.5, 0.5, 1.5 from the centre weigh 0.75, 0.75, 0.25, so
    // 3/7, 3/7, 1/7: (0·3 + 70·3 + 140) / 7 = 50 and (70 + 140·3 + 210·3) / 7 = 160.
    let image = grey(&[&[0, 70, 140, 210][..]; 4]);
    let half = resized(&image, [2, 2], Interpolation::Bilinear);
    assert_eq!([row(&half, 0), row(&half, 1)], [vec![50, 160], vec![50, 160]]);
    let turned = grey(&[&[0; 4], &[70; 4], &[140; 4], &[210; 4]]);
    let half = resized(&turned, [2, 2], Interpolation::Bilinear);
    assert_eq!([row(&half, 0), row(&half, 1)], [vec![50, 50], vec![160, 160]]);
}

#[test]
fn an_enlargement_is_the_kernel_by_hand() {
    // Centres at 0.25, 0.75, 1.25, 1.75 of pixels whose centres are 0.5 and 1.5.
    let two = resized(&grey(&[&[0, 100]]), [1, 4], Interpolation::Bilinear);
    assert_eq!(row(&two, 0), [0, 25, 75, 100]);
    // The fourth centre of eight is 1.75: 1.25, 0.25, 0.75, 1.75 from the pixels, which Keys' cubic with a = -1/2 weighs
    // -0.0703125, 0.8671875, 0.2265625, -0.0234375: 128 · (0.2265625 - 0.0234375) = 26; the fifth mirrors it: 102.
    let four = resized(&grey(&[&[0, 0, 128, 128]]), [1, 8], Interpolation::Bicubic);
    assert_eq!(row(&four, 0)[3..5], [26, 102]);
    let nearest = resized(&grey(&[&[1, 2, 3]]), [1, 6], Interpolation::Nearest);
    assert_eq!(row(&nearest, 0), [1, 1, 2, 2, 3, 3]);
    // Half of an odd number: centres 0.5·5/2 = 1.25 and 3.75.
    let reduced = resized(&grey(&[&[1, 2, 3, 4, 5]]), [1, 2], Interpolation::Nearest);
    assert_eq!(row(&reduced, 0), [2, 4]);
}

#[test]
fn scaled_images_are_pils() {
    // Pillow 11.3: Image.fromarray(a).resize((w, h), filter) with a[y, x] = (37 x² + 91 y + 13 x y) mod 256, 6 x 8.
    let value = |x: u32, y: u32| ((x * x * 37 + y * 91 + x * y * 13) % 256) as u8;
    let image = RgbImage::from_fn(8, 6, |x, y| Rgb([value(x, y); 3]));
    let table: [(Interpolation, &[&[u8]]); 4] = [
        (
            Interpolation::Bilinear,
            &[
                &[51, 96, 128, 121, 100],
                &[158, 131, 149, 153, 149],
                &[98, 168, 173, 117, 119],
                &[139, 156, 120, 116, 179],
            ],
        ),
        (
            Interpolation::Bilinear,
            &[
                &[65, 88, 107, 89, 110, 136, 143, 134, 124, 134, 126, 114],
                &[100, 135, 166, 155, 150, 152, 176, 157, 130, 124, 124, 124],
                &[134, 126, 126, 165, 167, 150, 116, 101, 104, 145, 167, 179],
            ],
        ),
        (
            Interpolation::Bicubic,
            &[
                &[42, 93, 131, 120, 98],
                &[170, 129, 149, 160, 153],
                &[89, 176, 182, 110, 112],
                &[141, 157, 113, 111, 188],
            ],
        ),
        (
            Interpolation::Bicubic,
            &[
                &[61, 85, 105, 78, 103, 137, 143, 131, 122, 137, 127, 113],
                &[94, 138, 180, 161, 147, 152, 188, 166, 130, 120, 119, 121],
                &[138, 121, 119, 168, 175, 151, 109, 88, 97, 148, 176, 187],
            ],
        ),
    ];
    for (interpolation, expected) in table {
        let scaled = resized(&image, [expected.len(), expected[0].len()], interpolation);
        for (y, line) in expected.iter().enumerate() {
            assert_eq!(row(&scaled, y as u32), *line, "{interpolation:?}, row {y}");
        }
    }
}

#[test]
fn a_resize_to_the_shorter_side_rounds_the_longer_one_down() {
    // torchvision: int(size * long / short).
    let table = [
        (256, [480, 640], [256, 341]),
        (256, [640, 480], [341, 256]),
        (224, [100, 100], [224, 224]),
        (32, [3, 1000], [32, 10666]),
    ];
    for (side, input, output) in table {
        let resize = Transform::Resize { size: Size::Side(side), interpolation: Interpolation::Bilinear };
        assert_eq!(resize.output_size(input), output);
        assert_eq!(resize.resolve(input, &mut rng(0)).unwrap().output, output);
    }
}

#[test]
fn center_crops_begin_where_torchvisions_do() {
    // int(round((image - cut) / 2)) with halves to even; a missing part is (cut - image) // 2 before the image.
    let table = [(341, 224, 58), (7, 4, 2), (5, 4, 0), (9, 4, 2), (4, 7, -1), (4, 8, -2), (6, 6, 0)];
    for (image, cut, start) in table {
        let crop = Transform::CenterCrop { size: Size::Side(cut) };
        let region = crop.resolve([image, image], &mut rng(0)).unwrap().region;
        assert_eq!([region.top, region.left], [start; 2], "{cut} of {image}");
    }
    let image = grey(&[&[1, 2], &[3, 4]]);
    let crop = Transform::CenterCrop { size: Size::Side(4) }.resolve([2, 2], &mut rng(0)).unwrap();
    let framed = crop.image(&image, Interpolation::Bilinear);
    assert_eq!(
        (0..4).map(|y| row(&framed, y)).collect::<Vec<_>>(),
        [[0; 4], [0, 1, 2, 0], [0, 3, 4, 0], [0; 4]]
    );
}

#[test]
fn pad_and_crop_reaches_every_place_equally() {
    let crop = Transform::PadAndCrop { size: Size::Side(32), pad: 4 };
    let mut rng = rng(3);
    let mut counts = [[0; 9]; 9];
    for _ in 0..8100 {
        let region = crop.resolve([32, 32], &mut rng).unwrap().region;
        counts[(region.top + 4) as usize][(region.left + 4) as usize] += 1;
    }
    // 100 each, of deviation 10.
    assert!(counts.iter().flatten().all(|count| (50..150).contains(count)), "{counts:?}");
    let error = crop.resolve([20, 32], &mut rng).unwrap_err();
    assert!(error.to_string().contains("32 x 32 from an image of 20 x 32"), "{error}");
}

#[test]
fn a_random_crop_stays_in_the_image() {
    let crop = Transform::RandomCrop { size: Size::HeightWidth([4, 6]) };
    let mut rng = rng(6);
    let mut counts = [[0; 2]; 3];
    for _ in 0..6000 {
        let region = crop.resolve([6, 7], &mut rng).unwrap().region;
        counts[region.top as usize][region.left as usize] += 1;
    }
    // 3 x 2 places: 1000 each, of deviation 29.
    assert!(counts.iter().flatten().all(|count| (850..1150).contains(count)), "{counts:?}");
    assert!(crop.resolve([3, 7], &mut rng).is_err());
}

#[test]
fn every_shorter_side_of_a_random_resize_is_as_likely() {
    let resize = Transform::RandomResize { size: [4, 6], interpolation: Interpolation::Bilinear };
    let mut rng = rng(7);
    let mut counts = [0; 3];
    for _ in 0..3000 {
        let warp = resize.resolve([10, 25], &mut rng).unwrap();
        let [height, width] = warp.output;
        assert_eq!((warp.region, width), (Region::whole([10, 25]), 25 * height / 10));
        counts[height - 4] += 1;
    }
    // 1000 each, of deviation 26.
    assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
}

#[test]
fn random_parts_keep_their_ranges_and_fall_back_to_the_middle() {
    let crop = |scale, ratio| Transform::RandomResizedCrop {
        size: Size::Side(16),
        scale,
        ratio,
        interpolation: Interpolation::Bilinear,
    };
    let mut rng = rng(4);
    for _ in 0..2000 {
        let warp = crop([0.2, 0.5], [0.5, 2.0]).resolve([300, 200], &mut rng).unwrap();
        let Region { top, left, height, width } = warp.region;
        assert_eq!(warp.output, [16, 16]);
        assert!(top >= 0 && left >= 0 && top as usize + height <= 300 && left as usize + width <= 200);
        // Sides are rounded to whole pixels, so the limits are met within a percent or so.
        let part = (height * width) as f64 / 60000.0;
        let aspect = width as f64 / height as f64;
        assert!((0.195..0.51).contains(&part) && (0.49..2.04).contains(&aspect), "{:?}", warp.region);
    }
    // All of a 100 x 10 image is never of aspect 3/4 to 4/3: the middle 13 rows of 10 columns (round(10 / 0.75) = 13).
    let warp = crop([1.0, 1.0], [3.0 / 4.0, 4.0 / 3.0]).resolve([100, 10], &mut rng).unwrap();
    assert_eq!(warp.region, Region { top: 43, left: 0, height: 13, width: 10 });
    let warp = crop([1.0, 1.0], [3.0 / 4.0, 4.0 / 3.0]).resolve([10, 100], &mut rng).unwrap();
    assert_eq!(warp.region, Region { top: 0, left: 43, height: 10, width: 13 });
}

#[test]
fn half_of_all_images_are_flipped() {
    let flip = Transform::HorizontalFlip { probability: 0.5 };
    let mut rng = rng(5);
    let flipped = (0..10000).filter(|_| flip.resolve([8, 8], &mut rng).unwrap().mirrored).count();
    // Deviation √(10000 / 4) = 50.
    assert!((4800..5200).contains(&flipped), "{flipped}");
}

#[test]
fn a_pipeline_knows_the_size_it_ends_with() {
    let resize = Transform::Resize { size: Size::Side(256), interpolation: Interpolation::Bilinear };
    let crop = Transform::CenterCrop { size: Size::Side(224) };
    let flip = Transform::HorizontalFlip { probability: 0.5 };
    assert_eq!(pipeline(&[resize.clone(), crop.clone(), flip.clone()]).fixed_output_size(), Some([224, 224]));
    assert_eq!(pipeline(&[crop, resize.clone()]).fixed_output_size(), Some([256, 256]));
    let open = pipeline(&[resize, flip]);
    assert_eq!(open.fixed_output_size(), None);
    assert_eq!(open.output_size([480, 640]), [256, 341]);
    let jittered = Transform::RandomResize { size: [256, 480], interpolation: Interpolation::Bilinear };
    let crop = Transform::RandomCrop { size: Size::Side(224) };
    assert_eq!(pipeline(std::slice::from_ref(&jittered)).output_size([480, 640]), [256, 341]);
    assert_eq!(pipeline(&[crop.clone(), jittered.clone()]).fixed_output_size(), None);
    let recoloured = [jittered, crop, Transform::Lighting { std: 0.1 }];
    assert_eq!(pipeline(&recoloured).fixed_output_size(), Some([224, 224]));
}

#[test]
fn a_batch_of_another_size_is_scaled_by_the_transform_that_scales() {
    let crop = |size| parsed(&format!("name = 'random-resized-crop'\nsize = {size}")).unwrap();
    let flip = Transform::HorizontalFlip { probability: 0.5 };
    let erase = parsed("name = 'cutout'\nsize = 4").unwrap();
    let pad = Transform::PadAndCrop { size: Size::Side(32), pad: 4 };
    let resize = |side| Transform::Resize {
        size: Size::HeightWidth([side; 2]),
        interpolation: Interpolation::Bilinear,
    };
    let table = [
        (vec![crop("224"), flip.clone(), erase.clone()], vec![crop("[96, 96]"), flip.clone(), erase.clone()]),
        (vec![pad.clone(), flip.clone(), erase.clone()], vec![pad, flip.clone(), resize(96), erase]),
        (vec![flip.clone()], vec![flip, resize(96)]),
        (vec![], vec![resize(96)]),
    ];
    for (transforms, expected) in table {
        let sized = pipeline(&transforms).with_side(96);
        assert_eq!((sized.transforms(), sized.fixed_output_size()), (&expected[..], Some([96, 96])));
    }
}

#[test]
fn a_picture_of_numbers_is_the_image_that_they_were_made_of() {
    let image = RgbImage::from_fn(16, 16, |x, y| Rgb([(16 * y + x) as u8, 255 - x as u8, y as u8]));
    let pipeline = Pipeline::new(vec![], [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]).unwrap();
    assert_eq!(pipeline.picture(&pipeline.normalize(&image), [16, 16]), image);
}

#[test]
fn normalized_numbers_are_channels_first() {
    let mut image = RgbImage::new(2, 1);
    image.put_pixel(0, 0, Rgb([0, 51, 255]));
    image.put_pixel(1, 0, Rgb([255, 102, 0]));
    let pipeline = Pipeline::new(vec![], [0.5, 0.2, 0.0], [0.5, 0.1, 2.0]).unwrap();
    // (0 - 0.5) / 0.5, (1 - 0.5) / 0.5; (0.2 - 0.2) / 0.1, (0.4 - 0.2) / 0.1; 1 / 2, 0 / 2.
    let expected = [-1.0, 1.0, 0.0, 2.0, 0.5, 0.0];
    for (number, expected) in pipeline.normalize(&image).iter().zip(expected) {
        assert!((number - expected).abs() < 1e-5, "{number} is not {expected}");
    }
}
