//! Normalizations of one image by itself: over the whole of it, over groups of channels, over each channel.

use burn::config::Config;
use burn::module::{Param, RunningState};
use burn::prelude::*;

use crate::Initializer;

/// Every row less its mean, over its standard deviation.
pub(super) fn normalized(rows: Tensor<3>, epsilon: f64) -> Tensor<3> {
    let centred = rows.clone() - rows.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    centred / (variance + epsilon).sqrt()
}

/// `gamma x + beta`, of each channel.
pub(super) fn scaled<const D: usize>(x: Tensor<D>, [gamma, beta]: [Tensor<1>; 2]) -> Tensor<D> {
    let mut sides = [1; D];
    sides[1] = x.dims()[1];
    x * gamma.reshape(sides) + beta.reshape(sides)
}

/// Moves a running statistic towards a batch's.
pub(super) fn moved(state: &RunningState<Tensor<1>>, batch: Tensor<1>, momentum: f64) {
    let running = state.value_sync().to_device(&batch.device());
    state.update(running * (1.0 - momentum) + batch.detach() * momentum);
}

/// The settings of a [`LayerNorm`].
#[derive(Config, Debug)]
pub struct LayerNormConfig {
    /// Channels, height and width of an image.
    pub image: [usize; 3],
    /// Added to the variance.
    #[config(default = 1e-5)]
    pub epsilon: f64,
}

/// Normalization of every image by all of its values, each of which has a factor and a summand: PyTorch's
/// `LayerNorm([channels, height, width])`. Ba et al. 2016, *Layer normalization*. With a factor a channel it is a [`GroupNorm`] of one
/// group.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// What every value is multiplied by, `[channels, height, width]`.
    pub gamma: Param<Tensor<3>>,
    /// What is added to every value, `[channels, height, width]`.
    pub beta: Param<Tensor<3>>,
    /// Added to the variance.
    pub epsilon: f64,
}

impl LayerNormConfig {
    /// A layer that only normalizes.
    pub fn init(&self, device: &Device) -> LayerNorm {
        LayerNorm {
            gamma: Initializer::Ones.init(self.image, device),
            beta: Initializer::Zeros.init(self.image, device),
            epsilon: self.epsilon,
        }
    }
}

impl LayerNorm {
    /// # Shapes
    /// `[batch, channels, height, width]` to the same
    ///
    /// # Panics
    /// If an image has not the layer's sides.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let sides = x.dims();
        assert_eq!(sides[1..], self.gamma.dims(), "an image and its normalization");
        let rows = x.reshape([sides[0], 1, sides[1..].iter().product()]);
        let [gamma, beta] = [&self.gamma, &self.beta].map(|one| one.val().unsqueeze::<4>());
        normalized(rows, self.epsilon).reshape(sides) * gamma + beta
    }
}

/// The settings of a [`GroupNorm`].
#[derive(Config, Debug)]
pub struct GroupNormConfig {
    /// Groups of channels.
    pub num_groups: usize,
    /// Channels.
    pub num_channels: usize,
    /// Added to the variance.
    #[config(default = 1e-5)]
    pub epsilon: f64,
}

/// Normalization of every group of neighbouring channels of an image: PyTorch's. Wu and He 2018, *Group normalization*.
#[derive(Module, Debug)]
pub struct GroupNorm {
    /// What every channel is multiplied by, `[channels]`.
    pub gamma: Param<Tensor<1>>,
    /// What is added to every channel, `[channels]`.
    pub beta: Param<Tensor<1>>,
    /// Groups of channels.
    pub num_groups: usize,
    /// Added to the variance.
    pub epsilon: f64,
}

impl GroupNormConfig {
    /// A layer that only normalizes.
    ///
    /// # Panics
    /// If the groups do not divide the channels.
    pub fn init(&self, device: &Device) -> GroupNorm {
        let Self { num_groups, num_channels, epsilon } = *self;
        assert_eq!(num_channels % num_groups, 0, "{num_channels} channels in {num_groups} groups");
        GroupNorm {
            gamma: Initializer::Ones.init([num_channels], device),
            beta: Initializer::Zeros.init([num_channels], device),
            num_groups,
            epsilon,
        }
    }
}

