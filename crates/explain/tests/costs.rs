//! What layers cost, as the papers and arithmetic have it.

use kiln_core::Network;
use kiln_explain::topics::cost::Cost;
use kiln_explain::topics::{depthwise, flops, grouped, one_by_one, reduced, shared_weights, three_for_five};
use kiln_googlenet::{GoogLeNetConfig, Version};
use kiln_graph::Role;
use kiln_shufflenet::{ShuffleNetV2Config, Stem, Width};

#[test]
fn layers_cost_what_the_papers_say() {
    // GoogLeNet's 5x5: 28 * 28 * 192 * 32 * 25; 28 * 28 * 192 * 16 + 28 * 28 * 16 * 32 * 25.
    let [direct, reduced] = one_by_one::reductions();
    assert_eq!(direct, Cost { parameters: 192 * 32 * 25, macs: 120_422_400 });
    assert_eq!(reduced, Cost { parameters: 192 * 16 + 16 * 32 * 25, macs: 12_443_648 });
    assert_eq!(format!("{:.2}", direct.macs as f64 / reduced.macs as f64), "9.68");

    let weights = |side, layers| three_for_five::stacked(side, layers).parameters;
    assert_eq!(
        [weights(3, 2), weights(5, 1), weights(3, 3), weights(7, 1)],
        [18, 25, 27, 49].map(|c| c * 64 * 64)
    );

    let all = grouped::grouped(1);
    for groups in [2, 32, 256] {
        let part = grouped::grouped(groups);
        assert_eq!([part.macs, part.parameters].map(|one| one * groups as u64), [all.macs, all.parameters]);
    }
    // 1 / 256 + 1 / 9.
    let [dense, separable] = depthwise::costs([256; 2], 3);
    assert_eq!(format!("{:.4}", separable.macs as f64 / dense.macs as f64), "0.1150");
    // Table 2 of ResNeXt: 256 * 64 + 9 * 64^2 + 64 * 256 without groups; 32 * (256 * 4 + 9 * 4^2 + 4 * 256) in 32.
    assert_eq!(
        [grouped::resnext(1, 64), grouped::resnext(32, 4)].map(|cost| cost.parameters),
        [69_632, 70_144]
    );

    // YOLOv1's layer of 256 filters of 3x3 over 7x7 places and 1024 channels.
    let [own, shared] = shared_weights::yolo();
    assert_eq!([own, shared], [115_618_048, 2_359_552]);
    // 3 to 64 channels by 3x3 with a bias, at 224 by 224 pixels.
    let first = shared_weights::first_of_vgg();
    assert_eq!(first, Cost { parameters: 1792, macs: 86_704_128 });
}

/// Millions, one decimal.
fn millions(count: u64) -> String {
    format!("{:.1}", count as f64 / 1e6)
}

#[test]
fn the_papers_network_has_the_worked_multiply_adds() {
    let config = GoogLeNetConfig { version: Version::Paper, num_classes: 1000 };
    let all = Cost::of(|device| config.init(device), [3, 224, 224], Network::forward);
    assert_eq!(millions(all.macs), "1582.7");
    // Module 3a, of 28 x 28 pixels: 192 * 64; 192 * 96 + 9 * 96 * 128; 192 * 16 + 25 * 16 * 32 (12 443 648 in all); 192 * 32.
    let (branches, output) = reduced(192, 28, [64, 96, 128, 16, 32, 32]);
    assert_eq!(branches, [12_288, 129_024, 15_872, 6_144].map(|products| products * 784));
    assert_eq!((branches[2], output), (12_443_648, 256));
}

#[test]
fn shufflenets_have_the_worked_multiply_adds() {
    let rows = [(Width::X05, "40.5"), (Width::X10, "144.9"), (Width::X15, "295.8"), (Width::X20, "583.3")];
    for (width, expected) in rows {
        let config = ShuffleNetV2Config { width, stem: Stem::ImageNet, num_classes: 1000 };
        let all = Cost::of(|device| config.init(device), [3, 224, 224], Network::forward);
        assert_eq!(millions(all.macs), expected, "{width:?}");
    }
}

#[test]
fn conventions_count_as_they_say() {
    // 224² * 64 * 27; twice; 224² * 64 * 28; twice that. 4096 * 1000; twice; 1000 * 4097; (2 * 4096 - 1) * 1000.
    let expected = [
        [86_704_128, 4_096_000],
        [173_408_256, 8_192_000],
        [89_915_392, 4_097_000],
        [179_830_784, 8_191_000],
    ];
    assert_eq!(flops::conventions().map(|(_, counts)| counts), expected);
}

#[test]
fn layers_are_counted_as_the_formulas_have_it() {
    for layer in flops::layers() {
        let graph = &layer.graph;
        assert_eq!(graph.parameters(Role::Trainable), layer.parameters, "{}", layer.name);
        assert_eq!(graph.cost().macs, layer.macs, "{}", layer.name);
    }
    // Two running statistics a channel; two operations a value where it is not folded.
    let layers = flops::layers();
    let norm = &layers[6].graph;
    assert_eq!((norm.parameters(Role::Buffer), norm.cost().flops), (2 * 16, 2 * 16 * 28 * 28));
    // 4 (h (h + i) + h), and a second bias a unit and gate.
    assert_eq!(flops::lstm(10, 20), 4 * (20 * 30 + 20) + 4 * 20);
}

#[test]
fn a_transposed_convolution_is_counted_at_its_inputs() {
    let [macs, beyond] = flops::segmenter();
    // Four times as many outputs as inputs: 3 * 64 * 64 * 4 * 80 * 80 too many.
    assert_eq!(beyond, 3 * 64 * 64 * 4 * 80 * 80);
    let giga = |macs: u64| 2.0 * macs as f64 / 1e9;
    assert_eq!(format!("{:.2} {:.1}", giga(macs), giga(macs + beyond)), "12.00 12.6");
}
