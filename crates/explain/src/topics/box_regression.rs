//! A box as what has to be added to another.

use burn::prelude::*;
use burn::tensor::DType;
use kiln_core::{BoundingBox, BoxRegression, Overlap};
use kiln_nn::Draws;
use kiln_page::text::grouped;
use kiln_tasks::SmoothL1LossConfig;

use super::values::minus;
use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "box-regression",
    title: "Box regression",
    summary: "From a proposal to the object: four numbers that mean the same at every size, and why they are weighted.",
    explain,
};

const PROPOSAL: [f32; 4] = [100.0, 100.0, 50.0, 40.0];
const TRUTH: [f32; 4] = [110.0, 95.0, 60.0, 50.0];

fn drawing() -> Drawing {
    let mut drawing = Drawing::new("A proposal and the object", [360.0, 272.0]).at_most(480.0);
    let place = |[x, y, width, height]: [f32; 4]| {
        let [x, y] = [f64::from(x - width / 2.0), f64::from(y - height / 2.0)];
        [75.0 + 3.2 * (x - 75.0), 16.0 + 3.2 * (y - 70.0), 3.2 * f64::from(width), 3.2 * f64::from(height)]
    };
    let centre = |edges: [f64; 4]| [edges[0] + edges[2] / 2.0, edges[1] + edges[3] / 2.0];
    let [p, t] = [place(PROPOSAL), place(TRUTH)];
    drawing.frame(p, "line dashed colour-2");
    drawing.frame(t, "line colour-1");
    drawing.circle(centre(p), 3.0, "dot colour-2");
    drawing.circle(centre(t), 3.0, "dot colour-1");
    drawing.arrow(centre(p), centre(t));
    drawing.text([p[0], p[1] + p[3] + 16.0], Anchor::Start, "name", "proposal P");
    drawing.text([t[0] + t[2] - 6.0, t[1] + 16.0], Anchor::End, "name", "object G");
    let deltas =
        BoxRegression::PLAIN.deltas(&BoundingBox::from_cxcywh(PROPOSAL), &BoundingBox::from_cxcywh(TRUTH));
    let lines = ["10 / 50", "−5 / 40", "ln 60 / 50", "ln 50 / 40"];
    for (at, ((name, sum), delta)) in ["x", "y", "w", "h"].iter().zip(lines).zip(deltas).enumerate() {
        let place = [10.0 + 180.0 * (at % 2) as f64, 236.0 + 24.0 * (at / 2) as f64];
        drawing.text(place, Anchor::Start, "name", &minus(format!("t{name} = {sum} = {delta:.4}")));
    }
    drawing
}

/// The standard deviations of the deltas of proposals drawn around objects, and how many overlap so much.
fn spread(least: f64, draws: &mut Draws) -> ([f64; 4], usize) {
    const DRAWN: usize = 600_000;
    let like = Tensor::<1>::zeros([1], (&Device::flex(), DType::F64));
    let truth = BoundingBox::from_cxcywh([0.0, 0.0, 100.0, 100.0]);
    // Whatever overlaps by a half is not farther away than that, nor more than twice or less than half as wide.
    let numbers: Vec<f64> = draws.uniform::<1, 1>(-1.0..1.0, [4 * DRAWN], &like).into_data().iter().collect();
    let mut sums = [[0.0f64; 2]; 4];
    let mut count = 0;
    for drawn in numbers.chunks(4) {
        let size = |number: f64| 100.0 * 2f64.powf(number);
        let [width, height] = [size(drawn[2]), size(drawn[3])];
        let proposal = BoundingBox::from_cxcywh(
            [100.0 * drawn[0], 100.0 * drawn[1], width, height].map(|one| one as f32),
        );
        if f64::from(Overlap::Iou.of(&proposal, &truth)) < least {
            continue;
        }
        count += 1;
        for (sum, delta) in sums.iter_mut().zip(BoxRegression::PLAIN.deltas(&proposal, &truth)) {
            let delta = f64::from(delta);
            *sum = [sum[0] + delta, sum[1] + delta * delta];
        }
    }
    let n = count as f64;
    (sums.map(|[sum, squares]| (squares / n - (sum / n).powi(2)).sqrt()), count)
}

/// What differences cost, and how steeply.
fn costs(differences: &[f64], beta: f64) -> Vec<[f64; 2]> {
    let device = Device::flex().autodiff();
    let x = Tensor::<1>::from_data(differences, (&device, DType::F64)).require_grad();
    let loss = SmoothL1LossConfig::new().with_beta(beta as f32).init().forward(x.clone(), x.zeros_like());
    let slopes = x.grad(&loss.clone().sum().backward()).expect("differences are learned");
    loss.into_data().iter().zip(slopes.into_data().iter()).map(|(loss, slope)| [loss, slope]).collect()
}

