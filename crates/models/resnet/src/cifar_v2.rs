//! The pre-activated ResNets for images of 32x32.
//!
//! Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun, *Identity mappings in deep residual networks*, 2016,
//! <https://arxiv.org/abs/1603.05027>, Section 5 and appendix.
//!
//! As in the authors' code (`resnet-1k-layers`), which has bottlenecks only, with the stride on the first 1x1
//! convolution; the shortcuts of 110 follow the same rules.

use burn::prelude::*;
use kiln_core::Network;
use kiln_nn::{
    BatchNorm, BatchNormConfig, Conv2d, KAIMING_FAN_OUT, Linear, LinearConfig, constant_bias, conv,
    conv_norm_relu, global_average,
};

use crate::Version;
use crate::preact::{PreActBasic, PreActBlock, PreActBottleneck};

/// The published depths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CifarV2Depth {
    /// 110 layers of weights.
    D110,
    /// 164 layers, in bottlenecks.
    D164,
    /// 1001 layers, in bottlenecks.
    D1001,
}

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct CifarResNetV2Config {
    /// One of the published depths.
    pub depth: CifarV2Depth,
    /// Classes to tell apart.
    pub num_classes: usize,
}

/// Three stages of 16, 32 and 64 channels (of four times as many with bottlenecks), n units each.
#[derive(Module, Debug)]
pub struct CifarResNetV2 {
    conv1: Conv2d,
    norm1: BatchNorm,
    layer1: Vec<PreActBlock>,
    layer2: Vec<PreActBlock>,
    layer3: Vec<PreActBlock>,
    norm: BatchNorm,
    fc: Linear,
}

impl CifarResNetV2Config {
    /// A network with fresh weights: He's normal initialization over the fan-out; of the last layer the bias is zero.
    pub fn init(&self, device: &Device) -> CifarResNetV2 {
        // 110 = 6 * 18 + 2, 164 = 9 * 18 + 2, 1001 = 9 * 111 + 2.
        let (units, expansion) = match self.depth {
            CifarV2Depth::D110 => (18, 1),
            CifarV2Depth::D164 => (18, 4),
            CifarV2Depth::D1001 => (111, 4),
        };
        let block = |channels, stride| match expansion {
            1 => PreActBlock::Basic(PreActBasic::new(channels, stride, device)),
            _ => {
                let strides = Version::V1.strides(stride);
                PreActBlock::Bottleneck(PreActBottleneck::new(channels, strides, device))
            }
        };
        let stage = |first: PreActBlock, channels| -> Vec<PreActBlock> {
            std::iter::once(first).chain((1..units).map(|_| block([channels; 2], 1))).collect()
        };
        let [first, second, third] = [16, 32, 64].map(|width| width * expansion);
        let linear = LinearConfig::new(third, self.num_classes).init(device);
        CifarResNetV2 {
            conv1: conv([3, 16], 3, 1).with_initializer(KAIMING_FAN_OUT).init(device),
            norm1: BatchNormConfig::new(16).init(device),
            // The appendix: the first activation comes right after conv1, before the paths split.
            layer1: stage(block([16, first], 1).without_first_activation(), first),
            layer2: stage(block([first, second], 2), second),
            layer3: stage(block([second, third], 2), third),
            norm: BatchNormConfig::new(third).init(device),
            fc: Linear { bias: constant_bias(0.0, self.num_classes, device), ..linear },
        }
    }
}

impl Network for CifarResNetV2 {
    type Output = Tensor<2>;

    /// # Shapes
    /// `[batch, 3, height, width]` (32 in the paper) to logits `[batch, num_classes]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = conv_norm_relu(&self.conv1, &self.norm1, images);
        let stages = [&self.layer1, &self.layer2, &self.layer3];
        let x = stages.into_iter().flatten().fold(x, |x, block| block.forward(x));
        let x = self.norm.forward_relu(x);
        self.fc.forward(global_average(x))
    }
}

#[cfg(test)]
mod tests {
    use kiln_core::learnable_parameters;

    use super::*;

    #[test]
    fn parameters_are_the_published_ones() {
        let device = Device::flex();
        let params =
            |depth| learnable_parameters(&CifarResNetV2Config { depth, num_classes: 10 }.init(&device));
        // Counted from the authors' resnet-pre-act.lua; the paper says 1.7 M and 10.2 M.
        assert_eq!(params(CifarV2Depth::D164), 1_703_258);
        assert_eq!(params(CifarV2Depth::D1001), 10_327_706);
        // The units of 110: two 3x3 convolutions, each with a normalization of its input (2 numbers a channel).
        let unit =
            |input: usize, output: usize| 9 * input * output + 9 * output * output + 2 * input + 2 * output;
        let stem = 9 * 3 * 16;
        let units = 18 * unit(16, 16) + unit(16, 32) + 17 * unit(32, 32) + unit(32, 64) + 17 * unit(64, 64);
        let projections = 16 * 32 + 32 * 64;
        let last = 2 * 64 + 64 * 10 + 10;
        assert_eq!(params(CifarV2Depth::D110), stem + units + projections + last);
    }

    #[test]
    fn the_output_is_a_number_a_class() {
        let device = Device::flex();
        for depth in [CifarV2Depth::D110, CifarV2Depth::D164] {
            let network = CifarResNetV2Config { depth, num_classes: 7 }.init(&device);
            assert_eq!(network.forward(Tensor::zeros([2, 3, 32, 32], &device)).dims(), [2, 7], "{depth:?}");
        }
    }
}
