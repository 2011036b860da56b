//! ResNet.
//!
//! Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun, *Deep residual learning for image recognition*, 2015,
//! <https://arxiv.org/abs/1512.03385>.
//!
//! [`ResNet`] is the network of Section 3.3 and Table 1, for ImageNet; [`CifarResNet`] that of Section 4.2.
//! [`ResNetV2`] and [`CifarResNetV2`] are those of the authors' second paper, *Identity mappings in deep residual
//! networks*, 2016, <https://arxiv.org/abs/1603.05027>.
//!
//! Two other papers change the inside of a bottleneck and nothing else ([`Kind`]): Saining Xie, Ross Girshick, Piotr
//! Dollár, Zhuowen Tu, Kaiming He, *Aggregated residual transformations for deep neural networks*, 2016,
//! <https://arxiv.org/abs/1611.05431>, and Sergey Zagoruyko, Nikos Komodakis, *Wide residual networks*, 2016,
//! <https://arxiv.org/abs/1605.07146>.
//!
//! Dilated ([`ResNetConfig::dilated_stages`]) and without its linear layer it is the [`Backbone`] of other networks.
//!
//! Version 1.5 differs from the paper in one thing: the stride of a bottleneck stands on its 3x3 convolution,
//! not on the first 1x1. torchvision's weights are of version 1.5.

mod block;
mod cifar;
mod cifar_v2;
mod preact;
mod v2;

use burn::prelude::*;
use kiln_core::Network;
use kiln_nn::{
    BatchNorm, BatchNormConfig, Conv2d, Identity, KAIMING_FAN_OUT, Linear, LinearConfig, MaxPool2d, conv,
    conv_norm_relu, global_average, max_pool, padded,
};

use block::{BasicBlock, Block, Bottleneck};
pub use cifar::{CifarResNet, CifarResNetConfig, Shortcut};
pub use cifar_v2::{CifarResNetV2, CifarResNetV2Config, CifarV2Depth};
pub use v2::{ResNetV2, ResNetV2Config};

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

impl Depth {
    /// Table 1 of the paper: the blocks of each stage, and how much wider a block's output is than its 3x3
    /// convolutions.
    fn stages(self) -> ([usize; 4], usize) {
        match self {
            Self::D18 => ([2, 2, 2, 2], 1),
            Self::D34 => ([3, 4, 6, 3], 1),
            Self::D50 => ([3, 4, 6, 3], 4),
            Self::D101 => ([3, 4, 23, 3], 4),
            Self::D152 => ([3, 8, 36, 3], 4),
        }
    }

    /// Channels of the four stages' outputs, `c2` to `c5`.
    pub fn channels(self) -> [usize; 4] {
        let (_, expansion) = self.stages();
        [64, 128, 256, 512].map(|width| width * expansion)
    }
}

/// Where a bottleneck has its stride.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// On the first 1x1 convolution, as in the paper.
    V1,
    /// On the 3x3 convolution, as in torchvision.
    V15,
}

impl Version {
    /// The strides of a bottleneck's first two convolutions.
    fn strides(self, stride: usize) -> [usize; 2] {
        match self {
            Self::V1 => [stride, 1],
            Self::V15 => [1, stride],
        }
    }

    /// The dilation of a bottleneck's 3x3 convolution, given that up to the stride and that behind it.
    fn dilation(self, [before, behind]: [usize; 2]) -> usize {
        match self {
            Self::V1 => behind,
            Self::V15 => before,
        }
    }
}

/// What a bottleneck's 3x3 convolution is. Its output has the width of [`Depth::channels`] in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A quarter as wide as the block's output.
    Plain,
    /// ResNeXt: of `groups` groups, each of `width` channels in the first stage and twice as many in every next one.
    ResNeXt {
        /// Groups: 32 or 64. The paper calls it cardinality.
        groups: usize,
        /// Channels of a group in the first stage: 4 or 8.
        width: usize,
    },
    /// Wide ResNet: so many times as wide as the plain one; 2 is published.
    Wide(usize),
}

