//! GFLOP/s of a convolution's output and of both gradients, for the shapes of CIFAR's ResNet-20 and of ResNet-18.
//!
//! `cargo run --release -p kiln-kernels --example speed`

use std::hint::black_box;
use std::time::{Duration, Instant};

use kiln_kernels::Isa;
use kiln_kernels::conv::{Conv, forward, input_gradient, weight_gradient};

fn main() {
    kiln_kernels::keep_freed_memory();
    println!("{:32} {:>8} {:>8} {:>8}   GFLOP/s", "", "output", "dx", "dw");
    // Batch, channels in and out, side, kernel, stride, padding.
    let rows = [
        [128, 3, 16, 32, 3, 1, 1],
        [128, 16, 16, 32, 3, 1, 1],
        [128, 16, 32, 32, 3, 2, 1],
        [128, 32, 32, 16, 3, 1, 1],
        [128, 64, 64, 8, 3, 1, 1],
        [8, 3, 64, 224, 7, 2, 3],
        [8, 64, 64, 56, 3, 1, 1],
        [8, 128, 128, 28, 3, 1, 1],
        [8, 256, 512, 14, 3, 2, 1],
        [8, 512, 512, 7, 3, 1, 1],
        [8, 256, 64, 56, 1, 1, 0],
    ];
    for [batch, input, output, side, kernel, stride, pad] in rows {
        let conv = Conv {
            batch,
            channels: [input, output],
            size: [side; 2],
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [(pad, pad); 2],
            dilation: [1; 2],
            groups: 1,
        };
        let Some([high, wide]) = conv.out() else { continue };
        let x = vec![0.5f32; batch * input * side * side];
        let weight = vec![0.25f32; output * input * kernel * kernel];
        let grad = vec![0.125f32; batch * output * high * wide];
        let giga = 2e-9 * (grad.len() * input * kernel * kernel) as f64;
        let isa = Isa::best();
        let rates = [
            fastest(|| forward(isa, &conv, black_box(&x), &weight, None)),
            fastest(|| input_gradient(isa, &conv, black_box(&weight), &grad)),
            fastest(|| weight_gradient(isa, &conv, black_box(&x), &grad)),
        ]
        .map(|time| giga / time.as_secs_f64());
        let name = format!("{batch}x{input}x{side}x{side} to {output}, {kernel}x{kernel} / {stride}");
        println!("{name:32} {:8.0} {:8.0} {:8.0}", rates[0], rates[1], rates[2]);
    }
}

/// The best of half a second of runs: other processes only ever add.
fn fastest(work: impl Fn() -> Vec<f32>) -> Duration {
    let begin = Instant::now();
    let mut best = Duration::MAX;
    while begin.elapsed() < Duration::from_millis(300) {
        let start = Instant::now();
        black_box(work());
        best = best.min(start.elapsed());
    }
    best
}
