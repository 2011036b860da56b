//! The loop.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::{ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::prelude::*;
use kiln_core::{Batches, Error, Losses, Network, Result, Score, Task};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoints, Identity, all_finite, latest};
use crate::state::{State, best};
use crate::{EpochSummary, Event, Observer, Optimizer, OptimizerConfig, Place, ScheduleConfig};

/// How a network is trained.
#[derive(Debug, Clone)]
pub struct Trainer {
    /// The run's folder; checkpoints go to `checkpoints/` in it.
    pub run: PathBuf,
    /// How long.
    pub length: Length,
    /// The rate that the schedule starts from.
    pub learning_rate: f64,
    /// How gradients become steps.
    pub optimizer: OptimizerConfig,
    /// How the rate changes.
    pub schedule: ScheduleConfig,
    /// What every random number comes from.
    pub seed: u64,
    /// Checkpoints that are kept, the latest of them; at least 1.
    pub keep: usize,
    /// Go on from the latest checkpoint.
    pub resume: bool,
}

/// How long a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Length {
    /// Passes over the training images.
    Epochs(usize),
    /// Batches; the last epoch may be cut short.
    Steps(usize),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It went to its end.
    Finished,
    /// It was asked to stop, and can be resumed.
    Interrupted,
}

/// A run's result.
#[derive(Debug)]
pub struct Fit<N> {
    /// The network after the last step, in evaluation mode.
    pub network: N,
    /// How the run ended.
    pub outcome: Outcome,
    /// Where it ended.
    pub place: Place,
    /// The epochs done, those before a resume included.
    pub history: Vec<EpochSummary>,
}

impl<N> Fit<N> {
    /// The best epoch: the one with the highest first figure. `None` if none was done.
    pub fn best(&self) -> Option<&EpochSummary> {
        best(&self.history)
    }

    /// The last epoch. `None` if none was done.
    pub fn last(&self) -> Option<&EpochSummary> {
        self.history.last()
    }
}

