//! The two residual blocks of Figure 5: y = F(x) + x.

use burn::prelude::*;
use kiln_nn::{
    BatchNorm, BatchNormConfig, Conv2d, Initializer, KAIMING_FAN_OUT, conv, conv_norm, conv_norm_add_relu,
    conv_norm_relu, dilated,
};

/// A residual block of either kind.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // There are tens of them, not thousands.
pub enum Block {
    /// Two 3x3 convolutions.
    Basic(BasicBlock),
    /// 1x1, 3x3, 1x1.
    Bottleneck(Bottleneck),
}

impl Block {
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Basic(block) => block.forward(x),
            Self::Bottleneck(block) => block.forward(x),
        }
    }
}

/// Figure 5, left.
#[derive(Module, Debug)]
pub struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    downsample: Option<(Conv2d, BatchNorm)>,
}

impl BasicBlock {
    /// `dilations` are those of the two convolutions.
    pub fn new(channels: [usize; 2], stride: usize, dilations: [usize; 2], device: &Device) -> Self {
        let [input, output] = channels;
        let [first, second] = dilations;
        Self {
            conv1: dilated([input, output], first)
                .with_stride([stride; 2])
                .with_initializer(KAIMING_FAN_OUT)
                .init(device),
            bn1: BatchNormConfig::new(output).init(device),
            conv2: dilated([output, output], second).with_initializer(KAIMING_FAN_OUT).init(device),
            bn2: BatchNormConfig::new(output).init(device),
            downsample: projection(channels, stride, device),
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = shortcut(&self.downsample, x.clone());
        let x = conv_norm_relu(&self.conv1, &self.bn1, x);
        conv_norm_add_relu(&self.conv2, &self.bn2, x, shortcut)
    }
}

/// Figure 5, right; with groups, ResNeXt's Figure 3 (c).
#[derive(Module, Debug)]
pub struct Bottleneck {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    conv3: Conv2d,
    bn3: BatchNorm,
    downsample: Option<(Conv2d, BatchNorm)>,
}

impl Bottleneck {
    /// `channels` are the input's, the 3x3 convolution's and the output's; `strides` those of the first two
    /// convolutions, `dilation` that of the second.
    pub fn new(
        channels: [usize; 3],
        groups: usize,
        strides: [usize; 2],
        dilation: usize,
        device: &Device,
    ) -> Self {
        let [input, width, output] = channels;
        let [first, second] = strides;
        // PyTorch counts the fan-out over all groups, Burn's initializer over one of them.
        let fan_out = Initializer::Normal { mean: 0.0, std: (2.0 / (9 * width) as f64).sqrt() };
        let grouped = dilated([width, width], dilation)
            .with_stride([second; 2])
            .with_groups(groups)
            .with_initializer(fan_out);
        Self {
            conv1: conv([input, width], 1, first).with_initializer(KAIMING_FAN_OUT).init(device),
            bn1: BatchNormConfig::new(width).init(device),
            conv2: grouped.init(device),
            bn2: BatchNormConfig::new(width).init(device),
            conv3: conv([width, output], 1, 1).with_initializer(KAIMING_FAN_OUT).init(device),
            bn3: BatchNormConfig::new(output).init(device),
            downsample: projection([input, output], first * second, device),
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = shortcut(&self.downsample, x.clone());
        let x = conv_norm_relu(&self.conv1, &self.bn1, x);
        let x = conv_norm_relu(&self.conv2, &self.bn2, x);
        conv_norm_add_relu(&self.conv3, &self.bn3, x, shortcut)
    }
}

/// Option B of Section 3.3: a 1x1 convolution where the shape changes, and nothing where it does not.
fn projection(channels: [usize; 2], stride: usize, device: &Device) -> Option<(Conv2d, BatchNorm)> {
    let changes = stride != 1 || channels[0] != channels[1];
    changes.then(|| {
        let conv = conv(channels, 1, stride).with_initializer(KAIMING_FAN_OUT).init(device);
        (conv, BatchNormConfig::new(channels[1]).init(device))
    })
}

fn shortcut(downsample: &Option<(Conv2d, BatchNorm)>, x: Tensor<4>) -> Tensor<4> {
    match downsample {
        Some((conv, norm)) => conv_norm(conv, norm, x),
        None => x,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// torch.nn.init.kaiming_normal_(mode="fan_out") takes `weight.size(0) * 9` for the fan-out, whatever the groups.
    #[test]
    fn fresh_grouped_weights_have_pytorchs_variance() {
        let device = Device::flex();
        device.seed(0);
        for groups in [1, 32] {
            let block = Bottleneck::new([256, 128, 256], groups, [1, 1], 1, &device);
            let weights = block.conv2.weight.val();
            assert_eq!(weights.dims(), [128, 128 / groups, 3, 3]);
            // 4,608 numbers at least: their variance is within 10 % (five standard deviations) of 2 / (128 * 9).
            let ratio = weights.powf_scalar(2.0).mean().into_scalar::<f32>() * (128 * 9) as f32 / 2.0;
            assert!((0.9..1.1).contains(&ratio), "{groups} groups: {ratio}");
        }
    }
}
