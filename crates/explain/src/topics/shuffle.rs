//! What makes a network fast beside its multiply-adds: four rules, measured here.

use burn::prelude::*;
use kiln_core::Network;
use kiln_nn::*;
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};
use kiln_page::text::grouped;
use kiln_shufflenet::{ShuffleNetV2Config, Stem, Width};

use super::cost::Cost;
use super::timed::{Run, Timed};
use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "shuffle",
    title: "Fast by more than few multiply-adds",
    summary: "ShuffleNet V2's four rules, measured on this machine, and the shuffle of channels.",
    explain,
};

/// The map of all measurements: 56 by 56.
const SIDE: usize = 56;
const PIXELS: f64 = (SIDE * SIDE) as f64;

/// One layer or several, of nearly equally many multiply-adds.
struct Row {
    rule: usize,
    name: String,
    /// Millions.
    macs: f64,
    /// Numbers read and written, millions; of single layers.
    memory: Option<f64>,
    timed: Timed,
}

/// Of the measurements: all layers in turn, so that what else the machine does hits all alike.
const ROUNDS: usize = 40;

fn pointwise(channels: [usize; 2], groups: usize) -> Conv2d {
    conv(channels, 1, 1).with_groups(groups).init(&Device::flex())
}

/// Convolutions of 1 by 1, one after the other or side by side and added.
fn fragments(channels: usize, count: usize, parallel: bool) -> Run {
    let layers: Vec<Conv2d> = (0..count).map(|_| pointwise([channels; 2], 1)).collect();
    match parallel {
        false => Box::new(move |x| layers.iter().fold(x, |x, layer| layer.forward(x))),
        true => Box::new(move |x| {
            let all = layers.iter().map(|layer| layer.forward(x.clone()));
            all.reduce(add).expect("a fragment at least")
        }),
    }
}

/// 1 by 1, 3 by 3, 1 by 1, with or without ReLU behind each and the sum with what came in.
fn bottleneck(rectified: bool, shortcut: bool) -> Run {
    let device = Device::flex();
    let layers = [([128, 32], 1), ([32, 32], 3), ([32, 128], 1)]
        .map(|(channels, kernel)| conv(channels, kernel, 1).init(&device));
    Box::new(move |x| {
        let y = layers.iter().fold(x.clone(), |x, layer| {
            let x = layer.forward(x);
            if rectified { relu(x) } else { x }
        });
        if shortcut { add(y, x) } else { y }
    })
}

/// All rows, measured.
fn measured() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add_row = |rule, name: String, macs: f64, memory: Option<f64>, channels, run: Run| {
        let timed = Timed::new([channels, SIDE, SIDE], run);
        rows.push(Row { rule, name, macs: macs * PIXELS / 1e6, memory, timed });
    };
    for [c1, c2] in [[128, 128], [90, 180], [52, 312], [36, 432]] {
        let (layer, products) = (pointwise([c1, c2], 1), (c1 * c2) as f64);
        let run: Run = Box::new(move |x| layer.forward(x));
        add_row(1, format!("{c1} to {c2}"), products, Some(memory([c1, c2], 1)), c1, run);
    }
    for (c, groups) in [(128, 1), (180, 2), (256, 4), (360, 8)] {
        let (layer, products) = (pointwise([c, c], groups), (c * c / groups) as f64);
        let run: Run = Box::new(move |x| layer.forward(x));
        add_row(2, format!("{c}, groups: {groups}"), products, Some(memory([c, c], groups)), c, run);
    }
    for (c, count, parallel) in
        [(128, 1, false), (90, 2, false), (64, 4, false), (90, 2, true), (64, 4, true)]
    {
        let how = if parallel { "side by side" } else { "in a row" };
        let name = if count == 1 { format!("one of {c}") } else { format!("{count} of {c} {how}") };
        add_row(3, name, (count * c * c) as f64, None, c, fragments(c, count, parallel));
    }
    for (name, rectified, shortcut) in
        [("nothing", false, false), ("ReLU", true, false), ("a shortcut", false, true), ("both", true, true)]
    {
        let products = 128.0 * 32.0 + 9.0 * 32.0 * 32.0 + 32.0 * 128.0;
        add_row(4, format!("and {name}"), products, None, 128, bottleneck(rectified, shortcut));
    }
    for _ in 0..ROUNDS {
        rows.iter_mut().for_each(|row| row.timed.time());
    }
    rows
}

