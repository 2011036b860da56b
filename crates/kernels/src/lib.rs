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
//! - **Convolution is a product of gathered rows** (`conv/tile.rs`, `conv/dense.rs`). A tile of pixels times two vectors of channels
//!   stays in registers: 14 x 32 sums in 28 of AVX-512's 32 registers, 6 x 16 in 12 of AVX2's 16. For every tap and input
//!   channel two vectors of packed weights are loaded and a float of each pixel is broadcast. The pixels are found by
//!   pointers, made once for a piece of work and used for all its weights (Dukhan 2019, *The indirect convolution algorithm*,
//!   <https://arxiv.org/abs/1907.02129>): columns of im2col are never written, all strides, paddings and dilations are the same
//!   loop, tiles are full even on maps of 7 x 7, and a pixel beyond the border is a row of zeros. A tap that a whole tile misses is
//!   skipped; on small maps tiles go along the border, so that many are. Images of few channels are copied with their
//!   borders first, so that a row of the kernel is one tap. 1 x 1 is the same loop with one tap.
//! - **Input gradient**: the same loop over the output's gradient, once per phase of the stride.
//! - **Weight gradient** (`conv/weights.rs`): a tile of input channels times two vectors of output channels of sums in registers,
//!   over pieces of 128 pixels whose gradients, and whose inputs where there are many channels, are packed first. Chunks are
//!   cut by shape alone and added in order.
//! - **3 x 3 of stride one by Winograd** (`conv/winograd`), F(4 x 4, 3 x 3), where there are at least 16 channels and 48 tiles: all
//!   three passes with a quarter of the products, piece by piece within the second-level cache. Errors stay below 1e-5 of
//!   the largest value (`tests/convolution.rs`).
//! - **Depthwise** (`conv/depthwise.rs`) and **grouped** convolution (`conv/grouped.rs`) go lane by lane: a vector of channels times as
//!   many weights.
//! - **Batch normalization** with what follows it (ReLU, or a sum and ReLU) in one pass over the values after that for the
//!   statistics; two passes backward. In evaluation there is no pass at all: [`conv2d_then`] multiplies, adds and rectifies sums
//!   before they are written.
//! - **Packed weights** are kept by networks that answer (`packed.rs`): weights that are met a second time.
//! - **The optimizer's step** is one pass over a parameter, in place.
//! - AVX-512, AVX2 with FMA, or what the build's target has, asked at run time. NEON is left to the compiler (vectors of four
//!   floats): there was no such machine to test on.
//! - Threads are rayon's. Sums do not depend on how many there are: results are the same to the bit. [`pin_threads`] keeps
//!   each on a processor of its own.
//! - Memory: scratch is kept by each thread (`memory.rs`), outputs come from the allocator, which [`keep_freed_memory`] tells to keep
//!   what is freed; [`LineAligned`] lets them begin on cache lines.
//!
//! # Roofline
//! [`peak_gflops`] measures the roof: 249 GFLOP/s a core with AVX-512 at 3.9 GHz on one machine of the measurements, 98 with AVX2 at
//! 3.1 GHz on the other; that is two fused multiply-adds a cycle. A tile of the inner loop loads 16 times for 28 multiply-adds (AVX2: 8 for
//! 12), so the arithmetic units are what limits it as long as the panel of weights comes from the caches: 94 % of the roof alone with either (a panel in
//! the second-level cache, fetched eight steps ahead; AVX-512 without that 88 %). With one vector of columns loads and
//! multiply-adds are as many, and 70 % remain. Norms, pooling and the update are limited by memory.
//!
//! # Tried and dropped
//! - Planes (channels first) with vectors along a row, which this crate had before: a third to two thirds of today's rate; the weight
//!   gradient adds up vectors at its end, and narrow maps waste lanes.
//! - Tiles of 14 rows for AVX2, in blocks of six: a third of today's rate. 6 x 4 and 8 x 3 vectors of sums for AVX-512: the same
//!   rate, and more columns wasted at the end.
//! - Tiles within one row of pixels: on 7 x 7 maps half empty, with twice the weights loaded.
//! - Weight gradient without packing: rows a multiple of 256 bytes apart share sets of the first-level cache (512 to 1024 channels on
//!   AVX2: 70 in place of 122 GFLOP/s).
//! - Asking glibc for aligned blocks: it never gives a freed one of the same size again, and a VGG's step took 1.8 GB in place of 1.2.
//! - Winograd's transforms on arrays of 16 floats: the compiler copies them over the stack; five times as slow as on registers.
//!
//! # Missing
//! Packed weights are made again in every step of training. Depthwise convolutions apply ReLU in a pass of its own.
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
pub use layers::{Given, conv2d, conv2d_then, is_recorded};
pub use memory::{ALIGNED_FROM, LineAligned, keep_freed_memory};
pub use norm::Then;
pub use ops::activation::{add, add_relu, hard_swish, leaky_relu, mish, relu, relu6, sigmoid, silu};
pub use ops::join::{cat_channels, halves, interleave};
pub use ops::linear::linear;
pub use ops::norm::{batch_norm, batch_norm_train, running_statistics};
pub use ops::pool::{adaptive_avg_pool2d, avg_pool2d, global_average, max_pool2d};
pub use ops::response::response_norm;
pub use ops::softmax::{cross_entropy, weighted_cross_entropy};
pub use ops::update::{adam, sgd};
pub use peak::peak_gflops;
pub use recompute::norm_relu_conv;
pub use threads::pin_threads;
pub use update::{Adam, Sgd};
