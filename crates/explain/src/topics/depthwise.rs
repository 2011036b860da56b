//! A convolution of each channel for itself, and one across them.

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::DType;
use kiln_nn::*;
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};
use kiln_page::text::grouped;

use super::cost::Cost;
use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "depthwise",
    title: "Depthwise separable convolution",
    summary: "Each channel for itself and then across them: about a ninth of the cost, and what is given up for it.",
    explain,
};

const INPUT: usize = 8;
const OUTPUT: usize = 24;
const AREA: usize = 9;

/// A convolution's kernels, all of one input channel after the other: `[INPUT][OUTPUT][AREA]`.
type Kernels = Vec<Vec<[f64; AREA]>>;

/// Weights without order, and the edges of all directions (derivatives of a Gaussian), each with an input channel's own strength.
fn kernels(random: bool, draws: &mut Draws) -> Kernels {
    let like = Tensor::<1>::zeros([1], (&Device::flex(), DType::F64));
    let mut numbers = || -> Vec<f64> { draws.normal::<1, 1>([AREA], &like).into_data().iter().collect() };
    let mut one = |output: usize| -> [f64; AREA] {
        let numbers = numbers();
        if random {
            return std::array::from_fn(|at| numbers[at]);
        }
        let angle = std::f64::consts::TAU * output as f64 / OUTPUT as f64;
        std::array::from_fn(|at| {
            let (x, y) = ((at % 3) as f64 - 1.0, (at / 3) as f64 - 1.0);
            numbers[0] * (x * angle.cos() + y * angle.sin()) * (-(x * x + y * y) / 2.0).exp()
        })
    };
    (0..INPUT).map(|_| (0..OUTPUT).map(&mut one).collect()).collect()
}

/// The best kernels of which all outputs are mixed, the most telling first, by power iteration on the 9 by 9 matrix of products: Eckart and Young 1936.
fn principal(of_channel: &[[f64; AREA]]) -> Vec<[f64; AREA]> {
    let mut products = [[0.0; AREA]; AREA];
    for kernel in of_channel {
        for (i, row) in products.iter_mut().enumerate() {
            row.iter_mut().zip(kernel).for_each(|(sum, other)| *sum += kernel[i] * other);
        }
    }
    let mut found: Vec<[f64; AREA]> = Vec::new();
    for start in 0..AREA {
        let mut v: [f64; AREA] = std::array::from_fn(|at| if at == start { 1.0 } else { 0.1 });
        for _ in 0..500 {
            let mut next: [f64; AREA] = std::array::from_fn(|i| {
                products[i].iter().zip(&v).map(|(a, b)| a * b).sum::<f64>() + 1e-12 * v[i]
            });
            for other in &found {
                let along: f64 = next.iter().zip(other).map(|(a, b)| a * b).sum();
                next.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
            }
            let length = next.iter().map(|value| value * value).sum::<f64>().sqrt();
            v = next.map(|value| value / length.max(f64::MIN_POSITIVE));
        }
        found.push(v);
    }
    found
}

/// How far the best separable layer with so many maps a channel is from the convolution, on noise: the root mean square of the difference over that of the result.
pub fn distance(random: bool, multiplier: usize, seed: u64) -> f64 {
    let device = Device::flex();
    let mut draws = Draws::new(seed);
    let kernels = kernels(random, &mut draws);
    let (mut depthwise, mut pointwise) = (Vec::new(), vec![0.0; OUTPUT * INPUT * multiplier]);
    for (channel, of_channel) in kernels.iter().enumerate() {
        for (map, kernel) in principal(of_channel).iter().take(multiplier).enumerate() {
            depthwise.extend(kernel);
            for (output, wanted) in of_channel.iter().enumerate() {
                let share: f64 = wanted.iter().zip(kernel).map(|(a, b)| a * b).sum();
                pointwise[output * INPUT * multiplier + channel * multiplier + map] = share;
            }
        }
    }
    let exact = |values: Vec<f64>, sides: [usize; 4]| {
        Tensor::<4>::from_data(TensorData::new(values, sides), (&device, DType::F64))
    };
    let mut separable = SeparableConv2dConfig::new([INPUT, OUTPUT], [3, 3])
        .with_multiplier(multiplier)
        .with_bias(false)
        .init(&device);
    separable.depthwise.weight = Param::from_tensor(exact(depthwise, [INPUT * multiplier, 1, 3, 3]));
    separable.pointwise.weight = Param::from_tensor(exact(pointwise, [OUTPUT, INPUT * multiplier, 1, 1]));
    let mut dense = Conv2dConfig::new([INPUT, OUTPUT], [3, 3]).with_bias(false).init(&device);
    let by_output: Vec<f64> =
        (0..OUTPUT).flat_map(|output| kernels.iter().flat_map(move |of| of[output])).collect();
    dense.weight = Param::from_tensor(exact(by_output, [OUTPUT, INPUT, 3, 3]));
    let like = Tensor::<1>::zeros([1], (&device, DType::F64));
    let x: Tensor<4> = draws.normal([2, INPUT, 20, 20], &like);
    let wanted = dense.forward(x.clone());
    let apart = (separable.forward(x) - wanted.clone()).square().mean();
    (apart / wanted.square().mean()).sqrt().into_scalar()
}

