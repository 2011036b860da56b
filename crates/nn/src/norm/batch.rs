//! Batch normalization with PyTorch's running variance; on the CPU, the kernels of `kiln-kernels`.

use burn::config::Config;
use burn::module::{Content, DisplaySettings, Flag, ModuleDisplay, Param, RunningState};
use burn::prelude::*;
use kiln_kernels::{Given, Then};

use crate::tap::shown;

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
        let stock = nn::BatchNormConfig::new(self.num_features)
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
        self.normalize(x, Then::Nothing)
    }

    /// `relu(norm(x))`
    ///
    /// # Shapes
    /// As [`Self::forward`].
    pub fn forward_relu<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.normalize(x, Then::Relu)
    }

    /// `relu(norm(x) + skip)`
    ///
    /// # Shapes
    /// As [`Self::forward`]; `skip` as `x`.
    pub fn forward_add_relu<const D: usize>(&self, x: Tensor<D>, skip: Tensor<D>) -> Tensor<D> {
        self.normalize(x, Then::AddRelu(skip))
    }

    pub(crate) fn normalize<const D: usize>(&self, x: Tensor<D>, then: Then<Tensor<D>>) -> Tensor<D> {
        let [channels] = self.gamma.dims();
        assert!(D >= 2 && x.dims()[1] == channels, "{:?} values for {channels} channels", x.dims());
        let device = x.device();
        if device.is_autodiff() && self.training.is_enabled() {
            let count = x.dims().iter().product::<usize>() / channels;
            let affine = [self.gamma.val(), self.beta.val()];
            let (x, statistics) = kiln_kernels::batch_norm_train(x, affine, then, self.epsilon);
            self.update(statistics, count);
            return shown(self.gamma.id, x);
        }
        let ([gamma, beta, mean, variance], epsilon) = self.given(&device);
        let x = kiln_kernels::batch_norm(x, [gamma, beta], [mean, variance], then, epsilon);
        shown(self.gamma.id, x)
    }

    /// What it normalizes by when it does not look at the batch.
    pub(crate) fn given(&self, device: &Device) -> Given {
        let [mean, variance] =
            [&self.running_mean, &self.running_var].map(|state| state.value().to_device(device));
        ([self.gamma.val(), self.beta.val(), mean, variance], self.epsilon)
    }

    /// Moves the running statistics towards mean and variance of a batch of `count` values a channel.
    pub(crate) fn update(&self, batch: [Tensor<1>; 2], count: usize) {
        let device = batch[0].device();
        let states = [&self.running_mean, &self.running_var];
        let running = states.map(|state| state.value_sync().to_device(&device));
        let moved = kiln_kernels::running_statistics(running, batch, self.momentum, count);
        states.into_iter().zip(moved).for_each(|(state, moved)| state.update(moved));
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

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tolerance, activation};

    use super::*;

    /// torch 2.15.0: `bn = BatchNorm2d(2)` with weight [1.5, -0.5], bias [0.25, 1]; one `bn(x)`; `bn.eval()`; `bn(x)`.
    #[test]
    fn running_statistics_and_evaluation_are_pytorchs() {
        let device = Device::flex().autodiff();
        let values = [1.0f32, 2., 3., 6., 100., 101., 99., 104., -1., 0., 4., 2., 102., 98., 97., 103.];
        let x = Tensor::<1>::from_data(values, &device).reshape([2, 2, 2, 2]);
        let mut layer = BatchNormConfig::new(2).init(&device);
        layer.gamma = Param::from_tensor(Tensor::from_data([1.5, -0.5], &device));
        layer.beta = Param::from_tensor(Tensor::from_data([0.25, 1.0], &device));
        layer.forward(x.clone());

        let check = |ours: TensorData, expected: &[f32]| {
            let expected = TensorData::new(expected.to_vec(), ours.shape().clone());
            ours.assert_approx_eq(&expected, Tolerance::<f32>::rel_abs(1e-5, 1e-5));
        };
        // 0.9 * 0 + 0.1 * mean; 0.9 * 1 + 0.1 * variance * 8 / 7.
        check(layer.running_mean.value_sync().into_data(), &[0.2125, 10.05]);
        check(layer.running_var.value_sync().into_data(), &[1.398214, 1.5]);
        let y = layer.valid().forward(x.inner());
        check(
            y.into_data(),
            &[
                1.248972, 2.517509, 3.786045, 7.591653, -35.721813, -36.13006, -35.313564, -37.354797,
                -1.2881, -0.019564, 5.054581, 2.517509, -36.538307, -34.90532, -34.49707, -36.946552,
            ],
        );
    }

    #[test]
    fn what_follows_the_layer_may_be_part_of_it() {
        let plain = Device::flex();
        plain.seed(1);
        let layer = BatchNormConfig::new(3).init(&plain.clone().autodiff());
        let four = || Tensor::<4>::random([2, 3, 4, 5], Distribution::Normal(1.0, 2.0), &plain);
        let (x, skip) = (four(), four());
        let check = |layer: BatchNorm, x: Tensor<4>, skip: Tensor<4>| {
            let y = layer.forward(x.clone());
            let alone = [activation::relu(y.clone()), activation::relu(y + skip.clone())];
            let together = [layer.forward_relu(x.clone()), layer.forward_add_relu(x, skip)];
            for (alone, together) in alone.into_iter().zip(together) {
                together.into_data().assert_approx_eq(&alone.into_data(), Tolerance::<f32>::absolute(1e-6));
            }
        };
        check(layer.clone(), x.clone().autodiff(), skip.clone().autodiff());
        // By the running statistics, which have moved.
        check(layer.valid(), x, skip);
    }

    #[test]
    fn a_frozen_layer_keeps_its_statistics() {
        let device = Device::flex().autodiff();
        let layer = BatchNormConfig::new(1).init(&device).freeze();
        let y = layer.forward(Tensor::<2>::from_data([[1.0], [3.0]], &device));
        // The fresh statistics, mean 0 and variance 1: x / sqrt(1 + 1e-5).
        y.into_data()
            .assert_approx_eq(&TensorData::from([[1.0f32], [3.0]]), Tolerance::<f32>::absolute(1e-4));
        assert_eq!(layer.running_mean.value_sync().into_data(), TensorData::from([0.0f32]));
    }
}
