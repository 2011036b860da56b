//! Label maps follow their images pixel by pixel, and what is outside is ignored.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use image::{Rgb, RgbImage};
use kiln_core::{IGNORED, LabelMap, Truth};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::{Dataset, Sample, Shapes, ShapesConfig};

/// A transform a line, as in a list.
fn pipeline(transforms: &str) -> Pipeline {
    let list: Vec<String> = transforms.lines().map(|text| format!("{{ {text} }}")).collect();
    let parsed: BTreeMap<String, Vec<Transform>> =
        toml::from_str(&format!("transforms = [{}]", list.join(", "))).unwrap();
    Pipeline::new(parsed["transforms"].clone(), [0.5; 3], [0.5; 3]).unwrap()
}

fn applied(pipeline: &Pipeline, sample: &Sample, seed: u64) -> Sample {
    pipeline.apply(sample.clone(), &mut ChaCha8Rng::seed_from_u64(seed)).unwrap()
}

/// Patches of five labels whose red is the label and 100 more, and which are never black.
fn patches(width: u32, height: u32) -> Sample {
    let label = |x: u32, y: u32| ((x / 3 + 2 * (y / 5)) % 5) as u8;
    let image = RgbImage::from_fn(width, height, |x, y| Rgb([100 + label(x, y), 0, 0]));
    let labels = image.pixels().map(|pixel| pixel.0[0] - 100).collect();
    let label_map = Some(LabelMap { width: width as usize, height: height as usize, labels });
    Sample { image, truth: Truth { label_map, ..Truth::default() } }
}

#[test]
fn a_pixels_label_is_that_of_the_image_pixel_it_came_from() {
    let table = [
        "name = 'resize', size = 50, interpolation = 'nearest'",
        "name = 'resize', size = [17, 61], interpolation = 'nearest'",
        "name = 'random-resize', size = [20, 60], interpolation = 'nearest'",
        "name = 'random-crop', size = 20",
        "name = 'center-crop', size = [50, 20]",
        "name = 'pad-and-crop', size = 32, pad = 9",
        "name = 'random-resized-crop', size = 24, interpolation = 'nearest'",
        "name = 'horizontal-flip'",
        "name = 'vertical-flip'",
        "name = 'letterbox', size = 45, fill = [0, 0, 0], interpolation = 'nearest'",
        "name = 'letterbox', size = [20, 45], placement = 'top-left', fill = [0, 0, 0], interpolation = 'nearest'",
        "name = 'random-scale-crop', size = 40, fill = [0, 0, 0], interpolation = 'nearest'",
        "name = 'random-scale-crop', size = [20, 70], scale = [0.4, 3.0], fill = [0, 0, 0], interpolation = 'nearest'\n\
         name = 'horizontal-flip'\nname = 'pad-and-crop', size = 32, pad = 6",
    ];
    let sample = patches(37, 29);
    let mut outside = 0;
    for transforms in table {
        let pipeline = pipeline(transforms);
        for seed in 0..20 {
            let Sample { image, truth } = applied(&pipeline, &sample, seed);
            let map = truth.label_map.unwrap();
            assert_eq!([map.width, map.height], [image.width() as usize, image.height() as usize]);
            for (pixel, label) in image.pixels().zip(&map.labels) {
                let expected = if pixel.0 == [0; 3] { IGNORED } else { pixel.0[0] - 100 };
                assert_eq!(*label, expected, "{transforms}, seed {seed}");
            }
            outside += map.labels.iter().filter(|label| **label == IGNORED).count();
        }
    }
    assert!(outside > 0, "nothing was outside");
}

#[test]
fn no_transform_makes_a_label_that_was_not_there() {
    let table = [
        "name = 'resize', size = 45",
        "name = 'random-resized-crop', size = 24, interpolation = 'bicubic'",
        "name = 'letterbox', size = [30, 80]",
        "name = 'random-scale-crop', size = 48",
        "name = 'mosaic', size = 32\nname = 'random-perspective', size = 32, degrees = 20, shear = 5, perspective = 0.001",
        "name = 'random-perspective', degrees = 45",
        "name = 'rand-augment', interpolation = 'bilinear'",
        "name = 'trivial-augment'",
    ];
    let shapes = Shapes::new(ShapesConfig::new("train", 30, 3)).unwrap();
    for transforms in table {
        let pipeline = pipeline(transforms);
        for i in 0..shapes.len() {
            let sample = shapes.get(i).unwrap();
            let labels = |sample: &Sample| -> BTreeSet<u8> {
                sample.truth.label_map.as_ref().unwrap().labels.iter().copied().collect()
            };
            // A mosaic of an image alone is made of that image.
            let mut before = labels(&sample);
            before.insert(IGNORED);
            let after = labels(&applied(&pipeline, &sample, i as u64));
            assert!(after.is_subset(&before), "{transforms}, image {i}: {after:?} of {before:?}");
        }
    }
}

