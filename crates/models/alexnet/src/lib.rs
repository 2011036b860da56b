//! AlexNet.
//!
//! Alex Krizhevsky, Ilya Sutskever, Geoffrey E. Hinton, *ImageNet classification with deep convolutional neural networks*,
//! 2012, <https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks>:
//! [`Version::Paper`]. The paper says 224x224 pixels, but its 55x55 positions behind the first convolution take 227 (or 224
//! and two zeros on every side). As BVLC's reference has it, the input is 227x227 and the first convolution pads nothing.
//!
//! Alex Krizhevsky, *One weird trick for parallelizing convolutional neural networks*, 2014,
//! <https://arxiv.org/abs/1404.5997>, Section 5: [`Version::Torchvision`], the one-tower form for 224x224 pixels, as
//! torchvision has it, from where its weights come: 256 channels in the fourth convolution, and dropout before (not after)
//! the first two linear layers.
//!
//! In neither paper: an average pool to 6x6 before the classifier, so that other input sizes work.

use burn::prelude::*;
use kiln_core::Network;
use kiln_nn::{
    AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, Conv2d, Conv2dConfig, Dropout, DropoutConfig, Initializer,
    Layer, Linear, LinearConfig, LocalResponseNormConfig, Relu, constant_bias, max_pool, padded, sequence,
};

/// The two published networks of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Of 2012: with local response normalization, and three convolutions in two groups (then: on two GPUs).
    Paper,
    /// Of 2014, as torchvision has it.
    Torchvision,
}

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct AlexNetConfig {
    /// One of the two published networks.
    pub version: Version,
    /// Classes to tell apart.
    pub num_classes: usize,
    /// Probability with which a unit is dropped, where the network drops any.
    pub dropout: f64,
}

impl AlexNetConfig {
    /// torchvision's network for `num_classes` classes.
    pub fn new(num_classes: usize) -> Self {
        Self { version: Version::Torchvision, num_classes, dropout: 0.5 }
    }
}

/// The network: five convolutions, three linear layers.
#[derive(Module, Debug)]
pub struct AlexNet {
    features: Vec<Layer>,
    avgpool: AdaptiveAvgPool2d,
    classifier: (Dropout, Linear, Relu, Dropout, Linear, Relu, Linear),
    /// Before the last linear layer, where torchvision's sequence has no place for it.
    dropout: Dropout,
}

impl AlexNetConfig {
    /// A network with fresh weights: the paper's N(0, 0.01), with biases 0 or 1 (Section 5); torchvision's as PyTorch
    /// draws them by default.
    pub fn init(&self, device: &Device) -> AlexNet {
        // Channels, kernel, stride, padding, groups; whether normalized, whether pooled.
        #[rustfmt::skip]
        let rows = match self.version {
            // Section 3.5 and Figure 2.
            Version::Paper => [
                ([3, 96],    11, 4, 0, 1, true,  true),
                ([96, 256],   5, 1, 2, 2, true,  true),
                ([256, 384],  3, 1, 1, 1, false, false),
                ([384, 384],  3, 1, 1, 2, false, false),
                ([384, 256],  3, 1, 1, 2, false, true),
            ],
            Version::Torchvision => [
                ([3, 64],    11, 4, 2, 1, false, true),
                ([64, 192],   5, 1, 2, 1, false, true),
                ([192, 384],  3, 1, 1, 1, false, false),
                ([384, 256],  3, 1, 1, 1, false, false),
                ([256, 256],  3, 1, 1, 1, false, true),
            ],
        };
        // Section 5.
        let biases = [0.0, 1.0, 0.0, 1.0, 1.0];
        let mut features = Vec::new();
        for (row, bias) in rows.into_iter().zip(biases) {
            let (channels, kernel, stride, padding, groups, normalized, pooled) = row;
            let config = Conv2dConfig::new(channels, [kernel; 2]);
            let config = config.with_stride([stride; 2]).with_padding(padded(padding)).with_groups(groups);
            features.push(Layer::Conv(self.conv(config, bias, device)));
            features.push(Layer::Relu(Relu::new()));
            if normalized {
                // Section 3.3: n = 5, k = 2, alpha = 1e-4, beta = 0.75. The layer divides alpha by n, the paper does not.
                let norm = LocalResponseNormConfig::new(5).with_k(2.0).with_alpha(5.0 * 1e-4).with_beta(0.75);
                features.push(Layer::ResponseNorm(norm.init()));
            }
            if pooled {
                features.push(Layer::MaxPool(max_pool(3, 2).init()));
            }
        }
        // Section 4.2 drops what the first two linear layers give; torchvision what they get.
        let dropout = |probability| DropoutConfig::new(probability).init();
        let [drop6, drop7, drop8] = match self.version {
            Version::Paper => [0.0, self.dropout, self.dropout].map(dropout),
            Version::Torchvision => [self.dropout, self.dropout, 0.0].map(dropout),
        };
        AlexNet {
            features,
            avgpool: AdaptiveAvgPool2dConfig::new([6, 6]).init(),
            classifier: (
                drop6,
                self.linear([256 * 6 * 6, 4096], 1.0, device),
                Relu::new(),
                drop7,
                self.linear([4096, 4096], 1.0, device),
                Relu::new(),
                self.linear([4096, self.num_classes], 0.0, device),
            ),
            dropout: drop8,
        }
    }

    /// `bias` is the paper's.
    fn conv(&self, config: Conv2dConfig, bias: f64, device: &Device) -> Conv2d {
        match self.version {
            Version::Paper => Conv2d {
                bias: constant_bias(bias, config.channels[1], device),
                ..config.with_initializer(NORMAL).init(device)
            },
            Version::Torchvision => config.init(device),
        }
    }

