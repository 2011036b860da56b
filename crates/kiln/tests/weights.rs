//! `kiln weights` as a user meets it.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use kiln::Kiln;

#[test]
fn a_file_is_listed_and_compared_with_a_model() {
    let kiln = Kiln::new();
    kiln.weights("w.safetensors");
    let listed = kiln.json(&["weights", "inspect", "w.safetensors", "--model", "cifar10-resnet20"]);
    assert_eq!(listed["format"], "safetensors");
    assert_eq!(listed["metadata"]["format"], "pt");
    // The 269,722 learnable ones, and a mean and a variance for each channel of 7 layers of 16, 6 of 32, 6 of 64.
    assert_eq!(listed["numbers"], 269_722 + 2 * (7 * 16 + 6 * 32 + 6 * 64));
    assert_eq!(listed["tensors"].as_array().unwrap().len(), 97);
    let conv1 =
        listed["tensors"].as_array().unwrap().iter().find(|row| row["name"] == "conv1.weight").unwrap();
    assert_eq!(*conv1, serde_json::json!({"name": "conv1.weight", "shape": [16, 3, 3, 3], "dtype": "F32"}));
    assert_eq!((&listed["model"]["fits"], &listed["model"]["classes"]), (&true.into(), &10.into()));

    let other = kiln.run(&["weights", "inspect", "w.safetensors", "--model", "cifar10-resnet32"]);
    assert_eq!(other.status.code(), Some(1));
    let said = String::from_utf8(other.stdout).unwrap();
    assert!(said.contains("does not fit cifar10-resnet32 with 10 classes:"), "{said}");
    // 6 blocks of 2 convolutions (1 tensor) and 2 normalizations (4 tensors) each.
    assert_eq!(said.lines().filter(|line| line.starts_with("missing  ")).count(), 60, "{said}");
}

#[test]
fn a_file_is_converted_with_the_names_and_the_preprocessing_of_its_model() {
    let kiln = Kiln::new();
    kiln.weights("w.safetensors");
    // The most used files of this model say `linear` for `fc`.
    let mut dict = kiln_zoo::StateDict::read(&kiln.path("w.safetensors")).unwrap();
    for (ours, theirs) in [("fc.weight", "module.linear.weight"), ("fc.bias", "module.linear.bias")] {
        let tensor = dict.tensors.remove(ours).unwrap();
        dict.tensors.insert(theirs.to_string(), tensor);
    }
    let rest: Vec<String> =
        dict.tensors.keys().filter(|name| !name.starts_with("module.")).cloned().collect();
    for name in rest {
        let tensor = dict.tensors.remove(&name).unwrap();
        dict.tensors.insert(format!("module.{name}"), tensor);
    }
    dict.write(&kiln.path("theirs.safetensors")).unwrap();

    let model = ["--model", "cifar10-resnet20"];
    let convert = |out: &str| {
        kiln.json(&[&["weights", "convert", "theirs.safetensors", out][..], &model].concat());
        kiln_zoo::StateDict::read(&kiln.path(out)).unwrap()
    };
    let converted = convert("ours.safetensors");
    let original = kiln_zoo::StateDict::read(&kiln.path("w.safetensors")).unwrap();
    assert!(converted.tensors == original.tensors);
    assert_eq!(converted.preprocessing.unwrap().size, 32);

    let wrong = |arguments: &[&str], word: &str| {
        let output = kiln.run(&[&["weights", "convert"], arguments].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(word), "{said}");
    };
    wrong(
        &["w.safetensors", "out.safetensors", "--model", "cifar10-resnet32"],
        "not weights of cifar10-resnet32",
    );
    wrong(&["w.safetensors", "out.pt"], "end it in `.safetensors`");
    assert!(!kiln.path("out.safetensors").exists());
}
