//! The experiment files that come with the project.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every experiment file in a folder and the folders in it.
fn experiments(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let files = entries.into_iter().flat_map(|path| match path.is_dir() {
        true => experiments(&path),
        false => vec![path],
    });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
}

#[test]
fn every_experiment_file_is_good_even_where_its_data_is_absent() {
    let root = root();
    let files = experiments(&root.join("configs"));
    assert!(files.contains(&root.join("configs/quickstart.toml")));
    let complaint = |file: &PathBuf| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.current_dir(&root).env_remove("KILN_DATA").arg("train").arg("--check").arg(file);
        let output = command.output().unwrap();
        (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let complaints: Vec<String> = files.iter().filter_map(complaint).collect();
    assert!(complaints.is_empty(), "{}", complaints.concat());
}

#[test]
fn every_model_that_a_comment_offers_is_in_the_registry() {
    let mut offered = 0;
    for file in experiments(&root().join("configs")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let lists = text.lines().filter_map(|line| line.split_once("--set model.name="));
        for (_, list) in lists.filter(|(before, _)| before.starts_with('#')) {
            let names = list.split(|letter: char| !(letter.is_ascii_alphanumeric() || "_-".contains(letter)));
            for name in names.filter(|name| !name.is_empty() && *name != "or") {
                assert!(kiln_zoo::find(name).is_ok(), "{}: `{name}`", file.display());
                offered += 1;
            }
        }
    }
    assert!(offered > 0);
}