/// A kind of convolution: what share of nine weights joins an output and an input.
type Looked = (&'static str, fn(usize, usize) -> f64);

/// Which inputs each output looks at, and with how many of nine weights.
fn connections() -> Drawing {
    let mut drawing =
        Drawing::new("Which channels look at which, with how many weights", [400.0, 162.0]).at_most(600.0);
    let kinds: [Looked; 3] = [
        ("convolution", |_, _| 1.0),
        ("depthwise", |output, input| f64::from(u8::from(output == input))),
        ("pointwise", |_, _| 0.25),
    ];
    let cell = 17.0;
    for (at, (name, share)) in kinds.into_iter().enumerate() {
        let corner = [20.0 + 130.0 * at as f64, 30.0];
        drawing.text([corner[0], 20.0], Anchor::Start, "name", name);
        for output in 0..6 {
            for input in 0..6 {
                let place = [corner[0] + cell * input as f64, corner[1] + cell * output as f64, cell, cell];
                drawing.shade(place, 1, share(output, input));
                drawing.frame(place, "cell");
            }
        }
        drawing.text(
            [corner[0], corner[1] + 6.0 * cell + 16.0],
            Anchor::Start,
            "tick",
            "inputs →, outputs ↓",
        );
    }
    drawing
}

/// A convolution's, and the separable one's, on a map of 14 by 14.
pub fn costs(channels: [usize; 2], kernel: usize) -> [Cost; 2] {
    let same = padded(kernel / 2);
    let dense = Conv2dConfig::new(channels, [kernel; 2]).with_padding(same.clone()).with_bias(false);
    let separable = SeparableConv2dConfig::new(channels, [kernel; 2]).with_padding(same).with_bias(false);
    let map = [channels[0], 14, 14];
    [
        Cost::of(|device| dense.init(device), map, Conv2d::forward),
        Cost::of(|device| separable.init(device), map, SeparableConv2d::forward),
    ]
}

fn explain(seed: u64) -> Page {
    let mut table = Table::new(
        "Weights and multiply-adds on a map of 14 by 14, counted from the recorded graph, and their ratio beside 1 / C_out + 1 / k²",
        &["layer", "weights", "separable", "multiply-adds", "separable", "ratio", "formula"],
    );
    for (channels, kernel) in
        [([32, 64], 3), ([128, 128], 3), ([256, 256], 3), ([256, 256], 5), ([512, 1024], 3)]
    {
        let [dense, separable] = costs(channels, kernel);
        let formula = 1.0 / channels[1] as f64 + 1.0 / (kernel * kernel) as f64;
        let counts = [dense.parameters, separable.parameters, dense.macs, separable.macs].map(grouped);
        let ratios = [separable.macs as f64 / dense.macs as f64, formula].map(|ratio| format!("{ratio:.4}"));
        table.row(
            format!("{kernel}×{kernel}, {} → {}", channels[0], channels[1]),
            counts.into_iter().chain(ratios),
        );
    }
    let ratio_of = |kernel: usize| {
        (1..=40)
            .map(move |at| [f64::from(8 * at), 1.0 / f64::from(8 * at) + 1.0 / (kernel * kernel) as f64])
            .collect::<Vec<_>>()
    };
    let lines = [3, 5, 7].map(ratio_of);
    let line = |name: String, colour, look, points| Series { name, colour, look, points };
    let chart = Chart {
        title: "Cost of a separable convolution by output channels".into(),
        x_name: "output channels",
        x: Scale::counts(320.0),
        y: Scale::shares(&[0.0, 0.25]),
        spelling: Spelling::Percent,
        series: lines
            .into_iter()
            .zip([(3, 1), (5, 2), (7, 4)])
            .map(|(points, (kernel, colour))| line(format!("{kernel}×{kernel}"), colour, Look::Line, points))
            .collect(),
        marked: None,
    };

    let kinds = [("random", true), ("edges of all directions", false)];
    let found = kinds.map(|(_, random)| {
        (1..=9).map(|multiplier| [multiplier as f64, distance(random, multiplier, seed)]).collect::<Vec<_>>()
    });
    let mut distances = Table::new(
        "How far the best separable layer is from the convolution (root mean square of the difference over that of the result)",
        &["maps a channel", "random kernels", "edges", "weights"],
    );
    for multiplier in 1..=9 {
        let weights = INPUT * multiplier * (AREA + OUTPUT);
        let cells = [0, 1].map(|kind: usize| format!("{:.4}", found[kind][multiplier - 1][1]));
        distances.row(multiplier.to_string(), cells.into_iter().chain([grouped(weights as u64)]));
    }
    let distance_chart = Chart {
        title: "What a separable layer misses".into(),
        x_name: "maps a channel",
        x: Scale { low: 1.0, high: 9.0, ticks: (1..=9).map(f64::from).collect(), log: false },
        y: Scale::shares(&[0.0, 1.0]),
        spelling: Spelling::Percent,
        series: kinds
            .iter()
            .zip(&found)
            .zip([2, 1])
            .map(|(((name, _), points), colour)| line((*name).into(), colour, Look::Dots, points.clone()))
            .collect(),
        marked: None,
    };
    Page {
        idea: [
            "A convolution does two things at once: it looks around in space, and it mixes channels.",
            "A depthwise separable one does them one after the other: a kernel for each channel (a grouped convolution of as many groups as channels), then a convolution of 1 by 1 across all.",
            "That costs 1 / C_out + 1 / k² of the convolution, little more than a ninth for kernels of 3 by 3, and can say less: all outputs share one kernel of each input channel.",
        ],
        formulas: vec![
            formula(r"y_o = \sum_i P_{o,i} \left( D_i * x_i \right)", "y_o = Σ_i P_oi (D_i * x_i)"),
            formula(r"\frac{k^2 C_{\text{in}} + C_{\text{in}} C_{\text{out}}}{k^2 C_{\text{in}} C_{\text{out}}} = \frac{1}{C_{\text{out}}} + \frac{1}{k^2}", "(k² C_in + C_in C_out) / (k² C_in C_out) = 1 / C_out + 1 / k²"),
        ],
        figures: vec![
            Figure {
                name: "connections".into(),
                caption: "Six channels to six: a row an output, a column an input, full where there are nine weights, pale where there is one.".into(),
                picture: Picture::Drawing(connections()),
            },
            Figure {
                name: "costs".into(),
                caption: "The cost of a separable convolution in percent of a convolution's, by output channels and kernel.".into(),
                picture: Picture::Chart(Box::new(chart)),
            },
        ],
        tables: vec![table],
        experiment: Experiment {
            question: "What is given up?".into(),
            method: format!("A convolution of {INPUT} to {OUTPUT} channels ({} weights) is replaced by the separable one that is nearest to it, found from its weights (the best approximation of a lower rank, channel by channel), with one to nine maps a channel. Both are run on noise. Its kernels are of two extreme kinds: random ones, and edges of all directions, each of a strength of its own.", grouped((INPUT * OUTPUT * AREA) as u64)),
            result: format!(
                "Random kernels have nothing in common: with one map a channel the result is off by {:.0} %, and only nine maps give all of it, at more weights than the convolution has. Edges of all directions are mixtures of two: two maps a channel \
                 give them all (off by {:.0e}), at {} weights. So a separable layer is as good as the kernels of a channel are alike.",
                100.0 * found[0][0][1],
                found[1][1][1],
                2 * INPUT * (AREA + OUTPUT)
            ),
            figures: vec![Figure {
                name: "distances".into(),
                caption: "What the best separable layer misses, by its maps a channel.".into(),
                picture: Picture::Chart(Box::new(distance_chart)),
            }],
            tables: vec![distances],
        },
        code: vec!["crates/nn/src/conv/separable.rs: SeparableConv2d", "crates/kernels/src/conv/depthwise.rs: forward"],
        tests: vec![
            "crates/nn/tests/convolutions.rs: depthwise_and_pointwise_cost_one_part_in_channels_and_one_in_the_kernel",
            "crates/explain/tests/fields.rs: a_separable_layer_of_full_rank_is_the_convolution",
        ],
        sources: vec![
            ["Chollet 2017, Xception: deep learning with depthwise separable convolutions", "https://arxiv.org/abs/1610.02357"],
            ["Howard et al. 2017, MobileNets: efficient convolutional neural networks for mobile vision applications", "https://arxiv.org/abs/1704.04861"],
        ],
    }
}
