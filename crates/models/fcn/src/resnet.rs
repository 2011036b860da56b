//! torchvision's network.

use burn::prelude::*;
use kiln_core::{LabelLogits, Network};
use kiln_nn::{Corners, bilinear};
use kiln_resnet::{Backbone, Depth, ResNetConfig};

use crate::{FcnHead, fcn_head, score};

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct FcnResNetConfig {
    /// Of the ResNet; torchvision has 50 and 101.
    pub depth: Depth,
    /// Classes to tell apart.
    pub num_classes: usize,
    /// All channels inside are divided by this. 1 is as published.
    pub narrower: usize,
}

/// A ResNet at 1/8 of the images' sides with a convolutional head, and an auxiliary one on its third stage.
#[derive(Module, Debug)]
pub struct FcnResNet {
    backbone: Backbone,
    classifier: FcnHead,
    aux_classifier: FcnHead,
}

impl FcnResNetConfig {
    /// A network with fresh weights: the ResNet's as its own, the heads' as PyTorch draws them by default.
    pub fn init(&self, device: &Device) -> FcnResNet {
        let Self { depth, num_classes, narrower } = *self;
        let backbone = ResNetConfig { dilated_stages: 2, narrower, ..ResNetConfig::new(depth, 0) };
        let [.., c4, c5] = backbone.channels();
        FcnResNet {
            backbone: backbone.init_backbone(device),
            classifier: fcn_head([c5, num_classes], device),
            aux_classifier: fcn_head([c4, num_classes], device),
        }
    }
}

impl Network for FcnResNet {
    type Output = LabelLogits;

    /// # Shapes
    /// `[batch, 3, height, width]` (520 pixels a side in torchvision) to logits `[batch, num_classes, height, width]`
    fn forward(&self, images: Tensor<4>) -> LabelLogits {
        let [.., height, width] = images.dims();
        let [.., c5] = self.backbone.features(images);
        bilinear(score(&self.classifier, c5), [height, width], Corners::Edges).into()
    }

    /// With the auxiliary head; torchvision weighs its loss by a half.
    fn forward_train(&self, images: Tensor<4>) -> LabelLogits {
        let [.., height, width] = images.dims();
        let [.., c4, c5] = self.backbone.features(images);
        let [main, auxiliary] = [score(&self.classifier, c5), score(&self.aux_classifier, c4)]
            .map(|scores| bilinear(scores, [height, width], Corners::Edges));
        LabelLogits { main, auxiliary: vec![auxiliary] }
    }
}

#[cfg(test)]
mod tests {
    use kiln_core::learnable_parameters;

    use super::*;

    #[test]
    fn parameters_are_the_published_ones() {
        let device = Device::flex();
        // torchvision, num_params of FCN_ResNet50_Weights and FCN_ResNet101_Weights; without the auxiliary head as torchvision
        // counts with `aux_loss=False`.
        let rows = [(Depth::D50, 35_322_218, 32_957_013), (Depth::D101, 54_314_346, 51_949_141)];
        for (depth, all, without) in rows {
            let network = FcnResNetConfig { depth, num_classes: 21, narrower: 1 }.init(&device);
            assert_eq!(learnable_parameters(&network), all, "{depth:?}");
            assert_eq!(all - learnable_parameters(&network.aux_classifier), without, "{depth:?}");
        }
    }

    #[test]
    fn the_networks_own_answer_is_the_same_with_and_without_the_auxiliary_head() {
        let device = Device::flex();
        let network = FcnResNetConfig { depth: Depth::D50, num_classes: 5, narrower: 8 }.init(&device);
        let images = Tensor::random([2, 3, 40, 33], burn::tensor::Distribution::Default, &device);
        let logits = network.forward(images.clone());
        assert!(logits.auxiliary.is_empty());
        let both = network.forward_train(images);
        assert_eq!([both.main.dims(), both.auxiliary[0].dims()], [[2, 5, 40, 33]; 2]);
        assert!(logits.main.into_data() == both.main.into_data());
    }
}
