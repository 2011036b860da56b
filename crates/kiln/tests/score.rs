//! `kiln score` beside pycocotools.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use std::path::{Path, PathBuf};

use kiln::Kiln;
use serde_json::Value;

/// The folder of what pycocotools says of given files.
fn shared() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut places = here.ancestors().map(|folder| folder.join("shared/metrics/coco"));
    let found = places.find(|place| place.is_dir());
    if found.is_none() {
        println!("skipped: shared/metrics/coco is not there");
    }
    found
}

/// Compares all numbers of `expected` with those of the same names.
fn equal(what: &str, ours: &Value, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        match value.as_f64() {
            Some(value) => {
                let found = ours[name].as_f64().unwrap_or(f64::NAN);
                assert!((found - value).abs() < 1e-9, "{what} {name}: {found}, pycocotools has {value}");
            }
            None => equal(name, &ours[name], value),
        }
    }
}

#[test]
fn figures_are_pycocotools() {
    let Some(folder) = shared() else { return };
    let file = |name: &str| folder.join(name).display().to_string();
    let expected: Value = serde_json::from_slice(&std::fs::read(file("expected.json")).unwrap()).unwrap();
    let kiln = Kiln::new();
    for (kind, predictions) in
        [("bbox", "boxes.json"), ("segm", "masks.json"), ("keypoints", "keypoints.json")]
    {
        let ours = kiln.json(&["score", kind, &file("ground_truth.json"), &file(predictions)]);
        assert!(expected[kind].as_object().unwrap().len() > 10);
        equal(kind, &ours, &expected[kind]);
    }
}

const TRUTH: &str = r#"{
  "info": {"year": 2026}, "images": [{"id": 7, "width": 64, "height": 64}, {"id": 9}],
  "categories": [{"id": 3, "name": "cat", "supercategory": "animal"}, {"id": 1, "name": "dog"}],
  "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [0, 0, 10, 10], "area": 100, "iscrowd": 0, "segmentation": []}]
}"#;