impl Kind {
    /// Groups of the 3x3 convolution, and its channels in the first stage.
    fn groups_and_width(self) -> (usize, usize) {
        match self {
            Self::Plain => (1, 64),
            Self::ResNeXt { groups, width } => (groups, groups * width),
            Self::Wide(factor) => (1, 64 * factor),
        }
    }
}

/// What stands before the first stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stem {
    /// A 7x7 convolution and a max pool, both of stride 2.
    ImageNet,
    /// A 3x3 convolution of stride 1: for images of 32x32, which keep their size up to the second stage.
    Cifar,
}

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct ResNetConfig {
    /// One of the published depths.
    pub depth: Depth,
    /// The inside of a bottleneck; without bottlenecks (18, 34) it is plain.
    pub kind: Kind,
    /// Where a bottleneck has its stride; without bottlenecks it means nothing.
    pub version: Version,
    /// What stands before the first stage.
    pub stem: Stem,
    /// So many of the last stages keep the size of their input, and what comes after the stride that they lack is dilated
    /// in its place: 1 leaves 1/16 of the images' sides, 2 leaves 1/8. torchvision's `replace_stride_with_dilation`.
    pub dilated_stages: usize,
    /// All channels are divided by this. 1 is as published.
    pub narrower: usize,
    /// Classes to tell apart.
    pub num_classes: usize,
}

/// The network of Table 1, `Head` being what its last layer is.
#[derive(Module, Debug)]
pub struct ResNet<Head: Module = Linear> {
    conv1: Conv2d,
    bn1: BatchNorm,
    maxpool: Option<MaxPool2d>,
    layer1: Vec<Block>,
    layer2: Vec<Block>,
    layer3: Vec<Block>,
    layer4: Vec<Block>,
    fc: Head,
}

/// The network without its linear layer.
pub type Backbone = ResNet<Identity>;

impl ResNetConfig {
    /// torchvision's network of that depth: plain, version 1.5, for ImageNet.
    pub fn new(depth: Depth, num_classes: usize) -> Self {
        Self {
            depth,
            kind: Kind::Plain,
            version: Version::V15,
            stem: Stem::ImageNet,
            dilated_stages: 0,
            narrower: 1,
            num_classes,
        }
    }

    /// Channels of the four stages' outputs, `c2` to `c5`.
    pub fn channels(&self) -> [usize; 4] {
        self.depth.channels().map(|channels| channels / self.narrower)
    }

    /// A network with fresh weights: He's normal initialization over the fan-out, as torchvision has it.
    ///
    /// # Panics
    /// If a depth without bottlenecks is not plain, or if the groups do not divide the width.
    pub fn init(&self, device: &Device) -> ResNet {
        let [.., c5] = self.channels();
        self.with_head(LinearConfig::new(c5, self.num_classes).init(device), device)
    }

    /// The network without its linear layer, with fresh weights. It has no classes.
    ///
    /// # Panics
    /// As [`init`](Self::init).
    pub fn init_backbone(&self, device: &Device) -> Backbone {
        self.with_head(Identity::new(), device)
    }

    fn with_head<Head: Module>(&self, fc: Head, device: &Device) -> ResNet<Head> {
        let (blocks, expansion) = self.depth.stages();
        let (groups, width) = self.kind.groups_and_width();
        assert!(expansion > 1 || self.kind == Kind::Plain, "{:?} has no bottlenecks", self.depth);
        let [c1, width] = [64, width].map(|width| width / self.narrower);
        let [c2, c3, c4, c5] = self.channels();
        let block = |[input, inside, output]: [usize; 3], stride, dilations| match expansion {
            1 => Block::Basic(BasicBlock::new([input, output], stride, dilations, device)),
            _ => {
                let strides = self.version.strides(stride);
                let dilation = self.version.dilation(dilations);
                Block::Bottleneck(Bottleneck::new([input, inside, output], groups, strides, dilation, device))
            }
        };
        // The first block of a stage changes the size, or the dilation; the others keep it.
        let mut dilation = 1;
        let mut stage = |index: usize, [input, output]: [usize; 2], stride| -> Vec<Block> {
            let (inside, before) = (width << index, dilation);
            let stride = if index + self.dilated_stages < 4 { stride } else { 1 };
            dilation *= if stride == 1 && index > 0 { 2 } else { 1 };
            let rest = (1..blocks[index]).map(|_| block([output, inside, output], 1, [dilation; 2]));
            std::iter::once(block([input, inside, output], stride, [before, dilation])).chain(rest).collect()
        };
        let (conv1, maxpool) = match self.stem {
            Stem::ImageNet => (conv([3, c1], 7, 2), Some(max_pool(3, 2).with_padding(padded(1)).init())),
            Stem::Cifar => (conv([3, c1], 3, 1), None),
        };
        ResNet {
            conv1: conv1.with_initializer(KAIMING_FAN_OUT).init(device),
            bn1: BatchNormConfig::new(c1).init(device),
            maxpool,
            layer1: stage(0, [c1, c2], 1),
            layer2: stage(1, [c2, c3], 2),
            layer3: stage(2, [c3, c4], 2),
            layer4: stage(3, [c4, c5], 2),
            fc,
        }
    }
}

