//! Pools that learn how.

use burn::config::Config;
use burn::module::Param;
use burn::prelude::*;

use super::windows::windows;
use crate::Initializer;

/// The settings of a [`MixedPool2d`].
#[derive(Config, Debug)]
pub struct MixedPool2dConfig {
    /// Rows and columns of a window.
    pub kernel_size: [usize; 2],
    /// Steps between windows.
    #[config(default = "kernel_size")]
    pub strides: [usize; 2],
    /// The maximum's share to begin with.
    #[config(default = 0.5)]
    pub share: f64,
}

/// A share of each window's maximum and the rest of its mean; the share is learned, one for the layer. Lee et al. 2016, *Generalizing
/// pooling functions in convolutional neural networks: mixed, gated, and tree*, Section 3.1.
#[derive(Module, Debug)]
pub struct MixedPool2d {
    /// The maximum's share, `[1]`.
    pub share: Param<Tensor<1>>,
    /// Rows and columns of a window.
    pub kernel_size: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
}

impl MixedPool2dConfig {
    /// The layer.
    pub fn init(&self, device: &Device) -> MixedPool2d {
        let share = Initializer::Constant { value: self.share }.init([1], device);
        MixedPool2d { share, kernel_size: self.kernel_size, stride: self.strides }
    }
}

impl MixedPool2d {
    /// # Shapes
    /// `[batch, channels, height, width]` to `[batch, channels, new height, new width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = windows(x, self.kernel_size, self.stride);
        mixed(x, self.share.val().reshape([1; 5]))
    }
}

/// The settings of a [`GatedPool2d`].
#[derive(Config, Debug)]
pub struct GatedPool2dConfig {
    /// Rows and columns of a window.
    pub kernel_size: [usize; 2],
    /// Steps between windows.
    #[config(default = "kernel_size")]
    pub strides: [usize; 2],
}

/// As [`MixedPool2d`], the share being the sigmoid of a weighted sum of the window's values, by weights that are learned, one set for the
/// layer. Lee et al. 2016, Section 3.1.
#[derive(Module, Debug)]
pub struct GatedPool2d {
    /// A weight for each place in a window, `[rows * columns]`.
    pub gate: Param<Tensor<1>>,
    /// Rows and columns of a window.
    pub kernel_size: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
}

impl GatedPool2dConfig {
    /// A layer that begins as the half and half of maximum and mean.
    pub fn init(&self, device: &Device) -> GatedPool2d {
        let places = self.kernel_size[0] * self.kernel_size[1];
        let gate = Initializer::Zeros.init([places], device);
        GatedPool2d { gate, kernel_size: self.kernel_size, stride: self.strides }
    }
}

impl GatedPool2d {
    /// # Shapes
    /// `[batch, channels, height, width]` to `[batch, channels, new height, new width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = windows(x, self.kernel_size, self.stride);
        let [_, _, places, ..] = x.dims();
        let gate = self.gate.val().reshape([1, 1, places, 1, 1]);
        let share = crate::sigmoid((x.clone() * gate).sum_dim(2));
        mixed(x, share)
    }
}

fn mixed(windows: Tensor<5>, share: Tensor<5>) -> Tensor<4> {
    let mean = windows.clone().mean_dim(2);
    (mean.clone() + share * (windows.max_dim(2) - mean)).squeeze_dim(2)
}

/// The settings of a [`GemPool`].
#[derive(Config, Debug)]
pub struct GemPoolConfig {
    /// The power to begin with.
    #[config(default = 3.0)]
    pub p: f64,
    /// The least value.
    #[config(default = 1e-6)]
    pub epsilon: f64,
}

/// Generalized mean of every channel: the p-th root of the mean of p-th powers, the power being learned; 1 is the average pool, and the larger
/// the nearer to the maximum. Radenović et al. 2018, *Fine-tuning CNN image retrieval with no human annotation*, Section 3.2.
#[derive(Module, Debug)]
pub struct GemPool {
    /// The power, `[1]`.
    pub p: Param<Tensor<1>>,
    /// The least value: smaller ones are taken for it.
    pub epsilon: f64,
}

impl GemPoolConfig {
    /// The layer.
    pub fn init(&self, device: &Device) -> GemPool {
        let p = Initializer::Constant { value: self.p }.init([1], device);
        GemPool { p, epsilon: self.epsilon }
    }
}

impl GemPool {
    /// # Shapes
    /// `[batch, channels, height, width]` to `[batch, channels]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let [batch, channels, height, width] = x.dims();
        let x = x.reshape([batch, channels, height * width]).clamp_min(self.epsilon);
        let p = self.p.val().reshape([1; 3]);
        let mean = (x.log() * p.clone()).exp().mean_dim(2);
        (mean.log() / p).exp().reshape([batch, channels])
    }
}
