//! A network of three layers by hand, beside automatic differentiation.

use burn::prelude::*;
use burn::tensor::DType;
use kiln_nn::{Activation, Draws};
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};

use super::values::minus;
use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "backprop",
    title: "Backpropagation",
    summary: "A network of three layers: forward, backward and a step, by hand and by automatic differentiation.",
    explain,
};

/// A network of an input, a hidden and an output layer, with one activation in both; its loss is half the squared distance to the target.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreeLayers {
    /// From the input to the hidden layer: a row a hidden unit.
    pub hidden: Vec<Vec<f64>>,
    /// What each hidden unit adds.
    pub hidden_bias: Vec<f64>,
    /// From the hidden to the output layer: a row an output.
    pub output: Vec<Vec<f64>>,
    /// What each output adds.
    pub output_bias: Vec<f64>,
    /// Of both layers.
    pub activation: Activation,
}

/// What a pass forward and backward found.
#[derive(Debug, Clone, PartialEq)]
pub struct Passed {
    /// The hidden layer.
    pub hidden: Vec<f64>,
    /// The output.
    pub output: Vec<f64>,
    /// Half the squared distance to the target.
    pub loss: f64,
    /// The derivatives of the loss by the sums of the output layer, and of the hidden.
    pub deltas: [Vec<f64>; 2],
    /// Of the loss by the weights of the output layer, and of the hidden.
    pub gradients: [Vec<Vec<f64>>; 2],
}

impl ThreeLayers {
    /// M. Mazur's example: two units a layer, sigmoids.
    pub fn worked() -> Self {
        Self {
            hidden: vec![vec![0.15, 0.20], vec![0.25, 0.30]],
            hidden_bias: vec![0.35; 2],
            output: vec![vec![0.40, 0.45], vec![0.50, 0.55]],
            output_bias: vec![0.60; 2],
            activation: Activation::Sigmoid,
        }
    }

    /// Forward, and the derivatives backward.
    pub fn pass(&self, x: &[f64], target: &[f64]) -> Passed {
        let sums = |weights: &[Vec<f64>], biases: &[f64], x: &[f64]| -> Vec<f64> {
            let sum =
                |(row, bias): (&Vec<f64>, &f64)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + bias;
            weights.iter().zip(biases).map(sum).collect()
        };
        let activated =
            |sums: &[f64]| -> Vec<f64> { sums.iter().map(|z| self.activation.value(*z)).collect() };
        let hidden_sums = sums(&self.hidden, &self.hidden_bias, x);
        let hidden = activated(&hidden_sums);
        let output_sums = sums(&self.output, &self.output_bias, &hidden);
        let output = activated(&output_sums);
        let loss = output.iter().zip(target).map(|(o, t)| 0.5 * (t - o).powi(2)).sum();
        // delta_o = (o - t) g'(z_o); delta_h = (W' delta_o) f'(z_h).
        let of_output: Vec<f64> = (0..output.len())
            .map(|k| (output[k] - target[k]) * self.activation.derivative(output_sums[k]))
            .collect();
        let of_hidden: Vec<f64> = (0..hidden.len())
            .map(|j| {
                let back: f64 = (0..output.len()).map(|k| self.output[k][j] * of_output[k]).sum();
                back * self.activation.derivative(hidden_sums[j])
            })
            .collect();
        // A weight's derivative is its output's delta times its input.
        let outer = |deltas: &[f64], x: &[f64]| -> Vec<Vec<f64>> {
            deltas.iter().map(|delta| x.iter().map(|x| delta * x).collect()).collect()
        };
        let gradients = [outer(&of_output, &hidden), outer(&of_hidden, x)];
        Passed { hidden, output, loss, deltas: [of_output, of_hidden], gradients }
    }

