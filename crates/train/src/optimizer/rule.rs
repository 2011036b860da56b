//! The frame that every optimizer stands in.

use burn::prelude::*;
use kiln_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::memory::{Memory, Numbers};
use super::{Adadelta, Adagrad, Adam, AdamW, Adamax, Lamb, Lars, Lion, NAdam, RAdam, RmsProp, Sgd, Swats};
use crate::Pace;

/// An optimizer by its name, with its options. Where PyTorch has it, options and defaults are PyTorch's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
#[allow(missing_docs)] // Each is documented where it is defined.
pub enum Rule {
    Sgd(Sgd),
    Adagrad(Adagrad),
    RmsProp(RmsProp),
    Adadelta(Adadelta),
    Adam(Adam),
    AdamW(AdamW),
    Adamax(Adamax),
    NAdam(NAdam),
    RAdam(RAdam),
    Lars(Lars),
    Lamb(Lamb),
    Lion(Lion),
    Swats(Swats),
}

impl Rule {
    /// As the name is written in an experiment.
    pub(super) fn name(&self) -> &'static str {
        self.row().0
    }

    pub(super) fn update(&self) -> &dyn Update {
        self.row().1
    }

    fn row(&self) -> (&'static str, &dyn Update) {
        match self {
            Self::Sgd(rule) => ("sgd", rule),
            Self::Adagrad(rule) => ("adagrad", rule),
            Self::RmsProp(rule) => ("rmsprop", rule),
            Self::Adadelta(rule) => ("adadelta", rule),
            Self::Adam(rule) => ("adam", rule),
            Self::AdamW(rule) => ("adamw", rule),
            Self::Adamax(rule) => ("adamax", rule),
            Self::NAdam(rule) => ("nadam", rule),
            Self::RAdam(rule) => ("radam", rule),
            Self::Lars(rule) => ("lars", rule),
            Self::Lamb(rule) => ("lamb", rule),
            Self::Lion(rule) => ("lion", rule),
            Self::Swats(rule) => ("swats", rule),
        }
    }
}

/// An optimizer's equation.
pub(super) trait Update {
    /// Makes sure that the options make sense.
    fn check(&self) -> Result<()>;

    /// How much of a weight is decayed.
    fn weight_decay(&self) -> f64;

    /// The names of what it remembers, tensors and numbers.
    fn keeps(&self) -> &'static [&'static str];

    /// The parameter `x` after a step along its gradient `g`. All tensors are flat and without gradients of their own.
    fn step(&self, x: Tensor<1>, g: Tensor<1>, at: At) -> Tensor<1>;

    /// What is reckoned over the whole network once every parameter has taken its step at `rate`.
    fn end_step(&self, _rate: f64, _whole: &mut Numbers) {}
}

/// Where a parameter is when it takes a step.
pub(super) struct At<'a> {
    /// The learning rate.
    pub rate: f64,
    /// What the schedule says of the step.
    pub pace: Pace,
    /// The weight decay.
    pub decay: f64,
    /// Whether it is neither a norm's nor a bias, or these are to be treated alike.
    pub full: bool,
    /// What is remembered of it; its steps count this one too.
    pub past: &'a mut Memory,
    /// What is remembered of the network as a whole.
    pub whole: &'a mut Numbers,
}

impl At<'_> {
    /// Decay as a part of the gradient: `g + decay · x`.
    pub fn decayed(&self, g: Tensor<1>, x: &Tensor<1>) -> Tensor<1> {
        match self.decay {
            0.0 => g,
            decay => g + x.clone() * decay,
        }
    }

    /// What an average that began at 0 lacks after so many steps: `1 - beta^t`.
    pub fn correction(&self, beta: f64) -> f64 {
        1.0 - beta.powf(self.past.steps as f64)
    }
}

/// The Euclidean length of a tensor.
pub(super) fn length(x: &Tensor<1>) -> f64 {
    x.clone().square().sum().into_scalar::<f64>().sqrt()
}

/// An option that must be at least 0 and below 1.
pub(super) fn below_one(key: &str, value: f64) -> Result<()> {
    match (0.0..1.0).contains(&value) {
        true => Ok(()),
        false => Err(out_of_range(key, value).hint("0 up to, but not, 1")),
    }
}

/// Two of them.
pub(super) fn both_below_one(key: &str, values: [f64; 2]) -> Result<()> {
    match values.iter().all(|value| (0.0..1.0).contains(value)) {
        true => Ok(()),
        false => {
            let error = Error::input(format!("{values:?} is out of range")).place(format!("optimizer.{key}"));
            Err(error.hint("both 0 up to, but not, 1"))
        }
    }
}

/// An option that must be 0 or more; `usual` is what it often is.
pub(super) fn not_negative(key: &str, value: f64, usual: &str) -> Result<()> {
    match value.is_finite() && value >= 0.0 {
        true => Ok(()),
        false => Err(out_of_range(key, value).hint(format!("0 or more, as {usual}"))),
    }
}

fn out_of_range(key: &str, value: f64) -> Error {
    Error::input(format!("{value} is out of range")).place(format!("optimizer.{key}"))
}
