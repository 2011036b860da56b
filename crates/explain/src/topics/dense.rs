//! Layers that see all that came before: what that saves in weights, and what it costs to keep.

use std::time::Instant;

use burn::prelude::*;
use kiln_core::{Network, learnable_parameters};
use kiln_densenet::{Activations, DenseNetConfig, Kind};
use kiln_nn::Draws;
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};
use kiln_page::text::grouped;

use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "dense",
    title: "Dense connections",
    summary: "Every layer sees all that came before: what reuse saves in weights, and what has to be kept for the way back.",
    explain,
};

/// Channels that a layer adds, and those before the first.
const GROWTH: usize = 12;
const FIRST: usize = 24;
const BATCH: usize = 8;

/// Whose channels each layer of a block gets.
fn connections() -> Drawing {
    const LAYERS: usize = 6;
    let cell = 26.0;
    let mut drawing = Drawing::new("Whose channels each layer gets", [250.0, 214.0]).at_most(400.0);
    drawing.text([2.0, 14.0], Anchor::Start, "tick", "layer ↓");
    for layer in 1..=LAYERS {
        let y = 22.0 + cell * (layer - 1) as f64;
        drawing.text([40.0, y + 17.0], Anchor::Middle, "tick", &layer.to_string());
        for source in 0..layer {
            // The channels before the block take twice the room: they are twice as many.
            let (x, width) =
                if source == 0 { (60.0, 2.0 * cell) } else { (60.0 + cell * (source + 1) as f64, cell) };
            let channels = if source == 0 { FIRST } else { GROWTH };
            drawing.shade([x, y, width, cell], if source == 0 { 2 } else { 1 }, 0.4);
            drawing.frame([x, y, width, cell], "cell");
            drawing.text([x + width / 2.0, y + 17.0], Anchor::Middle, "name", &channels.to_string());
        }
    }
    let floor = 22.0 + cell * LAYERS as f64 + 16.0;
    drawing.text([60.0 + cell, floor], Anchor::Middle, "tick", "before");
    for source in 1..LAYERS {
        drawing.text(
            [60.0 + cell * (source as f64 + 1.5), floor],
            Anchor::Middle,
            "tick",
            &source.to_string(),
        );
    }
    drawing.text([60.0, floor + 16.0], Anchor::Start, "tick", "given by →");
    drawing
}

/// Channels that a block of BC layers keeps for the way back: everything, or what its convolutions gave.
fn kept(layers: usize) -> [usize; 2] {
    let inputs: usize = (0..layers).map(|layer| FIRST + layer * GROWTH).sum();
    // Of each layer its inputs joined and normalized, its bottleneck given and normalized; or its bottleneck and its result.
    [2 * inputs + layers * 2 * 4 * GROWTH, layers * (4 * GROWTH + GROWTH)]
}

/// Seconds of a training step that keeps everything and of one that computes again, and how far their gradients are apart, over the largest: measured.
fn measured() -> ([f64; 2], f64) {
    let device = Device::flex().autodiff();
    let keep = DenseNetConfig::cifar(40, GROWTH, Kind::Bc, 10);
    let again = DenseNetConfig { activations: Activations::Recompute, ..keep.clone() };
    let network = keep.init(&device);
    // The same weights.
    let record = network.clone().into_record();
    let networks = [network, again.init(&device).load_record(record)];
    let like = Tensor::<1>::zeros([1], &device);
    let images: Tensor<4> = Draws::new(0).normal([BATCH, 3, 32, 32], &like);
    let factors: Tensor<2> = Draws::new(1).normal([BATCH, 10], &like);
    let step = |at: usize| {
        let images = images.clone().require_grad();
        let gradients = (networks[at].forward(images.clone()) * factors.clone()).sum().backward();
        images.grad(&gradients).expect("images that are followed")
    };
    let [a, b] = [step(0), step(1)];
    let largest: f32 = a.clone().abs().max().into_scalar();
    let apart: f32 = (a - b).abs().max().into_scalar();
    let mut seconds = [f64::INFINITY; 2];
    // In turn, so that what else the machine does hits both alike.
    for at in [0, 1].repeat(5) {
        let start = Instant::now();
        let gradient = step(at);
        seconds[at] = seconds[at].min(start.elapsed().as_secs_f64());
        drop(gradient);
    }
    (seconds, f64::from(apart / largest))
}

