//! `best.safetensors`, `last.safetensors` and, where there is an average of the weights, `average.safetensors`, kept up to date
//! while a run goes on.

use std::path::PathBuf;

use kiln_core::Result;
use kiln_train::{Event, Observer};
use kiln_zoo::{Model, Preprocessing};

/// Writes the network's weights after every epoch, and their average's where it was tried; once more if it is the best: the
/// average where there is one, since by its figures the epoch is the best.
pub struct BestAndLast {
    /// The run's folder.
    pub run: PathBuf,
    /// What belongs to the weights.
    pub preprocessing: Preprocessing,
}

impl Observer<Model> for BestAndLast {
    fn notify(&mut self, event: &Event<Model>) -> Result<()> {
        let Event::Evaluated { network, best, average, .. } = event else { return Ok(()) };
        let write = |network: &Model, name: &str| {
            kiln_zoo::save(network, Some(self.preprocessing.clone()), &self.run.join(name))
        };
        write(network, "last.safetensors")?;
        if let Some(average) = average {
            write(average, "average.safetensors")?;
        }
        match best {
            true => write(average.unwrap_or(network), "best.safetensors"),
            false => Ok(()),
        }
    }
}