impl<Head: Module> ResNet<Head> {
    /// The outputs of the four stages.
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` to `[c2, c3, c4, c5]`, with the channels of [`ResNetConfig::channels`] and sides of 1/4,
    /// 1/8, 1/16 and 1/32, rounded up (with [`Stem::Cifar`] 1, 1/2, 1/4 and 1/8); a dilated stage keeps the sides of the one
    /// before
    pub fn features(&self, images: Tensor<4>) -> [Tensor<4>; 4] {
        let x = conv_norm_relu(&self.conv1, &self.bn1, images);
        let x = match &self.maxpool {
            Some(pool) => pool.forward(x),
            None => x,
        };
        let stage = |blocks: &[Block], x| blocks.iter().fold(x, |x, block| block.forward(x));
        let c2 = stage(&self.layer1, x);
        let c3 = stage(&self.layer2, c2.clone());
        let c4 = stage(&self.layer3, c3.clone());
        let c5 = stage(&self.layer4, c4.clone());
        [c2, c3, c4, c5]
    }
}

impl Network for ResNet {
    type Output = Tensor<2>;

    /// # Shapes
    /// `[batch, 3, height, width]` (224 in the paper) to logits `[batch, num_classes]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [.., c5] = self.features(images);
        self.fc.forward(global_average(c5))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;
    use kiln_core::learnable_parameters;

    use super::*;

    #[test]
    fn parameters_are_the_published_ones() {
        let device = Device::flex();
        let resnext = |groups, width| Kind::ResNeXt { groups, width };
        // torchvision.models, num_params of resnet*, resnext*_32x4d, _32x8d, _64x4d, wide_resnet*_2.
        let rows = [
            (Depth::D18, Kind::Plain, 11_689_512),
            (Depth::D34, Kind::Plain, 21_797_672),
            (Depth::D50, Kind::Plain, 25_557_032),
            (Depth::D101, Kind::Plain, 44_549_160),
            (Depth::D152, Kind::Plain, 60_192_808),
            (Depth::D50, resnext(32, 4), 25_028_904),
            (Depth::D101, resnext(32, 8), 88_791_336),
            (Depth::D101, resnext(64, 4), 83_455_272),
            (Depth::D50, Kind::Wide(2), 68_883_240),
            (Depth::D101, Kind::Wide(2), 126_886_696),
        ];
        for (depth, kind, params) in rows {
            for version in [Version::V1, Version::V15] {
                let config = ResNetConfig { kind, version, ..ResNetConfig::new(depth, 1000) };
                assert_eq!(learnable_parameters(&config.init(&device)), params, "{config:?}");
            }
        }
        // The 7x7 stem has 64 * 3 * 49 weights, the 3x3 one 64 * 3 * 9: 7,680 less; 990 classes less of 512 + 1 are
        // 507,870 less.
        let config = ResNetConfig { stem: Stem::Cifar, ..ResNetConfig::new(Depth::D18, 10) };
        assert_eq!(learnable_parameters(&config.init(&device)), 11_689_512 - 7_680 - 507_870);
    }

