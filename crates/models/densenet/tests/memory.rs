//! What a training step needs at most. Alone in its file: the allocator counts for the whole process.

use burn::prelude::*;
use kiln_core::Network;
use kiln_densenet::{Activations, DenseNetConfig, Kind};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes that a step needs at most, beyond what lies there before it.
fn peak(config: &DenseNetConfig) -> usize {
    let device = Device::flex().autodiff();
    let network = config.init(&device);
    let images = Tensor::ones([8, 3, 32, 32], &device);
    let step = || drop(network.forward(images.clone()).sum().backward());
    // The first step draws the weights, and the kernels take their scratch.
    step();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    step();
    MEMORY.peak_usage() - before
}

#[test]
fn recomputing_needs_less_than_a_third_of_the_memory() {
    let keep = DenseNetConfig::cifar(100, 12, Kind::Bc, 10);
    let recompute = DenseNetConfig { activations: Activations::Recompute, ..keep.clone() };
    let [keep, recompute] = [peak(&keep), peak(&recompute)];
    // A layer with c inputs keeps c joined, c normalized, and of its 4k = 48 channels again both; or these 48 alone and its
    // 12 new ones. In the first block of 16 layers c is 24, 36, ... 204, 1824 in all: 2 * 1824 + 16 * 2 * 48 = 5184 against
    // 16 * (48 + 12) = 960 channels of 8 * 32 * 32 floats. The other two blocks have a quarter and a 16th of the pixels.
    assert!(keep > 5184 * 8 * 32 * 32 * 4, "{keep} bytes");
    assert!(recompute * 3 < keep, "{recompute} bytes, {keep} with all kept");
}