    /// `bias` is the paper's.
    fn linear(&self, channels: [usize; 2], bias: f64, device: &Device) -> Linear {
        let config = LinearConfig::new(channels[0], channels[1]);
        match self.version {
            Version::Paper => Linear {
                bias: constant_bias(bias, channels[1], device),
                ..config.with_initializer(NORMAL).init(device)
            },
            Version::Torchvision => config.init(device),
        }
    }
}

/// Section 5.
const NORMAL: Initializer = Initializer::Normal { mean: 0.0, std: 0.01 };

impl AlexNet {
    /// What the convolutional part gives, before the average pool.
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` to `[batch, 256, rows, columns]`: 6x6 from the published sizes, at about 1/32
    pub fn features(&self, images: Tensor<4>) -> Tensor<4> {
        sequence(&self.features, images)
    }
}

impl Network for AlexNet {
    type Output = Tensor<2>;

    /// # Shapes
    /// `[batch, 3, height, width]` to logits `[batch, num_classes]`; 227 pixels a side in the paper, at least 67; 224 in
    /// torchvision, at least 63
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let (drop6, fc6, relu6, drop7, fc7, relu7, fc8) = &self.classifier;
        let x = self.features(images);
        let x = self.avgpool.forward(x).flatten(1, 3);
        let x = relu6.forward(fc6.forward(drop6.forward(x)));
        let x = relu7.forward(fc7.forward(drop7.forward(x)));
        fc8.forward(self.dropout.forward(x))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;
    use kiln_core::{learnable_parameters, without_gradient};

    use super::*;

    fn paper(num_classes: usize) -> AlexNetConfig {
        AlexNetConfig { version: Version::Paper, ..AlexNetConfig::new(num_classes) }
    }

    #[test]
    fn parameters_and_output_are_the_published_ones() {
        let device = Device::flex();
        let network = AlexNetConfig::new(1000).init(&device);
        // torchvision.models.alexnet: 61,100,840.
        assert_eq!(learnable_parameters(&network), 61_100_840);
        assert_eq!(network.forward(Tensor::zeros([1, 3, 224, 224], &device)).dims(), [1, 1000]);
        // The smallest side the three pools leave a pixel of: 63 -> 15 -> 7 -> 3 -> 1.
        assert_eq!(network.forward(Tensor::zeros([1, 3, 63, 63], &device)).dims(), [1, 1000]);
    }

    #[test]
    fn the_network_of_the_paper_has_its_parameters_and_sizes() {
        let device = Device::flex();
        let network = paper(1000).init(&device);
        // Weights of Figure 2's layers, then biases.
        let conv = 96 * 3 * 121 + 256 * 48 * 25 + 384 * 256 * 9 + 384 * 192 * 9 + 256 * 192 * 9;
        let linear = 9216 * 4096 + 4096 * 4096 + 4096 * 1000;
        let biases = 96 + 256 + 384 + 384 + 256 + 4096 + 4096 + 1000;
        assert_eq!(conv + linear + biases, 60_965_224);
        assert_eq!(learnable_parameters(&network), 60_965_224);
        // 227, or 224 and two zeros on every side: 55 -> 27 -> 13 -> 6.
        for side in [227, 228] {
            let x = network.features(Tensor::zeros([1, 3, side, side], &device));
            assert_eq!(x.dims(), [1, 256, 6, 6], "{side}");
        }
        // Any other size comes to 6x6 by the average pool; the smallest: 67 -> 15 -> 7 -> 3 -> 1.
        for side in [67, 224] {
            assert_eq!(
                network.forward(Tensor::zeros([1, 3, side, side], &device)).dims(),
                [1, 1000],
                "{side}"
            );
        }
    }

    #[test]
    fn the_papers_fresh_weights_are_those_of_section_5() {
        let device = Device::flex();
        let network = paper(10).init(&device);
        let (_, fc6, _, _, fc7, _, fc8) = &network.classifier;
        let convs = network.features.iter().filter_map(|layer| match layer {
            Layer::Conv(conv) => conv.bias.as_ref(),
            _ => None,
        });
        let biases = convs.chain([fc6, fc7, fc8].into_iter().filter_map(|linear| linear.bias.as_ref()));
        let ranges = biases.map(|bias| [bias.val().min(), bias.val().max()].map(|x| x.into_scalar::<f32>()));
        // Ones in the second, fourth and fifth convolution and in the hidden linear layers.
        let expected = [0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0].map(|bias: f32| [bias; 2]);
        assert_eq!(ranges.collect::<Vec<_>>(), expected);
        let weights = fc8.weight.val().flatten::<1>(0, 1);
        assert!(weights.clone().mean().into_scalar::<f32>().abs() < 3e-4); // of 40,960: 6 standard errors
        assert!((weights.var(0).sqrt().into_scalar::<f32>() / 0.01 - 1.0).abs() < 0.02);
    }

    #[test]
    fn every_parameter_of_the_papers_network_receives_a_gradient() {
        let device = Device::flex().autodiff();
        let network = paper(10).init(&device);
        let images = Tensor::random([2, 3, 131, 131], Distribution::Normal(0.0, 1.0), &device);
        let loss = (network.forward(images) * Tensor::random([2, 10], Distribution::Default, &device)).sum();
        let gradients = loss.backward();
        assert_eq!(without_gradient(&network, &gradients), Vec::<String>::new());
    }
}
