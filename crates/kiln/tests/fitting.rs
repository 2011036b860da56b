//! Weights and images that do not fit the network they are meant for.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use std::process::Output;

use kiln::{Kiln, jpeg};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with fresh weights of `cifar10-resnet20`, and a photograph.
fn house() -> Kiln {
    let kiln = Kiln::new();
    kiln.weights("w.safetensors");
    kiln.write("photo.jpg", &jpeg());
    kiln
}

#[test]
fn another_number_of_classes_replaces_the_classifier_and_says_so() {
    let kiln = house();
    let call = ["predict", "--model", "cifar10-resnet20", "--weights", "w.safetensors", "photo.jpg"];
    assert_eq!(said(&kiln.run(&call)), "");
    let output = kiln.run(&[&call[..], &["--num-classes", "3"]].concat());
    assert!(output.status.success());
    assert_eq!(
        said(&output),
        "note: w.safetensors: `fc` tells 10 classes apart; a fresh one for 3 is in its place\n"
    );
    let answer = kiln.json(&[&call[..], &["--num-classes", "3"]].concat());
    assert_eq!(answer["images"][0]["classes"].as_array().unwrap().len(), 3);
}

#[test]
fn what_fits_of_another_model_is_taken_on_demand_alone() {
    let kiln = house();
    let call = ["predict", "--model", "cifar10-resnet32", "--weights", "w.safetensors", "photo.jpg"];
    let output = kiln.run(&call);
    assert_eq!(output.status.code(), Some(2));
    // ResNet-32 has 6 blocks more, of 2 convolutions (1 tensor) and 2 normalizations (4 tensors): 60.
    let line = said(&output);
    assert!(line.starts_with("error: w.safetensors: not weights of cifar10-resnet32: 60 missing"), "{line}");
    let output = kiln.run(&[&call[..], &["--partial"]].concat());
    assert!(output.status.success());
    let line = said(&output);
    assert!(
        line.starts_with("note: w.safetensors: not all of it fits cifar10-resnet32: 60 missing"),
        "{line}"
    );
}

#[test]
fn images_that_a_network_does_not_take_are_one_line() {
    let kiln = house();
    let size = |side| ["train", "tiny.toml", "--check", "--set", "model.name=vgg11", "--set", side];
    assert!(kiln.run(&size("data.image_size=32")).status.success());
    let output = kiln.run(&size("data.image_size=24"));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        said(&output),
        "error: tiny.toml: --set model.name=vgg11: vgg11 takes no images of 24x24 pixels; it is made for 224x224\n"
    );
}

#[test]
fn a_training_begins_with_the_weights_of_a_file_and_can_save_memory() {
    let kiln = house();
    let call = ["train", "tiny.toml", "--run", "r", "--set", "train.epochs=1"];
    let output = kiln.run(&[&call[..], &["--set", "model.weights=absent.pt"]].concat());
    assert_eq!(said(&output), "error: absent.pt: no such file or folder\n");
    assert!(kiln.run(&[&call[..], &["--set", "model.weights=w.safetensors"]].concat()).status.success());
    assert!(kiln.read("r/resolved.json").contains("w.safetensors"));

    let check = ["train", "tiny.toml", "--check", "--set", "model.save_memory=true"];
    let line = said(&kiln.run(&check));
    assert!(
        line.ends_with("cifar10-resnet20 keeps all that it needs; DenseNets can save memory\n"),
        "{line}"
    );
    let densenet = ["--set", "model.name=cifar10-densenetbc-100-12"];
    assert!(kiln.run(&[&check[..], &densenet].concat()).status.success());
}
