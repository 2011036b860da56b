//! The residual units of the second paper's Figure 4 (e): normalization and ReLU come before a convolution, not after
//! it, and nothing comes after the sum.
//!
//! Where the size changes, the first activation comes before the paths split, and the shortcut is a 1x1 convolution
//! alone.

use burn::prelude::*;
use kiln_nn::{BatchNorm, BatchNormConfig, Conv2d, KAIMING_FAN_OUT, add, conv};

/// A pre-activated residual unit of either kind.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // There are tens or hundreds of them, not thousands.
pub enum PreActBlock {
    /// Two 3x3 convolutions.
    Basic(PreActBasic),
    /// 1x1, 3x3, 1x1.
    Bottleneck(PreActBottleneck),
}

impl PreActBlock {
    /// The same unit for an input that is activated already.
    pub fn without_first_activation(mut self) -> Self {
        match &mut self {
            Self::Basic(block) => block.norm1 = None,
            Self::Bottleneck(block) => block.norm1 = None,
        }
        self
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Basic(block) => block.forward(x),
            Self::Bottleneck(block) => block.forward(x),
        }
    }
}

/// Norm, ReLU, 3x3, twice.
#[derive(Module, Debug)]
pub struct PreActBasic {
    downsample: Option<Projection>,
    norm1: Option<BatchNorm>,
    conv1: Conv2d,
    norm2: BatchNorm,
    conv2: Conv2d,
}

impl PreActBasic {
    pub fn new(channels: [usize; 2], stride: usize, device: &Device) -> Self {
        let [input, output] = channels;
        Self {
            downsample: Projection::where_needed(channels, stride, device),
            norm1: Some(BatchNormConfig::new(input).init(device)),
            conv1: conv([input, output], 3, stride).with_initializer(KAIMING_FAN_OUT).init(device),
            norm2: BatchNormConfig::new(output).init(device),
            conv2: conv([output, output], 3, 1).with_initializer(KAIMING_FAN_OUT).init(device),
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let activated = activated(&self.norm1, x.clone());
        let shortcut = shortcut(&self.downsample, &activated, x);
        let x = self.conv1.forward(activated);
        let x = self.conv2.forward(self.norm2.forward_relu(x));
        add(x, shortcut)
    }
}

/// Norm, ReLU, convolution, three times: 1x1, 3x3, 1x1.
#[derive(Module, Debug)]
pub struct PreActBottleneck {
    downsample: Option<Projection>,
    norm1: Option<BatchNorm>,
    conv1: Conv2d,
    norm2: BatchNorm,
    conv2: Conv2d,
    norm3: BatchNorm,
    conv3: Conv2d,
}

impl PreActBottleneck {
    /// `strides` are those of the first two convolutions.
    pub fn new(channels: [usize; 2], strides: [usize; 2], device: &Device) -> Self {
        let [input, output] = channels;
        let [first, second] = strides;
        let width = output / 4;
        Self {
            downsample: Projection::where_needed(channels, first * second, device),
            norm1: Some(BatchNormConfig::new(input).init(device)),
            conv1: conv([input, width], 1, first).with_initializer(KAIMING_FAN_OUT).init(device),
            norm2: BatchNormConfig::new(width).init(device),
            conv2: conv([width, width], 3, second).with_initializer(KAIMING_FAN_OUT).init(device),
            norm3: BatchNormConfig::new(width).init(device),
            conv3: conv([width, output], 1, 1).with_initializer(KAIMING_FAN_OUT).init(device),
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let activated = activated(&self.norm1, x.clone());
        let shortcut = shortcut(&self.downsample, &activated, x);
        let x = self.conv1.forward(activated);
        let x = self.conv2.forward(self.norm2.forward_relu(x));
        let x = self.conv3.forward(self.norm3.forward_relu(x));
        add(x, shortcut)
    }
}

/// The shortcut where the size changes.
#[derive(Module, Debug)]
struct Projection {
    conv: Conv2d,
}

impl Projection {
    fn where_needed(channels: [usize; 2], stride: usize, device: &Device) -> Option<Self> {
        let changes = stride != 1 || channels[0] != channels[1];
        let conv = conv(channels, 1, stride).with_initializer(KAIMING_FAN_OUT);
        changes.then(|| Self { conv: conv.init(device) })
    }
}

fn activated(norm: &Option<BatchNorm>, x: Tensor<4>) -> Tensor<4> {
    match norm {
        Some(norm) => norm.forward_relu(x),
        None => x,
    }
}

fn shortcut(downsample: &Option<Projection>, activated: &Tensor<4>, x: Tensor<4>) -> Tensor<4> {
    match downsample {
        Some(projection) => projection.conv.forward(activated.clone()),
        None => x,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_unit_that_changes_the_size_activates_before_the_paths_split() {
        let device = Device::flex();
        // Every path from -1 through an activation is zero, as fresh normalizations keep -1 and no convolution has a
        // bias. What is left is the shortcut: -1 where it is the identity, 0 where it is a projection.
        let rows = [
            (PreActBlock::Basic(PreActBasic::new([8, 8], 1, &device)), -1.0),
            (PreActBlock::Basic(PreActBasic::new([8, 16], 2, &device)), 0.0),
            (PreActBlock::Bottleneck(PreActBottleneck::new([8, 8], [1, 1], &device)), -1.0),
            (PreActBlock::Bottleneck(PreActBottleneck::new([8, 16], [1, 1], &device)), 0.0),
        ];
        for (block, expected) in rows {
            let y = block.forward(Tensor::full([1, 8, 4, 4], -1.0, &device));
            let [smallest, largest] = [y.clone().min(), y.max()].map(|y| y.into_scalar::<f32>());
            assert_eq!([smallest, largest], [expected; 2], "{block}");
        }
    }

    #[test]
    fn a_unit_without_first_activation_sees_negative_inputs() {
        let device = Device::flex();
        let block = PreActBlock::Bottleneck(PreActBottleneck::new([8, 16], [1, 1], &device));
        // With its first activation it answers zero, as the test above says.
        let y = block.without_first_activation().forward(Tensor::full([1, 8, 4, 4], -1.0, &device));
        assert!(y.abs().max().into_scalar::<f32>() > 0.1);
    }
}