impl GroupNorm {
    /// # Shapes
    /// `[batch, channels, ..]` to the same
    ///
    /// # Panics
    /// If the channels are not the layer's.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let (sides, [channels]) = (x.dims(), self.gamma.dims());
        assert_eq!(sides[1], channels, "{sides:?} values for {channels} channels");
        let count = sides[1..].iter().product::<usize>() / self.num_groups;
        let x = normalized(x.reshape([sides[0], self.num_groups, count]), self.epsilon).reshape(sides);
        scaled(x, [self.gamma.val(), self.beta.val()])
    }
}

/// The settings of an [`InstanceNorm`]: PyTorch's `InstanceNorm2d`.
#[derive(Config, Debug)]
pub struct InstanceNormConfig {
    /// Channels.
    pub num_channels: usize,
    /// Added to the variance.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// Whether every channel has a factor and a summand.
    #[config(default = false)]
    pub affine: bool,
    /// How much of running statistics each batch replaces, of 1; without it there are none.
    #[config(default = "None")]
    pub momentum: Option<f64>,
}

/// Normalization of every channel of an image. Ulyanov et al. 2016, *Instance normalization: the missing ingredient for fast stylization*.
#[derive(Module, Debug)]
pub struct InstanceNorm {
    /// What every channel is multiplied by, and what is added to it, `[channels]` each.
    pub affine: Option<[Param<Tensor<1>>; 2]>,
    /// Mean and variance of the images of training, `[channels]` each.
    pub running: Option<[RunningState<Tensor<1>>; 2]>,
    /// How much of the running statistics each batch replaces, of 1.
    pub momentum: f64,
    /// Added to the variance.
    pub epsilon: f64,
}

impl InstanceNormConfig {
    /// A layer that only normalizes.
    pub fn init(&self, device: &Device) -> InstanceNorm {
        let [ones, zeros] =
            [Tensor::ones([self.num_channels], device), Tensor::zeros([self.num_channels], device)];
        let affine = [Param::from_tensor(ones.clone()), Param::from_tensor(zeros.clone())];
        InstanceNorm {
            affine: self.affine.then_some(affine),
            running: self.momentum.map(|_| [RunningState::new(zeros), RunningState::new(ones)]),
            momentum: self.momentum.unwrap_or_default(),
            epsilon: self.epsilon,
        }
    }
}

impl InstanceNorm {
    /// By the image's own statistics; on a device without gradients by the running ones, where there are any.
    ///
    /// # Shapes
    /// `[batch, channels, ..]` to the same
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let sides = x.dims();
        let (batch, channels) = (sides[0], sides[1]);
        let rows = x.reshape([batch, channels, sides[2..].iter().product()]);
        let x = match &self.running {
            Some([mean, variance]) if !rows.device().is_autodiff() => {
                let [mean, variance] = [mean, variance].map(|one| one.value().reshape([1, channels, 1]));
                (rows - mean) / (variance + self.epsilon).sqrt()
            }
            Some(running) => {
                self.update(running, rows.clone().detach());
                normalized(rows, self.epsilon)
            }
            None => normalized(rows, self.epsilon),
        };
        let x = x.reshape(sides);
        match &self.affine {
            Some(affine) => scaled(x, affine.each_ref().map(Param::val)),
            None => x,
        }
    }

    /// Moves the running statistics towards the mean of the images', the variance being unbiased.
    fn update(&self, running: &[RunningState<Tensor<1>>; 2], rows: Tensor<3>) {
        let [_, channels, count] = rows.dims();
        let mean = rows.clone().mean_dim(2);
        let unbiased = count as f64 / (count - 1) as f64;
        let variance = (rows - mean.clone()).square().mean_dim(2) * unbiased;
        for (state, batch) in running.iter().zip([mean, variance]) {
            moved(state, batch.mean_dim(0).reshape([channels]), self.momentum);
        }
    }
}
