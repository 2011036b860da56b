//! DeepLab v3, as torchvision has it.

use burn::prelude::*;
use kiln_core::{LabelLogits, Network};
use kiln_fcn::{FcnHead, fcn_head, score};
use kiln_nn::{
    BatchNorm, BatchNormConfig, Conv2d, Conv2dConfig, Corners, Relu, bilinear, conv, conv_norm_relu,
};
use kiln_resnet::{Backbone, Depth, ResNetConfig};

use crate::aspp::{Aspp, OutputStride};

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct DeepLabV3Config {
    /// Of the ResNet; torchvision has 50 and 101.
    pub depth: Depth,
    /// By how much the ResNet makes images smaller; torchvision has 1/8, the paper trains at 1/16.
    pub output_stride: OutputStride,
    /// Classes to tell apart.
    pub num_classes: usize,
    /// All channels inside are divided by this. 1 is as published.
    pub narrower: usize,
}

/// A ResNet at 1/8 or 1/16 of the images' sides, the pyramid, a 3x3 convolution, scores; and an auxiliary
/// head on the third stage.
#[derive(Module, Debug)]
pub struct DeepLabV3 {
    backbone: Backbone,
    classifier: (Aspp, Conv2d, BatchNorm, Relu, Conv2d),
    aux_classifier: FcnHead,
}

impl DeepLabV3Config {
    /// A network with fresh weights: the ResNet's as its own, the others as PyTorch draws them by default.
    pub fn init(&self, device: &Device) -> DeepLabV3 {
        let Self { depth, output_stride, num_classes, narrower } = *self;
        let (dilated_stages, rates) = output_stride.dilated();
        let backbone = ResNetConfig { dilated_stages, narrower, ..ResNetConfig::new(depth, 0) };
        let [.., c4, c5] = backbone.channels();
        let inside = 256 / narrower;
        DeepLabV3 {
            backbone: backbone.init_backbone(device),
            classifier: (
                Aspp::new([c5, inside], rates, device),
                conv([inside; 2], 3, 1).init(device),
                BatchNormConfig::new(inside).init(device),
                Relu::new(),
                Conv2dConfig::new([inside, num_classes], [1, 1]).init(device),
            ),
            aux_classifier: fcn_head([c4, num_classes], device),
        }
    }
}

impl Network for DeepLabV3 {
    type Output = LabelLogits;

    /// # Shapes
    /// `[batch, 3, height, width]` (520 pixels a side in torchvision) to logits `[batch, num_classes, height, width]`
    fn forward(&self, images: Tensor<4>) -> LabelLogits {
        let [.., height, width] = images.dims();
        let [.., c5] = self.backbone.features(images);
        bilinear(self.scores(c5), [height, width], Corners::Edges).into()
    }

    /// With the auxiliary head; torchvision weighs its loss by a half.
    fn forward_train(&self, images: Tensor<4>) -> LabelLogits {
        let [.., height, width] = images.dims();
        let [.., c4, c5] = self.backbone.features(images);
        let [main, auxiliary] = [self.scores(c5), score(&self.aux_classifier, c4)]
            .map(|scores| bilinear(scores, [height, width], Corners::Edges));
        LabelLogits { main, auxiliary: vec![auxiliary] }
    }
}

impl DeepLabV3 {
    fn scores(&self, x: Tensor<4>) -> Tensor<4> {
        let (aspp, conv, norm, _, scores) = &self.classifier;
        scores.forward(conv_norm_relu(conv, norm, aspp.forward(x)))
    }
}

#[cfg(test)]
mod tests {
    use kiln_core::learnable_parameters;

    use super::*;

    #[test]
    fn parameters_are_the_published_ones() {
        let device = Device::flex();
        // torchvision, num_params of DeepLabV3_ResNet50_Weights and DeepLabV3_ResNet101_Weights; without the auxiliary head as
        // torchvision counts with `aux_loss=False`.
        let rows = [(Depth::D50, 42_004_074, 39_638_869), (Depth::D101, 60_996_202, 58_630_997)];
        for (depth, all, without) in rows {
            let config =
                |output_stride| DeepLabV3Config { depth, output_stride, num_classes: 21, narrower: 1 };
            let network = config(OutputStride::S8).init(&device);
            assert_eq!(learnable_parameters(&network), all, "{depth:?}");
            assert_eq!(all - learnable_parameters(&network.aux_classifier), without, "{depth:?}");
        }
    }

    #[test]
    fn the_networks_own_answer_is_the_same_with_and_without_the_auxiliary_head() {
        let device = Device::flex();
        let network = DeepLabV3Config {
            depth: Depth::D50,
            output_stride: OutputStride::S16,
            num_classes: 5,
            narrower: 8,
        };
        let network = network.init(&device);
        let images = Tensor::random([2, 3, 41, 30], burn::tensor::Distribution::Default, &device);
        let logits = network.forward(images.clone());
        assert!(logits.auxiliary.is_empty());
        let both = network.forward_train(images);
        let [.., c5] = network.backbone.features(Tensor::zeros([1, 3, 64, 48], &device));
        assert_eq!(c5.dims(), [1, 256, 4, 3]);
        assert_eq!([both.main.dims(), both.auxiliary[0].dims()], [[2, 5, 41, 30]; 2]);
        assert!(logits.main.into_data() == both.main.into_data());
    }
}
