//! DeepLab v3+: v3's pyramid, and a decoder that adds the detail of the ResNet's first stage.

use burn::prelude::*;
use kiln_core::{LabelLogits, Network};
use kiln_nn::{
    BatchNorm, BatchNormConfig, Conv2d, Conv2dConfig, Corners, Relu, bilinear, cat_channels, conv,
    conv_norm_relu,
};
use kiln_resnet::{Backbone, Depth, ResNetConfig};

use crate::aspp::{Aspp, OutputStride};

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct DeepLabV3PlusConfig {
    /// Of the ResNet; the paper has 101 (and Xception).
    pub depth: Depth,
    /// By how much the ResNet makes images smaller.
    pub output_stride: OutputStride,
    /// Classes to tell apart.
    pub num_classes: usize,
    /// All channels inside are divided by this. 1 is as published.
    pub narrower: usize,
}

/// The network of Figure 2.
#[derive(Module, Debug)]
pub struct DeepLabV3Plus {
    backbone: Backbone,
    classifier: Decoder,
}

/// What the pyramid says, enlarged to 1/4 of the images' sides, beside 48 channels of the first stage; two 3x3
/// convolutions; scores (Section 3.1 and Table 2).
#[derive(Module, Debug)]
struct Decoder {
    aspp: Aspp,
    project: (Conv2d, BatchNorm),
    classifier: (Conv2d, BatchNorm, Relu, Conv2d, BatchNorm, Relu, Conv2d),
}

impl DeepLabV3PlusConfig {
    /// A network with fresh weights: the ResNet's as its own, the others as PyTorch draws them by default.
    pub fn init(&self, device: &Device) -> DeepLabV3Plus {
        let Self { depth, output_stride, num_classes, narrower } = *self;
        let (dilated_stages, rates) = output_stride.dilated();
        let backbone = ResNetConfig { dilated_stages, narrower, ..ResNetConfig::new(depth, 0) };
        let [c2, .., c5] = backbone.channels();
        let [detail, inside] = [48 / narrower, 256 / narrower];
        let norm = |channels| BatchNormConfig::new(channels).init(device);
        DeepLabV3Plus {
            backbone: backbone.init_backbone(device),
            classifier: Decoder {
                aspp: Aspp::new([c5, inside], rates, device),
                project: (conv([c2, detail], 1, 1).init(device), norm(detail)),
                classifier: (
                    conv([inside + detail, inside], 3, 1).init(device),
                    norm(inside),
                    Relu::new(),
                    conv([inside; 2], 3, 1).init(device),
                    norm(inside),
                    Relu::new(),
                    Conv2dConfig::new([inside, num_classes], [1, 1]).init(device),
                ),
            },
        }
    }
}

impl Network for DeepLabV3Plus {
    type Output = LabelLogits;

    /// # Shapes
    /// `[batch, 3, height, width]` (513 pixels a side in the paper) to logits `[batch, num_classes, height, width]`
    fn forward(&self, images: Tensor<4>) -> LabelLogits {
        let [.., height, width] = images.dims();
        let [c2, .., c5] = self.backbone.features(images);
        bilinear(self.classifier.forward(c2, c5), [height, width], Corners::Edges).into()
    }
}

impl Decoder {
    fn forward(&self, c2: Tensor<4>, c5: Tensor<4>) -> Tensor<4> {
        let [.., height, width] = c2.dims();
        let (conv, norm) = &self.project;
        let detail = conv_norm_relu(conv, norm, c2);
        let x = bilinear(self.aspp.forward(c5), [height, width], Corners::Edges);
        let (conv1, norm1, _, conv2, norm2, _, scores) = &self.classifier;
        let x = conv_norm_relu(conv1, norm1, cat_channels(vec![detail, x]));
        scores.forward(conv_norm_relu(conv2, norm2, x))
    }
}

#[cfg(test)]
mod tests {
    use kiln_core::learnable_parameters;

    use super::*;

    #[test]
    fn parameters_are_those_of_the_papers_decoder_on_a_resnet() {
        let device = Device::flex();
        // The ResNet without its linear layer, by its widest stage: the pyramid's 1x1 convolutions of the map and its mean and
        // its three dilated ones, their projection, 2 numbers a normalized channel.
        let aspp = |c5: usize| (2 + 3 * 9) * c5 * 256 + 5 * 256 * 256 + 6 * 2 * 256;
        let detail = |c2: usize| c2 * 48 + 2 * 48;
        let decoder = 304 * 256 * 9 + 256 * 256 * 9 + 4 * 256 + 21 * (256 + 1);
        let rows = [
            (Depth::D18, 11_689_512 - 513_000, [64, 512], 16_608_181),
            (Depth::D50, 25_557_032 - 2_049_000, [256, 2048], 40_352_181),
            (Depth::D101, 44_549_160 - 2_049_000, [256, 2048], 59_344_309),
        ];
        for (depth, resnet, [c2, c5], params) in rows {
            assert_eq!(resnet + aspp(c5) + detail(c2) + decoder, params, "{depth:?}");
            for output_stride in [OutputStride::S16, OutputStride::S8] {
                let config = DeepLabV3PlusConfig { depth, output_stride, num_classes: 21, narrower: 1 };
                assert_eq!(learnable_parameters(&config.init(&device)), params, "{config:?}");
            }
        }
    }

    #[test]
    fn the_decoder_works_at_a_quarter_of_the_images_sides() {
        let device = Device::flex();
        for (output_stride, deepest) in [(OutputStride::S16, [5, 4]), (OutputStride::S8, [9, 7])] {
            let config =
                DeepLabV3PlusConfig { depth: Depth::D18, output_stride, num_classes: 3, narrower: 8 };
            let network = config.init(&device);
            let [c2, .., c5] = network.backbone.features(Tensor::zeros([1, 3, 65, 49], &device));
            assert_eq!([c2.dims()[2], c2.dims()[3]], [17, 13]);
            assert_eq!([c5.dims()[2], c5.dims()[3]], deepest);
            assert_eq!(network.classifier.forward(c2, c5).dims(), [1, 3, 17, 13]);
        }
    }
}
