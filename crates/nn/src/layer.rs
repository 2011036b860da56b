//! One step of a feature extractor that is a plain sequence.

use burn::prelude::*;

use crate::{BatchNorm, Conv2d, LocalResponseNorm, MaxPool2d, Relu, conv_norm_relu, conv_relu, relu};

/// One step of a plain sequence: `Vec<Layer>` has the index of every step in its weights' names, as PyTorch's
/// `Sequential` has (`features.3.weight`).
#[derive(Module, Debug)]
pub enum Layer {
    /// A convolution.
    Conv(Conv2d),
    /// A normalization over the batch.
    Norm(BatchNorm),
    /// A normalization by the neighbouring channels.
    ResponseNorm(LocalResponseNorm),
    /// Negative values become zero.
    Relu(Relu),
    /// The maximum of each window.
    MaxPool(MaxPool2d),
}

/// Every layer of what the one before gives. A convolution, the normalization and the ReLU behind it are one step.
///
/// # Shapes
/// `[batch, channels, height, width]`, all but `batch` as the layers change them.
pub fn sequence(layers: &[Layer], x: Tensor<4>) -> Tensor<4> {
    match layers {
        [] => x,
        [Layer::Conv(conv), Layer::Norm(norm), Layer::Relu(_), rest @ ..] => {
            sequence(rest, conv_norm_relu(conv, norm, x))
        }
        [Layer::Conv(conv), Layer::Relu(_), rest @ ..] => sequence(rest, conv_relu(conv, x)),
        [Layer::Norm(norm), Layer::Relu(_), rest @ ..] => sequence(rest, norm.forward_relu(x)),
        [layer, rest @ ..] => sequence(rest, layer.forward(x)),
    }
}

impl Layer {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Conv(layer) => layer.forward(x),
            Self::Norm(layer) => layer.forward(x),
            Self::ResponseNorm(layer) => layer.forward(x),
            Self::Relu(_) => relu(x),
            Self::MaxPool(layer) => layer.forward(x),
        }
    }
}
