//! What a DenseNet is made of: layers that see all that came before, and transitions between the sizes.

use burn::prelude::*;
use kiln_nn::{
    AvgPool2d, AvgPool2dConfig, BatchNorm, BatchNormConfig, Conv2d, Dropout, DropoutConfig, KAIMING_FAN_IN,
    cat_channels, conv, norm_relu_conv,
};

use crate::Activations;

/// "Composite function" of Section 3: normalization, ReLU and convolution, here with the dropout after them. The layers
/// with weights stay where their names say.
#[derive(Module, Debug)]
pub struct Composite {
    dropout: Dropout,
    #[module(skip)]
    activations: Activations,
}

impl Composite {
    pub fn new(drop_rate: f64, activations: Activations) -> Self {
        Self { dropout: DropoutConfig::new(drop_rate).init(), activations }
    }

    /// # Shapes
    /// The parts, joined along their channels, are what `norm` takes.
    fn forward(&self, norm: &BatchNorm, conv: &Conv2d, parts: Vec<Tensor<4>>) -> Tensor<4> {
        let trains = parts[0].device().is_autodiff() && norm.training.is_enabled();
        let x = match self.activations {
            Activations::Recompute if trains => norm_relu_conv(norm, conv, parts),
            _ => conv.forward(norm.forward_relu(cat_channels(parts))),
        };
        self.dropout.forward(x)
    }
}

/// From all that came before, a few channels more.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // There are hundreds of them, not thousands.
pub enum DenseLayer {
    /// A 3x3 convolution.
    Plain(PlainLayer),
    /// A 1x1 convolution to few channels, then the 3x3 one.
    Bottleneck(Bottleneck),
}

impl DenseLayer {
    pub fn forward(&self, parts: Vec<Tensor<4>>) -> Tensor<4> {
        match self {
            Self::Plain(layer) => layer.forward(parts),
            Self::Bottleneck(layer) => layer.forward(parts),
        }
    }
}

/// "Dense connectivity" of Section 3.
#[derive(Module, Debug)]
pub struct PlainLayer {
    norm1: BatchNorm,
    conv1: Conv2d,
    composite: Composite,
}

impl PlainLayer {
    pub fn new(channels: [usize; 2], composite: Composite, device: &Device) -> Self {
        Self {
            norm1: BatchNormConfig::new(channels[0]).init(device),
            conv1: conv(channels, 3, 1).with_initializer(KAIMING_FAN_IN).init(device),
            composite,
        }
    }

    fn forward(&self, parts: Vec<Tensor<4>>) -> Tensor<4> {
        self.composite.forward(&self.norm1, &self.conv1, parts)
    }
}

/// "Bottleneck layers" of Section 3.
#[derive(Module, Debug)]
pub struct Bottleneck {
    norm1: BatchNorm,
    conv1: Conv2d,
    norm2: BatchNorm,
    conv2: Conv2d,
    composite: Composite,
}

impl Bottleneck {
    pub fn new([input, output]: [usize; 2], composite: Composite, device: &Device) -> Self {
        let width = 4 * output;
        Self {
            norm1: BatchNormConfig::new(input).init(device),
            conv1: conv([input, width], 1, 1).with_initializer(KAIMING_FAN_IN).init(device),
            norm2: BatchNormConfig::new(width).init(device),
            conv2: conv([width, output], 3, 1).with_initializer(KAIMING_FAN_IN).init(device),
            composite,
        }
    }

    fn forward(&self, parts: Vec<Tensor<4>>) -> Tensor<4> {
        let x = self.composite.forward(&self.norm1, &self.conv1, parts);
        self.composite.forward(&self.norm2, &self.conv2, vec![x])
    }
}

/// "Pooling layers" of Section 3: a 1x1 convolution, then half the sides.
#[derive(Module, Debug)]
pub struct Transition {
    norm: BatchNorm,
    conv: Conv2d,
    composite: Composite,
    pool: AvgPool2d,
}

impl Transition {
    pub fn new(channels: [usize; 2], composite: Composite, device: &Device) -> Self {
        Self {
            norm: BatchNormConfig::new(channels[0]).init(device),
            conv: conv(channels, 1, 1).with_initializer(KAIMING_FAN_IN).init(device),
            composite,
            pool: AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.pool.forward(self.composite.forward(&self.norm, &self.conv, vec![x]))
    }
}
