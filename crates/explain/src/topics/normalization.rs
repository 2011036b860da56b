//! Over which values mean and variance are taken.

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::DType;
use kiln_nn::*;
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};

use super::values::{flat, minus};
use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "normalization",
    title: "Normalization",
    summary: "Batch, layer, instance, group and switchable normalization: the same formula over other sets of values.",
    explain,
};

/// Two images of two channels of one row.
fn worked() -> Tensor<4> {
    Tensor::from_data(
        [[[[1.0, 2.0]], [[3.0, 4.0]]], [[[5.0, 6.0]], [[7.0, 8.0]]]],
        &Device::flex().autodiff(),
    )
}

/// Which of 4 samples, 6 channels and 5 places share their statistics with the first of all.
type Shares = fn(usize, usize, usize) -> bool;

const SETS: [(&str, Shares); 4] = [
    ("batch", |_, channel, _| channel == 0),
    ("layer", |sample, _, _| sample == 0),
    ("instance", |sample, channel, _| sample == 0 && channel == 0),
    ("group (2)", |sample, channel, _| sample == 0 && channel < 3),
];

fn explain(seed: u64) -> Page {
    let device = Device::flex().autodiff();
    let mut table = Table::new(
        "Two images of two channels, [[1, 2], [3, 4]] and [[5, 6], [7, 8]]: what the first value, 1, is compared with, and what becomes of it",
        &["normalization", "mean", "variance", "the value 1 becomes"],
    );
    // Of the values that share statistics with the first: the mean and the variance, divided by n.
    let of = |shares: &dyn Fn(usize, usize) -> bool| -> [f64; 2] {
        let all = flat(worked());
        let set: Vec<f64> = (0..8).filter(|at| shares(at / 4, at / 2 % 2)).map(|at| all[at]).collect();
        let mean = set.iter().sum::<f64>() / set.len() as f64;
        [mean, set.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / set.len() as f64]
    };
    let sets = [
        of(&|_, channel| channel == 0),
        of(&|sample, _| sample == 0),
        of(&|sample, channel| sample + channel == 0),
    ];
    let mixed = [0, 1].map(|which| sets.iter().map(|set| set[which]).sum::<f64>() / 3.0);
    let rows: [(&str, [f64; 2], Tensor<4>); 4] = [
        ("batch", sets[0], BatchNormConfig::new(2).init(&device).forward(worked())),
        ("layer", sets[1], LayerNormConfig::new([2, 1, 2]).init(&device).forward(worked())),
        ("instance", sets[2], InstanceNormConfig::new(2).init(&device).forward(worked())),
        ("switchable, all alike", mixed, SwitchNormConfig::new(2).init(&device).forward(worked())),
    ];
    for (name, [mean, variance], y) in rows {
        table
            .row(name, [format!("{mean:.4}"), format!("{variance:.4}"), minus(format!("{:.6}", flat(y)[0]))]);
    }
    // gamma the deviation and beta the mean.
    let mut norm = BatchNormConfig::new(2).init(&device);
    let [of_first, of_second] = [sets[0], of(&|_, channel| channel == 1)];
    norm.gamma = Param::from_tensor(Tensor::full([2], (of_first[1] + 1e-5).sqrt(), &device));
    norm.beta = Param::from_tensor(Tensor::from_data([of_first[0], of_second[0]], &device));
    let back = flat(norm.forward(worked()));
    let off = back.iter().zip(1..).map(|(one, wanted)| (one - f64::from(wanted)).abs()).fold(0.0, f64::max);

    let small = |(name, shares): (&str, Shares)| {
        let mut drawing =
            Drawing::new(format!("What {name} normalization takes together"), [168.0, 118.0]).at_most(230.0);
        let cell = 6.0;
        for sample in 0..4 {
            for channel in 0..6 {
                for place in 0..5 {
                    let corner = [
                        14.0 + sample as f64 * 38.0 + place as f64 * cell,
                        16.0 + channel as f64 * (cell + 9.0),
                        cell,
                        cell + 4.0,
                    ];
                    if shares(sample, channel, place) {
                        drawing.shade(corner, 1, 0.85);
                    }
                    drawing.frame(corner, "cell");
                }
            }
        }
        drawing.text([14.0, 9.0], Anchor::Start, "tick small", "samples →");
        drawing.text([6.0, 112.0], Anchor::Start, "tick small", "channels ↓");
        (name.to_string(), drawing)
    };

    let (plain, normed) = (learned(seed, false), learned(seed, true));
    // The curve is jagged: the mean of the last fifty steps.
    let last =
        [&plain, &normed].map(|run| run[run.len() - 50..].iter().map(|[_, loss]| loss / 50.0).sum::<f64>());
    let series = |name: &str, colour, points| Series { name: name.into(), colour, look: Look::Line, points };
    let losses: Vec<f64> = plain.iter().chain(&normed).map(|[_, loss]| *loss).collect();
    let chart = Chart {
        title: "Loss by steps, with and without normalization".into(),
        x_name: "steps",
        x: Scale::counts(plain.len() as f64),
        y: Scale::around(&losses),
        spelling: Spelling::Number,
        series: vec![series("without", 2, plain), series("with batch normalization", 1, normed)],
        marked: None,
    };
    Page {
        idea: [
            "A layer's values are moved to mean 0 and variance 1, so that the next layer sees them on one scale, whatever the layers before it have learned.",
            "The kinds differ only in which values share a mean and a variance: a channel of the batch, an image, a channel of an image, a group of channels.",
            "A factor and a summand that are learned can undo it, so nothing that the network could say is lost.",
        ],
        formulas: vec![
            formula(r"y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta", "y = γ (x − μ) / √(σ² + ε) + β"),
            formula(r"\frac{\partial L}{\partial x} = \frac{\gamma}{m \sqrt{\sigma^2 + \varepsilon}} \left( m\, dy - \sum dy - \hat{x} \sum dy\, \hat{x} \right)", "∂L/∂x = γ / (m √(σ² + ε)) · (m dy − Σ dy − x̂ Σ dy x̂)"),
        ],
        figures: vec![Figure {
            name: "sets".into(),
            caption: "Four samples beside each other, six channels below each other, five places each: what shares a mean and a variance with the first value of all.".into(),
            picture: Picture::Small(SETS.into_iter().map(small).collect()),
        }],
        tables: vec![table],
        experiment: Experiment {
            question: "Does it help a deep network to learn?".into(),
            method: "Six layers of 32 sigmoid units learn to tell the inside of a circle from the outside, with and without batch normalization before each sigmoid: 800 steps of rate 0.5.".into(),
            result: format!(
                "Without it the loss stays at {:.3} (guessing costs log 2 = 0.693 where both are as many), with it the loss falls to {:.3} (means of the last 50 steps). Depth and rate were chosen so that the difference is plain. A factor of √(σ² + ε) and a summand of μ give back \
                 the values that came in, to {off:.0e}.",
                last[0], last[1]
            ),
            figures: vec![Figure {
                name: "losses".into(),
                caption: "Loss, step by step.".into(),
                picture: Picture::Chart(Box::new(chart)),
            }],
            tables: Vec::new(),
        },
        code: vec!["crates/nn/src/norm: BatchNorm, LayerNorm, InstanceNorm, GroupNorm, SwitchNorm, folded"],
        tests: vec![
            "crates/nn/tests/normalizations.rs: the_worked_first_value_differs_by_what_it_is_normalized_over",
            "crates/nn/tests/normalizations.rs: batch_normalization_has_the_worked_gradients",
            "crates/nn/tests/normalizations.rs: gamma_and_beta_can_undo_it",
        ],
        sources: vec![
            ["Ioffe and Szegedy 2015, Batch normalization", "https://arxiv.org/abs/1502.03167"],
            ["Wu and He 2018, Group normalization", "https://arxiv.org/abs/1803.08494"],
            ["Luo et al. 2019, Differentiable learning-to-normalize via switchable normalization", "https://arxiv.org/abs/1806.10779"],
        ],
    }
}

