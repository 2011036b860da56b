//! Many boxes around one object, and what is done about it.

use burn::prelude::*;
use burn::tensor::DType;
use kiln_core::{BoundingBox, Overlap};
use kiln_nn::Draws;
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};
use kiln_tasks::average_precision::{Actual, Predicted};
use kiln_tasks::{Suppression, VocAverage, VocScore};

use super::{Topic, formula};
use crate::draw::Drawing;
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "nms",
    title: "Non-maximum suppression",
    summary: "Of many boxes around one object the best remains: greedy, by distance, soft and as a matrix, step by step.",
    explain,
};

/// Six boxes around two objects.
const BOXES: [[f32; 4]; 6] = [
    [100.0, 100.0, 210.0, 210.0],
    [105.0, 105.0, 215.0, 215.0],
    [250.0, 250.0, 320.0, 320.0],
    [100.0, 100.0, 200.0, 200.0],
    [260.0, 255.0, 325.0, 330.0],
    [90.0, 110.0, 205.0, 220.0],
];
const SCORES: [f32; 6] = [0.9, 0.8, 0.75, 0.7, 0.6, 0.5];

const KINDS: [(&str, Suppression); 8] = [
    ("greedy, IoU over 0.5", Suppression::Greedy { threshold: 0.5 }),
    ("greedy, IoU over 0.7", Suppression::Greedy { threshold: 0.7 }),
    ("greedy, IoU over 0.735", Suppression::Greedy { threshold: 0.735 }),
    ("greedy, DIoU over 0.735", Suppression::Distance { threshold: 0.735 }),
    ("soft, linear over 0.3", Suppression::SoftLinear { threshold: 0.3, least: 0.001 }),
    ("soft, Gaussian, σ = 0.5", Suppression::SoftGaussian { sigma: 0.5, least: 0.001 }),
    ("matrix, linear", Suppression::MatrixLinear { least: 0.001 }),
    ("matrix, Gaussian, σ = 0.5", Suppression::MatrixGaussian { sigma: 0.5, least: 0.001 }),
];

fn boxes() -> Vec<BoundingBox> {
    BOXES.map(BoundingBox::from_xyxy).to_vec()
}

/// What greedy suppression drops for each box that it keeps.
fn greedy_steps(threshold: f64) -> Vec<(usize, Vec<usize>)> {
    let boxes = boxes();
    let kept = Suppression::Greedy { threshold }.keep(&boxes, &SCORES);
    let mut gone: Vec<usize> = Vec::new();
    let mut steps = Vec::new();
    for best in kept.iter().map(|one| one.index) {
        gone.push(best);
        let overlaps = |at: &usize| f64::from(Overlap::Iou.of(&boxes[best], &boxes[*at])) > threshold;
        let dropped: Vec<usize> = (0..boxes.len()).filter(|at| !gone.contains(at)).filter(overlaps).collect();
        gone.extend(&dropped);
        steps.push((best, dropped));
    }
    steps
}

/// The boxes after so many steps: kept ones, those dropped in the last step, those that wait.
fn picture(steps: &[(usize, Vec<usize>)]) -> Drawing {
    let mut drawing = Drawing::new("Six boxes, some of them dropped", [262.0, 262.0]).at_most(320.0);
    let gone = |at: usize| steps.iter().any(|(best, dropped)| *best == at || dropped.contains(&at));
    let before = steps.split_last().map_or(&[][..], |(_, before)| before);
    for (at, [x1, y1, x2, y2]) in BOXES.iter().map(|edges| edges.map(f64::from)).enumerate() {
        if before.iter().any(|(_, dropped)| dropped.contains(&at)) {
            continue;
        }
        let class = match steps.iter().any(|(best, _)| *best == at) {
            true => "line bold colour-1",
            false if gone(at) => "line dashed colour-2",
            false => "line thin colour-3",
        };
        drawing.frame([x1 - 80.0, y1 - 90.0, x2 - x1, y2 - y1], class);
    }
    drawing
}

/// Units of the experiment: a side of an object.
const OBJECT: f64 = 100.0;
const SCENES: usize = 150;
const GUESSES: usize = 8;

