//! Convolutions that do not see all channels.

use kiln_nn::{Conv2d, Conv2dConfig, SeparableConv2d, SeparableConv2dConfig, padded};

use super::cost::{Cost, compared};
use super::{Topic, formula};
use crate::draw::Drawing;
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "grouped",
    title: "Grouped convolution",
    summary: "Groups of channels that do not see each other, down to one channel each, and the 1x1 convolution that joins them.",
    explain,
};

/// 256 channels to 256 by 3x3, of 14 by 14 pixels, in so many groups.
pub fn grouped(groups: usize) -> Cost {
    let config =
        Conv2dConfig::new([256, 256], [3, 3]).with_padding(padded(1)).with_groups(groups).with_bias(false);
    Cost::of(|device| config.init(device), [256, 14, 14], Conv2d::forward)
}

/// The same by a convolution of each channel and one across them.
pub fn separable() -> Cost {
    let config = SeparableConv2dConfig::new([256, 256], [3, 3]).with_padding(padded(1)).with_bias(false);
    Cost::of(|device| config.init(device), [256, 14, 14], SeparableConv2d::forward)
}

fn explain(_seed: u64) -> Page {
    let rows = [
        ("all channels", grouped(1)),
        ("2 groups (AlexNet)", grouped(2)),
        ("32 groups (ResNeXt)", grouped(32)),
        ("256 groups: depthwise", grouped(256)),
        ("depthwise and 1x1", separable()),
    ];
    let (table, figure) = compared("3x3 convolutions of 256 channels to 256, on 14 by 14 pixels", &rows);
    let small = |groups: usize| {
        let mut drawing =
            Drawing::new(format!("Which inputs each output sees, in {groups} groups"), [168.0, 168.0])
                .at_most(220.0);
        let (count, cell) = (8, 20.0);
        let each = count / groups;
        let sees: Vec<Vec<f64>> = (0..count)
            .map(|output| {
                (0..count).map(|input| f64::from(u8::from(output / each == input / each))).collect()
            })
            .collect();
        drawing.grid([4.0, 4.0], cell, &sees, None);
        (format!("{groups} group{}", if groups == 1 { "" } else { "s" }), drawing)
    };
    let blocks = Figure {
        name: "blocks".into(),
        caption: "Which of eight inputs (columns) each of eight outputs (rows) sees: the more groups, the more of the matrix is zero.".into(),
        picture: Picture::Small([1, 2, 4, 8].map(small).into()),
    };
    let mut ratios = Table::new(
        "Depthwise and 1x1 over a full convolution: counted, and 1 / C_out + 1 / k²",
        &["channels, kernel", "counted", "formula"],
    );
    let mut all_right = true;
    for (channels, side) in [(64, 3), (256, 3), (256, 5), (512, 7)] {
        let full =
            Conv2dConfig::new([channels; 2], [side; 2]).with_padding(padded(side / 2)).with_bias(false);
        let split = SeparableConv2dConfig::new([channels; 2], [side; 2])
            .with_padding(padded(side / 2))
            .with_bias(false);
        let image = [channels, 7, 7];
        let full = Cost::of(|device| full.init(device), image, Conv2d::forward);
        let split = Cost::of(|device| split.init(device), image, SeparableConv2d::forward);
        let counted = split.macs as f64 / full.macs as f64;
        let formula = 1.0 / channels as f64 + 1.0 / (side * side) as f64;
        all_right &= (counted - formula).abs() < 1e-12;
        ratios
            .row(format!("{channels}, {side} x {side}"), [format!("{counted:.6}"), format!("{formula:.6}")]);
    }
    let says = if all_right { "equals" } else { "differs from" };
    Page {
        idea: [
            "A grouped convolution cuts the channels into groups that do not see each other, which divides weights and multiplications by their number.",
            "With as many groups as channels it is depthwise: every channel is filtered for itself, and nothing is mixed.",
            "A 1x1 convolution behind it mixes them; the two together take the place of a full convolution at about a ninth of its cost for 3x3 kernels.",
        ],
        formulas: vec![
            formula(r"\text{grouped: } \frac{1}{g}", "grouped: 1 / g of the cost"),
            formula(
                r"\text{depthwise and 1x1: } \frac{1}{C_{\text{out}}} + \frac{1}{k^2}",
                "depthwise and 1x1: 1/C_out + 1/k²",
            ),
        ],
        figures: vec![figure, blocks],
        tables: vec![table],
        experiment: Experiment {
            question: "Does the formula count right?".into(),
            method: "The multiplications of both, counted on the graph that each computes, for four sizes."
                .into(),
            result: format!("What is counted {says} the formula in all four."),
            figures: Vec::new(),
            tables: vec![ratios],
        },
        code: vec![
            "crates/nn/src/conv/separable.rs: SeparableConv2d",
            "crates/nn/src/conv/conv2d.rs: Conv2dConfig::groups",
            "crates/graph/src/cost.rs: macs",
        ],
        tests: vec![
            "crates/nn/tests/convolutions.rs: groups_are_blocks_along_the_diagonal",
            "crates/nn/tests/convolutions.rs: depthwise_and_pointwise_cost_one_part_in_channels_and_one_in_the_kernel",
            "crates/explain/tests/costs.rs: layers_cost_what_the_papers_say",
        ],
        sources: vec![
            ["Howard et al. 2017, MobileNets", "https://arxiv.org/abs/1704.04861"],
            ["Chollet 2017, Xception", "https://arxiv.org/abs/1610.02357"],
            ["Xie et al. 2017, Aggregated residual transformations", "https://arxiv.org/abs/1611.05431"],
        ],
    }
}
