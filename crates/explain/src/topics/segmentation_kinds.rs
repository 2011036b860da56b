//! What is known of every pixel: its class, its object, or both.

use kiln_core::{BoundingBox, Mask, Object};
use kiln_data::{Dataset, Sample, Shapes, ShapesConfig};
use kiln_page::text::percent;

use super::{Topic, formula};
use crate::draw::Drawing;
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "segmentation-kinds",
    title: "Semantic, instance and panoptic segmentation",
    summary: "One image, three answers: the class of every pixel, a mask for every object, or both at once.",
    explain,
};

const SIDE: usize = 48;
const IMAGES: usize = 1500;
/// Units of the drawing a pixel.
const CELL: f64 = 4.0;

/// A mask with its class.
struct Segment {
    class: usize,
    mask: Vec<bool>,
}

/// [PQ, SQ, RQ] of the IoUs of the segments that are found and how many are found where there is none, and not found: Kirillov et al. 2019, Section 4.
pub fn panoptic_quality(ious: &[f64], false_positives: usize, false_negatives: usize) -> [f64; 3] {
    let found = ious.len() as f64;
    let sum: f64 = ious.iter().sum();
    let all = found + (false_positives + false_negatives) as f64 / 2.0;
    let ratio = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    [ratio(sum, all), ratio(sum, found), ratio(found, all)]
}

fn mask(object: &Object) -> &Mask {
    object.mask.as_ref().expect("`shapes` has masks")
}

/// The regions of a class that hang together, diagonals counting: what a map of classes alone tells of its objects.
fn regions(labels: &[u8]) -> Vec<Segment> {
    let mut seen = vec![false; labels.len()];
    let mut found = Vec::new();
    for start in 0..labels.len() {
        if labels[start] == 0 || seen[start] {
            continue;
        }
        let mut mask = vec![false; labels.len()];
        let mut open = vec![start];
        seen[start] = true;
        while let Some(at) = open.pop() {
            mask[at] = true;
            let (row, column) = (at / SIDE, at % SIDE);
            for row in row.saturating_sub(1)..(row + 2).min(SIDE) {
                for column in column.saturating_sub(1)..(column + 2).min(SIDE) {
                    let next = row * SIDE + column;
                    if !seen[next] && labels[next] == labels[start] {
                        seen[next] = true;
                        open.push(next);
                    }
                }
            }
        }
        found.push(Segment { class: usize::from(labels[start]) - 1, mask });
    }
    found
}

fn iou(a: &[bool], b: &[bool]) -> f64 {
    let count = |f: fn(bool, bool) -> bool| a.iter().zip(b).filter(|(a, b)| f(**a, **b)).count() as f64;
    count(|a, b| a && b) / count(|a, b| a || b)
}

/// What was counted over images.
#[derive(Default)]
struct Counted {
    images: usize,
    /// With as many regions as objects in every class.
    right: usize,
    ious: Vec<f64>,
    false_positives: usize,
    false_negatives: usize,
}

impl Counted {
    fn add(&mut self, objects: &[Object], regions: &[Segment]) {
        self.images += 1;
        let of_class = |class: usize| objects.iter().filter(|object| object.class == class).count();
        let counted = |class: usize| regions.iter().filter(|region| region.class == class).count();
        self.right += usize::from((0..10).all(|class| of_class(class) == counted(class)));
        // More than half in common: no segment has two partners, as masks do not overlap.
        let found: Vec<f64> = objects
            .iter()
            .flat_map(|object| regions.iter().map(move |region| (object, region)))
            .filter(|(object, region)| object.class == region.class)
            .map(|(object, region)| iou(&mask(object).bits, &region.mask))
            .filter(|iou| *iou > 0.5)
            .collect();
        self.false_positives += regions.len() - found.len();
        self.false_negatives += objects.len() - found.len();
        self.ious.extend(found);
    }
}

fn labels(sample: &Sample) -> &[u8] {
    &sample.truth.label_map.as_ref().expect("`shapes` has label maps").labels
}

