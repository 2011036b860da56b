//! Every segmenter as one type, so that one loop trains them all.

use burn::prelude::*;
use kiln_core::{LabelLogits, Network};
use kiln_deeplab::{
    DeepLabV2, DeepLabV2Config, DeepLabV3, DeepLabV3Config, DeepLabV3Plus, DeepLabV3PlusConfig, DeepLabVgg,
    DeepLabVggConfig, Rates,
};
use kiln_fcn::{FcnAlexNet, FcnAlexNetConfig, FcnResNet, FcnResNetConfig, FcnVgg, FcnVggConfig};
use kiln_pspnet::{PspNet, PspNetConfig};
use kiln_segnet::{SegNet, SegNetConfig};
use kiln_unet::{Borders, UNet, UNetConfig};

/// A segmenter of any family: images to a class for every pixel.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // There is one of it, not thousands.
pub enum Segmenter {
    /// FCN on VGG-16.
    FcnVgg(FcnVgg),
    /// FCN on AlexNet.
    FcnAlexNet(FcnAlexNet),
    /// FCN on a ResNet.
    FcnResNet(FcnResNet),
    /// U-Net.
    UNet(UNet),
    /// SegNet.
    SegNet(SegNet),
    /// DeepLab v1 and v2 on VGG-16.
    DeepLabVgg(DeepLabVgg),
    /// DeepLab v2 on a ResNet.
    DeepLabV2(DeepLabV2),
    /// DeepLab v3.
    DeepLabV3(DeepLabV3),
    /// DeepLab v3+.
    DeepLabV3Plus(DeepLabV3Plus),
    /// PSPNet.
    PspNet(PspNet),
}

impl Network for Segmenter {
    type Output = LabelLogits;

    /// # Shapes
    /// `[batch, 3, height, width]` to logits `[batch, num_classes, height, width]`
    fn forward(&self, images: Tensor<4>) -> LabelLogits {
        match self {
            Self::FcnVgg(network) => network.forward(images),
            Self::FcnAlexNet(network) => network.forward(images),
            Self::FcnResNet(network) => network.forward(images),
            Self::UNet(network) => network.forward(images),
            Self::SegNet(network) => network.forward(images),
            Self::DeepLabVgg(network) => network.forward(images),
            Self::DeepLabV2(network) => network.forward(images),
            Self::DeepLabV3(network) => network.forward(images),
            Self::DeepLabV3Plus(network) => network.forward(images),
            Self::PspNet(network) => network.forward(images),
        }
    }

    /// As [`forward`](Self::forward), with the auxiliary heads of those that have any.
    fn forward_train(&self, images: Tensor<4>) -> LabelLogits {
        match self {
            Self::FcnResNet(network) => network.forward_train(images),
            Self::DeepLabV3(network) => network.forward_train(images),
            Self::PspNet(network) => network.forward_train(images),
            _ => self.forward(images),
        }
    }
}

/// The settings of a segmenter of any family.
#[derive(Debug, Clone)]
pub(crate) enum SegmenterConfig {
    FcnVgg(FcnVggConfig),
    FcnAlexNet(FcnAlexNetConfig),
    FcnResNet(FcnResNetConfig),
    UNet(UNetConfig),
    SegNet(SegNetConfig),
    DeepLabVgg(DeepLabVggConfig),
    DeepLabV2(DeepLabV2Config),
    DeepLabV3(DeepLabV3Config),
    DeepLabV3Plus(DeepLabV3PlusConfig),
    PspNet(PspNetConfig),
}

use SegmenterConfig as S;

