//! Over which values mean and variance are taken.

use burn::module::Param;
use burn::optim::GradientsParams;
use burn::prelude::*;
use kiln_nn::*;
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};
use kiln_train::{OptimizerConfig, Rule, Sgd};

use super::values::{flat, minus};
use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "normalization",
    title: "Normalization",
    summary: "Batch, layer, instance, group and switchable normalization: one formula over different sets of values.",
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
        "Two images of two channels, [[1, 2], [3, 4]] and [[5, 6], [7, 8]]: what the first value, 1, is compared with, and what becomes of it. (Groups of one channel are instances here, one group of both a layer)",
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
        ("switchable, a third each", mixed, SwitchNormConfig::new(2).init(&device).forward(worked())),
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

    let [(plain, guess), (normed, _)] = [false, true].map(|normalized| learned(seed, normalized));
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
            "A layer's values are brought to mean 0 and variance 1, so that the next layer sees them on one scale, whatever the layers before it have learned.",
            "The kinds differ in which values share a mean and a variance (a channel of the batch, an image, a channel of an image, a group of channels); those of a batch are averaged over the training, for evaluation.",
            "Behind it each channel has a factor γ and a summand β that are learned: with the deviation and the mean they give back what batch normalization took, so that the layer can still say what it could before.",
        ],
        formulas: vec![
            formula(r"y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta", "y = γ (x − μ) / √(σ² + ε) + β"),
            formula(r"\frac{\partial L}{\partial x} = \frac{\gamma}{m \sqrt{\sigma^2 + \varepsilon}} \left( m\, dy - \sum dy - \hat{x} \sum dy\, \hat{x} \right)", "∂L/∂x = γ / (m √(σ² + ε)) · (m dy − Σ dy − x̂ Σ dy x̂)"),
        ],
        figures: vec![Figure {
            name: "sets".into(),
            caption: "Four samples beside each other, six channels below each other, five places each: the values that share a mean and a variance with the first of all.".into(),
            picture: Picture::Small(SETS.into_iter().map(small).collect()),
        }],
        tables: vec![table],
        experiment: Experiment {
            question: "Does it help a deep network to learn?".into(),
            method: format!("Layers of {WIDTH} sigmoid units, {LAYERS} of them, learn to tell the inside of a circle from the outside by {POINTS} points, with and without batch normalization before each sigmoid: {STEPS} steps of rate {RATE}. Depth, function and rate were chosen so that the difference is plain."),
            result: format!(
                "At the end (mean of the last 50 steps) the loss is {:.3} without it, where guessing by how many points are inside costs {guess:.3}, and {:.3} with it. With γ = √(σ² + ε) and β = μ the values of the table above come back, to within {off:.0e}.",
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
            ["Ioffe and Szegedy 2015, Batch normalization: accelerating deep network training by reducing internal covariate shift", "https://arxiv.org/abs/1502.03167"],
            ["Ba, Kiros, Hinton 2016, Layer normalization", "https://arxiv.org/abs/1607.06450"],
            ["Ulyanov, Vedaldi, Lempitsky 2016, Instance normalization: the missing ingredient for fast stylization", "https://arxiv.org/abs/1607.08022"],
            ["Wu and He 2018, Group normalization", "https://arxiv.org/abs/1803.08494"],
            ["Luo et al. 2019, Differentiable learning-to-normalize via switchable normalization", "https://arxiv.org/abs/1806.10779"],
        ],
    }
}

/// Of the experiment.
const LAYERS: usize = 6;
const WIDTH: usize = 32;
const POINTS: usize = 128;
const STEPS: usize = 800;
const RATE: f64 = 0.5;

/// Layers of sigmoids, with or without a normalization before each, and a linear one behind them.
#[derive(Module, Debug)]
struct Sigmoids {
    linears: Vec<Linear>,
    norms: Vec<BatchNorm>,
}

impl Sigmoids {
    fn new(normalized: bool, draws: &mut Draws, device: &Device) -> Self {
        let like = Tensor::<1>::zeros([1], device);
        let linear = |layer: usize| {
            let sides = [if layer == 0 { 2 } else { WIDTH }, if layer == LAYERS { 1 } else { WIDTH }];
            let weight = draws.normal::<2, 1>(sides, &like) / (sides[0] as f64).sqrt();
            Linear { weight: Param::from_tensor(weight), bias: constant_bias(0.0, sides[1], device) }
        };
        let linears = (0..=LAYERS).map(linear).collect();
        let norms = if normalized { LAYERS } else { 0 };
        Self { linears, norms: (0..norms).map(|_| BatchNormConfig::new(WIDTH).init(device)).collect() }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = self.linears[..LAYERS].iter().enumerate().fold(x, |x, (layer, linear)| {
            let sums = linear.forward(x);
            sigmoid(self.norms.get(layer).map_or(sums.clone(), |norm| norm.forward(sums)))
        });
        self.linears[LAYERS].forward(x)
    }
}

/// Points of a square, and whether they are within a circle of half its area.
fn circle(draws: &mut Draws, device: &Device) -> [Tensor<2>; 2] {
    let x: Tensor<2> = draws.uniform(-1.0..1.0, [POINTS, 2], &Tensor::<1>::zeros([1], device));
    // 4 / 2 = pi r^2.
    let inside = x.clone().square().sum_dim(1).lower_elem(2.0 / std::f64::consts::PI).float();
    [x, inside]
}

/// The loss of the layers, step by step, and what guessing the share of points that are inside costs.
fn learned(seed: u64, normalized: bool) -> (Vec<[f64; 2]>, f64) {
    let (device, mut draws) = (Device::flex().autodiff(), Draws::new(seed + 1));
    let [x, inside] = circle(&mut draws, &device);
    let share = f64::from(inside.clone().mean().into_scalar::<f32>());
    let mut network = Sigmoids::new(normalized, &mut draws, &device);
    let mut optimizer =
        OptimizerConfig::from(Rule::Sgd(Sgd::default())).init().expect("options that make sense");
    let losses = (0..STEPS).map(|step| {
        let logits = network.forward(x.clone());
        // log(1 + exp(z)) - t z
        let loss = (Activation::SoftPlus.forward(logits.clone()) - logits * inside.clone()).mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(RATE, network.clone(), gradients);
        [step as f64, f64::from(loss.into_scalar::<f32>())]
    });
    (losses.collect(), -share * share.ln() - (1.0 - share) * (1.0 - share).ln())
}
