//! Of many boxes around an object the best remains.

use kiln_core::{BoundingBox, Overlap};
use kiln_tasks::Suppression;

use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "nms",
    title: "Non-maximum suppression",
    summary: "Of many boxes around one object one remains, or the others count less: six boxes, five rules.",
    explain,
};

/// Six boxes and their scores.
const BOXES: [([f32; 4], f32); 6] = [
    ([100.0, 100.0, 210.0, 210.0], 0.9),
    ([105.0, 105.0, 215.0, 215.0], 0.8),
    ([250.0, 250.0, 320.0, 320.0], 0.75),
    ([100.0, 100.0, 200.0, 200.0], 0.7),
    ([260.0, 255.0, 325.0, 330.0], 0.6),
    ([90.0, 110.0, 205.0, 220.0], 0.5),
];

/// The least score of the soft rules.
const LEAST: f64 = 0.001;

fn explain(_seed: u64) -> Page {
    let boxes: Vec<BoundingBox> = BOXES.iter().map(|(edges, _)| BoundingBox::from_xyxy(*edges)).collect();
    let scores: Vec<f32> = BOXES.iter().map(|(_, score)| *score).collect();
    let names: Vec<String> = (0..6).map(|at| at.to_string()).collect();
    let mut header = vec!["box", "score"];
    header.extend(names.iter().map(String::as_str));
    let mut overlaps =
        Table::new("The boxes' scores, and the intersection over union of each with each", &header);
    for (at, one) in boxes.iter().enumerate() {
        let row = boxes.iter().map(|other| format!("{:.4}", Overlap::Iou.of(one, other)));
        overlaps.row(at.to_string(), std::iter::once(format!("{:.2}", scores[at])).chain(row));
    }
    let rules = [
        ("greedy, above 0.5", Suppression::Greedy { threshold: 0.5 }),
        ("greedy, above 0.7", Suppression::Greedy { threshold: 0.7 }),
        ("greedy, above 0.75", Suppression::Greedy { threshold: 0.75 }),
        ("soft, linear, above 0.3", Suppression::SoftLinear { threshold: 0.3, least: LEAST }),
        ("soft, Gaussian, σ 0.5", Suppression::SoftGaussian { sigma: 0.5, least: LEAST }),
    ];
    let mut kept = Table::new("What remains: the scores of the boxes, a dash for those that are dropped", &{
        let mut header = vec!["rule"];
        header.extend(names.iter().map(String::as_str));
        header
    });
    for (name, rule) in rules {
        let found = rule.keep(&boxes, &scores);
        let of = |at: usize| {
            found
                .iter()
                .find(|one| one.index == at)
                .map_or("–".to_string(), |one| format!("{:.6}", one.score))
        };
        kept.row(name, (0..6).map(of));
    }
    let small = |(name, rule): (&str, Suppression)| {
        let mut drawing = Drawing::new(format!("What {name} keeps"), [170.0, 170.0]).at_most(240.0);
        let found = rule.keep(&boxes, &scores);
        for (at, one) in boxes.iter().enumerate() {
            let [x1, y1, x2, y2] = one.xyxy().map(|edge| f64::from(edge - 82.0) * 0.66 + 4.0);
            let left = found.iter().find(|one| one.index == at);
            let edges = [x1, y1, x2 - x1, y2 - y1];
            match left {
                Some(left) => {
                    drawing.shade(edges, 1, 0.3 * f64::from(left.score));
                    drawing.frame(edges, "line colour-1");
                }
                None => drawing.frame(edges, "line dashed thin colour-2"),
            }
        }
        for (at, one) in boxes.iter().enumerate() {
            let [x1, y1, x2, y2] = one.xyxy().map(|edge| f64::from(edge - 82.0) * 0.66 + 4.0);
            // In a corner that no other box covers.
            let place = match at {
                0 | 2 => [x1 + 4.0, y1 + 9.0],
                1 => [x2 - 9.0, y2 - 4.0],
                3 => [x2 - 14.0, y1 + 30.0],
                4 => [x2 - 9.0, y2 - 4.0],
                _ => [x1 + 2.0, y2 - 4.0],
            };
            drawing.text(place, Anchor::Start, "name small", &at.to_string());
        }
        (name.to_string(), drawing)
    };

    // Two objects side by side that overlap by a growing part: when does the second disappear?
    let mut crowd = Table::new(
        "Two true objects of 100 by 100, one moved to the right: the score of the second, 0.8, after each rule",
        &["moved by", "IoU", "greedy 0.5", "soft linear 0.3", "soft Gaussian 0.5"],
    );
    let mut lost = 0;
    for shift in [80.0f32, 60.0, 40.0, 30.0, 20.0] {
        let pair = [[0.0, 0.0, 100.0, 100.0], [shift, 0.0, 100.0 + shift, 100.0]].map(BoundingBox::from_xyxy);
        let score = |rule: Suppression| {
            let found = rule.keep(&pair, &[0.9, 0.8]);
            found
                .iter()
                .find(|one| one.index == 1)
                .map_or("–".to_string(), |one| format!("{:.3}", one.score))
        };
        let greedy = score(Suppression::Greedy { threshold: 0.5 });
        lost += usize::from(greedy == "–");
        crowd.row(
            format!("{shift}"),
            [
                format!("{:.3}", Overlap::Iou.of(&pair[0], &pair[1])),
                greedy,
                score(Suppression::SoftLinear { threshold: 0.3, least: LEAST }),
                score(Suppression::SoftGaussian { sigma: 0.5, least: LEAST }),
            ],
        );
    }
    Page {
        idea: [
            "A detector says the same object many times, by neighbouring cells and anchors, with boxes that overlap.",
            "Greedy suppression keeps the box with the highest score, drops all that overlap it too much, and goes on with the best that is left.",
            "Where objects stand close together that drops true ones; the soft rules lower the scores of boxes that overlap in place of dropping them.",
        ],
        formulas: vec![
            formula(r"\text{greedy: } s_i \leftarrow 0 \text{ if } \text{IoU}(M, b_i) > t", "greedy: s_i ← 0 if IoU(M, b_i) > t"),
            formula(r"\text{linear: } s_i \leftarrow s_i (1 - \text{IoU}(M, b_i)) \text{ if } \text{IoU} > t", "soft, linear: s_i ← s_i (1 − IoU(M, b_i)) if IoU > t"),
            formula(r"\text{Gaussian: } s_i \leftarrow s_i e^{-\text{IoU}(M, b_i)^2 / \sigma}", "soft, Gaussian: s_i ← s_i exp(−IoU(M, b_i)² / σ)"),
        ],
        figures: vec![Figure {
            name: "rules".into(),
            caption: "The six boxes under each rule: kept ones are solid and blue, the fuller the higher their score; dropped ones are dashed and orange.".into(),
            picture: Picture::Small(rules.map(small).into()),
        }],
        tables: vec![overlaps, kept],
        experiment: Experiment {
            question: "What becomes of objects that stand close together?".into(),
            method: "Two objects of one class overlap more and more; both were found.".into(),
            result: format!(
                "Greedy suppression at 0.5 loses the second in {lost} of 5 cases, where the overlap is above one half; the soft rules keep it in all, with a score that falls with the overlap."
            ),
            figures: Vec::new(),
            tables: vec![crowd],
        },
        code: vec!["crates/tasks/src/suppression: Suppression"],
        tests: vec!["crates/explain/tests/boxes.rs: suppression_keeps_the_worked_boxes"],
        sources: vec![
            ["Bodla et al. 2017, Soft-NMS: improving object detection with one line of code", "https://arxiv.org/abs/1704.04503"],
            ["Zheng et al. 2020, Distance-IoU loss", "https://arxiv.org/abs/1911.08287"],
        ],
    }
}
