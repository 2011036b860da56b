//! VGG.
//!
//! Karen Simonyan, Andrew Zisserman, *Very deep convolutional networks for large-scale image recognition*, 2014,
//! <https://arxiv.org/abs/1409.1556>.
//!
//! Names and first weights are torchvision's, which also has an average pool to 7x7 before the classifier, so that other
//! input sizes than the paper's 224x224 work. Not in the paper: batch normalization, and the head for CIFAR.

use burn::prelude::*;
use kiln_core::Network;
use kiln_nn::{
    AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, BatchNormConfig, Conv2d, Dropout, DropoutConfig, Initializer,
    KAIMING_FAN_OUT, Layer, Linear, LinearConfig, Relu, constant_bias, conv, max_pool, sequence,
};

/// The published depths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// 11 layers of weights: configuration A.
    D11,
    /// 13 layers: B.
    D13,
    /// 16 layers: D.
    D16,
    /// 19 layers: E.
    D19,
}

/// What stands behind the convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// Three linear layers, the first over 7x7 positions: the paper's.
    ImageNet,
    /// One linear layer over the mean of each channel, as is usual where 32x32 pixels leave one position.
    Cifar,
}

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct VggConfig {
    /// One of the published depths.
    pub depth: Depth,
    /// Whether a batch normalization stands behind every convolution.
    pub batch_norm: bool,
    /// What stands behind the convolutions.
    pub head: Head,
    /// Classes to tell apart.
    pub num_classes: usize,
}

/// The network of Table 1.
#[derive(Module, Debug)]
pub struct Vgg {
    features: Vec<Layer>,
    avgpool: AdaptiveAvgPool2d,
    classifier: Classifier,
}

#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // There is one of it, not thousands.
enum Classifier {
    ImageNet((Linear, Relu, Dropout, Linear, Relu, Dropout, Linear)),
    Cifar(Linear),
}

impl VggConfig {
    /// A network with fresh weights: He's normal initialization over the fan-out for convolutions, N(0, 0.01) for linear
    /// layers, biases 0.
    pub fn init(&self, device: &Device) -> Vgg {
        let features = convolutions(self.depth, self.batch_norm, 1, device);
        let linear = |channels: [usize; 2]| {
            let normal = Initializer::Normal { mean: 0.0, std: 0.01 };
            let linear = LinearConfig::new(channels[0], channels[1]).with_initializer(normal).init(device);
            Linear { bias: constant_bias(0.0, channels[1], device), ..linear }
        };
        let dropout = || DropoutConfig::new(0.5).init();
        let (positions, classifier) = match self.head {
            Head::ImageNet => (
                7,
                Classifier::ImageNet((
                    linear([512 * 7 * 7, 4096]),
                    Relu::new(),
                    dropout(),
                    linear([4096, 4096]),
                    Relu::new(),
                    dropout(),
                    linear([4096, self.num_classes]),
                )),
            ),
            Head::Cifar => (1, Classifier::Cifar(linear([512, self.num_classes]))),
        };
        Vgg { features, avgpool: AdaptiveAvgPool2dConfig::new([positions; 2]).init(), classifier }
    }
}

impl Vgg {
    /// What each of the five pools gives.
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` to 64, 128, 256, 512 and 512 channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size, rounded
    /// down
    pub fn features(&self, images: Tensor<4>) -> [Tensor<4>; 5] {
        pools(&self.features, images)
    }
}

/// The convolutional part alone, with fresh weights: five sequences of convolutions, each with a pool behind it, of so
/// many times fewer channels. Other networks stand on it.
pub fn convolutions(depth: Depth, batch_norm: bool, narrower: usize, device: &Device) -> Vec<Layer> {
    // Table 1 of the paper: the channels of the 3x3 convolutions between two pools.
    let stages: [&[usize]; 5] = match depth {
        Depth::D11 => [&[64], &[128], &[256; 2], &[512; 2], &[512; 2]],
        Depth::D13 => [&[64; 2], &[128; 2], &[256; 2], &[512; 2], &[512; 2]],
        Depth::D16 => [&[64; 2], &[128; 2], &[256; 3], &[512; 3], &[512; 3]],
        Depth::D19 => [&[64; 2], &[128; 2], &[256; 4], &[512; 4], &[512; 4]],
    };
    let mut features = Vec::new();
    let mut input = 3;
    for stage in stages {
        for output in stage.iter().map(|channels| channels / narrower) {
            let conv = conv([input, output], 3, 1).with_initializer(KAIMING_FAN_OUT).init(device);
            features.push(Layer::Conv(Conv2d { bias: constant_bias(0.0, output, device), ..conv }));
            if batch_norm {
                features.push(Layer::Norm(BatchNormConfig::new(output).init(device)));
            }
            features.push(Layer::Relu(Relu::new()));
            input = output;
        }
        features.push(Layer::MaxPool(max_pool(2, 2).init()));
    }
    features
}

/// What each of the five pools of such a part gives.
///
/// # Shapes
/// As [`Vgg::features`].
pub fn pools(features: &[Layer], images: Tensor<4>) -> [Tensor<4>; 5] {
    let mut x = images;
    let mut stages = features.split_inclusive(|layer| matches!(layer, Layer::MaxPool(_)));
    std::array::from_fn(|_| {
        x = sequence(stages.next().unwrap_or_default(), x.clone());
        x.clone()
    })
}

impl Network for Vgg {
    type Output = Tensor<2>;

    /// # Shapes
    /// `[batch, 3, height, width]`, at least 32 pixels a side (224 in the paper), to logits `[batch, num_classes]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = sequence(&self.features, images);
        let x = self.avgpool.forward(x).flatten(1, 3);
        self.classifier.forward(x)
    }
}

