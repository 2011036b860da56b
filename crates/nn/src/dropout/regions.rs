//! Dropout of regions of images, and of what a pool would pick.

use burn::config::Config;
use burn::prelude::*;
use burn::tensor::IndexingUpdateOp;

use crate::{Draws, max_pool, windows};

/// The settings of a [`DropBlock2d`].
#[derive(Config, Debug)]
pub struct DropBlock2dConfig {
    /// The share of the values that is to be dropped.
    pub probability: f64,
    /// Side of a block, in pixels.
    #[config(default = 7)]
    pub block: usize,
}

/// Square blocks of each channel become zeros, and the rest is scaled so that the sum of the factors stays; in evaluation all stays as it is. Ghiasi et al.
/// 2018, *DropBlock: a regularization method for convolutional networks*; the authors raise the probability slowly from 0.
#[derive(Module, Debug)]
pub struct DropBlock2d {
    /// The share of the values that is to be dropped.
    pub probability: f64,
    /// Side of a block, in pixels.
    pub block: usize,
}

impl DropBlock2dConfig {
    /// The layer.
    ///
    /// # Panics
    /// If the probability is not from 0 to 1, or is 1, or a block has no pixel.
    pub fn init(&self) -> DropBlock2d {
        assert!((0.0..1.0).contains(&self.probability), "a probability of {}", self.probability);
        assert!(self.block > 0, "blocks without pixels");
        DropBlock2d { probability: self.probability, block: self.block }
    }
}

impl DropBlock2d {
    /// How probable it is that a block begins at one of the places where a whole one fits: equation 1, for maps that need not be square.
    pub fn rate(&self, [height, width]: [usize; 2]) -> f64 {
        let block = self.block as f64;
        let fits = ((height - self.block + 1) * (width - self.block + 1)) as f64;
        self.probability / (block * block) * (height * width) as f64 / fits
    }

    /// Drops on a device with gradients.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]` to the same
    ///
    /// # Panics
    /// If a block is larger than the image.
    pub fn forward(&self, x: Tensor<4>, draws: &mut Draws) -> Tensor<4> {
        if x.device().is_autodiff() { self.dropped(x, draws) } else { x }
    }

    /// Drops wherever it is.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]` to the same
    ///
    /// # Panics
    /// If a block is larger than the image.
    pub fn dropped(&self, x: Tensor<4>, draws: &mut Draws) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let fits = self.block <= height && self.block <= width;
        assert!(fits, "blocks of {0}x{0} in {height}x{width} pixels", self.block);
        let places = [batch, channels, height - self.block + 1, width - self.block + 1];
        let begins = draws.ones(self.rate([height, width]).min(1.0), places, &x);
        // A pixel is dropped if a block begins at it or less than a block before it.
        let reach = self.block - 1;
        let begins = begins.pad((reach, reach, reach, reach), 0.0);
        let stays = -max_pool(self.block, 1).init().forward(begins) + 1.0;
        let scale =
            (batch * channels * height * width) as f64 / stays.clone().sum().into_scalar::<f64>().max(1.0);
        x * stays * scale
    }
}

/// A square of zeros in each image, its centre anywhere in it, so that it may reach beyond; in training, after normalization, without scaling.
/// DeVries and Taylor 2017, *Improved regularization of convolutional neural networks with cutout*: 16 of CIFAR-10's 32 pixels.
///
/// # Shapes
/// `[batch, channels, height, width]` to the same
pub fn cutout(images: Tensor<4>, side: usize, draws: &mut Draws) -> Tensor<4> {
    let [batch, channels, height, width] = images.dims();
    let mut mask = vec![1.0f64; batch * height * width];
    for image in mask.chunks_mut(height * width) {
        let [row, column] = [draws.below(height), draws.below(width)];
        let span = |centre: usize, end: usize| {
            let first = centre as i64 - side as i64 / 2;
            first.max(0) as usize..((first + side as i64).max(0) as usize).min(end)
        };
        for row in span(row, height) {
            image[row * width..][span(column, width)].fill(0.0);
        }
    }
    let mask = TensorData::new(mask, [batch, 1, height, width]);
    let mask = Tensor::<4>::from_data(mask, (&images.device(), images.dtype()));
    images * mask.expand([batch, channels, height, width])
}

