//! Anchors from the command line.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use kiln::Kiln;

#[test]
fn anchors_are_sorted_scale_with_the_image_and_are_drawn() {
    let kiln = Kiln::new();
    let found = |arguments: &[&str]| {
        let call = [&["data", "anchors", "shapes", "--split", "test", "--k", "4"], arguments].concat();
        let answer = kiln.json(&call);
        let sizes: Vec<[f64; 2]> = serde_json::from_value(answer["anchors"].clone()).unwrap();
        (sizes, answer)
    };
    let (own, answer) = found(&[]);
    assert!(own.windows(2).all(|pair| pair[0][0] * pair[0][1] <= pair[1][0] * pair[1][1]), "{own:?}");
    // Images of 32 pixels, 2000 of them, each with one object or more.
    assert!(own.as_flattened().iter().all(|side| *side > 0.0 && *side <= 32.0), "{own:?}");
    assert!(answer["images"] == 2000 && answer["boxes"].as_u64().unwrap() > 2000, "{answer}");
    assert!(
        answer["mean_iou"].as_f64().unwrap() > 0.6 && answer["recall"].as_f64().unwrap() > 0.9,
        "{answer}"
    );
    let svg = kiln.read("anchors.svg");
    let picture = roxmltree::Document::parse(&svg).unwrap();
    assert_eq!(picture.descendants().filter(|node| node.attribute("class") == Some("anchor")).count(), 4);

    // Scaled by 13, so are the anchors; the same call finds the same.
    let (scaled, _) = found(&["--size", "416", "--out", "scaled.svg"]);
    for (own, scaled) in own.as_flattened().iter().zip(scaled.as_flattened()) {
        assert!((13.0 * own - scaled).abs() < 1e-2, "{own}, {scaled}");
    }
    assert_eq!(found(&[]).1, answer);
    assert!(kiln.read("anchors.svg") == svg);
}

#[test]
fn a_data_set_without_objects_has_no_anchors() {
    let kiln = Kiln::new();
    kiln.write("photos/cat/1.jpg", &kiln::jpeg());
    let output = kiln.run(&["data", "anchors", "./photos"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("has an object with a box") && said.contains("`shapes`"), "{said}");
    assert!(!kiln.path("anchors.svg").exists());
}
