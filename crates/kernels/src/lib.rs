//! Convolution, batch normalization and ReLU for training on the CPU, on Burn's flex backend in f32.
//!
//! [`conv2d`], [`batch_norm_train`], [`batch_norm`] and [`relu`] take Burn's tensors. On flex, with gradients or without,
//! they run the kernels below with backward passes of their own; on every other backend, in other precisions, with
//! groups, and when a model is captured as a graph they are Burn's stock operations. `kiln-nn` makes layers of them.
//!
//! # Design
//! - **Convolution** copies a few images at a time into a zero-padded scratch (half a megabyte, one per thread, kept),
//!   a stride of `s` as `s x s` phases. There every weight's input lies at a constant offset from the output's position,
//!   so the matrix of im2col is a list of offsets and is never written; positions between the rows are computed and
//!   dropped, and neighbouring rows and images share their zeros so that these are few. The inner loop holds 8 channels x 48
//!   positions in registers. Threads take groups of images, bands of rows of large ones, or blocks of channels.
//! - **Input gradient**: the same loop over the output's gradient, once per phase of the stride.
//! - **Weight gradient**: sums over all positions of 8 gradient channels x 3 shifted inputs at once. The batch is cut into
//!   chunks by shape alone and these are added in order: results are the same to the bit on any number of threads.
//! - **Batch normalization** goes channel by channel: a channel's values are in cache for the second pass. Sums are f32
//!   within a plane and f64 beyond, shifted so that a large mean does not cancel. The gradient is written over the
//!   incoming one, and ReLU over its input, where no one else holds it.
//! - AVX-512, AVX2 with FMA, or what the build's target has, asked at run time. NEON is left to the compiler.
//! - All else of a step is memory: [`keep_freed_memory`] is what glibc is told.
//!
//! # Tried and dropped
//! - Weight gradient of 4 gradient channels x 6 inputs: an input's vector crosses a cache line, so its load costs two.
//! - AVX-512 F alone for the inner loops: the last sums then use registers 0 to 15 only, and the compiler keeps the other
//!   accumulators on the stack at every step. With VL it does not; the weight gradient became 1.7 times as fast.
//! - Not tried: im2col with the `gemm` crate, which writes and packs nine times the input (144 x 1024 floats of columns for
//!   4.7 MFLOP in a ResNet-20's first stage).
//!
//! # Measured
//! Two cores of a Xeon with AVX-512 that other builds shared, so only ratios within one row mean something.
//! `kiln train --set data.train_items=2560 --set data.test_items=64 --set train.epochs=1` (ResNet-20, batch 128), images/s:
//! Burn's stock layers 65 and 71, these 257 and 269 (run in turns): 3.8 to 4.0 times
//! as many. Of that, what glibc is told gave about 1.2 (one pair of runs, by glibc's environment variables).
//! `cargo run --release -p kiln-kernels --example speed` prints GFLOP/s of single layers: 91 to 173 for outputs, 43 to 170
//! for input gradients, 49 to 116 for weight gradients, of about 470 on both cores undisturbed.
//!
//! # Missing
//! Grouped and depthwise convolutions, pooling, element-wise sums and the optimizer are Burn's; 3x3 has no Winograd; the
//! weight gradient is the slowest of the three.
#![allow(unsafe_code)]

pub mod activation;
pub mod conv;
mod gradient;
mod isa;
pub mod join;
mod layers;
pub mod linear;
mod memory;
pub mod norm;
pub mod ops;
mod peak;
pub mod pool;
mod recompute;
pub mod response;
mod share;
pub mod softmax;
mod sums;
mod tensor;
mod transpose;
pub mod update;

pub use isa::Isa;
pub use layers::conv2d;
pub use memory::keep_freed_memory;
pub use norm::Then;
pub use ops::activation::{add, add_relu, hard_swish, leaky_relu, relu, relu6, sigmoid, silu};
pub use ops::linear::linear;
pub use ops::join::{cat_channels, halves, interleave};
pub use ops::norm::{batch_norm, batch_norm_train, running_statistics};
pub use ops::pool::{adaptive_avg_pool2d, avg_pool2d, global_average, max_pool2d};
pub use ops::response::response_norm;
pub use ops::softmax::cross_entropy;
pub use ops::update::{adam, sgd};
pub use peak::peak_gflops;
pub use recompute::norm_relu_conv;
pub use update::{Adam, Sgd};
