//! A model of any kind, and what it says of a batch, as one type each, so that one loop trains them all.

use burn::prelude::*;
use kiln_core::{LabelLogits, Logits, Network, Predictions};

use crate::{Classifier, Detector, Segmenter};

/// A model of any kind. Its weights are named as the network's own.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // There is one of it, not thousands.
pub enum Model {
    /// It says what class an image is of.
    Classifier(Classifier),
    /// It says what objects are in an image.
    Detector(Detector),
    /// It says what class every pixel is of.
    Segmenter(Segmenter),
}

/// What a [`Model`] says of a batch.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // There is one of it a batch.
pub enum Output {
    /// Of a classifier.
    Logits(Logits),
    /// Of a detector.
    Predictions(Predictions),
    /// Of a segmenter.
    Labels(LabelLogits),
}

impl Network for Model {
    type Output = Output;

    fn forward(&self, images: Tensor<4>) -> Output {
        match self {
            Self::Classifier(network) => Output::Logits(network.forward(images)),
            Self::Detector(network) => Output::Predictions(network.forward(images)),
            Self::Segmenter(network) => Output::Labels(network.forward(images)),
        }
    }

    fn forward_train(&self, images: Tensor<4>) -> Output {
        match self {
            Self::Classifier(network) => Output::Logits(network.forward_train(images)),
            Self::Detector(network) => Output::Predictions(network.forward_train(images)),
            Self::Segmenter(network) => Output::Labels(network.forward_train(images)),
        }
    }
}
