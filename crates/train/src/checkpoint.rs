//! Checkpoints: `checkpoints/epoch-0003/` (after three epochs) or `checkpoints/epoch-0003-step-000120/` (and 120 steps of
//! the fourth), each with the network, the average of its weights if there is one, the optimizer's state and `state.json`.
//!
//! There is no random state in them: every generator is seeded anew, of a batch's order and augmentation from the seed, the
//! epoch and the image, of dropout from the seed and the step. Nor is there a schedule's, which is a function of the step
//! and of the epochs done, nor early stopping's, which is one of the epochs done; those are in `state.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::prelude::*;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use kiln_core::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::state::State;
use crate::{EpochSummary, Optimizer, OptimizerConfig, Place};

/// The layout of a checkpoint. A change that older code cannot read counts it up.
pub(crate) const VERSION: u32 = 2;
pub(crate) const NETWORK: &str = "network.bpk";
pub(crate) const AVERAGE: &str = "average.bpk";
pub(crate) const OPTIMIZER: &str = "optimizer.safetensors";
pub(crate) const STATE: &str = "state.json";
/// Where a checkpoint is written before it gets its name.
pub(crate) const UNFINISHED: &str = ".unfinished";

/// What a run must have in common with the checkpoint that it goes on from, for the same numbers to come out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    pub seed: u64,
    pub steps_per_epoch: usize,
    pub items: usize,
    pub accumulate: usize,
    pub optimizer: String,
    pub average: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub version: u32,
    pub run: Identity,
    pub state: State,
    /// Of the files beside it.
    pub sha256: BTreeMap<String, String>,
}

/// A checkpoint on disk.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    folder: PathBuf,
    manifest: Manifest,
}

/// The latest checkpoint of the run whose folder is `run` that is whole, if it has any.
///
/// # Errors
/// A folder that cannot be read; a checkpoint of another version of Kiln; if none is whole, what is damaged in the latest.
pub fn latest(run: impl AsRef<Path>) -> Result<Option<Checkpoint>> {
    match sound(run.as_ref())? {
        (None, damaged) => damaged.into_iter().next().map_or(Ok(None), Err),
        (found, _) => Ok(found),
    }
}

