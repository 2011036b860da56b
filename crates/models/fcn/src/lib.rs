//! Fully convolutional networks.
//!
//! Jonathan Long, Evan Shelhamer, Trevor Darrell, *Fully convolutional networks for semantic segmentation*, 2014,
//! <https://arxiv.org/abs/1411.4038>, and its longer form of 2016, <https://arxiv.org/abs/1605.06211>.
//!
//! [`FcnVgg`] and [`FcnAlexNet`] are the paper's, as the authors' code has them (fcn.berkeleyvision.org): a hundred zeros
//! around the images, scores enlarged by transposed convolutions, and what is left over cut off. [`FcnResNet`] is
//! torchvision's, from where its weights come: a dilated ResNet, and scores enlarged bilinearly.
//!
//! Otherwise than in the authors' code, every transposed convolution is learnable and begins bilinear; theirs stay so. A
//! recipe can freeze them.

mod alexnet;
mod head;
mod resnet;
mod vgg;

use burn::prelude::*;
use kiln_nn::{Conv2d, Conv2dConfig, Initializer};

pub use alexnet::{FcnAlexNet, FcnAlexNetConfig};
pub use head::{FcnHead, fcn_head, score};
pub use resnet::{FcnResNet, FcnResNetConfig};
pub use vgg::{FcnVgg, FcnVggConfig, Version};

/// Where a label map of `height` times `width` pixels begins in scores that are larger.
fn cropped(x: Tensor<4>, offset: usize, [height, width]: [usize; 2]) -> Tensor<4> {
    x.narrow(2, offset, height).narrow(3, offset, width)
}

/// Scores that say nothing yet: the authors begin with zeros.
fn scores(channels: [usize; 2], device: &Device) -> Conv2d {
    Conv2dConfig::new(channels, [1, 1]).with_initializer(Initializer::Zeros).init(device)
}
