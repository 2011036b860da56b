//! Segmenters as a user meets them: trained, scored, used.

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
train_items = 24
test_items = 6
image_size = 64
train_transforms = [{ name = \"random-scale-crop\", size = 48 }, { name = \"horizontal-flip\" }]

[model]
name = \"unet_bn\"
narrower = 8

[train]
epochs = 3
batch_size = 6
lr = 0.003

[segmentation]
boundaries = true

[segmentation.loss]
name = \"sum\"
parts = [{ loss = { name = \"cross-entropy\" } }, { weight = 0.5, loss = { name = \"dice\" } }]

[optimizer]
name = \"adam\"
";

#[test]
fn a_segmenter_is_trained_scored_and_used() {
    let kiln = Kiln::new();
    kiln.write("segmenter.toml", TINY.as_bytes());
    let trained = kiln.json(&["train", "segmenter.toml", "--run", "run"]);
    assert_eq!((&trained["finished"], &trained["epochs"]), (&true.into(), &3.into()));
    let header = kiln.read("run/metrics.csv");
    let figures = "mean_iou,pixel_accuracy,mean_accuracy,frequency_weighted_iou,boundary_f";
    assert!(header.starts_with(&format!("epoch,step,rate,train_loss,test_loss,{figures}\n")), "{header}");
    let report = kiln.read("run/report.html");
    for expected in ["Labels of pixels", "background", "Worst", "true labels", "predicted labels"] {
        assert!(report.contains(expected), "{expected}");
    }

    let best = trained["best"]["mean_iou"].as_f64().unwrap();
    let scored = kiln.json(&["eval", "run"]);
    let iou = |scored: &Value| scored["scores"]["mean_iou"].as_f64().unwrap();
    assert!((iou(&scored) - best).abs() < 1e-6, "{scored}, not {best}");
    assert_eq!(scored["per_class_IoU"].as_object().unwrap().len(), 11);
    // One window that is as large as the image, and the image as it is, are the same as nothing of either.
    assert_eq!(iou(&kiln.json(&["eval", "run", "--window", "64", "--scales", "1"])), iou(&scored));
    let more = ["eval", "run", "--flip", "--scales", "0.75,1", "--window", "40", "--crf=3,20,10"];
    let more = iou(&kiln.json(&more));
    assert!((0.0..=1.0).contains(&more) && more != iou(&scored), "{more}");

    let picture = image::RgbImage::from_fn(90, 50, |x, y| image::Rgb([(x * 2) as u8, (y * 3) as u8, 90]));
    picture.save(kiln.path("a.png")).unwrap();
    let said = kiln.json(&["predict", "a.png", "--run", "run", "--out", "drawn", "--flip"]);
    let classes = said["images"][0]["classes"].as_array().unwrap();
    let shares: f64 = classes.iter().map(|class| class["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{classes:?}");
    let drawn = image::open(kiln.path("drawn/a.png")).unwrap();
    assert!(drawn.width() >= 90 && drawn.height() >= 50);
}

#[test]
fn what_does_not_fit_a_segmenter_is_one_line() {
    let kiln = Kiln::new();
    kiln.write("segmenter.toml", TINY.as_bytes());
    let rows = [
        ("train.label_smoothing=0.1", "is for classifiers, and this is a segmenter; leave it out"),
        ("data.train_batches.mixup=0.5", "is for classifiers, and this is a segmenter"),
        ("task=detection", "unet_bn is a segmenter; name another model"),
        ("segmentation.auxiliary_weight=-1", "is -1; 0 or more, as 0.5"),
        ("segmentation.loss={name=\"focal\", weights=[1.0, 2.0]}", "`weights` has 2 numbers, for 11 classes"),
        ("model.narrower=0", "is 0; 2 halves the channels"),
    ];
    for (set, expected) in rows {
        let output = kiln.run(&["train", "segmenter.toml", "--check", "--set", set]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{set}: {said}");
        assert!(said.contains(expected), "{set}: {said}");
    }
    kiln.weights("w.safetensors");
    kiln.write("a.jpg", &kiln::jpeg());
    let classifier = ["predict", "a.jpg", "--model", "cifar10-resnet20", "--weights", "w.safetensors"];
    for (options, expected) in [
        (&["--flip"][..], "`--flip` is for segmenters, and cifar10-resnet20 is a classifier"),
        (&["--crf"], "`--crf` is for segmenters"),
        (&["--stride", "3"], "--window"),
        (&["--scales", "0"], "a factor from 0.1 to 10 is wanted"),
        (&["--crf=1,2"], "a weight, pixels and grey levels are wanted"),
    ] {
        let output = kiln.run(&[&classifier[..], options].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_wrong_label_is_one_line_with_its_file() {
    let kiln = Kiln::new();
    let image = |name: &str, size: [u32; 2]| {
        std::fs::create_dir_all(kiln.path(name).parent().unwrap()).unwrap();
        image::RgbImage::new(size[0], size[1]).save(kiln.path(name)).unwrap();
    };
    let labels = |name: &str, size: [u32; 2], label: u8| {
        std::fs::create_dir_all(kiln.path(name).parent().unwrap()).unwrap();
        image::GrayImage::from_pixel(size[0], size[1], image::Luma([label])).save(kiln.path(name)).unwrap();
    };
    for split in ["train", "test"] {
        for at in 0..6 {
            image(&format!("data/{split}/{at}.png"), [64, 64]);
            labels(&format!("data/{split}annot/{at}.png"), [64, 64], 3);
        }
    }
    kiln.write(
        "segmenter.toml",
        TINY.replace("\"shapes\"", "\"data\"").replace("image_size = 64\n", "").as_bytes(),
    );
    let sets = ["--set", "data.train_items=6", "--set", "train.epochs=1"];
    let train = |run: &str| kiln.run(&[&["train", "segmenter.toml", "--run", run][..], &sets].concat());
    let refused = |run: &str, expected: &str| {
        let output = train(run);
        let said = String::from_utf8(output.stderr).unwrap();
        let line = said.lines().last().unwrap().to_string();
        assert!(!output.status.success() && line.contains(expected), "{said}");
    };
    // A grey photograph is as good as any: its three channels are equal.
    image::GrayImage::from_pixel(64, 64, image::Luma([9])).save(kiln.path("data/train/0.png")).unwrap();
    assert!(train("good").status.success());

    labels("data/trainannot/2.png", [64, 64], 200);
    refused("a", "trainannot/2.png: pixel 0, 0: class 200, of 11 classes");
    labels("data/trainannot/2.png", [64, 60], 3);
    refused("b", "trainannot/2.png: is 64x60, its image is 64x64");
    image::RgbImage::from_pixel(64, 64, image::Rgb([9, 1, 7]))
        .save(kiln.path("data/trainannot/2.png"))
        .unwrap();
    refused("c", "trainannot/2.png: pixel 0, 0: a colour image with 9, 1, 7, which is none of VOC's colours");
    std::fs::remove_file(kiln.path("data/trainannot/2.png")).unwrap();
    refused("d", "train/2.png: no label map");
}
