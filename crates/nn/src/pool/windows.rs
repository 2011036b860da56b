//! Pools that make one value of each window, beside the maximum and the mean.

use burn::config::Config;
use burn::prelude::*;
use burn::tensor::{activation::softmax, s};

/// How a window becomes a value.
#[derive(Config, Debug, Copy, PartialEq)]
pub enum Reduce {
    /// The sum.
    Sum,
    /// `share` of the maximum and the rest of the mean: "mixed pooling" with a fixed share.
    Mixed {
        /// Of the maximum.
        share: f64,
    },
    /// The mean by weights that are a softmax of the values. Stergiou et al. 2021, *Refining activation downsampling with
    /// SoftPool*.
    Soft,
    /// The p-th root of the sum of p-th powers: PyTorch's `LPPool2d`. Sermanet et al. 2012.
    Norm {
        /// The power.
        p: f64,
    },
    /// The p-th root of the mean of p-th powers; with 2 the root mean square.
    PowerAverage {
        /// The power.
        p: f64,
    },
    /// `log(mean(exp(r x))) / r`, between the mean (`r` near 0) and the maximum. Pinheiro and Collobert 2015.
    LogSumExp {
        /// How much the maximum counts.
        r: f64,
    },
}

/// The settings of a [`WindowPool2d`].
#[derive(Config, Debug)]
pub struct WindowPool2dConfig {
    /// How a window becomes a value.
    pub reduce: Reduce,
    /// Rows and columns of a window.
    pub kernel_size: [usize; 2],
    /// Steps between windows.
    #[config(default = "kernel_size")]
    pub strides: [usize; 2],
}

/// A value for each window, of those that lie within the image.
#[derive(Module, Debug)]
pub struct WindowPool2d {
    /// Rows and columns of a window.
    pub kernel_size: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// How a window becomes a value.
    #[module(skip)]
    pub reduce: Reduce,
}

impl WindowPool2dConfig {
    /// The layer.
    ///
    /// # Panics
    /// If a power or a factor is not positive.
    pub fn init(&self) -> WindowPool2d {
        if let Reduce::Norm { p: number }
        | Reduce::PowerAverage { p: number }
        | Reduce::LogSumExp { r: number } = self.reduce
        {
            assert!(number > 0.0, "{:?}", self.reduce);
        }
        WindowPool2d { kernel_size: self.kernel_size, stride: self.strides, reduce: self.reduce }
    }
}

impl WindowPool2d {
    /// # Shapes
    /// `[batch, channels, height, width]` to `[batch, channels, new height, new width]`, a new side being
    /// `(side - kernel) / stride + 1`, rounded down
    ///
    /// # Panics
    /// If a window is larger than the image.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = windows(x, self.kernel_size, self.stride);
        let count = x.dims()[2] as f64;
        match self.reduce {
            Reduce::Sum => x.sum_dim(2),
            Reduce::Mixed { share } => x.clone().max_dim(2) * share + x.mean_dim(2) * (1.0 - share),
            Reduce::Soft => (softmax(x.clone(), 2) * x).sum_dim(2),
            Reduce::Norm { p } => root(x.powf_scalar(p).sum_dim(2), p),
            Reduce::PowerAverage { p } => root(x.powf_scalar(p).sum_dim(2) / count, p),
            Reduce::LogSumExp { r } => {
                let largest = x.clone().max_dim(2).detach();
                ((x - largest.clone()) * r).exp().mean_dim(2).log() / r + largest
            }
        }
        .squeeze_dim(2)
    }
}

/// The p-th root that keeps the sign, with a gradient of 0 at 0, as PyTorch's `lp_pool2d` has it.
fn root<const D: usize>(x: Tensor<D>, p: f64) -> Tensor<D> {
    let zero = x.clone().equal_elem(0.0);
    let x = x.mask_fill(zero.clone(), 1.0);
    let sign = x.clone().sign().detach();
    ((x * sign.clone()).powf_scalar(1.0 / p) * sign).mask_fill(zero, 0.0)
}

/// The values of each window, row by row.
///
/// # Shapes
/// `[batch, channels, height, width]` to `[batch, channels, kernel rows * kernel columns, new height, new width]`
///
/// # Panics
/// If a window is larger than the image.
pub fn windows(x: Tensor<4>, kernel: [usize; 2], stride: [usize; 2]) -> Tensor<5> {
    let [_, _, height, width] = x.dims();
    let fits = kernel[0] <= height && kernel[1] <= width;
    assert!(fits, "windows of {}x{} in {height}x{width} pixels", kernel[0], kernel[1]);
    let [rows, columns] = [(height - kernel[0]) / stride[0] + 1, (width - kernel[1]) / stride[1] + 1];
    let reach = [(rows - 1) * stride[0] + 1, (columns - 1) * stride[1] + 1];
    let taps = (0..kernel[0] * kernel[1]).map(|tap| {
        let (top, left) = (tap / kernel[1], tap % kernel[1]);
        x.clone().slice(s![.., .., top..top + reach[0];stride[0], left..left + reach[1];stride[1]])
    });
    Tensor::stack(taps.collect(), 2)
}
