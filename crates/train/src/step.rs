//! What a step learns from its batches: losses and gradients.

use burn::module::ModuleVisitor;
use burn::optim::GradientsParams;
use burn::prelude::*;
use kiln_core::{Batch, Error, Losses, Network, Result, Task};

use crate::sam::Statistics;
use crate::state::State;
use crate::times::{Clock, Part};
use crate::walk::mapped_gradients;
use crate::{Place, Recipe};

/// What a step learned.
pub(crate) struct Learned {
    /// The parts of the loss, averaged over the step's images.
    pub losses: Vec<(&'static str, f32)>,
    /// Their sum.
    pub loss: f32,
    /// Images.
    pub items: usize,
    /// Clipped, for the optimizer.
    pub gradients: GradientsParams,
}

/// How steps learn.
pub(crate) struct Learner<'a, T> {
    pub task: &'a T,
    pub recipe: &'a Recipe,
    pub seed: u64,
}

/// The batches of one step: so many, or what is left of the epoch.
///
/// # Errors
/// A batch that cannot be read.
pub(crate) fn gathered(
    source: &mut impl Iterator<Item = Result<Batch>>,
    accumulate: usize,
) -> Result<Vec<Batch>> {
    source.take(accumulate).collect()
}

impl<T: Task> Learner<'_, T> {
    /// Losses and gradients of a network over the batches of the step after `state`, which is one of `steps` of its epoch.
    ///
    /// # Errors
    /// A loss that is not finite: the step must not be taken.
    pub fn learn<N>(
        &self,
        network: &N,
        batches: &[Batch],
        state: &State,
        steps: usize,
        clock: &mut Clock,
    ) -> Result<Learned>
    where
        N: Network<Output = T::Output>,
    {
        let mut learned = self.pass(network, batches, state, steps, clock)?;
        if let Some(sam) = self.recipe.sam {
            let statistics = Statistics::of(network);
            let uphill = sam.climbed(network, learned.gradients);
            clock.lap(Part::Step);
            learned.gradients = self.pass(&uphill, batches, state, steps, clock)?.gradients;
            // The running statistics are shared, so this puts back the network's own.
            drop(statistics.put_back(uphill));
        }
        if let Some(clip) = self.recipe.clip {
            learned.gradients = clip.clipped(network, learned.gradients);
        }
        Ok(learned)
    }

    /// Forward and backward over the batches, one after the other; what they say is weighed by their images.
    fn pass<N>(
        &self,
        network: &N,
        batches: &[Batch],
        state: &State,
        steps: usize,
        clock: &mut Clock,
    ) -> Result<Learned>
    where
        N: Network<Output = T::Output>,
    {
        let device = device_of(network);
        let items = |batch: &Batch| batch.images.dims()[0];
        let all: usize = batches.iter().map(items).sum();
        let mut losses: Vec<(&'static str, f32)> = Vec::new();
        let mut sum = GradientsParams::new();
        for (index, batch) in batches.iter().enumerate() {
            // Dropout draws from the device: from the batch's own seed, a resumed run draws the same.
            let number = state.place.global_step * self.recipe.accumulate + index;
            device.seed(seed_of(self.seed, number));
            let loss = self.task.loss(network.forward_train(batch.images.clone()), batch);
            let values = finite(&loss, state, steps)?;
            clock.lap(Part::Forward);
            let gradients = GradientsParams::from_grads(loss.total().backward(), network);
            match batches.len() {
                1 => (losses, sum) = (values, gradients),
                _ => {
                    let share = items(batch) as f64 / all as f64;
                    for (name, value) in values {
                        let value = (f64::from(value) * share) as f32;
                        match losses.iter_mut().find(|(known, _)| *known == name) {
                            Some((_, sum)) => *sum += value,
                            None => losses.push((name, value)),
                        }
                    }
                    let gradients = mapped_gradients(network, gradients, |_, gradient| gradient * share);
                    sum = added(network, sum, gradients);
                }
            }
            clock.lap(Part::Backward);
        }
        let loss = losses.iter().map(|(_, value)| value).sum();
        Ok(Learned { losses, loss, items: all, gradients: sum })
    }
}

/// Gradients added up; where one side has none, the other's.
pub(crate) fn added<M: Module>(
    module: &M,
    sum: GradientsParams,
    gradients: GradientsParams,
) -> GradientsParams {
    struct Add {
        sum: GradientsParams,
        gradients: GradientsParams,
    }
    impl ModuleVisitor for Add {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            let Some(gradient) = self.gradients.remove::<D>(param.id) else { return };
            let gradient = match self.sum.remove::<D>(param.id) {
                Some(sum) => sum + gradient,
                None => gradient,
            };
            self.sum.register(param.id, gradient);
        }
    }
    let mut add = Add { sum, gradients };
    module.visit(&mut add);
    add.sum
}

/// The parts of a loss as numbers.
///
/// # Errors
/// A part that is not a finite number; the step must not be taken then.
fn finite(losses: &Losses, state: &State, steps: usize) -> Result<Vec<(&'static str, f32)>> {
    let values = losses.parts().iter().map(|(name, value)| (*name, value.clone().into_scalar::<f32>()));
    let values: Vec<_> = values.collect();
    let total: f32 = values.iter().map(|(_, value)| value).sum();
    let broken = values.iter().find(|(_, value)| !value.is_finite()).copied();
    let Some((part, value)) = broken.or((!total.is_finite()).then_some(("sum", total))) else {
        return Ok(values);
    };
    let Place { epoch, step, global_step } = state.place;
    let before = match global_step {
        0 => "it was the first step".to_string(),
        _ => format!("the loss before it was {}", state.last_loss as f32),
    };
    let message = format!(
        "the loss is not finite: `{part}` is {value} in epoch {}, step {} of {steps} (step {} of the run); {before}",
        epoch + 1,
        step + 1,
        global_step + 1
    );
    Err(Error::failure(message).hint("try a lower learning rate or a longer warm-up, and check the data"))
}

/// The seed of a batch, as SplitMix64 (Steele et al., 2014) makes one number of many.
pub(crate) fn seed_of(seed: u64, number: usize) -> u64 {
    let mut z = seed.wrapping_add((number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

pub(crate) fn device_of<N: Network>(network: &N) -> Device {
    network.devices().into_iter().next().expect("a network has parameters, which are on a device")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_of_batches_are_those_of_splitmix() {
        // The first outputs of SplitMix64 seeded with 1234567, as published with xoshiro (Vigna, prng.di.unimi.it).
        let first: Vec<u64> = (0..3).map(|number| seed_of(1_234_567, number)).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }
}
