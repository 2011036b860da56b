//! The loader: the samples of a split, transformed and gathered in batches, by several threads or by none.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use burn::prelude::*;
use burn::tensor::TensorData;
use kiln_core::{Batch, Batches, Error, Result, Truth};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::workers::Ordered;
use crate::{Batching, Dataset, Pipeline, Ready, Sample};

/// What is done about an image that cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnCorrupt {
    /// It is an error that names the file.
    #[default]
    Error,
    /// It is left out of its batch, and counted.
    Skip,
}

/// How batches are made.
#[derive(Debug, Clone, PartialEq)]
pub struct LoaderOptions {
    /// Images a batch.
    pub batch_size: usize,
    /// Decides the order and the augmentation, together with the epoch.
    pub seed: u64,
    /// False: in the order of the split, every epoch.
    pub shuffle: bool,
    /// True: what is left after the last full batch is left out.
    pub drop_last: bool,
    /// Threads that read and transform; 0 does it where batches are asked for.
    pub workers: usize,
    /// What is done about an image that cannot be read.
    pub on_corrupt: OnCorrupt,
    /// How batches are put together.
    pub batching: Batching,
}

impl LoaderOptions {
    /// Every image once, in the order of the split, read by two threads: to score or to use a network.
    pub fn in_order(batch_size: usize, on_corrupt: OnCorrupt) -> Self {
        let batching = Batching::default();
        Self { batch_size, seed: 0, shuffle: false, drop_last: false, workers: 2, on_corrupt, batching }
    }
}

/// A source of batches.
///
/// The order is a function of seed and epoch, an image's augmentation one of seed, epoch and index, a batch's size and
/// mixing one of seed, epoch and its number: none depends on the number of threads, nor on the batch an epoch begins with.
pub struct Loader {
    plan: Arc<Plan>,
    workers: usize,
    device: Device,
}

/// What the threads share.
struct Plan {
    dataset: Arc<dyn Dataset>,
    pipeline: Pipeline,
    options: LoaderOptions,
    /// Indices of images that could not be read.
    skipped: Mutex<BTreeSet<usize>>,
}

impl Loader {
    /// A loader that puts its batches on `device`.
    ///
    /// # Errors
    /// A batch size of 0; a split without images, or with fewer than a batch if what is left over is left out; what
    /// [`Batching::check`] says.
    pub fn new(
        dataset: Arc<dyn Dataset>,
        pipeline: Pipeline,
        options: LoaderOptions,
        device: Device,
    ) -> Result<Self> {
        let items = dataset.len();
        if options.batch_size == 0 {
            return Err(Error::input("a batch of 0 images").hint("`batch_size` is 1 or more"));
        }
        if items == 0 {
            return Err(Error::input("a split without images"));
        }
        if options.drop_last && items < options.batch_size {
            let message =
                format!("{items} images are no full batch of {}, and others are dropped", options.batch_size);
            return Err(Error::input(message).hint("a smaller `batch_size`, or `drop_last = false`"));
        }
        options.batching.check(options.batch_size)?;
        let workers = options.workers;
        Ok(Self {
            plan: Arc::new(Plan { dataset, pipeline, options, skipped: Mutex::default() }),
            workers,
            device,
        })
    }

    /// Where the images that could not be read come from.
    pub fn skipped_origins(&self) -> Vec<String> {
        let skipped = self.plan.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.iter().map(|index| self.plan.dataset.origin(*index)).collect()
    }
}

impl Batches for Loader {
    fn items(&self) -> usize {
        let (items, batch_size) = (self.plan.dataset.len(), self.plan.options.batch_size);
        if self.plan.options.drop_last { items / batch_size * batch_size } else { items }
    }

    fn steps(&self) -> usize {
        self.items().div_ceil(self.plan.options.batch_size)
    }