impl Classifier {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::ImageNet((fc6, relu6, drop6, fc7, relu7, drop7, fc8)) => {
                let x = drop6.forward(relu6.forward(fc6.forward(x)));
                let x = drop7.forward(relu7.forward(fc7.forward(x)));
                fc8.forward(x)
            }
            Self::Cifar(linear) => linear.forward(x),
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_core::learnable_parameters;

    use super::*;

    const DEPTHS: [Depth; 4] = [Depth::D11, Depth::D13, Depth::D16, Depth::D19];

    #[test]
    fn parameters_are_the_published_ones() {
        let device = Device::flex();
        // torchvision.models.vgg* and vgg*_bn, num_params.
        let rows = [
            [132_863_336, 132_868_840],
            [133_047_848, 133_053_736],
            [138_357_544, 138_365_992],
            [143_667_240, 143_678_248],
        ];
        for (depth, row) in DEPTHS.into_iter().zip(rows) {
            for (batch_norm, params) in [false, true].into_iter().zip(row) {
                let head = Head::ImageNet;
                let network = VggConfig { depth, batch_norm, head, num_classes: 1000 }.init(&device);
                assert_eq!(learnable_parameters(&network), params, "{depth:?} {batch_norm}");
            }
        }
        let cifar = VggConfig { depth: Depth::D16, batch_norm: true, head: Head::Cifar, num_classes: 10 }
            .init(&device);
        // 14,714,688 in the convolutions, 2 * 4,224 in the normalizations, 512 * 10 + 10 in the head.
        assert_eq!(learnable_parameters(&cifar), 14_728_266);
    }

    #[test]
    fn the_five_pools_halve_the_sides_rounded_down() {
        let device = Device::flex();
        for depth in DEPTHS {
            let config = VggConfig { depth, batch_norm: false, head: Head::Cifar, num_classes: 10 };
            let network = config.init(&device);
            // 97 -> 48 -> 24 -> 12 -> 6 -> 3, 35 -> 17 -> 8 -> 4 -> 2 -> 1.
            let images = Tensor::zeros([1, 3, 97, 35], &device);
            let dims = network.features(images.clone()).map(|x| x.dims());
            let expected =
                [[1, 64, 48, 17], [1, 128, 24, 8], [1, 256, 12, 4], [1, 512, 6, 2], [1, 512, 3, 1]];
            assert_eq!(dims, expected, "{depth:?}");
            assert_eq!(network.forward(images).dims(), [1, 10], "{depth:?}");
        }
    }

    #[test]
    fn the_papers_head_takes_the_smallest_images() {
        let device = Device::flex();
        let config = VggConfig { depth: Depth::D11, batch_norm: true, head: Head::ImageNet, num_classes: 7 };
        assert_eq!(config.init(&device).forward(Tensor::zeros([1, 3, 32, 32], &device)).dims(), [1, 7]);
    }

    #[test]
    fn fresh_weights_have_torchvisions_spread() {
        let device = Device::flex();
        let config = VggConfig { depth: Depth::D11, batch_norm: false, head: Head::Cifar, num_classes: 100 };
        let network = config.init(&device);
        let std = |weights: Tensor<1>| weights.var(0).sqrt().into_scalar::<f32>();
        let (Layer::Conv(conv), Classifier::Cifar(linear)) = (&network.features[3], &network.classifier)
        else {
            panic!("the second convolution is layer 3");
        };
        // 64 -> 128 channels: sqrt(2 / (128 * 9)) = 0.041667; of 73,728 weights, so 2 % are 7 standard errors.
        assert!((std(conv.weight.val().flatten(0, 3)) / 0.041_667 - 1.0).abs() < 0.02);
        assert!((std(linear.weight.val().flatten(0, 1)) / 0.01 - 1.0).abs() < 0.02);
        for bias in [&conv.bias, &linear.bias] {
            let bias = bias.as_ref().expect("both have a bias").val();
            assert_eq!(bias.abs().max().into_scalar::<f32>(), 0.0);
        }
    }
}
