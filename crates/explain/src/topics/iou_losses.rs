//! Losses of overlap as two boxes part.

use burn::prelude::*;
use burn::tensor::DType;
use kiln_core::Overlap;
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};
use kiln_tasks::overlap_of_rows;

use super::values::minus;
use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "iou-losses",
    title: "Losses of overlap",
    summary: "IoU, GIoU, DIoU and CIoU as two boxes part: their values, their gradients, and which of them brings a box home.",
    explain,
};

const KINDS: [(&str, Overlap); 4] =
    [("IoU", Overlap::Iou), ("GIoU", Overlap::Giou), ("DIoU", Overlap::Diou), ("CIoU", Overlap::Ciou)];

/// Of the experiment.
const STEPS: usize = 600;
/// From here on the rate is a tenth, so that a box that is nearly right comes to rest.
const SLOWER: usize = 200;

type Rows = Vec<[f64; 4]>;

/// The pairs whose measures are known.
const WORKED: [[[f64; 4]; 2]; 5] = [
    [[0.0, 0.0, 10.0, 10.0], [5.0, 5.0, 15.0, 15.0]],
    [[0.0, 0.0, 4.0, 2.0], [1.0, 0.0, 3.0, 4.0]],
    [[0.0, 0.0, 2.0, 2.0], [3.0, 3.0, 5.0, 5.0]],
    [[10.0, 10.0, 50.0, 30.0], [20.0, 15.0, 40.0, 55.0]],
    [[3.0, 4.0, 10.0, 9.0], [3.0, 4.0, 10.0, 9.0]],
];

/// 1 less the overlap of each pair, and the gradient of that by the first box.
fn losses(overlap: Overlap, guesses: &Rows, truths: &Rows) -> (Vec<f64>, Rows) {
    let device = Device::flex().autodiff();
    let tensor = |rows: &Rows| {
        let data = TensorData::new(rows.as_flattened().to_vec(), [rows.len(), 4]);
        Tensor::<2>::from_data(data, (&device, DType::F64))
    };
    let guesses = tensor(guesses).require_grad();
    let losses = overlap_of_rows(overlap, guesses.clone(), tensor(truths)).neg() + 1.0;
    let gradients = guesses.grad(&losses.clone().sum().backward()).expect("boxes are learned");
    let flat: Vec<f64> = gradients.into_data().iter().collect();
    (
        losses.into_data().iter().collect(),
        flat.chunks(4).map(|row| [row[0], row[1], row[2], row[3]]).collect(),
    )
}

/// A truth of 10 by 10 around (0, 0), and a guess of 14 by 7 whose centre is moved to the right.
const TRUTH: [f64; 4] = [-5.0, -5.0, 5.0, 5.0];

fn guess(right: f64) -> [f64; 4] {
    [right - 7.0, -3.5, right + 7.0, 3.5]
}

fn chart(title: &str, y_name: usize, points: &[Vec<[f64; 2]>]) -> Chart {
    let values: Vec<f64> = points.iter().flatten().map(|point| point[1]).collect();
    let series = KINDS.iter().zip(points).zip([3, 2, 1, 4]).map(|(((name, _), points), colour)| Series {
        name: (*name).into(),
        colour,
        look: Look::Line,
        points: points.clone(),
    });
    let x = points.iter().flatten().map(|point| point[0]).fold(0.0, f64::max);
    Chart {
        title: title.into(),
        x_name: ["pixels between the centres", "steps"][y_name],
        x: Scale::counts(x),
        y: Scale::around(&values),
        spelling: Spelling::Number,
        series: series.collect(),
        marked: None,
    }
}

/// A guess that is moved down the gradient: its IoU with the truth, step by step, and where it is then.
fn descended(overlap: Overlap) -> (Vec<[f64; 2]>, Rows) {
    // In units of the truth's sides, as the rate of 0.1 asks for.
    let truth = vec![[0.0, 0.0, 1.0, 1.0]];
    let mut guess = vec![[2.0, 1.0, 3.4, 1.7]];
    let (mut ious, mut guesses) = (Vec::new(), Vec::new());
    for step in 0..=STEPS {
        ious.push([step as f64, 1.0 - losses(Overlap::Iou, &guess, &truth).0[0]]);
        guesses.push(guess[0]);
        let rate = if step < SLOWER { 0.1 } else { 0.01 };
        let gradient = losses(overlap, &guess, &truth).1[0];
        guess[0] = std::array::from_fn(|edge| guess[0][edge] - rate * gradient[edge]);
    }
    (ious, guesses)
}

