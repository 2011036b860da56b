//! A few numbers and an optimizer that moves them: the training crate's own, in 64 bits.

use burn::module::Param;
use burn::optim::GradientsParams;
use burn::prelude::*;
use burn::tensor::DType;
use kiln_core::Network;
use kiln_train::{Optimizer, OptimizerConfig, Rule};

use super::values::flat;

/// A network of one flat parameter, which it says whatever the images are.
#[derive(Module, Debug)]
pub(super) struct Point {
    x: Param<Tensor<1>>,
}

impl Point {
    pub fn new(x: &[f64]) -> Self {
        Self { x: Param::from_tensor(numbers(x, &Device::flex().autodiff())) }
    }

    pub fn place(&self) -> Vec<f64> {
        flat(self.x.val())
    }
}

impl Network for Point {
    type Output = Tensor<1>;

    fn forward(&self, _images: Tensor<4>) -> Tensor<1> {
        self.x.val()
    }
}

fn numbers(values: &[f64], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), (device, DType::F64))
}

/// A point with an optimizer.
pub(super) struct Walker {
    optimizer: Optimizer,
    pub point: Point,
}

impl Walker {
    /// At a place, remembering nothing. All numbers decay, if the rule has it.
    ///
    /// # Panics
    /// If the rule's options make no sense.
    pub fn new(rule: Rule, start: &[f64]) -> Self {
        let config = OptimizerConfig { decay_norms_and_biases: true, ..rule.into() };
        Self { optimizer: config.init().expect("options that make sense"), point: Point::new(start) }
    }

    /// Takes a step by a gradient, and gives the place that it led to.
    pub fn step(&mut self, rate: f64, gradient: &[f64]) -> Vec<f64> {
        let mut gradients = GradientsParams::new();
        gradients.register(self.point.x.id, numbers(gradient, &Device::flex()));
        self.point = self.optimizer.step(rate, self.point.clone(), gradients);
        self.point.place()
    }

    /// Puts it somewhere else; what it remembers stays.
    pub fn put(&mut self, place: &[f64]) {
        let x = numbers(place, &Device::flex().autodiff());
        self.point.x = Param::initialized(self.point.x.id, x);
    }
}

/// The places from `start` on by these gradients, one after the other, of one number.
pub(super) fn traced(rule: Rule, rate: f64, start: f64, gradients: &[f64]) -> Vec<f64> {
    let mut walker = Walker::new(rule, &[start]);
    gradients.iter().map(|gradient| walker.step(rate, &[*gradient])[0]).collect()
}
