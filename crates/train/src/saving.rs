//! Checkpoints written: beside their place, synced, then renamed, so that a run may be killed at any moment.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use burn::module::{ModuleVisitor, Param};
use burn::prelude::*;
use kiln_core::{Error, Network, Result};

use crate::begin::Run;
use crate::checkpoint::{
    AVERAGE, Identity, Manifest, NETWORK, OPTIMIZER, STATE, UNFINISHED, VERSION, name, places, sha256,
};
use crate::files::{make_folder, sync_folder, write_synced};
use crate::{Event, Observer, Place};

/// When checkpoints are written: after every epoch, when a run is asked to stop, and as often in between as it says here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Saving {
    /// Steps between two checkpoints, counted over the whole run.
    pub every_steps: Option<usize>,
    /// Minutes between two checkpoints; a fraction will do.
    pub every_minutes: Option<f64>,
    /// Checkpoints that are kept, the latest of them; at least 1. From two on, a damaged one has another before it.
    pub keep: usize,
}

impl Default for Saving {
    fn default() -> Self {
        Self { every_steps: None, every_minutes: None, keep: 2 }
    }
}

impl Saving {
    /// # Errors
    /// A number that makes no sense, named by its key in an experiment.
    pub fn check(&self) -> Result<()> {
        let reject =
            |key: &str, message: String, hint: &str| Err(Error::input(message).place(key).hint(hint));
        match self {
            Self { every_steps: Some(0), .. } => {
                reject("train.checkpoint_steps", "is 0".into(), "give 1 or more")
            }
            Self { every_minutes: Some(minutes), .. } if !(minutes.is_finite() && *minutes > 0.0) => {
                let message = format!("{minutes} minutes are no time");
                reject("train.checkpoint_minutes", message, "give a number above 0, as 10")
            }
            Self { keep: 0, .. } => reject("train.keep", "is 0".into(), "give 1 or more"),
            _ => Ok(()),
        }
    }
}

/// The checkpoints of a run that is under way.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    saving: Saving,
    run: Identity,
    /// The place of the latest.
    last: Place,
    written: Instant,
}

impl Checkpoints {
    /// Of a run that starts, or goes on from a checkpoint, at `place`.
    pub fn new(run: &Path, saving: Saving, identity: Identity, place: Place) -> Result<Self> {
        saving.check()?;
        Ok(Self {
            folder: run.join("checkpoints"),
            saving,
            run: identity,
            last: place,
            written: Instant::now(),
        })
    }

    /// Whether one is to be written after the step that led to `place`.
    pub fn is_due(&self, place: Place) -> bool {
        let Saving { every_steps, every_minutes, .. } = self.saving;
        let pause = every_minutes.map(|minutes| Duration::from_secs_f64(60.0 * minutes));
        every_steps.is_some_and(|steps| place.global_step.is_multiple_of(steps))
            || pause.is_some_and(|pause| self.written.elapsed() >= pause)
    }

    /// Writes a checkpoint of a run, whose network is at hand in evaluation mode, and removes those that are no longer kept.
    ///
    /// # Errors
    /// A network that is not worth keeping; a disk that cannot be written: nothing of the checkpoint is left then, and those
    /// before it are; what an observer fails with.
    pub fn save<N: Network>(
        &mut self,
        network: &N,
        run: &Run<N>,
        observers: &mut [&mut dyn Observer<N>],
    ) -> Result<()> {
        let place = run.state.place;
        // The same place of the same run holds the same numbers.
        if place == self.last && place.global_step > 0 {
            return Ok(());
        }
        all_finite(network, place)?;
        observers.notify(&Event::Checkpointing { place })?;
        let unfinished = self.folder.join(UNFINISHED);
        let path = self.folder.join(name(place));
        if let Err(error) = self.write(network, run, &unfinished).and_then(|()| put(&unfinished, &path)) {
            // On a full disk every byte counts. That it cannot be removed is no news after this error.
            let _ = fs::remove_dir_all(&unfinished);
            return Err(error);
        }
        sync_folder(&self.folder)?;
        (self.last, self.written) = (place, Instant::now());
        self.remove_others(place)?;
        observers.notify(&Event::Checkpointed { path: &path })
    }

    fn write<N: Network>(&self, network: &N, run: &Run<N>, folder: &Path) -> Result<()> {
        remove(folder)?;
        make_folder(folder)?;
        let mut files = vec![(NETWORK, record(network)?), (OPTIMIZER, run.optimizer.to_bytes()?)];
        if let Some(average) = &run.average {
            files.push((AVERAGE, record(&average.network)?));
        }
        let mut state = run.state.clone();
        state.average = run.average.as_ref().map(|average| average.progress.clone()).unwrap_or_default();
        let manifest = Manifest {
            version: VERSION,
            run: self.run.clone(),
            state,
            sha256: files.iter().map(|(name, bytes)| (name.to_string(), sha256(bytes))).collect(),
        };
        let manifest = serde_json::to_vec_pretty(&manifest)
            .map_err(|why| Error::failure(format!("the run's state cannot be written: {why}")))?;
        for (name, bytes) in &files {
            write_synced(&folder.join(name), bytes)?;
        }
        write_synced(&folder.join(STATE), &manifest)?;
        sync_folder(folder)
    }

    /// Removes all but the latest up to `place`. One beyond it was damaged, or the run would have gone on from there.
    fn remove_others(&self, place: Place) -> Result<()> {
        let (kept, beyond): (Vec<_>, Vec<_>) = places(&self.folder)?
            .into_iter()
            .partition(|((epoch, step), _)| (*epoch, *step) <= (place.epoch, place.step));
        let old = kept.len().saturating_sub(self.saving.keep);
        kept[..old].iter().chain(&beyond).try_for_each(|(_, folder)| remove(folder))
    }
}

fn record<N: Module>(network: &N) -> Result<Vec<u8>> {
    let record = network.clone().into_record().into_bytes();
    record
        .map(|bytes| bytes.to_vec())
        .map_err(|why| Error::failure(format!("the network cannot be written: {why}")))
}

/// Gives a folder its name; whatever had it before was damaged.
fn put(folder: &Path, name: &Path) -> Result<()> {
    remove(name)?;
    fs::rename(folder, name).map_err(|why| Error::unwritable(name, &why))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => Err(Error::unwritable(folder, &why)),
        _ => Ok(()),
    }
}

/// Makes sure that a network is worth keeping.
///
/// # Errors
/// A parameter or a running statistic with a value that is not finite, by its name.
pub(crate) fn all_finite<N: Module>(network: &N, place: Place) -> Result<()> {
    let mut finite = Finite::default();
    network.visit(&mut finite);
    match finite.broken {
        None => Ok(()),
        Some(path) => Err(Error::failure(format!(
            "`{path}` is no longer finite after step {}; no checkpoint of it is written",
            place.global_step
        ))
        .hint("try a lower learning rate or a longer warm-up")),
    }
}

/// Looks for a parameter or a running statistic with a value that is not finite.
#[derive(Default)]
struct Finite {
    path: Vec<String>,
    broken: Option<String>,
}

impl ModuleVisitor for Finite {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.broken.is_none() && !param.val().is_finite().all().into_scalar::<bool>() {
            self.broken = Some(self.path.join("."));
        }
    }
}