/// The latest checkpoint that is whole, and what is wrong with those after it, the latest first.
pub(crate) fn sound(run: &Path) -> Result<(Option<Checkpoint>, Vec<Error>)> {
    let mut wrong = Vec::new();
    for (_, folder) in places(&run.join("checkpoints"))?.into_iter().rev() {
        match Checkpoint::open(folder).and_then(|checkpoint| checkpoint.verified()) {
            Ok(checkpoint) => return Ok((Some(checkpoint), wrong)),
            Err(error) if error.message().starts_with(DAMAGED) => wrong.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok((None, wrong))
}

/// The checkpoints of a folder, oldest first.
pub(crate) fn places(folder: &Path) -> Result<Vec<((usize, usize), PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|why| Error::unreadable(folder, &why))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|why| Error::unreadable(folder, &why))?;
        if let Some(place) = entry.file_name().to_str().and_then(parse) {
            found.push((place, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

pub(crate) fn name(place: Place) -> String {
    match place.step {
        0 => format!("epoch-{:04}", place.epoch),
        step => format!("epoch-{:04}-step-{step:06}", place.epoch),
    }
}

fn parse(name: &str) -> Option<(usize, usize)> {
    let rest = name.strip_prefix("epoch-")?;
    let (epoch, step) = rest.split_once("-step-").unwrap_or((rest, "0"));
    Some((epoch.parse().ok()?, step.parse().ok()?))
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Checkpoint {
    fn open(folder: PathBuf) -> Result<Self> {
        let file = folder.join(STATE);
        let text = fs::read_to_string(&file)
            .map_err(|why| damaged(&file, &Error::unreadable(&file, &why).message()))?;
        let json: serde_json::Value = serde_json::from_str(&text).map_err(|why| damaged(&file, &why))?;
        match json["version"].as_u64() {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => {
                return Err(Error::input(format!("is of version {version}; this Kiln reads {VERSION}"))
                    .file(&file)
                    .place("version")
                    .hint("go on with the Kiln that wrote it"));
            }
            None => return Err(damaged(&file, &"it has no version")),
        }
        let manifest = serde_json::from_value(json).map_err(|why| damaged(&file, &why))?;
        Ok(Self { folder, manifest })
    }

    /// Itself, if every file in it has the SHA-256 that it was written with.
    fn verified(self) -> Result<Self> {
        for name in self.manifest.sha256.keys() {
            self.read(name)?;
        }
        Ok(self)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where in the run it was written.
    pub fn place(&self) -> Place {
        self.manifest.state.place
    }

    /// The epochs that were done.
    pub fn history(&self) -> &[EpochSummary] {
        &self.manifest.state.history
    }

    pub(crate) fn state(&self) -> &State {
        &self.manifest.state
    }

    /// `network` with the checkpoint's parameters and running statistics, on the device it is on.
    ///
    /// # Errors
    /// A file that is damaged, or of another network.
    pub fn network<N: Module>(&self, network: N) -> Result<N> {
        self.module(NETWORK, network)
    }

    /// `network` with the average of the weights, on the device it is on.
    ///
    /// # Errors
    /// As [`Self::network`]; a checkpoint of a run without an average.
    pub fn average<N: Module>(&self, network: N) -> Result<N> {
        self.module(AVERAGE, network)
    }

    fn module<N: Module>(&self, name: &str, network: N) -> Result<N> {
        let (file, bytes) = self.read(name)?;
        let record =
            ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes)).map_err(|why| damaged(&file, &why))?;
        network.try_load_record(record).map_err(|why| {
            let why = why.to_string();
            Error::input(format!("is of another network: {}", why.lines().next().unwrap_or_default()))
                .file(file)
        })
    }

    /// The optimizer as it was, its state on `device`.
    pub(crate) fn optimizer(&self, config: &OptimizerConfig, device: &Device) -> Result<Optimizer> {
        let (file, bytes) = self.read(OPTIMIZER)?;
        config.init()?.restored(&bytes, &file, device)
    }

    /// Makes sure that a run of this identity may go on from here.
    pub(crate) fn check(&self, run: &Identity) -> Result<()> {
        let then = &self.manifest.run;
        let rows = [
            ("seed", then.seed.to_string(), run.seed.to_string()),
            ("steps_per_epoch", then.steps_per_epoch.to_string(), run.steps_per_epoch.to_string()),
            ("items", then.items.to_string(), run.items.to_string()),
            ("accumulate", then.accumulate.to_string(), run.accumulate.to_string()),
            ("optimizer", then.optimizer.clone(), run.optimizer.clone()),
            ("average", then.average.clone(), run.average.clone()),
        ];
        match rows.into_iter().find(|(_, then, now)| then != now) {
            None => Ok(()),
            Some((what, then, now)) => Err(Error::input(format!("was {then} in this run, and now is {now}"))
                .file(self.folder.join(STATE))
                .place(what)
                .hint("resume with the same settings, or start another run")),
        }
    }

    fn read(&self, name: &str) -> Result<(PathBuf, Vec<u8>)> {
        let file = self.folder.join(name);
        let bytes =
            fs::read(&file).map_err(|why| damaged(&file, &Error::unreadable(&file, &why).message()))?;
        match self.manifest.sha256.get(name) {
            Some(sum) if *sum == sha256(&bytes) => Ok((file, bytes)),
            Some(_) => Err(damaged(&file, &"its SHA-256 is not the one in state.json")),
            None => Err(damaged(&self.folder.join(STATE), &format!("it has no SHA-256 of {name}"))),
        }
    }
}

/// What the message about a damaged checkpoint begins with.
const DAMAGED: &str = "the checkpoint is damaged";

fn damaged(file: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::input(format!("{DAMAGED}: {why}"))
        .file(file)
        .hint("remove its folder to go on from the one before")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_checkpoints_are_read_as_written() {
        let place = |epoch, step| Place { epoch, step, global_step: 0 };
        assert_eq!(name(place(3, 0)), "epoch-0003");
        assert_eq!(name(place(3, 120)), "epoch-0003-step-000120");
        assert_eq!(parse("epoch-0003"), Some((3, 0)));
        assert_eq!(parse("epoch-0003-step-000120"), Some((3, 120)));
        assert_eq!(parse("epoch-12345-step-1234567"), Some((12345, 1234567)));
        assert_eq!(parse(UNFINISHED), None);
        assert_eq!(parse("epoch-x"), None);
    }
}
