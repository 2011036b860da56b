//! What the verbs that train begin with: an experiment, where to compute, its data, its network.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;
use kiln_core::{Error, Result};
use kiln_data::{Batching, Loader, LoaderOptions, Roots};
use kiln_zoo::{Model, StateDict};

use super::network::{filled, filled_in_part};
use crate::experiment::{Images, Prepared, Source};

/// The experiment that is run unless another is named.
pub const QUICKSTART: &str = "configs/quickstart.toml";
/// Where runs go unless told otherwise.
pub const RUNS: &str = "runs";

/// The options by which a command is told how to run an experiment.
#[derive(clap::Args)]
pub struct Chosen {
    /// Change a value of the experiment: --set train.lr=0.05
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Where to compute: flex, ndarray, wgpu, wgpu:0, cuda:0, …
    #[arg(long, default_value = "flex")]
    pub device: String,
}

impl Chosen {
    /// The experiment file, changed as the options say.
    ///
    /// # Errors
    /// A file that cannot be read; a change that makes no sense.
    pub fn read(&self, config: &Path) -> Result<Source> {
        // The quickstart is in the program, so that an installed `kiln` has it too.
        let mut source = match config == Path::new(QUICKSTART) && !config.exists() {
            true => Source::parse(config, include_str!("../../../../configs/quickstart.toml").to_string())?,
            false => Source::read(config)?,
        };
        for assignment in &self.set {
            source.set(assignment)?;
        }
        Ok(source)
    }

    /// The experiment, checked against its data set, on the device.
    ///
    /// # Errors
    /// A device that is not there; what [`Prepared::new`] says.
    pub fn open(&self, source: Source, roots: &Roots) -> Result<Opening> {
        let device = kiln_core::device(&self.device)?;
        let prepared = Prepared::new(&source, roots)?;
        let training_device = device.clone().autodiff();
        Ok(Opening { source, prepared, device, training_device })
    }
}

/// An experiment and where it is computed.
pub struct Opening {
    /// As typed.
    pub source: Source,
    /// As meant.
    pub prepared: Prepared,
    /// Where images are tried.
    pub device: Device,
    /// The same, with autodiff.
    pub training_device: Device,
}

impl Opening {
    /// `[height, width]` of the first image, of a size that the network takes.
    ///
    /// # Errors
    /// Data that is not here or cannot be read; a network that does not take its images.
    pub fn image_size(&self) -> Result<[usize; 2]> {
        if let Some(absence) = &self.prepared.absence {
            return Err(absence.clone());
        }
        let first = self.prepared.test.0.get(0)?;
        let size = [first.image.height() as usize, first.image.width() as usize];
        self.prepared.takes(Some(size))?;
        Ok(size)
    }

    /// The network that a training begins with: of the experiment's weight file, or fresh.
    ///
    /// # Errors
    /// Weights that cannot be read or do not fit.
    pub fn network(&self) -> Result<Model> {
        let Prepared { entry, classes, experiment, .. } = &self.prepared;
        match &experiment.model.weights {
            Some(file) => {
                let fill = if experiment.model.partial { filled_in_part } else { filled };
                fill(entry, StateDict::read(file)?, classes.len(), file, &self.training_device)
            }
            None => Ok(self.fresh()),
        }
    }

    /// The network with fresh weights.
    pub fn fresh(&self) -> Model {
        self.prepared.entry.model(self.prepared.classes.len(), &self.training_device)
    }

    /// Batches to learn from.
    ///
    /// # Errors
    /// What [`Loader::new`] says.
    pub fn train_loader(&self) -> Result<Loader> {
        self.loader(&self.prepared.train, true, &self.training_device)
    }

    /// Batches to be tried on.
    ///
    /// # Errors
    /// What [`Loader::new`] says.
    pub fn test_loader(&self) -> Result<Loader> {
        self.loader(&self.prepared.test, false, &self.device)
    }

    /// How test images are read.
    pub fn test_options(&self) -> LoaderOptions {
        self.options(false)
    }

    fn loader(&self, (dataset, pipeline): &Images, learn: bool, device: &Device) -> Result<Loader> {
        Loader::new(Arc::clone(dataset), pipeline.clone(), self.options(learn), device.clone())
    }

    fn options(&self, learn: bool) -> LoaderOptions {
        let experiment = &self.prepared.experiment;
        LoaderOptions {
            batch_size: experiment.train.batch_size,
            seed: experiment.seed,
            shuffle: learn,
            drop_last: learn && experiment.train.drop_last,
            workers: experiment.data.workers,
            on_corrupt: experiment.data.on_corrupt,
            batching: if learn { experiment.data.train_batches.clone() } else { Batching::default() },
        }
    }
}

/// A flag that Ctrl-C sets; a second Ctrl-C ends the process at once.
///
/// # Errors
/// Ctrl-C cannot be caught.
pub fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("\nstopping after this step (once more: at once)");
    })
    .map_err(|why| Error::failure(format!("Ctrl-C cannot be caught: {why}")))?;
    Ok(stop)
}