/// The average precision of guesses around two objects that overlap so much.
fn precision(kind: Option<Suppression>, iou: f64, draws: &mut Draws) -> f64 {
    // Two squares a part s of a side apart share (1 - s) / (1 + s).
    let apart = OBJECT * (1.0 - iou) / (1.0 + iou);
    let objects = [0.0, apart].map(|x| [x, 0.0, OBJECT, OBJECT]);
    let like = Tensor::<1>::zeros([1], (&Device::flex(), DType::F64));
    let mut score = VocScore::new(1);
    for _ in 0..SCENES {
        let noise: Vec<f64> = draws.normal::<1, 1>([2 * GUESSES * 5], &like).into_data().iter().collect();
        let mut guesses = Vec::new();
        for (at, noise) in noise.chunks(5).enumerate() {
            let [x, y, width, height] = objects[at % 2];
            let edges = [x, y, x + width, y + height];
            let guess = BoundingBox::from_xyxy(std::array::from_fn(|i| (edges[i] + 6.0 * noise[i]) as f32));
            let truth = BoundingBox::from_xyxy(edges.map(|edge| edge as f32));
            // The nearer, the surer, but not always.
            guesses
                .push((guess, (Overlap::Iou.of(&guess, &truth) + 0.05 * noise[4] as f32).clamp(0.01, 1.0)));
        }
        let (boxes, scores): (Vec<BoundingBox>, Vec<f32>) = guesses.into_iter().unzip();
        let kept: Vec<(usize, f32)> = match kind {
            Some(kind) => kind.keep(&boxes, &scores).iter().map(|one| (one.index, one.score)).collect(),
            None => scores.iter().copied().enumerate().collect(),
        };
        let predicted = |(at, score): &(usize, f32)| Predicted {
            class: 0,
            score: f64::from(*score),
            area: f64::from(boxes[*at].area()),
            shape: boxes[*at].xywh().map(f64::from),
        };
        let actual = objects.map(|shape| Actual {
            class: 0,
            area: OBJECT * OBJECT,
            crowd: false,
            ignored: false,
            shape,
        });
        score.add(&kept.iter().map(predicted).collect::<Vec<_>>(), &actual);
    }
    score.mean(VocAverage::OfAll).expect("a class with objects")
}

