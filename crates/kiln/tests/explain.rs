//! What is explained from the command line.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use kiln::Kiln;

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
