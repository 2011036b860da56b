//! `steps.csv`: the loss and the rate of every step, for the curves.

use std::path::{Path, PathBuf};

use kiln_core::Result;
use kiln_train::{Event, Observer};

use super::rows::{Rows, read};
use crate::report::StepRow;

/// Writes down every step. A run that goes on drops the steps that it will take again.
pub struct Steps(Rows);

impl Steps {
    /// Of the run whose `steps.csv` is at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self(Rows::new(path, "step,loss,rate"))
    }

    /// The steps in such a file; none if it is not there.
    ///
    /// # Errors
    /// A file that cannot be read or holds something else.
    pub fn read(path: &Path) -> Result<Vec<StepRow>> {
        read(path, |cells| match cells {
            [step, loss, rate] => {
                Some(StepRow { step: step.parse().ok()?, loss: loss.parse().ok()?, rate: rate.parse().ok()? })
            }
            _ => None,
        })
    }
}

impl<N> Observer<N> for Steps {
    fn notify(&mut self, event: &Event<N>) -> Result<()> {
        match event {
            Event::RunStarted { resumed, .. } => self.0.begin(resumed.map_or(0, |place| place.global_step)),
            Event::Step { global_step, loss, rate, .. } => {
                self.0.push(&format!("{global_step},{loss},{rate}"))
            }
            // A run that goes on from the checkpoint must find its steps.
            Event::Checkpointing { .. } => self.0.sync(),
            Event::Finished { .. } => self.0.flush(),
            _ => Ok(()),
        }
    }
}