    #[test]
    fn the_stages_are_those_of_table_1() {
        let device = Device::flex();
        let new = |depth| ResNetConfig::new(depth, 10);
        let rows = [
            (new(Depth::D18), [64, 128, 256, 512], 4),
            (new(Depth::D50), [256, 512, 1024, 2048], 4),
            (ResNetConfig { version: Version::V1, ..new(Depth::D50) }, [256, 512, 1024, 2048], 4),
            (
                ResNetConfig { kind: Kind::ResNeXt { groups: 32, width: 4 }, ..new(Depth::D50) },
                [256, 512, 1024, 2048],
                4,
            ),
            (ResNetConfig { stem: Stem::Cifar, ..new(Depth::D18) }, [64, 128, 256, 512], 1),
        ];
        for (config, channels, stride) in rows {
            let network = config.init(&device);
            let [height, width] = [16 * stride, 24 * stride];
            let features = network.features(Tensor::zeros([2, 3, height, width], &device));
            assert_eq!(config.depth.channels(), channels);
            let expected = [0, 1, 2, 3].map(|level| [2, channels[level], 16 >> level, 24 >> level]);
            assert_eq!(features.map(|x| x.dims()), expected, "{config:?}");
            assert_eq!(network.forward(Tensor::zeros([2, 3, 32, 32], &device)).dims(), [2, 10]);
        }
    }

    #[test]
    fn a_dilated_network_says_the_same_in_more_places() {
        let device = Device::flex();
        device.seed(5);
        for (depth, version) in
            [(Depth::D18, Version::V15), (Depth::D50, Version::V15), (Depth::D50, Version::V1)]
        {
            let strided = ResNetConfig { version, narrower: 8, ..ResNetConfig::new(depth, 10) };
            let network = strided.init_backbone(&device).materialize();
            let images = Tensor::random([1, 3, 97, 65], Distribution::Normal(0.0, 1.0), &device);
            let expected = network.features(images.clone());
            for dilated_stages in [1, 2] {
                let dilated = ResNetConfig { dilated_stages, ..strided.clone() }.init_backbone(&device);
                let dilated = dilated.load_record(network.clone().into_record());
                let features = dilated.features(images.clone());
                for (level, (dense, sparse)) in features.into_iter().zip(expected.clone()).enumerate() {
                    // Every second place, or every fourth, is one of the strided network's.
                    let more = 1 << (level + dilated_stages).saturating_sub(3);
                    let [_, _, height, width] = dense.dims();
                    let places = |side: usize| Tensor::<1, Int>::arange_step(0..side as i64, more, &device);
                    let there = dense.select(2, places(height)).select(3, places(width));
                    let scale = sparse.clone().abs().max().into_scalar::<f32>();
                    let off = (there - sparse).abs().max().into_scalar::<f32>();
                    assert!(
                        off <= 1e-4 * scale,
                        "{depth:?} {version:?} {dilated_stages} {level}: {off} of {scale}"
                    );
                }
            }
        }
    }

    #[test]
    fn version_one_and_a_half_differs_from_the_paper_in_bottlenecks_alone() {
        let device = Device::flex();
        device.seed(0);
        for (depth, same) in [(Depth::D18, true), (Depth::D50, false)] {
            let config = |version| ResNetConfig { version, ..ResNetConfig::new(depth, 10) };
            let paper = config(Version::V1).init(&device).materialize();
            let torchvision = config(Version::V15).init(&device).load_record(paper.clone().into_record());
            let images = Tensor::random([1, 3, 64, 64], Distribution::Default, &device);
            let difference = paper.forward(images.clone()) - torchvision.forward(images);
            assert_eq!(difference.abs().max().into_scalar::<f32>() == 0.0, same, "{depth:?}");
        }
    }

    #[test]
    #[should_panic(expected = "D34 has no bottlenecks")]
    fn a_wide_network_without_bottlenecks_is_a_bug() {
        ResNetConfig { kind: Kind::Wide(2), ..ResNetConfig::new(Depth::D34, 10) }.init(&Device::flex());
    }
}
