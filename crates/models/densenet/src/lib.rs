//! DenseNet.
//!
//! Gao Huang, Zhuang Liu, Laurens van der Maaten, Kilian Q. Weinberger, *Densely connected convolutional networks*, 2016,
//! <https://arxiv.org/abs/1608.06993>.
//!
//! [`DenseNetConfig::imagenet`] has the networks of Table 1, [`DenseNetConfig::cifar`] those of Table 2. The names of the
//! weights are torchvision's. Dropout stands after every convolution but the first, as in the paper; torchvision has it
//! after a layer's last one alone.

mod block;
mod named;

use burn::prelude::*;
use kiln_core::Network;
use kiln_nn::{
    BatchNorm, BatchNormConfig, Conv2d, KAIMING_FAN_IN, Linear, LinearConfig, MaxPool2d, cat_channels,
    constant_bias, conv, global_average, max_pool, padded,
};

use block::{Bottleneck, Composite, DenseLayer, PlainLayer, Transition};
use named::Named;

/// The published depths for ImageNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// 121 layers of weights.
    D121,
    /// 161 layers.
    D161,
    /// 169 layers.
    D169,
    /// 201 layers.
    D201,
}

/// What the layers and the transitions between the blocks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A layer is a 3x3 convolution; transitions keep the channels.
    Plain,
    /// DenseNet-BC: a layer has a 1x1 convolution before it (bottleneck); transitions halve the channels (compression).
    Bc,
}

/// What stands before the dense blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stem {
    /// A 7x7 convolution of stride 2 and a max pool: a quarter of the side.
    ImageNet,
    /// A 3x3 convolution: the whole side.
    Cifar,
}

/// What a training step keeps for the backward pass. It changes no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activations {
    /// All that was computed: in every layer, twice what all layers before it gave.
    Keep,
    /// What the convolutions gave. What is joined, normalized and rectified is computed again (Pleiss et al. 2017,
    /// <https://arxiv.org/abs/1707.06990>). On the CPU; other devices keep all.
    Recompute,
}

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseNetConfig {
    /// Channels that a layer adds: k in the paper.
    pub growth: usize,
    /// Layers of each dense block.
    pub blocks: Vec<usize>,
    /// What the layers are.
    pub kind: Kind,
    /// What stands before them.
    pub stem: Stem,
    /// Classes to tell apart.
    pub num_classes: usize,
    /// Probability with which a unit is dropped after each convolution but the first.
    pub drop_rate: f64,
    /// What a training step keeps.
    pub activations: Activations,
}

/// The network of Figure 2.
#[derive(Module, Debug)]
pub struct DenseNet {
    features: Named<Step>,
    classifier: Linear,
}

#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // There are ten of them, not thousands.
enum Step {
    Conv(Conv2d),
    Norm(BatchNorm),
    Pool(MaxPool2d),
    Block(Named<DenseLayer>),
    Transition(Transition),
}

impl DenseNetConfig {
    /// A network of Table 1.
    pub fn imagenet(depth: Depth, num_classes: usize) -> Self {
        // 161 is not in the table, but among the authors' and torchvision's weights.
        let (growth, blocks) = match depth {
            Depth::D121 => (32, [6, 12, 24, 16]),
            Depth::D161 => (48, [6, 12, 36, 24]),
            Depth::D169 => (32, [6, 12, 32, 32]),
            Depth::D201 => (32, [6, 12, 48, 32]),
        };
        Self::published(growth, blocks.to_vec(), Kind::Bc, Stem::ImageNet, num_classes)
    }

    /// A network of Table 2, by its depth L and growth k.
    ///
    /// # Panics
    /// If three blocks do not make that depth: L is 3n + 4, of BC 6n + 4.
    pub fn cifar(depth: usize, growth: usize, kind: Kind, num_classes: usize) -> Self {
        // Four layers of weights are the first convolution, two transitions and the classifier.
        let step = match kind {
            Kind::Plain => 3,
            Kind::Bc => 6,
        };
        assert!(depth > 4 && (depth - 4).is_multiple_of(step), "depth {depth} is not {step}n + 4");
        Self::published(growth, vec![(depth - 4) / step; 3], kind, Stem::Cifar, num_classes)
    }

