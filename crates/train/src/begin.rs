//! The beginning of a run: how long it is, and where it starts or goes on.

use burn::module::{ModuleVisitor, Param};
use burn::prelude::*;
use kiln_core::{Batches, Error, Network, Result};

use crate::average::{Averaged, Progress};
use crate::checkpoint::{Identity, sound};
use crate::state::State;
use crate::step::device_of;
use crate::{Event, Length, Observer, Optimizer, Place, Trainer};

/// What moves while a run goes on.
pub(crate) struct Run<N> {
    pub network: N,
    pub optimizer: Optimizer,
    pub average: Option<Averaged<N>>,
    pub state: State,
}

/// How long a run is.
pub(crate) struct Plan {
    pub steps: usize,
    pub steps_per_epoch: usize,
    pub epochs: usize,
}

impl Plan {
    /// Steps of an epoch, counted from 0: the last may be cut short.
    pub fn steps_in(&self, epoch: usize) -> usize {
        self.steps_per_epoch.min(self.steps - epoch * self.steps_per_epoch)
    }

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

impl Trainer {
    pub(crate) fn plan(&self, train: &impl Batches) -> Result<Plan> {
        let steps_per_epoch = train.steps().div_ceil(self.recipe.accumulate.max(1));
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

    pub(crate) fn identity(&self, plan: &Plan, train: &impl Batches) -> Identity {
        Identity {
            seed: self.seed,
            steps_per_epoch: plan.steps_per_epoch,
            items: train.items(),
            accumulate: self.recipe.accumulate,
            optimizer: self.optimizer.name().to_string(),
            average: self.recipe.average.as_ref().map_or("none", |average| average.name()).to_string(),
        }
    }

    /// The start of the run, or its latest checkpoint that is whole. Every parameter is drawn here, in the network's order.
    pub(crate) fn begin<N: Network>(
        &self,
        network: N,
        plan: &Plan,
        identity: &Identity,
        observers: &mut [&mut dyn Observer<N>],
    ) -> Result<Run<N>> {
        let (checkpoint, damaged) = sound(&self.run)?;
        device_of(&network).seed(self.seed);
        let mut parameters = Parameters::default();
        network.visit(&mut parameters);
        assert!(parameters.trainable > 0, "no parameter to train: is the network on an autodiff device?");
        self.recipe.check_parts(&network, plan.epochs)?;
        let averaged = |network: N, progress| {
            let config = self.recipe.average.clone();
            config.map(|config| Averaged::new(config, network, progress))
        };
        let checkpoint = match (self.resume, checkpoint) {
            (false, None) if damaged.is_empty() => {
                let average = averaged(network.valid(), Progress::default());
                let (optimizer, state) = (self.optimizer.init()?, State::default());
                return Ok(Run { network, optimizer, average, state });
            }
            (false, _) => {
                return Err(Error::input("the run has checkpoints already")
                    .file(self.run.join("checkpoints"))
                    .hint("resume it, or choose another run folder"));
            }
            (true, Some(checkpoint)) => checkpoint,
            (true, None) => {
                let none = Error::input("has no checkpoint to resume from")
                    .file(self.run.join("checkpoints"))
                    .hint("start the run without resuming");
                return Err(damaged.into_iter().next().unwrap_or(none));
            }
        };
        checkpoint.check(identity)?;
        plan.check(checkpoint.place()).map_err(|error| error.file(checkpoint.folder()))?;
        for why in &damaged {
            observers.notify(&Event::Damaged { why, instead: checkpoint.folder() })?;
        }
        let state = checkpoint.state().clone();
        let average = match &self.recipe.average {
            Some(_) => averaged(checkpoint.average(network.valid())?, state.average.clone()),
            None => None,
        };
        // The optimizer works on tensors without autodiff.
        let inner = device_of(&network).inner();
        let optimizer = checkpoint.optimizer(&self.optimizer, &inner)?;
        Ok(Run { network: checkpoint.network(network)?, optimizer, average, state })
    }
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
