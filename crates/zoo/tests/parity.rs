//! The models against what reference implementations answer, where their golden files are at hand.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use burn::prelude::*;
use kiln_zoo::{Golden, REGISTRY};

/// The folder of golden files, wherever above this crate it is.
fn shared() -> PathBuf {
    let mut places =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|place| place.join("shared/parity"));
    places.find(|place| place.is_dir()).unwrap_or("shared/parity".into())
}

#[test]
fn every_golden_of_a_model_of_the_registry_agrees() {
    let folder = shared();
    let files =
        ["golden", "darknet"].into_iter().filter_map(|kind| std::fs::read_dir(folder.join(kind)).ok());
    let files: Vec<_> = files.flatten().map(|file| file.unwrap().path()).collect();
    if files.is_empty() {
        println!("skipped: no golden files in {}", folder.display());
    }
    let mut checked = 0;
    for file in &files {
        let golden = Golden::read(file).unwrap();
        let name = golden.model.rsplit('/').next().unwrap();
        if REGISTRY.iter().any(|entry| entry.name == name) {
            let parity = golden.check(&Device::flex()).unwrap();
            assert_eq!(parity.disagreement, None, "{}", file.display());
            println!("{}: {:.1e}", golden.model, parity.max_error);
            checked += 1;
        }
    }
    // torchvision's AlexNet, three VGGs, GoogLeNet, four ResNets, two DenseNets, two ShuffleNets; timm's ResNet v2;
    // Ultralytics' v5 and v8; Darknet's v1 to v4, large and small; torchvision's FCN and DeepLab v3.
    assert!(files.is_empty() || checked >= 26, "{checked} golden files checked");
}

/// Their golden files, made by the `make.py` beside them, are of networks written in PyTorch after the papers.
#[test]
fn segmenters_say_what_pytorch_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/segmenters");
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let files: Vec<_> = files.filter(|file| file.extension().is_some_and(|kind| kind == "json")).collect();
    assert_eq!(files.len(), 10);
    for file in files {
        let golden = Golden::read(&file).unwrap();
        let parity = golden.check(&Device::flex()).unwrap();
        assert_eq!(parity.disagreement, None, "{}", file.display());
        println!("{}: {:.1e}", golden.model, parity.max_error);
    }
}

/// The golden must be able to disagree: another version of the same network has the same names and shapes.
#[test]
fn a_network_with_its_stride_elsewhere_disagrees() {
    let file = shared().join("golden/torchvision-resnet50.json");
    if !file.exists() {
        println!("skipped: no golden file {}", file.display());
        return;
    }
    let mut golden = Golden::read(&file).unwrap();
    golden.model = "torchvision/resnet50-v1".to_string();
    let parity = golden.check(&Device::flex()).unwrap();
    assert!(parity.disagreement.is_some_and(|why| why.contains("is off by")));
}
