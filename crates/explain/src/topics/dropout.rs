//! What is dropped, and what that does.

use burn::prelude::*;
use burn::tensor::DType;
use kiln_nn::*;
use kiln_page::text::percent;

use super::values::{flat, minus};
use super::{Topic, formula};
use crate::draw::Drawing;
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "dropout",
    title: "Dropout",
    summary: "What each kind drops, what it does to mean and variance, and what many passes say of how sure a network is.",
    explain,
};

const SIDE: usize = 8;

type Kind = (&'static str, fn(Tensor<4>, &mut Draws) -> Tensor<4>);

/// Those whose masks can be seen, at a probability of 0.3.
const KINDS: [Kind; 7] = [
    ("standard", |x, draws| PartDropoutConfig::new(0.3).init().dropped(x, draws)),
    ("Gaussian", |x, draws| GaussianDropoutConfig::new(0.3).init().dropped(x, draws)),
    ("spatial", |x, draws| PartDropoutConfig::new(0.3).with_part(Part::Channel).init().dropped(x, draws)),
    ("DropPath", |x, draws| PartDropoutConfig::new(0.3).with_part(Part::Sample).init().dropped(x, draws)),
    ("DropBlock", |x, draws| DropBlock2dConfig::new(0.3).with_block(3).init().dropped(x, draws)),
    ("cutout", |x, draws| cutout(x, 4, draws)),
    ("max-drop", |x, draws| max_drop(x, 0.9, Among::Channel, draws)),
];

fn ones(sides: [usize; 4]) -> Tensor<4> {
    Tensor::ones(sides, (&Device::flex(), DType::F64))
}

fn explain(seed: u64) -> Page {
    let small = |(name, kind): Kind| {
        // Four samples of four channels, drawn until something is seen.
        let drawn = (1..).map(|more| flat(kind(ones([4, 4, SIDE, SIDE]), &mut Draws::new(seed + more))));
        let seen = |y: &Vec<f64>| y.iter().any(|one| *one != y[0]);
        let y = drawn.take(20).find(seen).expect("a probability of 0.3 in 20 draws");
        let largest = y.iter().fold(1e-12, |most: f64, one| most.max(one.abs()));
        let mut drawing =
            Drawing::new(format!("The factors of {name} dropout"), [160.0, 160.0]).at_most(220.0);
        for (map, values) in y.chunks(SIDE * SIDE).enumerate() {
            let corner = [2.0 + 40.0 * (map % 4) as f64, 2.0 + 40.0 * (map / 4) as f64];
            let rows: Vec<Vec<f64>> = values.chunks(SIDE).map(<[f64]>::to_vec).collect();
            drawing.grid_of(corner, 4.5, &rows, None, largest);
        }
        (name.to_string(), drawing)
    };
    let mut table = Table::new(
        "The factors that 200,000 values (500 samples of 4 channels of 10 by 10) are multiplied by, at a probability of 0.3: their mean, variance, and how many are zero. DropPath draws one factor a sample and spatial dropout one a channel, so that theirs scatter more; blocks of DropBlock that overlap leave fewer zeros than 30 %",
        &["kind", "mean", "variance", "zeros"],
    );
    for (name, kind) in KINDS.into_iter().take(5) {
        // Many samples for those that drop whole samples and channels.
        let factors = flat(kind(ones([500, 4, 10, 10]), &mut Draws::new(seed + 2)));
        let count = factors.len() as f64;
        let mean = factors.iter().sum::<f64>() / count;
        let variance = factors.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / count;
        let zeros = factors.iter().filter(|one| **one == 0.0).count() as f64 / count;
        table.row(name, [format!("{mean:.4}"), format!("{variance:.4}"), percent(zeros, 1)]);
    }
    let mut chances = Table::new(
        "Max-pooling dropout of the window {1, 2, 5, 6} at a probability of 0.5: how probable each result is in training. In evaluation it gives their mean",
        &["result", "probability"],
    );
    let pool = MaxPoolDropout2dConfig::new(0.5, [2, 2]).init();
    chances.row("0 (all are dropped)", [format!("{:.4}", 0.5f64.powi(4))]);
    for (value, chance) in [1, 2, 5, 6].into_iter().zip(pool.chances()) {
        chances.row(value.to_string(), [format!("{chance:.4}")]);
    }
    let window = Tensor::<4>::from_data([[[[1.0, 2.0], [5.0, 6.0]]]], (&Device::flex(), DType::F64));
    let pooled = flat(pool.forward(window, &mut Draws::new(seed)))[0];
    chances.row("mean", [format!("{pooled:.4}")]);

    let (inside, outside) = doubt_of(seed);
    let mut doubts = Table::new(
        "How far the passes of a network spread (their standard deviation), where it has seen data and where it has not",
        &["place", "mean of 200 passes", "spread"],
    );
    for (place, [mean, spread]) in [("x = 0, among the data", inside), ("x = 6, far from the data", outside)]
    {
        doubts.row(place, [minus(format!("{mean:.3}")), format!("{spread:.3}")]);
    }
    Page {
        idea: [
            "In training, dropout multiplies values by random factors of mean one, most simply by zero or by one over the probability of staying.",
            "No unit can then rely on another to be there, and it is as if many thinned networks that share their weights learned at once; in evaluation nothing is dropped.",
            "What is dropped together differs: single values, channels, blocks, whole branches, weights, or what a pool would pick.",
        ],
        formulas: vec![
            formula(r"y = \frac{m}{1 - p} x, \quad m \sim \text{Bernoulli}(1 - p)", "y = m x / (1 − p),  m = 1 with probability 1 − p, else 0"),
            formula(r"\text{E}[y] = x, \quad \text{Var}[y] = \frac{p}{1 - p} x^2", "E[y] = x,  Var[y] = x² p / (1 − p)"),
        ],
        figures: vec![Figure {
            name: "masks".into(),
            caption: "The factors of four samples (a row each) of four channels (a column each) at a probability of 0.3 (max-drop: 0.9), drawn again if all of them are alike; the fuller the larger; zero is left blank. Max-drop \
                      drops the largest value of a channel, here the first of equal ones."
                .into(),
            picture: Picture::Small(KINDS.into_iter().map(small).collect()),
        }],
        tables: vec![table, chances],
        experiment: Experiment {
            question: "Does a network that drops know what it does not know?".into(),
            method: "A network of one hidden layer of 64 units with dropout of 0.1 learns a sine from 40 points between −3 and 3; then 200 passes are made, all of them with dropout \
                     (Monte-Carlo dropout). Width, probability and the two places were chosen so that the difference is plain."
                .into(),
            result: format!(
                "Far from the data the passes spread {:.1} times as much as among them. The spread is a sign of doubt, but no sure measure of it.",
                outside[1] / inside[1]
            ),
            figures: Vec::new(),
            tables: vec![doubts],
        },
        code: vec!["crates/nn/src/dropout: PartDropout, GaussianDropout, DropBlock2d, MaxPoolDropout2d, DropConnect, Standout, VariationalLinear, ConcreteDropout, monte_carlo, zoneout"],
        tests: vec![
            "crates/nn/tests/dropouts.rs: standard_and_gaussian_dropout_keep_the_mean_and_have_the_same_variance",
            "crates/nn/tests/dropouts.rs: max_pooling_dropout_gives_each_rank_its_chance",
            "crates/nn/tests/dropouts.rs: drop_block_has_the_papers_rate_and_drops_blocks",
        ],
        sources: vec![
            ["Srivastava et al. 2014, Dropout: a simple way to prevent neural networks from overfitting", "https://jmlr.org/papers/v15/srivastava14a.html"],
            ["Wu and Gu 2015, Towards dropout training for convolutional neural networks", "https://arxiv.org/abs/1512.00242"],
            ["Ghiasi et al. 2018, DropBlock: a regularization method for convolutional networks", "https://arxiv.org/abs/1810.12890"],
            ["Gal and Ghahramani 2016, Dropout as a Bayesian approximation: representing model uncertainty in deep learning", "https://arxiv.org/abs/1506.02142"],
        ],
    }
}

/// Mean and spread of many passes of a network that has learned a sine, where it has seen it and where not.
fn doubt_of(seed: u64) -> ([f64; 2], [f64; 2]) {
    let (device, mut draws) = (Device::flex().autodiff(), Draws::new(seed + 3));
    let like = Tensor::<1>::zeros([1], (&device, DType::F64));
    let points: Vec<f64> = (0..40).map(|at| -3.0 + 6.0 * f64::from(at) / 39.0).collect();
    let x = Tensor::<2>::from_data(TensorData::new(points, [40, 1]), (&device, DType::F64));
    let target = x.clone().sin();
    let drop = PartDropoutConfig::new(0.1).init();
    let mut weights: [Tensor<2>; 4] = [
        draws.normal([1, 64], &like),
        draws.normal([1, 64], &like),
        draws.normal::<2, 1>([64, 1], &like) * 0.1,
        Tensor::zeros([1, 1], (&device, DType::F64)),
    ];
    let says = |weights: &[Tensor<2>; 4], x: Tensor<2>, draws: &mut Draws| {
        let hidden = (x.matmul(weights[0].clone()) + weights[1].clone()).tanh();
        drop.dropped(hidden, draws).matmul(weights[2].clone()) + weights[3].clone()
    };
    // Plain gradient descent with momentum.
    let mut speeds: Vec<Tensor<2>> = weights.iter().map(|one| one.clone().inner().zeros_like()).collect();
    for _ in 0..1500 {
        let leaves = weights.map(|one| one.detach().require_grad());
        let loss = (says(&leaves, x.clone(), &mut draws) - target.clone()).square().mean();
        let gradients = loss.backward();
        for (speed, leaf) in speeds.iter_mut().zip(&leaves) {
            *speed = speed.clone() * 0.9 + leaf.grad(&gradients).expect("weights that learn");
        }
        let mut steps = speeds.iter();
        weights = leaves.map(|leaf| {
            let step = steps.next().expect("a speed a weight").clone() * 0.01;
            (leaf.inner() - step).autodiff()
        });
    }
    let mut at = |place: f64| {
        let x = Tensor::<2>::from_data(TensorData::new(vec![place], [1, 1]), (&device, DType::F64));
        let spread = monte_carlo(200, &mut draws, |draws| says(&weights, x.clone(), draws).inner());
        [flat(spread.mean)[0], flat(spread.variance)[0].sqrt()]
    };
    (at(0.0), at(6.0))
}
