//! ResNet v2.
//!
//! Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun, *Identity mappings in deep residual networks*, 2016,
//! <https://arxiv.org/abs/1603.05027>.
//!
//! As timm has it, from where its weights come: the stride of a bottleneck stands on its 3x3 convolution, the stem's
//! convolution is followed by the max pool alone, and the last layer is a 1x1 convolution.

use burn::prelude::*;
use kiln_core::Network;
use kiln_nn::{
    BatchNorm, BatchNormConfig, Conv2d, Conv2dConfig, Initializer, KAIMING_FAN_OUT, MaxPool2d, constant_bias,
    conv, global_average, max_pool, padded,
};

use crate::preact::{PreActBasic, PreActBlock, PreActBottleneck};
use crate::{Depth, Version};

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct ResNetV2Config {
    /// One of the depths of the first paper.
    pub depth: Depth,
    /// Classes to tell apart.
    pub num_classes: usize,
}

/// The network of the first paper's Table 1, of pre-activated units.
#[derive(Module, Debug)]
pub struct ResNetV2 {
    stem: StemConv,
    stages: [Stage; 4],
    norm: BatchNorm,
    head: Head,
}

#[derive(Module, Debug)]
struct StemConv {
    conv: Conv2d,
    pool: MaxPool2d,
}

#[derive(Module, Debug)]
struct Stage {
    blocks: Vec<PreActBlock>,
}

#[derive(Module, Debug)]
struct Head {
    fc: Conv2d,
}

impl ResNetV2Config {
    /// A network with fresh weights, as timm draws them: He's normal initialization over the fan-out; the last layer
    /// normal with standard deviation 0.01, its bias zero.
    pub fn init(&self, device: &Device) -> ResNetV2 {
        let (blocks, expansion) = self.depth.stages();
        let [c2, c3, c4, c5] = self.depth.channels();
        let block = |channels, stride| match expansion {
            1 => PreActBlock::Basic(PreActBasic::new(channels, stride, device)),
            _ => {
                let strides = Version::V15.strides(stride);
                PreActBlock::Bottleneck(PreActBottleneck::new(channels, strides, device))
            }
        };
        let stage = |index: usize, channels: [usize; 2], stride| {
            let rest = (1..blocks[index]).map(|_| block([channels[1]; 2], 1));
            Stage { blocks: std::iter::once(block(channels, stride)).chain(rest).collect() }
        };
        let last = Conv2dConfig::new([c5, self.num_classes], [1, 1])
            .with_initializer(Initializer::Normal { mean: 0.0, std: 0.01 })
            .init(device);
        ResNetV2 {
            stem: StemConv {
                conv: conv([3, 64], 7, 2).with_initializer(KAIMING_FAN_OUT).init(device),
                pool: max_pool(3, 2).with_padding(padded(1)).init(),
            },
            stages: [
                stage(0, [64, c2], 1),
                stage(1, [c2, c3], 2),
                stage(2, [c3, c4], 2),
                stage(3, [c4, c5], 2),
            ],
            norm: BatchNormConfig::new(c5).init(device),
            head: Head { fc: Conv2d { bias: constant_bias(0.0, self.num_classes, device), ..last } },
        }
    }
}

impl ResNetV2 {
    /// The outputs of the four stages: sums, to which no activation has been applied.
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` to `[c2, c3, c4, c5]`, with the channels of [`Depth::channels`] and sides of 1/4,
    /// 1/8, 1/16 and 1/32, rounded up
    pub fn features(&self, images: Tensor<4>) -> [Tensor<4>; 4] {
        let stage = |stage: &Stage, x| stage.blocks.iter().fold(x, |x, block| block.forward(x));
        let x = self.stem.pool.forward(self.stem.conv.forward(images));
        let c2 = stage(&self.stages[0], x);
        let c3 = stage(&self.stages[1], c2.clone());
        let c4 = stage(&self.stages[2], c3.clone());
        let c5 = stage(&self.stages[3], c4.clone());
        [c2, c3, c4, c5]
    }
}

impl Network for ResNetV2 {
    type Output = Tensor<2>;

    /// # Shapes
    /// `[batch, 3, height, width]` (224 in the paper) to logits `[batch, num_classes]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [.., c5] = self.features(images);
        let x = global_average(self.norm.forward_relu(c5));
        let [batch, channels] = x.dims();
        self.head.fc.forward(x.reshape([batch, channels, 1, 1])).flatten(1, 3)
    }
}

#[cfg(test)]
mod tests {
    use kiln_core::learnable_parameters;

    use super::*;

    #[test]
    fn parameters_are_the_published_ones() {
        let device = Device::flex();
        // timm 1.0.31, resnetv2_*.
        let rows = [
            (Depth::D18, 11_687_720),
            (Depth::D34, 21_795_880),
            (Depth::D50, 25_549_352),
            (Depth::D101, 44_541_480),
            (Depth::D152, 60_185_128),
        ];
        for (depth, params) in rows {
            let network = ResNetV2Config { depth, num_classes: 1000 }.init(&device);
            assert_eq!(learnable_parameters(&network), params, "{depth:?}");
        }
    }

    #[test]
    fn the_stages_are_those_of_table_1() {
        let device = Device::flex();
        for (depth, channels) in [(Depth::D18, [64, 128, 256, 512]), (Depth::D50, [256, 512, 1024, 2048])] {
            let network = ResNetV2Config { depth, num_classes: 10 }.init(&device);
            let features = network.features(Tensor::zeros([2, 3, 64, 33], &device));
            // 33 pixels: 17 after the stem's convolution, 9 after its pool, then 9, 5, 3, 2.
            let sides = [[16, 9], [8, 5], [4, 3], [2, 2]];
            let expected = [0, 1, 2, 3].map(|i| [2, channels[i], sides[i][0], sides[i][1]]);
            assert_eq!(features.map(|x| x.dims()), expected, "{depth:?}");
            assert_eq!(network.forward(Tensor::zeros([2, 3, 32, 32], &device)).dims(), [2, 10]);
        }
    }

    #[test]
    fn the_fresh_last_layer_is_timms() {
        let device = Device::flex();
        device.seed(0);
        let fc = ResNetV2Config { depth: Depth::D18, num_classes: 1000 }.init(&device).head.fc;
        // 512,000 numbers: their variance is within 2 % (ten standard deviations) of 0.01 * 0.01.
        let ratio = fc.weight.val().powf_scalar(2.0).mean().into_scalar::<f32>() / 1e-4;
        assert!((0.98..1.02).contains(&ratio), "{ratio}");
        let bias = fc.bias.map(|bias| bias.val().abs().max().into_scalar::<f32>());
        assert_eq!(bias, Some(0.0));
    }
}
