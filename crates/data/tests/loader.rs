//! The loader: the same batches whatever the number of threads, and every way in which it can go wrong.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use burn::prelude::*;
use image::{Rgb, RgbImage};
use kiln_core::{Batch, Batches, Error, Kind, Result, Truth};
use kiln_data::{
    Batching, Dataset, ImageFolder, Loader, LoaderOptions, OnCorrupt, Pipeline, Sample, Transform,
};

/// Images of one colour, which is their index; the class is the index too.
struct Plain {
    items: usize,
    read: Arc<AtomicUsize>,
    /// Image of this index is 5x5, not 4x4.
    odd: Option<usize>,
    panics: Option<usize>,
    corrupt: Vec<usize>,
}

impl Plain {
    fn new(items: usize) -> Self {
        Self { items, read: Arc::default(), odd: None, panics: None, corrupt: Vec::new() }
    }
}

impl Dataset for Plain {
    fn len(&self) -> usize {
        self.items
    }

    fn get(&self, index: usize) -> Result<Sample> {
        self.read.fetch_add(1, Ordering::SeqCst);
        assert!(self.panics != Some(index), "a bug in the reader");
        if self.corrupt.contains(&index) {
            return Err(Error::input("not a readable image").file(self.origin(index)));
        }
        // A gradient, so that a flip and a crop can be told.
        let side = if self.odd == Some(index) { 5 } else { 4 };
        let image = RgbImage::from_fn(side, side, |x, y| Rgb([index as u8, x as u8, y as u8]));
        Ok(Sample { image, truth: Truth { class: Some(index), ..Truth::default() } })
    }

    fn origin(&self, index: usize) -> String {
        format!("image {index}")
    }
}

fn options(batch_size: usize, workers: usize) -> LoaderOptions {
    LoaderOptions {
        batch_size,
        seed: 7,
        shuffle: true,
        drop_last: false,
        workers,
        on_corrupt: OnCorrupt::Error,
        batching: Batching::default(),
    }
}

/// Mean 0 and std 1/255 leave the bytes as they are.
fn as_bytes(transforms: Vec<Transform>) -> Pipeline {
    Pipeline::new(transforms, [0.0; 3], [1.0 / 255.0; 3]).unwrap()
}

fn augmented() -> Pipeline {
    as_bytes(vec![Transform::HorizontalFlip { probability: 0.5 }])
}

fn loader(dataset: Plain, options: LoaderOptions) -> Loader {
    Loader::new(Arc::new(dataset), augmented(), options, Device::flex()).unwrap()
}

type Read = (Vec<usize>, Vec<usize>, Vec<f32>);

fn read(batch: Batch) -> Read {
    let classes = batch.truths.iter().map(|truth| truth.class.unwrap()).collect();
    (batch.indices, classes, batch.images.into_data().try_to_vec::<f32>().unwrap())
}

fn epoch(loader: &Loader, epoch: usize, first: usize) -> Vec<Read> {
    loader.epoch(epoch, first).map(|batch| read(batch.unwrap())).collect()
}

fn indices(batches: &[Read]) -> Vec<usize> {
    batches.iter().flat_map(|(indices, ..)| indices.clone()).collect()
}

#[test]
fn batches_are_the_same_whatever_the_number_of_workers() {
    let expected = epoch(&loader(Plain::new(103), options(10, 0)), 3, 0);
    assert_eq!(expected.len(), 11);
    for workers in [1, 3, 20] {
        assert!(epoch(&loader(Plain::new(103), options(10, workers)), 3, 0) == expected, "{workers} workers");
    }
}

#[test]
fn a_batch_holds_the_images_of_its_indices_channel_by_channel() {
    let batches = epoch(&loader(Plain::new(9), options(4, 2)), 0, 0);
    for (indices, classes, pixels) in &batches {
        assert_eq!(indices, classes);
        for (place, index) in indices.iter().enumerate() {
            let image = &pixels[place * 48..(place + 1) * 48];
            // Red is the index, green grows to the right (or, flipped, to the left), blue downwards.
            assert!(image[..16].iter().all(|red| (red - *index as f32).abs() < 1e-3));
            let green: Vec<f32> = image[16..20].iter().map(|value| value.round()).collect();
            assert!(green == [0.0, 1.0, 2.0, 3.0] || green == [3.0, 2.0, 1.0, 0.0], "{green:?}");
            let blue: Vec<f32> = image[32..].iter().step_by(4).map(|value| value.round()).collect();
            assert_eq!(blue, [0.0, 1.0, 2.0, 3.0]);
        }
    }
}

