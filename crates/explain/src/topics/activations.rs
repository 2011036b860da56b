//! The 26 activations and their derivatives.

use burn::prelude::*;
use burn::tensor::DType;
use kiln_nn::{Activation, ActivationRange, Draws, Smoothness};
use kiln_page::text::{percent, short};

use super::values::minus;
use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "activations",
    title: "Activations",
    summary: "26 functions with their derivatives, what is true of each, and how they carry a gradient through fifty layers.",
    explain,
};

fn explain(seed: u64) -> Page {
    let small = |activation: Activation| (activation.name().to_string(), curve(activation));
    let mut card = Table::new(
        "What is true of each, read off its formula and its numbers. Smooth: how many derivatives are continuous. Saturates: the derivative decays to \
         zero on a side. Dies: it is zero on an interval. Explodes: it is above 1 somewhere. The last five are not among the 26.",
        &[
            "function",
            "values",
            "derivative",
            "smooth",
            "monotonic",
            "symmetry",
            "saturates",
            "dies",
            "explodes",
        ],
    );
    let yes = |holds: bool| if holds { "yes" } else { "–" }.to_string();
    for activation in Activation::TABLE.into_iter().chain(Activation::OTHERS) {
        let found = activation.properties();
        let smooth = match found.smoothness {
            Smoothness::Jumps => "jumps",
            Smoothness::Continuous => "0",
            Smoothness::Once => "1",
            Smoothness::Smooth => "all",
        };
        let symmetry = match (found.even, found.odd) {
            (true, _) => "even",
            (_, true) => "odd",
            _ => "–",
        };
        card.row(
            activation.name(),
            [
                range(&found.range),
                range(&found.derivative_range),
                smooth.into(),
                yes(found.monotonic),
                symmetry.into(),
                yes(found.saturates),
                yes(found.dies),
                yes(found.explodes),
            ],
        );
    }
    let mut values = Table::new("Values", &["function", "−2", "−1", "−0.5", "0", "0.5", "1", "2"]);
    for activation in Activation::TABLE {
        let points = [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0];
        values.row(activation.name(), points.map(|x| minus(format!("{:.4}", activation.value(x)))));
    }

    let depth = 50;
    let mut carried = Table::new(
        "After 50 layers of 64 units: how large the values are, what is left of a gradient of length 1 at the first layer, and at how many of the last layer's values the slope is below 0.05",
        &["function", "root mean square", "gradient", "slope below 0.05"],
    );
    let tried = [
        Activation::Identity,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Relu,
        Activation::LeakyRelu { slope: 0.1 },
        Activation::Elu { alpha: 1.0 },
        Activation::Selu,
        Activation::Silu,
    ];
    let found: Vec<(Activation, [f64; 3])> = tried
        .into_iter()
        .map(|activation| (activation, through(activation, 1.0, depth, &mut Draws::new(seed))))
        .collect();
    let doubled = through(Activation::Relu, 2.0, depth, &mut Draws::new(seed));
    let rows = found.iter().map(|(activation, found)| (activation.name(), found));
    for (name, [size, gradient, flat]) in rows.chain([("ReLU, weights of variance 2/64", &doubled)]) {
        carried.row(name, [short(*size), short(*gradient), percent(*flat, 1)]);
    }
    let of = |wanted: Activation| {
        found.iter().find(|(one, _)| *one == wanted).map_or([f64::NAN; 3], |(_, found)| *found)
    };
    Page {
        idea: [
            "Without a function between them two linear layers are one, so a network puts a nonlinear one after each.",
            "Its derivative decides how a gradient gets back through it: where that is near zero the gradient vanishes, and where it is above one the gradient may explode.",
            "Each of the 26 is drawn with its derivative, and what the table says of it is read off its formula and its values.",
        ],
        formulas: vec![
            formula(r"a = f(z), \quad \frac{\partial L}{\partial z} = \frac{\partial L}{\partial a} f'(z)", "a = f(z),  ∂L/∂z = ∂L/∂a · f′(z)"),
        ],
        figures: vec![Figure {
            name: "curves".into(),
            caption: "Each function (solid, blue) and its derivative (dashed, orange) from −3 to 3 (Sinc and SoftSign from −6 to 6); a line of the grid is 1.".into(),
            picture: Picture::Small(Activation::TABLE.map(small).into()),
        }],
        tables: vec![card, values],
        experiment: Experiment {
            question: "What is left of a gradient after fifty layers?".into(),
            method: "Normal numbers pass 50 layers of 64 units without biases, whose weights are normal with variance 1/64 (and once 2/64); then a gradient of length 1 and random direction goes back.".into(),
            result: format!(
                "Of the gradient the sigmoid leaves {:.1e}, since its slope is at most ¼; the hyperbolic tangent leaves {:.2}; ReLU {:.1e}, half of its slopes being zero, \
                 but {:.2} with weights of variance 2/64, which make up for that (He et al.). SELU, whose two constants are made so that values keep their size with these weights ({:.2} here), gives it a length of {:.2}.",
                of(Activation::Sigmoid)[1],
                of(Activation::Tanh)[1],
                of(Activation::Relu)[1],
                doubled[1],
                of(Activation::Selu)[0],
                of(Activation::Selu)[1]
            ),
            figures: Vec::new(),
            tables: vec![carried],
        },
        code: vec!["crates/nn/src/activation: Activation"],
        tests: vec![
            "crates/nn/tests/activations.rs: values_and_derivatives_are_the_worked_numbers",
            "crates/nn/tests/activations.rs: values_and_gradients_are_pytorchs_at_kinks_too",
            "crates/nn/tests/activations.rs: the_cards_of_the_page_are_right_where_it_is",
        ],
        sources: vec![
            [
                "D. Sheehan 2017, Visualising activation functions in neural networks",
                "https://dashee87.github.io/deep%20learning/visualising-activation-functions-in-neural-networks/",
            ],
            ["He et al. 2015, Delving deep into rectifiers", "https://arxiv.org/abs/1502.01852"],
            ["Klambauer et al. 2017, Self-normalizing neural networks", "https://arxiv.org/abs/1706.02515"],
        ],
    }
}