impl Trainer {
    /// Trains `network`, which is on an autodiff device, as are the images of `train`; those of `test` are on the same
    /// device without autodiff.
    ///
    /// It ends early when `stop` is set, with a checkpoint of that very step. A run that is resumed from any of its
    /// checkpoints gives the numbers of the unbroken run, bit for bit on devices that compute the same twice.
    ///
    /// # Errors
    /// Settings that make no sense; a batch that cannot be read; a loss or a weight that is no longer finite; a
    /// checkpoint that cannot be written or, to resume, read; whatever an observer fails with.
    ///
    /// # Panics
    /// If the network has no parameter that can be trained, as when its device is without autodiff.
    pub fn fit<N, T>(
        &self,
        network: N,
        task: &T,
        train: &impl Batches,
        test: &impl Batches,
        observers: &mut [&mut dyn Observer<N>],
        stop: &AtomicBool,
    ) -> Result<Fit<N>>
    where
        N: Network<Output = T::Output>,
        T: Task,
    {
        let plan = self.plan(train)?;
        let Plan { steps, steps_per_epoch, epochs } = plan;
        let schedule = self.schedule.resolve(self.learning_rate, steps_per_epoch, steps)?;
        let (items, optimizer) = (train.items(), self.optimizer.name().to_string());
        let identity = Identity { seed: self.seed, steps_per_epoch, items, optimizer };
        let checkpoints = Checkpoints::new(&self.run, self.keep, identity.clone());
        let (mut network, mut optimizer, mut state) = self.begin(network, &plan, &identity)?;
        let device = device_of(&network);
        let resumed = self.resume.then_some(state.place);
        let history = &state.history;
        observers.notify(&Event::RunStarted { epochs, steps_per_epoch, steps, items, resumed, history })?;

        while state.place.epoch < epochs {
            let Place { epoch, step: done, .. } = state.place;
            let in_epoch = steps_per_epoch.min(steps - epoch * steps_per_epoch);
            observers.notify(&Event::EpochStarted { epoch: epoch + 1, steps: in_epoch, done })?;
            for batch in train.epoch(epoch, done).take(in_epoch - done) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let batch = batch?;
                // Dropout draws from the device: from the step's own seed, a resumed run draws the same.
                device.seed(seed_of(self.seed, state.place.global_step));
                let losses = task.loss(network.forward_train(batch.images.clone()), &batch);
                let values = finite(&losses, &state, in_epoch)?;
                let loss = values.iter().map(|(_, value)| value).sum();
                let rate = schedule.rate(state.place.global_step, &state.history);
                let gradients = GradientsParams::from_grads(losses.total().backward(), &network);
                network = optimizer.step(rate, network, gradients);
                let [items, ..] = batch.images.dims();
                state.end_step(loss, items, rate);
                let Place { step, global_step, .. } = state.place;
                let (epoch, steps, losses) = (epoch + 1, in_epoch, &values[..]);
                observers.notify(&Event::Step {
                    epoch,
                    step,
                    steps,
                    global_step,
                    losses,
                    loss,
                    rate,
                    items,
                })?;
            }

            // Burn queues the last update of running statistics; evaluation mode is sure to have it.
            let evaluated = network.valid();
            all_finite(&evaluated, state.place)?;
            let Some(Evaluation { loss, figures }) =
                evaluate(&evaluated, task, test, &state, observers, stop)?
            else {
                let path = checkpoints.save(&evaluated, &optimizer, &state)?;
                observers.notify(&Event::Checkpointed { path: &path })?;
                observers.notify(&Event::Interrupted { place: state.place })?;
                return Ok(self.end(evaluated, Outcome::Interrupted, state));
            };
            check_length(&state, in_epoch)?;
            let best = state.end_epoch(loss, figures);
            let summary = &state.history[epoch];
            observers.notify(&Event::Evaluated { summary, best, network: &evaluated })?;
            let path = checkpoints.save(&evaluated, &optimizer, &state)?;
            observers.notify(&Event::Checkpointed { path: &path })?;
        }
        observers.notify(&Event::Finished { history: &state.history, best: best(&state.history) })?;
        Ok(self.end(network.valid(), Outcome::Finished, state))
    }

    fn plan(&self, train: &impl Batches) -> Result<Plan> {
        let steps_per_epoch = train.steps();
        if steps_per_epoch == 0 {
            return Err(Error::input(format!("{} training images do not fill a batch", train.items()))
                .place("batch_size")
                .hint("make it smaller"));
        }
        let steps = match self.length {
            Length::Epochs(epochs) => epochs * steps_per_epoch,
            Length::Steps(steps) => steps,
        };
        match steps {
            0 => Err(Error::input("a run of no steps").place("epochs").hint("give 1 or more")),
            steps => Ok(Plan { steps, steps_per_epoch, epochs: steps.div_ceil(steps_per_epoch) }),
        }
    }

    /// The start of the run, or its latest checkpoint. Every parameter is drawn here, in the network's order.
    fn begin<N: Network>(
        &self,
        network: N,
        plan: &Plan,
        identity: &Identity,
    ) -> Result<(N, Optimizer, State)> {
        let checkpoint = latest(&self.run)?;
        device_of(&network).seed(self.seed);
        let mut parameters = Parameters::default();
        network.visit(&mut parameters);
        assert!(parameters.trainable > 0, "no parameter to train: is the network on an autodiff device?");
        let network = self.optimizer.freeze(network)?;
        match (self.resume, checkpoint) {
            (false, None) => Ok((network, self.optimizer.init()?, State::default())),
            (false, Some(checkpoint)) => Err(Error::input("the run has checkpoints already")
                .file(checkpoint.folder())
                .hint("resume it, or choose another run folder")),
            (true, None) => Err(Error::input("has no checkpoint to resume from")
                .file(self.run.join("checkpoints"))
                .hint("start the run without resuming")),
            (true, Some(checkpoint)) => {
                checkpoint.check(identity)?;
                plan.check(checkpoint.place()).map_err(|error| error.file(checkpoint.folder()))?;
                // The optimizer works on tensors without autodiff.
                let inner = device_of(&network).inner();
                let network = checkpoint.network(network)?;
                Ok((network, checkpoint.optimizer(&self.optimizer, &inner)?, checkpoint.state().clone()))
            }
        }
    }

    fn end<N>(&self, network: N, outcome: Outcome, state: State) -> Fit<N> {
        Fit { network, outcome, place: state.place, history: state.history }
    }
}