fn explain(_seed: u64) -> Page {
    let mut worked = Table::new(
        "Pairs of boxes (left, upper, right, lower edge) and their measures. The loss is 1 less the measure",
        &["boxes", "IoU", "GIoU", "DIoU", "CIoU"],
    );
    let short = |[x1, y1, x2, y2]: [f64; 4]| format!("[{x1}, {y1}, {x2}, {y2}]");
    for [a, b] in WORKED {
        let cells =
            KINDS.map(|(_, overlap)| minus(format!("{:.7}", 1.0 - losses(overlap, &vec![a], &vec![b]).0[0])));
        worked.row(format!("{} and {}", short(a), short(b)), cells);
    }
    let places: Vec<f64> = (0..=120).map(|at| 0.25 * f64::from(at)).collect();
    let guesses: Rows = places.iter().map(|right| guess(*right)).collect();
    let truths = vec![TRUTH; guesses.len()];
    let along = KINDS.map(|(_, overlap)| losses(overlap, &guesses, &truths));
    let values: Vec<Vec<[f64; 2]>> =
        along.iter().map(|(losses, _)| places.iter().zip(losses).map(|(x, y)| [*x, *y]).collect()).collect();
    // What a move of the whole box to the right changes.
    let slopes: Vec<Vec<[f64; 2]>> = along
        .iter()
        .map(|(_, rows)| places.iter().zip(rows).map(|(x, row)| [*x, row[0] + row[2]]).collect())
        .collect();
    let mut table = Table::new(
        "The guess 20 pixels to the right, apart from the truth: the loss, and its derivative by each edge of the guess",
        &["loss", "value", "by left", "by upper", "by right", "by lower"],
    );
    for (name, overlap) in KINDS {
        let (loss, gradient) = losses(overlap, &vec![guess(20.0)], &vec![TRUTH]);
        let cells = gradient[0].map(|one| minus(format!("{:.5}", one + 0.0)));
        table.row(name, std::iter::once(format!("{:.4}", loss[0])).chain(cells));
    }

    let mut drawing = Drawing::new("Two boxes at four distances", [400.0, 96.0]).at_most(640.0);
    for (at, right) in [0.0, 6.0, 12.0, 20.0].into_iter().enumerate() {
        let corner = [26.0 + [0.0, 74.0, 164.0, 264.0][at], 44.0];
        let place = |[x1, y1, x2, y2]: [f64; 4]| {
            [corner[0] + 2.6 * x1 + 8.0, corner[1] + 2.6 * y1, 2.6 * (x2 - x1), 2.6 * (y2 - y1)]
        };
        drawing.frame(place(TRUTH), "line colour-1");
        drawing.frame(place(guess(right)), "line colour-2 dashed");
        drawing.text(
            [corner[0] + 1.3 * right + 8.0, 88.0],
            Anchor::Middle,
            "tick",
            &format!("{right} pixels"),
        );
    }

    let descents = KINDS.map(|(_, overlap)| descended(overlap));
    let mut ends = Table::new(
        "When the boxes meet and how large the guess is then; its IoU with the truth after so many steps",
        &["loss", "meet at step", "area then", "IoU after 100", "200", "300", "600"],
    );
    let mut met = Vec::new();
    for ((name, _), (ious, guesses)) in KINDS.iter().zip(&descents) {
        let first = ious.iter().position(|point| point[1] > 0.0);
        let area =
            first.map(|step| (guesses[step][2] - guesses[step][0]) * (guesses[step][3] - guesses[step][1]));
        let cell = |text: Option<String>| text.unwrap_or_else(|| "never".into());
        let cells = [100, SLOWER, 300, STEPS].map(|step| format!("{:.4}", ious[step][1]));
        let meeting = [cell(first.map(|step| step.to_string())), cell(area.map(|area| format!("{area:.2}")))];
        ends.row(*name, meeting.clone().into_iter().chain(cells));
        met.push(meeting);
    }
    let swing = |kind: usize| {
        let ious = || descents[kind].0[STEPS - 9..].iter().map(|point| point[1]);
        format!("{:.2} to {:.2}", ious().fold(1.0, f64::min), ious().fold(0.0, f64::max))
    };
    let [x1, y1, x2, y2] = descents[0].1[0];
    let first = (x2 - x1) * (y2 - y1);
    let lines: Vec<Vec<[f64; 2]>> = descents.iter().map(|(ious, _)| ious.clone()).collect();
    Page {
        idea: [
            "The overlap that detectors are scored by can be learned directly: a loss of 1 less the intersection over union, which does not depend on the scale of the boxes.",
            "Of boxes apart the IoU is 0 wherever they are, so that its gradient is 0 too and nothing is learned; GIoU, DIoU and CIoU take away something that still tells near from far.",
            "GIoU takes the empty part of the smallest box C around both, DIoU the distance ρ of the centres over the diagonal c of C (both squared), CIoU also the difference v in aspect.",
        ],
        formulas: vec![
            formula(r"\text{IoU} = \frac{|A \cap B|}{|A \cup B|}, \quad \text{GIoU} = \text{IoU} - \frac{|C \setminus (A \cup B)|}{|C|}", "IoU = |A ∩ B| / |A ∪ B|,  GIoU = IoU − |C \\ (A ∪ B)| / |C|"),
            formula(r"\text{DIoU} = \text{IoU} - \frac{\rho^2}{c^2}, \quad \text{CIoU} = \text{DIoU} - \alpha v", "DIoU = IoU − ρ² / c²,  CIoU = DIoU − α v"),
            formula(r"v = \frac{4}{\pi^2} \left( \arctan \frac{w_t}{h_t} - \arctan \frac{w}{h} \right)^2", "v = 4/π² (arctan w_t/h_t − arctan w/h)²"),
            formula(r"\alpha = \frac{v}{1 - \text{IoU} + v}", "α = v / (1 − IoU + v)"),
        ],
        figures: vec![
            Figure {
                name: "boxes".into(),
                caption: "The truth, 10 by 10 pixels, in blue, and the guess, 14 by 7, dashed in orange, at four of the distances between their centres.".into(),
                picture: Picture::Drawing(drawing),
            },
            Figure {
                name: "values".into(),
                caption: "The losses by the distance between the centres. From 12 pixels on the boxes are apart, and the IoU's loss stays 1. CIoU's line covers DIoU's: what it takes for the aspects, α v, is small here.".into(),
                picture: Picture::Chart(Box::new(chart("Losses as two boxes part", 0, &values))),
            },
            Figure {
                name: "gradients".into(),
                caption: "How fast each loss grows when the guess is moved farther, by pixels: where a line is at 0, the box is not moved back. CIoU's line covers DIoU's here, too.".into(),
                picture: Picture::Chart(Box::new(chart("Gradients as two boxes part", 0, &slopes))),
            },
        ],
        tables: vec![worked, table],
        experiment: Experiment {
            question: "Which loss brings a box home from afar?".into(),
            method: "The truth is [0, 0, 1, 1], the guess [2, 1, 3.4, 1.7]. All four edges of the guess follow the gradient, 200 steps with a rate of 0.1 and 400 with a tenth of it. (α is a constant for the gradient, as in the code of CIoU's authors.) Start and rates were chosen so that all three arrive: from farther away they need more steps, and which is nearest in the end differs from start to start.".into(),
            result: format!(
                "With IoU alone nothing moves. With GIoU the boxes meet at step {}, the guess having grown from {first:.2} to {}: whatever fills the box around both lowers the loss. With DIoU they meet at \
                 step {} and an area of {}, with CIoU at step {} and {}. At the end all swing about the truth, by the size of the steps: over the last ten steps the IoU is {} with GIoU, {} with DIoU and {} with CIoU.",
                met[1][0],
                met[1][1],
                met[2][0],
                met[2][1],
                met[3][0],
                met[3][1],
                swing(1),
                swing(2),
                swing(3)
            ),
            figures: vec![Figure {
                name: "descents".into(),
                caption: "The IoU of the guess with the truth, step by step.".into(),
                picture: Picture::Chart(Box::new(chart("IoU by steps", 1, &lines))),
            }],
            tables: vec![ends],
        },
        code: vec!["crates/tasks/src/box_overlap.rs: overlap_of_rows, overlap_of_all", "crates/core/src/overlap.rs: Overlap"],
        tests: vec![
            "crates/core/src/overlap.rs: measures_are_those_of_the_formulas_either_way_round",
            "crates/tasks/src/box_overlap.rs: measures_and_gradients_are_torchvisions",
            "crates/explain/tests/boxes.rs: ciou_has_the_worked_aspects",
        ],
        sources: vec![
            ["Yu et al. 2016, UnitBox: an advanced object detection network (the loss by IoU alone, as −log IoU)", "https://arxiv.org/abs/1608.01471"],
            ["Rezatofighi et al. 2019, Generalized intersection over union: a metric and a loss for bounding box regression", "https://arxiv.org/abs/1902.09630"],
            ["Zheng et al. 2020, Distance-IoU loss: faster and better learning for bounding box regression", "https://arxiv.org/abs/1911.08287"],
        ],
    }
}
