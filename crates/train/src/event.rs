//! What happens in a run, told to whoever watches.

use std::path::Path;

use kiln_core::Result;

use crate::{EpochSummary, Place};

/// What happens in a run. Epochs and steps are counted from 1.
#[derive(Debug)]
pub enum Event<'a, N> {
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
        /// Images in the batch.
        items: usize,
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
    },
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