/// With weights of variance `gain` over the number of units: the root mean square of the values after so many layers, what is left of a gradient of length 1 at the first, and the share of the last layer's sums
/// where the slope is below 0.05.
fn through(activation: Activation, gain: f64, depth: usize, draws: &mut Draws) -> [f64; 3] {
    const UNITS: usize = 64;
    let device = Device::flex().autodiff();
    let like = Tensor::<1>::zeros([1], (&device, DType::F64));
    let x = draws.normal::<2, 1>([32, UNITS], &like).require_grad();
    let mut y = x.clone();
    let mut sums = y.clone();
    for _ in 0..depth {
        sums = y.matmul(draws.normal::<2, 1>([UNITS, UNITS], &like) * (gain / UNITS as f64).sqrt());
        y = activation.forward(sums.clone());
    }
    let size = y.clone().square().mean().sqrt().into_scalar::<f64>();
    let towards = draws.normal::<2, 1>([32, UNITS], &like);
    let towards = towards.clone() / towards.square().sum().sqrt().reshape([1, 1]);
    let gradient = x.grad(&(y * towards).sum().backward()).expect("an input that is followed");
    let gradient = gradient.square().sum().sqrt().into_scalar::<f64>();
    let sums: Vec<f64> = sums.into_data().iter().collect();
    let flat = sums.iter().filter(|z| activation.derivative(**z).abs() < 0.05).count();
    [size, gradient, flat as f64 / sums.len() as f64]
}

fn range(range: &ActivationRange) -> String {
    let end = |value: f64| match value.is_finite() {
        true => minus(format!("{:.4}", value).trim_end_matches('0').trim_end_matches('.').to_string()),
        false if value < 0.0 => "−∞".into(),
        false => "∞".into(),
    };
    match range {
        ActivationRange::Values(values) => {
            format!("{{{}}}", values.iter().map(|value| end(*value)).collect::<Vec<_>>().join(", "))
        }
        ActivationRange::Between { ends, .. } if ends.iter().all(|end| end.is_infinite()) => "all".into(),
        ActivationRange::Between { ends, closed } => {
            let [open, close] = [if closed[0] { '[' } else { '(' }, if closed[1] { ']' } else { ')' }];
            format!("{open}{}, {}{close}", end(ends[0]), end(ends[1]))
        }
        ActivationRange::And(alone, rest) => format!("{{{}}} and {}", end(*alone), self::range(rest)),
    }
}

/// The function and its derivative, over a grid of ones.
fn curve(activation: Activation) -> Drawing {
    let wide = matches!(activation, Activation::SoftSign | Activation::Sinc);
    let (reach, [width, height]) = (if wide { 6.0 } else { 3.0 }, [180.0, 132.0]);
    let mut drawing =
        Drawing::new(format!("{} and its derivative", activation.name()), [width, height]).at_most(260.0);
    let tall = 2.2;
    let place = |x: f64, y: f64| [width * (0.5 + x / (2.0 * reach)), height * (0.5 - y / (2.0 * tall))];
    for one in -6..=6 {
        let one = f64::from(one);
        if one.abs() < reach {
            let class = if one == 0.0 { "axis" } else { "grid" };
            drawing.line(place(one, -tall), place(one, tall), class);
        }
        if one.abs() < tall {
            let class = if one == 0.0 { "axis" } else { "grid" };
            drawing.line(place(-reach, one), place(reach, one), class);
        }
    }
    let line = |of: &dyn Fn(f64) -> f64| -> Vec<[f64; 2]> {
        let mut points = Vec::new();
        let mut before = f64::NAN;
        for at in 0..=240 {
            let x = reach * (f64::from(at) / 120.0 - 1.0) + 1e-6;
            let y = of(x);
            // A jump is a gap, and so is what leaves the picture.
            let apart = (y - before).abs() > 0.25;
            before = y;
            if apart {
                points.push([f64::NAN; 2]);
            }
            points.push(if y.abs() <= tall { place(x, y) } else { [f64::NAN; 2] });
        }
        points
    };
    drawing.path(&line(&|x| activation.derivative(x)), "line dashed colour-2");
    drawing.path(&line(&|x| activation.value(x)), "line colour-1");
    drawing.text([4.0, 11.0], Anchor::Start, "tick small", if wide { "±6" } else { "±3" });
    drawing
}
