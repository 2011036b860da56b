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

/// What a segmenter says of a batch.
#[derive(Debug, Clone)]
pub struct LabelLogits {
    /// `[batch, num_classes, height, width]`: a number a class for every pixel of the images.
    pub main: Tensor<4>,
    /// What auxiliary heads say while the network trains, each of the same shape.
    pub auxiliary: Vec<Tensor<4>>,
}

impl From<Tensor<4>> for LabelLogits {
    fn from(main: Tensor<4>) -> Self {
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
