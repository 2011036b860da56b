//! A small network on small images, trained by the real loop.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::optim::GradientsParams;
use burn::prelude::*;
use kiln_core::{Batch, Batches, Logits, Network, Result, Task};
use kiln_data::{
    Batching, Dataset, Loader, LoaderOptions, OnCorrupt, Pipeline, Sample, Shapes, ShapesConfig,
};
use kiln_nn::*;
use kiln_tasks::Classification;
use kiln_train::{Event, Fit, Length, Observer, Parameter, Rule, Saving, Trainer, parameters};

/// Pixels a side.
const SIDE: usize = 24;
const CLASSES: usize = 10;

/// Two convolutions and a linear layer. It has no normalization, so that what it says of an image depends on no other.
#[derive(Module, Debug)]
pub(super) struct Small {
    conv1: Conv2d,
    conv2: Conv2d,
    linear: Linear,
}

impl Small {
    /// With fresh weights, which are drawn when they are first needed.
    pub fn new() -> Self {
        let device = Device::flex().autodiff();
        Self {
            conv1: conv([3, 16], 5, 2).init(&device),
            conv2: conv([16, 32], 3, 2).init(&device),
            linear: LinearConfig::new(32 * (SIDE / 4) * (SIDE / 4), CLASSES).init(&device),
        }
    }

    /// All its weights.
    pub fn weights(&self) -> Vec<f32> {
        numbers(self, &GradientsParams::new(), |parameter| Some(parameter.value))
    }

    /// The gradient of all its weights by a batch's mean loss.
    pub fn gradient(&self, batch: &Batch) -> Vec<f32> {
        let loss = task().loss(self.forward(batch.images.clone()), batch).total();
        let gradients = GradientsParams::from_grads(loss.backward(), self);
        numbers(self, &gradients, |parameter| parameter.gradient)
    }
}

/// A part of every parameter of a network, its value or its gradient, one after the other.
pub(super) fn numbers<M: Module>(
    network: &M,
    gradients: &GradientsParams,
    part: impl Fn(Parameter<'_>) -> Option<Tensor<1>>,
) -> Vec<f32> {
    let mut all = Vec::new();
    parameters(network, gradients, |parameter| {
        all.extend(
            part(parameter).into_iter().flat_map(|part| part.into_data().iter::<f32>().collect::<Vec<_>>()),
        );
    });
    all
}

impl Network for Small {
    type Output = Logits;

    /// `[batch, 3, SIDE, SIDE]` to `[batch, CLASSES]`.
    fn forward(&self, images: Tensor<4>) -> Logits {
        let x = relu(self.conv1.forward(images));
        let x = relu(self.conv2.forward(x));
        self.linear.forward(x.flatten::<2>(1, 3)).into()
    }
}

fn task() -> Classification {
    Classification::new(CLASSES)
}

/// Images of `shapes` that stay in memory.
struct Held(Vec<Sample>);

impl Dataset for Held {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        Ok(self.0[index].clone())
    }

    fn origin(&self, index: usize) -> String {
        format!("image {index}")
    }
}

/// So many generated images of ten classes.
pub(super) fn images(split: &str, items: usize, seed: u64) -> Arc<dyn Dataset> {
    let config = ShapesConfig::new(split, items, seed).with_size(SIDE);
    let shapes = Shapes::new(config).expect("a side that can be drawn");
    Arc::new(Held((0..items).map(|index| shapes.get(index).expect("images that are generated")).collect()))
}

/// The real loader over these images.
pub(super) fn loader(
    images: &Arc<dyn Dataset>,
    batch_size: usize,
    shuffle: bool,
    drop_last: bool,
    device: Device,
) -> Loader {
    let options = LoaderOptions {
        batch_size,
        seed: 0,
        shuffle,
        drop_last,
        workers: 0,
        on_corrupt: OnCorrupt::Error,
        batching: Batching::default(),
    };
    let pipeline = Pipeline::new(Vec::new(), Shapes::MEAN, Shapes::STD).expect("nothing to transform");
    Loader::new(images.clone(), pipeline, options, device).expect("a batch at least")
}

/// What a run told its observers.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Steps of a whole epoch.
    pub steps_per_epoch: usize,
    /// Of each step: its images, and its loss.
    pub steps: Vec<(usize, f64)>,
}

struct Ear<'a> {
    heard: Heard,
    stop_at: Option<usize>,
    stop: &'a AtomicBool,
}

impl Observer<Small> for Ear<'_> {
    fn notify(&mut self, event: &Event<Small>) -> Result<()> {
        match *event {
            Event::RunStarted { steps_per_epoch, .. } => self.heard.steps_per_epoch = steps_per_epoch,
            Event::Step { global_step, loss, items, .. } => {
                self.heard.steps.push((items, f64::from(loss)));
                self.stop.store(self.stop_at == Some(global_step), Ordering::Relaxed);
            }
            _ => {}
        }
        Ok(())
    }
}

/// A trainer of [`Small`] whose run is in `folder`.
pub(super) fn trainer(folder: &Path, length: Length, rate: f64, rule: Rule) -> Trainer {
    let saving = Saving { keep: 1, ..Saving::default() };
    Trainer { saving, ..Trainer::new(folder, length, rate, rule.into()) }
}

/// Trains a fresh network, or goes on, up to the end or to a step.
///
/// # Panics
/// With the error's text, if the run fails: if its temporary folder cannot be written.
pub(super) fn fit(
    trainer: &Trainer,
    train: &impl Batches,
    test: &impl Batches,
    stop_at: Option<usize>,
) -> (Fit<Small>, Heard) {
    let stop = AtomicBool::new(false);
    let mut ear = Ear { heard: Heard::default(), stop_at, stop: &stop };
    let fit = trainer.fit(Small::new(), &task(), train, test, &mut [&mut ear], &stop);
    (fit.unwrap_or_else(|why| panic!("{why}")), ear.heard)
}

/// A folder that is gone when this is dropped.
///
/// # Panics
/// If none can be made.
pub(super) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap_or_else(|why| panic!("no temporary folder: {why}"))
}