/// Numbers that a convolution of 1 by 1 reads and writes, in millions.
fn memory([c1, c2]: [usize; 2], groups: usize) -> f64 {
    (PIXELS * (c1 + c2) as f64 + (c1 * c2 / groups) as f64) / 1e6
}

/// Where channels go.
fn shuffled() -> Drawing {
    let mut drawing = Drawing::new("Eight channels, shuffled", [330.0, 150.0]).at_most(480.0);
    let numbers = Tensor::<1, Int>::arange(0..8, &Device::flex()).float().reshape([1, 8, 1, 1]);
    let [first, second] = halves(numbers);
    let order: Vec<f32> = interleave(first, second).into_data().iter().collect();
    let place = |at: usize, y: f64| [25.0 + 36.0 * at as f64, y, 30.0, 30.0];
    for (to, from) in order.iter().map(|from| *from as usize).enumerate() {
        let colour = if from < 4 { 1 } else { 2 };
        for (at, y) in [(from, 20.0), (to, 100.0)] {
            let corner = place(at, y);
            drawing.shade(corner, colour, 0.45);
            drawing.text([corner[0] + 15.0, y + 19.0], Anchor::Middle, "name", &from.to_string());
        }
        drawing.arrow([place(from, 0.0)[0] + 15.0, 52.0], [place(to, 0.0)[0] + 15.0, 98.0]);
    }
    drawing.text([25.0, 13.0], Anchor::Start, "tick", "two branches of four channels");
    drawing.text([25.0, 145.0], Anchor::Start, "tick", "shuffled: each half has channels of both");
    drawing
}

