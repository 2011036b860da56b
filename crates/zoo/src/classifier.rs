//! Every classifier as one type, so that one loop trains them all.

use burn::prelude::*;
use kiln_alexnet::AlexNet;
use kiln_core::{Logits, Network};
use kiln_densenet::DenseNet;
use kiln_googlenet::GoogLeNet;
use kiln_resnet::{CifarResNet, CifarResNetV2, ResNet, ResNetV2};
use kiln_shufflenet::ShuffleNetV2;
use kiln_vgg::Vgg;
use kiln_yolo::{CspDarknet53Classifier, Darknet19Classifier, Darknet53Classifier};

/// A classifier of any family: images to logits.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // There is one of it, not thousands.
pub enum Classifier {
    /// AlexNet.
    AlexNet(AlexNet),
    /// VGG.
    Vgg(Vgg),
    /// GoogLeNet.
    GoogLeNet(GoogLeNet),
    /// ResNet for ImageNet.
    ResNet(ResNet),
    /// ResNet v2 for ImageNet.
    ResNetV2(ResNetV2),
    /// ResNet for CIFAR.
    CifarResNet(CifarResNet),
    /// ResNet v2 for CIFAR.
    CifarResNetV2(CifarResNetV2),
    /// DenseNet.
    DenseNet(DenseNet),
    /// ShuffleNet V2.
    ShuffleNetV2(ShuffleNetV2),
    /// Darknet-19.
    Darknet19(Darknet19Classifier),
    /// Darknet-53.
    Darknet53(Darknet53Classifier),
    /// CSPDarknet-53.
    CspDarknet53(CspDarknet53Classifier),
}

impl Network for Classifier {
    type Output = Logits;

    /// # Shapes
    /// `[batch, 3, height, width]` to logits `[batch, num_classes]`
    fn forward(&self, images: Tensor<4>) -> Logits {
        let logits = match self {
            Self::AlexNet(network) => network.forward(images),
            Self::Vgg(network) => network.forward(images),
            Self::GoogLeNet(network) => network.forward(images),
            Self::ResNet(network) => network.forward(images),
            Self::ResNetV2(network) => network.forward(images),
            Self::CifarResNet(network) => network.forward(images),
            Self::CifarResNetV2(network) => network.forward(images),
            Self::DenseNet(network) => network.forward(images),
            Self::ShuffleNetV2(network) => network.forward(images),
            Self::Darknet19(network) => network.forward(images),
            Self::Darknet53(network) => network.forward(images),
            Self::CspDarknet53(network) => network.forward(images),
        };
        logits.into()
    }

    /// As [`forward`](Self::forward), with GoogLeNet's two auxiliary classifiers.
    fn forward_train(&self, images: Tensor<4>) -> Logits {
        match self {
            Self::GoogLeNet(network) => {
                let [main, aux1, aux2] = network.forward_with_aux(images);
                Logits { main, auxiliary: vec![aux1, aux2] }
            }
            _ => self.forward(images),
        }
    }
}
