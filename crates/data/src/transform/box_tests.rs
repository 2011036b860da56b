//! A painted rectangle and its box, through everything that moves pixels.

#![allow(clippy::unwrap_used)]

use image::{Rgb, RgbImage};
use kiln_core::{BoundingBox, Letterboxing, Object, Truth};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::Sample;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn transform(table: &str) -> Transform {
    let found: std::collections::BTreeMap<String, Transform> =
        toml::from_str(&format!("it = {{ {table} }}")).unwrap();
    found["it"].clone()
}

fn object(edges: [f32; 4]) -> Object {
    let bounding_box = BoundingBox::from_xyxy(edges);
    Object { class: 0, bounding_box, mask: None, keypoints: Vec::new(), crowd: false, difficult: false }
}

/// A white rectangle of whole pixels on black, with its box.
fn painted(rng: &mut ChaCha8Rng) -> Sample {
    let (width, height) = (rng.random_range(60..200), rng.random_range(60..200));
    let (x1, y1) = (rng.random_range(0..width - 30), rng.random_range(0..height - 30));
    let (x2, y2) = (rng.random_range(x1 + 20..=width), rng.random_range(y1 + 20..=height));
    let image = RgbImage::from_fn(width, height, |x, y| {
        Rgb([if (x1..x2).contains(&x) && (y1..y2).contains(&y) { 255 } else { 0 }; 3])
    });
    let objects = vec![object([x1, y1, x2, y2].map(|edge| edge as f32))];
    Sample { image, truth: Truth { objects, ..Truth::default() } }
}

/// The bounds of the pixels that are brighter: an edge between two pixels is between them.
fn bounds(image: &RgbImage, brighter: u8) -> Option<BoundingBox> {
    let pixels = image.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] > brighter);
    BoundingBox::around(pixels.flat_map(|(x, y, _)| {
        let (x, y) = (x as f32, y as f32);
        [[x, y], [x + 1.0, y + 1.0]]
    }))
}

/// The bounds of the pixels that are more white than the grey around an image.
fn white(image: &RgbImage) -> Option<BoundingBox> {
    bounds(image, 150)
}

fn contains(outer: &BoundingBox, inner: &BoundingBox, slack: f32) -> bool {
    outer.x1 - slack <= inner.x1
        && outer.y1 - slack <= inner.y1
        && outer.x2 + slack >= inner.x2
        && outer.y2 + slack >= inner.y2
}

