//! Checkpoints: `checkpoints/epoch-0003/` (after three epochs) or `checkpoints/epoch-0003-step-000120/` (and 120 steps of
//! the fourth), each with the network, the optimizer's state and `state.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::{ModuleVisitor, Param};
use burn::prelude::*;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use kiln_core::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files::{make_folder, sync_folder, write_synced};
use crate::state::State;
use crate::{EpochSummary, Optimizer, OptimizerConfig, Place};

/// The layout of a checkpoint. A change that older code cannot read counts it up.
const VERSION: u32 = 1;
const NETWORK: &str = "network.bpk";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";
/// Where a checkpoint is written before it gets its name.
const UNFINISHED: &str = ".unfinished";

/// What a run must have in common with the checkpoint that it goes on from, for the same numbers to come out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    pub seed: u64,
    pub steps_per_epoch: usize,
    pub items: usize,
    pub optimizer: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u32,
    run: Identity,
    state: State,
    /// Of the files beside it.
    sha256: BTreeMap<String, String>,
}

/// A checkpoint on disk.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    folder: PathBuf,
    manifest: Manifest,
}

/// The latest checkpoint of the run whose folder is `run`, if it has any.
///
/// # Errors
/// A folder that cannot be read; a checkpoint that is damaged or not Kiln's, by the name of its file.
pub fn latest(run: impl AsRef<Path>) -> Result<Option<Checkpoint>> {
    let places = places(&run.as_ref().join("checkpoints"))?;
    places.into_iter().next_back().map(|(_, folder)| Checkpoint::open(folder)).transpose()
}

/// The checkpoints of a folder, oldest first.
fn places(folder: &Path) -> Result<Vec<((usize, usize), PathBuf)>> {
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

fn name(place: Place) -> String {
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

fn sha256(bytes: &[u8]) -> String {
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
        let (file, bytes) = self.read(NETWORK)?;
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
            ("optimizer", then.optimizer.clone(), run.optimizer.clone()),
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

fn damaged(file: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::input(format!("the checkpoint is damaged: {why}"))
        .file(file)
        .hint("remove its folder to go on from the one before")
}

/// The checkpoints of a run that is under way.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    keep: usize,
    run: Identity,
}

impl Checkpoints {
    pub fn new(run: &Path, keep: usize, identity: Identity) -> Self {
        Self { folder: run.join("checkpoints"), keep: keep.max(1), run: identity }
    }

    /// Writes a checkpoint of a network in evaluation mode, removes the old ones, and returns the new one's folder.
    ///
    /// # Errors
    /// A disk that cannot be written.
    pub fn save<N: Module>(&self, network: &N, optimizer: &Optimizer, state: &State) -> Result<PathBuf> {
        let target = self.folder.join(name(state.place));
        // The same place of the same run holds the same numbers.
        if target.join(STATE).exists() {
            return Ok(target);
        }
        let record = network.clone().into_record().into_bytes();
        let record = record.map_err(|why| Error::failure(format!("the network cannot be written: {why}")))?;
        let files = [(NETWORK, record.to_vec()), (OPTIMIZER, optimizer.to_bytes()?)];
        let manifest = Manifest {
            version: VERSION,
            run: self.run.clone(),
            state: state.clone(),
            sha256: files.iter().map(|(name, bytes)| (name.to_string(), sha256(bytes))).collect(),
        };
        let manifest = serde_json::to_vec_pretty(&manifest)
            .map_err(|why| Error::failure(format!("the run's state cannot be written: {why}")))?;

        let unfinished = self.folder.join(UNFINISHED);
        remove(&unfinished)?;
        make_folder(&unfinished)?;
        for (name, bytes) in &files {
            write_synced(&unfinished.join(name), bytes)?;
        }
        write_synced(&unfinished.join(STATE), &manifest)?;
        sync_folder(&unfinished)?;
        remove(&target)?;
        fs::rename(&unfinished, &target).map_err(|why| Error::unwritable(&target, &why))?;
        sync_folder(&self.folder)?;
        self.remove_old()?;
        Ok(target)
    }

    fn remove_old(&self) -> Result<()> {
        let places = places(&self.folder)?;
        let old = places.len().saturating_sub(self.keep);
        places[..old].iter().try_for_each(|(_, folder)| remove(folder))
    }
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
