//! A ReLU whose negative slope is drawn.

use burn::config::Config;
use burn::prelude::*;

use crate::Draws;

/// The settings of an [`RRelu`]: PyTorch's.
#[derive(Config, Debug)]
pub struct RReluConfig {
    /// The least slope.
    #[config(default = "1.0 / 8.0")]
    pub lower: f64,
    /// The largest.
    #[config(default = "1.0 / 3.0")]
    pub upper: f64,
}

/// Negative values times a slope that training draws evenly from an interval for every value, and evaluation takes from its middle. Xu et
/// al. 2015, *Empirical evaluation of rectified activations in convolutional network*.
#[derive(Module, Debug)]
pub struct RRelu {
    /// The least slope.
    pub lower: f64,
    /// The largest.
    pub upper: f64,
}

impl RReluConfig {
    /// The layer.
    ///
    /// # Panics
    /// If the interval is turned over.
    pub fn init(&self) -> RRelu {
        assert!(self.lower <= self.upper, "slopes from {} to {}", self.lower, self.upper);
        RRelu { lower: self.lower, upper: self.upper }
    }
}

impl RRelu {
    /// On a device with gradients by drawn slopes, on any other by their mean.
    ///
    /// # Shapes
    /// Any to the same.
    pub fn forward<const D: usize>(&self, x: Tensor<D>, draws: &mut Draws) -> Tensor<D> {
        if !x.device().is_autodiff() {
            return crate::leaky_relu(x, (self.lower + self.upper) / 2.0);
        }
        let slopes = draws.uniform(self.lower..self.upper, x.dims(), &x);
        let negative = x.clone().lower_elem(0.0);
        x.clone().mask_where(negative, x * slopes)
    }
}
