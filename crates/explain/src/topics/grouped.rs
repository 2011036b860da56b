//! Convolutions that do not see all channels.

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::DType;
use kiln_nn::{Conv2d, Conv2dConfig, halves, interleave, padded};
use kiln_page::text::grouped as thousands;

use super::cost::{Cost, compared};
use super::values::{ends, flat};
use super::{Topic, formula};
use crate::draw::Drawing;
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "grouped",
    title: "Grouped convolution",
    summary: "Groups of channels that do not see each other: a g-th of the cost, and how a shuffle makes them meet.",
    explain,
};

/// 256 channels to 256 by 3x3, of 14 by 14 pixels, in so many groups.
pub fn grouped(groups: usize) -> Cost {
    let config =
        Conv2dConfig::new([256, 256], [3, 3]).with_padding(padded(1)).with_groups(groups).with_bias(false);
    Cost::of(|device| config.init(device), [256, 14, 14], Conv2d::forward)
}

/// A bottleneck of ResNeXt, of 256 channels at 14 by 14 pixels, in groups of so many channels each.
pub fn resnext(groups: usize, each: usize) -> Cost {
    let width = groups * each;
    let conv = |channels, kernel: usize| {
        Conv2dConfig::new(channels, [kernel; 2]).with_padding(padded(kernel / 2)).with_bias(false)
    };
    let layers = [conv([256, width], 1), conv([width; 2], 3).with_groups(groups), conv([width, 256], 1)];
    Cost::of(
        |device| layers.map(|layer| layer.init(device)).to_vec(),
        [256, 14, 14],
        |layers, x| layers.iter().fold(x, |x, layer| layer.forward(x)),
    )
}

/// Channels of the experiment.
const CHANNELS: usize = 8;

/// Which of the inputs (columns) each output (row) sees through layers of two groups, one behind the other, with or without a shuffle between them:
/// the outputs' gradients where all weights are 1.
fn seen(groups: usize, layers: usize, shuffled: bool) -> Vec<Vec<f64>> {
    let device = Device::flex().autodiff();
    let config = Conv2dConfig::new([CHANNELS; 2], [1, 1]).with_groups(groups).with_bias(false);
    let weight = Tensor::<4>::ones([CHANNELS, CHANNELS / groups, 1, 1], (&device, DType::F64));
    let conv = Conv2d { weight: Param::from_tensor(weight), ..config.init(&device) };
    let row = |output: usize| {
        let x = Tensor::<4>::ones([1, CHANNELS, 1, 1], (&device, DType::F64)).require_grad();
        let y = (0..layers).fold(x.clone(), |y, layer| {
            let y = if shuffled && layer > 0 { shuffle(y) } else { y };
            conv.forward(y)
        });
        let gradient = x.grad(&y.narrow(1, output, 1).sum().backward());
        let sees = |paths: f64| f64::from(u8::from(paths != 0.0));
        flat(gradient.expect("an input that is followed")).into_iter().map(sees).collect()
    };
    (0..CHANNELS).map(row).collect()
}

fn shuffle(x: Tensor<4>) -> Tensor<4> {
    let [first, second] = halves(x);
    interleave(first, second)
}

fn matrix(name: String, sees: &[Vec<f64>]) -> (String, Drawing) {
    let drawing = Drawing::matrix(format!("Which inputs each output sees, {name}"), sees);
    (name, drawing)
}