struct Plan {
    steps: usize,
    steps_per_epoch: usize,
    epochs: usize,
}

impl Plan {
    /// Makes sure that a checkpoint's place is on the way of a run of this length.
    fn check(&self, place: Place) -> Result<()> {
        let Place { epoch, step, global_step } = place;
        let on_the_way = global_step == epoch * self.steps_per_epoch + step && global_step <= self.steps;
        match on_the_way || global_step == self.steps {
            true => Ok(()),
            false => Err(Error::input(format!(
                "a run of {} steps does not come through step {step} of epoch {}, where this checkpoint is",
                self.steps,
                epoch + 1
            ))
            .hint(
                "resume with the same length, or with one of whole epochs from a checkpoint between epochs",
            )),
        }
    }
}

struct Evaluation {
    loss: f64,
    figures: Vec<(&'static str, f64)>,
}

/// Tries a network, which is in evaluation mode, on the test images; `None` if it was asked to stop.
fn evaluate<N, T>(
    network: &N,
    task: &T,
    test: &impl Batches,
    state: &State,
    observers: &mut [&mut dyn Observer<N>],
    stop: &AtomicBool,
) -> Result<Option<Evaluation>>
where
    N: Network<Output = T::Output>,
    T: Task,
{
    let stopped = || stop.load(Ordering::Relaxed);
    let (mut score, mut loss_sum, mut items) = (task.score(), 0.0, 0);
    let mut batches = test.epoch(0, 0).enumerate();
    while !stopped() {
        let Some((index, batch)) = batches.next() else {
            return Ok(Some(Evaluation { loss: loss_sum / items as f64, figures: score.figures() }));
        };
        let batch = batch?;
        let output = network.forward(batch.images.clone());
        let [in_batch, ..] = batch.images.dims();
        let loss = task.loss(output.clone(), &batch).total().into_scalar::<f32>();
        loss_sum += f64::from(loss) * in_batch as f64;
        items += in_batch;
        score.update(output, &batch);
        let (epoch, step, steps) = (state.place.epoch + 1, index + 1, test.steps());
        observers.notify(&Event::EvaluationStep { epoch, step, steps })?;
    }
    Ok(None)
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

/// An epoch of fewer batches than its source promised would make every later step another one.
fn check_length(state: &State, steps: usize) -> Result<()> {
    match state.place.step {
        step if step == steps => Ok(()),
        step => Err(Error::failure(format!(
            "epoch {} ended after {step} batches, where {steps} were promised",
            state.place.epoch + 1
        ))),
    }
}

/// The seed of a step, as SplitMix64 (Steele et al., 2014) makes one number of many.
pub(crate) fn seed_of(seed: u64, step: usize) -> u64 {
    let mut z = seed.wrapping_add((step as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

pub(crate) fn device_of<N: Network>(network: &N) -> Device {
    network.devices().into_iter().next().expect("a network has parameters, which are on a device")
}

/// Counts parameters. To be counted they are read, and to be read Burn draws those that are not drawn yet.
#[derive(Default)]
struct Parameters {
    trainable: usize,
}

impl ModuleVisitor for Parameters {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.trainable += usize::from(param.val().is_require_grad());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_of_steps_are_those_of_splitmix() {
        // The first outputs of SplitMix64 seeded with 1234567, as published with xoshiro (Vigna, prng.di.unimi.it).
        let first: Vec<u64> = (0..3).map(|step| seed_of(1_234_567, step)).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }
}
