//! What "FLOPs" are, where they are, and whether they tell the time.

use burn::nn::LstmConfig;
use burn::prelude::*;
use kiln_core::{Network, learnable_parameters};
use kiln_graph::{Graph, Output, Role};
use kiln_nn::*;
use kiln_page::text::{grouped, percent};
use kiln_resnet::ResNetConfig;
use kiln_vgg::{Head, VggConfig};
use kiln_yolo::{Scale, YoloV8Config};

use super::cost::{Cost, recorded};
use super::timed::{Run, Timed};
use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "flops",
    title: "FLOPs and parameters",
    summary: "Four ways to count one convolution, where a network's multiplications and parameters are, and what they say of time.",
    explain,
};

/// A layer: its name, the sides of its input, its parameters and multiply-adds by the formula, and itself.
pub struct Layer {
    /// What it is.
    pub name: &'static str,
    /// Channels, height and width.
    pub input: [usize; 3],
    /// Numbers that it learns, by the formula.
    pub parameters: u64,
    /// Multiplications with an addition each, by the formula.
    pub macs: u64,
    /// The layer, recorded.
    pub graph: Graph,
}

fn linear([inputs, outputs]: [usize; 2]) -> Graph {
    let config = LinearConfig::new(inputs, outputs);
    let flat = |layer: &Linear, x: Tensor<4>| layer.forward(x.flatten::<2>(1, 3));
    recorded([inputs, 1, 1], |device| config.init(device), flat)
}

/// The transposed convolution that makes YOLOv8n-seg's prototypes twice as large.
fn doubling() -> Graph {
    let config = ConvTranspose2dConfig::new([64, 64], [2, 2]).with_stride([2, 2]);
    recorded([64, 80, 80], |device| config.init(device), ConvTranspose2d::forward)
}

/// One of each kind, with its formula.
pub fn layers() -> Vec<Layer> {
    let layer = |name, input, parameters, macs, graph| Layer { name, input, parameters, macs, graph };
    let of = |config: Conv2dConfig, input| recorded(input, |device| config.init(device), Conv2d::forward);
    let biased = |channels, kernel: usize| conv(channels, kernel, 1).with_bias(true);
    let (map, small) = ([16, 28, 28], [8, 14, 14]);
    let local = LocallyConnected2dConfig::new([8, 4], [14, 14], 3).with_padding(1);
    vec![
        layer(
            "convolution, 16 to 32 by 3x3",
            map,
            32 * (16 * 9 + 1),
            784 * 32 * 16 * 9,
            of(biased([16, 32], 3), map),
        ),
        layer(
            "the same in 2 groups",
            map,
            32 * (8 * 9 + 1),
            784 * 32 * 8 * 9,
            of(biased([16, 32], 3).with_groups(2), map),
        ),
        layer(
            "depthwise, 16 by 3x3",
            map,
            16 * 9,
            784 * 16 * 9,
            of(conv([16, 16], 3, 1).with_groups(16), map),
        ),
        layer("pointwise, 16 to 32", map, 16 * 32, 784 * 16 * 32, of(conv([16, 32], 1, 1), map)),
        layer(
            "locally connected, 8 to 4 by 3x3",
            small,
            196 * (4 * 8 * 9 + 4),
            196 * 4 * 8 * 9,
            recorded(small, |device| local.init(device), LocallyConnected2d::forward),
        ),
        layer(
            "transposed, 64 to 64 by 2x2, stride 2",
            [64, 80, 80],
            64 * (64 * 4 + 1),
            80 * 80 * 64 * 64 * 4,
            doubling(),
        ),
        layer(
            "batch normalization of 16",
            map,
            2 * 16,
            0,
            recorded(map, |device| BatchNormConfig::new(16).init(device), BatchNorm::forward),
        ),
        layer("linear, 512 to 1000", [512, 1, 1], 512 * 1000 + 1000, 512 * 1000, linear([512, 1000])),
    ]
}

/// What an LSTM of so many inputs and units learns: Burn's, which has two biases a unit and gate, as PyTorch's.
pub fn lstm(inputs: usize, units: usize) -> usize {
    learnable_parameters(&LstmConfig::new(inputs, units, true).init(&Device::flex()))
}

