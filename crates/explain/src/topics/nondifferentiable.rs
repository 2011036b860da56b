//! Learning through functions that have no gradient.

use burn::prelude::*;
use burn::tensor::DType;
use kiln_nn::{Activation, Draws, Surrogate, surrogate_step};

use super::values::minus;
use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "nondifferentiable",
    title: "Functions without a gradient",
    summary: "What frameworks take at kinks, and how steps and signs learn through the gradient of another function.",
    explain,
};

const SURROGATES: [(&str, Surrogate); 5] = [
    ("identity (straight-through)", Surrogate::Identity),
    ("clipped identity", Surrogate::Clipped),
    ("arc tangent", Surrogate::ArcTan),
    ("sigmoid, sharpness 4", Surrogate::Sigmoid(4.0)),
    ("triangle", Surrogate::Triangle),
];

fn slopes(function: &dyn Fn(Tensor<1>) -> Tensor<1>, points: &[f64]) -> Vec<f64> {
    let data = TensorData::new(points.to_vec(), [points.len()]);
    let x = Tensor::<1>::from_data(data, (&Device::flex().autodiff(), DType::F64)).require_grad();
    x.grad(&function(x.clone()).sum().backward())
        .expect("an input that is followed")
        .into_data()
        .iter()
        .collect()
}

fn explain(seed: u64) -> Page {
    let mut kinks = Table::new(
        "What automatic differentiation gives at a kink or a jump: the slopes beside it, and the one that is taken",
        &["function", "slopes beside it", "taken"],
    );
    let sided = |activation: Activation| {
        let near = |x: f64| minus(activation.derivative(x).to_string());
        format!("{} and {}", near(-1e-9), near(1e-9))
    };
    for activation in [Activation::Relu, Activation::Absolute, Activation::Step, Activation::Signum] {
        let taken = slopes(&|x| activation.forward(x), &[0.0])[0];
        kinks.row(format!("{} at 0", activation.name()), [sided(activation), format!("{taken}")]);
    }
    let both = slopes(&|x| Activation::Relu.forward(x.clone()) - Activation::Relu.forward(-x), &[0.0])[0];
    kinks.row("relu(x) − relu(−x), which is x, at 0", ["1 and 1".into(), format!("{both}")]);

    let points = [-1.5, -0.5, 0.0, 0.25, 1.5];
    let mut table = Table::new(
        "What each surrogate has for the derivative of a step",
        &["surrogate", "at −1.5", "−0.5", "0", "0.25", "1.5"],
    );
    for (name, surrogate) in SURROGATES {
        let found = slopes(&|x| surrogate_step(x, surrogate), &points);
        table.row(name, found.iter().map(|slope| format!("{slope:.4}")));
    }
    let small = |(name, surrogate): (&str, Surrogate)| {
        let (width, height) = (180.0, 110.0);
        let mut drawing =
            Drawing::new(format!("A step and the gradient of {name}"), [width, height]).at_most(260.0);
        let place = |x: f64, y: f64| [width * (0.5 + x / 4.4), height * (0.86 - 0.68 * y)];
        drawing.line(place(-2.2, 0.0), place(2.2, 0.0), "axis");
        drawing.line(place(0.0, -0.15), place(0.0, 1.2), "grid");
        let xs: Vec<f64> = (0..=200).map(|at| -2.2 + 4.4 * f64::from(at) / 200.0 + 1e-4).collect();
        let found = slopes(&|x| surrogate_step(x, surrogate), &xs);
        let line: Vec<[f64; 2]> = xs.iter().zip(&found).map(|(x, y)| place(*x, *y)).collect();
        drawing.path(&line, "line dashed colour-2");
        drawing.path(&[place(-2.2, 0.0), place(0.0, 0.0)], "line colour-1");
        drawing.path(&[place(0.0, 1.0), place(2.2, 1.0)], "line colour-1");
        drawing.text([4.0, 12.0], Anchor::Start, "tick small", "±2.2");
        (name.to_string(), drawing)
    };

    let mut learned = Table::new(
        "A perceptron with a step: of four gates from ten starts each, how many are learned in 100 steps",
        &["gradient", "before", "after"],
    );
    let mut results = Vec::new();
    for (name, surrogate) in
        std::iter::once(("true (zero)", None)).chain(SURROGATES.map(|(name, one)| (name, Some(one))))
    {
        let [before, after] = gates(surrogate, &mut Draws::new(seed + 1));
        learned.row(name, [before, after].map(|count| format!("{count} of 40")));
        results.push([before, after]);
    }
    let after = || results[1..].iter().map(|[_, after]| *after);
    let (least, most) = (after().min().unwrap_or(0), after().max().unwrap_or(0));

    Page {
        idea: [
            "ReLU has no derivative at 0, but any slope between those on both sides will do (a subgradient), and frameworks take 0.",
            "A step has a derivative of 0 wherever it has one, so that nothing before it would ever learn by its gradient.",
            "A straight-through estimator keeps the step forward and hands the gradient back as if the step were the identity; other surrogates take the slope of a function that is like the step but has one.",
        ],
        formulas: vec![
            formula(
                r"y = \operatorname{step}(x), \quad \frac{\partial L}{\partial x} \text{ is taken as } \frac{\partial L}{\partial y} s'(x)",
                "y = step(x),  ∂L/∂x is taken as ∂L/∂y · s′(x)",
            ),
            formula(
                r"s'(x) = 1, \quad 1_{|x| \le 1}, \quad \frac{1}{1 + (\pi x)^2}, \quad \ldots",
                "s′(x) = 1,  or 1 where |x| ≤ 1,  or 1/(1 + (πx)²), …",
            ),
        ],
        figures: vec![Figure {
            name: "surrogates".into(),
            caption:
                "The step forward (solid, blue) and what stands for its derivative backward (dashed, orange)."
                    .into(),
            picture: Picture::Small(SURROGATES.map(small).into()),
        }],
        tables: vec![kinks, table],
        experiment: Experiment {
            question: "Can a unit that says 0 or 1 learn?".into(),
            method: "A perceptron of two inputs and a step learns AND, OR, NAND and NOR by the squared error, from random weights, in 100 steps of rate 0.2. Task, rate and steps were chosen so that the difference is plain; how the surrogates rank depends on them.".into(),
            result: format!(
                "Before training, random weights are right by chance in {} of 40 cases. With the true gradient, which is zero, that stays so ({} of 40); with a surrogate between {least} and {most} of 40 are learned.",
                results[0][0], results[0][1]
            ),
            figures: Vec::new(),
            tables: vec![learned],
        },
        code: vec![
            "crates/nn/src/activation/straight_through.rs: straight_through, surrogate_step, Surrogate",
        ],
        tests: vec![
            "crates/nn/tests/no_gradient.rs: gradients_where_there_are_none",
            "crates/nn/tests/no_gradient.rs: a_step_gets_the_gradient_of_its_surrogate",
            "crates/nn/tests/no_gradient.rs: a_perceptron_with_a_step_learns_only_through_a_surrogate",
        ],
        sources: vec![
            [
                "Bengio et al. 2013, Estimating or propagating gradients through stochastic neurons for conditional computation",
                "https://arxiv.org/abs/1308.3432",
            ],
            ["Courbariaux et al. 2016, Binarized neural networks", "https://arxiv.org/abs/1602.02830"],
            ["Neftci et al. 2019, Surrogate gradient learning in spiking neural networks", "https://arxiv.org/abs/1901.09948"],
        ],
    }
}

