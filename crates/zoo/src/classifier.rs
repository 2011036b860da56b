//! Every classifier as one type, so that one loop trains them all.

use burn::prelude::*;
use kiln_alexnet::AlexNet;
use kiln_core::{Logits, Network};
use kiln_resnet::{CifarResNet, ResNet};

/// A classifier of any family: images to logits.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // There is one of it, not thousands.
pub enum Classifier {
    /// AlexNet.
    AlexNet(AlexNet),
    /// ResNet for ImageNet.
    ResNet(ResNet),
    /// ResNet for CIFAR.
    CifarResNet(CifarResNet),
}

impl Network for Classifier {
    type Output = Logits;

    /// # Shapes
    /// `[batch, 3, height, width]` to logits `[batch, num_classes]`
    fn forward(&self, images: Tensor<4>) -> Logits {
        let logits = match self {
            Self::AlexNet(network) => network.forward(images),
            Self::ResNet(network) => network.forward(images),
            Self::CifarResNet(network) => network.forward(images),
        };
        logits.into()
    }
}
