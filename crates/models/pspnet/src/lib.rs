//! PSPNet.
//!
//! Hengshuang Zhao, Jianping Shi, Xiaojuan Qi, Xiaogang Wang, Jiaya Jia, *Pyramid scene parsing network*, 2016,
//! <https://arxiv.org/abs/1612.01105>.
//!
//! The ResNet is torchvision's, whose weights fit; the authors' has three 3x3 convolutions before its first pool in place of
//! one 7x7. Names of weights behind it are those of the authors' semseg.

use burn::prelude::*;
use kiln_core::{LabelLogits, Network};
use kiln_fcn::{FcnHead, fcn_head, score};
use kiln_nn::{
    AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, BatchNorm, BatchNormConfig, Conv2d, Conv2dConfig, Corners,
    DropoutConfig, Relu, bilinear, cat_channels, conv, conv_norm_relu,
};
use kiln_resnet::{Backbone, Depth, ResNetConfig};

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct PspNetConfig {
    /// Of the ResNet; the paper has 50 to 269.
    pub depth: Depth,
    /// Classes to tell apart.
    pub num_classes: usize,
    /// All channels inside are divided by this. 1 is as published.
    pub narrower: usize,
}

/// The network of Figure 3: a ResNet at 1/8 of the images' sides, means over the image's parts beside its map, and an
/// auxiliary head on its third stage.
#[derive(Module, Debug)]
pub struct PspNet {
    backbone: Backbone,
    ppm: Pyramid,
    cls: FcnHead,
    aux: FcnHead,
}

/// Means of 1, 4, 9 and 36 parts of the map, each with a quarter of its channels, enlarged to its size.
#[derive(Module, Debug)]
struct Pyramid {
    features: Vec<(AdaptiveAvgPool2d, Conv2d, BatchNorm)>,
}

impl PspNetConfig {
    /// A network with fresh weights: the ResNet's as its own, the others as PyTorch draws them by default.
    pub fn init(&self, device: &Device) -> PspNet {
        let Self { depth, num_classes, narrower } = *self;
        let backbone = ResNetConfig { dilated_stages: 2, narrower, ..ResNetConfig::new(depth, 0) };
        let [.., c4, c5] = backbone.channels();
        // Section 3.2.
        let level = |bins| {
            let pool = AdaptiveAvgPool2dConfig::new([bins; 2]).init();
            (pool, conv([c5, c5 / 4], 1, 1).init(device), BatchNormConfig::new(c5 / 4).init(device))
        };
        let inside = 512 / narrower;
        PspNet {
            backbone: backbone.init_backbone(device),
            ppm: Pyramid { features: [1, 2, 3, 6].map(level).into() },
            cls: (
                conv([2 * c5, inside], 3, 1).init(device),
                BatchNormConfig::new(inside).init(device),
                Relu::new(),
                DropoutConfig::new(0.1).init(),
                Conv2dConfig::new([inside, num_classes], [1, 1]).init(device),
            ),
            aux: fcn_head([c4, num_classes], device),
        }
    }
}

impl Network for PspNet {
    type Output = LabelLogits;

    /// # Shapes
    /// `[batch, 3, height, width]` (473 pixels a side in the paper, `8 n + 1` best) to logits
    /// `[batch, num_classes, height, width]`
    fn forward(&self, images: Tensor<4>) -> LabelLogits {
        let [.., height, width] = images.dims();
        let [.., c5] = self.backbone.features(images);
        bilinear(score(&self.cls, self.ppm.forward(c5)), [height, width], Corners::Centres).into()
    }

    /// With the auxiliary head; the paper weighs its loss by 0.4.
    fn forward_train(&self, images: Tensor<4>) -> LabelLogits {
        let [.., height, width] = images.dims();
        let [.., c4, c5] = self.backbone.features(images);
        let [main, auxiliary] = [score(&self.cls, self.ppm.forward(c5)), score(&self.aux, c4)]
            .map(|scores| bilinear(scores, [height, width], Corners::Centres));
        LabelLogits { main, auxiliary: vec![auxiliary] }
    }
}

impl Pyramid {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [.., height, width] = x.dims();
        let levels = self.features.iter().map(|(pool, conv, norm)| {
            let means = conv_norm_relu(conv, norm, pool.forward(x.clone()));
            bilinear(means, [height, width], Corners::Centres)
        });
        cat_channels([x.clone()].into_iter().chain(levels).collect())
    }
}

#[cfg(test)]
mod tests {
    use kiln_core::learnable_parameters;

    use super::*;

    #[test]
    fn parameters_are_those_of_the_paper_on_torchvisions_resnet() {
        let device = Device::flex();
        // The ResNet without its 2,049,000 of the linear layer; the pyramid, the head, the scores; the auxiliary head.
        let pyramid = 4 * (2048 * 512 + 2 * 512);
        let head = 4096 * 512 * 9 + 2 * 512 + 21 * (512 + 1);
        let auxiliary = 1024 * 256 * 9 + 2 * 256 + 21 * (256 + 1);
        let rows = [
            (Depth::D50, 25_557_032, [46_592_597, 48_957_802]),
            (Depth::D101, 44_549_160, [65_584_725, 67_949_930]),
        ];
        for (depth, resnet, [main, all]) in rows {
            assert_eq!(resnet - 2_049_000 + pyramid + head, main);
            assert_eq!(main + auxiliary, all);
            let network = PspNetConfig { depth, num_classes: 21, narrower: 1 }.init(&device);
            assert_eq!(learnable_parameters(&network), all, "{depth:?}");
        }
    }

    #[test]
    fn images_of_any_size_get_labels_of_their_size() {
        let device = Device::flex();
        let network = PspNetConfig { depth: Depth::D18, num_classes: 3, narrower: 8 }.init(&device);
        for [height, width] in [[73, 57], [64, 40], [1, 9]] {
            let images = Tensor::zeros([1, 3, height, width], &device);
            let logits = network.forward_train(images.clone());
            assert_eq!(logits.main.dims(), [1, 3, height, width]);
            assert_eq!(logits.auxiliary[0].dims(), [1, 3, height, width]);
            assert!(network.forward(images).main.into_data() == logits.main.into_data());
        }
    }

    #[test]
    fn the_pyramids_first_level_is_the_mean_everywhere() {
        let device = Device::flex();
        let network = PspNetConfig { depth: Depth::D18, num_classes: 3, narrower: 8 }.init(&device);
        let x = Tensor::random([1, 64, 9, 7], burn::tensor::Distribution::Default, &device);
        let all = network.ppm.forward(x.clone());
        assert_eq!(all.dims(), [1, 128, 9, 7]);
        let same = (all.clone().narrow(1, 0, 64) - x).abs().max().into_scalar::<f32>();
        let first = all.narrow(1, 64, 16);
        let spread = first.clone().max_dim(2).max_dim(3) - first.min_dim(2).min_dim(3);
        assert_eq!([same, spread.abs().max().into_scalar::<f32>()], [0.0, 0.0]);
    }
}