fn explain(_seed: u64) -> Page {
    let rows = [
        ("all channels", grouped(1)),
        ("2 groups (AlexNet)", grouped(2)),
        ("8 groups", grouped(8)),
        ("32 groups (ResNeXt)", grouped(32)),
        ("256 groups: depthwise", grouped(256)),
    ];
    let (table, figure) = compared("3x3 convolutions of 256 channels to 256, on 14 by 14 pixels", &rows);
    let mut widths = Table::new(
        "ResNeXt's bottlenecks of 256 channels (Table 2 of the paper), on 14 by 14 pixels: more groups make the middle wider at nearly the same cost",
        &["groups", "channels each", "channels", "parameters", "multiplications"],
    );
    for (groups, each) in [(1, 64), (2, 40), (4, 24), (8, 14), (32, 4)] {
        let Cost { parameters, macs } = resnext(groups, each);
        let cells = [each.to_string(), (groups * each).to_string(), thousands(parameters), thousands(macs)];
        widths.row(groups.to_string(), cells);
    }
    let small = |groups: usize| {
        let name = format!("{groups} group{}", if groups == 1 { "" } else { "s" });
        matrix(name, &seen(groups, 1, false))
    };
    let blocks = Figure {
        name: "blocks".into(),
        caption: "Which of eight inputs (columns) each of eight outputs (rows) sees: the more groups, the more of the matrix is zero.".into(),
        picture: Picture::Small([1, 2, 4, 8].map(small).into()),
    };

    let mut meetings = Table::new(
        "Inputs that an output sees, of eight, through layers of two groups: the fewest and the most of the eight outputs",
        &["layers", "as they are", "shuffled between"],
    );
    let mut met = Vec::new();
    for layers in 1..=3 {
        let cells = [false, true]
            .map(|shuffled| ends(seen(2, layers, shuffled).into_iter().map(|row| row.iter().sum::<f64>())));
        let written =
            |[low, high]: [f64; 2]| if low == high { low.to_string() } else { format!("{low} to {high}") };
        meetings.row(layers.to_string(), cells.map(written));
        met.push(cells.map(written));
    }
    let through = [("as they are", false), ("shuffled between", true)]
        .map(|(name, shuffled)| matrix(format!("two layers, {name}"), &seen(2, 2, shuffled)));
    Page {
        idea: [
            "A grouped convolution cuts the channels into g groups, and the outputs of a group see the inputs of their own group alone.",
            "Its weights are those of a full convolution whose matrix of channels is zero but for g blocks along the diagonal, so that weights and multiplications are a g-th.",
            "Through grouped layers one behind the other groups never meet, unless their channels are mixed between: by a shuffle, or by a 1x1 convolution across all.",
        ],
        formulas: vec![
            formula(
                r"y_o = \sum_{i \in G(o)} w_{o,i} * x_i",
                "y_o = Σ_(i in the group of o) w_oi * x_i",
            ),
            formula(
                r"\text{weights: } \frac{C_{\text{in}}}{g} C_{\text{out}} k^2, \quad \text{MACs: } H W \frac{C_{\text{in}}}{g} C_{\text{out}} k^2",
                "weights: C_in C_out k² / g,  MACs: H W · C_in C_out k² / g",
            ),
        ],
        figures: vec![blocks, figure],
        tables: vec![table, widths],
        experiment: Experiment {
            question: "Do groups ever meet?".into(),
            method: "Eight channels pass grouped convolutions, two groups each; an output sees the inputs by which its derivative is not zero. The shuffle between two layers is ShuffleNet's: it deals the channels of each group out to all groups."
                .into(),
            result: format!(
                "Through three layers an output sees {} of eight inputs if the channels are left as they are, and {} if they are shuffled between; with the shuffle two layers suffice ({}).",
                met[2][0], met[2][1], met[1][1]
            ),
            figures: vec![Figure {
                name: "meetings".into(),
                caption: "Which inputs (columns) each output (row) sees through two layers of two groups, without and with a shuffle between them.".into(),
                picture: Picture::Small(through.into()),
            }],
            tables: vec![meetings],
        },
        code: vec![
            "crates/nn/src/conv/conv2d.rs: Conv2dConfig::groups",
            "crates/kernels/src/ops/join.rs: halves, interleave",
            "crates/graph/src/cost.rs: macs",
        ],
        tests: vec![
            "crates/nn/tests/convolutions.rs: groups_are_blocks_along_the_diagonal",
            "crates/explain/tests/costs.rs: layers_cost_what_the_papers_say",
        ],
        sources: vec![
            [
                "Krizhevsky, Sutskever, Hinton 2012, ImageNet classification with deep convolutional neural networks",
                "https://papers.nips.cc/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html",
            ],
            ["Xie et al. 2017, Aggregated residual transformations for deep neural networks", "https://arxiv.org/abs/1611.05431"],
            ["Zhang et al. 2018, ShuffleNet: an extremely efficient convolutional neural network for mobile devices", "https://arxiv.org/abs/1707.01083"],
        ],
    }
}
