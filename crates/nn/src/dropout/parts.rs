//! Dropout of whole parts of a layer's values.

use burn::config::Config;
use burn::prelude::*;

use crate::Draws;

/// What is dropped together.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Part {
    /// Each value for itself: standard dropout. Hinton et al. 2012; Srivastava et al. 2014.
    Value,
    /// A channel of an image: spatial dropout, PyTorch's `Dropout2d`. Tompson et al. 2015, *Efficient object localization using convolutional
    /// networks*.
    Channel,
    /// A sample: DropPath, stochastic depth for each sample, around a residual branch. Huang et al. 2016; Larsson et al. 2017.
    Sample,
    /// A feature at all steps of a sequence `[batch, steps, features]`: "locked" or variational dropout of recurrent networks. Gal and Ghahramani
    /// 2016, *A theoretically grounded application of dropout in recurrent neural networks*.
    Feature,
}

/// The settings of a [`PartDropout`].
#[derive(Config, Debug)]
pub struct PartDropoutConfig {
    /// How probable it is that a part is dropped.
    pub probability: f64,
    /// What is dropped together.
    #[config(default = "Part::Value")]
    pub part: Part,
}

/// Parts become zeros, and the others are divided by the probability of staying, so that the mean stays what it is; in evaluation all stay as they are.
#[derive(Module, Debug)]
pub struct PartDropout {
    /// How probable it is that a part is dropped.
    pub probability: f64,
    /// What is dropped together.
    #[module(skip)]
    pub part: Part,
}

impl PartDropoutConfig {
    /// The layer.
    ///
    /// # Panics
    /// If the probability is not from 0 to 1, or is 1: nothing would stay.
    pub fn init(&self) -> PartDropout {
        assert!((0.0..1.0).contains(&self.probability), "a probability of {}", self.probability);
        PartDropout { probability: self.probability, part: self.part }
    }
}

impl PartDropout {
    /// Drops on a device with gradients.
    ///
    /// # Shapes
    /// `[batch, ..]` to the same
    pub fn forward<const D: usize>(&self, x: Tensor<D>, draws: &mut Draws) -> Tensor<D> {
        if x.device().is_autodiff() { self.dropped(x, draws) } else { x }
    }

    /// Drops wherever it is: what Monte-Carlo dropout evaluates with.
    ///
    /// # Shapes
    /// `[batch, ..]` to the same
    ///
    /// # Panics
    /// If a sequence's features are asked for and there are no three sides.
    pub fn dropped<const D: usize>(&self, x: Tensor<D>, draws: &mut Draws) -> Tensor<D> {
        let sides = x.dims();
        let mut mask = [1; D];
        match self.part {
            Part::Value => mask = sides,
            Part::Channel => mask[..2].copy_from_slice(&sides[..2]),
            Part::Sample => mask[0] = sides[0],
            Part::Feature => {
                assert_eq!(D, 3, "{sides:?} is no sequence");
                (mask[0], mask[2]) = (sides[0], sides[2]);
            }
        }
        let stay = 1.0 - self.probability;
        let mask = draws.ones(stay, mask, &x);
        x * (mask / stay)
    }
}

/// How probable it is that residual block `block` of `blocks`, counted from 1, stays: 1 before the first, `last` for the last, evenly
/// between. Huang et al. 2016, *Deep networks with stochastic depth*, equation 4, where `last` is 0.5.
pub fn survival(block: usize, blocks: usize, last: f64) -> f64 {
    1.0 - block as f64 / blocks as f64 * (1.0 - last)
}

/// The settings of a [`GaussianDropout`].
#[derive(Config, Debug)]
pub struct GaussianDropoutConfig {
    /// That of the standard dropout with as much variance.
    pub probability: f64,
}

/// Values times numbers of mean 1 and variance `p / (1 - p)`, which is that of standard dropout's factors; in evaluation they stay as they are.
/// Srivastava et al. 2014, Section 10; Wang and Manning 2013.
#[derive(Module, Debug)]
pub struct GaussianDropout {
    /// That of the standard dropout with as much variance.
    pub probability: f64,
}

impl GaussianDropoutConfig {
    /// The layer.
    ///
    /// # Panics
    /// If the probability is not from 0 to 1, or is 1.
    pub fn init(&self) -> GaussianDropout {
        assert!((0.0..1.0).contains(&self.probability), "a probability of {}", self.probability);
        GaussianDropout { probability: self.probability }
    }
}

impl GaussianDropout {
    /// Noisy on a device with gradients.
    ///
    /// # Shapes
    /// Any to the same.
    pub fn forward<const D: usize>(&self, x: Tensor<D>, draws: &mut Draws) -> Tensor<D> {
        if x.device().is_autodiff() { self.dropped(x, draws) } else { x }
    }

    /// Noisy wherever it is.
    ///
    /// # Shapes
    /// Any to the same.
    pub fn dropped<const D: usize>(&self, x: Tensor<D>, draws: &mut Draws) -> Tensor<D> {
        let deviation = (self.probability / (1.0 - self.probability)).sqrt();
        let noise = draws.normal(x.dims(), &x) * deviation + 1.0;
        x * noise
    }
}

/// The state of a recurrent network that partly stays what it was: each value with this probability. In evaluation, on a device without gradients, the mean
/// of both by the probabilities. Krueger et al. 2017, *Zoneout*; 0.5 for an LSTM's cells and 0.05 for its outputs in the paper.
///
/// # Shapes
/// Two of the same to the same.
pub fn zoneout<const D: usize>(
    before: Tensor<D>,
    after: Tensor<D>,
    probability: f64,
    draws: &mut Draws,
) -> Tensor<D> {
    let stays = match after.device().is_autodiff() {
        true => draws.ones(probability, after.dims(), &after),
        false => after.full_like(probability),
    };
    after.clone() + stays * (before - after)
}
