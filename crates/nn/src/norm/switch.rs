//! Switchable normalization: by a mixture of the statistics of an image's channel, of the image, and of the batch.

use burn::config::Config;
use burn::module::{Param, RunningState};
use burn::prelude::*;
use burn::tensor::activation::softmax;

use super::image::{moved, scaled};
use crate::Initializer;

/// The settings of a [`SwitchNorm`].
#[derive(Config, Debug)]
pub struct SwitchNormConfig {
    /// Channels.
    pub num_channels: usize,
    /// Added to the variance.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// How much of the running statistics each batch replaces, of 1.
    #[config(default = 0.1)]
    pub momentum: f64,
}

/// Normalization by means and variances that are mixed of those of instance, layer and batch normalization, by weights that are learned.
/// Luo et al. 2019, *Differentiable learning-to-normalize via switchable normalization*. All variances are divided by n, as in the paper (its
/// code divides the instances' by n - 1).
#[derive(Module, Debug)]
pub struct SwitchNorm {
    /// What every channel is multiplied by, `[channels]`.
    pub gamma: Param<Tensor<1>>,
    /// What is added to every channel, `[channels]`.
    pub beta: Param<Tensor<1>>,
    /// Of the means of instance, layer and batch, whose softmax are their weights, `[3]`.
    pub mean_weight: Param<Tensor<1>>,
    /// Of the variances, `[3]`.
    pub var_weight: Param<Tensor<1>>,
    /// The running mean of the batches.
    pub running_mean: RunningState<Tensor<1>>,
    /// The running variance of the batches.
    pub running_var: RunningState<Tensor<1>>,
    /// How much of the running statistics each batch replaces, of 1.
    pub momentum: f64,
    /// Added to the variance.
    pub epsilon: f64,
}

impl SwitchNormConfig {
    /// A layer that weighs all three alike.
    pub fn init(&self, device: &Device) -> SwitchNorm {
        let channels = [self.num_channels];
        SwitchNorm {
            gamma: Initializer::Ones.init(channels, device),
            beta: Initializer::Zeros.init(channels, device),
            mean_weight: Initializer::Ones.init([3], device),
            var_weight: Initializer::Ones.init([3], device),
            running_mean: RunningState::new(Tensor::zeros(channels, device)),
            running_var: RunningState::new(Tensor::ones(channels, device)),
            momentum: self.momentum,
            epsilon: self.epsilon,
        }
    }
}

impl SwitchNorm {
    /// The batch's statistics are its own on a device with gradients, the running ones on any other.
    ///
    /// # Shapes
    /// `[batch, channels, ..]` to the same
    ///
    /// # Panics
    /// If the channels are not the layer's.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let (sides, [channels]) = (x.dims(), self.gamma.dims());
        assert_eq!(sides[1], channels, "{sides:?} values for {channels} channels");
        let rows = x.reshape([sides[0], channels, sides[2..].iter().product()]);
        // Those of larger sets follow from those of the instances: a variance is the mean square less the square of the mean.
        let mean = rows.clone().mean_dim(2);
        let variance = (rows.clone() - mean.clone()).square().mean_dim(2);
        let square = variance.clone() + mean.clone().square();
        let over = |side: usize| {
            let of_set = mean.clone().mean_dim(side);
            (of_set.clone(), square.clone().mean_dim(side) - of_set.square())
        };
        let of_layer = over(1);
        let of_batch = match rows.device().is_autodiff() {
            true => {
                let (mean, variance) = over(0);
                moved(&self.running_mean, mean.clone().reshape([channels]), self.momentum);
                moved(&self.running_var, variance.clone().reshape([channels]), self.momentum);
                (mean, variance)
            }
            false => {
                let value = |state: &RunningState<Tensor<1>>| state.value().reshape([1, channels, 1]);
                (value(&self.running_mean), value(&self.running_var))
            }
        };
        let mix = |weight: &Param<Tensor<1>>, all: [Tensor<3>; 3]| {
            let shares = softmax(weight.val(), 0);
            let parts = all.into_iter().enumerate();
            let weighted = parts.map(|(at, one)| one * shares.clone().narrow(0, at, 1).reshape([1, 1, 1]));
            weighted.reduce(|sum, one| sum + one).expect("three statistics")
        };
        let mean = mix(&self.mean_weight, [mean, of_layer.0, of_batch.0]);
        let variance = mix(&self.var_weight, [variance, of_layer.1, of_batch.1]);
        let x = ((rows - mean) / (variance + self.epsilon).sqrt()).reshape(sides);
        scaled(x, [self.gamma.val(), self.beta.val()])
    }
}
