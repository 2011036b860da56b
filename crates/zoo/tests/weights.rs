//! Weights into models that they fit, or do not.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use burn::prelude::*;
use kiln_zoo::{Classifier, StateDict, find, load, load_backbone, load_partial, plan, save};

fn model(name: &str, classes: usize) -> Classifier {
    find(name).unwrap().init(classes, &Device::flex())
}

/// The state dict of a fresh model.
fn weights(name: &str, classes: usize) -> StateDict {
    state(&model(name, classes))
}

fn state(network: &Classifier) -> StateDict {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.safetensors");
    save(network, None, &file).unwrap();
    StateDict::read(&file).unwrap()
}

fn refused(name: &str, classes: usize, dict: StateDict) -> String {
    let error = load(model(name, classes), find(name).unwrap(), dict, Path::new("w.pt")).unwrap_err();
    let line = error.to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

#[test]
fn weights_of_another_model_are_refused_in_one_line() {
    let line = refused("cifar10-resnet32", 10, weights("cifar10-resnet20", 10));
    // The 6 blocks more of ResNet-32 hold 2 convolutions (1 tensor) and 2 normalizations (4 tensors) each: 60.
    assert!(
        line.starts_with("w.pt: not weights of cifar10-resnet32: 60 missing (first `layer1.3.bn1.bias`"),
        "{line}"
    );
    let line = refused("cifar10-resnet20", 100, weights("cifar10-resnet20", 10));
    assert!(line.contains("2 of another shape (first `fc.bias`: [10], the model has [100])"), "{line}");
}

#[test]
fn the_plan_says_all_that_does_not_fit_with_the_name_that_is_most_like_it() {
    let (name, mut dict) = ("cifar10-resnet20", weights("cifar10-resnet20", 10));
    let entry = find(name).unwrap();
    let network = model(name, 10);
    assert!(plan(&network, entry, &dict).is_empty());
    // `head.weight` is like no name, but the only one of its shape. `layer1.0.bn1.bais` is nearest by name and shape.
    for (ours, theirs) in [("fc.weight", "head.weight"), ("layer1.0.bn1.bias", "layer1.0.bn1.bais")] {
        let tensor = dict.tensors.remove(ours).unwrap();
        dict.tensors.insert(theirs.to_string(), tensor);
    }
    dict.tensors.insert("extra".to_string(), (vec![2], vec![0.0; 2]));
    dict.tensors.insert("conv1.weight".to_string(), (vec![16, 3], vec![0.0; 48]));
    let misfit = plan(&network, entry, &dict);
    let near = |name: &str| Some(name.to_string());
    assert_eq!(
        misfit.missing,
        [
            ("fc.weight".to_string(), near("head.weight")),
            ("layer1.0.bn1.bias".to_string(), near("layer1.0.bn1.bais"))
        ]
    );
    assert_eq!(misfit.unused, ["extra", "head.weight", "layer1.0.bn1.bais"]);
    assert_eq!(misfit.wrong_shape, [("conv1.weight".to_string(), vec![16, 3], vec![16, 3, 3, 3])]);
    let lines: Vec<String> = misfit.lines().collect();
    assert_eq!(lines.len(), 2 + 3 + 1);
    assert_eq!(lines[0], "missing  fc.weight  (the file has head.weight)");
    assert_eq!(lines[2], "shape    conv1.weight  [16, 3], the model has [16, 3, 3, 3]");
    assert_eq!(
        misfit.to_string(),
        "2 missing (first `fc.weight`, the file has `head.weight`), 3 unused (first `extra`), 1 of another shape (first \
         `conv1.weight`: [16, 3], the model has [16, 3, 3, 3])"
    );
}

#[test]
fn what_fits_is_loaded_and_the_rest_stays() {
    let name = "cifar10-resnet20";
    let (entry, network, dict) = (find(name).unwrap(), model(name, 100), weights(name, 10));
    let fresh = state(&network);
    let (network, misfit) = load_partial(network, entry, dict.clone(), Path::new("w.pt")).unwrap();
    let wrong: Vec<_> = misfit.wrong_shape.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!((wrong, misfit.missing.len(), misfit.unused.len()), (vec!["fc.bias", "fc.weight"], 0, 0));
    for (name, tensor) in state(&network).tensors {
        let expected = if name.starts_with("fc.") { &fresh } else { &dict };
        assert!(tensor == expected.tensors[&name], "{name}");
    }
    let none = StateDict { tensors: [("x".to_string(), (vec![1], vec![0.0]))].into(), preprocessing: None };
    let line = load_partial(network, entry, none, Path::new("w.pt")).unwrap_err().to_string();
    assert!(line.contains("97 missing"), "{line}");
}

#[test]
fn the_classifier_is_replaced_and_all_else_must_fit() {
    // GoogLeNet's auxiliary classifiers are for a number of classes, too.
    for (name, replaced) in [
        ("cifar10-resnet20", vec!["fc.bias", "fc.weight"]),
        (
            "googlenet",
            vec![
                "aux1.fc2.bias",
                "aux1.fc2.weight",
                "aux2.fc2.bias",
                "aux2.fc2.weight",
                "fc.bias",
                "fc.weight",
            ],
        ),
    ] {
        // The same number of classes is replaced as any other.
        for classes in [7, 10] {
            let (entry, network, mut dict) = (find(name).unwrap(), model(name, classes), weights(name, 10));
            let fresh = state(&network);
            let (network, names) = load_backbone(network, entry, dict.clone(), Path::new("w.pt")).unwrap();
            assert_eq!(names, replaced);
            for (name, tensor) in state(&network).tensors {
                let expected = if names.contains(&name) { &fresh } else { &dict };
                assert!(tensor == expected.tensors[&name], "{name}");
            }
            let (first, _) = dict.tensors.iter().find(|(name, _)| name.starts_with("conv1.")).unwrap();
            let first = first.clone();
            dict.tensors.remove(&first);
            let line = load_backbone(network, entry, dict, Path::new("w.pt")).unwrap_err().to_string();
            assert!(line.contains(&format!("1 missing (first `{first}`)")), "{line}");
        }
    }
}

#[test]
fn a_name_that_is_there_twice_after_renaming_is_not_lost() {
    let mut dict = weights("cifar10-resnet20", 10);
    let tensor = dict.tensors["fc.weight"].clone();
    // The most used files of this model say `linear`; one that says both is damaged.
    dict.tensors.insert("linear.weight".to_string(), tensor);
    let line = refused("cifar10-resnet20", 10, dict);
    assert!(line.contains("1 unused (first `linear.weight`)"), "{line}");
}
