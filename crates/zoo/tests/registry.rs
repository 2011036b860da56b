//! What holds for every model of the registry.

#![allow(clippy::unwrap_used)]

use burn::module::{ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::{Distribution, Gradients};
use kiln_core::{Network, learnable_parameters};
use kiln_zoo::{REGISTRY, StateDict, find, load, save};

#[test]
fn every_model_has_its_published_parameters() {
    let device = Device::flex();
    for entry in REGISTRY {
        let network = entry.init(entry.num_classes(), &device);
        assert_eq!(learnable_parameters(&network), entry.params, "{}", entry.name);
    }
}

/// One of each kind of block is enough here; the deeper ones repeat them.
const SMALL: [&str; 6] =
    ["alexnet", "resnet18", "resnet50", "resnet50-v1", "cifar10-resnet20", "cifar10-resnet20-b"];

#[test]
fn every_parameter_receives_a_gradient() {
    struct WithoutGradient<'a>(&'a Gradients, usize);
    impl ModuleVisitor for WithoutGradient<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let there = param.val().grad(self.0).is_some_and(|g| g.abs().sum().into_scalar::<f32>() > 0.0);
            self.1 += usize::from(param.is_require_grad() && !there);
        }
    }
    let device = Device::flex().autodiff();
    for name in SMALL {
        let entry = find(name).unwrap();
        let network = entry.init(10, &device);
        let side = if name == "alexnet" { 127 } else { 64 };
        let images = Tensor::random([4, 3, side, side], Distribution::Normal(0.0, 1.0), &device);
        let loss = (network.forward(images).main * Tensor::random([4, 10], Distribution::Default, &device)).sum();
        let gradients = loss.backward();
        let mut without = WithoutGradient(&gradients, 0);
        network.visit(&mut without);
        assert_eq!(without.1, 0, "{name}: parameters without a gradient");
    }
}

#[test]
fn saved_and_loaded_weights_give_the_same_output_bit_for_bit() {
    let device = Device::flex();
    let folder = tempfile::tempdir().unwrap();
    for name in SMALL {
        let entry = find(name).unwrap();
        let file = folder.path().join(format!("{name}.safetensors"));
        let network = entry.init(7, &device);
        let preprocessing = entry.preprocessing();
        save(&network, Some(preprocessing.clone()), &file).unwrap();
        let dict = StateDict::read(&file).unwrap();
        assert_eq!(dict.preprocessing, Some(preprocessing), "{name}");
        let loaded = load(entry.init(7, &device), entry, dict, &file).unwrap();
        let images = Tensor::random([1, 3, 64, 64], Distribution::Default, &device);
        let [ours, theirs] = [network.forward(images.clone()).main, loaded.forward(images).main];
        ours.into_data().assert_eq(&theirs.into_data(), true);
    }
}

#[test]
fn weights_of_another_model_are_refused_in_one_line() {
    let device = Device::flex();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.safetensors");
    let save_as =
        |name: &str, classes| save(&find(name).unwrap().init(classes, &device), None, &file).unwrap();
    let refused = |name: &str, classes| {
        let entry = find(name).unwrap();
        let dict = StateDict::read(&file).unwrap();
        load(entry.init(classes, &device), entry, dict, &file).unwrap_err().to_string()
    };
    save_as("cifar10-resnet20", 10);
    let line = refused("cifar10-resnet32", 10);
    assert!(line.contains("60 missing (first `layer1.3.bn1.bias`"), "{line}");
    // The 6 blocks more of ResNet-32 hold 2 convolutions (1 tensor) and 2 normalizations (4 tensors) each: 60.
    assert_eq!(line.lines().count(), 1);
    let line = refused("cifar10-resnet20", 100);
    assert!(line.contains("first `fc.bias`: [10], the model has [100]"), "{line}");
}

#[test]
fn a_file_that_is_no_weight_file_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let rows: [(&str, &[u8]); 4] = [
        ("empty.pt", b""),
        ("text.pth", b"not weights at all, but long enough to be read as a header"),
        ("cut.safetensors", b"\xff\x00\x00\x00\x00\x00\x00\x00{\"a\":"),
        ("huge.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}"),
    ];
    for (name, bytes) in rows {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let line = StateDict::read(&file).unwrap_err().to_string();
        assert!(line.starts_with(&format!("{}: ", file.display())), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    let line = StateDict::read(&folder.path().join("absent.pt")).unwrap_err().to_string();
    assert!(line.ends_with("no such file or folder"), "{line}");
}
