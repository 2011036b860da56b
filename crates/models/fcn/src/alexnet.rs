//! The paper's network on AlexNet: FCN-AlexNet.

use burn::prelude::*;
use kiln_core::{LabelLogits, Network};
use kiln_nn::{
    Conv2d, Conv2dConfig, ConvTranspose2d, Dropout, DropoutConfig, KAIMING_FAN_IN, Layer,
    LocalResponseNormConfig, Relu, conv_relu, max_pool, padded, sequence,
};

use crate::{cropped, scores};

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct FcnAlexNetConfig {
    /// Classes to tell apart.
    pub num_classes: usize,
    /// All channels inside are divided by this. 1 is as published.
    pub narrower: usize,
}

/// The network of Table 1 that stands on AlexNet, as Caffe's reference has that: pools before normalizations.
#[derive(Module, Debug)]
pub struct FcnAlexNet {
    features: Vec<Layer>,
    fc6: Conv2d,
    fc7: Conv2d,
    score_fr: Conv2d,
    upscore: ConvTranspose2d,
    dropout: Dropout,
}

impl FcnAlexNetConfig {
    /// A network with fresh weights: He's normal initialization, scores of zero, and a transposed convolution that enlarges
    /// bilinearly.
    pub fn init(&self, device: &Device) -> FcnAlexNet {
        let Self { num_classes, narrower } = *self;
        // Channels, kernel, stride, padding, groups; whether pooled and normalized.
        #[rustfmt::skip]
        let rows = [
            ([3, 96],    11, 4, 100, 1, true,  true),
            ([96, 256],   5, 1,   2, 2, true,  true),
            ([256, 384],  3, 1,   1, 1, false, false),
            ([384, 384],  3, 1,   1, 2, false, false),
            ([384, 256],  3, 1,   1, 2, true,  false),
        ];
        let conv = |channels: [usize; 2], kernel| {
            let narrow = channels.map(|count| if count == 3 { 3 } else { count / narrower });
            Conv2dConfig::new(narrow, [kernel; 2]).with_initializer(KAIMING_FAN_IN)
        };
        let mut features = Vec::new();
        for (channels, kernel, stride, padding, groups, pooled, normalized) in rows {
            let conv = conv(channels, kernel).with_stride([stride; 2]).with_padding(padded(padding));
            features.push(Layer::Conv(conv.with_groups(groups).init(device)));
            features.push(Layer::Relu(Relu::new()));
            if pooled {
                features.push(Layer::MaxPool(max_pool(3, 2).with_ceil_mode(true).init()));
            }
            if normalized {
                let norm = LocalResponseNormConfig::new(5).with_alpha(1e-4).with_beta(0.75).with_k(1.0);
                features.push(Layer::ResponseNorm(norm.init()));
            }
        }
        FcnAlexNet {
            features,
            fc6: conv([256, 4096], 6).init(device),
            fc7: conv([4096, 4096], 1).init(device),
            score_fr: scores([4096 / narrower, num_classes], device),
            upscore: ConvTranspose2d::bilinear(num_classes, 63, 32, device),
            dropout: DropoutConfig::new(0.5).init(),
        }
    }
}

impl Network for FcnAlexNet {
    type Output = LabelLogits;

    /// # Shapes
    /// `[batch, 3, height, width]`, of any size, to logits `[batch, num_classes, height, width]`
    fn forward(&self, images: Tensor<4>) -> LabelLogits {
        let [.., height, width] = images.dims();
        let x = sequence(&self.features, images);
        let x = self.dropout.forward(conv_relu(&self.fc6, x));
        let x = self.dropout.forward(conv_relu(&self.fc7, x));
        cropped(self.upscore.forward(self.score_fr.forward(x)), OFFSET, [height, width]).into()
    }
}

/// Where the image begins in the enlarged scores.
const OFFSET: usize = 18;

#[cfg(test)]
mod tests {
    use kiln_core::learnable_parameters;

    use super::*;

    #[test]
    fn parameters_are_those_of_alexnet_and_the_scores() {
        // Weights and biases of the five convolutions, of the linear layers as convolutions, of the score, of the enlargement.
        let convs = 96 * (3 * 121 + 1) + 256 * (48 * 25 + 1) + 384 * (256 * 9 + 1) + 384 * (192 * 9 + 1);
        let convs = convs + 256 * (192 * 9 + 1);
        let hidden = 4096 * (256 * 36 + 1) + 4096 * (4096 + 1);
        let (score, up) = (21 * (4096 + 1), 21 * 21 * 63 * 63);
        assert_eq!(convs + hidden + score + up, 58_704_590);
        let network = FcnAlexNetConfig { num_classes: 21, narrower: 1 }.init(&Device::flex());
        assert_eq!(learnable_parameters(&network), 58_704_590);
    }

    #[test]
    fn the_offset_puts_scores_over_the_pixels_they_are_of() {
        // Pixel i of the first convolution's output lies at 4 i + (11 - 1) / 2 - 100 of the image, of a pool's at 2 i + 1 of
        // its input, of the sixth layer's at i + (6 - 1) / 2.
        let through = |pixel: f64| {
            let pool = |pixel: f64| 2.0 * pixel + 1.0;
            4.0 * pool(pool(pool(pixel + 2.5))) + 5.0 - 100.0
        };
        // The enlargement puts it at 32 i + (63 - 1) / 2.
        for pixel in [0.0, 1.0, 7.0] {
            assert_eq!(32.0 * pixel + 31.0 - through(pixel), OFFSET as f64);
        }
    }

    #[test]
    fn images_of_any_size_get_labels_of_their_size() {
        let device = Device::flex();
        let network = FcnAlexNetConfig { num_classes: 2, narrower: 16 }.init(&device);
        for [height, width] in [[1, 45], [46, 77], [78, 109], [100, 31]] {
            let logits = network.forward(Tensor::zeros([1, 3, height, width], &device)).main;
            assert_eq!(logits.dims(), [1, 2, height, width]);
        }
    }
}
