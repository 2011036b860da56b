//! What a run shows of itself: `histograms.jsonl`, and event files as TensorBoard reads them.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use ::kiln::run::{Histograms, Of, Row};
use kiln::Kiln;
use serde_json::Value;

/// Two epochs of 3 steps, each of two batches of 16 and two passes, with a checkpoint every other step.
const START: [&str; 14] = [
    "train",
    "tiny.toml",
    "--set",
    "train.epochs=2",
    "--set",
    "train.accumulate=2",
    "--set",
    "train.sam.rho=0.05",
    "--set",
    "train.checkpoint_steps=2",
    "--set",
    "train.keep=20",
    "--histograms",
    "2",
];

fn run(kiln: &Kiln, arguments: &[&str]) {
    let output = kiln.run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn event_files(kiln: &Kiln, run: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(kiln.path(run)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("events.out.tfevents."))
        .collect();
    files.sort();
    files
}

#[test]
fn looking_changes_nothing_and_a_resumed_run_is_one_run() {
    let kiln = Kiln::new();
    let unseen = [&START[..12], &["--run", "unseen"]].concat();
    run(&kiln, &unseen);
    run(&kiln, &[&START[..], &["--run", "seen"]].concat());
    for file in ["last.safetensors", "best.safetensors", "metrics.csv", "steps.csv"] {
        assert!(kiln.bytes(&format!("seen/{file}")) == kiln.bytes(&format!("unseen/{file}")), "{file}");
    }
    assert!(!kiln.path("unseen/histograms.jsonl").exists());
    assert!(!kiln.read("unseen/report.html").contains("class=\"strips\""));
    assert!(kiln.read("seen/report.html").contains("class=\"strips\""));
    let seen = kiln.bytes("seen/histograms.jsonl");
    let rows = Histograms::read(&kiln.path("seen/histograms.jsonl")).unwrap();
    check(&rows);

    // Killed in the last step, in the middle of a line: it goes on after step 4.
    let mut checkpoints: Vec<PathBuf> = std::fs::read_dir(kiln.path("seen/checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    checkpoints.sort();
    std::fs::remove_dir_all(checkpoints.pop().unwrap()).unwrap();
    assert!(checkpoints.last().unwrap().ends_with("epoch-0001-step-000001"), "{checkpoints:?}");
    let events = event_files(&kiln, "seen").pop().unwrap();
    let bytes = std::fs::read(&events).unwrap();
    std::fs::write(&events, &bytes[..bytes.len() - 10]).unwrap();
    kiln.write("seen/histograms.jsonl", &seen[..seen.len() - 10]);
    run(&kiln, &["train", "--resume", "--run", "seen", "--histograms", "2"]);
    assert!(kiln.bytes("seen/histograms.jsonl") == seen);
    assert_eq!(event_files(&kiln, "seen").len(), 2);

    let Some(python) = std::env::var_os("KILN_TENSORBOARD_PYTHON") else {
        println!("skipped: what TensorBoard reads; KILN_TENSORBOARD_PYTHON names a Python that has it");
        return;
    };
    let output = Command::new(python)
        .args(["-c", include_str!("event_files.py")])
        .arg(kiln.path("seen"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let read: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{why}: {said}"));
    check_scalars(&kiln, &read["scalars"]);
    check_histograms(&rows, &read["histograms"]);
    let text = format!("```toml\n{}\n```\n", kiln.read("seen/experiment.toml").trim_end());
    assert_eq!(read["texts"], serde_json::json!({"experiment": [[0, text]]}));
}

fn check(rows: &[Row]) {
    let steps: BTreeSet<usize> = rows.iter().map(|row| row.step).collect();
    assert_eq!(steps, BTreeSet::from([1, 2, 4, 6]));
    let at = |step, of| rows.iter().filter(move |row| row.step == step && row.of == of);
    for step in steps {
        // He et al., Table 6: a ResNet-20 has 0.27 million parameters; torchvision counts 269,722 of this one.
        let names = |of| at(step, of).map(|row| row.name.as_str()).collect::<Vec<_>>();
        assert_eq!(at(step, Of::Weights).map(|row| row.histogram.count).sum::<u64>(), 269_722);
        assert_eq!(names(Of::Weights), names(Of::Gradients));
        // 19 convolutions, a normalization behind each, the classifier.
        assert_eq!(names(Of::Activations).len(), 39);
    }
    let row = |step, of, name: &str| {
        &at(step, of).find(|row| row.name == name).unwrap_or_else(|| panic!("{name}")).histogram
    };
    // A fresh normalization multiplies by 1 and adds 0; a ReLU is behind this one, on 16 channels of 16 images of 32x32.
    let (gamma, beta) = (row(1, Of::Weights, "bn1.gamma"), row(1, Of::Weights, "bn1.beta"));
    assert_eq!((gamma.count, gamma.min, gamma.max, gamma.std), (16, 1.0, 1.0, 0.0));
    assert_eq!((beta.zeros, beta.bins.as_slice()), (16, [16].as_slice()));
    assert_ne!(row(2, Of::Weights, "bn1.gamma"), gamma);
    let x = row(1, Of::Activations, "bn1");
    assert_eq!((x.count, x.min), (16 * 16 * 32 * 32, 0.0));
    assert!(x.zeros > x.count / 4 && x.zeros < 3 * x.count / 4, "{x:?}");
    // Before its ReLU every channel of a batch has mean 0 and variance 1.
    let x = row(1, Of::Activations, "conv1");
    assert_eq!((x.count, x.zeros), (16 * 16 * 32 * 32, 0));
    // The shares of the classes add up to 1 whatever the weights: the gradients of the biases to 0.
    let gradient = row(4, Of::Gradients, "fc.bias");
    assert!(gradient.mean.abs() < 1e-7 && gradient.std > 1e-4, "{gradient:?}");
    assert_eq!(row(6, Of::Activations, "fc").count, 16 * 10);
}

/// Steps and epochs once each, their numbers those of `steps.csv` and `metrics.jsonl` in 32 bits.
fn check_scalars(kiln: &Kiln, scalars: &Value) {
    let of = |tag: &str| -> Vec<(usize, f64)> {
        let points = scalars[tag].as_array().unwrap_or_else(|| panic!("{tag} in {scalars}"));
        points.iter().map(|pair| (pair[0].as_u64().unwrap() as usize, pair[1].as_f64().unwrap())).collect()
    };
    let steps = kiln.read("seen/steps.csv");
    let column = |number: usize| -> Vec<(usize, f64)> {
        let cells = steps.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
        let value = |cells: Vec<&str>| {
            (cells[0].parse().unwrap(), f64::from(cells[number].parse::<f64>().unwrap() as f32))
        };
        cells.map(value).collect()
    };
    assert_eq!(column(1).len(), 6);
    assert_eq!(of("loss/step"), column(1));
    assert_eq!(of("rate/learning_rate"), column(2));
    for part in ["data", "forward", "backward", "step", "saving", "other"] {
        let times = of(&format!("seconds_a_step/{part}"));
        assert_eq!(times.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        assert!(times.iter().all(|(_, time)| (0.0..60.0).contains(time)), "{part}: {times:?}");
    }
    assert!(of("speed/images_per_second").iter().all(|(_, speed)| *speed > 0.0));
    let rows: Vec<Value> =
        kiln.read("seen/metrics.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (tag, key) in [
        ("loss/train", "train_loss"),
        ("loss/test", "test_loss"),
        ("score/accuracy", "accuracy"),
        ("epoch/done", "epoch"),
    ] {
        let expected = rows.iter().map(|row| {
            (row["step"].as_u64().unwrap() as usize, f64::from(row[key].as_f64().unwrap() as f32))
        });
        assert_eq!(of(tag), expected.collect::<Vec<_>>(), "{tag}");
    }
}

fn check_histograms(rows: &[Row], histograms: &Value) {
    let mut expected: BTreeMap<String, Vec<[f64; 7]>> = BTreeMap::new();
    for Row { step, of, name, histogram } in rows {
        let of = format!("{of:?}").to_lowercase();
        let count = histogram.count as f64;
        let sum = histogram.mean * count;
        let numbers =
            [*step as f64, count, histogram.min, histogram.max, sum, histogram.bins.len() as f64, count];
        expected.entry(format!("{of}/{name}")).or_default().push(numbers);
    }
    let read: BTreeMap<String, Vec<[f64; 7]>> = serde_json::from_value(histograms.clone()).unwrap();
    assert!(read.keys().eq(expected.keys()));
    // Reading JSON may take a number for its neighbour.
    let near = |a: &[f64; 7], b: &[f64; 7]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-12 * b.abs());
    for (tag, expected) in &expected {
        let read = &read[tag];
        let equal = read.len() == expected.len() && read.iter().zip(expected).all(|(a, b)| near(a, b));
        assert!(equal, "{tag}: {read:?} for {expected:?}");
    }
}
