//! On `shapes`: truths follow their images.

#![allow(clippy::unwrap_used)]

use kiln_core::{BoundingBox, IGNORED, Mask, Object};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::{Dataset, Sample, Shapes, ShapesConfig};

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn pipeline(transforms: &[Transform]) -> Pipeline {
    Pipeline::new(transforms.to_vec(), [0.5; 3], [0.5; 3]).unwrap()
}

#[test]
fn flipping_twice_is_the_identity() {
    let shapes = Shapes::new(ShapesConfig::new("train", 50, 1)).unwrap();
    let always = pipeline(&[Transform::HorizontalFlip { probability: 1.0 }]);
    for i in 0..50 {
        let sample = shapes.get(i).unwrap();
        let once = always.apply(sample.clone(), &mut rng(0)).unwrap();
        let pairs = once.image.rows().zip(sample.image.rows());
        assert!(pairs.into_iter().all(|(a, b)| a.rev().eq(b)));
        let twice = always.apply(once, &mut rng(0)).unwrap();
        assert_eq!(twice.image, sample.image);
        assert_eq!(twice.truth.label_map, sample.truth.label_map);
        for (a, b) in twice.truth.objects.iter().zip(&sample.truth.objects) {
            assert_eq!(a.mask, b.mask);
            let distance = |a: [f32; 4], b: [f32; 4]| (0..4).map(|k| (a[k] - b[k]).abs()).fold(0.0, f32::max);
            let sides = |b: BoundingBox| [b.x1, b.y1, b.x2, b.y2];
            assert!(distance(sides(a.bounding_box), sides(b.bounding_box)) < 1e-4);
        }
    }
}

#[test]
fn an_object_that_leaves_the_image_is_dropped() {
    let object = |x1: f32, x2: f32| Object {
        class: 0,
        bounding_box: BoundingBox { x1, y1: 0.0, x2, y2: 8.0 },
        mask: Some(Mask { width: 8, height: 8, bits: vec![true; 64] }),
        keypoints: vec![],
        crowd: false,
        difficult: false,
    };
    let map = kiln_core::LabelMap { width: 8, height: 8, labels: (0..64).collect() };
    let truth = kiln_core::Truth {
        class: Some(3),
        objects: vec![object(0.0, 2.0), object(0.0, 4.05), object(0.0, 5.0), object(4.0, 8.0)],
        label_map: Some(map),
        ..kiln_core::Truth::default()
    };
    // The right half and four columns beyond it, all rows.
    let warp =
        Warp { region: Region { top: 0, left: 4, height: 8, width: 8 }, output: [8, 8], mirrored: false };
    let moved = warp.truth(&truth);
    assert_eq!(moved.class, Some(3));
    // 0.05 x 8 pixels of the second remain, too few; 1 x 8 of the third; all of the last.
    let boxes: Vec<[f32; 2]> = moved.objects.iter().map(|o| [o.bounding_box.x1, o.bounding_box.x2]).collect();
    assert_eq!(boxes, [[0.0, 1.0], [0.0, 4.0]]);
    assert_eq!(
        moved.objects[1].mask.as_ref().unwrap().bits[..8],
        [true, true, true, true, false, false, false, false]
    );
    assert_eq!(moved.label_map.unwrap().labels[8..16], [12, 13, 14, 15, IGNORED, IGNORED, IGNORED, IGNORED]);
}

#[test]
fn boxes_masks_keypoints_and_labels_follow_every_transform() {
    let resize = |size| Transform::Resize { size, interpolation: Interpolation::Bicubic };
    let part = Transform::RandomResizedCrop {
        size: Size::HeightWidth([48, 56]),
        scale: [0.3, 1.0],
        ratio: [0.6, 1.6],
        interpolation: Interpolation::Bilinear,
    };
    let flip = Transform::HorizontalFlip { probability: 0.5 };
    let jittered = Transform::RandomResize { size: [40, 64], interpolation: Interpolation::Bilinear };
    let policy = |name: &str| toml::from_str::<Transform>(&format!("name = '{name}'")).unwrap();
    let table = [
        vec![policy("rand-augment")],
        vec![resize(Size::Side(96))],
        vec![resize(Size::HeightWidth([40, 90]))],
        vec![Transform::CenterCrop { size: Size::Side(44) }],
        vec![Transform::CenterCrop { size: Size::Side(80) }],
        vec![part.clone()],
        vec![Transform::PadAndCrop { size: Size::Side(64), pad: 8 }],
        vec![flip.clone()],
        vec![part, flip, Transform::PadAndCrop { size: Size::Side(50), pad: 5 }],
        vec![jittered, Transform::RandomCrop { size: Size::Side(40) }, Transform::Lighting { std: 0.1 }],
    ];
    let shapes = Shapes::new(ShapesConfig::new("train", 60, 2).with_size(64)).unwrap();
    for transforms in table {
        let pipeline = pipeline(&transforms);
        for i in 0..shapes.len() {
            let sample = pipeline.apply(shapes.get(i).unwrap(), &mut rng(i as u64)).unwrap();
            let place = format!("image {i} after {:?}", pipeline.transforms());
            assert_eq!(pipeline.output_size([64, 64]), warp::size(&sample.image), "{place}");
            truth_fits(&sample, &place);
        }
    }
}

fn truth_fits(sample: &Sample, place: &str) {
    let map = sample.truth.label_map.as_ref().unwrap();
    assert_eq!([map.height, map.width], warp::size(&sample.image), "{place}");
    for (i, object) in sample.truth.objects.iter().enumerate() {
        let mask = object.mask.as_ref().unwrap();
        let b = object.bounding_box;
        let bits = mask.bits.iter().enumerate().filter(|(_, bit)| **bit).map(|(i, _)| i);
        for i in bits {
            let (x, y) = ((i % mask.width) as f32 + 0.5, (i / mask.width) as f32 + 0.5);
            let inside = (b.x1 - 1.0..b.x2 + 1.0).contains(&x) && (b.y1 - 1.0..b.y2 + 1.0).contains(&y);
            assert!(inside, "({x}, {y}) is outside {b:?}: {place}");
            assert_eq!(usize::from(map.labels[i]), object.class + 1, "{place}");
        }
        // The topmost and lowest points are on the outline: a pixel of the mask, or of a nearer object, is near.
        for point in object.keypoints[1..].iter().filter(|point| point.labelled) {
            let covers = sample.truth.objects[i..].iter().filter_map(|object| object.mask.as_ref());
            let mut pixels = covers.flat_map(|mask| mask.bits.iter().enumerate().filter(|(_, bit)| **bit));
            let near = pixels.any(|(i, _)| {
                let (x, y) = ((i % mask.width) as f32 + 0.5, (i / mask.width) as f32 + 0.5);
                (x - point.x).hypot(y - point.y) < 3.5
            });
            assert!(near, "nothing near {point:?}: {place}");
        }
    }
}

#[test]
fn an_untouched_sample_ends_as_it_began() {
    let shapes = Shapes::new(ShapesConfig::new("train", 5, 2)).unwrap();
    let same = [
        Transform::Resize { size: Size::Side(32), interpolation: Interpolation::Bilinear },
        Transform::CenterCrop { size: Size::Side(32) },
        Transform::PadAndCrop { size: Size::Side(32), pad: 0 },
        Transform::HorizontalFlip { probability: 0.0 },
    ];
    let pipeline = pipeline(&same);
    for i in 0..5 {
        let sample = shapes.get(i).unwrap();
        let after = pipeline.apply(sample.clone(), &mut rng(0)).unwrap();
        assert_eq!((after.image, after.truth), (sample.image, sample.truth));
    }
}