fn explain(seed: u64) -> Page {
    let (proposal, truth) = (BoundingBox::from_cxcywh(PROPOSAL), BoundingBox::from_cxcywh(TRUTH));
    let mut worked = Table::new(
        "From the proposal (centre 100, 100; 50 by 40) to the object (centre 110, 95; 60 by 50), as it is, ten times as large, and with weights of 10, 10, 5, 5",
        &["boxes", "x", "y", "w", "h"],
    );
    let tenfold = |b: &BoundingBox| b.scaled([10.0, 10.0]);
    let rows = [
        ("R-CNN's deltas", BoxRegression::PLAIN.deltas(&proposal, &truth)),
        ("ten times as large", BoxRegression::PLAIN.deltas(&tenfold(&proposal), &tenfold(&truth))),
        ("weighted", BoxRegression::FAST_RCNN.deltas(&proposal, &truth)),
    ];
    for (name, deltas) in rows {
        worked.row(name, deltas.map(|delta| minus(format!("{delta:.6}"))));
    }
    let deltas = BoxRegression::FAST_RCNN.deltas(&proposal, &truth);
    let back = BoxRegression::FAST_RCNN.decoded(&proposal, deltas).cxcywh();
    worked.row("and back", back.map(|one| format!("{one:.3}")));
    let mut grown = Table::new(
        "What a width becomes: the delta is an exponent, and is cut at Detectron's ln(1000 / 16) = 4.135, so that a wild prediction stays finite",
        &["delta", "times the width"],
    );
    for delta in [-1.0, -0.1, 0.0, 0.1, 1.0, 3.0, 4.135, 10.0, 100.0f32] {
        let unit = BoundingBox::from_cxcywh([0.0, 0.0, 1.0, 1.0]);
        let width = BoxRegression::PLAIN.decoded(&unit, [0.0, 0.0, delta, 0.0]).width();
        grown.row(minus(delta.to_string()), [format!("{width:.4}")]);
    }
    const DIFFERENCES: [f64; 5] = [0.1, 0.5, 1.0, 2.0, 10.0];
    let mut costly = Table::new(
        "What a difference of a delta costs, and how steeply: half its square, and smooth L1 with Fast R-CNN's beta of 1 and the region proposals' of 1/9",
        &["difference", "half the square", "beta 1", "slope", "beta 1/9", "slope"],
    );
    let by_beta = [1.0, 1.0 / 9.0].map(|beta| costs(&DIFFERENCES, beta));
    for (at, difference) in DIFFERENCES.iter().enumerate() {
        let cells = by_beta.iter().flat_map(|costs| costs[at]).map(|one| format!("{one:.4}"));
        let half_square = format!("{:.4}", difference.powi(2) / 2.0);
        costly.row(difference.to_string(), std::iter::once(half_square).chain(cells));
    }
    let mut table = Table::new(
        "Standard deviations of the deltas of proposals that overlap the object at least so much",
        &["IoU at least", "proposals", "x", "y", "w", "h"],
    );
    let spreads = [0.5, 0.6, 0.7, 0.8].map(|least| (least, spread(least, &mut Draws::new(seed))));
    for (least, (deviations, count)) in &spreads {
        let cells = deviations.map(|one| format!("{one:.3}"));
        table.row(least.to_string(), std::iter::once(grouped(*count as u64)).chain(cells));
    }
    let [x, _, w, _] = spreads[0].1.0;
    Page {
        idea: [
            "A detector does not say where an object is, but how to get there from a box it begins with: a proposal, an anchor, a cell.",
            "The way of the centre is counted in the sides of that box and the growth of the sides as a logarithm, so that the same four numbers mean the same at every size.",
            "Ways and growths differ in how much they vary, and weights make them vary alike, so that one loss suits all four.",
        ],
        formulas: vec![
            formula(r"t_x = \frac{G_x - P_x}{P_w}, \quad t_y = \frac{G_y - P_y}{P_h}", "t_x = (G_x − P_x) / P_w,  t_y = (G_y − P_y) / P_h"),
            formula(r"t_w = \ln \frac{G_w}{P_w}, \quad t_h = \ln \frac{G_h}{P_h}", "t_w = ln(G_w / P_w),  t_h = ln(G_h / P_h)"),
            formula(r"\hat{G}_x = P_w d_x + P_x, \quad \hat{G}_w = P_w e^{d_w}", "Ĝ_x = P_w d_x + P_x,  Ĝ_w = P_w e^d_w"),
            formula(
                r"|x| < \beta: L_\beta(x) = \frac{x^2}{2 \beta}; \quad |x| \ge \beta: L_\beta(x) = |x| - \frac{\beta}{2}",
                "|x| < β: L_β(x) = x² / (2β);  |x| ≥ β: L_β(x) = |x| − β / 2",
            ),
        ],
        figures: vec![Figure {
            name: "boxes".into(),
            caption: "The proposal, dashed in orange, the object in blue, and the four numbers that lead from one to the other.".into(),
            picture: Picture::Drawing(drawing()),
        }],
        tables: vec![worked, grown, costly],
        experiment: Experiment {
            question: "How much do the four numbers vary?".into(),
            method: "Proposals are drawn around an object, centres evenly up to a side away, sizes evenly (as logarithms) up to a factor of two; those are kept that overlap it enough to learn from. Fast R-CNN learns from an IoU of 0.5 on, R-CNN from 0.6.".into(),
            result: format!(
                "From an IoU of 0.5 on, ways of the centre vary by {x:.3} sides and growths by {w:.3}: the growths {:.1} times as much, and so it is with the weights of 10 and 5 in use since Fast R-CNN, which stand for deviations of 0.1 and 0.2. \
                 The nearer the proposals, the less both vary.",
                w / x
            ),
            figures: Vec::new(),
            tables: vec![table],
        },
        code: vec![
            "crates/core/src/box_regression.rs: BoxRegression",
            "crates/tasks/src/smooth_l1.rs: SmoothL1Loss",
        ],
        tests: vec![
            "crates/core/src/box_regression.rs: deltas_are_those_of_the_formula_and_lead_back",
            "crates/core/src/box_regression.rs: a_wild_prediction_stays_finite",
            "crates/tasks/src/smooth_l1.rs: the_loss_and_its_gradient_are_pytorchs",
        ],
        sources: vec![
            ["Girshick et al. 2014, Rich feature hierarchies for accurate object detection and semantic segmentation, Appendix C", "https://arxiv.org/abs/1311.2524"],
            ["Girshick 2015, Fast R-CNN", "https://arxiv.org/abs/1504.08083"],
        ],
    }
}
