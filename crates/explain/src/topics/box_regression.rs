//! Boxes as what is to be added to others.

use kiln_core::{BoundingBox, BoxRegression};
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};

use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "box-regression",
    title: "Bounding-box regression",
    summary: "A box as what leads to it from another, and the loss that large errors do not rule.",
    explain,
};

/// Half the square up to `beta`, divided by it, then a straight line: Girshick 2015, *Fast R-CNN*, equation 3, where `beta` is 1.
pub fn smooth_l1(x: f64, beta: f64) -> f64 {
    if x.abs() < beta { 0.5 * x * x / beta } else { x.abs() - 0.5 * beta }
}

fn explain(_seed: u64) -> Page {
    let proposal = BoundingBox::from_cxcywh([100.0, 100.0, 50.0, 40.0]);
    let truth = BoundingBox::from_cxcywh([110.0, 95.0, 60.0, 50.0]);
    let deltas = BoxRegression::PLAIN.deltas(&proposal, &truth);
    let scaled = BoxRegression::FAST_RCNN.deltas(&proposal, &truth);
    let back = BoxRegression::PLAIN.decoded(&proposal, deltas).cxcywh();
    let mut table = Table::new(
        "From the proposal (100, 100, 50, 40) to the truth (110, 95, 60, 50), each as centre and size",
        &["", "x", "y", "width", "height"],
    );
    let cells =
        |list: [f32; 4], decimals: usize| list.map(|one| format!("{one:.decimals$}").replace('-', "−"));
    table.row("t", cells(deltas, 7));
    table.row("t over (0.1, 0.1, 0.2, 0.2), as Fast R-CNN learns it", cells(scaled, 6));
    table.row("the proposal moved by t", cells(back, 4));

    let mut drawing = Drawing::new("A proposal and the true box", [300.0, 190.0]).at_most(440.0);
    let place = |one: &BoundingBox| {
        let [x, y, width, height] = one.xywh().map(f64::from);
        [(x - 65.0) * 3.0 + 4.0, (y - 65.0) * 3.0 + 4.0, 3.0 * width, 3.0 * height]
    };
    for (one, colour, name) in [(&proposal, 2, "proposal"), (&truth, 1, "truth")] {
        let edges = place(one);
        drawing.shade(edges, colour, 0.15);
        drawing.frame(edges, if colour == 1 { "line colour-1" } else { "line dashed colour-2" });
        let at = if colour == 1 {
            [edges[0] + edges[2] - 6.0, edges[1] + 16.0]
        } else {
            [edges[0] + 6.0, edges[1] + edges[3] - 8.0]
        };
        drawing.text(at, if colour == 1 { Anchor::End } else { Anchor::Start }, "name", name);
    }
    let middle = |one: &BoundingBox| {
        let [x, y, width, height] = place(one);
        [x + width / 2.0, y + height / 2.0]
    };
    drawing.arrow(middle(&proposal), middle(&truth));

    let line = |name: &str, colour, of: &dyn Fn(f64) -> f64| Series {
        name: name.into(),
        colour,
        look: Look::Line,
        points: (0..=120).map(|at| f64::from(at) / 20.0 - 3.0).map(|x| [x, of(x)]).collect(),
    };
    let chart = Chart {
        title: "Losses by the error".into(),
        x_name: "error",
        x: Scale::around(&[-3.0, 3.0]),
        y: Scale::around(&[0.0, 4.5]),
        spelling: Spelling::Number,
        series: vec![
            line("half the square", 3, &|x| 0.5 * x * x),
            line("smooth L1, β = 1", 1, &|x| smooth_l1(x, 1.0)),
            line("smooth L1, β = 1/9", 2, &|x| smooth_l1(x, 1.0 / 9.0)),
        ],
        marked: None,
    };

    // The mean of ten numbers, nine of them near 1 and one far away, as each loss has it.
    let numbers: Vec<f64> = (0..9).map(|at| 1.0 + 0.1 * (f64::from(at) - 4.0)).chain([50.0]).collect();
    let fitted = |slope: &dyn Fn(f64) -> f64| {
        let mut x = 0.0;
        for _ in 0..20_000 {
            x -= 0.01 * numbers.iter().map(|number| slope(x - number)).sum::<f64>() / 10.0;
        }
        x
    };
    let square = fitted(&|error| error);
    let robust = fitted(&|error| error.clamp(-1.0, 1.0));
    let mut outlier =
        Table::new("Nine numbers around 1 and one of 50: where each loss is least", &["loss", "least at"]);
    outlier.row("half the square", [format!("{square:.3}")]);
    outlier.row("smooth L1, β = 1", [format!("{robust:.3}")]);
    Page {
        idea: [
            "A detector does not say a box but what leads to it from a proposal or an anchor: shifts in parts of its size, and the logarithms of how much it grows.",
            "So the same numbers fit large and small objects, and a size can never be negative.",
            "The smooth L1 loss is a square near zero and a straight line beyond, so that one error that is very wrong does not rule all others.",
        ],
        formulas: vec![
            formula(r"t_x = \frac{G_x - P_x}{P_w}, \quad t_y = \frac{G_y - P_y}{P_h}", "t_x = (G_x − P_x) / P_w,  t_y = (G_y − P_y) / P_h"),
            formula(r"t_w = \ln \frac{G_w}{P_w}, \quad t_h = \ln \frac{G_h}{P_h}", "t_w = ln(G_w / P_w),  t_h = ln(G_h / P_h)"),
            formula(r"\ell(x) = \frac{x^2}{2 \beta} \text{ where } |x| < \beta, \text{ else } |x| - \frac{\beta}{2}", "smooth L1: x²/2β where |x| < β, else |x| − β/2"),
        ],
        figures: vec![
            Figure { name: "boxes".into(), caption: "The proposal (dashed) and the truth; the arrow is the shift of the centre.".into(), picture: Picture::Drawing(drawing) },
            Figure { name: "losses".into(), caption: "The losses by the error.".into(), picture: Picture::Chart(Box::new(chart)) },
        ],
        tables: vec![table],
        experiment: Experiment {
            question: "What does one wild number do?".into(),
            method: "Nine numbers from 0.6 to 1.4 and one of 50 are fitted by one value, by gradient descent on each loss.".into(),
            result: format!(
                "By the square it is {square:.3}, the mean, which fits none of them; by smooth L1 {robust:.3}, as if the wild one were hardly there: its pull is never more than 1."
            ),
            figures: Vec::new(),
            tables: vec![outlier],
        },
        code: vec!["crates/core/src/box_regression.rs: BoxRegression", "crates/explain/src/topics/box_regression.rs: smooth_l1"],
        tests: vec!["crates/explain/tests/boxes.rs: a_box_is_regressed_by_the_worked_deltas"],
        sources: vec![
            ["Girshick et al. 2014, Rich feature hierarchies for accurate object detection", "https://arxiv.org/abs/1311.2524"],
            ["Girshick 2015, Fast R-CNN", "https://arxiv.org/abs/1504.08083"],
        ],
    }
}
