//! Darknet's files of weights, in and out.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use burn::prelude::*;
use kiln_core::Result;
use kiln_zoo::{Detector, StateDict, find, load, load_partial, plan, save};

const MODEL: &str = "yolov4-tiny";
/// Counted from the cfg: 6,056,606 that are learnt, and a mean and a variance of each of 3,104 normalized channels.
const NUMBERS: usize = 6_056_606 + 2 * 3_104;

fn fresh() -> Detector {
    find(MODEL).unwrap().detector(80, &Device::flex()).unwrap()
}

fn read(file: &Path) -> Result<Detector> {
    load(fresh(), find(MODEL).unwrap(), StateDict::read(file)?, file)
}

/// Some weights as safetensors and as Darknet's, in a folder.
fn written(folder: &Path) -> Vec<u8> {
    let network = fresh();
    let safetensors = folder.join("w.safetensors");
    save(&network, None, &safetensors).unwrap();
    let dict = StateDict::read(&safetensors).unwrap();
    dict.write_darknet(&network, &folder.join("w.weights")).unwrap();
    std::fs::read(folder.join("w.weights")).unwrap()
}

#[test]
fn what_is_written_is_read_again_with_either_header() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = written(folder.path());
    // Three integers of version and eight bytes of images seen.
    assert_eq!(bytes.len(), 20 + 4 * NUMBERS);
    let old = folder.path().join("old.weights");
    let header: Vec<u8> = [0i32, 1, 0, 32_013_312].into_iter().flat_map(i32::to_le_bytes).collect();
    std::fs::write(&old, [&header, &bytes[20..]].concat()).unwrap();
    for file in [folder.path().join("w.weights"), old] {
        let dict = StateDict::read(&file).unwrap().laid_out(&fresh(), &file).unwrap();
        assert!(plan(&fresh(), find(MODEL).unwrap(), &dict).is_empty(), "{}", file.display());
        let again = folder.path().join("again.safetensors");
        save(&read(&file).unwrap(), None, &again).unwrap();
        let same =
            std::fs::read(again).unwrap() == std::fs::read(folder.path().join("w.safetensors")).unwrap();
        assert!(same, "{}", file.display());
    }
}

#[test]
fn a_file_of_another_length_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = written(folder.path());
    let rows = [
        (
            "short",
            bytes[..bytes.len() - 400].to_vec(),
            "6062714 numbers after the header, where the model has 6062814",
        ),
        (
            "long",
            [&bytes[..], &[0; 8]].concat(),
            "6062816 numbers after the header, where the model has 6062814",
        ),
        ("torn", bytes[..bytes.len() - 3].to_vec(), "bytes are no Darknet header and whole numbers"),
    ];
    for (name, bytes, message) in rows {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let error = read(&file).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains(name) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_backbone_of_the_first_layers_is_taken_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = written(folder.path());
    // The first two layers: 32 and 64 normalized channels of 3 * 9 and 32 * 9 weights.
    let numbers = 32 * (4 + 27) + 64 * (4 + 288);
    let file = folder.path().join("stem.weights");
    std::fs::write(&file, &bytes[..20 + 4 * numbers]).unwrap();
    assert!(read(&file).is_err());
    let dict = StateDict::read(&file).unwrap();
    let (_, misfit) = load_partial(fresh(), find(MODEL).unwrap(), dict, &file).unwrap();
    assert!(misfit.unused.is_empty() && misfit.wrong_shape.is_empty());
    assert!(misfit.missing.iter().all(|(name, _)| !name.starts_with("stem.")));
}