#[test]
fn every_epoch_has_another_order_of_all_images() {
    let loader = loader(Plain::new(100), options(7, 2));
    let orders: Vec<Vec<usize>> = (0..4).map(|number| indices(&epoch(&loader, number, 0))).collect();
    for (number, order) in orders.iter().enumerate() {
        let mut sorted = order.clone();
        sorted.sort();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert!(orders[..number].iter().all(|earlier| earlier != order));
    }
    let another = Loader::new(
        Arc::new(Plain::new(100)),
        augmented(),
        LoaderOptions { seed: 8, ..options(7, 2) },
        Device::flex(),
    );
    assert_ne!(indices(&epoch(&another.unwrap(), 0, 0)), orders[0]);
}

#[test]
fn an_image_is_augmented_anew_every_epoch() {
    let loader = loader(Plain::new(200), LoaderOptions { shuffle: false, ..options(200, 2) });
    let flipped = |number: usize| {
        let (_, _, pixels) = epoch(&loader, number, 0).remove(0);
        (0..200).map(|i| pixels[i * 48 + 16] > 1.0).collect::<Vec<_>>()
    };
    let (a, b) = (flipped(0), flipped(1));
    // Half of 200 fair throws: 100, with a standard deviation of 7.07; five of them are 35.
    for throws in [&a, &b] {
        assert!(throws.iter().filter(|flipped| **flipped).count().abs_diff(100) < 36);
    }
    assert!(a.iter().zip(&b).filter(|(a, b)| a != b).count().abs_diff(100) < 36);
    assert_eq!(indices(&epoch(&loader, 0, 0)), (0..200).collect::<Vec<_>>());
}

#[test]
fn an_epoch_begun_later_is_the_tail_of_the_epoch() {
    for workers in [0, 3] {
        let loader = loader(Plain::new(50), options(8, workers));
        let whole = epoch(&loader, 5, 0);
        assert_eq!(whole.len(), 7);
        for first in [1, 4, 6, 7, 9] {
            assert!(epoch(&loader, 5, first)[..] == whole[first.min(7)..], "from batch {first}");
        }
    }
}

#[test]
fn steps_and_items_are_counted_as_drop_last_says() {
    // (items, batch size, drop_last, steps, items an epoch)
    let rows = [
        (1000, 100, false, 10, 1000),
        (1000, 100, true, 10, 1000),
        (1001, 100, false, 11, 1001),
        (1001, 100, true, 10, 1000),
        (5, 100, false, 1, 5),
    ];
    for (items, batch_size, drop_last, steps, kept) in rows {
        let loader = loader(Plain::new(items), LoaderOptions { drop_last, ..options(batch_size, 2) });
        assert_eq!((loader.steps(), loader.items()), (steps, kept));
        let batches = epoch(&loader, 0, 0);
        assert_eq!((batches.len(), indices(&batches).len()), (steps, kept));
    }
}

#[test]
fn impossible_options_are_errors() {
    let says = |items: usize, options: LoaderOptions| {
        let made = Loader::new(Arc::new(Plain::new(items)), augmented(), options, Device::flex());
        made.map(|_| ()).unwrap_err().to_string()
    };
    assert!(says(10, options(0, 0)).contains("a batch of 0 images"));
    assert!(says(0, options(1, 0)).contains("without images"));
    assert!(says(10, LoaderOptions { drop_last: true, ..options(11, 0) }).contains("no full batch of 11"));
}

#[test]
fn a_corrupt_image_ends_the_epoch_with_its_name_or_is_skipped_and_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["cat", "dog"] {
        fs::create_dir(folder.path().join(class)).unwrap();
        for name in ["a.jpg", "b.jpg", "c.jpg"] {
            RgbImage::from_pixel(16, 16, Rgb([9, 9, 9])).save(folder.path().join(class).join(name)).unwrap();
        }
    }
    let corrupt = folder.path().join("cat/b.jpg");
    let bytes = fs::read(&corrupt).unwrap();
    fs::write(&corrupt, &bytes[..bytes.len() / 2]).unwrap();
    for workers in [0, 2] {
        let with = |on_corrupt: OnCorrupt| {
            let split = ImageFolder::recognize(folder.path()).unwrap().unwrap().open("all").unwrap();
            let options = LoaderOptions { on_corrupt, shuffle: false, ..options(2, workers) };
            Loader::new(Arc::new(split), augmented(), options, Device::flex()).unwrap()
        };
        let strict = with(OnCorrupt::Error);
        let results: Vec<_> = strict.epoch(0, 0).map(|batch| batch.map(|_| ())).collect();
        assert_eq!(results.len(), 1, "nothing follows the error");
        assert_eq!(results[0].as_ref().unwrap_err().file_named(), Some(corrupt.as_path()));

        let lenient = with(OnCorrupt::Skip);
        for number in 0..2 {
            let batches = epoch(&lenient, number, 0);
            let expected: [&[usize]; 3] = [&[0], &[2, 3], &[4, 5]];
            assert_eq!(batches.iter().map(|(indices, ..)| &indices[..]).collect::<Vec<_>>(), expected);
        }
        assert_eq!(lenient.skipped(), 1);
        assert_eq!(lenient.skipped_origins(), [Path::new("cat").join("b.jpg").display().to_string()]);
    }
}