/// The loss of six sigmoid layers, step by step.
fn learned(seed: u64, normalized: bool) -> Vec<[f64; 2]> {
    const WIDTH: usize = 32;
    let (device, mut draws) = (Device::flex().autodiff(), Draws::new(seed + 1));
    let like = Tensor::<1>::zeros([1], (&device, DType::F64));
    let x: Tensor<2> = draws.uniform(-1.0..1.0, [128, 2], &like);
    // A circle of half the square's area: 4 / 2 = pi r^2.
    let inside =
        x.clone().square().sum_dim(1).lower_elem(2.0 / std::f64::consts::PI).float().cast(DType::F64);
    let mut weights: Vec<Tensor<2>> = (0..7)
        .map(|layer| {
            let sides = [if layer == 0 { 2 } else { WIDTH }, if layer == 6 { 1 } else { WIDTH }];
            draws.normal::<2, 1>(sides, &like) / (sides[0] as f64).sqrt()
        })
        .collect();
    let mut losses = Vec::new();
    for step in 0..800 {
        let leaves: Vec<Tensor<2>> = weights.into_iter().map(|one| one.detach().require_grad()).collect();
        let y = leaves[..6].iter().fold(x.clone(), |y, weight| {
            let sums = y.matmul(weight.clone());
            let sums = match normalized {
                true => {
                    let centred = sums.clone() - sums.mean_dim(0);
                    centred.clone() / (centred.square().mean_dim(0) + 1e-5).sqrt()
                }
                false => sums,
            };
            sigmoid(sums)
        });
        let logits = (y - 0.5).matmul(leaves[6].clone());
        // log(1 + exp(z)) - t z
        let loss = (Activation::SoftPlus.forward(logits.clone()) - logits * inside.clone()).mean();
        losses.push([f64::from(step), loss.clone().into_scalar()]);
        let gradients = loss.backward();
        let stepped = |leaf: Tensor<2>| {
            let gradient = leaf.grad(&gradients).expect("weights that learn");
            (leaf.inner() - gradient * 0.5).autodiff()
        };
        weights = leaves.into_iter().map(stepped).collect();
    }
    losses
}