/// By the name of a convention, what a convolution of so many channels and what a linear layer costs.
pub fn conventions() -> [(&'static str, [u64; 2]); 4] {
    let config = conv([3, 64], 3, 1).with_bias(true);
    let first = recorded([3, 224, 224], |device| config.init(device), Conv2d::forward).cost();
    let last = linear([4096, 1000]).cost();
    let (places, [inputs, outputs], area) = (224 * 224, [3, 64], 9);
    [
        ("(a) multiply-adds", [first.macs, last.macs]),
        ("(b) twice that", [first.darknet, last.darknet]),
        // A bias is counted as a weight whose input is 1.
        ("(c) with the bias", [places * outputs * (area * inputs + 1), 1000 * (4096 + 1)]),
        ("(d) Molchanov", [2 * places * (inputs * area + 1) * outputs, (2 * 4096 - 1) * 1000]),
    ]
}

/// Multiply-adds of YOLOv8n-seg at 640 by 640, and what thop counts of its transposed convolution beyond that: Kiln's detector, and the published layers that segmentation
/// adds to it. Normalizations are folded into the convolutions before them.
pub fn segmenter() -> [u64; 2] {
    let config = YoloV8Config { scale: Scale::N, num_classes: 80 };
    let outputs = |said: &kiln_core::Predictions| {
        vec![Output::new("boxes", &said.boxes), Output::new("scores", &said.scores)]
    };
    let detector = Graph::record(
        [1, 3, 640, 640],
        |device| config.init(device),
        |network, x| outputs(&network.forward(x)),
    );
    let macs = |channels: [usize; 2], kernel, side| {
        let input = [channels[0], side, side];
        Cost::of(|device| conv(channels, kernel, 1).init(device), input, Conv2d::forward).macs
    };
    // Of each level 32 coefficients a cell, by 3x3, 3x3 and 1x1.
    let coefficients = [(64, 80), (128, 40), (256, 20)].map(|(channels, side)| {
        macs([channels, 32], 3, side) + macs([32, 32], 3, side) + macs([32, 32], 1, side)
    });
    let doubled = doubling().cost();
    // The prototypes: 3x3, doubled, 3x3, and 32 of them.
    let prototypes = macs([64, 64], 3, 80) + doubled.macs + macs([64, 64], 3, 160) + macs([64, 32], 1, 160);
    let all = detector.expect("a size for it").cost().macs + coefficients.iter().sum::<u64>() + prototypes;
    [all, doubled.thop - doubled.macs]
}

/// Parameters and multiply-adds of a network's layers, by the side of the maps that they give.
fn stages(graph: &Graph) -> Vec<(String, [u64; 2])> {
    let mut stages: Vec<(String, [u64; 2])> = Vec::new();
    for row in graph.rows(2).into_iter().filter(|row| row.params + row.cost.macs > 0) {
        let name = match row.output[..] {
            [_, _, height, width] => format!("{height} by {width}"),
            _ => "linear".into(),
        };
        if stages.last().is_none_or(|(last, _)| *last != name) {
            stages.push((name, [0; 2]));
        }
        let at = stages.len() - 1;
        stages[at].1[0] += row.params;
        stages[at].1[1] += row.cost.macs;
    }
    stages
}

/// Two bars a stage: its share of all parameters, and of all multiply-adds.
fn shares(title: &str, graph: &Graph) -> Drawing {
    let stages = stages(graph);
    let mut drawing = Drawing::new(title, [400.0, 34.0 * stages.len() as f64 + 26.0]).at_most(560.0);
    drawing.text([90.0, 12.0], Anchor::Start, "tinted colour-1", "multiply-adds");
    drawing.text([190.0, 12.0], Anchor::Start, "tinted colour-2", "parameters");
    let all = [0, 1].map(|which| stages.iter().map(|stage| stage.1[which]).sum::<u64>() as f64);
    for (at, (name, counts)) in stages.iter().enumerate() {
        let top = 22.0 + 34.0 * at as f64;
        drawing.text([2.0, top + 17.0], Anchor::Start, "name", name);
        for (row, which, colour) in [(0.0, 1, 1), (1.0, 0, 2)] {
            let share = counts[which] as f64 / all[which];
            drawing.shade([90.0, top + 13.0 * row, (250.0 * share).max(1.0), 11.0], colour, 0.9);
            drawing.text(
                [96.0 + 250.0 * share, top + 13.0 * row + 9.5],
                Anchor::Start,
                "tick",
                &percent(share, 1),
            );
        }
    }
    drawing
}

/// A layer that was run, and its millions of multiply-adds.
struct Row {
    name: &'static str,
    macs: f64,
    timed: Timed,
}

impl Row {
    /// Timed so often that the shortest time is what it takes.
    fn of(name: &'static str, input: [usize; 3], macs: u64, run: Run) -> Self {
        let mut timed = Timed::new(input, run);
        (0..12).for_each(|_| timed.time());
        Self { name, macs: macs as f64 / 1e6, timed }
    }

    /// Billions of multiply-adds a second.
    fn speed(&self) -> f64 {
        self.macs / self.timed.milliseconds
    }
}

fn measured() -> Vec<Row> {
    let device = Device::flex();
    let convolution = |name, config: Conv2dConfig, input: [usize; 3]| {
        let Cost { macs, .. } = Cost::of(|device| config.init(device), input, Conv2d::forward);
        let layer = config.init(&device);
        Row::of(name, input, macs, Box::new(move |x| layer.forward(x)))
    };
    let linear = LinearConfig::new(9216, 4096).init(&device);
    let run: Run = Box::new(move |x| linear.forward(x.flatten::<2>(1, 3)).reshape([1, 4096, 1, 1]));
    vec![
        convolution("3 to 64 by 7x7, stride 2, of 224", conv([3, 64], 7, 2), [3, 224, 224]),
        convolution("64 to 64 by 3x3, of 56", conv([64, 64], 3, 1), [64, 56, 56]),
        convolution("512 to 512 by 3x3, of 7", conv([512, 512], 3, 1), [512, 7, 7]),
        convolution("256 to 64 by 1x1, of 56", conv([256, 64], 1, 1), [256, 56, 56]),
        convolution("512 to 512 by 3x3, stride 2, of 14", conv([512, 512], 3, 2), [512, 14, 14]),
        convolution("256 by 3x3, depthwise, of 56", conv([256, 256], 3, 1).with_groups(256), [256, 56, 56]),
        Row::of("9216 to 4096, linear", [256, 6, 6], 9216 * 4096, run),
    ]
}

fn explain(_seed: u64) -> Page {
    let mut ways = Table::new(
        "One convolution (3 to 64 channels by 3x3 with a bias, at 224 by 224 places, 1,792 parameters) and one linear layer (4096 to 1000), as they are counted",
        &["convention", "convolution", "linear"],
    );
    for (name, counts) in conventions() {
        ways.row(name, counts.map(grouped));
    }
    let all = layers();
    let agree = |layer: &&Layer| {
        (layer.graph.parameters(Role::Trainable), layer.graph.cost().macs) == (layer.parameters, layer.macs)
    };
    let agreeing = all.iter().filter(agree).count();
    let mut kinds = Table::new(
        &format!(
            "Counted on the layers themselves, on maps of so many pixels a side; the formulas give the same for {agreeing} of {}. The LSTM has two biases a unit and gate, as PyTorch's: 4 (h (h + i) + 2 h)",
            all.len()
        ),
        &["layer", "parameters", "multiply-adds"],
    );
    for Layer { name, input, graph, .. } in &all {
        let counts = [graph.parameters(Role::Trainable), graph.cost().macs];
        kinds.row(format!("{name}, of {}", input[1]), counts.map(grouped));
    }
    kinds.row("LSTM, 10 inputs, 20 units", [grouped(lstm(10, 20) as u64), "–".into()]);
    let [macs, beyond] = segmenter();
    let giga = |macs: u64| format!("{:.2}", 2.0 * macs as f64 / 1e9);
    let mut thop = Table::new(
        "YOLOv8n-seg, 640 by 640: billions of operations, two a multiply-add. The detector is Kiln's, the layers that segmentation adds are the published ones",
        &["", "GFLOPs"],
    );
    thop.row("counted right", [giga(macs)]);
    thop.row("its transposed convolution at its outputs", [giga(macs + beyond)]);

    let vgg =
        VggConfig { depth: kiln_vgg::Depth::D16, batch_norm: false, head: Head::ImageNet, num_classes: 1000 };
    let vgg = recorded([3, 224, 224], |device| vgg.init(device), Network::forward);
    let resnet = ResNetConfig::new(kiln_resnet::Depth::D18, 1000);
    let resnet = recorded([3, 224, 224], |device| resnet.init(device), Network::forward);
    let figure = |name: &str, title: &str, graph: &Graph| {
        let (macs, parameters) =
            (graph.cost().macs as f64 / 1e9, graph.parameters(Role::Trainable) as f64 / 1e6);
        Figure {
            name: name.into(),
            caption: format!(
                "{title}, by the sides of the maps that its layers give: shares of {macs:.2} billion multiply-adds and of {parameters:.1} million parameters."
            ),
            picture: Picture::Drawing(shares(title, graph)),
        }
    };

    let rows = measured();
    let mut times = Table::new(
        "Layers of networks on one image: millions of multiply-adds, milliseconds, and billions of multiply-adds a second",
        &["layer", "millions", "ms", "a second"],
    );
    for row in &rows {
        let milliseconds = format!("{:.2}", row.timed.milliseconds);
        times.row(row.name, [format!("{:.1}", row.macs), milliseconds, format!("{:.1}", row.speed())]);
    }
    let by_speed = |a: &&Row, b: &&Row| a.speed().total_cmp(&b.speed());
    let [slowest, fastest] =
        [rows.iter().min_by(by_speed), rows.iter().max_by(by_speed)].map(|one| one.expect("layers"));
    let bars: Vec<(&str, f64, String)> =
        rows.iter().map(|row| (row.name, row.speed(), format!("{:.1}", row.speed()))).collect();
    Page {
        idea: [
            "A layer's cost is counted in multiplications, each with the addition behind it, and in the numbers that it learns.",
            "What is called FLOPs is one or two for each such pair, with or without biases, so a number without its convention may be off by a factor of two.",
            "The two costs are in different places: maps are large at the beginning of a network, where the multiplications are, and channels many at its end, where the parameters are.",
        ],
        formulas: vec![
            formula(r"\text{convolution: } C_\text{out} \left( \frac{C_\text{in}}{g} k^2 + 1 \right) \text{ parameters}", "convolution: C_out (C_in / g k² + 1) parameters"),
            formula(r"H' W' C_\text{out} \frac{C_\text{in}}{g} k^2 \text{ multiply-adds}", "H′ W′ C_out C_in / g k² multiply-adds, H′ and W′ being its output's sides"),
            formula(r"\text{transposed: } H W C_\text{in} \frac{C_\text{out}}{g} k^2", "transposed convolution: H W C_in C_out / g k², by its input's sides"),
            formula(r"\text{linear: } I O + O, \quad I O", "linear: I O + O parameters, I O multiply-adds"),
            formula(r"\text{(a) } 1, \; \text{(b) } 2 \text{ a multiply-add}", "(a) one a multiply-add: torchvision, timm, the ResNet papers; (b) two: Darknet, the YOLO tables"),
            formula(r"\text{(c) } H' W' n (h w c + 1)", "(c) H′ W′ n (h w c + 1): the bias as a weight more"),
            formula(r"\text{(d) } 2 H W (C_\text{in} k^2 + 1) C_\text{out}, \; (2 I - 1) O", "(d) 2 H W (C_in k² + 1) C_out, (2 I − 1) O: Molchanov et al. 2017"),
        ],
        figures: vec![figure("vgg", "VGG-16", &vgg), figure("resnet", "ResNet-18", &resnet)],
        tables: vec![ways, kinds, thop],
        experiment: Experiment {
            question: "Do multiply-adds tell the time?".into(),
            method: "Layers of AlexNet, ResNets and a separable network run on this machine, one image, Kiln's kernels; the shortest of 12 times counts.".into(),
            result: format!(
                "Not between kinds of layers: this run, on this machine, “{}” did {:.1} billion multiply-adds a second and “{}” {:.1}, {:.0} times as many. A depthwise layer has few of them for each number that it moves, and a linear layer on one image reads every \
                 weight for a single one, so both wait for memory. The 3x3 convolution of maps of 56 is done by Winograd's way, with a quarter of the multiplications that are counted; on maps of 7 that does not pay, and is not done. Times differ from run to run; counts do not.",
                slowest.name,
                slowest.speed(),
                fastest.name,
                fastest.speed(),
                fastest.speed() / slowest.speed()
            ),
            figures: vec![Figure {
                name: "speed".into(),
                caption: "Billions of multiply-adds a second: were time a matter of their number, all bars would be as long.".into(),
                picture: Picture::Drawing(Drawing::bars("Billions of multiply-adds a second", &bars)),
            }],
            tables: vec![times],
        },
        code: vec!["crates/graph/src/cost.rs: Cost, Graph::cost", "crates/explain/src/topics/flops.rs: layers, conventions, segmenter"],
        tests: vec![
            "crates/explain/tests/costs.rs: conventions_count_as_they_say",
            "crates/explain/tests/costs.rs: layers_are_counted_as_the_formulas_have_it",
            "crates/explain/tests/costs.rs: a_transposed_convolution_is_counted_at_its_inputs",
        ],
        sources: vec![
            ["Molchanov et al. 2017, Pruning convolutional neural networks for resource efficient inference", "https://arxiv.org/abs/1611.06440"],
            ["Lavin and Gray 2016, Fast algorithms for convolutional neural networks", "https://arxiv.org/abs/1509.09308"],
        ],
    }
}