    fn published(growth: usize, blocks: Vec<usize>, kind: Kind, stem: Stem, num_classes: usize) -> Self {
        let activations = Activations::Keep;
        Self { growth, blocks, kind, stem, num_classes, drop_rate: 0.0, activations }
    }

    /// A network with fresh weights: He's normal initialization over the fan-in, as torchvision has it.
    pub fn init(&self, device: &Device) -> DenseNet {
        let conv = |channels, kernel, stride| {
            Step::Conv(conv(channels, kernel, stride).with_initializer(KAIMING_FAN_IN).init(device))
        };
        let norm = |channels| Step::Norm(BatchNormConfig::new(channels).init(device));
        let composite = || Composite::new(self.drop_rate, self.activations);
        let layer = |input| match self.kind {
            Kind::Plain => DenseLayer::Plain(PlainLayer::new([input, self.growth], composite(), device)),
            Kind::Bc => DenseLayer::Bottleneck(Bottleneck::new([input, self.growth], composite(), device)),
        };
        let (mut channels, compression) = match self.kind {
            Kind::Plain => (16, 1),
            Kind::Bc => (2 * self.growth, 2),
        };
        let mut steps = match self.stem {
            Stem::ImageNet => vec![
                ("conv0".to_string(), conv([3, channels], 7, 2)),
                ("norm0".to_string(), norm(channels)),
                ("pool0".to_string(), Step::Pool(max_pool(3, 2).with_padding(padded(1)).init())),
            ],
            Stem::Cifar => vec![("conv0".to_string(), conv([3, channels], 3, 1))],
        };
        for (index, &layers) in self.blocks.iter().enumerate() {
            if index > 0 {
                let output = channels / compression;
                let transition = Transition::new([channels, output], composite(), device);
                steps.push((format!("transition{index}"), Step::Transition(transition)));
                channels = output;
            }
            let named = |n| (format!("denselayer{}", n + 1), layer(channels + n * self.growth));
            let block = (0..layers).map(named).collect();
            steps.push((format!("denseblock{}", index + 1), Step::Block(block)));
            channels += layers * self.growth;
        }
        steps.push(("norm5".to_string(), norm(channels)));
        let mut classifier = LinearConfig::new(channels, self.num_classes).init(device);
        classifier.bias = constant_bias(0.0, self.num_classes, device);
        DenseNet { features: steps.into_iter().collect(), classifier }
    }
}

impl DenseNet {
    /// What the dense blocks give, the last of them normalized and rectified.
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` to `[batch, channels, height, width]`, each half the size of the one before; the first
    /// has a quarter of the sides after [`Stem::ImageNet`], all of them after [`Stem::Cifar`].
    pub fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut features = Vec::new();
        let mut x = images;
        for step in self.features.iter() {
            if let Step::Transition(_) = step {
                features.push(x.clone());
            }
            x = step.forward(x);
        }
        features.push(x);
        features
    }
}

impl Network for DenseNet {
    type Output = Tensor<2>;

    /// # Shapes
    /// `[batch, 3, height, width]` (224 in the paper, 32 with [`Stem::Cifar`]) to logits `[batch, num_classes]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.features.iter().fold(images, |x, step| step.forward(x));
        self.classifier.forward(global_average(x))
    }
}

impl Step {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Conv(conv) => conv.forward(x),
            Self::Norm(norm) => norm.forward_relu(x),
            Self::Pool(pool) => pool.forward(x),
            Self::Block(layers) => {
                let mut parts = vec![x];
                for layer in layers.iter() {
                    parts.push(layer.forward(parts.clone()));
                }
                cat_channels(parts)
            }
            Self::Transition(transition) => transition.forward(x),
        }
    }
}

#[cfg(test)]
mod tests;
