//! The head of torchvision's networks, which others use for their auxiliary scores.

use burn::prelude::*;
use kiln_nn::{
    BatchNorm, BatchNormConfig, Conv2d, Conv2dConfig, Dropout, DropoutConfig, Relu, conv, conv_norm_relu,
};

/// torchvision's `FCNHead`: a 3x3 convolution to a quarter of the channels, normalized; a tenth is dropped; a score for
/// every class. A tuple, so that its layers are numbered as a `Sequential`'s.
pub type FcnHead = (Conv2d, BatchNorm, Relu, Dropout, Conv2d);

/// A head with fresh weights, as PyTorch draws them by default, from so many channels to a score for each of so many
/// classes.
pub fn fcn_head([channels, num_classes]: [usize; 2], device: &Device) -> FcnHead {
    let inside = channels / 4;
    (
        conv([channels, inside], 3, 1).init(device),
        BatchNormConfig::new(inside).init(device),
        Relu::new(),
        DropoutConfig::new(0.1).init(),
        Conv2dConfig::new([inside, num_classes], [1, 1]).init(device),
    )
}

/// What a head says.
///
/// # Shapes
/// `[batch, channels, height, width]` to `[batch, num_classes, height, width]`
pub fn score((conv, norm, _, dropout, scores): &FcnHead, x: Tensor<4>) -> Tensor<4> {
    scores.forward(dropout.forward(conv_norm_relu(conv, norm, x)))
}
