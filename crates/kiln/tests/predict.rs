//! `kiln predict` as a user meets it.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use std::path::Path;

use kiln::{Kiln, jpeg};
use serde_json::Value;

/// A folder with the weights `w.safetensors` of `cifar10-resnet20` and three pictures.
fn with_pictures() -> Kiln {
    let kiln = Kiln::new();
    kiln.weights("w.safetensors");
    kiln.write("photos/a.jpg", &jpeg());
    for (name, [red, green]) in [("photos/deep/a.png", [9, 200]), ("photos/deep/b.png", [180, 3])] {
        let picture = image::RgbImage::from_fn(50, 90, |x, y| image::Rgb([red, green, (x * y % 256) as u8]));
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        kiln.write(name, &bytes.into_inner());
    }
    kiln
}

const NETWORK: [&str; 5] = ["predict", "--model", "cifar10-resnet20", "--weights", "w.safetensors"];

fn predict<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [&NETWORK[..], rest].concat()
}

fn files(answer: &Value) -> Vec<&str> {
    answer["images"].as_array().unwrap().iter().map(|image| image["file"].as_str().unwrap()).collect()
}

fn probabilities(answer: &Value) -> Vec<f64> {
    let images = answer["images"].as_array().unwrap().iter();
    let classes = images.flat_map(|image| image["classes"].as_array().unwrap());
    classes.map(|class| class["probability"].as_f64().unwrap()).collect()
}

#[test]
fn an_image_is_named_alike_alone_and_among_others_and_however_it_is_found() {
    let kiln = with_pictures();
    let all = ["photos/a.jpg", "photos/deep/a.png", "photos/deep/b.png"];
    let together = kiln.json(&predict(&all));
    assert_eq!(files(&together), all);
    let mut alone = Vec::new();
    for file in all {
        alone.extend(probabilities(&kiln.json(&predict(&[file]))));
    }
    let ways: [&[&str]; 4] =
        [&["photos"], &["photos/**/*.*"], &["photos/*.jpg", "photos/deep"], &["photos", "--batch-size", "2"]];
    for way in ways {
        let found = kiln.json(&predict(way));
        assert_eq!(files(&found), all, "{way:?}");
        for (a, b) in probabilities(&found).into_iter().zip(&alone) {
            assert!((a - b).abs() < 1e-5, "{way:?}: {a} is not {b}");
        }
    }
    assert_eq!(probabilities(&kiln.json(&predict(&["photos", "--top", "2"]))).len(), 6);
    // For people: the file, then a line a class.
    let output = kiln.run(&predict(&["photos/a.jpg", "--top", "1"]));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!((said.lines().count(), said.lines().next()), (2, Some("photos/a.jpg")), "{said}");
    assert!(said.contains(" %  "), "{said}");
}

