//! The worked costs of networks and of their parts.

#![allow(clippy::unwrap_used)]

use burn::prelude::*;
use kiln_core::Network;
use kiln_explain::topics::reduced;
use kiln_googlenet::{GoogLeNetConfig, Version};
use kiln_graph::macs;
use kiln_shufflenet::{ShuffleNetV2Config, Stem, Width};

/// Millions, one decimal.
fn millions(count: u64) -> String {
    format!("{:.1}", count as f64 / 1e6)
}

#[test]
fn the_papers_network_has_the_worked_multiply_adds() {
    let config = GoogLeNetConfig { version: Version::Paper, num_classes: 1000 };
    let all = macs(|device| config.init(device).forward(Tensor::zeros([1, 3, 224, 224], device)));
    assert_eq!(millions(all.unwrap()), "1582.7");
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
        let all = macs(|device| config.init(device).forward(Tensor::zeros([1, 3, 224, 224], device)));
        assert_eq!(millions(all.unwrap()), expected, "{width:?}");
    }
}
