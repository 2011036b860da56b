//! What a shortcut does to a gradient.

use burn::prelude::*;
use burn::tensor::DType;
use kiln_nn::{Draws, relu};
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};
use kiln_page::text::short;

use super::{Topic, formula};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "residual",
    title: "Residual connections",
    summary: "F(x) + x: gradients that reach the first of many layers, and why dropout and batch normalization disagree.",
    explain,
};

const WIDTH: usize = 48;

/// The length of the gradient at the input of every block, from the first, of a loss of length 1 at the end; blocks of two linear layers with a ReLU between.
fn gradients(depth: usize, residual: bool, draws: &mut Draws) -> Vec<f64> {
    let device = Device::flex().autodiff();
    let like = Tensor::<1>::zeros([1], (&device, DType::F64));
    let mut inputs: Vec<Tensor<2>> = Vec::new();
    let mut y = draws.normal::<2, 1>([16, WIDTH], &like);
    for _ in 0..depth {
        // Zeros that are added get the gradient of what they are added to.
        let probe = y.zeros_like().detach().require_grad();
        y = y + probe.clone();
        inputs.push(probe);
        let weight = |draws: &mut Draws| draws.normal::<2, 1>([WIDTH, WIDTH], &like) / (WIDTH as f64).sqrt();
        let (first, second) = (weight(draws), weight(draws));
        let branch = relu(y.clone().matmul(first)).matmul(second);
        // A branch counts less the more there are, as it does where weights are trained.
        y = if residual { y + branch / (depth as f64).sqrt() } else { branch };
    }
    let towards = draws.normal::<2, 1>([16, WIDTH], &like);
    let towards = towards.clone() / towards.square().sum().sqrt().reshape([1, 1]);
    let found = (y * towards).sum().backward();
    let length =
        |x: &Tensor<2>| x.grad(&found).map(|gradient| gradient.square().sum().sqrt().into_scalar::<f64>());
    inputs.iter().filter_map(length).collect()
}

/// By how much dropout changes a variance between training and evaluation: of inputs of mean `c` and variance `v`, that of evaluation over that of training, where
/// values stay with probability `q`. Li et al. 2019, *Understanding the disharmony between dropout and batch normalization by variance shift*.
pub fn variance_shift(c: f64, v: f64, q: f64) -> f64 {
    v / ((c * c + v) / q - c * c)
}

fn explain(seed: u64) -> Page {
    let depths = [5, 10, 20, 40];
    let mut table = Table::new(
        "The length of the gradient at the first block, of a gradient of length 1 behind the last; blocks are two random linear layers with a ReLU between, in n residual blocks divided by √n",
        &["blocks", "plain", "residual"],
    );
    let mut lines = Vec::new();
    let mut last = [0.0, 0.0];
    for depth in depths {
        let found = [false, true].map(|residual| gradients(depth, residual, &mut Draws::new(seed + 1)));
        last = [found[0][0], found[1][0]];
        table.row(depth.to_string(), last.map(short));
        if depth == 40 {
            for (name, colour, list) in [("plain", 2, &found[0]), ("residual", 1, &found[1])] {
                let points =
                    list.iter().enumerate().map(|(at, length)| [at as f64 + 1.0, length.log10()]).collect();
                lines.push(Series { name: name.into(), colour, look: Look::Line, points });
            }
        }
    }
    let values: Vec<f64> = lines.iter().flat_map(|line: &Series| &line.points).map(|[_, y]| *y).collect();
    let chart = Chart {
        title: "Logarithm of the gradient's length by blocks".into(),
        x_name: "block, from the first",
        x: Scale::counts(40.0),
        y: Scale::around(&values),
        spelling: Spelling::Number,
        series: lines,
        marked: None,
    };
    let mut shifts = Table::new(
        "Variance of evaluation over that of training behind a dropout: by the formula, and of 200 000 normal numbers",
        &["mean, variance, staying", "formula", "measured"],
    );
    let mut draws = Draws::new(seed);
    let like = Tensor::<1>::zeros([1], (&Device::flex(), DType::F64));
    let variance = |list: &[f64]| {
        let mean = list.iter().sum::<f64>() / list.len() as f64;
        list.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / list.len() as f64
    };
    for (c, v, q) in [(0.0, 1.0, 0.5), (0.0, 1.0, 0.8), (1.0, 1.0, 0.5), (0.4, 0.34, 0.5)] {
        let x: Vec<f64> =
            (draws.normal::<1, 1>([200_000], &like) * f64::sqrt(v) + c).into_data().iter().collect();
        let mask: Vec<f64> = draws.ones::<1, 1>(q, [200_000], &like).into_data().iter().collect();
        let dropped: Vec<f64> = x.iter().zip(&mask).map(|(x, mask)| x * mask / q).collect();
        let measured = variance(&x) / variance(&dropped);
        shifts.row(
            format!("{c}, {v}, {q}"),
            [format!("{:.4}", variance_shift(c, v, q)), format!("{measured:.4}")],
        );
    }
    Page {
        idea: [
            "A residual block adds what it computes to what it was given, so its derivative is one plus that of its branch.",
            "Along the shortcuts a gradient reaches the first of many blocks as it left the last, where in a plain chain it is a product of all their matrices.",
            "Such networks have batch normalization and no dropout before it: dropout changes the variance between training and evaluation, which normalization does not know of.",
        ],
        formulas: vec![
            formula(r"x_{l+1} = x_l + F(x_l), \quad x_L = x_l + \sum_{i=l}^{L-1} F(x_i)", "x_(l+1) = x_l + F(x_l),  x_L = x_l + Σ F(x_i)"),
            formula(r"\frac{\partial E}{\partial x_l} = \frac{\partial E}{\partial x_L} \left( 1 + \frac{\partial}{\partial x_l} \sum_{i=l}^{L-1} F(x_i) \right)", "∂E/∂x_l = ∂E/∂x_L (1 + ∂/∂x_l Σ F(x_i))"),
            formula(r"\Delta = \frac{v}{(c^2 + v)/q - c^2}", "Δ = v / ((c² + v)/q − c²)"),
        ],
        figures: vec![Figure {
            name: "gradients".into(),
            caption: "The logarithm (base 10) of the gradient's length at the input of each of 40 blocks: it comes from the right.".into(),
            picture: Picture::Chart(Box::new(chart)),
        }],
        tables: vec![table],
        experiment: Experiment {
            question: "Why is there no dropout in a ResNet?".into(),
            method: "Normal numbers of mean c and variance v pass a dropout that keeps with probability q; normalization behind it has learned the variance of training.".into(),
            result: format!(
                "In evaluation the variance is smaller by the factor Δ, which is q where the mean is 0, and every normalization behind it is off by its root. Through 40 plain blocks the gradient \
                 falls to {}, through residual ones it is {:.2}.",
                short(last[0]),
                last[1]
            ),
            figures: Vec::new(),
            tables: vec![shifts],
        },
        code: vec!["crates/explain/src/topics/residual.rs: variance_shift", "crates/models/resnet/src/lib.rs: ResNet"],
        tests: vec!["crates/explain/tests/worked.rs: dropout_shifts_a_variance_by_the_formula"],
        sources: vec![
            ["He et al. 2016, Deep residual learning", "https://arxiv.org/abs/1512.03385"],
            ["He et al. 2016, Identity mappings in deep residual networks", "https://arxiv.org/abs/1603.05027"],
            ["Li et al. 2019, Understanding the disharmony between dropout and batch normalization by variance shift", "https://arxiv.org/abs/1801.05134"],
        ],
    }
}
