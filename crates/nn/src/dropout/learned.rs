//! Dropout that learns how much.

use burn::config::Config;
use burn::module::Param;
use burn::prelude::*;

use crate::{Draws, Initializer, Linear, LinearConfig};

/// About minus the divergence of a weight's noise from the log-uniform prior, by `log alpha`, up to a constant; for alpha up to 1. Kingma et al. 2015,
/// *Variational dropout and the local reparameterization trick*, equation 14.
pub fn variational_gain<const D: usize>(log_alpha: Tensor<D>) -> Tensor<D> {
    let alpha = log_alpha.clone().exp();
    let cubic = (alpha.clone() * 0.58629921 + -1.50204118) * alpha.clone() + 1.16145124;
    log_alpha * 0.5 + cubic * alpha
}

/// The same for every alpha. Molchanov et al. 2017, *Variational dropout sparsifies deep neural networks*, equation 14.
pub fn sparse_gain<const D: usize>(log_alpha: Tensor<D>) -> Tensor<D> {
    const K: [f64; 3] = [0.63576, 1.87320, 1.48695];
    let steep = crate::sigmoid(log_alpha.clone() * K[2] + K[1]) * K[0];
    // log(1 + 1 / alpha)
    steep - crate::Activation::SoftPlus.forward(-log_alpha) * 0.5 - K[0]
}

/// The settings of a [`VariationalLinear`].
#[derive(Config, Debug)]
pub struct VariationalLinearConfig {
    /// Features of the input.
    pub d_input: usize,
    /// Features of the output.
    pub d_output: usize,
    /// The logarithm of every weight's variance to begin with.
    #[config(default = -10.0)]
    pub log_variance: f64,
}

/// A linear layer whose every weight has noise of a variance that it learns; weights whose noise outgrows them can be left out. The sums, not the weights, are
/// drawn ("local reparameterization"). In evaluation there is no noise. Kingma et al. 2015; Molchanov et al. 2017.
#[derive(Module, Debug)]
pub struct VariationalLinear {
    /// The layer of the means.
    pub linear: Linear,
    /// The logarithm of every weight's variance, `[input features, output features]`.
    pub log_variance: Param<Tensor<2>>,
}

impl VariationalLinearConfig {
    /// A layer with fresh weights.
    pub fn init(&self, device: &Device) -> VariationalLinear {
        let fill = Initializer::Constant { value: self.log_variance };
        VariationalLinear {
            linear: LinearConfig::new(self.d_input, self.d_output).init(device),
            log_variance: fill.init([self.d_input, self.d_output], device),
        }
    }
}

impl VariationalLinear {
    /// Every weight's `log alpha`, alpha being its variance over its square.
    pub fn log_alpha(&self) -> Tensor<2> {
        let square = self.linear.weight.val().square().clamp_min(1e-16);
        self.log_variance.val() - square.log()
    }

    /// What the loss gets for the noise: the divergence from the prior, summed over the weights; divided by the samples of the training set it is added to
    /// their mean loss.
    pub fn divergence(&self) -> Tensor<1> {
        -sparse_gain(self.log_alpha()).sum()
    }

    /// The share of the weights that can be left out: those whose `log alpha` is above 3, a noise of 4.5 times themselves.
    pub fn sparsity(&self) -> f64 {
        let above = self.log_alpha().greater_elem(3.0).float();
        above.mean().into_scalar()
    }

    /// Noisy on a device with gradients.
    ///
    /// # Shapes
    /// `[batch, input features]` to `[batch, output features]`
    pub fn forward(&self, x: Tensor<2>, draws: &mut Draws) -> Tensor<2> {
        let mean = self.linear.forward(x.clone());
        if !mean.device().is_autodiff() {
            return mean;
        }
        let variance = x.square().matmul(self.log_variance.val().exp());
        let noise = draws.normal(mean.dims(), &mean);
        mean + (variance + 1e-12).sqrt() * noise
    }
}

/// The settings of a [`ConcreteDropout`].
#[derive(Config, Debug)]
pub struct ConcreteDropoutConfig {
    /// How probable it is that a value is dropped, to begin with.
    #[config(default = 0.1)]
    pub probability: f64,
    /// How soft the choice is.
    #[config(default = 0.1)]
    pub temperature: f64,
}

/// Standard dropout whose choice is softened so that its probability has a gradient and is learned. Gal et al. 2017, *Concrete dropout*, equation 5.
#[derive(Module, Debug)]
pub struct ConcreteDropout {
    /// `log(p / (1 - p))`, `[1]`.
    pub logit: Param<Tensor<1>>,
    /// How soft the choice is.
    pub temperature: f64,
}

impl ConcreteDropoutConfig {
    /// The layer.
    ///
    /// # Panics
    /// If the probability is not between 0 and 1.
    pub fn init(&self, device: &Device) -> ConcreteDropout {
        assert!(self.probability > 0.0 && self.probability < 1.0, "a probability of {}", self.probability);
        let value = (self.probability / (1.0 - self.probability)).ln();
        ConcreteDropout {
            logit: Initializer::Constant { value }.init([1], device),
            temperature: self.temperature,
        }
    }
}

impl ConcreteDropout {
    /// How probable it is that a value is dropped, `[1]`.
    pub fn probability(&self) -> Tensor<1> {
        crate::sigmoid(self.logit.val())
    }

    /// The entropy of a choice, of which the paper's loss has `-K` times for each of `K` inputs, `[1]`.
    pub fn entropy(&self) -> Tensor<1> {
        let p = self.probability();
        let softplus = |x| crate::Activation::SoftPlus.forward(x);
        // -p log p - (1 - p) log(1 - p)
        p.clone() * softplus(-self.logit.val()) + (-p + 1.0) * softplus(self.logit.val())
    }

    /// Drops on a device with gradients.
    ///
    /// # Shapes
    /// Any to the same.
    pub fn forward<const D: usize>(&self, x: Tensor<D>, draws: &mut Draws) -> Tensor<D> {
        if !x.device().is_autodiff() {
            return x;
        }
        // Within the last digits, where the logarithms are numbers.
        let u = draws.uniform(1e-7..1.0 - 1e-7, x.dims(), &x);
        let noise = u.clone().log() - (-u + 1.0).log();
        let dropped = crate::sigmoid((noise + self.logit.val().unsqueeze()) / self.temperature);
        x * (-dropped + 1.0) / (-self.probability() + 1.0).unsqueeze()
    }
}