impl SegmenterConfig {
    pub fn family(&self) -> &'static str {
        match self {
            S::FcnVgg(_) | S::FcnAlexNet(_) | S::FcnResNet(_) => "FCN",
            S::UNet(_) => "U-Net",
            S::SegNet(_) => "SegNet",
            S::DeepLabVgg(config) if config.rates == Rates::LargeFov => "DeepLab v1",
            S::DeepLabVgg(_) | S::DeepLabV2(_) => "DeepLab v2",
            S::DeepLabV3(_) => "DeepLab v3",
            S::DeepLabV3Plus(_) => "DeepLab v3+",
            S::PspNet(_) => "PSPNet",
        }
    }

    pub fn init(&self, num_classes: usize, device: &Device) -> Segmenter {
        match self.clone() {
            S::FcnVgg(config) => Segmenter::FcnVgg(FcnVggConfig { num_classes, ..config }.init(device)),
            S::FcnAlexNet(config) => {
                Segmenter::FcnAlexNet(FcnAlexNetConfig { num_classes, ..config }.init(device))
            }
            S::FcnResNet(config) => {
                Segmenter::FcnResNet(FcnResNetConfig { num_classes, ..config }.init(device))
            }
            S::UNet(config) => Segmenter::UNet(UNetConfig { num_classes, ..config }.init(device)),
            S::SegNet(config) => Segmenter::SegNet(SegNetConfig { num_classes, ..config }.init(device)),
            S::DeepLabVgg(config) => {
                Segmenter::DeepLabVgg(DeepLabVggConfig { num_classes, ..config }.init(device))
            }
            S::DeepLabV2(config) => {
                Segmenter::DeepLabV2(DeepLabV2Config { num_classes, ..config }.init(device))
            }
            S::DeepLabV3(config) => {
                Segmenter::DeepLabV3(DeepLabV3Config { num_classes, ..config }.init(device))
            }
            S::DeepLabV3Plus(config) => {
                Segmenter::DeepLabV3Plus(DeepLabV3PlusConfig { num_classes, ..config }.init(device))
            }
            S::PspNet(config) => Segmenter::PspNet(PspNetConfig { num_classes, ..config }.init(device)),
        }
    }

    /// The same with so many times fewer channels.
    pub fn narrowed(&self, times: usize) -> Self {
        let mut config = self.clone();
        match &mut config {
            S::FcnVgg(config) => config.narrower *= times,
            S::FcnAlexNet(config) => config.narrower *= times,
            S::FcnResNet(config) => config.narrower *= times,
            S::UNet(config) => config.width = (config.width / times).max(1),
            S::SegNet(config) => config.narrower *= times,
            S::DeepLabVgg(config) => config.narrower *= times,
            S::DeepLabV2(config) => config.narrower *= times,
            S::DeepLabV3(config) => config.narrower *= times,
            S::DeepLabV3Plus(config) => config.narrower *= times,
            S::PspNet(config) => config.narrower *= times,
        }
        config
    }

    /// Classes it was published for.
    pub fn num_classes(&self) -> usize {
        match self {
            S::FcnVgg(config) => config.num_classes,
            S::FcnAlexNet(config) => config.num_classes,
            S::FcnResNet(config) => config.num_classes,
            S::UNet(config) => config.num_classes,
            S::SegNet(config) => config.num_classes,
            S::DeepLabVgg(config) => config.num_classes,
            S::DeepLabV2(config) => config.num_classes,
            S::DeepLabV3(config) => config.num_classes,
            S::DeepLabV3Plus(config) => config.num_classes,
            S::PspNet(config) => config.num_classes,
        }
    }

    /// Height and width of the images it was published for.
    pub fn size(&self) -> [usize; 2] {
        match self {
            // VOC's largest side.
            S::FcnVgg(_) | S::FcnAlexNet(_) => [500, 500],
            S::FcnResNet(_) | S::DeepLabV3(_) => [520, 520],
            // What the paper's tile of 572 gives labels to.
            S::UNet(config) if config.borders == Borders::Valid => [388, 388],
            S::UNet(_) => [512, 512],
            S::SegNet(_) => [360, 480],
            S::DeepLabVgg(_) | S::DeepLabV2(_) => [321, 321],
            S::DeepLabV3Plus(_) => [513, 513],
            S::PspNet(_) => [473, 473],
        }
    }

    /// The layers that a number of classes belongs to, as their weights' names begin; the main scores' first.
    pub fn class_keys(&self) -> &'static [&'static str] {
        match self {
            S::FcnVgg(_) => &[
                "score_fr.",
                "upscore.",
                "skips.0.upscore.",
                "skips.0.score.",
                "skips.1.upscore.",
                "skips.1.score.",
            ],
            S::FcnAlexNet(_) => &["score_fr.", "upscore."],
            S::FcnResNet(_) | S::DeepLabV3(_) => &["classifier.4.", "aux_classifier.4."],
            S::UNet(_) => &["outc.conv."],
            S::SegNet(_) => &["decoder.4.3."],
            S::DeepLabVgg(_) => &["branches.0.fc8.", "branches.1.fc8.", "branches.2.fc8.", "branches.3.fc8."],
            S::DeepLabV2(_) => &["classifier.0.", "classifier.1.", "classifier.2.", "classifier.3."],
            S::DeepLabV3Plus(_) => &["classifier.classifier.6."],
            S::PspNet(_) => &["cls.4.", "aux.4."],
        }
    }
}