    /// A step against the gradient; biases too if they learn.
    pub fn step(&mut self, passed: &Passed, rate: f64, biases: bool) {
        let [of_output, of_hidden] = &passed.gradients;
        for (weights, gradient) in [(&mut self.output, of_output), (&mut self.hidden, of_hidden)] {
            for (w, g) in weights.iter_mut().flatten().zip(gradient.iter().flatten()) {
                *w -= rate * g;
            }
        }
        if biases {
            for (bias, deltas) in
                [(&mut self.output_bias, &passed.deltas[0]), (&mut self.hidden_bias, &passed.deltas[1])]
            {
                bias.iter_mut().zip(deltas).for_each(|(b, delta)| *b -= rate * delta);
            }
        }
    }

    /// The gradients of the weights as Burn's automatic differentiation finds them, in 64 bits.
    pub fn differentiated(&self, x: &[f64], target: &[f64]) -> [Vec<Vec<f64>>; 2] {
        let device = Device::flex().autodiff();
        let column = |list: &[f64]| -> Tensor<2> {
            Tensor::from_data(TensorData::new(list.to_vec(), [list.len(), 1]), (&device, DType::F64))
        };
        let matrix = |rows: &[Vec<f64>]| -> Tensor<2> {
            let data = TensorData::new(rows.concat(), [rows.len(), rows[0].len()]);
            Tensor::from_data(data, (&device, DType::F64)).require_grad()
        };
        let (output, hidden) = (matrix(&self.output), matrix(&self.hidden));
        let h = self.activation.forward(hidden.clone().matmul(column(x)) + column(&self.hidden_bias));
        let o = self.activation.forward(output.clone().matmul(h) + column(&self.output_bias));
        let gradients = ((o - column(target)).square().sum() * 0.5).backward();
        [output, hidden].map(|weights| {
            let columns = weights.dims()[1];
            let gradient = weights.grad(&gradients).expect("weights that learn");
            let flat: Vec<f64> = gradient.into_data().iter().collect();
            flat.chunks(columns).map(<[f64]>::to_vec).collect()
        })
    }
}

/// Input and target of the worked example.
pub const WORKED: [[f64; 2]; 2] = [[0.05, 0.10], [0.01, 0.99]];

