//! What networks say of images.

use burn::prelude::*;

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
