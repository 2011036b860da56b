//! What happens in a run, told to whoever watches.

use std::path::Path;

use burn::optim::GradientsParams;
use kiln_core::{Error, Result};

use crate::{EpochSummary, Outcome, Place, Times};

/// What happens in a run. Epochs and steps are counted from 1.
#[derive(Debug)]
pub enum Event<'a, N> {
    /// The latest checkpoint is damaged, and the run goes on from one before it. This comes before all else.
    Damaged {
        /// What is wrong with it.
        why: &'a Error,
        /// The folder of the one that is taken.
        instead: &'a Path,
    },
    /// The run begins, or goes on.
    RunStarted {
        /// Epochs it will have; the last may be cut short.
        epochs: usize,
        /// Steps a whole epoch has.
        steps_per_epoch: usize,
        /// Steps it will have in all.
        steps: usize,
        /// Images a whole epoch goes through.
        items: usize,
        /// Where it goes on, if it does.
        resumed: Option<Place>,
        /// The epochs already done.
        history: &'a [EpochSummary],
    },
    /// An epoch begins, or goes on.
    EpochStarted {
        /// Which.
        epoch: usize,
        /// Its steps.
        steps: usize,
        /// Those of them already done.
        done: usize,
    },
    /// The gradients of a step are known, and the step is not taken yet.
    Learned {
        /// Which step of the run.
        global_step: usize,
        /// The network that they are of.
        network: &'a N,
        /// What the optimizer is given: of all batches of the step, clipped; with [`crate::Sam`], of the weights uphill. [`crate::parameters`]
        /// reads them.
        gradients: &'a GradientsParams,
    },
    /// A step was taken.
    Step {
        /// In which epoch.
        epoch: usize,
        /// Which step of the epoch.
        step: usize,
        /// Of so many.
        steps: usize,
        /// Which step of the run.
        global_step: usize,
        /// The parts of the loss.
        losses: &'a [(&'static str, f32)],
        /// Their sum.
        loss: f32,
        /// The learning rate.
        rate: f64,
        /// Images in its batches.
        items: usize,
        /// Where the time of the epoch went, up to and with this step.
        times: Times,
    },
    /// A batch of test images was gone through.
    EvaluationStep {
        /// After which epoch.
        epoch: usize,
        /// Which batch.
        step: usize,
        /// Of so many.
        steps: usize,
    },
    /// An epoch is done and its network was tried on the test images.
    Evaluated {
        /// What it came to.
        summary: &'a EpochSummary,
        /// It is the best so far.
        best: bool,
        /// The network, in evaluation mode.
        network: &'a N,
        /// The average of its weights, where it was tried: if the epoch is the best, this is the best network.
        average: Option<&'a N>,
        /// Where the time of the epoch's steps went, of those since the run went on.
        times: Times,
    },
    /// A checkpoint will be written. What a run that goes on from it must find is to be on the disk before.
    Checkpointing {
        /// Where.
        place: Place,
    },
    /// A checkpoint was written.
    Checkpointed {
        /// Its folder.
        path: &'a Path,
    },
    /// The run was asked to stop; its checkpoint is written.
    Interrupted {
        /// Where it stopped.
        place: Place,
    },
    /// The run is done.
    Finished {
        /// All its epochs.
        history: &'a [EpochSummary],
        /// The best of them.
        best: Option<&'a EpochSummary>,
        /// Whether it went to its end, or ended early.
        outcome: Outcome,
    },
}

impl<'a, N> Event<'a, N> {
    /// A step that led to `place`, in an epoch of so many.
    pub(crate) fn step(
        place: Place,
        steps: usize,
        losses: &'a [(&'static str, f32)],
        loss: f32,
        rate: f64,
        items: usize,
        times: Times,
    ) -> Self {
        let Place { epoch, step, global_step } = place;
        Self::Step { epoch: epoch + 1, step, steps, global_step, losses, loss, rate, items, times }
    }
}

/// Someone who watches a run.
pub trait Observer<N> {
    /// Hears of an event.
    ///
    /// # Errors
    /// Whatever kept it from doing its work; the run ends with it.
    fn notify(&mut self, event: &Event<N>) -> Result<()>;
}

impl<N> Observer<N> for [&mut dyn Observer<N>] {
    fn notify(&mut self, event: &Event<N>) -> Result<()> {
        self.iter_mut().try_for_each(|observer| observer.notify(event))
    }
}