/// Among which values [`max_drop`] looks for the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// Those of a channel.
    Channel,
    /// The channels of a pixel.
    Pixel,
}

/// The largest value of each channel, or of each pixel, becomes zero with this probability. Park and Kwak 2016, *Analysis on the dropout effect in
/// convolutional neural networks*, Section 3.2. For training; nothing is scaled.
///
/// # Shapes
/// `[batch, channels, height, width]` to the same
pub fn max_drop(x: Tensor<4>, probability: f64, among: Among, draws: &mut Draws) -> Tensor<4> {
    let sides = x.dims();
    let [batch, channels, height, width] = sides;
    let rows = x.reshape([batch, channels, height * width]);
    let side = match among {
        Among::Channel => 2,
        Among::Pixel => 1,
    };
    let largest = rows.clone().detach().argmax(side);
    let mut one = rows.dims();
    one[side] = 1;
    let dropped = draws.ones(probability, one, &rows);
    let mask = rows.ones_like().scatter(side, largest, -dropped, IndexingUpdateOp::Add);
    (rows * mask).reshape(sides)
}

/// The settings of a [`MaxPoolDropout2d`].
#[derive(Config, Debug)]
pub struct MaxPoolDropout2dConfig {
    /// How probable it is that a value is dropped before the pool looks at it.
    pub probability: f64,
    /// Rows and columns of a window.
    pub kernel_size: [usize; 2],
    /// Steps between windows.
    #[config(default = "kernel_size")]
    pub strides: [usize; 2],
}

/// The largest of those values of each window that are not dropped; in evaluation the mean of what that would be. For values that are not negative. Wu and
/// Gu 2015, *Towards dropout training for convolutional neural networks*.
#[derive(Module, Debug)]
pub struct MaxPoolDropout2d {
    /// How probable it is that a value is dropped.
    pub probability: f64,
    /// Rows and columns of a window.
    pub kernel_size: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
}

impl MaxPoolDropout2dConfig {
    /// The layer.
    ///
    /// # Panics
    /// If the probability is not from 0 to 1.
    pub fn init(&self) -> MaxPoolDropout2d {
        assert!((0.0..=1.0).contains(&self.probability), "a probability of {}", self.probability);
        MaxPoolDropout2d {
            probability: self.probability,
            kernel_size: self.kernel_size,
            stride: self.strides,
        }
    }
}

impl MaxPoolDropout2d {
    /// How probable it is that each of a window's values, from the smallest to the largest, is the result: that it stays and all larger ones are dropped.
    pub fn chances(&self) -> Vec<f64> {
        let count = (self.kernel_size[0] * self.kernel_size[1]) as i32;
        (1..=count).map(|rank| (1.0 - self.probability) * self.probability.powi(count - rank)).collect()
    }

    /// Drops on a device with gradients.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]` to `[batch, channels, new height, new width]`
    pub fn forward(&self, x: Tensor<4>, draws: &mut Draws) -> Tensor<4> {
        let x = windows(x, self.kernel_size, self.stride);
        if x.device().is_autodiff() {
            let stays = draws.ones(1.0 - self.probability, x.dims(), &x);
            return (x * stays).max_dim(2).squeeze_dim(2);
        }
        let chances = self.chances();
        let sides = [1, 1, chances.len(), 1, 1];
        let chances = Tensor::<5>::from_data(TensorData::new(chances, sides), (&x.device(), x.dtype()));
        (x.sort(2) * chances).sum_dim(2).squeeze_dim(2)
    }
}
