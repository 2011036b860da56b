//! The binary as a user meets it.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kiln-bench")).args(arguments).output().unwrap()
}

/// One line on standard error that says all of `words`, exit code 2.
fn refused(arguments: &[&str], words: &[&str]) {
    let output = bench(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?}: `{word}` is not in: {said}");
    }
}

#[test]
fn a_wrong_call_is_one_line() {
    refused(&["train", "--peer-python", "/no/python"], &["/no/python: no such file"]);
    refused(&["train", "--only", "alphanet"], &["--only", "`alphanet`"]);
    refused(&["eval", "--steps", "9"], &["9"]);
    refused(
        &["score", "--quick", "--peer-python", "/no/python"],
        &["/no/python: no such file", "pycocotools"],
    );
}

#[cfg(unix)]
#[test]
fn a_program_that_is_no_python_with_torch_is_refused() {
    // Ends at once without a word.
    refused(&["train", "--peer-python", "true"], &["true: ", "torch and torchvision"]);
    // Answers what it was told, which is no JSON.
    refused(&["eval", "--peer-python", "echo"], &["echo: ", "torch and torchvision"]);
    refused(&["score", "--quick", "--peer-python", "echo"], &["echo: ", "pycocotools"]);
}

#[test]
fn our_side_is_measured_alone_where_no_other_is_given() {
    let name = "shufflenet_v2_x1_0 16x24x24x24 to 58 1x1/1 forward";
    let output = bench(&["train", "--layers", "--quick", "--json", "--only", name]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = object["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["name"], name);
    assert!(rows[0]["ours_ms"].as_f64().unwrap() > 0.0);
    assert!(rows[0]["peer_ms"].is_null() && object["geomean"].is_null());
}

#[cfg(target_os = "linux")]
#[test]
fn a_long_run_on_jpeg_files_takes_no_more_memory_than_a_short_one() {
    // 40 epochs of 40 files; the first look comes after eight of them, when everything has been in memory.
    let steps = ["--batch", "4", "--files", "40", "--steps", "400"];
    let output =
        bench(&[&["loop", "--json", "--model", "cifar10-resnet20", "--side", "16"], &steps[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [early, end] = ["early_mib", "end_mib"].map(|key| object[key].as_f64().unwrap());
    // Between the looks are 320 steps: their batches would be 3.8 MiB, their gradients 330.
    assert!(early > 10.0 && end < early + 4.0, "{object}");
    let shares: f64 =
        object["shares"].as_object().unwrap().values().map(|share| share.as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-6, "{object}");
}
