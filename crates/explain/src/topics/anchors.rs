//! The sizes that a detector begins with, found in the boxes of a data set.

use kiln_data::{Anchors, Dataset, Shapes, ShapesConfig};
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};
use kiln_page::text::percent;
use kiln_yolo::Priors;

use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "anchors",
    title: "Anchors",
    summary: "The sizes of box that a detector begins with, found by k-means with a distance of 1 − IoU.",
    explain,
};

const IMAGES: usize = 2000;
const SIDE: usize = 64;
/// YOLOv2's images, in pixels.
const YOLO_SIDE: f64 = 416.0;
/// Faster R-CNN's shorter side.
const RCNN_SIDE: f64 = 600.0;

/// Widths and heights of all objects, in sides of the image.
fn sizes(seed: u64) -> Vec<[f64; 2]> {
    let config = ShapesConfig::new("explained", IMAGES, seed).with_size(SIDE);
    let shapes = Shapes::new(config).expect("a size that `shapes` has");
    let of_image = |index| shapes.get(index).expect("`shapes` reads no file").truth.objects;
    let sizes = (0..IMAGES).flat_map(of_image).map(|object| {
        let [_, _, width, height] = object.bounding_box.xywh().map(|one| f64::from(one) / SIDE as f64);
        [width, height]
    });
    sizes.collect()
}

/// Every size as a point, and anchors as boxes with a corner in common.
fn drawing(boxes: &[[f64; 2]], anchors: &Anchors) -> Drawing {
    let side = 300.0;
    let mut drawing =
        Drawing::new("Sizes of boxes and five anchors", [side + 50.0, side + 44.0]).at_most(480.0);
    let place = |[width, height]: [f64; 2]| [40.0 + side * width, 8.0 + side * (1.0 - height)];
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let ([x, _], [_, y]) = (place([tick, 0.0]), place([0.0, tick]));
        drawing.line([40.0, y], [40.0 + side, y], "grid");
        drawing.text([34.0, y + 4.0], Anchor::End, "tick", &tick.to_string());
        drawing.text([x, side + 24.0], Anchor::Middle, "tick", &tick.to_string());
    }
    drawing.text(
        [40.0 + side / 2.0, side + 40.0],
        Anchor::Middle,
        "tick",
        "width (height upwards), in sides of the image",
    );
    for size in boxes.iter().take(700) {
        drawing.circle(place(*size), 1.6, "dot colour-2");
    }
    for size in &anchors.sizes {
        let [x, y] = place(*size);
        drawing.frame([40.0, y, x - 40.0, 8.0 + side - y], "line colour-1");
    }
    drawing
}

