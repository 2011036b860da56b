//! Runs that are killed, that find their last checkpoint damaged, or their disk full, and what they are worth afterwards.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kiln::Kiln;

/// A run of a second that has everything which could be lost: momentum, an average, accumulation, augmentation, a
/// schedule, a part that is frozen for a while.
const RUN: &str = "\
seed = 3

[data]
name = \"shapes\"
train_items = 32
test_items = 16
image_size = 24
train_transforms = [{ name = \"horizontal-flip\" }]
[model]
name = \"cifar10-resnet20\"
[train]
epochs = 5
batch_size = 4
accumulate = 2
lr = 0.05
clip = { name = \"norm\", max = 1.0 }
average = { name = \"ema\", decay = 0.9, ramp_steps = 5 }
freeze = [{ path = \"layer1\", from_epoch = 1, until_epoch = 3 }]
checkpoint_steps = 3
[optimizer]
name = \"sgd\"
momentum = 0.9
nesterov = true
[schedule]
name = \"cosine\"
";

const START: [&str; 2] = ["train", "run.toml"];

/// What a run is worth.
const RESULT: [&str; 6] = [
    "last.safetensors",
    "average.safetensors",
    "best.safetensors",
    "metrics.csv",
    "metrics.jsonl",
    "steps.csv",
];

fn house() -> Kiln {
    let kiln = Kiln::new();
    kiln.write("run.toml", RUN.as_bytes());
    kiln
}

fn result(kiln: &Kiln, run: &str) -> Vec<Vec<u8>> {
    RESULT.iter().map(|name| kiln.bytes(&format!("{run}/{name}"))).collect()
}

fn finished(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn same(kiln: &Kiln, run: &str, whole: &[Vec<u8>], what: &str) {
    for ((name, ours), whole) in RESULT.iter().zip(result(kiln, run)).zip(whole) {
        assert!(ours == *whole, "{what}: {name} is not that of the unbroken run");
    }
}

/// What the run is worth that nothing happened to, and how long it took; all tests hold theirs against the same one.
fn unbroken() -> &'static (Vec<Vec<u8>>, Duration) {
    static WHOLE: OnceLock<(Vec<Vec<u8>>, Duration)> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let kiln = house();
        let began = Instant::now();
        finished(&kiln.run(&[&START[..], &["--run", "whole"]].concat()));
        let length = began.elapsed();
        // Two batches of 4 of 32 images are a step: 4 steps an epoch, 20 in all, and a header.
        assert_eq!(kiln.lines("whole/steps.csv"), 21);
        assert_eq!(kiln.lines("whole/metrics.csv"), 6);
        (result(&kiln, "whole"), length)
    })
}

/// Numbers that nobody chose; the first is printed, so that a failure can be repeated.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = std::env::var("KILN_TEST_SEED").map_or(now, |seed| seed.parse().unwrap());
        println!("KILN_TEST_SEED={seed}");
        Self(seed)
    }

    /// Up to, but not, `below`.
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

#[test]
fn a_run_that_is_killed_at_ten_moments_and_resumed_equals_the_unbroken_run() {
    let kiln = house();
    let (whole, length) = unbroken();
    let mut chance = Chance::new();
    let (mut kills, mut in_checkpoints, mut runs) = (0, 0, 0);
    while kills < 10 {
        runs += 1;
        let run = format!("killed{runs}");
        let mut arguments = [&START[..], &["--run", &run]].concat();
        // Checkpoints as often as can be: every step.
        arguments.extend(["--set", "train.checkpoint_steps=1"]);
        while kills < 10 {
            let mut child = kiln.start(&arguments);
            let began = Instant::now();
            let patience = Duration::from_millis(100 + chance.below(length.as_millis() as u64 * 2 / 3));
            // Every other one dies while it writes a checkpoint.
            let writes = kiln.path(&format!("{run}/checkpoints/.unfinished"));
            let mut ended = false;
            while began.elapsed() < patience || (kills % 2 == 0 && !writes.exists()) {
                ended = child.try_wait().unwrap().is_some();
                if ended {
                    break;
                }
                std::thread::yield_now();
            }
            child.kill().unwrap();
            child.wait().unwrap();
            if ended {
                break;
            }
            kills += 1;
            in_checkpoints += u32::from(writes.exists());
            arguments = match kiln.path(&format!("{run}/resolved.json")).exists() {
                true => vec!["train", "--resume", "--run", &run],
                // It did not even begin.
                false => arguments,
            };
        }
        if kiln.path(&format!("{run}/resolved.json")).exists() {
            finished(&kiln.run(&["train", "--resume", "--run", &run]));
            same(&kiln, &run, whole, &run);
        }
    }
    println!("{kills} kills, {in_checkpoints} of them in a checkpoint, in {runs} runs");
    assert!(in_checkpoints >= 2, "{in_checkpoints} of {kills} kills came while a checkpoint was written");
}

#[test]
fn the_number_of_workers_changes_nothing_and_a_second_run_is_the_same() {
    let kiln = house();
    let (first, _) = unbroken();
    for (workers, run) in [("0", "none"), ("1", "one"), ("2", "two")] {
        let workers = format!("data.workers={workers}");
        finished(&kiln.run(&[&START[..], &["--run", run, "--set", &workers]].concat()));
        same(&kiln, run, first, &workers);
    }
}

/// A run that was killed some way into its third epoch, two whole checkpoints behind it.
fn killed(kiln: &Kiln, run: &str) {
    let mut child = kiln.start(&[&START[..], &["--run", run]].concat());
    let began = Instant::now();
    while kiln.lines(&format!("{run}/metrics.csv")) < 3 && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The checkpoints of a run, oldest first.
fn checkpoints(kiln: &Kiln, run: &str) -> Vec<String> {
    let entries = std::fs::read_dir(kiln.path(&format!("{run}/checkpoints"))).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("epoch-"));
    names.sort();
    names
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so() {
    let kiln = house();
    let (whole, _) = unbroken();
    for (file, run) in
        [("network.bpk", "a"), ("optimizer.safetensors", "b"), ("average.bpk", "c"), ("state.json", "d")]
    {
        killed(&kiln, run);
        let names = checkpoints(&kiln, run);
        let [.., before, last] = &names[..] else { panic!("two are kept: {names:?}") };
        let damaged = format!("{run}/checkpoints/{last}/{file}");
        let mut bytes = kiln.bytes(&damaged);
        let half = bytes.len() / 2;
        bytes.truncate(half);
        kiln.write(&damaged, &bytes);
        let output = kiln.run(&["train", "--resume", "--run", run]);
        finished(&output);
        let text = said(&output);
        let notes: Vec<_> = text.lines().filter(|line| line.starts_with("note: ")).collect();
        assert_eq!(notes.len(), 1, "{text}");
        assert!(notes[0].contains(&damaged) && notes[0].contains("the checkpoint is damaged"), "{text}");
        assert!(notes[0].ends_with(&format!("going on from {run}/checkpoints/{before}")), "{text}");
        same(&kiln, run, whole, file);
    }
    // With no checkpoint that is whole there is nothing to go on from.
    for name in checkpoints(&kiln, "d") {
        kiln.write(&format!("d/checkpoints/{name}/state.json"), b"{");
    }
    let output = kiln.run(&["train", "--resume", "--run", "d"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("the checkpoint is damaged"), "{}", said(&output));
}

#[test]
fn the_parts_of_a_recipe_are_keys_that_are_checked_and_resolved() {
    let kiln = house();
    // What was typed is in what was resolved, which is an experiment itself.
    finished(
        &kiln.run(
            &[&START[..], &["--run", "r", "--set", "train.epochs=1", "--set", "train.freeze=[]"]].concat(),
        ),
    );
    let resolved: serde_json::Value = serde_json::from_str(&kiln.read("r/resolved.json")).unwrap();
    let train = &resolved["train"];
    assert_eq!((train["accumulate"].as_u64(), train["checkpoint_steps"].as_u64()), (Some(2), Some(3)));
    assert_eq!(train["clip"], serde_json::json!({"name": "norm", "max": 1.0}));
    assert_eq!(train["average"]["ramp_steps"], 5);
    // Left out by whoever typed it, and complete here.
    assert_eq!(
        (&train["average"]["every_steps"], &train["average"]["statistics"]),
        (&1.into(), &"average".into())
    );
    finished(&kiln.run(&["train", "r/resolved.json", "--check"]));

    let rows = [
        ("train.accumulate=0", "is 0; give 1 or more"),
        ("train.clip.max=-1", "-1 is no bound"),
        ("train.clip.name=size", "`size` is not known here; there are norm, value"),
        ("train.average.decay=1.0", "1 is out of range"),
        ("train.average.decai=0.9", "unknown key `decai`"),
        ("train.average={name=\"swa\",after_epochs=9}", "is 9, but the run has 5 epochs"),
        ("train.sam.rho=0.0", "0 is no distance"),
        (
            "train.freeze=[{path=\"layer4\"}]",
            "no parameter's path begins with `layer4`; did you mean `layer1`?",
        ),
        ("train.early_stop.patience=0", "is 0; give 1 or more"),
        ("train.checkpoint_steps=0", "is 0; give 1 or more"),
        ("train.checkpoint_minutes=-2", "-2 minutes are no time"),
        ("train.keep=0", "is 0; give 1 or more"),
    ];
    for (set, expected) in rows {
        let output = kiln.run(&["train", "run.toml", "--check", "--set", set]);
        let text = said(&output);
        assert_eq!((output.status.code(), text.lines().count()), (Some(2), 1), "{set}: {text}");
        assert!(text.starts_with("error: run.toml: ") && text.contains(expected), "{set}: {text}");
        assert!(text.contains(set.split(['=', '{']).next().unwrap()), "{set}: {text}");
    }
}

/// A full disk: one line, exit code 1, and what was there can be gone on from.
fn stops_cleanly(kiln: &Kiln, run: &str, output: &Output, whole: &[Vec<u8>]) {
    let text = said(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let errors: Vec<_> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    assert!(errors[0].contains("cannot be written") && errors[0].ends_with("is whole"), "{text}");
    assert!(!kiln.path(&format!("{run}/checkpoints/.unfinished")).exists());
    let kept = checkpoints(kiln, run);
    let output = kiln.run(&["train", "--resume", "--run", run]);
    finished(&output);
    assert!(said(&output).contains("resumed after step"), "{kept:?}: {}", said(&output));
    same(kiln, run, whole, "after a full disk");
}

#[test]
fn a_full_disk_stops_a_run_and_keeps_what_was_there() {
    let kiln = house();
    let (whole, _) = unbroken();
    let program = env!("CARGO_BIN_EXE_kiln");

    // No file may be longer than 1000 * 512 bytes: the weights, 270,000 numbers of four bytes, are.
    killed(&kiln, "limited");
    let script = format!("trap '' XFSZ; ulimit -f 1000; exec '{program}' train --resume --run limited");
    let output = Command::new("sh").args(["-c", &script]).current_dir(kiln.path("")).output().unwrap();
    stops_cleanly(&kiln, "limited", &output, whole);

    // A disk of 11 MB. The run needs 3.3 MB of weights and three checkpoints, the third being written, of 3.3 MB each.
    std::fs::create_dir(kiln.path("disk")).unwrap();
    let disk = kiln.path("disk");
    let Some(_mounted) = Mounted::new(&disk, "11m") else {
        println!("skipped: a small disk cannot be mounted here");
        return;
    };
    let output = kiln.run(&[&START[..], &["--run", "disk/run"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let copied = Command::new("cp").args(["-a", "disk/run", "moved"]).current_dir(kiln.path("")).status();
    assert!(copied.unwrap().success());
    stops_cleanly(&kiln, "moved", &output, whole);
}

/// A small disk in memory, for as long as this lives.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn new(folder: &'a Path, size: &str) -> Option<Self> {
        let size = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}
