//! Operations and policies as torchvision has them, byte for byte: what `augment/make.py` wrote.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use flate2::Crc;
use image::{Rgb, RgbImage};
use kiln_core::Truth;
use kiln_data::{
    Dataset, Interpolation, Motion, Operation, Pipeline, Policy, Sample, Shapes, ShapesConfig, Space, Step,
    Transform,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const EXPECTED: &str = include_str!("augment/expected.txt");

const BINS: usize = 31;

/// The words of each line that begins with `kind`.
fn lines(kind: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let words = EXPECTED.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    words.filter(move |words| words[0] == kind).map(|words| words[1..].to_vec())
}

fn operation(name: &str) -> Operation {
    Operation::ALL.into_iter().find(|operation| format!("{operation:?}") == name).unwrap()
}

fn space(name: &str) -> Space {
    if name == "wide" { Space::Wide } else { Space::Plain }
}

/// The images of `make.py`, and the colour where there was none.
fn image(name: &str) -> (RgbImage, [u8; 3]) {
    type Value = fn(u32, u32, u32) -> u32;
    let (width, height, value, fill): (u32, u32, Value, [u8; 3]) = match name {
        "noise" => (32, 32, |x, y, c| x * x * 37 + y * 91 + x * y * 13 + c * 77, [0; 3]),
        "odd" => (23, 17, |x, y, c| x * 11 + y * (5 + 3 * c), [124, 116, 104]),
        "dull" => (40, 30, |x, y, c| 60 + 20 * c + (x * y + 7 * x) % (90 - 44 * c), [0; 3]),
        "tiny" => (2, 3, |x, y, c| 50 * x + 70 * y + c, [0; 3]),
        _ => panic!("{name}"),
    };
    let pixel = |x, y| Rgb([0, 1, 2].map(|c| (value(x, y, c) % 256) as u8));
    (RgbImage::from_fn(width, height, pixel), fill)
}

#[test]
fn magnitudes_are_torchvisions() {
    let mut compared = 0;
    for words in lines("magnitudes") {
        let [space_name, name, bins, width, height, values @ ..] = words.as_slice() else {
            panic!("{words:?}")
        };
        let bins = bins.parse().unwrap();
        let size = [height.parse().unwrap(), width.parse().unwrap()];
        for (level, value) in values.iter().enumerate() {
            let found = space(space_name).magnitude(operation(name), level, bins, size);
            assert_eq!(found, value.parse::<f64>().unwrap(), "{space_name} {name} {level}");
            compared += 1;
        }
    }
    // Four images; of 11 graded operations 31, in the plain space one of 4 others, in the wide of 3. For two sizes those of
    // AutoAugment, which has ten levels and one of 3 others.
    assert_eq!(compared, 4 * (11 * 31 + 4 + 11 * 31 + 3) + 2 * (11 * 10 + 3));
}

#[test]
fn operations_are_torchvisions_at_every_magnitude() {
    let mut wrong = BTreeMap::new();
    let mut compared = 0;
    for words in lines("images") {
        let [name, space_name, operation_name, interpolation, sums @ ..] = words.as_slice() else {
            panic!("{words:?}")
        };
        let (image, fill) = image(name);
        let size = [image.height() as usize, image.width() as usize];
        let operation = operation(operation_name);
        let interpolation = match *interpolation {
            "nearest" => Interpolation::Nearest,
            "bilinear" => Interpolation::Bilinear,
            _ => Interpolation::Bicubic,
        };
        for (i, sum) in sums.iter().enumerate() {
            let strength = space(space_name).magnitude(operation, i % BINS, BINS, size);
            let magnitude = if i < BINS { strength } else { -strength };
            let sample = Sample { image: image.clone(), truth: Truth::default() };
            let made = operation.apply(magnitude, interpolation, fill, sample);
            let mut crc = Crc::new();
            crc.update(made.image.as_raw());
            compared += 1;
            if format!("{:08x}", crc.sum()) != *sum {
                let place = format!("{name} {operation:?} {interpolation:?}");
                wrong.entry(place).or_insert_with(Vec::new).push(magnitude);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Four images, two spaces: five moves by three interpolations and four changes of 62 magnitudes, two of 31, and three
    // (in the plain space four) without one.
    assert_eq!(compared, 4 * (2 * (19 * 62 + 2 * 31 + 3) + 1));
}

#[test]
fn policies_are_torchvisions() {
    for (name, policy) in
        [("imagenet", Policy::ImageNet), ("cifar10", Policy::Cifar10), ("svhn", Policy::Svhn)]
    {
        let pairs: Vec<Vec<&str>> = lines("policy").filter(|words| words[0] == name).collect();
        assert_eq!(pairs.len(), 25);
        for (words, pair) in pairs.iter().zip(policy.sub_policies()) {
            for (words, (found, probability, level)) in words[1..].chunks(3).zip(pair) {
                assert_eq!(*found, operation(words[0]), "{name}: {words:?}");
                assert_eq!(
                    [words[1], words[2]].map(|word| word.parse::<f64>().unwrap()),
                    [*probability, *level as f64]
                );
            }
        }
    }
}

/// What a transform does to many images of 32 x 32.
fn drawn(transform: &Transform, times: u64) -> Vec<Vec<(Operation, f64)>> {
    let of = |seed| {
        let steps = transform.steps([32, 32], &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
        let operation = |step: Step| match step {
            Step::Operation { operation, magnitude, .. } => (operation, magnitude),
            other => panic!("{other:?}"),
        };
        steps.into_iter().map(operation).collect()
    };
    (0..times).map(of).collect()
}

fn parsed(text: &str) -> Transform {
    toml::from_str(text).unwrap()
}

#[test]
fn trivial_augment_draws_every_operation_sign_and_magnitude_as_often() {
    let draws = drawn(&parsed("name = 'trivial-augment'"), 28_000);
    let mut counts = BTreeMap::new();
    let mut turns = BTreeMap::new();
    for steps in &draws {
        let [(operation, magnitude)] = steps[..] else { panic!("one operation: {steps:?}") };
        *counts.entry(format!("{operation:?}")).or_insert(0) += 1;
        if operation == Operation::Rotate {
            *turns.entry((magnitude / 4.5).round() as i64).or_insert(0) += 1;
        }
    }
    // 14 operations: 2000 each, of deviation 43; 31 turns of each sign, 0 twice: 32 of each, of deviation 5.7.
    assert_eq!(counts.len(), 14);
    assert!(!counts.contains_key("Invert"));
    assert!(counts.values().all(|count| (1800..2200).contains(count)), "{counts:?}");
    assert_eq!(turns.keys().copied().collect::<Vec<_>>(), (-30..=30).collect::<Vec<_>>());
    assert!(turns.values().all(|count| (8..100).contains(count)), "{turns:?}");
}

#[test]
fn rand_augment_draws_two_operations_of_one_strength() {
    // Level 9 of 31: 0.3 · 9 / 30 = 0.09 of shear, 30 · 9 / 30 = 9 degrees, 8 - round(9 / 7.5) = 7 bits.
    for steps in drawn(&parsed("name = 'rand-augment'"), 2000) {
        assert_eq!(steps.len(), 2);
        for (operation, magnitude) in steps {
            let expected = match operation {
                Operation::ShearX | Operation::ShearY => 0.09,
                Operation::Rotate => 9.0,
                Operation::Posterize => 7.0,
                _ => continue,
            };
            assert!((magnitude.abs() - expected).abs() < 1e-6, "{operation:?}: {magnitude}");
        }
    }
}

#[test]
fn auto_augment_does_each_half_of_a_pair_as_often_as_the_pair_says() {
    let draws = drawn(&parsed("name = 'auto-augment'\npolicy = 'cifar10'"), 50_000);
    let mut counts = BTreeMap::new();
    for (operation, _) in draws.iter().flatten() {
        *counts.entry(format!("{operation:?}")).or_insert(0.0) += 1.0;
    }
    // How often an operation is done is the sum of its probabilities over the 25 pairs.
    let mut expected = BTreeMap::new();
    for (operation, probability, _) in Policy::Cifar10.sub_policies().iter().flatten() {
        *expected.entry(format!("{operation:?}")).or_insert(0.0) += probability * 50_000.0 / 25.0;
    }
    for (name, count) in &expected {
        let found: f64 = counts.get(name).copied().unwrap_or_default();
        assert!((found - count).abs() < 6.0 * count.sqrt() + 1.0, "{name}: {found} for {count}");
    }
}

#[test]
fn boxes_masks_and_keypoints_follow_turns_shears_and_shifts() {
    let shapes = Shapes::new(ShapesConfig::new("train", 30, 2).with_size(64)).unwrap();
    let table = [
        (Operation::Rotate, 27.0),
        (Operation::ShearX, -0.4),
        (Operation::ShearY, 0.3),
        (Operation::TranslateX, 9.0),
        (Operation::TranslateY, -7.0),
    ];
    for (operation, magnitude) in table {
        for i in 0..shapes.len() {
            let sample = operation.apply(magnitude, Interpolation::Bilinear, [0; 3], shapes.get(i).unwrap());
            let map = sample.truth.label_map.as_ref().unwrap();
            for object in &sample.truth.objects {
                let (mask, b) = (object.mask.as_ref().unwrap(), object.bounding_box);
                for i in (0..64 * 64).filter(|i| mask.bits[*i]) {
                    let (x, y) = ((i % 64) as f32 + 0.5, (i / 64) as f32 + 0.5);
                    let inside =
                        (b.x1 - 1.0..b.x2 + 1.0).contains(&x) && (b.y1 - 1.0..b.y2 + 1.0).contains(&y);
                    assert!(inside, "({x}, {y}) is outside {b:?} after {operation:?}");
                    assert_eq!(usize::from(map.labels[i]), object.class + 1, "{operation:?}");
                }
            }
        }
    }
}

#[test]
fn a_point_lands_where_its_pixel_does() {
    let affine = kiln_data::Affine::turn(90.0, [8, 8]);
    // A quarter against the clock: the upper right corner becomes the upper left one.
    let [x, y] = affine.point([8.0, 0.0]);
    assert!(x.abs() < 1e-5 && y.abs() < 1e-5, "{x}, {y}");
    let mut image = RgbImage::new(8, 8);
    image.put_pixel(7, 0, Rgb([255; 3]));
    let turned = affine.image(&image, Interpolation::Nearest, [0; 3]);
    assert_eq!(turned.get_pixel(0, 0), &Rgb([255; 3]));
}

#[test]
fn parts_are_erased_in_the_mean_colour_or_in_noise() {
    // Grey 128 with a mean of 0 and a deviation of 1 is 0.502 in each number.
    let pipeline = |text: &str| Pipeline::new(vec![parsed(text)], [0.0; 3], [1.0; 3]).unwrap();
    let prepare = |pipeline: &Pipeline, seed| {
        let sample = Sample { image: RgbImage::from_pixel(40, 30, Rgb([128; 3])), truth: Truth::default() };
        pipeline.prepare(sample, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap()
    };
    let erasing = pipeline("name = 'random-erasing'\nprobability = 0.25");
    let noisy = pipeline("name = 'random-erasing'\nprobability = 1.0\nfill = 'noise'\nscale = [0.3, 0.3]");
    let (mut erased, mut sum, mut squares, mut count) = (0, 0.0, 0.0, 0.0);
    for seed in 0..2000 {
        let ready = prepare(&erasing, seed);
        let gone = ready.numbers.iter().filter(|number| **number == 0.0).count();
        let Some(Step::Erasure(erasure)) = ready.steps.first() else {
            assert_eq!(gone, 0);
            continue;
        };
        let region = erasure.region;
        assert_eq!(gone, 3 * region.height * region.width);
        // Sides are rounded to whole pixels.
        let (part, aspect) =
            (region.height as f64 * region.width as f64 / 1200.0, region.height as f64 / region.width as f64);
        assert!((0.01..0.36).contains(&part) && (0.2..4.5).contains(&aspect), "{region:?}");
        erased += 1;
        let new = prepare(&noisy, seed).numbers;
        for number in new.iter().filter(|number| **number != 128.0 / 255.0) {
            sum += f64::from(*number);
            squares += f64::from(number * number);
            count += 1.0;
        }
    }
    // A quarter of 2000, of deviation 19.
    assert!((400..600).contains(&erased), "{erased}");
    // Some 500 times 3 · 360 numbers of mean 0 and deviation 1: their means deviate by 0.0014 and 0.002.
    assert!((sum / count).abs() < 0.01 && (squares / count - 1.0).abs() < 0.01, "{sum} {squares} {count}");
    // A square of 16 has all of its pixels inside, or half of its side beyond a border.
    let cutout = pipeline("name = 'cutout'\nsize = 16");
    let gone = |seed| prepare(&cutout, seed).numbers.iter().filter(|number| **number == 0.0).count() / 3;
    let sizes: Vec<usize> = (0..500).map(gone).collect();
    assert!(sizes.iter().all(|size| (64..=256).contains(size)));
    assert!(sizes.contains(&256) && sizes.iter().any(|size| *size < 128));
}