#[test]
fn lines_are_those_of_pycocotools() {
    let kiln = Kiln::new();
    kiln.write("truth.json", TRUTH.as_bytes());
    // 8 of 10: right at the seven thresholds to 0.8.
    kiln.write("found.json", br#"[{"image_id": 7, "category_id": 3, "bbox": [0, 0, 10, 8], "score": 0.5}]"#);
    let output = kiln.run(&["score", "bbox", "truth.json", "found.json", "--per-class"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 12 + 4, "{said}");
    assert_eq!(lines[0], " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.700");
    assert_eq!(lines[4], " Average Precision  (AP) @[ IoU=0.50:0.95 | area=medium | maxDets=100 ] = -1.000");
    assert_eq!(lines[6], " Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=  1 ] = 0.700");
    assert_eq!(lines[14..], ["       1  dog      -", "       3  cat  0.700"]);
    // Nothing found is a score too.
    kiln.write("none.json", b"[]");
    let nothing = kiln.json(&["score", "bbox", "truth.json", "none.json"]);
    assert_eq!((&nothing["AP"], &nothing["APl"]), (&0.0.into(), &(-1.0).into()));
    assert_eq!(nothing["per_class_AP"], serde_json::json!({"1": -1.0, "3": 0.0}));
}

/// One line that says all of `words`, exit code 2.
fn refused(kiln: &Kiln, kind: &str, words: &[&str]) {
    let output = kiln.run(&["score", kind, "truth.json", "found.json"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{words:?}: {said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
}

#[test]
fn a_wrong_file_is_one_clear_line() {
    let entry = |text: &str| format!("[{text}]");
    let rows: [(&str, String, &[&str]); 13] = [
        ("truth", "absent".into(), &["truth.json: no such file"]),
        ("found", "absent".into(), &["found.json: no such file"]),
        ("found", String::new(), &["found.json: line 1, column 0: EOF"]),
        (
            "found",
            "[\n {\"image_id\": 7,,}]".into(),
            &["found.json: line 2, column 17, `[0]`: key must be a string"],
        ),
        ("found", "[] []".into(), &["found.json: line 1, column 4: trailing"]),
        ("truth", TRUTH.replace("\"categories\"", "\"classes\""), &["truth.json: line 5", "`categories`"]),
        ("truth", "[]".into(), &["truth.json: is not an object with `images`", "the truth comes first"]),
        ("found", "{}".into(), &["found.json: is not a list of predictions", "the truth comes first"]),
        (
            "found",
            entry(
                r#"{"image_id": 7, "category_id": 3, "bbox": [0, 0, 10, 8], "score": 0.5}, {"image_id": 8, "category_id": 3, "bbox": [0, 0, 10, 8], "score": 0.5}"#,
            ),
            &["found.json: `[1]`: image 8 is not in the truth; it has 2, from 7 to 9"],
        ),
        (
            "found",
            entry(r#"{"image_id": 7, "category_id": 2, "bbox": [0, 0, 10, 8], "score": 0.5}"#),
            &["found.json: `[0]`: category 2 is not in the truth; it has 2, from 1 to 3"],
        ),
        (
            "found",
            entry(r#"{"image_id": 7, "category_id": 3, "bbox": [0, 0, 10], "score": 0.5}"#),
            &["found.json: line 1, column 53, `[0].bbox`: invalid length 3", "[left, top, width, height]"],
        ),
        (
            "found",
            entry(r#"{"image_id": 7, "category_id": 3, "bbox": [0, 0, 10, 8]}"#),
            &["found.json: line 1, column 57, `[0]`: missing field `score`"],
        ),
        (
            "truth",
            TRUTH.replace("\"category_id\": 3", "\"category_id\": 4"),
            &["truth.json: `annotations[0]`: category 4 is not in the truth"],
        ),
    ];
    for (file, text, words) in rows {
        let kiln = Kiln::new();
        kiln.write("truth.json", TRUTH.as_bytes());
        kiln.write("found.json", b"[]");
        match text.as_str() {
            "absent" => std::fs::remove_file(kiln.path(&format!("{file}.json"))).unwrap(),
            text => kiln.write(&format!("{file}.json"), text.as_bytes()),
        }
        refused(&kiln, "bbox", words);
    }
}

#[test]
fn a_mask_or_a_pose_that_cannot_be_is_one_clear_line() {
    let masks = r#"{"image_id": 7, "category_id": 3, "score": 0.5, "segmentation": SEGMENTATION}"#;
    let poses = r#"{"image_id": 7, "category_id": 3, "score": 0.5, "keypoints": [1, 2, 2]}"#;
    let mask = |text: &str| format!("[{}]", masks.replace("SEGMENTATION", text));
    let rows: [(&str, String, &[&str]); 6] = [
        (
            "segm",
            mask(r#"{"size": [2, 3], "counts": [1, 2, 2]}"#),
            &["`[0]`: the runs of `segmentation` do not"],
        ),
        ("segm", mask(r#"{"size": [2, 3], "counts": "zz"}"#), &["`[0]`: the runs of `segmentation` do not"]),
        ("segm", mask("7"), &["`[0].segmentation`", "polygons, or an object with `size` and `counts`"]),
        (
            "segm",
            mask("[[0, 0, 5, 0, 5, 5]]").replace("\"image_id\": 7", "\"image_id\": 9"),
            &["`[0]`: the image has no size", "`width` and `height`"],
        ),
        ("segm", "[{}]".into(), &["`[0]`: missing field `image_id`"]),
        ("keypoints", format!("[{poses}]"), &["`[0]`: `keypoints` has 3 numbers", "51"]),
    ];
    for (kind, text, words) in rows {
        let kiln = Kiln::new();
        kiln.write(
            "truth.json",
            TRUTH
                .replace(
                    r#""segmentation""#,
                    &format!(r#""keypoints": [{}], "segmentation""#, ["0"; 51].join(",")),
                )
                .as_bytes(),
        );
        kiln.write("found.json", text.as_bytes());
        refused(&kiln, kind, words);
    }
}
