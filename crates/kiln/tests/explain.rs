//! What is explained from the command line.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use kiln::{Kiln, jpeg};

#[test]
fn every_object_is_learned_by_as_many_predictions_as_its_version_says() {
    let kiln = Kiln::new();
    // The model; the levels; the fewest and the most predictions of an object.
    for (model, levels, fewest, most) in [
        ("yolov2-tiny", 1, 1, 1),
        ("yolov3-tiny", 2, 1, 1),
        ("yolov4-tiny", 2, 1, 6),
        ("yolov5n", 3, 1, 27),
        ("yolov8n", 3, 0, 10),
    ] {
        let answer = kiln.json(&[
            "explain", "assign", "--model", model, "--data", "shapes", "--index", "5", "--size", "128",
        ]);
        assert_eq!(answer["levels"].as_array().unwrap().len(), levels, "{model}");
        let objects = answer["objects"].as_array().unwrap();
        assert!(!objects.is_empty(), "{model}: {answer}");
        for object in objects {
            let count = object["predictions"].as_array().unwrap().len();
            assert!((fewest..=most).contains(&count), "{model}: {object}");
        }
        let picture = image::open(kiln.path("assign.png")).unwrap();
        assert!(picture.width() >= 596 * levels as u32, "{model}");
    }
}

#[test]
fn what_cannot_be_explained_is_one_line() {
    let kiln = Kiln::new();
    for (arguments, words) in [
        (["--model", "resnet18", "--data", "shapes", "--index", "0"], "resnet18 is a classifier"),
        (["--model", "yolov3-tiny", "--data", "shapes", "--index", "999999"], "images are counted from 0"),
    ] {
        let output = kiln.run(&[&["explain", "assign"], &arguments[..]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_topic_looks_at_the_readers_own_image() {
    let kiln = Kiln::new();
    kiln.write("photo.jpg", &jpeg());
    let looked = |image: &[&str]| {
        let answer = kiln.json(&[&["explain", "sobel", "--out", "pages"], image].concat());
        assert_eq!(answer["page"], "pages/sobel.html");
        kiln.read("pages/sobel-photograph-edges.svg")
    };
    let usual = looked(&[]);
    assert_ne!(looked(&["--image", "photo.jpg"]), usual);
    roxmltree::Document::parse(&usual).unwrap();
    for (arguments, words) in [
        (["ema", "photo.jpg"], "`ema` looks at no image"),
        (["sobell", "photo.jpg"], "did you mean `sobel`?"),
        (["sobel", "none.jpg"], "none.jpg"),
    ] {
        let output = kiln.run(&["explain", arguments[0], "--out", "pages", "--image", arguments[1]]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(words), "{said}");
    }
}
