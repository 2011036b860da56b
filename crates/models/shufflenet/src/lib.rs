//! ShuffleNet V2.
//!
//! Ningning Ma, Xiangyu Zhang, Hai-Tao Zheng, Jian Sun, *ShuffleNet V2: practical guidelines for efficient CNN
//! architecture design*, 2018, <https://arxiv.org/abs/1807.11164>.
//!
//! As torchvision has it, from where its weights come. The authors' own code shuffles where a block begins, not where it
//! ends, and its last linear layer has no bias: its weights do not fit.

use burn::prelude::*;
use kiln_core::Network;
use kiln_nn::{
    BatchNorm, BatchNormConfig, Conv2d, Linear, LinearConfig, MaxPool2d, Relu, conv, conv_norm,
    conv_norm_relu, global_average, halves, interleave, max_pool, padded,
};

/// The published widths, as parts of the plain network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// 0.5 times.
    X05,
    /// 1 time.
    X10,
    /// 1.5 times.
    X15,
    /// 2 times.
    X20,
}

/// What stands before the stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stem {
    /// A convolution of stride 2 and a max pool: a quarter of the side.
    ImageNet,
    /// A convolution of stride 1: the whole side. Not in the paper; the published CIFAR weights are of this kind.
    Cifar,
}

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct ShuffleNetV2Config {
    /// One of the published widths.
    pub width: Width,
    /// What stands before the stages.
    pub stem: Stem,
    /// Classes to tell apart.
    pub num_classes: usize,
}

/// The network of Table 5.
#[derive(Module, Debug)]
pub struct ShuffleNetV2 {
    conv1: (Conv2d, BatchNorm),
    maxpool: Option<MaxPool2d>,
    stage2: Vec<Block>,
    stage3: Vec<Block>,
    stage4: Vec<Block>,
    conv5: (Conv2d, BatchNorm),
    fc: Linear,
}

impl ShuffleNetV2Config {
    /// A network with fresh weights, as PyTorch draws them by default.
    pub fn init(&self, device: &Device) -> ShuffleNetV2 {
        // Table 5 of the paper.
        let [c1, c2, c3, c4, c5] = match self.width {
            Width::X05 => [24, 48, 96, 192, 1024],
            Width::X10 => [24, 116, 232, 464, 1024],
            Width::X15 => [24, 176, 352, 704, 1024],
            Width::X20 => [24, 244, 488, 976, 2048],
        };
        let (stride, maxpool) = match self.stem {
            Stem::ImageNet => (2, Some(max_pool(3, 2).with_padding(padded(1)).init())),
            Stem::Cifar => (1, None),
        };
        let conv_norm = |channels, kernel, stride| {
            (conv(channels, kernel, stride).init(device), BatchNormConfig::new(channels[1]).init(device))
        };
        let stage = |channels: [usize; 2], blocks: usize| -> Vec<Block> {
            let rest = (1..blocks).map(|_| Block::keeping(channels[1], device));
            std::iter::once(Block::halving(channels, device)).chain(rest).collect()
        };
        ShuffleNetV2 {
            conv1: conv_norm([3, c1], 3, stride),
            maxpool,
            stage2: stage([c1, c2], 4),
            stage3: stage([c2, c3], 8),
            stage4: stage([c3, c4], 4),
            conv5: conv_norm([c4, c5], 1, 1),
            fc: LinearConfig::new(c5, self.num_classes).init(device),
        }
    }
}

impl ShuffleNetV2 {
    /// What the three stages give.
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` to `[batch, channels, height, width]` with an 8th, a 16th and a 32nd of the sides (a
    /// half, a quarter and an 8th after [`Stem::Cifar`])
    pub fn features(&self, images: Tensor<4>) -> [Tensor<4>; 3] {
        let (conv, norm) = &self.conv1;
        let x = conv_norm_relu(conv, norm, images);
        let x = match &self.maxpool {
            Some(pool) => pool.forward(x),
            None => x,
        };
        let stage = |blocks: &[Block], x| blocks.iter().fold(x, |x, block| block.forward(x));
        let c3 = stage(&self.stage2, x);
        let c4 = stage(&self.stage3, c3.clone());
        let c5 = stage(&self.stage4, c4.clone());
        [c3, c4, c5]
    }
}

impl Network for ShuffleNetV2 {
    type Output = Tensor<2>;

    /// # Shapes
    /// `[batch, 3, height, width]` (224 in the paper, 32 with [`Stem::Cifar`]) to logits `[batch, num_classes]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let (conv, norm) = &self.conv5;
        let [_, _, x] = self.features(images);
        let x = conv_norm_relu(conv, norm, x);
        self.fc.forward(global_average(x))
    }
}

/// Figure 3 (c), which keeps the shape, and Figure 3 (d), which halves the sides.
#[derive(Module, Debug)]
struct Block {
    branch1: Option<(Conv2d, BatchNorm, Conv2d, BatchNorm)>,
    branch2: (Conv2d, BatchNorm, Relu, Conv2d, BatchNorm, Conv2d, BatchNorm),
}