    /// Ends after the first error. A batch of which no image could be read is passed over.
    fn epoch(&self, epoch: usize, first: usize) -> impl Iterator<Item = Result<Batch>> {
        let (plan, items) = (self.plan.clone(), self.items());
        let order = plan.order(epoch);
        let make = move |step: usize, stop: &AtomicBool| {
            let begin = step * plan.options.batch_size;
            let end = items.min(begin + plan.options.batch_size);
            plan.prepare(&order, begin..end, epoch, stop)
        };
        let mut prepared = Ordered::new(first..self.steps(), self.workers, make);
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            // An empty batch is of no use to anyone.
            let next =
                prepared.find(|batch| batch.as_ref().map_or(true, |batch| !batch.indices.is_empty()))?;
            failed = next.is_err();
            Some(next.map(|batch| batch.onto(&self.device)))
        })
    }

    fn skipped(&self) -> usize {
        self.plan.skipped.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A batch that is not yet on a device.
struct Prepared {
    pixels: Vec<f32>,
    /// Height and width.
    size: [usize; 2],
    truths: Vec<Truth>,
    indices: Vec<usize>,
}

impl Prepared {
    fn onto(self, device: &Device) -> Batch {
        let [height, width] = self.size;
        let data = TensorData::new(self.pixels, [self.indices.len(), 3, height, width]);
        Batch { images: Tensor::from_data(data, device), truths: self.truths, indices: self.indices }
    }
}

/// Kinds of randomness, so that none repeats another.
const ORDER: u64 = 1;
const AUGMENTATION: u64 = 2;
const SIZE: u64 = 3;
const MIXING: u64 = 4;

/// The kind of an image's augmentation when it comes for the `repeat`th time, counted from 0.
fn augmentation(repeat: usize) -> u64 {
    AUGMENTATION + ((repeat as u64) << 32)
}

fn generator(kind: u64, seed: u64, epoch: usize, index: usize) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (place, word) in key.chunks_exact_mut(8).zip([kind, seed, epoch as u64, index as u64]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

impl Plan {
    /// The indices of the split in the order of an epoch.
    fn order(&self, epoch: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.dataset.len()).collect();
        if self.options.shuffle {
            let mut rng = generator(ORDER, self.options.seed, epoch, 0);
            // Fisher and Yates, written out so that no new version of a library changes an old run's order.
            for last in (1..order.len()).rev() {
                let pick = (u128::from(rng.next_u64()) * (last as u128 + 1)) >> 64;
                order.swap(last, pick as usize);
            }
        }
        order
    }

    /// Reads, transforms, normalizes and mixes the images of a batch, which are at `places` of an epoch; gives up halfway
    /// when told to stop.
    fn prepare(
        &self,
        order: &[usize],
        places: Range<usize>,
        epoch: usize,
        stop: &AtomicBool,
    ) -> Result<Prepared> {
        let LoaderOptions { batch_size, seed, ref batching, .. } = self.options;
        let step = places.start / batch_size;
        let side = batching.side(&mut generator(SIZE, seed, epoch, step / batching.sizes_every));
        let mut pipeline = match side {
            Some(side) => Cow::Owned(self.pipeline.with_side(side)),
            None => Cow::Borrowed(&self.pipeline),
        };
        if batching.mosaic_until.is_some_and(|end| epoch >= end) {
            pipeline = Cow::Owned(pipeline.of_whole_images());
        }
        let mut batch =
            Prepared { pixels: Vec::new(), size: [0, 0], truths: Vec::new(), indices: Vec::new() };
        let items = places.len();
        for (place, repeat) in batching.places(places, batch_size) {
            if stop.load(Ordering::Relaxed) {
                return Ok(batch);
            }
            let index = order[place];
            let mut rng = generator(augmentation(repeat), seed, epoch, index);
            let made = catch_unwind(AssertUnwindSafe(|| self.sample(index, &pipeline, &mut rng)));
            let Some(Ready { numbers, size, truth, .. }) =
                made.unwrap_or_else(|panic| Err(self.panicked(index, &*panic)))?
            else {
                continue;
            };
            if batch.indices.is_empty() {
                batch.size = size;
                batch.pixels.reserve_exact(items * numbers.len());
            } else if size != batch.size {
                let of = |index: usize, [height, width]: [usize; 2]| {
                    format!("{} is {width}x{height}", self.dataset.origin(index))
                };
                let (a, b) = (of(batch.indices[0], batch.size), of(index, size));
                return Err(Error::input(format!("images of different sizes in one batch: {a}, {b}"))
                    .hint("end the transforms with a `center-crop`, `random-resized-crop`, `resize` to height and width, or a `random-perspective` with a `size`"));
            }
            batch.pixels.extend(numbers);
            batch.truths.push(truth);
            batch.indices.push(index);
        }
        if !batch.indices.is_empty() {
            let mixing = batching.mixing(batch.size, &mut generator(MIXING, seed, epoch, step));
            if let Some(mixing) = mixing {
                mixing.apply(&mut batch.pixels, batch.size, &mut batch.truths);
            }
        }
        Ok(batch)
    }

    /// An image for a batch; `None` where it cannot be read and is skipped.
    fn sample(&self, index: usize, pipeline: &Pipeline, rng: &mut ChaCha8Rng) -> Result<Option<Ready>> {
        let Some(sample) = self.read(index)? else { return Ok(None) };
        // In place of a partner that cannot be read there is the image itself.
        let itself = sample.clone();
        let partner = |rng: &mut ChaCha8Rng| {
            let other = rng.random_range(0..self.dataset.len());
            Ok(self.read(other)?.unwrap_or_else(|| itself.clone()))
        };
        let ready =
            pipeline.prepare_with(sample, &partner, rng).map_err(|error| match error.file_named() {
                Some(_) => error,
                None => error.file(self.dataset.origin(index)),
            })?;
        Ok(Some(ready))
    }

    /// An image of the data set; `None` where it cannot be read and is skipped.
    fn read(&self, index: usize) -> Result<Option<Sample>> {
        match self.dataset.get(index) {
            Ok(sample) => Ok(Some(sample)),
            Err(error) if self.options.on_corrupt == OnCorrupt::Error => {
                Err(if error.hint_given().is_some() {
                    error
                } else {
                    error.hint("`on_corrupt = \"skip\"` leaves such images out")
                })
            }
            Err(_) => {
                self.skipped.lock().unwrap_or_else(PoisonError::into_inner).insert(index);
                Ok(None)
            }
        }
    }

    fn panicked(&self, index: usize, panic: &(dyn std::any::Any + Send)) -> Error {
        let why = panic.downcast_ref::<String>().map(String::as_str);
        let why = why.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        let why = why.lines().next().unwrap_or_default();
        Error::failure(format!("reading the image panicked: {why}")).file(self.dataset.origin(index))
    }
}
