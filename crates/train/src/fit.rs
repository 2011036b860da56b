//! The loop.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use kiln_core::{Batches, Error, Network, Result, Task};
use serde::{Deserialize, Serialize};

use crate::begin::{Plan, Run};
use crate::evaluate::evaluate;
use crate::saving::{Checkpoints, all_finite};
use crate::state::{State, best};
use crate::step::{Learned, Learner, gathered};
use crate::times::{Clock, Part};
use crate::{
    EpochSummary, Event, Observer, OptimizerConfig, Pace, Place, Recipe, Saving, ScheduleConfig, freeze,
};

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
    /// What else is done.
    pub recipe: Recipe,
    /// What every random number comes from.
    pub seed: u64,
    /// When checkpoints are written, and how many are kept.
    pub saving: Saving,
    /// Go on from the latest checkpoint.
    pub resume: bool,
}

/// How long a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Length {
    /// Passes over the training images.
    Epochs(usize),
    /// Steps; the last epoch may be cut short.
    Steps(usize),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It went to its end.
    Finished,
    /// It got no better, and [`crate::EarlyStop`] ended it.
    StoppedEarly,
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
    /// A constant rate, nothing but the optimizer, seed 0, a checkpoint an epoch.
    pub fn new(
        run: impl Into<PathBuf>,
        length: Length,
        learning_rate: f64,
        optimizer: OptimizerConfig,
    ) -> Self {
        Self {
            run: run.into(),
            length,
            learning_rate,
            optimizer,
            schedule: ScheduleConfig::default(),
            recipe: Recipe::default(),
            seed: 0,
            saving: Saving::default(),
            resume: false,
        }
    }

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
        self.recipe.check(epochs)?;
        self.schedule.check(&self.optimizer)?;
        let schedule = self.schedule.resolve(self.learning_rate, steps_per_epoch, steps)?;
        let identity = self.identity(&plan, train);
        let mut run = self.begin(network, &plan, &identity, observers)?;
        let mut checkpoints = Checkpoints::new(&self.run, self.saving, identity, run.state.place)?;
        let learner = Learner { task, recipe: &self.recipe, seed: self.seed };
        let (resumed, history) = (self.resume.then_some(run.state.place), &run.state.history);
        let items = train.items();
        observers.notify(&Event::RunStarted { epochs, steps_per_epoch, steps, items, resumed, history })?;

        while run.state.place.epoch < epochs && !self.recipe.ends_after(&run.state.history) {
            let Place { epoch, step: done, .. } = run.state.place;
            let in_epoch = plan.steps_in(epoch);
            let network = freeze::applied(&self.recipe.freeze, run.network, epoch);
            run.network = self.optimizer.freeze(network)?;
            observers.notify(&Event::EpochStarted { epoch: epoch + 1, steps: in_epoch, done })?;
            let mut clock = Clock::start();
            let mut source = train.epoch(epoch, done * self.recipe.accumulate);
            while run.state.place.step < in_epoch && !stop.load(Ordering::Relaxed) {
                clock.lap(Part::Other);
                let batches = gathered(&mut source, self.recipe.accumulate)?;
                clock.lap(Part::Data);
                if batches.is_empty() {
                    break;
                }
                let Learned { losses, loss, items, gradients } =
                    learner.learn(&run.network, &batches, &run.state, in_epoch, &mut clock)?;
                let (network, global_step) = (&run.network, run.state.place.global_step + 1);
                observers.notify(&Event::Learned { global_step, network, gradients: &gradients })?;
                clock.lap(Part::Other);
                let fixed = self.recipe.average.as_ref().and_then(|average| average.rate(epoch));
                let State { place, history, .. } = &run.state;
                let pace = fixed.map_or_else(|| schedule.pace(place.global_step, history), Pace::from);
                run.network = run.optimizer.step(pace, run.network, gradients);
                run.state.end_step(loss, items, pace.rate);
                run.average = run.average.map(|a| a.update(&run.network, run.state.place, in_epoch));
                clock.lap(Part::Step);
                let (times, place) = (clock.times(), run.state.place);
                observers.notify(&Event::step(place, in_epoch, &losses, loss, pace.rate, items, times))?;
                if checkpoints.is_due(place) && place.step < in_epoch {
                    clock.lap(Part::Other);
                    checkpoints.save(&run.network.valid(), &run, observers)?;
                    clock.lap(Part::Saving);
                }
            }
            drop(source);
            clock.lap(Part::Other);

            // Burn queues the last update of running statistics; evaluation mode is sure to have it.
            let evaluated = run.network.valid();
            all_finite(&evaluated, run.state.place)?;
            let ended = run.state.place.global_step == steps;
            let tried = evaluate(&evaluated, task, test, epoch + 1, observers, stop)?;
            let average = self.finished(&run, train, ended, epochs, stop)?;
            let averaged = match &average {
                Some(average) => evaluate(average, task, test, epoch + 1, observers, stop)?,
                None => None,
            };
            let (Some(tried), false) = (tried, stop.load(Ordering::Relaxed)) else {
                checkpoints.save(&evaluated, &run, observers)?;
                observers.notify(&Event::Interrupted { place: run.state.place })?;
                return Ok(self.end(evaluated, Outcome::Interrupted, run.state));
            };
            check_length(&run.state, in_epoch)?;
            let best = run.state.end_epoch(tried, averaged);
            let (summary, network, average) = (&run.state.history[epoch], &evaluated, average.as_ref());
            let times = clock.times();
            observers.notify(&Event::Evaluated { summary, best, network, average, times })?;
            checkpoints.save(&evaluated, &run, observers)?;
        }
        let outcome = match self.recipe.ends_after(&run.state.history) {
            true => Outcome::StoppedEarly,
            false => Outcome::Finished,
        };
        let history = &run.state.history;
        observers.notify(&Event::Finished { history, best: best(history), outcome })?;
        Ok(self.end(run.network.valid(), outcome, run.state))
    }

    /// The average as it is evaluated after this epoch, if it is.
    fn finished<N: Network>(
        &self,
        run: &Run<N>,
        train: &impl Batches,
        ended: bool,
        epochs: usize,
        stop: &AtomicBool,
    ) -> Result<Option<N>> {
        match &run.average {
            // The epoch after the last is an order of the images, and augmentation, like any other.
            Some(average) if average.is_due(ended) => average.finished(train, self.seed, epochs, stop),
            _ => Ok(None),
        }
    }

    fn end<N>(&self, network: N, outcome: Outcome, state: State) -> Fit<N> {
        Fit { network, outcome, place: state.place, history: state.history }
    }
}

/// An epoch of fewer batches than its source promised would make every later step another one.
fn check_length(state: &State, steps: usize) -> Result<()> {
    match state.place.step {
        step if step == steps => Ok(()),
        step => Err(Error::failure(format!(
            "epoch {} ended after {step} steps, where {steps} were promised",
            state.place.epoch + 1
        ))),
    }
}
