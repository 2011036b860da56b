//! Batch normalization with PyTorch's running variance; on the CPU, the kernels of `kiln-kernels`.

use burn::config::Config;
use burn::module::{Content, DisplaySettings, Flag, ModuleDisplay, Param, RunningState};
use burn::prelude::*;

/// The settings of a [`BatchNorm`].
#[derive(Config, Debug)]
pub struct BatchNormConfig {
    /// Channels.
    pub num_features: usize,
    /// Added to the variance.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// How much of the running statistics each batch replaces, of 1.
    #[config(default = 0.1)]
    pub momentum: f64,
}

/// Normalization of every channel over the batch (Ioffe and Szegedy 2015), its running variance unbiased as PyTorch's
/// is. (Burn 0.22's is the batch's variance divided by n.)
///
/// It is named and built as Burn's is: weight files are matched by these names.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct BatchNorm {
    /// What every channel is multiplied by.
    pub gamma: Param<Tensor<1>>,
    /// What is added to every channel.
    pub beta: Param<Tensor<1>>,
    /// Whether a device with gradients normalizes by the batch: not so in a frozen layer.
    pub training: Param<Flag>,
    /// The running mean.
    pub running_mean: RunningState<Tensor<1>>,
    /// The running variance.
    pub running_var: RunningState<Tensor<1>>,
    /// How much of the running statistics each batch replaces, of 1.
    pub momentum: f64,
    /// Added to the variance.
    pub epsilon: f64,
}

impl BatchNormConfig {
    /// A layer that only normalizes.
    ///
    /// # Panics
    /// If there are no channels, epsilon is not positive, or the momentum not within 0 and 1.
    pub fn init(&self, device: &Device) -> BatchNorm {
        let stock = burn::nn::BatchNormConfig::new(self.num_features)
            .with_epsilon(self.epsilon)
            .with_momentum(self.momentum)
            .init(device);
        BatchNorm {
            gamma: stock.gamma,
            beta: stock.beta,
            training: stock.training,
            running_mean: stock.running_mean,
            running_var: stock.running_var,
            momentum: stock.momentum,
            epsilon: stock.epsilon,
        }
    }
}

impl BatchNorm {
    /// By the batch's own statistics on a device with gradients, by the running ones on any other.
    ///
    /// # Shapes
    /// `[batch, channels, ..]` to the same
    ///
    /// # Panics
    /// If the second side is not the layer's channels.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let [channels] = self.gamma.dims();
        assert!(D >= 2 && x.dims()[1] == channels, "{:?} values for {channels} channels", x.dims());
        let device = x.device();
        if device.is_autodiff() && self.training.is_enabled() {
            return self.forward_train(x);
        }
        let running = [&self.running_mean, &self.running_var].map(|state| state.value().to_device(&device));
        kiln_kernels::batch_norm(x, self.gamma.val(), self.beta.val(), running, self.epsilon)
    }

    fn forward_train<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let device = x.device();
        let count = x.dims().iter().product::<usize>() / x.dims()[1];
        let (x, mean, variance) =
            kiln_kernels::batch_norm_train(x, self.gamma.val(), self.beta.val(), self.epsilon);
        // Of a single value there is no unbiased variance; the batch's own, zero, stays.
        let unbiased = variance.mul_scalar(count as f64 / count.saturating_sub(1).max(1) as f64);
        for (state, batch) in [(&self.running_mean, mean), (&self.running_var, unbiased)] {
            let kept = state.value_sync().to_device(&device).mul_scalar(1.0 - self.momentum);
            state.update(kept.add(batch.detach().mul_scalar(self.momentum)).detach());
        }
        x
    }
}

impl ModuleDisplay for BatchNorm {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [num_features] = self.beta.dims();
        let content = content
            .add("num_features", &num_features)
            .add("momentum", &self.momentum)
            .add("epsilon", &self.epsilon);
        if self.training.is_enabled() {
            content.optional()
        } else {
            content.add("training", &self.training).optional()
        }
    }
}