fn explain(_seed: u64) -> Page {
    let mut parameters = Table::new(
        "Parameters of the paper's networks for CIFAR-10 (Table 2): L layers, growth k",
        &["network", "parameters"],
    );
    for (name, depth, growth, kind) in [
        ("L = 40, k = 12", 40, 12, Kind::Plain),
        ("L = 100, k = 12", 100, 12, Kind::Plain),
        ("BC, L = 100, k = 12", 100, 12, Kind::Bc),
        ("BC, L = 250, k = 24", 250, 24, Kind::Bc),
    ] {
        let network = DenseNetConfig::cifar(depth, growth, kind, 10).init(&Device::flex());
        parameters.row(name, [grouped(learnable_parameters(&network) as u64)]);
    }
    let mut reuse = Table::new(
        "Weights of a layer of 3 by 3: a dense one with k = 12 adds 12 channels to those that it gets; a plain one that loses nothing would have to pass all of them on as well",
        &["layer", "channels it gets", "dense", "plain", "ratio"],
    );
    for layer in [1, 2, 4, 8, 12, 16] {
        let channels = FIRST + (layer - 1) * GROWTH;
        let [dense, plain] = [9 * channels * GROWTH, 9 * channels * (channels + GROWTH)];
        let cells = [channels, dense, plain].map(|count| grouped(count as u64));
        reuse
            .row(layer.to_string(), cells.into_iter().chain([format!("{:.0}", plain as f64 / dense as f64)]));
    }
    let mut memory = Table::new(
        "Channels that a training step keeps of a block of BC layers with k = 12 that begins with 24 channels: everything (of each layer its inputs joined, normalized, the bottleneck's result, and that normalized), or what the two convolutions gave",
        &["layers", "everything", "recomputed", "ratio"],
    );
    for layers in [4, 8, 16, 32, 64] {
        let [all, few] = kept(layers);
        let cells = [grouped(all as u64), grouped(few as u64), format!("{:.1}", all as f64 / few as f64)];
        memory.row(layers.to_string(), cells);
    }
    let line =
        |which: usize| (0..=64).map(|layers| [layers as f64, kept(layers)[which] as f64]).collect::<Vec<_>>();
    let lines = [("everything", 2, line(0)), ("recomputed", 1, line(1))];
    let chart = Chart {
        title: "Channels kept by layers".into(),
        x_name: "layers of the block",
        x: Scale::counts(64.0),
        y: Scale {
            low: 0.0,
            high: 60_000.0,
            ticks: (0..=6).map(|at| 10_000.0 * f64::from(at)).collect(),
            log: false,
        },
        spelling: Spelling::Number,
        series: lines
            .into_iter()
            .map(|(name, colour, points)| Series { name: name.into(), colour, look: Look::Line, points })
            .collect(),
        marked: None,
    };
    let ([keep, again], apart) = measured();
    let mut times = Table::new(
        "A training step of DenseNet-BC, L = 40, k = 12, with 8 images of 32 by 32, on this machine",
        &["what is kept", "milliseconds"],
    );
    for (name, seconds) in [("everything", keep), ("what the convolutions gave", again)] {
        times.row(name, [format!("{:.0}", 1000.0 * seconds)]);
    }
    let same = match apart == 0.0 {
        true => "are equal to the last bit".to_string(),
        false => format!("differ by {apart:.0e} of the largest"),
    };
    Page {
        idea: [
            "In a dense block every layer gets what all layers before it gave, side by side, and adds a few channels of its own.",
            "What a layer has found stays there for all later ones, so that none has to pass it on or find it again, and layers can be narrow.",
            "What is joined and normalized anew for every layer grows with the square of the depth; it can be computed again on the way back in place of being kept, which saves memory for more computation.",
        ],
        formulas: vec![
            formula(r"x_l = H_l \left( [x_0, x_1, \dots, x_{l-1}] \right)", "x_l = H_l([x_0, x_1, …, x_(l−1)]),  H: normalization, ReLU, convolution"),
            formula(r"c_l = c_0 + k (l - 1), \quad \sum_{l=1}^{L} c_l = L c_0 + \frac{k L (L - 1)}{2}", "inputs of layer l: c_0 + k (l − 1);  of L layers together: L c_0 + k L (L − 1) / 2"),
        ],
        figures: vec![
            Figure {
                name: "connections".into(),
                caption: "The channels that each layer of a block gets: 24 from before the block, 12 from each layer above.".into(),
                picture: Picture::Drawing(connections()),
            },
            Figure {
                name: "memory".into(),
                caption: "Channels that a training step keeps, by the layers of a block: a parabola, or a straight line.".into(),
                picture: Picture::Chart(Box::new(chart)),
            },
        ],
        tables: vec![parameters, reuse, memory],
        experiment: Experiment {
            question: "What does it cost to compute again?".into(),
            method: "The same network, with the same weights, goes forward and back once keeping everything and once keeping what the convolutions gave; both in turn, and of five times each the shortest counts.".into(),
            result: format!(
                "The step that computes again takes {:.2} times as long as the one that keeps everything. The gradients by the images {same}. (Times are this machine's, of this run.)",
                again / keep
            ),
            figures: Vec::new(),
            tables: vec![times],
        },
        code: vec!["crates/models/densenet/src/lib.rs: DenseNetConfig, Activations", "crates/nn/src/conv/recompute.rs: norm_relu_conv"],
        tests: vec![
            "crates/models/densenet/src/tests.rs: parameters_of_the_cifar_networks_are_those_of_table_2",
            "crates/models/densenet/src/tests.rs: recomputing_changes_no_loss_no_gradient_and_no_running_statistic",
            "crates/models/densenet/tests/memory.rs: recomputing_needs_less_than_a_third_of_the_memory",
        ],
        sources: vec![
            ["Huang et al. 2017, Densely connected convolutional networks", "https://arxiv.org/abs/1608.06993"],
            ["Pleiss et al. 2017, Memory-efficient implementation of DenseNets", "https://arxiv.org/abs/1707.06990"],
        ],
    }
}
