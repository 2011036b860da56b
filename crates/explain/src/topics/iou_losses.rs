//! Overlaps that can be learned.

use burn::prelude::*;
use kiln_core::{BoundingBox, Overlap};
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};
use kiln_tasks::overlap_of_rows;

use super::{Topic, formula};
use crate::draw::Drawing;
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "iou-losses",
    title: "IoU and its losses",
    summary: "IoU, GIoU, DIoU and CIoU: what each adds, and which of them pulls boxes together that do not touch.",
    explain,
};

const KINDS: [(&str, Overlap); 4] =
    [("IoU", Overlap::Iou), ("GIoU", Overlap::Giou), ("DIoU", Overlap::Diou), ("CIoU", Overlap::Ciou)];

/// Pairs of boxes.
const PAIRS: [[[f32; 4]; 2]; 5] = [
    [[0.0, 0.0, 10.0, 10.0], [5.0, 5.0, 15.0, 15.0]],
    [[0.0, 0.0, 4.0, 2.0], [1.0, 0.0, 3.0, 4.0]],
    [[0.0, 0.0, 2.0, 2.0], [3.0, 3.0, 5.0, 5.0]],
    [[10.0, 10.0, 50.0, 30.0], [20.0, 15.0, 40.0, 55.0]],
    [[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0]],
];

/// The overlaps of a box on its way to another by gradient descent on one less the overlap.
fn pulled(overlap: Overlap, from: [f32; 4], to: [f32; 4], steps: usize, rate: f64) -> Vec<f64> {
    let device = Device::flex().autodiff();
    let target = Tensor::<2>::from_data([to], &device);
    let mut edges = Tensor::<2>::from_data([from], &device);
    let mut found = Vec::new();
    for _ in 0..=steps {
        let leaf = edges.clone().detach().require_grad();
        let [x1, y1, x2, y2]: [f32; 4] =
            std::array::from_fn(|at| edges.clone().narrow(1, at, 1).into_scalar());
        found.push(f64::from(
            Overlap::Iou.of(&BoundingBox::from_xyxy([x1, y1, x2, y2]), &BoundingBox::from_xyxy(to)),
        ));
        let loss = (-overlap_of_rows(overlap, leaf.clone(), target.clone()) + 1.0).sum();
        let gradient = leaf.grad(&loss.backward()).expect("edges that learn");
        edges = (leaf.inner() - gradient * rate).autodiff();
    }
    found
}

