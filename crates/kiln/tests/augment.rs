//! Augmentations and mixed batches as a user meets them: on a contact sheet, in a run.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use kiln::{Kiln, TINY};
use serde_json::{Value, json};

/// Every part of a recipe at once.
const MODERN: &str = r#"
train_batches = { mixup = 0.2, cutmix = 1.0, repeats = 2, sizes = [24, 32] }
train_transforms = [
    { name = "horizontal-flip" },
    { name = "trivial-augment" },
    { name = "random-erasing", fill = "noise" },
]
[model]"#;

fn modern() -> Kiln {
    let kiln = Kiln::new();
    let text = TINY.replace("train_transforms = [{ name = \"horizontal-flip\" }]\n[model]", MODERN);
    let loss =
        "lr = 0.05\nlabel_smoothing = 0.1\nloss = { name = \"binary-cross-entropy\", threshold = 0.2 }";
    let text = text.replace("lr = 0.05", loss);
    assert!(text.contains("train_batches") && text.contains("threshold"));
    kiln.write("modern.toml", text.as_bytes());
    kiln
}

#[test]
fn a_recipe_gives_the_same_run_with_any_number_of_workers_and_is_written_down_whole() {
    let kiln = modern();
    for workers in ["0", "1", "2"] {
        let set = format!("data.workers={workers}");
        kiln.json(&["train", "modern.toml", "--run", workers, "--set", &set]);
    }
    for run in ["1", "2"] {
        assert_eq!(kiln.read("0/metrics.csv"), kiln.read(&format!("{run}/metrics.csv")));
        assert!(kiln.bytes("0/last.safetensors") == kiln.bytes(&format!("{run}/last.safetensors")));
    }
    let resolved: Value = serde_json::from_str(&kiln.read("0/resolved.json")).unwrap();
    let batches = json!({
        "mixup": 0.2, "cutmix": 1.0, "mix_probability": 1.0, "repeats": 2, "sizes": [24, 32], "sizes_every": 1
    });
    assert_eq!(resolved["data"]["train_batches"], batches);
    assert_eq!(resolved["data"]["train_transforms"][1]["bins"], 31);
    assert_eq!(resolved["data"]["train_transforms"][2]["scale"], json!([0.02, 0.33]));
    assert_eq!(resolved["train"]["loss"]["name"], "binary-cross-entropy");
    // What is written down is the experiment again.
    kiln.json(&["train", "0/resolved.json", "--run", "again"]);
    assert_eq!(kiln.read("0/metrics.csv"), kiln.read("again/metrics.csv"));
}

#[cfg(unix)]
#[test]
fn a_run_of_mixed_batches_that_is_interrupted_and_resumed_equals_the_unbroken_run() {
    let kiln = modern();
    kiln.json(&["train", "modern.toml", "--run", "whole", "--set", "train.epochs=6"]);
    let mut process = kiln.start(&["train", "modern.toml", "--run", "broken", "--set", "train.epochs=6"]);
    while kiln.lines("broken/metrics.csv") < 2 && process.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let interrupt = std::process::Command::new("kill").args(["-INT", &process.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert!(kiln.lines("broken/metrics.csv") < 7, "the run was over before it could be interrupted");
    kiln.json(&["train", "--resume", "--run", "broken"]);
    assert_eq!(kiln.read("whole/steps.csv"), kiln.read("broken/steps.csv"));
    assert!(kiln.bytes("whole/last.safetensors") == kiln.bytes("broken/last.safetensors"));
}

#[test]
fn wrong_parts_of_a_recipe_are_one_line_each() {
    let kiln = modern();
    let rows: [(&[&str], &[&str]); 8] = [
        (&["data.train_batches.mixup=-1"], &["data.train_batches.mixup=-1: is -1; 0 or more"]),
        (&["data.train_batches.repeats=3"], &["repeats=3: is 3, which does not divide a batch of 16"]),
        (&["data.train_batches.mixupp=1"], &["unknown key `mixupp`; did you mean `mixup`?"]),
        (&["data.train_batches.sizes=[0]"], &["sizes=[0]: has a side of 0"]),
        (&["train.loss.threshold=1.5"], &["`threshold` is 1.5; 0 to below 1"]),
        (&["train.loss.name=bce"], &["`bce` is not known here"]),
        (
            &["data.train_transforms=[{ name = 'cutout', size = 4 }, { name = 'horizontal-flip' }]"],
            &["transforms", "an image is erased only once it is numbers"],
        ),
        (
            &["data.train_transforms=[{ name = 'rand-augment', magnitude = 40 }]"],
            &["`magnitude` is 40, of 31 `bins`"],
        ),
    ];
    for (sets, words) in rows {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let arguments: Vec<&str> = ["train", "modern.toml", "--check"].into_iter().chain(sets).collect();
        let output = kiln.run(&arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
    }
    // A size that the network does not take is found out before the run, too.
    let sizes = ["--set", "model.name=alexnet", "--set", "data.train_batches.sizes=[224, 16]"];
    let large = ["--set", "data.image_size=224"];
    let output = kiln.run(&[&["train", "modern.toml", "--check"], &sizes[..], &large].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("alexnet takes no images of 16x16 pixels"), "{said}");
}

/// Width and height of a PNG.
fn size(kiln: &Kiln, name: &str) -> (u32, u32) {
    image::load_from_memory(&kiln.bytes(name)).unwrap().to_rgb8().dimensions()
}

#[test]
fn augmentations_are_shown_a_row_each() {
    let kiln = modern();
    // Cells of 128 pixels and gaps of 12; rows have one line of 13 pixels and a gap of 4, or more lines.
    let width = |columns: u32| 12 + columns * 140;
    let row = |lines: u32| 128 + 4 + lines * 13 + 12;
    let view = |arguments: &[&str]| {
        let all = [&["data", "view", "shapes", "--columns", "4", "--out", "sheet.png"], arguments].concat();
        kiln.json(&all);
        size(&kiln, "sheet.png")
    };
    assert_eq!(view(&["--augment", "trivial-augment", "--items", "2"]), (width(4), 12 + 2 * row(1)));
    let rows = [&["--augment", "cutmix", "--items", "2"][..], &["--augment", "operations"]];
    // The images as they are, then two mixed batches whose labels have two lines.
    assert_eq!(view(rows[0]), (width(4), 12 + row(1) + 2 * row(2)));
    // Eleven operations with a magnitude, and four without in one row.
    assert_eq!(view(rows[1]), (width(4), 12 + 12 * row(1)));
    assert_eq!(view(&["--augment", "all", "--boxes"]).0, width(4));
    assert_eq!(
        view(&["--augment", "{ name = 'cutout', size = 9 }", "--items", "1"]),
        (width(4), 12 + row(1))
    );
    assert_eq!(view(&["--config", "modern.toml", "--items", "2"]).0, width(4));
    // Equal calls draw equal sheets.
    let first = kiln.bytes("sheet.png");
    view(&["--config", "modern.toml", "--items", "2"]);
    assert!(first == kiln.bytes("sheet.png"));
    for (what, word) in [
        ("blur", "--augment blur: `blur` is not known here"),
        ("cutout", "--augment cutout: the key `size` is missing; write it as in an experiment"),
        ("{ name = 'cutout', size = 0 }", "`size` is 0"),
    ] {
        let output = kiln.run(&["data", "view", "shapes", "--augment", what]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(word), "{said}");
    }
}