fn explain(_seed: u64) -> Page {
    let rows = measured();
    let rules = [
        "G1: convolutions of 1 by 1 whose inputs and outputs differ in number; millions of multiply-adds and of numbers moved, milliseconds, and how many times as long as the first",
        "G2: convolutions of 1 by 1 of so many channels, in groups",
        "G3: convolutions of 1 by 1, so many of so many channels",
        "G4: the convolutions of a bottleneck of 128, 32, 32 and 128 channels, with operations on single elements",
    ];
    let of = |rule: usize| -> Vec<&Row> { rows.iter().filter(|row| row.rule == rule).collect() };
    let tables = rules.iter().zip(1..).map(|(caption, rule)| {
        let all = of(rule);
        let first = all[0].timed.milliseconds;
        let mut table = Table::new(caption, &["layers", "multiply-adds", "moved", "ms", "ratio"]);
        for row in all {
            let memory = row.memory.map_or("–".into(), |memory| format!("{memory:.2}"));
            let cells = [
                format!("{:.1}", row.macs),
                memory,
                format!("{:.2}", row.timed.milliseconds),
                format!("{:.2}", row.timed.milliseconds / first),
            ];
            table.row(row.name.clone(), cells);
        }
        table
    });
    // What each rule saves here.
    let listed = |much: bool| -> String {
        let worth = [(1, &[3][..]), (2, &[3]), (3, &[2, 4]), (4, &[3])].map(|(rule, tried)| {
            let all = of(rule);
            tried.iter().any(|at| all[*at].timed.milliseconds > 1.1 * all[0].timed.milliseconds)
        });
        let names: Vec<String> =
            (1..=4).filter(|rule| worth[rule - 1] == much).map(|rule| format!("G{rule}")).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    };
    let ratio = |rule: usize, at: usize| of(rule)[at].timed.milliseconds / of(rule)[0].timed.milliseconds;

    let mut networks = Table::new(
        "The networks, for images of 224 by 224 and 1000 classes: millions of multiply-adds counted from the recorded graph, and as the paper gives them (Table 8)",
        &["width", "parameters", "multiply-adds", "the paper's"],
    );
    for (name, width, published) in
        [("0.5", Width::X05, 41), ("1", Width::X10, 146), ("1.5", Width::X15, 299), ("2", Width::X20, 591)]
    {
        let config = ShuffleNetV2Config { width, stem: Stem::ImageNet, num_classes: 1000 };
        let Cost { parameters, macs } =
            Cost::of(|device| config.init(device), [3, 224, 224], Network::forward);
        networks.row(name, [grouped(parameters), format!("{:.1}", macs as f64 / 1e6), published.to_string()]);
    }
    let products = 128.0 * 128.0f64;
    let points: Vec<[f64; 2]> = (-40..=40)
        .map(|at| {
            // c1 c2 = 128^2 at all ratios.
            let ratio = 10f64.powf(0.04 * f64::from(at));
            let (c1, c2) = ((products * ratio).sqrt(), (products / ratio).sqrt());
            [ratio, (PIXELS * (c1 + c2) + products) / 1e6]
        })
        .collect();
    let least = (2.0 * (PIXELS * PIXELS * products).sqrt() + products) / 1e6;
    let chart = Chart {
        title: "Numbers moved by the ratio of channels".into(),
        x_name: "input channels over output channels",
        x: Scale {
            low: 10f64.powf(-1.6),
            high: 10f64.powf(1.6),
            ticks: vec![0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0],
            log: true,
        },
        y: Scale { low: 0.0, high: 3.0, ticks: vec![0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0], log: false },
        spelling: Spelling::Number,
        series: vec![Series { name: "millions of numbers".into(), colour: 1, look: Look::Line, points }],
        marked: Some([1.0, least]),
    };
    Page {
        idea: [
            "Networks of equally many multiply-adds are not equally fast: memory is read and written, work is cut into pieces, and each operation has to be started.",
            "ShuffleNet V2 follows four rules: equally many channels in and out (G1), few groups (G2), few fragments (G3), few operations on single elements (G4).",
            "So it splits the channels in place of grouping the convolutions of 1 by 1, lets one half pass, joins the halves without a sum, and shuffles them so that both meet in the next block.",
        ],
        formulas: vec![
            formula(r"\text{MAC} = h w (c_1 + c_2) + \frac{c_1 c_2}{g}", "numbers moved (the paper's MAC, memory access cost): h w (c1 + c2) + c1 c2 / g"),
            formula(r"B = h w\, c_1 c_2, \quad \text{MAC} \ge 2 \sqrt{h w B} + \frac{B}{h w}", "without groups: at least 2 √(h w B) + B / (h w) at B = h w c1 c2 multiply-adds, which c1 = c2 reaches"),
        ],
        figures: vec![
            Figure {
                name: "shuffle".into(),
                caption: "A shuffle of two halves: eight channels by the numbers that they had, before and after.".into(),
                picture: Picture::Drawing(shuffled()),
            },
            Figure {
                name: "memory".into(),
                caption: "Millions of numbers that a convolution of 1 by 1 moves (MAC, the paper's memory access cost) on a map of 56 by 56, at 51 million multiply-adds, by the ratio of its channels: fewest where both are 128.".into(),
                picture: Picture::Chart(Box::new(chart)),
            },
        ],
        tables: vec![networks],
        experiment: Experiment {
            question: "Do the rules hold on this machine?".into(),
            method: "Layers like those of the paper's Tables 1 to 4, with Kiln's kernels, one image of 56 by 56 pixels, 49 to 51 million multiply-adds (those of G4: 55 million). All are run in turn, and of 40 times of each the shortest counts.".into(),
            result: format!(
                "In this run, on this machine, a ratio of 1 to 12 takes {:.2} times as long as equal channels (G1), 8 groups {:.2} times as long as one (G2), 4 fragments in a row {:.2} times and side by side {:.2} times as long as one convolution (G3), ReLUs and a shortcut \
                 {:.2} times as long as the convolutions alone (G4). Breaking a rule costs more than a tenth of the time here for {}, and less for {}. Times differ from machine to machine and from run to run (the first layer of the first three tables is the same, and took {:.2}, {:.2} and {:.2} ms); the numbers moved do not.",
                ratio(1, 3),
                ratio(2, 3),
                ratio(3, 2),
                ratio(3, 4),
                ratio(4, 3),
                listed(true),
                listed(false),
                of(1)[0].timed.milliseconds,
                of(2)[0].timed.milliseconds,
                of(3)[0].timed.milliseconds
            ),
            figures: Vec::new(),
            tables: tables.collect(),
        },
        code: vec!["crates/models/shufflenet/src/lib.rs: ShuffleNetV2", "crates/kernels/src/ops/join.rs: halves, interleave"],
        tests: vec![
            "crates/models/shufflenet/src/lib.rs: half_of_the_channels_pass_a_block_as_they_are",
            "crates/models/shufflenet/src/lib.rs: parameters_and_outputs_are_the_published_ones",
            "crates/explain/tests/costs.rs: shufflenets_have_the_worked_multiply_adds",
        ],
        sources: vec![["Ma et al. 2018, ShuffleNet V2: practical guidelines for efficient CNN architecture design", "https://arxiv.org/abs/1807.11164"]],
    }
}
