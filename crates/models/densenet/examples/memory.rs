//! What a training step of a DenseNet-BC (L = 100, k = 12) needs at most, with a batch of 64 CIFAR images.
//!
//! `cargo run --release -p kiln-densenet --example memory`

use std::time::Instant;

use burn::prelude::*;
use burn::tensor::Distribution;
use kiln_core::Network;
use kiln_densenet::{Activations, DenseNetConfig, Kind};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn main() {
    let keep = DenseNetConfig::cifar(100, 12, Kind::Bc, 10);
    let recompute = DenseNetConfig { activations: Activations::Recompute, ..keep.clone() };
    let plain = Device::flex().autodiff();
    let rows = [
        ("keep", &keep, plain.clone()),
        ("keep, gradient_checkpointing()", &keep, plain.clone().gradient_checkpointing()),
        ("recompute", &recompute, plain),
    ];
    for (name, config, device) in rows {
        let network = config.init(&device);
        let images = Tensor::random([64, 3, 32, 32], Distribution::Normal(0.0, 1.0), &device);
        let step = || network.forward(images.clone()).powf_scalar(2.0).mean().backward();
        // The first step draws the weights.
        drop(step());
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let start = Instant::now();
        drop(step());
        let mebibytes = (MEMORY.peak_usage() - before) >> 20;
        println!("{name:32} {mebibytes:5} MiB {:6.2} s", start.elapsed().as_secs_f64());
    }
}
