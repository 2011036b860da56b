//! Pools that draw.

use burn::config::Config;
use burn::prelude::*;

use super::windows::windows;
use crate::Draws;

/// The settings of a [`StochasticPool2d`].
#[derive(Config, Debug)]
pub struct StochasticPool2dConfig {
    /// Rows and columns of a window.
    pub kernel_size: [usize; 2],
    /// Steps between windows.
    #[config(default = "kernel_size")]
    pub strides: [usize; 2],
}

/// In training one of each window's values, drawn with a probability in proportion to it; in evaluation the mean by these probabilities. For
/// values that are not negative, as those of a ReLU; a window of zeros gives 0. Zeiler and Fergus 2013, *Stochastic pooling for
/// regularization of deep convolutional neural networks*.
#[derive(Module, Debug)]
pub struct StochasticPool2d {
    /// Rows and columns of a window.
    pub kernel_size: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
}

impl StochasticPool2dConfig {
    /// The layer.
    pub fn init(&self) -> StochasticPool2d {
        StochasticPool2d { kernel_size: self.kernel_size, stride: self.strides }
    }
}

impl StochasticPool2d {
    /// Draws on a device with gradients.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]` to `[batch, channels, new height, new width]`
    pub fn forward(&self, x: Tensor<4>, draws: &mut Draws) -> Tensor<4> {
        let training = x.device().is_autodiff();
        let x = windows(x, self.kernel_size, self.stride);
        let [batch, channels, places, rows, columns] = x.dims();
        if !training {
            let sum = x.clone().sum_dim(2);
            let zero = sum.clone().equal_elem(0.0);
            return (x.square().sum_dim(2) / sum.mask_fill(zero, 1.0)).squeeze_dim(2);
        }
        // The value at which the running sum reaches a drawn part of the whole: as many lie before it as do not.
        let sums = x.clone().detach().cumsum(2);
        let whole = sums.clone().narrow(2, places - 1, 1);
        let part = draws.uniform(0.0..1.0, [batch, channels, 1, rows, columns], &x) * whole;
        let first = sums.lower(part).int().sum_dim(2);
        x.gather(2, first).squeeze_dim(2)
    }
}

/// The settings of a [`RandomMixedPool2d`].
#[derive(Config, Debug)]
pub struct RandomMixedPool2dConfig {
    /// Rows and columns of a window.
    pub kernel_size: [usize; 2],
    /// Steps between windows.
    #[config(default = "kernel_size")]
    pub strides: [usize; 2],
    /// How probable the maximum is.
    #[config(default = 0.5)]
    pub share: f64,
}

/// In training the maxima of all windows or the means of all, as a coin says for each batch; in evaluation the mean of both, by the coin's
/// probabilities. Yu et al. 2014, *Mixed pooling for convolutional neural networks*, who count how often it fell; that tends to
/// the probability.
#[derive(Module, Debug)]
pub struct RandomMixedPool2d {
    /// Rows and columns of a window.
    pub kernel_size: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// How probable the maximum is.
    pub share: f64,
}

impl RandomMixedPool2dConfig {
    /// The layer.
    ///
    /// # Panics
    /// If the share is no probability.
    pub fn init(&self) -> RandomMixedPool2d {
        assert!((0.0..=1.0).contains(&self.share), "a share of {}", self.share);
        RandomMixedPool2d { kernel_size: self.kernel_size, stride: self.strides, share: self.share }
    }
}

impl RandomMixedPool2d {
    /// Draws on a device with gradients.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]` to `[batch, channels, new height, new width]`
    pub fn forward(&self, x: Tensor<4>, draws: &mut Draws) -> Tensor<4> {
        let share = if x.device().is_autodiff() { f64::from(draws.happens(self.share)) } else { self.share };
        let x = windows(x, self.kernel_size, self.stride);
        (x.clone().max_dim(2) * share + x.mean_dim(2) * (1.0 - share)).squeeze_dim(2)
    }
}
