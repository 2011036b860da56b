//! Boxes through the loader: sizes that change with the batch, mosaics, mixed images.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use burn::prelude::*;
use image::{Rgb, RgbImage};
use kiln_core::{Batch, Batches, BoundingBox, Object, Result, Truth};
use kiln_data::{Batching, Dataset, Loader, LoaderOptions, OnCorrupt, Pipeline, Sample, Transform};

/// Images of several sizes, black, with a white rectangle and its box.
struct Painted;

impl Dataset for Painted {
    fn len(&self) -> usize {
        24
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let (width, height) = (80 + index as u32, 140 - 2 * index as u32);
        let [x1, y1, x2, y2] = [10 + index as u32, 20, 70 + index as u32, 75];
        let image = RgbImage::from_fn(width, height, |x, y| {
            Rgb([if (x1..x2).contains(&x) && (y1..y2).contains(&y) { 255 } else { 0 }; 3])
        });
        let bounding_box = BoundingBox::from_xyxy([x1, y1, x2, y2].map(|edge| edge as f32));
        let object = Object {
            class: index,
            bounding_box,
            mask: None,
            keypoints: vec![],
            crowd: false,
            difficult: false,
        };
        Ok(Sample { image, truth: Truth { objects: vec![object], ..Truth::default() } })
    }

    fn origin(&self, index: usize) -> String {
        format!("image {index}")
    }
}

/// Objects, numbers and sizes of an epoch of `Painted`.
fn painted(
    transforms: &[&str],
    batching: &Batching,
    workers: usize,
    epoch: usize,
) -> Vec<(Vec<Truth>, Vec<f32>, [usize; 4])> {
    let parsed: Vec<Transform> =
        transforms.iter().map(|table| toml::from_str::<Transform>(table).unwrap()).collect();
    // Numbers that are the bytes they were.
    let pipeline = Pipeline::new(parsed, [0.0; 3], [1.0 / 255.0; 3]).unwrap();
    let options = LoaderOptions {
        batch_size: 4,
        seed: 7,
        shuffle: true,
        drop_last: false,
        workers,
        on_corrupt: OnCorrupt::Error,
        batching: batching.clone(),
    };
    let loader = Loader::new(Arc::new(Painted), pipeline, options, Device::flex()).unwrap();
    let batches = loader.epoch(epoch, 0).map(|batch| {
        let Batch { images, truths, .. } = batch.unwrap();
        (truths, images.clone().into_data().try_to_vec().unwrap(), images.dims())
    });
    batches.collect()
}

#[test]
fn boxes_follow_when_a_batch_is_scaled() {
    let letterbox = "name = 'letterbox'\nsize = 128";
    let perspective = "name = 'random-perspective'\nsize = 128\nscale = 0.2";
    let batching = Batching { sizes: vec![64, 96, 160], ..Batching::default() };
    for transforms in [&[letterbox][..], &[letterbox, perspective], &["name = 'resize'\nsize = [128, 128]"]] {
        let mut sizes = std::collections::BTreeSet::new();
        for (truths, numbers, [_, _, height, width]) in
            (0..4).flat_map(|epoch| painted(transforms, &batching, 2, epoch))
        {
            assert_eq!(height, width);
            sizes.insert(width);
            for (truth, image) in truths.iter().zip(numbers.chunks(3 * height * width)) {
                let white = (0..height * width).filter(|i| image[*i] > 150.0);
                let pixels = BoundingBox::around(white.flat_map(|i| {
                    let (x, y) = ((i % width) as f32, (i / width) as f32);
                    [[x, y], [x + 1.0, y + 1.0]]
                }));
                let (own, pixels) = (truth.objects[0].bounding_box.xyxy(), pixels.unwrap().xyxy());
                assert!(
                    own.iter().zip(pixels).all(|(a, b)| (a - b).abs() < 1.6),
                    "{own:?} and {pixels:?} of {width}"
                );
            }
        }
        assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [64, 96, 160], "{transforms:?}");
    }
}

#[test]
fn mosaics_are_a_function_of_seed_epoch_and_image_and_end_when_they_are_told_to() {
    let transforms =
        ["name = 'mosaic'\nsize = 64", "name = 'random-perspective'\nsize = 64", "name = 'hsv-jitter'"];
    let batching = Batching { mosaic_until: Some(3), mixup: 32.0, ..Batching::default() };
    let whole = painted(&transforms, &batching, 0, 2);
    for workers in [1, 3] {
        assert!(painted(&transforms, &batching, workers, 2) == whole, "{workers} workers");
    }
    assert!(painted(&transforms, &batching, 1, 1) != whole);
    let plain = Batching { mixup: 0.0, ..batching };
    let most = |epoch: usize| {
        let truths = painted(&transforms, &plain, 2, epoch).into_iter().flat_map(|(truths, ..)| truths);
        truths.map(|truth| truth.objects.len()).max().unwrap()
    };
    // Four images have an object each; from the third epoch on there is one image.
    assert_eq!([most(0), most(2), most(3), most(9)], [4, 4, 1, 1]);
}

#[test]
fn pasting_ends_with_the_mosaics() {
    let transforms =
        ["name = 'copy-paste'\nprobability = 1\nscale = [0.2, 0.4]", "name = 'letterbox'\nsize = 64"];
    let batching = Batching { mosaic_until: Some(3), ..Batching::default() };
    let most = |epoch: usize| {
        let truths = painted(&transforms, &batching, 2, epoch).into_iter().flat_map(|(truths, ..)| truths);
        truths.map(|truth| truth.objects.len()).max().unwrap()
    };
    assert_eq!([most(0), most(2), most(3)], [2, 2, 1]);
}