fn explain(seed: u64) -> Page {
    let boxes = boxes();
    let names: Vec<String> = (0..6).map(|at| at.to_string()).collect();
    let header = |first: &'static str| -> Vec<&str> {
        std::iter::once(first).chain(names.iter().map(String::as_str)).collect()
    };
    let mut overlaps = Table::new("The IoU of the six boxes", &header("box"));
    for a in 0..6 {
        let cells = (0..6).map(|b| format!("{:.4}", Overlap::Iou.of(&boxes[a], &boxes[b])));
        overlaps.row(a.to_string(), cells);
    }
    let mut scores = Table::new("The scores that remain; a dash where a box is dropped", &header("box"));
    scores.row("before", SCORES.map(|score| format!("{score:.4}")));
    for (name, kind) in KINDS {
        let kept = kind.keep(&boxes, &SCORES);
        let cell = |at: usize| {
            kept.iter().find(|one| one.index == at).map_or("–".into(), |one| format!("{:.4}", one.score))
        };
        scores.row(name, (0..6).map(cell));
    }
    let steps = greedy_steps(0.5);
    let list = |indices: &[usize]| indices.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let mut small = vec![("before".to_string(), picture(&[]))];
    for count in 1..=steps.len() {
        let (best, dropped) = &steps[count - 1];
        small.push((
            format!(
                "step {count}: {best} stays, {} {}",
                list(dropped),
                if dropped.len() == 1 { "goes" } else { "go" }
            ),
            picture(&steps[..count]),
        ));
    }

    let kinds: [(&str, Option<Suppression>); 6] = [
        ("none", None),
        ("greedy, 0.3", Some(Suppression::Greedy { threshold: 0.3 })),
        ("greedy, 0.5", Some(Suppression::Greedy { threshold: 0.5 })),
        ("greedy, 0.7", Some(Suppression::Greedy { threshold: 0.7 })),
        ("soft, Gaussian", Some(Suppression::SoftGaussian { sigma: 0.5, least: 0.001 })),
        ("matrix, Gaussian", Some(Suppression::MatrixGaussian { sigma: 0.5, least: 0.001 })),
    ];
    let ious: Vec<f64> = (0..9).map(|at| 0.1 * f64::from(at)).collect();
    let lines = kinds.map(|(_, kind)| {
        // The same scenes for all kinds.
        let at = |iou: &f64| [*iou, precision(kind, *iou, &mut Draws::new(seed))];
        ious.iter().map(at).collect::<Vec<_>>()
    });
    let mut table = Table::new(
        "Average precision (at an IoU of 0.5) by how much the two objects overlap",
        &["suppression", "0", "0.2", "0.4", "0.6", "0.8"],
    );
    for ((name, _), points) in kinds.iter().zip(&lines) {
        table.row(*name, [0, 2, 4, 6, 8].map(|at| format!("{:.3}", points[at][1])));
    }
    let of = |kind: usize| lines[kind][6][1];
    let values: Vec<f64> = lines.iter().flatten().map(|point| point[1]).collect();
    let colours = [3, 2, 1, 4, 5, 6];
    let series = kinds.iter().zip(&lines).zip(colours).map(|(((name, _), points), colour)| Series {
        name: (*name).into(),
        colour,
        look: Look::Dots,
        points: points.clone(),
    });
    let chart = Chart {
        title: "Average precision by overlap".into(),
        x_name: "IoU of the two objects",
        x: Scale::shares(&[0.0, 0.8]),
        y: Scale::shares(&values),
        spelling: Spelling::Number,
        series: series.collect(),
        marked: None,
    };
    Page {
        idea: [
            "A detector finds the same object many times, with boxes that hardly differ, and all but one of them would count as wrong.",
            "Greedy suppression keeps the box with the highest score, drops all that overlap it more than a threshold, and goes on with the rest.",
            "A second object close by can be dropped with the first; so other kinds lower scores instead of dropping boxes, or ask also how far the centres lie apart.",
        ],
        formulas: vec![
            formula(r"\text{greedy: } s_i \leftarrow 0 \text{ if } \text{IoU}(b, b_i) > t", "greedy: s_i ← 0 where IoU(b, b_i) > t"),
            formula(r"\text{soft: } s_i \leftarrow s_i \left( 1 - \text{IoU}(b, b_i) \right) \text{ or } s_i\, e^{-\text{IoU}(b, b_i)^2 / \sigma}", "soft: s_i ← s_i (1 − IoU(b, b_i)) where that is over a threshold, or s_i e^(−IoU² / σ)"),
            formula(r"\text{matrix: } s_i \leftarrow s_i \cdot \min_{s_j > s_i} \frac{f(\text{IoU}_{ij})}{\min_{s_k > s_j} f(\text{IoU}_{kj})}", "matrix: s_i ← s_i min_j f(IoU_ij) / min_k f(IoU_kj), of better j and of k better still"),
            formula(r"\text{where } f(x) = 1 - x \text{ or } e^{-x^2 / \sigma}", "where f(x) = 1 − x or e^(−x² / σ)"),
        ],
        figures: vec![Figure {
            name: "steps".into(),
            caption: "Greedy suppression with a threshold of 0.5: kept boxes heavy in blue, those that the step drops dashed in orange, those that wait thin.".into(),
            picture: Picture::Small(small),
        }],
        tables: vec![overlaps, scores],
        experiment: Experiment {
            question: "Which kind finds two objects that overlap?".into(),
            method: format!("Two squares of {OBJECT} pixels, {GUESSES} guesses around each whose edges are off by 6 pixels (standard deviation), scored by their IoU with the object and a little chance, {SCENES} scenes for each overlap. A detector's scores tell less of how good a box is."),
            result: format!(
                "Of two objects whose IoU is 0.6, greedy suppression reaches {:.3} with a threshold of 0.3, as the second one goes with the first, {:.3} with 0.5 and {:.3} with 0.7; soft suppression reaches {:.3} and the \
                 matrix {:.3}. Without any it is {:.3}: all boxes but one of each object count as wrong. Soft kinds leave nearly all boxes in the list, but those that say nothing new come last, where average precision hardly minds them.",
                of(1),
                of(2),
                of(3),
                of(4),
                of(5),
                of(0)
            ),
            figures: vec![Figure {
                name: "precision".into(),
                caption: "Average precision by the IoU of the two objects, for each kind.".into(),
                picture: Picture::Chart(Box::new(chart)),
            }],
            tables: vec![table],
        },
        code: vec!["crates/tasks/src/suppression: Suppression"],
        tests: vec![
            "crates/tasks/src/suppression/tests.rs: worked_scores_come_out",
            "crates/tasks/src/suppression/tests.rs: greedy_keeps_what_torchvision_keeps",
            "crates/explain/tests/boxes.rs: suppression_keeps_the_worked_boxes",
        ],
        sources: vec![
            ["Bodla et al. 2017, Soft-NMS: improving object detection with one line of code", "https://arxiv.org/abs/1704.04503"],
            ["Zheng et al. 2020, Distance-IoU loss: faster and better learning for bounding box regression (suppression by DIoU)", "https://arxiv.org/abs/1911.08287"],
            ["Wang et al. 2020, SOLOv2: dynamic and fast instance segmentation (suppression by a matrix)", "https://arxiv.org/abs/2003.10152"],
        ],
    }
}
