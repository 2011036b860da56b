//! `best.safetensors` and `last.safetensors`, kept up to date while a run goes on.

use std::path::PathBuf;

use kiln_core::Result;
use kiln_train::{Event, Observer};
use kiln_zoo::{Classifier, Preprocessing};

/// Writes the network's weights after every epoch, and once more if it is the best.
pub struct BestAndLast {
    /// The run's folder.
    pub run: PathBuf,
    /// What belongs to the weights.
    pub preprocessing: Preprocessing,
}

impl Observer<Classifier> for BestAndLast {
    fn notify(&mut self, event: &Event<Classifier>) -> Result<()> {
        if let Event::Evaluated { network, best, .. } = event {
            let last = self.run.join("last.safetensors");
            kiln_zoo::save(*network, Some(self.preprocessing.clone()), &last)?;
            if *best {
                kiln_zoo::save(
                    *network,
                    Some(self.preprocessing.clone()),
                    &self.run.join("best.safetensors"),
                )?;
            }
        }
        Ok(())
    }
}
