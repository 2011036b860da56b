//! Pools: few values in place of many.

mod adaptive;
mod descriptor;
mod learned;
mod max_and_average;
mod random;
mod region;
mod unpool;
mod windows;

pub use adaptive::{AdaptiveMaxPool2d, AdaptiveMaxPool2dConfig, global_max, pyramid_pool};
pub use descriptor::{Square, crow, r_mac, r_mac_squares, unit_length};
pub use learned::{GatedPool2d, GatedPool2dConfig, GemPool, GemPoolConfig, MixedPool2d, MixedPool2dConfig};
pub use max_and_average::{
    AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig,
    max_pool,
};
pub use random::{RandomMixedPool2d, RandomMixedPool2dConfig, StochasticPool2d, StochasticPool2dConfig};
pub use region::{Align, Region, roi_align, roi_pool};
pub use unpool::max_unpool;
pub use windows::{Reduce, WindowPool2d, WindowPool2dConfig, windows};