#[test]
fn a_batch_without_a_readable_image_is_passed_over() {
    let dataset = Plain { corrupt: vec![2, 3], ..Plain::new(6) };
    let options = LoaderOptions { on_corrupt: OnCorrupt::Skip, shuffle: false, ..options(2, 2) };
    let loader = loader(dataset, options);
    assert_eq!(indices(&epoch(&loader, 0, 0)), [0, 1, 4, 5]);
    assert_eq!(loader.skipped(), 2);
}

#[test]
fn images_of_different_sizes_are_an_error_that_names_both() {
    let dataset = Plain { odd: Some(2), ..Plain::new(4) };
    let loader = loader(dataset, LoaderOptions { shuffle: false, ..options(4, 1) });
    let error = loader.epoch(0, 0).next().unwrap().unwrap_err().to_string();
    assert!(error.contains("image 0 is 4x4, image 2 is 5x5") && error.contains("resize"), "{error}");
}

#[test]
fn a_panic_while_reading_is_an_error_that_names_the_image() {
    for workers in [0, 2] {
        let dataset = Plain { panics: Some(3), ..Plain::new(8) };
        let loader = loader(dataset, LoaderOptions { shuffle: false, ..options(2, workers) });
        let results: Vec<_> = loader.epoch(0, 0).collect();
        assert_eq!(results.len(), 2);
        let error = results[1].as_ref().unwrap_err();
        assert_eq!(error.kind(), Kind::Failure);
        assert!(
            error.to_string().contains("image 3: reading the image panicked: a bug in the reader"),
            "{error}"
        );
    }
}

#[test]
fn threads_never_run_further_ahead_than_workers_and_two() {
    let (batch_size, workers) = (5, 3);
    let dataset = Plain::new(500);
    let read = dataset.read.clone();
    let loader = loader(dataset, options(batch_size, workers));
    let mut most = 0;
    for (taken, batch) in loader.epoch(0, 0).enumerate() {
        batch.unwrap();
        // Long enough for the threads to read all they may.
        std::thread::sleep(Duration::from_millis(if taken < 10 { 30 } else { 0 }));
        let ahead = read.load(Ordering::SeqCst) - (taken + 1) * batch_size;
        assert!(ahead <= (workers + 2) * batch_size, "{ahead} images ahead after batch {taken}");
        most = most.max(ahead);
    }
    // The bound is reached: the threads do work ahead.
    assert_eq!(most, (workers + 2) * batch_size);
    assert_eq!(read.load(Ordering::SeqCst), 500);
}

#[test]
fn an_epoch_dropped_early_ends_its_threads() {
    let dataset = Plain::new(100_000);
    let read = dataset.read.clone();
    let loader = loader(dataset, options(10, 4));
    let mut batches = loader.epoch(0, 0);
    batches.next().unwrap().unwrap();
    // Returns when the threads have ended: from here on nothing is read.
    drop(batches);
    let count = read.load(Ordering::SeqCst);
    // At most the batch taken and those ahead of it.
    assert!(count <= (1 + 4 + 2) * 10, "{count}");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(read.load(Ordering::SeqCst), count);
}

#[test]
fn images_are_on_the_device_that_was_asked_for() {
    let device = Device::flex().autodiff();
    let loader = Loader::new(Arc::new(Plain::new(4)), augmented(), options(2, 1), device.clone()).unwrap();
    let batch = loader.epoch(0, 0).next().unwrap().unwrap();
    assert_eq!(batch.images.dims(), [2, 3, 4, 4]);
    assert!(batch.images.device().is_autodiff());
}

/// Batches of every kind: mixed, repeated, of several sizes.
fn batching() -> Batching {
    Batching { mixup: 0.2, cutmix: 1.0, repeats: 2, sizes: vec![4, 6], sizes_every: 2, ..Batching::default() }
}

type Mixed = (Read, [usize; 4], Vec<Vec<(usize, f32)>>);

