//! DeepLab v2 on a ResNet.

use burn::prelude::*;
use kiln_core::{LabelLogits, Network};
use kiln_nn::{Conv2d, Corners, Initializer, bilinear, dilated};
use kiln_resnet::{Backbone, Depth, ResNetConfig, Version};

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct DeepLabV2Config {
    /// Of the ResNet; the paper has 101.
    pub depth: Depth,
    /// Classes to tell apart.
    pub num_classes: usize,
    /// All channels inside are divided by this. 1 is as published.
    pub narrower: usize,
}

/// A ResNet of the first version at 1/8 of the images' sides, and four dilated convolutions to scores, which are added: the
/// pyramid of Section 3.2, with the rates of ASPP-L.
#[derive(Module, Debug)]
pub struct DeepLabV2 {
    backbone: Backbone,
    classifier: Vec<Conv2d>,
}

impl DeepLabV2Config {
    /// A network with fresh weights: the ResNet's as its own, the scores' normal with standard deviation 0.01.
    pub fn init(&self, device: &Device) -> DeepLabV2 {
        let Self { depth, num_classes, narrower } = *self;
        let plain = ResNetConfig::new(depth, 0);
        let backbone = ResNetConfig { version: Version::V1, dilated_stages: 2, narrower, ..plain };
        let [.., c5] = backbone.channels();
        let normal = Initializer::Normal { mean: 0.0, std: 0.01 };
        let score = |rate| {
            let conv = dilated([c5, num_classes], rate).with_bias(true);
            conv.with_initializer(normal.clone()).init(device)
        };
        DeepLabV2 { backbone: backbone.init_backbone(device), classifier: [6, 12, 18, 24].map(score).into() }
    }
}

impl Network for DeepLabV2 {
    type Output = LabelLogits;

    /// # Shapes
    /// `[batch, 3, height, width]` (321 pixels a side in the paper, `8 n + 1` best) to logits
    /// `[batch, num_classes, height, width]`
    fn forward(&self, images: Tensor<4>) -> LabelLogits {
        let [.., height, width] = images.dims();
        let [.., c5] = self.backbone.features(images);
        let [first, rest @ ..] = &self.classifier[..] else { panic!("a pyramid without a convolution") };
        let scores = rest.iter().fold(first.forward(c5.clone()), |sum, conv| sum + conv.forward(c5.clone()));
        bilinear(scores, [height, width], Corners::Centres).into()
    }
}

#[cfg(test)]
mod tests {
    use kiln_core::learnable_parameters;

    use super::*;

    #[test]
    fn parameters_are_those_of_a_resnet_and_four_scores() {
        // ResNet-101 without the 2,049,000 of its linear layer; 3x3 convolutions of 2048 channels.
        let params = 44_549_160 - 2_049_000 + 4 * 21 * (2048 * 9 + 1);
        assert_eq!(params, 44_048_532);
        let network = DeepLabV2Config { depth: Depth::D101, num_classes: 21, narrower: 1 };
        assert_eq!(learnable_parameters(&network.init(&Device::flex())), params);
    }

    #[test]
    fn scores_are_at_an_eighth_of_the_images_sides() {
        let device = Device::flex();
        let network = DeepLabV2Config { depth: Depth::D50, num_classes: 3, narrower: 16 }.init(&device);
        let images = Tensor::zeros([1, 3, 65, 41], &device);
        let [.., c5] = network.backbone.features(images.clone());
        assert_eq!(c5.dims(), [1, 128, 9, 6]);
        assert_eq!(network.forward(images).main.dims(), [1, 3, 65, 41]);
    }
}
