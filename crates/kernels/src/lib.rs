//! What a step of training costs on the CPU, on Burn's flex backend in f32: convolution, normalization, activations,
//! pooling, joining of channels, linear layers, the loss, the optimizer's update.
//!
//! The functions below take Burn's tensors. On flex, with gradients or without, they run the kernels of this crate, with
//! backward passes of their own; on every other backend, in other precisions, and when a model is captured as a graph they
//! are Burn's stock operations. `kiln-nn` makes layers of them.
//!
//! # Design
//! - **Channels last.** An activation keeps its shape `[batch, channels, rows, columns]`, but its channels lie side by side in
//!   memory (`tensor.rs`): a vector register holds neighbouring channels of a pixel, an image is a matrix of pixels by
//!   channels, and nothing is laid out anew from layer to layer. Burn's operations follow the strides. Gradients of several readers
//!   are added in this layout too (`gradient.rs`).
//! - **Convolution is a product of gathered rows** (`conv/dense.rs`). 14 pixels times 32 channels of sums stay in 28 registers; for
//!   every tap and input channel two vectors of packed weights are loaded and 14 floats broadcast from 14 pixels, whose
//!   addresses are a start and a step. Columns of im2col are never written; all strides, paddings and dilations are starts, steps
//!   and limits; a pixel beyond the border is a row of zeros, and a tap that a whole tile misses is skipped. Small maps are cut
//!   across the images instead of along their rows. Images of few channels are copied with their borders first, so that a row of
//!   the kernel is one tap. 1 x 1 is the same loop with one tap and one long row.
//! - **Input gradient**: the same loop over the output's gradient, once per phase of the stride.
//! - **Weight gradient** (`conv/weights.rs`): 14 input channels times 32 output channels of sums in registers, over pieces of 128
//!   pixels whose gradients are packed first. Chunks are cut by shape alone and added in order.
//! - **3 x 3 of stride one by Winograd** (`conv/winograd`), F(4 x 4, 3 x 3), where there are at least 16 channels and 64 tiles: all
//!   three passes with a quarter of the products, piece by piece within the second-level cache. Errors stay below 1e-5 of
//!   the largest value (`tests/convolution.rs`).
//! - **Depthwise** (`conv/depthwise.rs`) and **grouped** convolution (`conv/grouped.rs`) go lane by lane: 16 channels times 16 weights.
//! - **Batch normalization** with what follows it (ReLU, or a sum and ReLU) in one pass over the values after that for the
//!   statistics; two passes backward.
//! - **The optimizer's step** is one pass over a parameter, in place.
//! - AVX-512, AVX2 with FMA, or what the build's target has, asked at run time. NEON is left to the compiler: there was no such machine
//!   to test on.
//! - Threads are rayon's. Sums do not depend on how many there are: results are the same to the bit. [`pin_threads`] keeps
//!   each on a processor of its own.
//! - Memory: scratch is kept by each thread (`memory.rs`), outputs come from the allocator, which [`keep_freed_memory`] tells to keep
//!   what is freed; [`LineAligned`] lets them begin on cache lines.
//!
//! # Roofline
//! [`peak_gflops`] measures the roof: 249 GFLOP/s a core on the machine of the measurements, which is two fused multiply-adds of 16
//! floats at 3.9 GHz. A tile of the inner loop loads 16 times for 28 multiply-adds, so the arithmetic units are what limits it as long as
//! the panel of weights comes from the caches: 94 % of the roof alone (a panel in the second-level cache, fetched eight steps ahead; 88 % without
//! that). With one vector of columns (16 output channels) loads and multiply-adds are as many, and 70 % remain. Norms, pooling and the update
//! are limited by memory.
//!
//! # Tried and dropped
//! - Planes (channels first) with vectors along a row, which this crate had before: a third to two thirds of today's rate; the weight
//!   gradient adds up vectors at its end, and narrow maps waste lanes.
//! - 6 x 4 and 8 x 3 vectors of sums in place of 14 x 2: the same rate, and more columns wasted at the end.
//! - Weight gradient without packing the gradients: at 512 channels 130 in place of 185 GFLOP/s a core, because rows a multiple of 2 KB
//!   apart share the sets of the first-level cache.
//! - Half a megabyte of input per piece of work, not counting its output: 1 x 1 layers with many output channels lost a fifth.
//! - Winograd's transforms on arrays of 16 floats: the compiler copies them over the stack; five times as slow as on registers.
//!
//! # Missing
//! Layers of 7 x 7 pixels and small batches use tiles of 7 rows, and load twice as many weights as they should. Packed weights are made again
//! in every step. Evaluation does not fold norms into weights.
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
mod packed;
mod peak;
pub mod pool;
mod recompute;
pub mod response;
mod share;
pub mod softmax;
mod sums;
mod tensor;
mod threads;
mod transpose;
pub mod update;

pub use isa::Isa;
pub use layers::{Given, conv2d, conv2d_then};
pub use memory::{ALIGNED_FROM, LineAligned, keep_freed_memory};
pub use norm::Then;
pub use ops::activation::{add, add_relu, hard_swish, leaky_relu, relu, relu6, sigmoid, silu};
pub use ops::join::{cat_channels, halves, interleave};
pub use ops::linear::linear;
pub use ops::norm::{batch_norm, batch_norm_train, running_statistics};
pub use ops::pool::{adaptive_avg_pool2d, avg_pool2d, global_average, max_pool2d};
pub use ops::response::response_norm;
pub use ops::softmax::cross_entropy;
pub use ops::update::{adam, sgd};
pub use peak::peak_gflops;
pub use recompute::norm_relu_conv;
pub use threads::pin_threads;
pub use update::{Adam, Sgd};