fn explain(seed: u64) -> Page {
    let [x, target] = WORKED;
    let network = ThreeLayers::worked();
    let passed = network.pass(&x, &target);
    let tensors = network.differentiated(&x, &target);
    let mut stepped = network.clone();
    stepped.step(&passed, 0.5, false);

    let ten = |value: f64| format!("{value:.10}");
    let mut forward = Table::new("Forward: what each unit gives, and the loss", &["unit", "value"]);
    for (name, value) in [
        ("h1", passed.hidden[0]),
        ("h2", passed.hidden[1]),
        ("o1", passed.output[0]),
        ("o2", passed.output[1]),
        ("loss", passed.loss),
    ] {
        forward.row(name, [ten(value)]);
    }
    let mut backward = Table::new(
        "Backward: each weight's derivative by hand and by automatic differentiation, and the weight after a step of rate 0.5",
        &["weight", "before", "by hand", "by autodiff", "after"],
    );
    let layers = [("h", "o", 0), ("x", "h", 1)];
    let mut worst: f64 = 0.0;
    for (from, to, layer) in layers {
        let [before, after] = match layer {
            0 => [&network.output, &stepped.output],
            _ => [&network.hidden, &stepped.hidden],
        };
        for unit in 0..2 {
            for input in 0..2 {
                let [hand, tensor] = [passed.gradients[layer][unit][input], tensors[layer][unit][input]];
                worst = worst.max((hand - tensor).abs());
                let name = format!("{from}{} → {to}{}", input + 1, unit + 1);
                let cells =
                    [format!("{:.2}", before[unit][input]), ten(hand), ten(tensor), ten(after[unit][input])];
                backward.row(name, cells);
            }
        }
    }

    let (runs, learned) = xor(&mut Draws::new(seed));
    let last: Vec<f64> = runs.iter().map(|run| run[EPOCHS - 1][1]).collect();
    // One line, with a gap after each start.
    let gap = [[f64::NAN; 2]];
    let points: Vec<[f64; 2]> = runs.into_iter().flat_map(|run| run.into_iter().chain(gap)).collect();
    let losses: Vec<f64> = points.iter().map(|[_, loss]| *loss).filter(|loss| loss.is_finite()).collect();
    let chart = Chart {
        title: "Loss of XOR by epochs".into(),
        x_name: "epochs",
        x: Scale::counts(EPOCHS as f64),
        y: Scale::around(&losses),
        spelling: Spelling::Number,
        series: vec![Series { name: "a start".into(), colour: 1, look: Look::Pale, points }],
        marked: None,
    };
    Page {
        idea: [
            "A network is a chain of functions, so the derivative of its loss by a weight is a sum over the ways from the weight to the loss, each way giving the product of the derivatives along it.",
            "Backpropagation computes them from the loss backwards, so that each layer's part (its delta) is computed once and serves all weights of the layer and all layers before it.",
            "A step of gradient descent then moves every weight against its derivative.",
        ],
        formulas: vec![
            formula(r"z_h = W_h x + b_h, \quad h = f(z_h)", "z_h = W_h x + b_h,  h = f(z_h)"),
            formula(r"z_o = W_o h + b_o, \quad o = g(z_o)", "z_o = W_o h + b_o,  o = g(z_o), where f and g act on each number for itself"),
            formula(r"L = \frac{1}{2} \lVert t - o \rVert^2", "L = ½ |t − o|²"),
            formula(r"\delta_o = (o - t) \odot g'(z_o)", "δ_o = (o − t) ∘ g′(z_o)"),
            formula(r"\delta_h = (W_o^\top \delta_o) \odot f'(z_h)", "δ_h = (W_oᵀ δ_o) ∘ f′(z_h)"),
            formula(r"\frac{\partial L}{\partial W_o} = \delta_o h^\top, \quad \frac{\partial L}{\partial W_h} = \delta_h x^\top", "∂L/∂W_o = δ_o hᵀ,  ∂L/∂W_h = δ_h xᵀ"),
            formula(r"W \leftarrow W - \eta \frac{\partial L}{\partial W}", "W ← W − η ∂L/∂W"),
        ],
        figures: vec![Figure {
            name: "network".into(),
            caption: "M. Mazur's example, two layers of sigmoids with fixed biases of 0.35 and 0.60: above each unit its value (forward), below it its delta (backward), beside the outputs their targets t.".into(),
            picture: Picture::Drawing(diagram(&network, &passed)),
        }],
        tables: vec![forward, backward],
        experiment: Experiment {
            question: "Can it learn what a single layer cannot?".into(),
            method: format!("Four hidden units (tanh) learn XOR of −1 and 1 with targets of ±0.9, one example a step, rate {RATE}, by the deltas above, from {STARTS} starts. Rate, width and the size of the first weights were chosen so that it succeeds."),
            result: format!(
                "After {EPOCHS} epochs {learned} of {STARTS} networks have all four signs right, the best with a mean loss of {:.1e}. In the table above the derivatives by hand \
                 and by automatic differentiation differ by at most {worst:.1e}.",
                last.iter().copied().fold(f64::INFINITY, f64::min)
            ),
            figures: vec![Figure {
                name: "xor".into(),
                caption: "Mean loss of the four examples, epoch by epoch, a line a start.".into(),
                picture: Picture::Chart(Box::new(chart)),
            }],
            tables: Vec::new(),
        },
        code: vec!["crates/explain/src/topics/backprop.rs: ThreeLayers"],
        tests: vec!["crates/explain/tests/worked.rs: three_layers_have_the_worked_numbers"],
        sources: vec![
            ["Rumelhart, Hinton, Williams 1986, Learning representations by back-propagating errors", "https://doi.org/10.1038/323533a0"],
            ["M. Mazur, A step by step backpropagation example", "https://mattmazur.com/2015/03/17/a-step-by-step-backpropagation-example/"],
        ],
    }
}

const EPOCHS: usize = 500;
const STARTS: usize = 20;
const RATE: f64 = 0.1;