fn farthest(a: &BoundingBox, b: &BoundingBox) -> f32 {
    a.xyxy().iter().zip(b.xyxy()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_box_lies_where_its_pixels_do() {
    // What it may be off, in pixels: nothing where whole pixels move; half a pixel and the blur of an edge where sizes change;
    // and YOLOX rounds an image's size down and its boxes not.
    let table: [(&[&str], f32); 10] = [
        (&["name = 'horizontal-flip', probability = 1.0"], 0.0),
        (&["name = 'vertical-flip', probability = 1.0"], 0.0),
        (&["name = 'horizontal-flip'", "name = 'vertical-flip'"], 0.0),
        (&["name = 'letterbox', size = 160"], 1.1),
        (&["name = 'letterbox', size = [96, 224], placement = 'top-left'"], 1.7),
        (&["name = 'letterbox', size = 160, placement = 'darknet'"], 1.1),
        (&["name = 'letterbox', size = 256, enlarge = false"], 0.0),
        (&["name = 'resize', size = [160, 160]"], 1.1),
        (&["name = 'random-perspective', scale = 0.0, translate = 0.3"], 1.1),
        (&["name = 'random-perspective', size = 150"], 1.1),
    ];
    for (tables, tolerance) in table {
        let transforms: Vec<Transform> = tables.iter().map(|table| transform(table)).collect();
        let pipeline = Pipeline::new(transforms, [0.5; 3], [0.5; 3]).unwrap();
        let mut seen = 0;
        for seed in 0..60 {
            let sample = painted(&mut rng(seed));
            let moved = pipeline.apply(sample, &mut rng(1000 + seed)).unwrap();
            let Some(object) = moved.truth.objects.first() else { continue };
            let pixels =
                white(&moved.image).unwrap_or_else(|| panic!("{tables:?}, {seed}: nothing is white"));
            let off = farthest(&object.bounding_box, &pixels);
            assert!(off <= tolerance, "{tables:?}, {seed}: {:?} and {pixels:?}", object.bounding_box);
            seen += 1;
        }
        assert!(seen >= 50, "{tables:?}: {seen}");
    }
}

#[test]
fn a_box_is_the_narrowest_around_a_turned_or_tilted_rectangle() {
    let table = [
        "name = 'random-perspective', size = [150, 120], degrees = 20, shear = 10, scale = 0.3, fill = [0, 0, 0]",
        "name = 'random-perspective', degrees = 10, perspective = 0.001, translate = 0.2, fill = [0, 0, 0]",
        "name = 'random-perspective', degrees = 180, fill = [0, 0, 0]",
    ];
    for table in table {
        let pipeline = Pipeline::new(vec![transform(table)], [0.5; 3], [0.5; 3]).unwrap();
        let mut seen = 0;
        for seed in 0..100 {
            let sample = painted(&mut rng(seed));
            let moved = pipeline.apply(sample, &mut rng(1000 + seed)).unwrap();
            let Some(object) = moved.truth.objects.first() else { continue };
            // A sharp corner has no pixel that is white by half, but one that it touches: the box is between both bounds.
            let (own, white) = (object.bounding_box, white(&moved.image).unwrap());
            let touched = bounds(&moved.image, 3).unwrap();
            assert!(contains(&own, &white, 0.75), "{table}, {seed}: {own:?} and {white:?}");
            assert!(contains(&touched, &own, 0.75), "{table}, {seed}: {own:?} and {touched:?}");
            seen += 1;
        }
        assert!(seen >= 80, "{table}: {seen}");
    }
}

#[test]
fn the_four_images_of_a_mosaic_meet_at_its_centre_and_keep_their_boxes() {
    for seed in 0..20 {
        let mut rng = rng(seed);
        let parts: [Sample; 4] = std::array::from_fn(|_| painted(&mut rng));
        let mosaic = Mosaic::draw(100, &mut rng);
        let [down, across] = mosaic.centre;
        assert!((50..=150).contains(&down) && (50..=150).contains(&across));
        for number in 0..4 {
            // Of the others only black is left, so that what is white is this one's.
            let dark = |i: usize| match i == number {
                true => parts[i].clone(),
                false => Sample {
                    image: RgbImage::new(parts[i].image.width(), parts[i].image.height()),
                    truth: Truth::default(),
                },
            };
            let sample = mosaic.sample(&std::array::from_fn(dark), Interpolation::Bilinear, [114; 3]);
            assert_eq!(sample.image.dimensions(), (200, 200));
            let Some(object) = sample.truth.objects.first() else { continue };
            let Some(pixels) = white(&sample.image) else {
                assert!(
                    object.bounding_box.width().min(object.bounding_box.height()) < 1.5,
                    "{:?}",
                    object.bounding_box
                );
                continue;
            };
            assert!(
                farthest(&object.bounding_box, &pixels) <= 1.1,
                "{seed}, {number}: {:?} and {pixels:?}",
                object.bounding_box
            );
            // Upper left, upper right, lower left, lower right.
            let b = object.bounding_box;
            let (left, top) = (b.x2 <= across as f32, b.y2 <= down as f32);
            assert_eq!((left, top), (number % 2 == 0, number < 2), "{seed}, {number}: {b:?}");
        }
    }
}

#[test]
fn a_mosaic_without_chance_is_where_yolov5_has_it() {
    // Images of 100 x 50 about (60, 150) of a canvas of 200: by load_mosaic, x1a, y1a, x2a, y2a and what is cut off are
    // (0, 100, 60, 150) of (40, 0, 100, 50); (60, 100, 160, 150); (0, 150, 60, 200); (60, 150, 160, 200).
    let part = Sample {
        image: RgbImage::new(100, 50),
        truth: Truth { objects: vec![object([0.0, 0.0, 100.0, 50.0])], ..Truth::default() },
    };
    let mosaic = Mosaic { side: 100, centre: [150, 60] };
    let sample = mosaic.sample(&std::array::from_fn(|_| part.clone()), Interpolation::Bilinear, [114; 3]);
    let boxes: Vec<_> = sample.truth.objects.iter().map(|object| object.bounding_box.xyxy()).collect();
    let expected = [
        [0.0, 100.0, 60.0, 150.0],
        [60.0, 100.0, 160.0, 150.0],
        [0.0, 150.0, 60.0, 200.0],
        [60.0, 150.0, 160.0, 200.0],
    ];
    assert_eq!(boxes, expected);
    assert_eq!(sample.image.get_pixel(161, 120).0, [114; 3]);
    assert_eq!(sample.image.get_pixel(159, 120).0, [0; 3]);
}

#[test]
fn boxes_are_kept_by_yolov5s_rule() {
    // The map leaves 100 x 100 pixels as they are. Box; whether width and height are above 2, their quotient below 100, and
    // above a tenth of the area inside.
    let map = transform("name = 'random-perspective', translate = 0.0, scale = 0.0")
        .projective([100, 300], &mut rng(0))
        .unwrap();
    let table = [
        ([10.0, 10.0, 12.5, 12.5], true),
        ([10.0, 10.0, 12.0, 40.0], false),
        ([10.0, 10.0, 40.0, 11.9], false),
        ([0.0, 10.0, 290.0, 13.0], true),
        ([0.0, 10.0, 290.0, 12.8], false),
        ([0.0, 10.0, 226.0, 12.25], false),
        ([-80.0, 10.0, 10.0, 40.0], true),
        ([-91.0, 10.0, 10.0, 40.0], false),
    ];
    for (edges, kept) in table {
        let truth = Truth { objects: vec![object(edges)], ..Truth::default() };
        assert_eq!(map.truth(&truth).objects.len(), usize::from(kept), "{edges:?}");
    }
}

#[test]
fn boxes_of_a_framed_image_come_back() {
    let boxes = BoundingBox::from_xyxy([12.0, 30.0, 90.0, 101.0]);
    for table in [
        "name = 'letterbox', size = 320",
        "name = 'letterbox', size = [96, 320], placement = 'darknet'",
        "name = 'resize', size = [64, 96]",
    ] {
        let pipeline = Pipeline::new(vec![transform(table)], [0.5; 3], [0.5; 3]).unwrap();
        let truth = Truth { objects: vec![object(boxes.xyxy())], ..Truth::default() };
        let framed = pipeline.apply(Sample { image: RgbImage::new(150, 120), truth }, &mut rng(0)).unwrap();
        let frame = pipeline.frame([120, 150]).unwrap();
        assert_eq!(frame.output, pipeline.output_size([120, 150]), "{table}");
        let back = frame.out_of_frame(&framed.truth.objects[0].bounding_box);
        assert!(farthest(&back, &boxes) < 1e-3, "{table}: {back:?}");
    }
    let flipped = Pipeline::new(vec![transform("name = 'horizontal-flip'")], [0.5; 3], [0.5; 3]).unwrap();
    assert_eq!(flipped.frame([120, 150]), None);
    let letterbox = kiln_core::Letterbox::new(Letterboxing::Centred, [120, 150], [320, 320]);
    assert_eq!(transform("name = 'letterbox', size = 320").framing([120, 150]), Some(letterbox));
}

#[test]
fn hsv_jitter_is_opencvs() {
    // OpenCV 5.0: COLOR_RGB2HSV, YOLOv5's look-up tables, COLOR_HSV2RGB.
    let pixels =
        [200, 100, 50, 10, 20, 250, 255, 0, 128, 90, 90, 90, 0, 0, 0, 3, 250, 77, 255, 255, 1, 17, 200, 199];
    #[rustfmt::skip]
    let table: [([f64; 3], [u8; 24]); 4] = [
        ([1.0, 1.0, 1.0], [200, 100, 50, 10, 18, 250, 255, 0, 127, 90, 90, 90, 0, 0, 0, 3, 250, 77, 255, 255, 1, 17, 200, 200]),
        ([1.015, 0.3, 1.4], [255, 217, 198, 182, 182, 255, 255, 179, 212, 125, 125, 125, 0, 0, 0, 180, 255, 205, 255, 255, 179, 186, 253, 255]),
        ([0.985, 1.7, 0.6], [120, 36, 0, 0, 15, 150, 153, 0, 92, 54, 54, 54, 0, 0, 0, 0, 150, 35, 153, 148, 0, 0, 120, 112]),
        ([1.3, 1.2, 0.9], [180, 88, 18, 225, 0, 195, 198, 229, 0, 81, 81, 81, 0, 0, 0, 0, 225, 218, 160, 229, 0, 0, 18, 180]),
    ];
    for (factors, expected) in table {
        let mut image = RgbImage::from_raw(8, 1, pixels.to_vec()).unwrap();
        Colour::Hsv(factors).apply(&mut image);
        assert_eq!(image.into_raw(), expected, "{factors:?}");
    }
}