impl Block {
    /// Half of the channels pass as they are.
    fn keeping(channels: usize, device: &Device) -> Self {
        Self { branch1: None, branch2: branch([channels / 2; 2], 1, device) }
    }

    /// All channels go into both branches, and each branch gives half of the new ones.
    fn halving([input, output]: [usize; 2], device: &Device) -> Self {
        let branch1 = (
            conv([input; 2], 3, 2).with_groups(input).init(device),
            BatchNormConfig::new(input).init(device),
            conv([input, output / 2], 1, 1).init(device),
            BatchNormConfig::new(output / 2).init(device),
        );
        Self { branch1: Some(branch1), branch2: branch([input, output / 2], 2, device) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (kept, x) = match &self.branch1 {
            Some((depthwise, norm1, pointwise, norm2)) => {
                let kept = conv_norm(depthwise, norm1, x.clone());
                (conv_norm_relu(pointwise, norm2, kept), x)
            }
            None => halves(x).into(),
        };
        let (pointwise1, norm1, _, depthwise, norm2, pointwise2, norm3) = &self.branch2;
        let x = conv_norm_relu(pointwise1, norm1, x);
        let x = conv_norm(depthwise, norm2, x);
        let x = conv_norm_relu(pointwise2, norm3, x);
        // A channel shuffle of the two branches.
        interleave(kept, x)
    }
}

/// 1x1, depthwise 3x3, 1x1.
fn branch(
    [input, output]: [usize; 2],
    stride: usize,
    device: &Device,
) -> (Conv2d, BatchNorm, Relu, Conv2d, BatchNorm, Conv2d, BatchNorm) {
    let norm = || BatchNormConfig::new(output).init(device);
    (
        conv([input, output], 1, 1).init(device),
        norm(),
        Relu::new(),
        conv([output; 2], 3, stride).with_groups(output).init(device),
        norm(),
        conv([output; 2], 1, 1).init(device),
        norm(),
    )
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;
    use kiln_core::{learnable_parameters, without_gradient};

    use super::*;

    #[test]
    fn parameters_and_outputs_are_the_published_ones() {
        let device = Device::flex();
        // torchvision.models.shufflenet_v2_*, num_params. The stem changes no weight; ten classes in place of a thousand
        // are 990 rows of c5 weights and a bias fewer.
        let rows = [
            (Width::X05, 1_366_792, 1024),
            (Width::X10, 2_278_604, 1024),
            (Width::X15, 3_503_624, 1024),
            (Width::X20, 7_393_996, 2048),
        ];
        for (width, params, c5) in rows {
            let config = |stem, num_classes| ShuffleNetV2Config { width, stem, num_classes }.init(&device);
            let network = config(Stem::ImageNet, 1000);
            assert_eq!(learnable_parameters(&network), params, "{width:?}");
            assert_eq!(network.forward(Tensor::zeros([2, 3, 64, 64], &device)).dims(), [2, 1000]);
            let network = config(Stem::Cifar, 10);
            assert_eq!(learnable_parameters(&network), params - 990 * (c5 + 1), "{width:?}");
            assert_eq!(network.forward(Tensor::zeros([2, 3, 32, 32], &device)).dims(), [2, 10]);
        }
    }

    #[test]
    fn features_have_the_channels_of_table_5_and_its_strides() {
        let device = Device::flex();
        let rows = [(Stem::ImageNet, [28, 14, 7]), (Stem::Cifar, [112, 56, 28])];
        for (stem, sides) in rows {
            let network = ShuffleNetV2Config { width: Width::X10, stem, num_classes: 10 }.init(&device);
            let features = network.features(Tensor::zeros([1, 3, 224, 224], &device));
            for (feature, (channels, side)) in features.iter().zip([116, 232, 464].into_iter().zip(sides)) {
                assert_eq!(feature.dims(), [1, channels, side, side], "{stem:?}");
            }
        }
    }

    #[test]
    fn half_of_the_channels_pass_a_block_as_they_are() {
        let device = Device::flex();
        let block = Block::keeping(8, &device);
        let x = Tensor::<4>::random([2, 8, 5, 5], Distribution::Default, &device);
        // The shuffle puts the four channels that pass at 0, 2, 4 and 6.
        let passed = block.forward(x.clone()).slice(s![.., 0..;2, .., ..]);
        passed.into_data().assert_eq(&x.slice(s![.., 0..4, .., ..]).into_data(), true);
    }

    #[test]
    fn every_parameter_receives_a_gradient() {
        let device = Device::flex().autodiff();
        let config = ShuffleNetV2Config { width: Width::X05, stem: Stem::Cifar, num_classes: 10 };
        let network = config.init(&device);
        let images = Tensor::random([2, 3, 32, 32], Distribution::Normal(0.0, 1.0), &device);
        let loss = (network.forward(images) * Tensor::random([2, 10], Distribution::Default, &device)).sum();
        let gradients = loss.backward();
        assert_eq!(without_gradient(&network, &gradients), Vec::<String>::new());
    }
}
