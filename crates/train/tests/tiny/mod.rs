//! A tiny network, task and data set, with everything that could make a resumed run another one.

// Each test binary uses a part of it.
#![allow(dead_code)]

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::{ModuleVisitor, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::activation::{log_softmax, relu};
use kiln_core::{Batch, Batches, Losses, Network, Result, Score, Task, Truth};
use kiln_train::{Event, Fit, Length, Log, MetricsFiles, Observer, Recipe, Saving, Trainer};
use serde_json::{Value, json};

/// Burn's CPU backend has one random generator for all threads, so tests that draw from it take turns.
static RANDOM: Mutex<()> = Mutex::new(());

pub fn alone() -> MutexGuard<'static, ()> {
    RANDOM.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Module, Debug)]
pub struct Tiny {
    pub conv: Conv2d,
    pub norm: BatchNorm,
    pub dropout: Dropout,
    pub linear: Linear,
}

impl Tiny {
    pub fn new(dropout: f64) -> Self {
        let device = &Device::flex().autodiff();
        Self {
            conv: Conv2dConfig::new([3, 4], [3, 3]).init(device),
            norm: BatchNormConfig::new(4).init(device),
            dropout: DropoutConfig::new(dropout).init(),
            linear: LinearConfig::new(4 * 4, 2).init(device),
        }
    }

    pub fn weights(&self) -> Vec<u32> {
        #[derive(Default)]
        struct Bits(Vec<u32>);
        impl ModuleVisitor for Bits {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let values = param.val().try_into_vec_as::<f32>().expect("32-bit");
                self.0.extend(values.into_iter().map(f32::to_bits));
            }
        }
        let mut bits = Bits::default();
        self.visit(&mut bits);
        bits.0
    }
}

impl Network for Tiny {
    type Output = Tensor<2>;

    /// `[batch, 3, 4, 4]` to `[batch, 2]`.
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.norm.forward(self.conv.forward(images));
        let x = self.dropout.forward(relu(x).flatten(1, 3));
        self.linear.forward(x)
    }
}

/// Two classes; after `nan_after` batches its loss is NaN.
#[derive(Default)]
pub struct TwoClasses {
    pub nan_after: Option<usize>,
    pub seen: RefCell<usize>,
}

fn class_of(batch: &Batch) -> Vec<i32> {
    batch.truths.iter().map(|truth| truth.class.expect("a class") as i32).collect()
}

impl Task for TwoClasses {
    type Output = Tensor<2>;
    type Score = Right;

    fn loss(&self, output: Tensor<2>, batch: &Batch) -> Losses {
        let classes = class_of(batch);
        let targets = Tensor::<1, Int>::from_data(classes.as_slice(), &output.device()).reshape([-1, 1]);
        let weights = (output.clone() * output.clone()).mean() * 1e-4;
        let entropy = -log_softmax(output, 1).gather(1, targets).mean();
        *self.seen.borrow_mut() += 1;
        let broken = self.nan_after.is_some_and(|after| *self.seen.borrow() > after);
        Losses::new("entropy", if broken { entropy * f32::NAN } else { entropy }).and("logits", weights)
    }

    fn score(&self) -> Right {
        Right::default()
    }
}

#[derive(Default)]
pub struct Right {
    pub right: usize,
    pub items: usize,
}

impl Score for Right {
    type Output = Tensor<2>;

    fn update(&mut self, output: Tensor<2>, batch: &Batch) {
        let said = output.argmax(1).try_into_vec_as::<i32>().expect("classes");
        self.right += said.iter().zip(class_of(batch)).filter(|(said, class)| **said == *class).count();
        self.items += said.len();
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![("accuracy", self.right as f64 / self.items as f64)]
    }
}

/// Images of 4x4 with a bright left half (class 0) or right half (class 1), in an order that depends on the epoch.
pub struct Halves {
    pub items: usize,
    pub batch: usize,
    pub device: Device,
}

impl Halves {
    pub fn train(items: usize, batch: usize) -> Self {
        Self { items, batch, device: Device::flex().autodiff() }
    }

    pub fn test(items: usize, batch: usize) -> Self {
        Self { items, batch, device: Device::flex() }
    }

    fn image(&self, index: usize) -> Vec<f32> {
        let pixel = |at: usize| {
            let bright = (at % 4 >= 2) == (index % 2 == 1);
            let noise = ((index * 48 + at) * 7919 % 101) as f32 / 100.0;
            if bright { 1.0 + noise } else { noise }
        };
        (0..48).map(pixel).collect()
    }
}

