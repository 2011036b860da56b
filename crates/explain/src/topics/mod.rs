//! The topics, in the order in which they are best read.

mod activations;
pub mod adam_sins;
mod anchors;
mod backprop;
pub mod batch_size;
mod box_regression;
pub mod cnn_backprop;
mod corners;
pub mod cost;
mod dense;
pub mod depthwise;
mod dilated;
mod dropout;
pub mod ema;
pub mod flops;
pub mod grouped;
mod inception_cost;
mod iou_losses;
pub mod linear_regions;
mod nms;
mod nondifferentiable;
mod normalization;
pub mod one_by_one;
pub mod optimizers;
mod photograph;
mod pooling;
pub mod receptive_field;
mod residual;
mod segmentation_kinds;
pub mod shared_weights;
mod shuffle;
mod small;
mod sobel;
mod surface;
pub mod three_for_five;
mod timed;
pub mod training_loop;
mod transposed;
mod upsampling;
mod values;
mod walker;

use image::RgbImage;

use crate::page::{Formula, Page};

pub use backprop::{Passed, ThreeLayers, WORKED};
pub use dilated::paths;
pub use inception_cost::reduced;
pub use photograph::of_images;
pub use residual::variance_shift;
pub use segmentation_kinds::panoptic_quality;
pub use surface::{SURFACES, Surface};

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
    explain: fn(seed: u64) -> Page,
}

impl Topic {
    /// Computes it. What is random comes from the seed; topics that look at an image ([`of_images`]) look at this one, else at
    /// one of `shapes`.
    pub fn page(&self, seed: u64, image: Option<&RgbImage>) -> Page {
        let mut page = (self.explain)(seed);
        page.figures.extend(photograph::figure(self.name, seed, image));
        page
    }
}

/// All of them.
pub const TOPICS: &[Topic] = &[
    backprop::TOPIC,
    cnn_backprop::TOPIC,
    training_loop::TOPIC,
    batch_size::TOPIC,
    receptive_field::TOPIC,
    pooling::TOPIC,
    sobel::TOPIC,
    flops::TOPIC,
    shared_weights::TOPIC,
    nondifferentiable::TOPIC,
    linear_regions::TOPIC,
    activations::TOPIC,
    normalization::TOPIC,
    optimizers::TOPIC,
    adam_sins::TOPIC,
    ema::TOPIC,
    dropout::TOPIC,
    one_by_one::TOPIC,
    three_for_five::TOPIC,
    inception_cost::TOPIC,
    residual::TOPIC,
    dense::TOPIC,
    shuffle::TOPIC,
    grouped::TOPIC,
    depthwise::TOPIC,
    dilated::TOPIC,
    transposed::TOPIC,
    upsampling::TOPIC,
    nms::TOPIC,
    anchors::TOPIC,
    box_regression::TOPIC,
    iou_losses::TOPIC,
    segmentation_kinds::TOPIC,
];

/// A formula for pages and for the terminal.
fn formula(latex: &'static str, text: &'static str) -> Formula {
    Formula { latex, text }
}

/// A distance between two results: its size, or that there is none.
fn distance(value: f32) -> String {
    if value == 0.0 { "0".into() } else { format!("{value:.0e}") }
}