/// Loss by epochs from every start, and how many learned all four answers.
fn xor(draws: &mut Draws) -> (Vec<Vec<[f64; 2]>>, usize) {
    const XOR: [([f64; 2], [f64; 1]); 4] =
        [([-1.0, -1.0], [-0.9]), ([-1.0, 1.0], [0.9]), ([1.0, -1.0], [0.9]), ([1.0, 1.0], [-0.9])];
    let like = Tensor::<1>::zeros([1], (&Device::flex(), DType::F64));
    let mut fresh = |rows: usize, columns: usize| -> Vec<Vec<f64>> {
        let flat: Vec<f64> = draws.normal([rows * columns], &like).into_data().iter().collect();
        flat.chunks(columns).map(|row| row.iter().map(|w| 0.7 * w).collect()).collect()
    };
    let (mut runs, mut learned) = (Vec::new(), 0);
    for _ in 0..STARTS {
        let mut network = ThreeLayers {
            hidden: fresh(4, 2),
            hidden_bias: fresh(1, 4).concat(),
            output: fresh(1, 4),
            output_bias: vec![0.0],
            activation: Activation::Tanh,
        };
        let mut run = Vec::new();
        for epoch in 0..EPOCHS {
            let mut sum = 0.0;
            for (x, target) in &XOR {
                let passed = network.pass(x, target);
                sum += passed.loss;
                network.step(&passed, RATE, true);
            }
            run.push([epoch as f64, sum / 4.0]);
        }
        let right = |(x, target): &([f64; 2], [f64; 1])| network.pass(x, target).output[0] * target[0] > 0.0;
        learned += usize::from(XOR.iter().all(right));
        runs.push(run);
    }
    (runs, learned)
}

fn diagram(network: &ThreeLayers, passed: &Passed) -> Drawing {
    let mut drawing = Drawing::new(
        "Two inputs, two hidden units, two outputs, with weights, values and deltas",
        [420.0, 240.0],
    );
    let [x, target] = WORKED;
    let at = |layer: usize, unit: usize| [50.0 + 150.0 * layer as f64, 70.0 + 100.0 * unit as f64];
    for (layer, weights) in [&network.hidden, &network.output].into_iter().enumerate() {
        for (unit, row) in weights.iter().enumerate() {
            for (input, weight) in row.iter().enumerate() {
                let (from, to) = (at(layer, input), at(layer + 1, unit));
                let along =
                    |share: f64| [from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])];
                let reach = 20.0 / (to[0] - from[0]).hypot(to[1] - from[1]);
                drawing.arrow(along(reach), along(1.0 - reach));
                // Crossing lines have their weights near their ends.
                let place = along(if input == unit { 0.5 } else { 0.27 });
                drawing.text([place[0], place[1] - 5.0], Anchor::Middle, "tick", &format!("{weight:.2}"));
            }
        }
    }
    let names = [["x1", "x2"], ["h1", "h2"], ["o1", "o2"]];
    for (layer, names) in names.into_iter().enumerate() {
        for (unit, name) in names.into_iter().enumerate() {
            let [cx, cy] = at(layer, unit);
            drawing.circle([cx, cy], 18.0, ["node colour-3", "node colour-1", "node colour-4"][layer]);
            drawing.text([cx, cy + 4.0], Anchor::Middle, "name", name);
            let value = match layer {
                0 => format!("{:.2}", x[unit]),
                1 => format!("{:.4}", passed.hidden[unit]),
                _ => format!("{:.4}", passed.output[unit]),
            };
            drawing.text([cx, cy - 25.0], Anchor::Middle, "name strong", &value);
            if layer > 0 {
                let delta = passed.deltas[2 - layer][unit];
                drawing.text(
                    [cx, cy + 34.0],
                    Anchor::Middle,
                    "tinted colour-2",
                    &minus(format!("δ {delta:.4}")),
                );
            } else {
                drawing.text([cx, cy + 34.0], Anchor::Middle, "tick", "input");
            }
        }
    }
    for (unit, target) in target.iter().enumerate() {
        let [cx, cy] = at(2, unit);
        drawing.text([cx + 24.0, cy + 4.0], Anchor::Start, "tick", &format!("t {target:.2}"));
    }
    drawing.text([50.0, 22.0], Anchor::Start, "name", &format!("loss {:.6}", passed.loss));
    drawing
}