#[test]
fn what_cannot_be_read_is_skipped_and_said_and_nothing_to_read_is_an_error() {
    let kiln = with_pictures();
    kiln.write("photos/bad.jpg", &jpeg()[..300]);
    kiln.write("photos/deep/empty.png", b"");
    kiln.write("photos/notes.txt", b"no image, and not taken for one");
    let output = kiln.run(&predict(&["photos", "--json"]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines[0].starts_with("skipped photos/bad.jpg: not a readable image"), "{said}");
    assert!(lines[1].starts_with("skipped photos/deep/empty.png: not a readable image"), "{said}");
    assert_eq!(lines[2], "2 of 5 images skipped");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(files(&answer).len(), 3);
    assert_eq!(answer["skipped"][1]["file"], "photos/deep/empty.png");

    kiln.write("bad/a.jpg", b"no image");
    kiln.write("bad/b.jpg", b"no image either");
    kiln.write("none/notes.txt", b"");
    let rows: [(&[&str], &str); 6] = [
        (&["photos/bad.jpg"], "error: photos/bad.jpg: not a readable image"),
        (&["bad"], "error: none of the 2 images can be read"),
        (&["photos", "absent.jpg"], "error: absent.jpg: no such file or folder"),
        (&["photos/*.tif"], "error: photos/*.tif: no file matches this pattern"),
        (&["none"], "error: none: no images in it"),
        (&["photos", "--out", "photos/deep"], "error: photos/deep: holds images to be named"),
    ];
    for (images, error) in rows {
        let output = kiln.run(&predict(images));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{images:?}: {said}");
        assert!(said.lines().last().unwrap().starts_with(error), "{images:?}: {said}");
    }
    let output = kiln.run(&["predict", "photos"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("no network is named; give `--model` and `--weights`"), "{said}");
}

#[test]
fn every_image_is_drawn_under_a_name_of_its_own() {
    let kiln = with_pictures();
    let answer = kiln.json(&predict(&["photos", "--out", "drawn/here"]));
    let drawings: Vec<&str> =
        answer["images"].as_array().unwrap().iter().map(|image| image["drawing"].as_str().unwrap()).collect();
    assert_eq!(drawings, ["drawn/here/a.png", "drawn/here/a-2.png", "drawn/here/b.png"]);
    for drawing in drawings {
        let picture = image::open(kiln.path(drawing)).unwrap();
        // A line of at least 400 pixels and 16 on either side.
        assert!(picture.width() >= 432 && picture.height() > 320, "{drawing}");
    }
    assert!(!kiln.files().iter().any(|file| file.ends_with(".part")));
}

#[test]
fn a_run_s_folder_is_all_that_is_needed() {
    let kiln = with_pictures();
    kiln.json(&["train", "tiny.toml", "--run", "run", "--set", "train.epochs=1"]);
    let named = kiln.json(&["predict", "--run", "run", "photos"]);
    let weights = "run/best.safetensors";
    let typed = kiln.json(&["predict", "--model", "cifar10-resnet20", "--weights", weights, "photos"]);
    assert_eq!(named, typed);
    assert_eq!(named["model"], "cifar10-resnet20");
    // The names of the data set it learned from, not numbers.
    let name = named["images"][0]["classes"][0]["name"].as_str().unwrap();
    assert!(name.parse::<usize>().is_err(), "{name}");
    let output = kiln.run(&["predict", "--run", "photos", "photos"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("photos: holds no run"));
}

#[test]
fn photographs_get_the_probabilities_that_pytorch_gives_them() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let weights = shared.join("weights/resnet-cifar10/resnet20-12fca82f.th");
    if !weights.is_file() {
        println!("skipped: {} is not here", weights.display());
        return;
    }
    // PyTorch 2.15 with these weights, torchvision 0.29: ImageClassification(crop_size=32, resize_size=32).
    let rows = [
        ("bus.jpg", [1, 9], [0.5272, 0.44982]),
        ("horses.jpg", [3, 0], [0.4916, 0.15784]),
        ("kite.jpg", [8, 0], [0.94136, 0.05628]),
        ("cmyk_pytorch.jpg", [3, 1], [0.92326, 0.02524]),
        ("rgbalpha_pytorch16.png", [3, 1], [0.92548, 0.02531]),
    ];
    let images = rows.map(|(name, ..)| shared.join("reference-images").join(name).display().to_string());
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    let weights = weights.display().to_string();
    let network = ["predict", "--model", "cifar10-resnet20", "--weights", &weights, "--top", "2"];
    let answer = Kiln::new().json(&[&network[..], &images].concat());
    for ((name, classes, probabilities), image) in rows.iter().zip(answer["images"].as_array().unwrap()) {
        for (place, (class, probability)) in classes.iter().zip(probabilities).enumerate() {
            let found = &image["classes"][place];
            assert_eq!(found["class"], *class, "{name}");
            let off = found["probability"].as_f64().unwrap() - probability;
            assert!(off.abs() < 2e-5, "{name}, class {class}: off by {off}");
        }
    }
}
