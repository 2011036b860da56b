//! Detectors as a user meets them: trained, scored, used.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use kiln::Kiln;
use serde_json::Value;

/// An experiment of seconds.
const TINY: &str = "\
seed = 1

[data]
name = \"shapes\"
train_items = 16
test_items = 12
image_size = 64
train_transforms = [{ name = \"mosaic\", size = 64 }, { name = \"random-perspective\", size = 64 }]

[model]
name = \"yolov5n\"

[train]
epochs = 2
batch_size = 8
lr = 0.002

[optimizer]
name = \"adam\"

[schedule]
name = \"constant\"
warmup = { epochs = 1, start = 0.0, bias_rate = 0.01 }
";

#[test]
fn a_detector_is_trained_scored_and_used() {
    let kiln = Kiln::new();
    kiln.write("detector.toml", TINY.as_bytes());
    let trained = kiln.json(&["train", "detector.toml", "--run", "run"]);
    assert_eq!((&trained["finished"], &trained["epochs"]), (&true.into(), &2.into()));
    let header = kiln.read("run/metrics.csv");
    assert!(header.starts_with("epoch,step,rate,train_loss,test_loss,ap,ap50,ap75,ar100\n"), "{header}");
    assert!(kiln.read("run/report.html").contains("background"));

    // Square images without transforms are scored in their own pixels either way.
    let scored = kiln.json(&["eval", "run", "--results", "found.json"]);
    assert_eq!(scored["items"], 12);
    let (ap, best) = (scored["scores"]["AP"].as_f64().unwrap(), trained["best"]["ap"].as_f64().unwrap());
    assert!((ap - best).abs() < 1e-9, "{ap} is not {best}");
    let found: Vec<Value> = serde_json::from_str(&kiln.read("found.json")).unwrap();
    assert!(found.iter().all(|one| (1..=12).contains(&one["image_id"].as_u64().unwrap())));

    let picture = image::RgbImage::from_fn(90, 50, |x, y| image::Rgb([(x * 2) as u8, (y * 3) as u8, 90]));
    picture.save(kiln.path("a.png")).unwrap();
    let predict = |more: &[&str]| {
        let all = [&["predict", "a.png", "--run", "run", "--score", "0"][..], more].concat();
        kiln.json(&all)["images"][0]["objects"].as_array().unwrap().clone()
    };
    let all = predict(&["--out", "drawn", "--results", "results.json"]);
    assert!(!all.is_empty() && all.len() <= 300);
    for object in &all {
        let corners: Vec<f64> =
            object["box"].as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect();
        let [x1, y1, x2, y2] = corners[..] else { panic!("{corners:?}") };
        assert!(0.0 <= x1 && x1 <= x2 && x2 <= 90.0 && 0.0 <= y1 && y1 <= y2 && y2 <= 50.0, "{corners:?}");
    }
    assert_eq!(image::open(kiln.path("drawn/a.png")).map(|drawn| drawn.width() >= 90).ok(), Some(true));
    let written: Vec<Value> = serde_json::from_str(&kiln.read("results.json")).unwrap();
    assert_eq!(written.len(), all.len());
    assert_eq!(predict(&["--max", "1"]).len(), 1);
    let named = all[0]["name"].as_str().unwrap();
    let only = predict(&["--classes", named]);
    assert!(!only.is_empty() && only.iter().all(|object| object["name"] == named));
}

#[test]
fn what_does_not_fit_a_detector_is_one_line() {
    let kiln = Kiln::new();
    kiln.write("detector.toml", TINY.as_bytes());
    let rows = [
        (
            "detector.toml",
            "train.label_smoothing=0.1",
            "is for classifiers, and this is a detector; leave it out",
        ),
        ("detector.toml", "train.loss.name=cross-entropy", "is for classifiers"),
        ("detector.toml", "data.train_batches.cutmix=1.0", "is for classifiers"),
        ("detector.toml", "task=classification", "yolov5n is a detector; name another model"),
        ("tiny.toml", "task=detection", "cifar10-resnet20 is a classifier"),
        ("detector.toml", "detection.score=2", "is 2; 0 to 1, as 0.001"),
        ("detector.toml", "detection.suppression={name=\"greedy\", threshold=7}", "`threshold` is 7"),
        (
            "detector.toml",
            "data.test_transforms=[{name=\"center-crop\", size=64}]",
            "in a square; give one `letterbox`",
        ),
        ("detector.toml", "schedule.warmup.momentum=0.8", "`adam` has no momentum to warm up"),
    ];
    for (config, set, expected) in rows {
        let output = kiln.run(&["train", config, "--check", "--set", set]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{set}: {said}");
        assert!(said.contains(expected), "{set}: {said}");
    }
    kiln.weights("w.safetensors");
    let classifier = ["--model", "cifar10-resnet20", "--weights", "w.safetensors"];
    for option in [["--score", "0.5"], ["--classes", "cat"], ["--results", "a.json"]] {
        kiln.write("a.jpg", &kiln::jpeg());
        let output = kiln.run(&[&["predict", "a.jpg"][..], &classifier, &option].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(&format!("`{}` is for detectors", option[0])), "{said}");
    }
}

#[test]
fn published_yolov5n_finds_what_the_reference_finds() {
    let Some(shared) = kiln::shared_data() else { return };
    let kiln = Kiln::new();
    let weights = shared.join("weights/yolov5n");
    let text = std::fs::read_to_string(weights.join("reference.json")).unwrap();
    let reference: Value = serde_json::from_str(&text).unwrap();
    let file = weights.join("yolov5n.safetensors").display().to_string();
    let network = ["--model", "yolov5n", "--weights", &file];
    for (name, expected) in reference["images"].as_object().unwrap() {
        let image = shared.join("reference-images").join(name).display().to_string();
        let answer = kiln.json(&[&["predict", &image][..], &network].concat());
        let found = answer["images"][0]["objects"].as_array().unwrap().clone();
        let expected = expected.as_array().unwrap();
        assert_eq!(found.len(), expected.len(), "{name}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found["name"], expected["name"], "{name}");
            let near =
                |a: &Value, b: &Value, by: f64| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() <= by;
            assert!(near(&found["score"], &expected["score"], 0.01), "{name}: {found} is not {expected}");
            let corners = (0..4).all(|at| near(&found["box"][at], &expected["xyxy"][at], 2.0));
            assert!(corners, "{name}: {found} is not {expected}");
        }
    }
    let data = shared.join("coco128").display().to_string();
    let answer = kiln.json(&[&["eval", "--data", &data, "--split", "train"][..], &network].concat());
    for (figure, expected) in [("AP", 0.3496), ("AP50", 0.5473)] {
        let found = answer["scores"][figure].as_f64().unwrap();
        assert!((found - expected).abs() <= 0.004, "{figure}: {found}");
    }
}
