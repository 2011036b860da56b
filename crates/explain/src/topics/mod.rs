//! The topics, in the order in which they are best read.

mod activations;
mod anchors;
mod backprop;
mod box_regression;
mod dense;
mod depthwise;
mod dilated;
mod dropout;
mod inception_cost;
mod iou_losses;
mod nms;
mod normalization;
mod pooling;
mod residual;
mod segmentation_kinds;
mod shuffle;
mod sobel;
mod upsampling;

use crate::page::Page;

pub use backprop::{Passed, ThreeLayers, WORKED};
pub use depthwise::distance;
pub use dilated::paths;
pub use inception_cost::reduced;
pub use residual::variance_shift;
pub use segmentation_kinds::panoptic_quality;

/// A concept that can be looked at.
#[derive(Debug, Clone, Copy)]
pub struct Topic {
    /// By which it is asked for, and its page is named.
    pub name: &'static str,
    /// What its page is called.
    pub title: &'static str,
    /// What it is about, in a line.
    pub summary: &'static str,
    /// Computes it; what is random comes from the seed.
    pub explain: fn(seed: u64) -> Page,
}

/// All of them.
pub const TOPICS: &[Topic] = &[
    backprop::TOPIC,
    pooling::TOPIC,
    sobel::TOPIC,
    activations::TOPIC,
    normalization::TOPIC,
    dropout::TOPIC,
    inception_cost::TOPIC,
    residual::TOPIC,
    dense::TOPIC,
    shuffle::TOPIC,
    depthwise::TOPIC,
    dilated::TOPIC,
    upsampling::TOPIC,
    nms::TOPIC,
    anchors::TOPIC,
    box_regression::TOPIC,
    iou_losses::TOPIC,
    segmentation_kinds::TOPIC,
];
