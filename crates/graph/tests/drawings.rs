//! Pictures of architectures.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod zoo;

use kiln_zoo::REGISTRY;
use roxmltree::Document;

use zoo::{graph, named};

fn texts(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).unwrap();
    let texts = document.descendants().filter(|node| node.has_tag_name("text"));
    texts.filter_map(|node| node.text().map(str::to_string)).collect()
}

#[test]
fn every_model_is_drawn_within_its_page_and_no_box_on_another() {
    for entry in REGISTRY {
        let svg = graph(entry).draw(&entry.name);
        let document = Document::parse(&svg).unwrap();
        let number =
            |node: &roxmltree::Node, name: &str| -> f64 { node.attribute(name).unwrap().parse().unwrap() };
        let root = document.root_element();
        let (width, height) = (number(&root, "width"), number(&root, "height"));
        let boxes = document
            .descendants()
            .filter(|node| node.attribute("class").is_some_and(|c| c.starts_with("box ")));
        let boxes: Vec<[f64; 4]> = boxes
            .map(|node| {
                let [x, y, w, h] = ["x", "y", "width", "height"].map(|name| number(&node, name));
                [x, y, x + w, y + h]
            })
            .collect();
        assert!(boxes.len() > 3, "{}", entry.name);
        for (at, one) in boxes.iter().enumerate() {
            assert!(
                one[0] >= 0.0 && one[1] >= 0.0 && one[2] <= width && one[3] <= height,
                "{}: {one:?}",
                entry.name
            );
            let apart = |other: &[f64; 4]| {
                one[0] >= other[2] || one[2] <= other[0] || one[1] >= other[3] || one[3] <= other[1]
            };
            assert!(boxes[..at].iter().all(apart), "{}: {one:?}", entry.name);
        }
    }
}

#[test]
fn what_repeats_is_drawn_once() {
    // Huang et al. 2017, Table 1: blocks of 6, 12, 48 and 32 layers.
    let dense = texts(&named("densenet201").draw("DenseNet-201"));
    assert!(
        ["×6", "×12", "×48", "×32"].iter().all(|times| dense.iter().any(|text| text == times)),
        "{dense:?}"
    );
    // He et al. 2016, Table 1: 3, 8, 36 and 3 blocks, of which the first of each has a projection.
    let residual = texts(&named("resnet152").draw("ResNet-152"));
    assert!(
        ["×2", "×7", "×35"].iter().all(|times| residual.iter().any(|text| text == times)),
        "{residual:?}"
    );
}

#[test]
fn shapes_and_names_are_written() {
    let texts = texts(&named("alexnet").draw("AlexNet"));
    for expected in
        ["AlexNet", "3×224×224", "conv 11×11, 64 /4", "64×55×55", "max pool 3×3 /2", "linear, 4096", "1000"]
    {
        assert!(texts.iter().any(|text| text == expected), "{expected}: {texts:?}");
    }
}

#[test]
fn a_type_that_stands_at_many_places_is_drawn_once_beside_a_high_picture() {
    let texts = texts(&named("yolov5n").draw("YOLOv5n"));
    // Four stages of C3 blocks with shortcuts, of 1, 2, 3 and 1 parts, and four without in the neck.
    for (text, count) in [("C3", 1), ("C3, n = 1", 2), ("C3, n = 2", 1), ("C3, n = 3", 1), ("×n", 1)] {
        assert_eq!(texts.iter().filter(|other| *other == text).count(), count, "{text}: {texts:?}");
    }
    assert_eq!(
        texts.iter().filter(|text| ["top4", "top3", "bottom4", "bottom5"].contains(&text.as_str())).count(),
        4
    );
}