/// The pixels of a mask, row by row in runs.
fn fill(drawing: &mut Drawing, mask: &[bool], colour: usize, share: f64) {
    for (row, bits) in mask.chunks(SIDE).enumerate() {
        let mut at = 0;
        for run in bits.chunk_by(|a, b| a == b) {
            if run[0] {
                let place = [at as f64 * CELL, row as f64 * CELL, run.len() as f64 * CELL, CELL];
                drawing.shade(place, colour, share);
            }
            at += run.len();
        }
    }
}

fn outline(drawing: &mut Drawing, bounds: &BoundingBox, colour: usize) {
    let [x, y, width, height] = bounds.xywh().map(|one| f64::from(one) * CELL);
    drawing.frame([x, y, width, height], &format!("line colour-{colour}"));
}

fn pictures(sample: &Sample) -> Vec<(String, Drawing)> {
    let objects = &sample.truth.objects;
    let side = SIDE as f64 * CELL;
    let new = |title: &str| Drawing::new(title, [side, side]).at_most(240.0);
    let mut image = new("An image with two objects of one class");
    image.image([0.0, 0.0, side, side], &sample.image);
    let mut classes: Vec<usize> = objects.iter().map(|object| object.class).collect();
    classes.sort_unstable();
    classes.dedup();
    let colour_of = |class: usize| 1 + classes.iter().position(|one| *one == class).unwrap_or(0);
    let [mut semantic, mut instance, mut panoptic] = ["Its classes", "Its objects", "Both"].map(new);
    let everywhere = vec![true; SIDE * SIDE];
    fill(&mut semantic, &everywhere, 3, 0.12);
    let ground: Vec<bool> = labels(sample).iter().map(|label| *label == 0).collect();
    fill(&mut panoptic, &ground, 3, 0.12);
    for (number, object) in objects.iter().enumerate() {
        fill(&mut semantic, &mask(object).bits, colour_of(object.class), 0.9);
        // An object's own colour: no other's, whatever its class.
        for drawing in [&mut instance, &mut panoptic] {
            fill(drawing, &mask(object).bits, [1, 2, 4][number % 3], 0.9);
        }
        outline(&mut instance, &object.bounding_box, [1, 2, 4][number % 3]);
    }
    [&mut semantic, &mut instance, &mut panoptic]
        .into_iter()
        .for_each(|one| one.frame([0.5, 0.5, side - 1.0, side - 1.0], "cell"));
    let names = ["the image", "semantic", "instance", "panoptic"];
    names.into_iter().map(String::from).zip([image, semantic, instance, panoptic]).collect()
}