impl Batches for Halves {
    fn items(&self) -> usize {
        self.items
    }

    fn steps(&self) -> usize {
        self.items.div_ceil(self.batch)
    }

    fn epoch(&self, epoch: usize, first: usize) -> impl Iterator<Item = Result<Batch>> {
        (first..self.steps()).map(move |step| {
            let places = step * self.batch..((step + 1) * self.batch).min(self.items);
            // 7 has no divisor in common with the item counts of these tests: a permutation, another every epoch.
            let indices: Vec<usize> = places.map(|place| (place * 7 + epoch * 3) % self.items).collect();
            let pixels: Vec<f32> = indices.iter().flat_map(|index| self.image(*index)).collect();
            let images = Tensor::<1>::from_data(pixels.as_slice(), &self.device);
            let truth = |index: &usize| Truth { class: Some(index % 2), ..Truth::default() };
            let truths = indices.iter().map(truth).collect();
            Ok(Batch { images: images.reshape([indices.len(), 3, 4, 4]), truths, indices })
        })
    }
}

/// Sets the stop flag at a step, and counts what it hears.
pub struct Watch<'a> {
    pub stop_at: Option<usize>,
    pub stop_in_evaluation: Option<usize>,
    pub stop: &'a AtomicBool,
    pub steps: Vec<[usize; 4]>,
    pub items: usize,
    pub rates: Vec<f64>,
    pub losses: Vec<f32>,
    pub bests: Vec<bool>,
}

impl<'a> Watch<'a> {
    pub fn new(stop: &'a AtomicBool) -> Self {
        let (steps, rates, losses, bests) = Default::default();
        Self { stop_at: None, stop_in_evaluation: None, stop, steps, items: 0, rates, losses, bests }
    }
}

impl Observer<Tiny> for Watch<'_> {
    fn notify(&mut self, event: &Event<Tiny>) -> Result<()> {
        match *event {
            Event::Step { epoch, step, steps, global_step, losses, loss, rate, items, .. } => {
                assert_eq!(losses.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["entropy", "logits"]);
                assert_eq!(losses[0].1 + losses[1].1, loss);
                self.steps.push([epoch, step, steps, global_step]);
                self.items += items;
                self.rates.push(rate);
                self.losses.push(loss);
                self.stop.store(self.stop_at == Some(global_step), Ordering::Relaxed);
            }
            Event::EvaluationStep { epoch, .. } if self.stop_in_evaluation == Some(epoch) => {
                self.stop.store(true, Ordering::Relaxed)
            }
            Event::Evaluated { best, .. } => self.bests.push(best),
            _ => {}
        }
        Ok(())
    }
}

pub fn trainer(run: &Path, optimizer: Value, epochs: usize) -> Trainer {
    Trainer {
        run: run.to_path_buf(),
        length: Length::Epochs(epochs),
        learning_rate: 0.02,
        optimizer: serde_json::from_value(optimizer).expect("an optimizer"),
        schedule: serde_json::from_value(json!({"name": "cosine", "warmup": {"epochs": 1.0}}))
            .expect("a schedule"),
        recipe: Recipe::default(),
        seed: 7,
        saving: Saving::default(),
        resume: false,
    }
}

pub const MOMENTUM: fn() -> Value =
    || json!({"name": "sgd", "momentum": 0.9, "nesterov": true, "weight_decay": 1e-3});
pub const ADAMW: fn() -> Value = || json!({"name": "adamw"});

#[derive(Default)]
pub struct Stop {
    pub at: Option<usize>,
    pub in_evaluation: Option<usize>,
}

/// A run of 30 images in batches of 8 (so 4 steps an epoch, the last of 6 images), with metrics and a log.
pub fn fit(trainer: &Trainer, stop_at: Stop) -> Result<Fit<Tiny>> {
    let stop = AtomicBool::new(false);
    let mut watch =
        Watch { stop_at: stop_at.at, stop_in_evaluation: stop_at.in_evaluation, ..Watch::new(&stop) };
    let (mut metrics, mut log) = (MetricsFiles::new(&trainer.run), Log::open(&trainer.run)?);
    let observers: &mut [&mut dyn Observer<Tiny>] = &mut [&mut watch, &mut metrics, &mut log];
    let (train, test) = (Halves::train(30, 8), Halves::test(10, 8));
    trainer.fit(Tiny::new(0.3), &TwoClasses::default(), &train, &test, observers, &stop)
}

pub fn metrics(run: &Path) -> [String; 2] {
    ["metrics.csv", "metrics.jsonl"].map(|name| fs::read_to_string(run.join(name)).expect("metrics"))
}