#[test]
fn a_mosaic_has_the_labels_of_its_parts_where_they_lie() {
    // Parts of one label each, and of one grey: 10, 20, 30, 40.
    let part = |label: u8| {
        let label_map = Some(LabelMap { width: 24, height: 24, labels: vec![label; 24 * 24] });
        let image = RgbImage::from_pixel(24, 24, Rgb([label * 10; 3]));
        Sample { image, truth: Truth { label_map, ..Truth::default() } }
    };
    let mosaic = Mosaic { side: 24, centre: [20, 30] };
    let parts = [1, 2, 3, 4].map(part);
    let sample = mosaic.sample(&parts, Interpolation::Nearest, [0; 3]);
    let labels = sample.truth.label_map.unwrap().labels;
    for (pixel, label) in sample.image.pixels().zip(&labels) {
        assert_eq!(if *label == IGNORED { 0 } else { label * 10 }, pixel.0[0]);
    }
    // 20 rows above the centre of 24 and 24 below; 24 columns left of it and 18 right.
    let count = |label: u8| labels.iter().filter(|other| **other == label).count();
    assert_eq!([1, 2, 3, 4].map(count), [20 * 24, 20 * 18, 24 * 24, 24 * 18]);
    // Where one of them has none, there is none.
    let [first, second, third, _] = parts;
    let without = Sample { truth: Truth::default(), ..first.clone() };
    assert_eq!(
        mosaic.sample(&[first, second, third, without], Interpolation::Nearest, [0; 3]).truth.label_map,
        None
    );
}

#[test]
fn a_scaled_crop_is_filled_below_and_right_of_a_small_image_and_cut_anywhere_from_a_large_one() {
    let transforms = "name = 'random-scale-crop', size = 40, fill = [7, 8, 9]";
    let pipeline = pipeline(transforms);
    assert_eq!((pipeline.output_size([30, 30]), pipeline.fixed_output_size()), ([40, 40], Some([40, 40])));
    let sample = patches(30, 20);
    let (mut smallest, mut largest, mut offsets) = (f64::MAX, 0.0_f64, BTreeSet::new());
    for seed in 0..300 {
        let steps = pipeline.transforms()[0].steps([20, 30], &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
        let [Step::Framing(framing, ..)] = steps[..] else { panic!("{steps:?}") };
        let [rows, columns] = framing.scaled.map(|side| side.min(40));
        (smallest, largest) = (smallest.min(framing.scale[0]), largest.max(framing.scale[0]));
        assert!(framing.scale[0] / framing.scale[1] < 1.1 && framing.scale[1] / framing.scale[0] < 1.1);
        if framing.scaled[1] == 60 {
            offsets.insert(framing.offset[1]);
        }
        let Sample { image, truth } = applied(&pipeline, &sample, seed);
        for (i, label) in truth.label_map.unwrap().labels.into_iter().enumerate() {
            let is_outside = i / 40 >= rows || i % 40 >= columns;
            assert_eq!(label == IGNORED, is_outside, "{framing:?}, pixel {i}");
            let pixel = image.get_pixel((i % 40) as u32, (i / 40) as u32).0;
            assert_eq!(pixel == [7, 8, 9], is_outside, "{framing:?}, pixel {i}");
        }
    }
    // 0.5 to 2 of 20 rows: 10 to 40.
    assert!((0.5..0.55).contains(&smallest) && (1.95..=2.0).contains(&largest), "{smallest} to {largest}");
    assert!(offsets.iter().all(|offset| (-20..=0).contains(offset)), "{offsets:?}");
}

#[test]
fn a_scaled_crop_is_named_and_checked() {
    let parsed: Transform = toml::from_str("name = 'random-scale-crop'\nsize = 513").unwrap();
    let expected = Transform::RandomScaleCrop {
        size: Size::Side(513),
        scale: [0.5, 2.0],
        fill: [124, 116, 104],
        interpolation: Interpolation::Bilinear,
    };
    assert_eq!(parsed, expected);
    for (text, line) in [
        ("size = 0", "`size` is 0 x 0"),
        ("size = 9\nscale = [2.0, 0.5]", "`scale` is [2, 0.5]; factors from 0.01 to 10"),
        ("size = 9\nscale = [0.0, 1.0]", "`scale` is [0, 1]"),
        ("size = 9\nscale = [1.0, 20.0]", "`scale` is [1, 20]"),
    ] {
        let transform: Transform = toml::from_str(&format!("name = 'random-scale-crop'\n{text}")).unwrap();
        let error = transform.check().unwrap_err().to_string();
        assert!(error.contains(line), "{error}\n{line}");
    }
}