fn explain(seed: u64) -> Page {
    let boxes = sizes(seed);
    let fitted: Vec<Anchors> =
        (1..=9).map(|count| Anchors::fit(&boxes, count, seed).expect("many sizes")).collect();
    let mut found = Table::new(
        &format!("Five anchors of the {} boxes of {IMAGES} images, in sides of the image", boxes.len()),
        &["anchor", "width", "height"],
    );
    for (at, [width, height]) in fitted[4].sizes.iter().enumerate() {
        found.row((at + 1).to_string(), [format!("{width:.3}"), format!("{height:.3}")]);
    }
    let mut by_count = Table::new(
        "By how many anchors there are: the mean of each box's IoU with the one that fits it best, and the share of boxes within reach, both sides of which are within a factor of 4 of an anchor's (YOLOv5's measure)",
        &["anchors", "mean IoU", "within reach"],
    );
    for (anchors, count) in fitted.iter().zip(1..) {
        by_count.row(count.to_string(), [format!("{:.4}", anchors.mean_iou), percent(anchors.recall, 1)]);
    }
    let points: Vec<[f64; 2]> =
        fitted.iter().zip(1..).map(|(one, count)| [f64::from(count), one.mean_iou]).collect();
    let chart = Chart {
        title: "Mean IoU by the number of anchors".into(),
        x_name: "anchors",
        x: Scale { low: 0.0, high: 9.0, ticks: (0..=9).map(f64::from).collect(), log: false },
        y: Scale::shares(&points.iter().map(|point| point[1]).collect::<Vec<_>>()),
        spelling: Spelling::Number,
        series: vec![Series { name: "mean IoU".into(), colour: 1, look: Look::Dots, points }],
        marked: None,
    };

    let borrowed = |priors: Priors| {
        let sizes =
            priors.anchors().iter().map(|size| size.map(|side| f64::from(side) / YOLO_SIDE)).collect();
        Anchors::of(&boxes, sizes)
    };
    let picked = [128.0, 256.0, 512.0].iter().flat_map(|scale: &f64| {
        // Width over height is 2, 1 and 1/2, the area the scale's square.
        [2.0f64, 1.0, 0.5].map(|ratio| [scale * ratio.sqrt() / RCNN_SIDE, scale / ratio.sqrt() / RCNN_SIDE])
    });
    let rows = [
        ("5 found in the boxes themselves", fitted[4].clone()),
        ("YOLOv2's 5 of VOC", borrowed(Priors::Voc)),
        ("YOLOv2's 5 of COCO", borrowed(Priors::Coco)),
        ("9 found in the boxes themselves", fitted[8].clone()),
        ("Faster R-CNN's 9, picked by hand", Anchors::of(&boxes, picked.collect())),
    ];
    let mut table = Table::new(
        "Anchors of other data sets, in parts of their images, on the boxes of “shapes”",
        &["anchors", "mean IoU", "within reach"],
    );
    for (name, anchors) in &rows {
        table.row(*name, [format!("{:.4}", anchors.mean_iou), percent(anchors.recall, 1)]);
    }
    Page {
        idea: [
            "A detector with anchors does not learn sizes from scratch: each of its boxes begins as one of a few, and the network learns how it differs.",
            "YOLOv2 finds these sizes in the data set's own boxes by k-means, with 1 less the IoU of two boxes that share a corner as the distance.",
            "With Euclid's distance large boxes would count most, as their errors are larger in pixels than those of small ones.",
        ],
        formulas: vec![
            formula(r"d(b, a) = 1 - \text{IoU}(b, a)", "d(b, a) = 1 − IoU(b, a)"),
            formula(r"\text{IoU}(b, a) = \frac{i}{b_w b_h + a_w a_h - i}", "IoU(b, a) = i / (b_w b_h + a_w a_h − i)"),
            formula(r"i = \min(b_w, a_w) \min(b_h, a_h)", "i = min(b_w, a_w) min(b_h, a_h)"),
        ],
        figures: vec![
            Figure {
                name: "sizes".into(),
                caption: "The sizes of 700 boxes of “shapes” as points, and five anchors as boxes whose upper right corner is where their point would be.".into(),
                picture: Picture::Drawing(drawing(&boxes, &fitted[4])),
            },
            Figure {
                name: "counts".into(),
                caption: "The mean IoU by the number of anchors.".into(),
                picture: Picture::Chart(Box::new(chart)),
            },
        ],
        tables: vec![found, by_count],
        experiment: Experiment {
            question: "Do the anchors of another data set do?".into(),
            method: "YOLOv2's anchors of VOC and COCO (in 416 pixels) and Faster R-CNN's nine, three areas in three shapes (in 600 pixels), are laid on the boxes of “shapes”, all in parts of the image.".into(),
            result: format!(
                "Five anchors that were found here have a mean IoU of {:.3}, VOC's five {:.3}; nine that were found here {:.3}, the nine picked by hand {:.3}. On the boxes of VOC, YOLOv2's paper (Table 1) has 0.610 with five found ones, 0.609 with the \
                 nine of Faster R-CNN and 0.672 with nine found ones.",
                rows[0].1.mean_iou,
                rows[1].1.mean_iou,
                rows[3].1.mean_iou,
                rows[4].1.mean_iou
            ),
            figures: Vec::new(),
            tables: vec![table],
        },
        code: vec!["crates/data/src/anchors.rs: Anchors", "crates/models/yolo/src/v2.rs: Priors"],
        tests: vec![
            "crates/data/src/anchors.rs: known_clusters_come_back",
            "crates/data/src/anchors.rs: the_distance_is_one_less_the_iou_and_not_euclids",
        ],
        sources: vec![
            ["Redmon and Farhadi 2017, YOLO9000: better, faster, stronger, Section 2", "https://arxiv.org/abs/1612.08242"],
            ["Ren et al. 2015, Faster R-CNN: towards real-time object detection with region proposal networks", "https://arxiv.org/abs/1506.01497"],
        ],
    }
}
