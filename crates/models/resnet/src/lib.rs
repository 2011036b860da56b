//! ResNet.
//!
//! Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun, *Deep residual learning for image recognition*, 2015,
//! <https://arxiv.org/abs/1512.03385>.
//!
//! [`ResNet`] is the network of Section 3.3 and Table 1, for ImageNet; [`CifarResNet`] that of Section 4.2.
//! Version 1.5 differs from the paper in one thing: the stride of a bottleneck stands on its 3x3 convolution,
//! not on the first 1x1. torchvision's weights are of version 1.5.

mod block;
mod cifar;

use burn::prelude::*;
use kiln_core::Network;
use kiln_nn::{
    BatchNorm, BatchNormConfig, Conv2d, KAIMING_FAN_OUT, Linear, LinearConfig, MaxPool2d, conv,
    global_average, max_pool, padded, relu,
};

use block::{BasicBlock, Block, Bottleneck};
pub use cifar::{CifarResNet, CifarResNetConfig, Shortcut};

/// The published depths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// 18 layers of weights.
    D18,
    /// 34 layers.
    D34,
    /// 50 layers, in bottlenecks.
    D50,
    /// 101 layers, in bottlenecks.
    D101,
    /// 152 layers, in bottlenecks.
    D152,
}

/// Where a bottleneck has its stride.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// On the first 1x1 convolution, as in the paper.
    V1,
    /// On the 3x3 convolution, as in torchvision.
    V15,
}

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct ResNetConfig {
    /// One of the published depths.
    pub depth: Depth,
    /// Where a bottleneck has its stride; without bottlenecks (18, 34) it means nothing.
    pub version: Version,
    /// Classes to tell apart.
    pub num_classes: usize,
}

/// The network of Table 1.
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm,
    maxpool: MaxPool2d,
    layer1: Vec<Block>,
    layer2: Vec<Block>,
    layer3: Vec<Block>,
    layer4: Vec<Block>,
    fc: Linear,
}

impl ResNetConfig {
    /// A network with fresh weights: He's normal initialization over the fan-out, as torchvision has it.
    pub fn init(&self, device: &Device) -> ResNet {
        // Table 1 of the paper.
        let (blocks, expansion) = match self.depth {
            Depth::D18 => ([2, 2, 2, 2], 1),
            Depth::D34 => ([3, 4, 6, 3], 1),
            Depth::D50 => ([3, 4, 6, 3], Bottleneck::EXPANSION),
            Depth::D101 => ([3, 4, 23, 3], Bottleneck::EXPANSION),
            Depth::D152 => ([3, 8, 36, 3], Bottleneck::EXPANSION),
        };
        let block = |channels: [usize; 2], stride| match expansion {
            1 => Block::Basic(BasicBlock::new(channels, stride, device)),
            _ => Block::Bottleneck(Bottleneck::new(channels, stride, self.version, device)),
        };
        // The first block of a stage changes the size, the others keep it.
        let stage = |index: usize, input: usize, width: usize, stride| -> Vec<Block> {
            let output = width * expansion;
            let rest = (1..blocks[index]).map(|_| block([output, output], 1));
            std::iter::once(block([input, output], stride)).chain(rest).collect()
        };
        ResNet {
            conv1: conv([3, 64], 7, 2).with_initializer(KAIMING_FAN_OUT).init(device),
            bn1: BatchNormConfig::new(64).init(device),
            maxpool: max_pool(3, 2).with_padding(padded(1)).init(),
            layer1: stage(0, 64, 64, 1),
            layer2: stage(1, 64 * expansion, 128, 2),
            layer3: stage(2, 128 * expansion, 256, 2),
            layer4: stage(3, 256 * expansion, 512, 2),
            fc: LinearConfig::new(512 * expansion, self.num_classes).init(device),
        }
    }
}

impl Network for ResNet {
    type Output = Tensor<2>;

    /// # Shapes
    /// `[batch, 3, height, width]` (224 in the paper) to logits `[batch, num_classes]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = relu(self.bn1.forward(self.conv1.forward(images)));
        let x = self.maxpool.forward(x);
        let stages = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        let x = stages.into_iter().flatten().fold(x, |x, block| block.forward(x));
        self.fc.forward(global_average(x))
    }
}

#[cfg(test)]
mod tests {
    use kiln_core::learnable_parameters;

    use super::*;

    #[test]
    fn parameters_and_outputs_are_the_published_ones() {
        let device = Device::flex();
        // torchvision.models.resnet*, num_params.
        let rows = [
            (Depth::D18, 11_689_512),
            (Depth::D34, 21_797_672),
            (Depth::D50, 25_557_032),
            (Depth::D101, 44_549_160),
            (Depth::D152, 60_192_808),
        ];
        for (depth, params) in rows {
            for version in [Version::V1, Version::V15] {
                let network = ResNetConfig { depth, version, num_classes: 1000 }.init(&device);
                assert_eq!(learnable_parameters(&network), params, "{depth:?} {version:?}");
                let logits = network.forward(Tensor::zeros([1, 3, 64, 64], &device));
                assert_eq!(logits.dims(), [1, 1000], "{depth:?} {version:?}");
            }
        }
    }

    #[test]
    fn version_one_and_a_half_differs_from_the_paper_in_bottlenecks_alone() {
        let device = Device::flex();
        device.seed(0);
        for (depth, same) in [(Depth::D18, true), (Depth::D50, false)] {
            let config = |version| ResNetConfig { depth, version, num_classes: 10 };
            let paper = config(Version::V1).init(&device).materialize();
            let torchvision = config(Version::V15).init(&device).load_record(paper.clone().into_record());
            let images = Tensor::random([1, 3, 64, 64], burn::tensor::Distribution::Default, &device);
            let difference = paper.forward(images.clone()) - torchvision.forward(images);
            assert_eq!(difference.abs().max().into_scalar::<f32>() == 0.0, same, "{depth:?}");
        }
    }
}