fn mixed_epoch(workers: usize, number: usize, first: usize) -> Vec<Mixed> {
    let options = LoaderOptions { batching: batching(), ..options(8, workers) };
    let noisy: Transform =
        toml::from_str("name = 'random-erasing'\nfill = 'noise'\nscale = [0.1, 0.2]").unwrap();
    let policy: Transform = toml::from_str("name = 'trivial-augment'").unwrap();
    let pipeline = as_bytes(vec![Transform::HorizontalFlip { probability: 0.5 }, policy, noisy]);
    let loader = Loader::new(Arc::new(Plain::new(60)), pipeline, options, Device::flex()).unwrap();
    let batches = loader.epoch(number, first).map(|batch| {
        let batch = batch.unwrap();
        let mixtures = batch.truths.iter().map(|truth| truth.mixture.clone()).collect();
        let dims = batch.images.dims();
        (read(batch), dims, mixtures)
    });
    batches.collect()
}

#[test]
fn batches_of_every_kind_are_the_same_whatever_the_number_of_workers_and_the_first_batch() {
    let whole = mixed_epoch(0, 3, 0);
    assert_eq!(whole.len(), 8);
    for workers in [1, 2, 5] {
        for first in [0, 1, 5, 7] {
            assert!(mixed_epoch(workers, 3, first)[..] == whole[first..], "{workers} workers, from {first}");
        }
    }
    assert!(mixed_epoch(2, 4, 0) != whole);
    // Sizes come in rows of two batches; both come, in one epoch or another.
    let sizes: Vec<usize> = (0..6).flat_map(|n| mixed_epoch(0, n, 0)).map(|(_, dims, _)| dims[3]).collect();
    assert!(sizes.chunks(2).all(|row| row[0] == row[1]) && sizes.contains(&4) && sizes.contains(&6));
    // Every image has the shares of two classes: its own, and that of the image before it.
    for ((_, classes, _), dims, mixtures) in &whole {
        for (i, mixture) in mixtures.iter().enumerate() {
            let before = classes[(i + dims[0] - 1) % dims[0]];
            let named: Vec<usize> = mixture.iter().map(|(class, _)| *class).collect();
            assert!(named == [classes[i], before] || named == [classes[i]] && before == classes[i]);
            assert!((mixture.iter().map(|(_, share)| share).sum::<f32>() - 1.0).abs() < 1e-6);
        }
    }
}

#[test]
fn a_repeated_image_is_augmented_anew_and_an_epoch_is_as_long_as_ever() {
    let repeated = Batching { repeats: 3, ..Batching::default() };
    let loader = loader(Plain::new(50), LoaderOptions { batching: repeated, ..options(12, 2) });
    let batches = epoch(&loader, 0, 0);
    assert_eq!((batches.len(), indices(&batches).len()), (5, 50));
    let mut seen = Vec::new();
    let mut differing = 0;
    for (indices, _, pixels) in &batches[..4] {
        // A B C D, once more, and once more.
        assert_eq!([&indices[4..8], &indices[8..]], [&indices[..4]; 2]);
        seen.extend(&indices[..4]);
        let image = |place: usize| &pixels[place * 48..(place + 1) * 48];
        differing += (0..4).filter(|i| image(*i) != image(i + 4) || image(*i) != image(i + 8)).count();
    }
    // The last batch has two places: one image, twice.
    assert_eq!(batches[4].0[0], batches[4].0[1]);
    seen.push(batches[4].0[0]);
    let different: std::collections::BTreeSet<usize> = seen.iter().copied().collect();
    assert_eq!(different.len(), 17, "a third of 50 images");
    // Three fair flips are alike one time in four: of 16 images 12 differ, of deviation 1.7.
    assert!((6..=16).contains(&differing), "{differing}");
}

#[test]
fn impossible_batches_are_errors() {
    let rows = [
        (Batching { mixup: -1.0, ..Batching::default() }, "mixup: is -1"),
        (Batching { cutmix: f64::NAN, ..Batching::default() }, "cutmix: is NaN"),
        (Batching { mix_probability: 1.5, ..Batching::default() }, "mix_probability: is 1.5"),
        (
            Batching { repeats: 3, ..Batching::default() },
            "repeats: is 3, which does not divide a batch of 10",
        ),
        (Batching { repeats: 0, ..Batching::default() }, "repeats: is 0"),
        (Batching { sizes: vec![32, 0], ..Batching::default() }, "sizes: has a side of 0"),
        (Batching { sizes_every: 0, ..Batching::default() }, "sizes_every: is 0"),
    ];
    for (batching, expected) in rows {
        let error = batching.check(10).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
