//! Dropout of a linear layer's weights, and by them.

use burn::config::Config;
use burn::prelude::*;

use crate::{Activation, Draws, Linear, LinearConfig};

/// The settings of a [`DropConnect`].
#[derive(Config, Debug)]
pub struct DropConnectConfig {
    /// Features of the input.
    pub d_input: usize,
    /// Features of the output.
    pub d_output: usize,
    /// How probable it is that a weight is dropped.
    #[config(default = 0.5)]
    pub probability: f64,
    /// In evaluation, how often the sum is drawn from the normal distribution that it nearly has.
    #[config(default = 1000)]
    pub samples: usize,
    /// What follows the sum.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
}

/// A linear layer and its activation whose weights and biases are dropped, others for every sample; in evaluation the mean of the activation over sums of
/// the mean and variance that dropping gives them. Wan et al. 2013, *Regularization of neural networks using DropConnect*, algorithms 1 and 2.
#[derive(Module, Debug)]
pub struct DropConnect {
    /// The layer.
    pub linear: Linear,
    /// How probable it is that a weight is dropped.
    pub probability: f64,
    /// In evaluation, how often the sum is drawn.
    pub samples: usize,
    /// What follows the sum.
    #[module(skip)]
    pub activation: Activation,
}

impl DropConnectConfig {
    /// A layer with fresh weights.
    ///
    /// # Panics
    /// If the probability is not from 0 to 1, or nothing is drawn.
    pub fn init(&self, device: &Device) -> DropConnect {
        assert!((0.0..=1.0).contains(&self.probability), "a probability of {}", self.probability);
        assert!(self.samples > 0, "a mean of no samples");
        DropConnect {
            linear: LinearConfig::new(self.d_input, self.d_output).init(device),
            probability: self.probability,
            samples: self.samples,
            activation: self.activation,
        }
    }
}

impl DropConnect {
    /// Mean and variance of the sums, were weights and biases dropped.
    ///
    /// # Shapes
    /// `[batch, input features]` to twice `[batch, output features]`
    pub fn moments(&self, x: Tensor<2>) -> [Tensor<2>; 2] {
        let (stay, weight) = (1.0 - self.probability, self.linear.weight.val());
        let mut mean = x.clone().matmul(weight.clone());
        let mut square = x.square().matmul(weight.square());
        if let Some(bias) = &self.linear.bias {
            mean = mean + bias.val().unsqueeze();
            square = square + bias.val().square().unsqueeze();
        }
        [mean * stay, square * (stay * self.probability)]
    }

    /// Drops on a device with gradients; on any other, the mean of samples.
    ///
    /// # Shapes
    /// `[batch, input features]` to `[batch, output features]`
    pub fn forward(&self, x: Tensor<2>, draws: &mut Draws) -> Tensor<2> {
        let ([batch, input], [_, output]) = (x.dims(), self.linear.weight.dims());
        if x.device().is_autodiff() {
            let stay = 1.0 - self.probability;
            let weights = draws.ones(stay, [batch, input, output], &x) * self.linear.weight.val().unsqueeze();
            let mut sums = x.reshape([batch, 1, input]).matmul(weights).reshape([batch, output]);
            if let Some(bias) = &self.linear.bias {
                sums = sums.clone() + draws.ones(stay, [batch, output], &sums) * bias.val().unsqueeze();
            }
            return self.activation.forward(sums);
        }
        let [mean, variance] = self.moments(x);
        let noise = draws.normal([self.samples, batch, output], &mean);
        let sums = noise * variance.sqrt().unsqueeze() + mean.unsqueeze();
        self.activation.forward(sums).mean_dim(0).reshape([batch, output])
    }
}

/// The settings of a [`Standout`].
#[derive(Config, Debug)]
pub struct StandoutConfig {
    /// Features of the input.
    pub d_input: usize,
    /// Features of the output.
    pub d_output: usize,
    /// What the weighted sum is multiplied by to say how probably it stays.
    #[config(default = 1.0)]
    pub alpha: f64,
    /// What is added to that.
    #[config(default = 0.0)]
    pub beta: f64,
    /// What follows the sum.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
}

/// A linear layer and its activation of which a unit stays with a probability of `sigmoid(alpha s + beta)`, `s` being its weighted sum: the more it has to
/// say, the more probably. In evaluation it is multiplied by that probability. Ba and Frey 2013, *Adaptive dropout for training deep neural
/// networks*. (A well-known survey has it the other way round; in the paper a mask of 1 keeps.)
#[derive(Module, Debug)]
pub struct Standout {
    /// The layer.
    pub linear: Linear,
    /// What the weighted sum is multiplied by.
    pub alpha: f64,
    /// What is added to that.
    pub beta: f64,
    /// What follows the sum.
    #[module(skip)]
    pub activation: Activation,
}

impl StandoutConfig {
    /// A layer with fresh weights.
    pub fn init(&self, device: &Device) -> Standout {
        Standout {
            linear: LinearConfig::new(self.d_input, self.d_output).init(device),
            alpha: self.alpha,
            beta: self.beta,
            activation: self.activation,
        }
    }
}

impl Standout {
    /// Drops on a device with gradients.
    ///
    /// # Shapes
    /// `[batch, input features]` to `[batch, output features]`
    pub fn forward(&self, x: Tensor<2>, draws: &mut Draws) -> Tensor<2> {
        let sums = self.linear.forward(x);
        let stays = crate::sigmoid(sums.clone().detach() * self.alpha + self.beta);
        let mask = match sums.device().is_autodiff() {
            true => draws.uniform(0.0..1.0, sums.dims(), &sums).lower(stays).float().cast(sums.dtype()),
            false => stays,
        };
        self.activation.forward(sums) * mask
    }
}
