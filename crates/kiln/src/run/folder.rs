//! The folder of a run.

use std::io::Write;
use std::path::{Path, PathBuf};

use kiln_core::{Error, Result};

use crate::experiment::{Experiment, Source};

/// `runs/<config>-<time>/`, or wherever `--run` says.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// A new folder with `experiment.toml` and `resolved.json` in it.
    ///
    /// # Errors
    /// A folder that holds a run already, or a place that cannot be written.
    pub fn create(path: PathBuf, source: &Source, experiment: &Experiment) -> Result<Self> {
        if path.join("resolved.json").exists() {
            return Err(Error::input("holds a run already")
                .file(&path)
                .hint("add `--resume` to go on with it, or name another folder with `--run`"));
        }
        std::fs::create_dir_all(&path)
            .map_err(|why| Error::unwritable(&path, &why).hint("name a folder with `--run`"))?;
        let run = Self { path };
        run.write("experiment.toml", source.text().as_bytes())?;
        let resolved =
            serde_json::to_string_pretty(experiment).map_err(|why| Error::failure(why.to_string()))?;
        run.write("resolved.json", format!("{resolved}\n").as_bytes())?;
        Ok(run)
    }

    /// A folder that holds a run.
    ///
    /// # Errors
    /// A folder that does not.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if !path.join("resolved.json").is_file() {
            let error = Error::input("holds no run: there is no `resolved.json`").file(&path);
            return Err(error.hint("runs are in `runs/`, or where `--run` put them"));
        }
        Ok(Self { path })
    }

    /// The newest run of an experiment file under `runs`.
    ///
    /// # Errors
    /// There is none.
    pub fn newest(runs: &Path, config: &Path) -> Result<Self> {
        let prefix = format!("{}-", stem(config));
        // What follows is a time, and nothing of another experiment's longer name.
        let is_time = |rest: &str| rest.chars().all(|c| c.is_ascii_digit() || c == '-');
        let entries = std::fs::read_dir(runs).into_iter().flatten().flatten();
        let ours = entries
            .filter(|entry| entry.file_name().to_string_lossy().strip_prefix(&prefix).is_some_and(is_time));
        let newest = ours.map(|entry| entry.path()).filter(|path| path.join("resolved.json").is_file()).max();
        let none = || Error::input(format!("no run of `{}` to resume", config.display())).file(runs);
        newest.map(|path| Self { path }).ok_or_else(|| none().hint("name its folder with `--run`"))
    }

    /// The run under `runs` that wrote last, of any experiment.
    ///
    /// # Errors
    /// There is none.
    pub fn latest(runs: &Path) -> Result<Self> {
        let entries = std::fs::read_dir(runs).into_iter().flatten().flatten();
        // Every training has a log; a race has none.
        let modified = |file: PathBuf| std::fs::metadata(file).and_then(|file| file.modified()).ok();
        let written =
            |path: &PathBuf| modified(path.join("progress.json")).max(modified(path.join("log.txt")));
        let folders = entries.map(|entry| entry.path()).filter(|path| path.join("resolved.json").is_file());
        let latest = folders.filter_map(|path| written(&path).map(|time| (time, path))).max();
        let none = || {
            Error::input("there is no run").file(runs).hint("name its folder, or begin one with `kiln train`")
        };
        latest.map(|(_, path)| Self { path }).ok_or_else(none)
    }

    /// Where a run of an experiment file goes unless `--run` says otherwise: a folder of its own, named by the time.
    pub fn fresh_path(runs: &Path, config: &Path) -> PathBuf {
        let now = jiff::Zoned::now().strftime("%Y-%m-%d-%H%M%S").to_string();
        let named = runs.join(format!("{}-{now}", stem(config)));
        let numbered = |number: usize| match number {
            1 => named.clone(),
            _ => PathBuf::from(format!("{}-{number}", named.display())),
        };
        (1..).map(numbered).find(|path| !path.exists()).expect("there are numbers enough")
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file in it, beside and then renamed.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let (file, part) = (self.file(name), self.file(&format!("{name}.part")));
        let written = std::fs::File::create(&part).and_then(|mut part| part.write_all(bytes));
        written.and_then(|()| std::fs::rename(&part, &file)).map_err(|why| {
            // On a full disk every byte counts. That it cannot be removed is no news after this error.
            let _ = std::fs::remove_file(&part);
            Error::unwritable(&file, &why)
        })
    }
}

fn stem(config: &Path) -> String {
    config.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_newest_run_is_of_this_experiment_and_of_no_other() {
        let runs = tempfile::tempdir().unwrap();
        let names =
            ["a-2026-11-23-080000", "a-2026-11-23-090000", "a-b-2026-11-23-100000", "a-2026-11-24-empty"];
        for name in names {
            std::fs::create_dir(runs.path().join(name)).unwrap();
            std::fs::write(runs.path().join(name).join("resolved.json"), "{}").unwrap();
        }
        let newest = RunFolder::newest(runs.path(), Path::new("configs/a.toml")).unwrap();
        assert_eq!(newest.path(), runs.path().join("a-2026-11-23-090000"));
        assert!(RunFolder::newest(runs.path(), Path::new("c.toml")).is_err());
    }
}
