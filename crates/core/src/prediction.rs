//! What networks say of images.

use burn::prelude::*;

use crate::BoundingBox;

/// What a classifier says of a batch.
#[derive(Debug, Clone)]
pub struct Logits {
    /// `[batch, num_classes]`
    pub main: Tensor<2>,
    /// What auxiliary classifiers say while the network trains, each `[batch, num_classes]`.
    pub auxiliary: Vec<Tensor<2>>,
}

impl From<Tensor<2>> for Logits {
    fn from(main: Tensor<2>) -> Self {
        Self { main, auxiliary: Vec::new() }
    }
}

/// A class and how probable it is.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassProbability {
    /// The class.
    pub class: usize,
    /// Between 0 and 1.
    pub probability: f32,
}

/// An object that a network found.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// Its class.
    pub class: usize,
    /// Between 0 and 1.
    pub score: f32,
    /// The box around it, in pixels.
    pub bounding_box: BoundingBox,
}
