//! What the network is made of: a convolution with what follows it, an inception module (Figure 2b), an auxiliary head.

use burn::prelude::*;
use kiln_nn::{
    AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, AvgPool2d, AvgPool2dConfig, BatchNorm, BatchNormConfig,
    Conv2d, Dropout, DropoutConfig, Initializer, Linear, LinearConfig, MaxPool2d, cat_channels,
    constant_bias, conv, conv_norm_relu, conv_relu, max_pool, padded, relu,
};

use crate::Version;

/// Caffe's "xavier": uniform with variance 1 / fan-in.
const XAVIER: Initializer = Initializer::KaimingUniform { gain: 1.0, fan_out_only: false };

/// torchvision cuts it at 200 standard deviations.
const NORMAL: Initializer = Initializer::Normal { mean: 0.0, std: 0.01 };

/// A convolution and a ReLU: with a bias in the paper, with a batch normalization between them in torchvision.
#[derive(Module, Debug)]
pub struct ConvRelu {
    pub(crate) conv: Conv2d,
    pub(crate) bn: Option<BatchNorm>,
}

impl ConvRelu {
    pub fn new(
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        version: Version,
        device: &Device,
    ) -> Self {
        let config = conv(channels, kernel, stride);
        let [_, output] = channels;
        match version {
            Version::Paper => {
                let conv = config.with_initializer(XAVIER).init(device);
                Self { conv: Conv2d { bias: constant_bias(0.2, output, device), ..conv }, bn: None }
            }
            Version::Torchvision => Self {
                conv: config.with_initializer(NORMAL).init(device),
                bn: Some(BatchNormConfig::new(output).with_epsilon(1e-3).init(device)),
            },
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.bn {
            Some(bn) => conv_norm_relu(&self.conv, bn, x),
            None => conv_relu(&self.conv, x),
        }
    }
}

/// A linear layer; `bias` is the paper's, torchvision's is PyTorch's default.
pub fn linear(channels: [usize; 2], bias: f64, version: Version, device: &Device) -> Linear {
    let config = LinearConfig::new(channels[0], channels[1]);
    match version {
        Version::Paper => Linear {
            bias: constant_bias(bias, channels[1], device),
            ..config.with_initializer(XAVIER).init(device)
        },
        Version::Torchvision => {
            Linear { bias: config.init(device).bias, ..config.with_initializer(NORMAL).init(device) }
        }
    }
}

/// Figure 2b: four branches side by side.
#[derive(Module, Debug)]
pub struct Inception {
    branch1: ConvRelu,
    branch2: (ConvRelu, ConvRelu),
    branch3: (ConvRelu, ConvRelu),
    branch4: (MaxPool2d, ConvRelu),
}

impl Inception {
    /// `widths` are a row of Table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj.
    pub fn new(input: usize, widths: [usize; 6], version: Version, device: &Device) -> Self {
        let [ones, threes_reduced, threes, fives_reduced, fives, pooled] = widths;
        let conv = |channels, kernel| ConvRelu::new(channels, kernel, 1, version, device);
        // torchvision has 3x3 where the paper has 5x5, by a mistake that its weights were trained with
        // (https://github.com/pytorch/vision/issues/906).
        let five = match version {
            Version::Paper => 5,
            Version::Torchvision => 3,
        };
        Self {
            branch1: conv([input, ones], 1),
            branch2: (conv([input, threes_reduced], 1), conv([threes_reduced, threes], 3)),
            branch3: (conv([input, fives_reduced], 1), conv([fives_reduced, fives], five)),
            branch4: (max_pool(3, 1).with_padding(padded(1)).init(), conv([input, pooled], 1)),
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let branch1 = self.branch1.forward(x.clone());
        let branch2 = self.branch2.1.forward(self.branch2.0.forward(x.clone()));
        let branch3 = self.branch3.1.forward(self.branch3.0.forward(x.clone()));
        let branch4 = self.branch4.1.forward(self.branch4.0.forward(x));
        cat_channels(vec![branch1, branch2, branch3, branch4])
    }
}

/// An auxiliary classifier (Section 5), there for its gradient alone.
#[derive(Module, Debug)]
pub struct Auxiliary {
    pool: AuxiliaryPool,
    conv: ConvRelu,
    pub(crate) fc1: Linear,
    pub(crate) dropout: Dropout,
    fc2: Linear,
}

/// What brings 14x14 positions to 4x4.
#[derive(Module, Debug)]
enum AuxiliaryPool {
    /// The paper's 5x5 windows, 3 apart.
    Windows(AvgPool2d),
    /// torchvision's, from any size.
    Adaptive(AdaptiveAvgPool2d),
}

impl Auxiliary {
    pub fn new(input: usize, num_classes: usize, version: Version, device: &Device) -> Self {
        Self {
            pool: match version {
                Version::Paper => {
                    AuxiliaryPool::Windows(AvgPool2dConfig::new([5, 5]).with_strides([3, 3]).init())
                }
                Version::Torchvision => AuxiliaryPool::Adaptive(AdaptiveAvgPool2dConfig::new([4, 4]).init()),
            },
            conv: ConvRelu::new([input, 128], 1, 1, version, device),
            fc1: linear([128 * 4 * 4, 1024], 0.2, version, device),
            dropout: DropoutConfig::new(0.7).init(),
            fc2: linear([1024, num_classes], 0.0, version, device),
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = match &self.pool {
            AuxiliaryPool::Windows(pool) => pool.forward(x),
            AuxiliaryPool::Adaptive(pool) => pool.forward(x),
        };
        let x = self.conv.forward(x).flatten(1, 3);
        let x = self.dropout.forward(relu(self.fc1.forward(x)));
        self.fc2.forward(x)
    }
}
