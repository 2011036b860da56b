//! Pools whose output has a given size: part `i` of `n` of a side goes from `i / n` of it, rounded down, to `(i + 1) / n`, rounded up.

use std::ops::Range;

use burn::config::Config;
use burn::prelude::*;

/// The settings of an [`AdaptiveMaxPool2d`].
#[derive(Config, Debug)]
pub struct AdaptiveMaxPool2dConfig {
    /// Rows and columns of the output.
    pub output_size: [usize; 2],
}

/// The maximum of each of as many parts of the image as the output has pixels: PyTorch's.
#[derive(Module, Debug)]
pub struct AdaptiveMaxPool2d {
    /// Rows and columns of the output.
    pub output_size: [usize; 2],
}

impl AdaptiveMaxPool2dConfig {
    /// The layer.
    pub fn init(&self) -> AdaptiveMaxPool2d {
        AdaptiveMaxPool2d { output_size: self.output_size }
    }
}

impl AdaptiveMaxPool2d {
    /// # Shapes
    /// `[batch, channels, height, width]` to `[batch, channels, output height, output width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let [rows, columns] = self.output_size;
        let x = maxima(x, 2, (0..rows).map(|at| part(at, rows, height)));
        maxima(x, 3, (0..columns).map(|at| part(at, columns, width)))
    }
}

/// Part `at` of `count` of a side.
fn part(at: usize, count: usize, side: usize) -> Range<usize> {
    at * side / count..((at + 1) * side).div_ceil(count)
}

/// The maximum of each part along a side, and 0 of one without pixels.
pub(super) fn maxima(x: Tensor<4>, side: usize, parts: impl Iterator<Item = Range<usize>>) -> Tensor<4> {
    let maximum = |part: Range<usize>| match part.is_empty() {
        true => x.clone().narrow(side, 0, 1).zeros_like(),
        false => x.clone().narrow(side, part.start, part.len()).max_dim(side),
    };
    Tensor::cat(parts.map(maximum).collect(), side)
}

/// Every channel's largest value: the "maximum activations of convolutions", MAC.
///
/// # Shapes
/// `[batch, channels, height, width]` to `[batch, channels]`
pub fn global_max(x: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = x.dims();
    x.reshape([batch, channels, height * width]).max_dim(2).reshape([batch, channels])
}

/// The maxima of ever finer parts of the image, one after the other: a vector of one length for images of every size. He et al. 2015,
/// *Spatial pyramid pooling in deep convolutional networks*; `[4, 2, 1]` and `[6, 3, 2, 1]` are the paper's.
///
/// Its windows are those of an [`AdaptiveMaxPool2d`]. The paper's, `side / n` rounded up every `side / n` rounded down, are the same
/// where these give n windows (13 pixels, for all its n), which they do not always.
///
/// # Shapes
/// `[batch, channels, height, width]` to `[batch, channels * (n * n + …)]`
pub fn pyramid_pool(x: Tensor<4>, levels: &[usize]) -> Tensor<2> {
    let [batch, channels, ..] = x.dims();
    let level = |n: &usize| {
        let x = AdaptiveMaxPool2dConfig::new([*n; 2]).init().forward(x.clone());
        x.reshape([batch, channels * n * n])
    };
    Tensor::cat(levels.iter().map(level).collect(), 1)
}
