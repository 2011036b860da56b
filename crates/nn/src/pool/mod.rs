//! Pools: few values in place of many.

mod max_and_average;
mod unpool;

pub use max_and_average::{
    AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig,
    max_pool,
};
pub use unpool::max_unpool;
