//! What an inception module costs with and without the small convolutions before the large ones.

use kiln_core::Network;
use kiln_googlenet::{GoogLeNetConfig, Version};
use kiln_nn::{Conv2d, conv};
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};
use kiln_page::text::grouped;

use super::cost::Cost;
use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "inception-cost",
    title: "The cost of an inception module",
    summary: "Four branches side by side, and why two of them begin with a convolution of 1 by 1.",
    explain,
};

/// Table 1 of the paper: the module, its map, and #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj.
const MODULES: [(&str, usize, [usize; 6]); 9] = [
    ("3a", 28, [64, 96, 128, 16, 32, 32]),
    ("3b", 28, [128, 128, 192, 32, 96, 64]),
    ("4a", 14, [192, 96, 208, 16, 48, 64]),
    ("4b", 14, [160, 112, 224, 24, 64, 64]),
    ("4c", 14, [128, 128, 256, 24, 64, 64]),
    ("4d", 14, [112, 144, 288, 32, 64, 64]),
    ("4e", 14, [256, 160, 320, 32, 128, 128]),
    ("5a", 7, [256, 160, 320, 32, 128, 128]),
    ("5b", 7, [384, 192, 384, 48, 128, 128]),
];
/// Channels before the first module.
const BEFORE: usize = 192;

/// Multiply-adds of a convolution that keeps its map of `side`, counted from the recorded graph.
fn cost(channels: [usize; 2], kernel: usize, side: usize) -> u64 {
    Cost::of(|device| conv(channels, kernel, 1).init(device), [channels[0], side, side], Conv2d::forward).macs
}

/// Multiply-adds of a module's branches, as in Figure 2b: 1x1, 3x3, 5x5, pool; and its output channels.
pub fn reduced(input: usize, side: usize, widths: [usize; 6]) -> ([u64; 4], usize) {
    let [ones, threes_reduced, threes, fives_reduced, fives, pooled] = widths;
    let branches = [
        cost([input, ones], 1, side),
        cost([input, threes_reduced], 1, side) + cost([threes_reduced, threes], 3, side),
        cost([input, fives_reduced], 1, side) + cost([fives_reduced, fives], 5, side),
        cost([input, pooled], 1, side),
    ];
    (branches, ones + threes + fives + pooled)
}

/// The same without reductions, as in Figure 2a: what the pool gives is passed on whole.
fn naive(input: usize, side: usize, widths: [usize; 6]) -> ([u64; 4], usize) {
    let [ones, _, threes, _, fives, _] = widths;
    let branches =
        [cost([input, ones], 1, side), cost([input, threes], 3, side), cost([input, fives], 5, side), 0];
    (branches, ones + threes + fives + input)
}

/// The two modules.
fn modules() -> Drawing {
    let mut drawing = Drawing::new("A module without and with reductions", [400.0, 250.0]).at_most(640.0);
    for (at, (name, rows)) in [
        ("without", [["", "1×1"], ["", "3×3"], ["", "5×5"], ["", "pool"]]),
        ("with", [["", "1×1"], ["1×1", "3×3"], ["1×1", "5×5"], ["pool", "1×1"]]),
    ]
    .into_iter()
    .enumerate()
    {
        let left = 6.0 + 200.0 * at as f64;
        drawing.text([left, 16.0], Anchor::Start, "name strong", name);
        drawing.text([left + 92.0, 240.0], Anchor::Middle, "name", "what came before");
        drawing.text([left + 92.0, 44.0], Anchor::Middle, "name", "joined");
        for (branch, parts) in rows.into_iter().enumerate() {
            let x = left + 23.0 + 47.0 * branch as f64;
            let middle = left + 92.0;
            let mut from = [middle + 0.5 * (x - middle), 226.0];
            for (level, part) in parts.into_iter().enumerate().filter(|(_, part)| !part.is_empty()) {
                let y = 170.0 - 64.0 * level as f64;
                drawing.arrow(from, [x, y + 13.0]);
                let colour = if part == "1×1" && (branch == 1 || branch == 2) { 2 } else { 1 };
                drawing.frame([x - 21.0, y - 13.0, 42.0, 26.0], &format!("node colour-{colour}"));
                drawing.text([x, y + 4.0], Anchor::Middle, "name", part);
                from = [x, y - 13.0];
            }
            drawing.arrow(from, [middle + 0.25 * (x - middle), 50.0]);
        }
    }
    drawing
}