/// How many of four gates, from ten starts each, a perceptron knows before and after training.
fn gates(surrogate: Option<Surrogate>, draws: &mut Draws) -> [usize; 2] {
    let device = Device::flex().autodiff();
    let matrix = |rows: Vec<f64>, sides: [usize; 2]| -> Tensor<2> {
        Tensor::from_data(TensorData::new(rows, sides), (&device, DType::F64))
    };
    // The last column is the bias's.
    let inputs = matrix(vec![0., 0., 1., 0., 1., 1., 1., 0., 1., 1., 1., 1.], [4, 3]);
    let says = |weights: Tensor<2>| {
        let sums = inputs.clone().matmul(weights);
        match surrogate {
            Some(surrogate) => surrogate_step(sums, surrogate),
            None => Activation::Step.forward(sums),
        }
    };
    let mut known = [0, 0];
    for gate in [[0., 0., 0., 1.], [0., 1., 1., 1.], [1., 1., 1., 0.], [1., 0., 0., 0.]] {
        let wanted = matrix(gate.to_vec(), [4, 1]);
        let is_known = |weights: Tensor<2>| {
            let wrong = (says(weights) - wanted.clone()).abs().sum();
            usize::from(wrong.into_scalar::<f64>() == 0.0)
        };
        for _ in 0..10 {
            let like = Tensor::<1>::zeros([1], (&device, DType::F64));
            let mut weights: Tensor<2> = draws.normal([3, 1], &like);
            known[0] += is_known(weights.clone());
            for _ in 0..100 {
                let leaf = weights.detach().require_grad();
                let loss = (says(leaf.clone()) - wanted.clone()).square().sum();
                let gradient = leaf.grad(&loss.backward()).expect("weights that play a part");
                weights = (leaf.inner() - gradient * 0.2).autodiff();
            }
            known[1] += is_known(weights);
        }
    }
    known
}
