//! Convolutions of one pixel.

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::Distribution;
use kiln_nn::{Conv2d, Conv2dConfig, Linear, padded};

use super::cost::{Cost, compared};
use super::values::rows;
use super::{Topic, distance, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "one-by-one",
    title: "1x1 convolution",
    summary: "A linear layer at every pixel: what it is good for, and what it saves before a large kernel.",
    explain,
};

/// 192 channels of 28 by 28 pixels to 32 by 5x5: directly, and by way of 16 channels, as in GoogLeNet.
pub fn reductions() -> [Cost; 2] {
    let conv = |channels: [usize; 2], side: usize| {
        Conv2dConfig::new(channels, [side, side]).with_padding(padded(side / 2)).with_bias(false)
    };
    let direct = Cost::of(|device| conv([192, 32], 5).init(device), [192, 28, 28], Conv2d::forward);
    let reduced = Cost::of(
        |device| (conv([192, 16], 1).init(device), conv([16, 32], 5).init(device)),
        [192, 28, 28],
        |(one, five), x| five.forward(one.forward(x)),
    );
    [direct, reduced]
}

/// What a 1x1 convolution of six channels to four makes of one pixel: its channels, the weights, and what becomes of them.
fn at_a_pixel(device: &Device) -> Drawing {
    let conv = Conv2dConfig::new([6, 4], [1, 1]).with_bias(false).init(device);
    let x = Tensor::<4>::random([1, 6, 1, 1], Distribution::Normal(0.0, 1.0), device);
    let mut drawing = Drawing::new("A pixel's channels, the weights, and the new channels", [400.0, 222.0]);
    let parts = [
        ("channels", [20.0, 26.0], rows(x.clone())),
        ("weights", [110.0, 56.0], rows(conv.weight.val().reshape([1, 1, 4, 6]))),
        ("result", [350.0, 56.0], rows(conv.forward(x))),
    ];
    for (name, [x, y], values) in parts {
        drawing.text([x, y - 8.0], Anchor::Start, "name", name);
        drawing.grid([x, y], 32.0, &values, Some(1));
    }
    drawing
}

fn explain(seed: u64) -> Page {
    let [direct, reduced] = reductions();
    let (table, figure) = compared(
        "192 channels of 28 by 28 pixels to 32 channels by kernels of 5 by 5",
        &[("5x5 of 192 channels", direct), ("1x1 to 16 channels, then 5x5", reduced)],
    );
    let device = Device::flex();
    device.seed(seed);
    let pixel = Figure {
        name: "pixel".into(),
        caption: "One pixel of six channels by a 1x1 convolution to four: each new channel is a row of the weights times the channels; all pixels have the same weights.".into(),
        picture: Picture::Drawing(at_a_pixel(&device)),
    };
    let conv = Conv2dConfig::new([64, 32], [1, 1]).init(&device);
    let weight = conv.weight.val().reshape([32, 64]).transpose();
    let linear = Linear { weight: Param::from_tensor(weight), bias: conv.bias.clone() };
    let x = Tensor::<4>::random([2, 64, 14, 14], Distribution::Normal(0.0, 1.0), &device);
    let by_pixels = linear.forward(x.clone().permute([0, 2, 3, 1])).permute([0, 3, 1, 2]);
    let y = conv.forward(x.clone());
    let apart = (y.clone() - by_pixels).abs().max().into_scalar::<f32>();
    let size = y.abs().max().into_scalar::<f32>();
    let mut same = Table::new("64 channels to 32, two images of 14 by 14 pixels", &["", "value"]);
    same.row("largest value", [format!("{size:.3}")]);
    same.row("largest distance between the two", [distance(apart)]);
    Page {
        idea: [
            "A 1x1 convolution looks at one pixel at a time and mixes its channels: it is a linear layer, the same one for every pixel.",
            "It makes few channels of many before a costly kernel and many of few behind it, joins what grouped layers keep apart, and is a place for one more activation.",
            "And the fully connected layers of a classifier are convolutions too, all but the first of them 1x1, and so take images of any size.",
        ],
        formulas: vec![
            formula(r"y_{:,i,j} = W x_{:,i,j} + b", "y[:, i, j] = W x[:, i, j] + b"),
            formula(r"\text{MACs} = H W \, C_{\text{in}} C_{\text{out}} \, k^2", "MACs = H W · C_in · C_out · k²"),
        ],
        figures: vec![pixel, figure],
        tables: vec![table],
        experiment: Experiment {
            question: "Is it a linear layer?".into(),
            method: "The same random images pass a 1x1 convolution and a linear layer that has the same weights and is given the channels of every pixel.".into(),
            result: format!(
                "The largest distance between the two is {}. In the table above, the way through 16 channels takes {:.2} times fewer multiplications than the direct one.",
                distance(apart),
                direct.macs as f64 / reduced.macs as f64
            ),
            figures: Vec::new(),
            tables: vec![same],
        },
        code: vec!["crates/nn/src/conv/conv2d.rs: Conv2d", "crates/nn/src/linear.rs: Linear, as_convolution"],
        tests: vec![
            "crates/nn/tests/convolutions.rs: one_by_one_is_a_linear_layer_at_every_pixel",
            "crates/explain/tests/costs.rs: layers_cost_what_the_papers_say",
        ],
        sources: vec![
            ["Lin et al. 2014, Network in network", "https://arxiv.org/abs/1312.4400"],
            ["Szegedy et al. 2015, Going deeper with convolutions", "https://arxiv.org/abs/1409.4842"],
            ["Long et al. 2015, Fully convolutional networks for semantic segmentation", "https://arxiv.org/abs/1411.4038"],
        ],
    }
}