fn explain(seed: u64) -> Page {
    let config = ShapesConfig::new("explained", IMAGES, seed).with_size(SIDE);
    let shapes = Shapes::new(config).expect("a size that `shapes` has");
    let (mut all, mut twins) = (Counted::default(), Counted::default());
    let mut shown: Option<Sample> = None;
    for index in 0..IMAGES {
        let sample = shapes.get(index).expect("`shapes` reads no file");
        let objects = &sample.truth.objects;
        let regions = regions(labels(&sample));
        all.add(objects, &regions);
        let is_twin = |at: usize| objects[..at].iter().any(|other| other.class == objects[at].class);
        if (0..objects.len()).any(is_twin) {
            twins.add(objects, &regions);
            // Two that touch, and one of another class, if there is such an image.
            let touch = regions.len() == 2 && objects.len() == 3;
            if shown.is_none() || (touch && shown.as_ref().is_some_and(|one| one.truth.objects.len() < 3)) {
                shown = Some(sample);
            }
        }
    }
    let sample = shown.expect("two objects of a class in 1500 images");
    let objects = &sample.truth.objects;
    let ground = labels(&sample).iter().filter(|label| **label == 0).count();
    let mut table = Table::new(
        "What each kind says of the parts of the image: the label of their pixels, the object they belong to, and the pair of both. “shapes” lists the nearest object last",
        &["part", "pixels", "semantic", "instance", "panoptic"],
    );
    table.row("background", [ground.to_string(), "0".into(), "none".into(), "(0, 0)".into()]);
    for (number, object) in objects.iter().enumerate() {
        let label = object.class + 1;
        let cells = [
            mask(object).area().to_string(),
            label.to_string(),
            format!("{}", number + 1),
            format!("({label}, {})", number + 1),
        ];
        table.row(Shapes::CLASS_NAMES[object.class], cells);
    }
    let mut worked = Table::new(
        "Panoptic quality of three segments found with IoU 0.9, 0.7 and 0.6, one found where there is none, and two not found",
        &["figure", "value"],
    );
    let [pq, sq, rq] = panoptic_quality(&[0.9, 0.7, 0.6], 1, 2);
    for (name, value) in [
        ("SQ, the mean IoU of those found", sq),
        ("RQ, the F1 score of finding them", rq),
        ("PQ, their product", pq),
    ] {
        worked.row(name, [format!("{value:.7}")]);
    }
    let mut counts = Table::new(
        "Regions of the true label maps, taken for objects: in how many images their number is right in every class, and their quality",
        &["images", "number", "right", "SQ", "RQ", "PQ"],
    );
    for (name, one) in [("all", &all), ("with two of a class", &twins)] {
        let quality = panoptic_quality(&one.ious, one.false_positives, one.false_negatives);
        let [pq, sq, rq] = quality.map(|value| format!("{value:.3}"));
        let right = percent(one.right as f64 / one.images as f64, 1);
        counts.row(name, [one.images.to_string(), right, sq, rq, pq]);
    }
    let share = |one: &Counted| percent(one.right as f64 / one.images as f64, 1);
    Page {
        idea: [
            "Semantic segmentation gives every pixel a class, so that two objects of a class which touch become one region.",
            "Instance segmentation gives every object a mask and a class, and says nothing of what is no object, such as the background.",
            "Panoptic segmentation gives every pixel a class and the number of its object, so that no two objects overlap, things can be counted, and no pixel is left over.",
        ],
        formulas: vec![
            formula(r"\text{semantic: } p \mapsto c, \quad \text{panoptic: } p \mapsto (c, z)", "semantic: pixel → class,  panoptic: pixel → (class, object)"),
            formula(r"\text{instance: } \{ (c_k, m_k, s_k) \}", "instance: {(class, mask, score)}"),
            formula(r"\text{SQ} = \frac{\sum_{\text{TP}} \text{IoU}}{\text{TP}}, \quad \text{RQ} = \frac{\text{TP}}{\text{TP} + \text{FP} / 2 + \text{FN} / 2}", "SQ = Σ IoU / TP,  RQ = TP / (TP + FP / 2 + FN / 2)"),
            formula(r"\text{PQ} = \text{SQ} \cdot \text{RQ}", "PQ = SQ · RQ"),
        ],
        figures: vec![Figure {
            name: "kinds".into(),
            caption: "An image of “shapes” with two objects of a class. Semantic: a colour a class, grey the background. Instance: a colour and a box an object. Panoptic: a colour an object, and the background too.".into(),
            picture: Picture::Small(pictures(&sample)),
        }],
        tables: vec![table, worked],
        experiment: Experiment {
            question: "Can objects be counted in a map of classes?".into(),
            method: format!("In {IMAGES} images of “shapes”, the true label map is cut into regions that hang together, and these are compared with the true objects (quality over all classes together): a map that is right everywhere is the most that a semantic network can give."),
            result: format!(
                "In {} of all images there are as many regions as objects in every class, but only in {} of those with two objects of one class: two that touch are one region, and one behind another may be seen in two pieces. \
                 A map of classes does not tell that, however right it is.",
                share(&all),
                share(&twins)
            ),
            figures: Vec::new(),
            tables: vec![counts],
        },
        code: vec!["crates/data/src/shapes/mod.rs: Shapes", "crates/core/src/truth.rs: Truth, Mask, LabelMap", "crates/explain/src/topics/segmentation_kinds.rs: panoptic_quality"],
        tests: vec!["crates/explain/tests/boxes.rs: panoptic_quality_has_the_worked_numbers"],
        sources: vec![
            ["Kirillov et al. 2019, Panoptic segmentation", "https://arxiv.org/abs/1801.00868"],
            ["Long et al. 2015, Fully convolutional networks for semantic segmentation", "https://arxiv.org/abs/1411.4038"],
            ["He et al. 2017, Mask R-CNN", "https://arxiv.org/abs/1703.06870"],
        ],
    }
}