fn explain(_seed: u64) -> Page {
    const SIDE: usize = 28;
    let mut worked = Table::new(
        "A convolution of 5 by 5 from 192 to 32 channels on a map of 28 by 28, directly and behind one of 1 by 1 to 16 channels: multiply-adds",
        &["way", "1×1", "5×5", "together"],
    );
    let direct = cost([192, 32], 5, SIDE);
    let [one, five] = [cost([192, 16], 1, SIDE), cost([16, 32], 5, SIDE)];
    worked.row("directly", ["–".to_string(), grouped(direct), grouped(direct)]);
    worked.row("reduced to 16", [grouped(one), grouped(five), grouped(one + five)]);

    let mut table = Table::new(
        "The nine modules, in millions of multiply-adds: as they are, without reductions from the same input, and without reductions from what a chain of such modules gives",
        &["module", "input", "as it is", "without", "ratio", "input in a chain", "cost in a chain"],
    );
    let millions = |count: u64| count as f64 / 1e6;
    let (mut input, mut wide) = (BEFORE, BEFORE);
    let (mut points, mut sums) = (vec![Vec::new(); 3], [0; 3]);
    for (at, (name, side, widths)) in MODULES.into_iter().enumerate() {
        let sum = |branches: [u64; 4]| branches.iter().sum::<u64>();
        let (of_reduced, output) = reduced(input, side, widths);
        let of_naive = naive(input, side, widths).0;
        let (of_chain, wider) = naive(wide, side, widths);
        let costs = [of_reduced, of_naive, of_chain].map(sum);
        for which in 0..3 {
            points[which].push([at as f64 + 1.0, millions(costs[which])]);
            sums[which] += costs[which];
        }
        let cells = [
            input.to_string(),
            format!("{:.1}", millions(costs[0])),
            format!("{:.1}", millions(costs[1])),
            format!("{:.1}", costs[1] as f64 / costs[0] as f64),
            wide.to_string(),
            format!("{:.1}", millions(costs[2])),
        ];
        table.row(name, cells);
        (input, wide) = (output, wider);
    }
    let names = [("as it is", 1), ("without reductions", 2), ("without, in a chain", 4)];
    let values: Vec<f64> = points.iter().flatten().map(|point| point[1]).collect();
    let chart = Chart {
        title: "Multiply-adds by module".into(),
        x_name: "module, 3a to 5b",
        x: Scale { low: 1.0, high: 9.0, ticks: (1..=9).map(f64::from).collect(), log: false },
        y: Scale::around(&values),
        spelling: Spelling::Number,
        series: names
            .iter()
            .zip(points)
            .map(|((name, colour), points)| Series {
                name: (*name).into(),
                colour: *colour,
                look: Look::Dots,
                points,
            })
            .collect(),
        marked: None,
    };

    let widths = [4, 8, 16, 32, 64, 96, 128, 160, 192];
    let mut by_width = Table::new(
        "The 5 by 5 convolution above behind one of 1 by 1 to so many channels",
        &["channels between", "multiply-adds", "of the direct one"],
    );
    for width in widths {
        let both = cost([192, width], 1, SIDE) + cost([width, 32], 5, SIDE);
        by_width.row(width.to_string(), [grouped(both), format!("{:.3}", both as f64 / direct as f64)]);
    }
    let network = GoogLeNetConfig { version: Version::Paper, num_classes: 1000 };
    let all = Cost::of(|device| network.init(device), [3, 224, 224], Network::forward).macs;
    Page {
        idea: [
            "An inception module looks at its input in four ways at once, with kernels of 1 by 1, 3 by 3 and 5 by 5 and with a pool, and lays what they find side by side as channels.",
            "Kernels of 5 by 5 over hundreds of channels cost too much, so a convolution of 1 by 1 first brings the channels down to a few.",
            "Another one behind the pool does the same, as otherwise each module would pass its whole input on and be wider than the one before.",
        ],
        formulas: vec![
            formula(r"\text{direct: } h w \, k^2 C_{\text{in}} C_{\text{out}}", "direct: h w k² C_in C_out"),
            formula(r"\text{reduced to } r \text{ channels: } h w \, r \left( C_{\text{in}} + k^2 C_{\text{out}} \right)", "reduced to r channels: h w r (C_in + k² C_out)"),
        ],
        figures: vec![
            Figure {
                name: "modules".into(),
                caption: "A module without and with reductions, as in Figures 2a and 2b of the paper; the reductions before kernels in orange.".into(),
                picture: Picture::Drawing(modules()),
            },
            Figure {
                name: "costs".into(),
                caption: "Millions of multiply-adds of the nine modules; the scale is logarithmic. Maps get smaller behind 3b and 4e.".into(),
                picture: Picture::Chart(Box::new(chart)),
            },
        ],
        tables: vec![worked, table],
        experiment: Experiment {
            question: "How narrow does it pay to be?".into(),
            method: "The convolution of 5 by 5 of the first table gets one of 1 by 1 before it, with more and more channels between the two; multiply-adds are counted on the recorded graph.".into(),
            result: format!(
                "Through 16 channels, as in module 3a, the way costs {:.2} times less than the direct one. It pays up to {} channels: r must be less than k² C_in C_out / (C_in + k² C_out). All nine modules together cost {:.0} million multiply-adds, {:.0} without reductions, {:.0} in \
                 a chain that keeps what its pools give; the whole network of the paper, counted from its graph, {:.1}.",
                direct as f64 / (one + five) as f64,
                25 * 192 * 32 / (192 + 25 * 32),
                millions(sums[0]),
                millions(sums[1]),
                millions(sums[2]),
                millions(all)
            ),
            figures: Vec::new(),
            tables: vec![by_width],
        },
        code: vec!["crates/models/googlenet/src/block.rs: Inception", "crates/graph/src/cost.rs: Cost"],
        tests: vec![
            "crates/nn/tests/convolutions.rs: one_by_one_is_a_linear_layer_at_every_pixel",
            "crates/explain/tests/costs.rs: the_papers_network_has_the_worked_multiply_adds",
        ],
        sources: vec![["Szegedy et al. 2015, Going deeper with convolutions", "https://arxiv.org/abs/1409.4842"]],
    }
}