fn explain(_seed: u64) -> Page {
    let mut table = Table::new(
        "Two boxes by their left, upper, right and lower edges",
        &["boxes", "IoU", "GIoU", "DIoU", "CIoU"],
    );
    for [a, b] in PAIRS {
        let of = |overlap: Overlap| overlap.of(&BoundingBox::from_xyxy(a), &BoundingBox::from_xyxy(b));
        let cells = KINDS.map(|(_, overlap)| format!("{:.7}", of(overlap)).replace('-', "−"));
        let edges = |edges: [f32; 4]| edges.map(|edge| edge.to_string()).join(" ");
        table.row(format!("{} and {}", edges(a), edges(b)), cells);
    }
    let small = |pair: [[f32; 4]; 2]| {
        let all = pair.concat();
        let (low, high) = all
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), one| (low.min(*one), high.max(*one)));
        let mut drawing =
            Drawing::new("Two boxes and the smallest one around them", [150.0, 150.0]).at_most(200.0);
        let scale = 134.0 / f64::from(high - low);
        let place = |edges: [f32; 4]| {
            let [x1, y1, x2, y2] = edges.map(|edge| f64::from(edge - low) * scale + 8.0);
            [x1, y1, x2 - x1, y2 - y1]
        };
        let [a, b] = pair;
        let around = [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])];
        drawing.frame(place(around), "flow dashed");
        drawing.shade(place(a), 1, 0.4);
        drawing.shade(place(b), 2, 0.4);
        drawing.frame(place(a), "line colour-1");
        drawing.frame(place(b), "line colour-2");
        let iou = Overlap::Iou.of(&BoundingBox::from_xyxy(a), &BoundingBox::from_xyxy(b));
        (format!("IoU {iou:.3}"), drawing)
    };
    let (from, to, steps) = ([0.0, 0.0, 2.0, 3.0], [4.0, 4.0, 7.0, 6.0], 400);
    let runs = KINDS.map(|(name, overlap)| (name, pulled(overlap, from, to, steps, 0.5)));
    let line = |(at, (name, run)): (usize, &(&str, Vec<f64>))| Series {
        name: name.to_string(),
        colour: [3, 2, 1, 4][at],
        look: Look::Line,
        points: run.iter().enumerate().map(|(step, iou)| [step as f64, *iou]).collect(),
    };
    let chart = Chart {
        title: "IoU by steps".into(),
        x_name: "steps",
        x: Scale::counts(steps as f64),
        y: Scale::around(&[0.0, 1.0]),
        spelling: Spelling::Number,
        series: runs.iter().enumerate().map(line).collect(),
        marked: None,
    };
    let touched = |at: usize| runs[at].1.iter().position(|iou| *iou > 0.0);
    let mut reached = Table::new(
        "The IoU on the way, of a box that does not touch its target at first",
        &["loss", "touches at step", "after 100", "after 400"],
    );
    for (at, (name, run)) in runs.iter().enumerate() {
        let first = touched(at).map_or("never".to_string(), |step| step.to_string());
        reached.row(format!("1 − {name}"), [first, format!("{:.3}", run[100]), format!("{:.3}", run[steps])]);
    }
    let best = runs.iter().max_by(|a, b| a.1[steps].total_cmp(&b.1[steps])).expect("four losses");
    Page {
        idea: [
            "How well a box fits is the area that it shares with the true one over the area of both together, and one less that is a loss.",
            "Boxes that do not touch share nothing however near they are, so IoU has no gradient there; GIoU adds the empty part of the smallest box around both, DIoU the distance of the centres.",
            "CIoU adds to DIoU how much the aspects differ.",
        ],
        formulas: vec![
            formula(r"\text{GIoU} = \text{IoU} - \frac{|C \setminus U|}{|C|}", "GIoU = IoU − |C∖U| / |C|"),
            formula(r"\text{DIoU} = \text{IoU} - \frac{\rho^2}{c^2}", "DIoU = IoU − ρ² / c²"),
            formula(r"\text{CIoU} = \text{DIoU} - \alpha v, \quad \alpha = \frac{v}{1 - \text{IoU} + v}", "CIoU = DIoU − αv,  α = v / (1 − IoU + v)"),
            formula(r"v = \frac{4}{\pi^2} \left( \arctan \frac{w_g}{h_g} - \arctan \frac{w}{h} \right)^2", "v = 4/π² (arctan(w_g/h_g) − arctan(w/h))²"),
        ],
        figures: vec![Figure {
            name: "boxes".into(),
            caption: "The pairs of the table, each with the smallest box around both (dashed).".into(),
            picture: Picture::Small(PAIRS.map(small).into()),
        }],
        tables: vec![table],
        experiment: Experiment {
            question: "Which loss pulls a box to a target that it does not touch?".into(),
            method: "The four edges of a box of 2 by 3 follow the gradient towards a box of 3 by 2 four pixels away, 400 steps of rate 0.5.".into(),
            result: format!("IoU stays where it is, for it has no gradient. Of the others {} is nearest after 400 steps, with an IoU of {:.3}.", best.0, best.1[steps]),
            figures: vec![Figure { name: "way".into(), caption: "IoU with the target, step by step.".into(), picture: Picture::Chart(Box::new(chart)) }],
            tables: vec![reached],
        },
        code: vec!["crates/core/src/overlap.rs: Overlap", "crates/tasks/src/box_overlap.rs: overlap_of_rows"],
        tests: vec!["crates/explain/tests/boxes.rs: overlaps_are_the_worked_numbers"],
        sources: vec![
            ["Rezatofighi et al. 2019, Generalized intersection over union", "https://arxiv.org/abs/1902.09630"],
            ["Zheng et al. 2020, Distance-IoU loss", "https://arxiv.org/abs/1911.08287"],
        ],
    }
}
