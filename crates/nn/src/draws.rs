//! Random numbers for layers, from a seed of their own.

use std::ops::Range;

use burn::prelude::*;
use burn::tensor::Distribution;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// A source of random numbers that is handed to every layer that draws: the same seed gives the same numbers on every device, whatever else is
/// drawn beside it.
///
/// The numbers of a training step are those of `Draws::new(seed)` with a seed made of the run's seed and the step, so that a run can be
/// resumed anywhere; within a network, [`Draws::of`] takes one from the device, which the training loop seeds that way.
#[derive(Debug, Clone)]
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Numbers whose seed the device draws.
    pub fn of(device: &Device) -> Self {
        // 2^24 whole numbers, all of which are floats.
        let seed = Tensor::<1>::random([2], Distribution::Uniform(0.0, 16_777_216.0), device);
        let halves = seed.into_data();
        Self::new(halves.iter::<f32>().fold(0, |seed, half| seed << 24 | half as u64))
    }

    /// Ones with this probability, and zeros, of the precision and on the device of `like`.
    pub fn ones<const D: usize, const E: usize>(
        &mut self,
        probability: f64,
        sides: [usize; D],
        like: &Tensor<E>,
    ) -> Tensor<D> {
        self.filled(sides, like, |rng| f64::from(rng.random_bool(probability)))
    }

    /// Numbers drawn evenly from an interval.
    pub fn uniform<const D: usize, const E: usize>(
        &mut self,
        of: Range<f64>,
        sides: [usize; D],
        like: &Tensor<E>,
    ) -> Tensor<D> {
        self.filled(sides, like, |rng| of.start + (of.end - of.start) * rng.random::<f64>())
    }

    /// Numbers of the normal distribution with mean 0 and variance 1.
    pub fn normal<const D: usize, const E: usize>(
        &mut self,
        sides: [usize; D],
        like: &Tensor<E>,
    ) -> Tensor<D> {
        self.filled(sides, like, |rng| rng.sample(StandardNormal))
    }

    /// Whether something of this probability happens.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.0.random_bool(probability)
    }

    /// A whole number below `end`.
    ///
    /// # Panics
    /// If there is none.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    fn filled<const D: usize, const E: usize>(
        &mut self,
        sides: [usize; D],
        like: &Tensor<E>,
        mut one: impl FnMut(&mut ChaCha8Rng) -> f64,
    ) -> Tensor<D> {
        let values: Vec<f64> = (0..sides.iter().product()).map(|_| one(&mut self.0)).collect();
        let device = like.device();
        Tensor::from_data(TensorData::new(values, sides), (&device, like.dtype()))
    }
}
