//! The binary as a user meets it.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use std::path::Path;

use kiln::{Kiln, TINY};
use serde_json::Value;

/// What a wrong call or a bad input must look like: one line on standard error that says all of `words`, exit code 2,
/// and nothing half-written.
fn refused(kiln: &Kiln, arguments: &[&str], words: &[&str]) {
    let before = kiln.files();
    let output = kiln.run(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert_eq!(errors.len(), 1, "{arguments:?}: {said}");
    for word in words {
        assert!(errors[0].contains(word), "{arguments:?}: `{word}` is not in: {}", errors[0]);
    }
    let after = kiln.files();
    let new: Vec<_> = after.difference(&before).filter(|file| file.contains(".part")).collect();
    assert!(new.is_empty(), "{arguments:?}: half-written {new:?}");
    let runs: Vec<_> = after.difference(&before).filter(|file| file.contains("runs/")).collect();
    assert!(runs.is_empty() || arguments.contains(&"corrupt.toml"), "{arguments:?}: left {runs:?}");
}

#[test]
fn ten_wrong_inputs_are_one_line_each_and_leave_nothing_half_written() {
    let kiln = Kiln::new();
    let config = |name: &str, from: &str, to: &str| {
        assert!(TINY.contains(from));
        kiln.write(name, TINY.replace(from, to).as_bytes());
    };

    // 1. A missing config.
    refused(&kiln, &["train", "absent.toml"], &["absent.toml: no such file", "configs/"]);
    // 2. A misspelt key.
    config("key.toml", "batch_size", "batchsize");
    refused(
        &kiln,
        &["train", "key.toml"],
        &["key.toml: line 12, `train.batchsize`", "did you mean `batch_size`?"],
    );
    // 3. A wrong type.
    config("type.toml", "lr = 0.05", "lr = \"fast\"");
    refused(&kiln, &["train", "type.toml"], &["type.toml: line 13, `train.lr`", "expected a number"]);
    // 4. An impossible value, in the file and by --set.
    config("zero.toml", "batch_size = 16", "batch_size = 0");
    refused(
        &kiln,
        &["train", "zero.toml"],
        &["zero.toml: line 12, `train.batch_size`: is 0; give 1 or more"],
    );
    refused(
        &kiln,
        &["train", "tiny.toml", "--set", "train.batch_size=0"],
        &["--set train.batch_size=0: is 0"],
    );
    // 5. An unknown model.
    config("model.toml", "cifar10-resnet20", "cifar10-resnet21");
    refused(
        &kiln,
        &["train", "model.toml"],
        &["model.toml: line 9, `model.name`", "did you mean `cifar10-resnet20`?"],
    );
    // 6. A truncated idx file: its header promises 3 images of 28x28.
    kiln.write("idx/train-images-idx3-ubyte", &[0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 28, 0, 0, 0, 28, 1, 2, 3]);
    kiln.write("idx/train-labels-idx1-ubyte", &[0, 0, 8, 1, 0, 0, 0, 3, 0, 1, 2]);
    let words = ["idx/train-images-idx3-ubyte", &(16 + 3 * 28 * 28).to_string(), "19"];
    refused(&kiln, &["train", "tiny.toml", "--set", "data.name=./idx"], &words);
    // 7. A wrong checksum. (`data check` reports every file, so its lines are on standard output.)
    kiln.write("datasets/cifar10/raw/cifar-10-binary.tar.gz", b"not the archive");
    let output = kiln.run(&["data", "check", "cifar10"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("cifar-10-binary.tar.gz: expected 170052171 bytes, found 15"), "{said}");
    // 8. A corrupt JPEG.
    kiln.write("photos/test/cat/good.jpg", &kiln::jpeg());
    kiln.write("photos/train/cat/bad.jpg", &kiln::jpeg()[..200]);
    config("corrupt.toml", "name = \"shapes\"", "name = \"./photos\"");
    let sets = ["--set", "data.train_items=1", "--set", "data.test_items=1", "--set", "train.batch_size=1"];
    let arguments = [&["train", "corrupt.toml", "--run", "runs/corrupt"], &sets[..]].concat();
    let strip = ["--set", "data.train_split=train", "--set", "data.test_split=test"];
    refused(&kiln, &[&arguments[..], &strip].concat(), &["photos/train/cat/bad.jpg"]);
    // 9. The weight file of another model.
    kiln.weights("resnet20.safetensors");
    let arguments = [
        "predict",
        "--model",
        "cifar10-resnet32",
        "--weights",
        "resnet20.safetensors",
        "photos/test/cat/good.jpg",
    ];
    refused(
        &kiln,
        &arguments,
        &["resnet20.safetensors: not weights of cifar10-resnet32: 60 missing (first `layer1.3"],
    );
    // 10. A run folder that cannot be written: its parent is a file.
    kiln.write("file", b"");
    refused(&kiln, &["train", "tiny.toml", "--run", "file/run"], &["file/run: cannot be written"]);
}

#[test]
fn errors_are_json_objects_on_demand() {
    let kiln = Kiln::new();
    let output = kiln.run(&["--json", "train", "tiny.toml", "--set", "train.lr=fast"]);
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["error"]["file"], "tiny.toml");
    assert_eq!(object["error"]["place"], "--set train.lr=fast");
    let output = kiln.run(&["train", "--no-such-flag", "--json"]);
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(object["error"]["message"].as_str().unwrap().contains("--no-such-flag"));
}

#[test]
fn a_device_that_is_not_compiled_in_is_one_clear_line() {
    let kiln = Kiln::new();
    if !cfg!(feature = "rocm") {
        refused(
            &kiln,
            &["train", "tiny.toml", "--device", "rocm:0"],
            &["no device `rocm`", "--features rocm"],
        );
    }
    refused(&kiln, &["train", "tiny.toml", "--device", "fex"], &["did you mean `flex`?"]);
}

#[test]
fn a_run_leaves_everything_to_repeat_score_and_use_it() {
    let kiln = Kiln::new();
    let trained = kiln.json(&["train", "tiny.toml", "--run", "a"]);
    assert_eq!(trained["run"], "a");
    assert_eq!(trained["epochs"], 3);
    for file in [
        "experiment.toml",
        "resolved.json",
        "metrics.csv",
        "metrics.jsonl",
        "log.txt",
        "steps.csv",
        "report.html",
        "best.safetensors",
        "last.safetensors",
    ] {
        assert!(kiln.path("a").join(file).is_file(), "{file}");
    }
    assert!(kiln.read("a/experiment.toml").contains(TINY));
    // Its weights score as the run says.
    let scored = kiln.json(&["eval", "a"]);
    assert_eq!(scored["items"], 40);
    assert_eq!(scored["scores"]["accuracy"], trained["best"]["accuracy"]);
    // They can be used on an image.
    kiln.write("cat.jpg", &kiln::jpeg());
    let named =
        kiln.json(&["predict", "--model", "cifar10-resnet20", "--weights", "a/best.safetensors", "cat.jpg"]);
    let classes = named["images"][0]["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 5);
    assert!(classes[0]["name"].is_string());
    // The run can be repeated from what it has written down.
    kiln.json(&["train", "a/resolved.json", "--run", "b"]);
    assert_eq!(kiln.read("a/metrics.csv"), kiln.read("b/metrics.csv"));
    assert_eq!(kiln.read("a/resolved.json"), kiln.read("b/resolved.json"));
    // A second run does not take its place.
    refused(&kiln, &["train", "tiny.toml", "--run", "a"], &["holds a run already", "--resume"]);
}

#[test]
fn the_same_seed_gives_the_same_metrics_and_another_seed_others() {
    let kiln = Kiln::new();
    for (run, set) in [("a", "seed=3"), ("b", "seed=3"), ("c", "seed=4")] {
        kiln.json(&["train", "tiny.toml", "--run", run, "--set", set]);
    }
    assert_eq!(kiln.read("a/metrics.csv"), kiln.read("b/metrics.csv"));
    assert!(kiln.bytes("a/last.safetensors") == kiln.bytes("b/last.safetensors"), "other weights");
    assert_ne!(kiln.read("a/metrics.csv"), kiln.read("c/metrics.csv"));
}

#[cfg(unix)]
#[test]
fn a_run_that_is_interrupted_and_resumed_equals_the_unbroken_run() {
    let kiln = Kiln::new();
    kiln.json(&["train", "tiny.toml", "--run", "whole"]);
    let mut process = kiln.start(&["train", "tiny.toml", "--run", "broken"]);
    while kiln.lines("broken/metrics.csv") < 2 && process.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let interrupt = std::process::Command::new("kill").args(["-INT", &process.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert!(kiln.lines("broken/metrics.csv") < 4, "the run was over before it could be interrupted");
    refused(&kiln, &["train", "--resume", "--run", "broken", "--set", "seed=9"], &["no `--set`"]);
    kiln.json(&["train", "--resume", "--run", "broken"]);
    for file in ["metrics.csv", "metrics.jsonl", "steps.csv"] {
        assert_eq!(kiln.read(&format!("whole/{file}")), kiln.read(&format!("broken/{file}")), "{file}");
    }
    for file in ["best.safetensors", "last.safetensors"] {
        assert!(
            kiln.bytes(&format!("whole/{file}")) == kiln.bytes(&format!("broken/{file}")),
            "another {file}"
        );
    }
}

#[test]
fn every_config_in_the_tree_is_complete() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let kiln = Kiln::new();
    let mut configs = vec![root.join("configs/quickstart.toml")];
    let folder = std::fs::read_dir(root.join("configs/classification")).unwrap();
    configs.extend(folder.map(|entry| entry.unwrap().path()));
    assert!(configs.len() >= 3);
    for config in configs {
        let output = kiln.run(&["train", config.to_str().unwrap(), "--check"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // A data set that is not on this machine is the only thing that may be wrong.
        assert!(
            output.status.success() || said.contains("is not here") || said.contains("no data set"),
            "{said}"
        );
    }
}
