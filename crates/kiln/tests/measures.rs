//! The verbs that measure what a batch costs and what it is worth.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use kiln::Kiln;
use serde_json::Value;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The one line on standard error with which a call is refused.
fn refused(kiln: &Kiln, arguments: &[&str]) -> String {
    let output = kiln.run(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{arguments:?}: {said}");
    said
}

#[cfg(target_os = "linux")]
#[test]
fn the_suggested_batch_fits_and_the_next_does_not() {
    let kiln = Kiln::new();
    // 96 images to learn from; a batch of them would take half as much again.
    let found = kiln.json(&["batch-size", "tiny.toml", "--memory", "100MiB"]);
    let (batch, largest) = (found["suggestion"].as_u64().unwrap(), &found["largest"]);
    let measured = number(&largest["peak_mib"]);
    assert!((9..96).contains(&batch) && measured <= 100.0, "{found}");
    assert!((number(&largest["predicted_mib"]) / measured - 1.0).abs() < 0.15, "{found}");
    // An eighth of the power of two below it, to the nearest image.
    let step = (1 << batch.ilog2()) / 8;
    let trials = found["trials"].as_array().unwrap();
    let next = trials.iter().find(|trial| trial["batch"] == batch + step).expect("the next was tried");
    assert_eq!(next["fits"], false, "{found}");
    assert!(
        trials.iter().all(|trial| trial["fits"] == (trial["batch"].as_u64().unwrap() <= batch)),
        "{found}"
    );

    // The processes that were measured, by hand. Peaks differ from time to time, more so on a busy machine.
    let peak = |batch: u64, run: &str| {
        let set = format!("train.batch_size={batch}");
        let said = kiln.run(&["batch-trial", "tiny.toml", "--set", &set, "--run", run]);
        let said: Value = serde_json::from_slice(&said.stdout).unwrap();
        number(&said["peak"]) / f64::from(1 << 20)
    };
    assert!((peak(batch, "again") / measured - 1.0).abs() < 0.1, "{found}");
    assert!(peak(batch + 2 * step, "over") > 100.0, "{found}");
}

#[test]
fn what_cannot_be_tried_is_one_line() {
    let kiln = Kiln::new();
    if cfg!(target_os = "linux") {
        let line = refused(&kiln, &["batch-size", "tiny.toml", "--memory", "4MiB"]);
        assert!(
            line.starts_with(
                "error: a batch of one image does not fit into 4 MiB: its training step takes more"
            ),
            "{line}"
        );
    }
    let line = refused(&kiln, &["batch-size", "tiny.toml", "--device", "cuda:0"]);
    assert!(line.contains("--device") && line.contains("only the CPU's is known"), "{line}");
    let line = refused(&kiln, &["noise-scale", "--run", "nowhere"]);
    assert!(line.contains("nowhere") && line.contains("holds no run"), "{line}");
}

#[test]
fn the_noise_scale_of_an_experiment_and_of_a_run() {
    let kiln = Kiln::new();
    let begins = kiln.json(&["noise-scale", "tiny.toml", "--batches", "12"]);
    let [scale, signal, noise] = ["noise_scale", "signal", "noise"].map(|key| number(&begins[key]["value"]));
    assert!(signal > 0.0 && (noise / signal / scale - 1.0).abs() < 1e-9, "{begins}");
    assert!(number(&begins["noise_scale"]["error"]) > 0.0, "{begins}");
    // 1 + N / 2B of 1 + N / B, with batches of 16.
    let left = (1.0 + scale / 32.0) / (1.0 + scale / 16.0);
    assert!((number(&begins["steps_left_by_doubling"]) - left).abs() < 1e-9, "{begins}");
    assert_eq!(kiln.json(&["noise-scale", "tiny.toml", "--batches", "12"]), begins, "the same twice");

    let output = kiln.run(&["train", "tiny.toml", "--run", "run", "--set", "train.epochs=1"]);
    assert!(output.status.success());
    let ended = kiln.json(&["noise-scale", "--run", "run", "--batches", "12"]);
    assert_ne!(ended["signal"], begins["signal"], "it measures the run's weights");
    std::fs::remove_file(kiln.path("run/last.safetensors")).unwrap();
    let line = refused(&kiln, &["noise-scale", "--run", "run"]);
    assert!(line.contains("last.safetensors") && line.contains("has not finished an epoch"), "{line}");
}
