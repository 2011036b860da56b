//! What the networks are built of.

use burn::module::Param;
use burn::prelude::*;
use kiln_nn::{
    BatchNorm, BatchNormConfig, Conv2d, Conv2dConfig, KAIMING_FAN_IN, MaxPool2d, PaddingConfig2d, add,
    cat_channels, conv, conv_norm, halves, leaky_relu, max_pool, mish, padded, relu, sigmoid, silu,
};

/// What follows a normalization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing: a cfg's.
    Linear,
    /// A cfg's.
    Relu,
    /// A cfg's.
    Logistic,
    /// A tenth of what is negative: v1 to v3, and v4's neck.
    Leaky,
    /// v4's backbone.
    Mish,
    /// v5 and later.
    Silu,
}

impl Activation {
    /// # Shapes
    /// `[batch, channels, height, width]` to the same
    pub fn forward(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Linear => x,
            Self::Relu => relu(x),
            Self::Logistic => sigmoid(x),
            Self::Leaky => leaky_relu(x, 0.1),
            Self::Mish => mish(x),
            Self::Silu => silu(x),
        }
    }
}

/// A convolution without bias, its normalization, its activation.
#[derive(Module, Debug)]
pub struct ConvNorm {
    conv: Conv2d,
    pub(crate) bn: BatchNorm,
    #[module(skip)]
    activation: Activation,
}

impl ConvNorm {
    /// A convolution padded by half its kernel.
    pub fn new(
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        activation: Activation,
        device: &Device,
    ) -> Self {
        Self::of(conv(channels, kernel, stride), activation, device)
    }

    /// Of a convolution as it is given.
    pub fn of(conv: Conv2dConfig, activation: Activation, device: &Device) -> Self {
        let norm = BatchNormConfig::new(conv.channels[1]);
        let (conv, norm) = match activation {
            // v5 and v8 keep PyTorch's initialization, and have a normalization of their own.
            Activation::Silu => (conv, norm.with_epsilon(1e-3).with_momentum(0.03)),
            _ => (conv.with_initializer(KAIMING_FAN_IN), norm),
        };
        Self { conv: conv.init(device), bn: norm.init(device), activation }
    }

    /// # Shapes
    /// `[batch, in channels, height, width]` to `[batch, out channels, height / stride, width / stride]`, rounded up
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.activation.forward(conv_norm(&self.conv, &self.bn, x))
    }
}

/// One layer after the other.
///
/// # Shapes
/// `[batch, in channels, height, width]` to what the last of them gives
pub fn sequence<'a>(layers: impl IntoIterator<Item = &'a ConvNorm>, x: Tensor<4>) -> Tensor<4> {
    layers.into_iter().fold(x, |x, layer| layer.forward(x))
}

/// Darknet's way of going deep: convolutions of 3x3, every second one 1x1.
pub fn alternating(mut input: usize, widths: &[usize], device: &Device) -> Vec<ConvNorm> {
    let layer = |(index, width): (usize, &usize)| {
        let layer = ConvNorm::new([input, *width], 3 - 2 * (index % 2), 1, Activation::Leaky, device);
        input = *width;
        layer
    };
    widths.iter().enumerate().map(layer).collect()
}

/// Darknet's pool: windows of 2x2, and of an odd side the last window has one row only.
pub fn pool(stride: usize) -> MaxPool2d {
    darknet_pool(2, stride, 1)
}

/// A pool of windows of any size, where `padding` is that of both sides together, and of an odd number the second has more.
pub fn darknet_pool(size: usize, stride: usize, padding: usize) -> MaxPool2d {
    let (before, after) = (padding / 2, padding - padding / 2);
    max_pool(size, stride).with_padding(PaddingConfig2d::Explicit(before, before, after, after)).init()
}

/// The last layer of a head: a number for each of `width` channels in every cell.
pub fn output(channels: [usize; 2], device: &Device) -> Conv2d {
    conv(channels, 1, 1).with_bias(true).init(device)
}

/// The last layer of a head whose biases begin at `bias(channel)`, so that it does not first have to learn how rare objects are (Lin
/// et al. 2017, "Focal loss for dense object detection", Section 4.1).
pub fn output_from(channels: [usize; 2], bias: impl Fn(usize) -> f64, device: &Device) -> Conv2d {
    let values: Vec<f32> = (0..channels[1]).map(|channel| bias(channel) as f32).collect();
    let bias = Param::from_tensor(Tensor::<1>::from_data(values.as_slice(), device));
    Conv2d { bias: Some(bias), ..output(channels, device) }
}

/// x, y, width, height and objectness, as the maps of a level with anchors have them.
///
/// # Shapes
/// `[batch, anchors, 5 + num_classes, rows, columns]` to five of `[batch, anchors, rows, columns]`
pub fn numbers(maps: &Tensor<5>) -> [Tensor<4>; 5] {
    [0, 1, 2, 3, 4].map(|index| maps.clone().narrow(2, index, 1).squeeze_dim(2))
}

/// A bottleneck, added to its input if that is as wide as its output and `shortcut` says so.
#[derive(Module, Debug)]
pub struct Bottleneck {
    cv1: ConvNorm,
    cv2: ConvNorm,
    shortcut: bool,
}

impl Bottleneck {
    /// Two convolutions of the sizes given, with `inside` channels between them.
    pub fn new(
        [input, inside, output]: [usize; 3],
        kernels: [usize; 2],
        shortcut: bool,
        activation: Activation,
        device: &Device,
    ) -> Self {
        Self {
            cv1: ConvNorm::new([input, inside], kernels[0], 1, activation, device),
            cv2: ConvNorm::new([inside, output], kernels[1], 1, activation, device),
            shortcut: shortcut && input == output,
        }
    }

    /// # Shapes
    /// `[batch, in channels, height, width]` to `[batch, out channels, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.cv2.forward(self.cv1.forward(x.clone()));
        if self.shortcut { add(x, y) } else { y }
    }
}

/// Cross-stage partial network of three convolutions (v5): one half goes through bottlenecks, the other past them.
#[derive(Module, Debug)]
pub struct C3 {
    cv1: ConvNorm,
    cv2: ConvNorm,
    cv3: ConvNorm,
    m: Vec<Bottleneck>,
}

impl C3 {
    /// Of `depth` bottlenecks, half as wide as the output.
    pub fn new([input, output]: [usize; 2], depth: usize, shortcut: bool, device: &Device) -> Self {
        let inside = output / 2;
        let layer = |channels| ConvNorm::new(channels, 1, 1, Activation::Silu, device);
        let bottleneck = |_| Bottleneck::new([inside; 3], [1, 3], shortcut, Activation::Silu, device);
        Self {
            cv1: layer([input, inside]),
            cv2: layer([input, inside]),
            cv3: layer([2 * inside, output]),
            m: (0..depth).map(bottleneck).collect(),
        }
    }

    /// # Shapes
    /// `[batch, in channels, height, width]` to `[batch, out channels, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let deep = self.m.iter().fold(self.cv1.forward(x.clone()), |x, block| block.forward(x));
        self.cv3.forward(cat_channels(vec![deep, self.cv2.forward(x)]))
    }
}

/// Cross-stage partial network of two convolutions (v8): what every bottleneck gives is kept.
#[derive(Module, Debug)]
pub struct C2f {
    cv1: ConvNorm,
    cv2: ConvNorm,
    m: Vec<Bottleneck>,
}

impl C2f {
    /// Of `depth` bottlenecks, half as wide as the output.
    pub fn new([input, output]: [usize; 2], depth: usize, shortcut: bool, device: &Device) -> Self {
        let inside = output / 2;
        let bottleneck = |_| Bottleneck::new([inside; 3], [3, 3], shortcut, Activation::Silu, device);
        Self {
            cv1: ConvNorm::new([input, 2 * inside], 1, 1, Activation::Silu, device),
            cv2: ConvNorm::new([(2 + depth) * inside, output], 1, 1, Activation::Silu, device),
            m: (0..depth).map(bottleneck).collect(),
        }
    }

    /// # Shapes
    /// `[batch, in channels, height, width]` to `[batch, out channels, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [past, mut deep] = halves(self.cv1.forward(x));
        let mut all = vec![past, deep.clone()];
        for block in &self.m {
            deep = block.forward(deep);
            all.push(deep.clone());
        }
        self.cv2.forward(cat_channels(all))
    }
}

/// Spatial pyramid pooling (He et al. 2014): the same map through windows of several sizes, beside itself.
///
/// # Shapes
/// `[batch, channels, height, width]` to `[batch, (sizes + 1) * channels, height, width]`; the sizes are odd
pub fn pyramid(x: Tensor<4>, sizes: &[usize]) -> Tensor<4> {
    let pooled = |size: &usize| same_pool(*size).forward(x.clone());
    let all: Vec<_> = sizes.iter().map(pooled).chain([x.clone()]).collect();
    cat_channels(all)
}

/// A max pool of stride 1 that keeps the size.
fn same_pool(size: usize) -> MaxPool2d {
    max_pool(size, 1).with_padding(padded(size / 2)).init()
}

/// Spatial pyramid pooling, fast: windows of 5x5 over windows of 5x5 are windows of 9x9, over these of 13x13.
#[derive(Module, Debug)]
pub struct Sppf {
    cv1: ConvNorm,
    cv2: ConvNorm,
}

impl Sppf {
    /// Keeps the channels.
    pub fn new(channels: usize, device: &Device) -> Self {
        Self {
            cv1: ConvNorm::new([channels, channels / 2], 1, 1, Activation::Silu, device),
            cv2: ConvNorm::new([2 * channels, channels], 1, 1, Activation::Silu, device),
        }
    }

    /// # Shapes
    /// `[batch, channels, height, width]` to the same
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.cv2.forward(cascade(self.cv1.forward(x)))
    }
}

/// A map and three pools of it, each of the one before.
fn cascade(x: Tensor<4>) -> Tensor<4> {
    let pool = same_pool(5);
    let p5 = pool.forward(x.clone());
    let p9 = pool.forward(p5.clone());
    let p13 = pool.forward(p9.clone());
    cat_channels(vec![x, p5, p9, p13])
}

/// Every second pixel of every second row, four times: a quarter of the size, four times the channels. YOLOv5 began so
/// before version 6.0.
///
/// # Shapes
/// `[batch, channels, height, width]` to `[batch, 4 * channels, height / 2, width / 2]`
pub fn focus(x: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    // [batch, channel, row, which row, column, which column]
    let apart = x.reshape([batch, channels, height / 2, 2, width / 2, 2]);
    apart.permute([0, 5, 3, 1, 2, 4]).reshape([batch, 4 * channels, height / 2, width / 2])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    #[test]
    fn a_folded_normalization_changes_nothing() {
        let device = Device::flex();
        device.seed(7);
        for (activation, channels, kernel, stride) in [
            (Activation::Leaky, [3, 32], 3, 1),
            (Activation::Mish, [32, 64], 3, 2),
            (Activation::Silu, [3, 16], 3, 2),
            (Activation::Silu, [64, 48], 1, 1),
        ] {
            let learning = device.clone().autodiff();
            let mut block = ConvNorm::new(channels, kernel, stride, activation, &learning);
            let random = |dims: [usize; 4], mean, deviation, device: &Device| {
                Tensor::<4>::random(dims, Distribution::Normal(mean, deviation), device)
            };
            // A hundred steps move the running statistics all the way to those of these images.
            let images = random([8, channels[0], 16, 16], 0.5, 2.0, &learning);
            (0..100).for_each(|_| drop(block.forward(images.clone())));
            block.bn.gamma = block.bn.gamma.map(|gamma| gamma * 1.7);
            block.bn.beta = block.bn.beta.map(|beta| beta - 0.3);
            let block = block.valid();
            let x = random([2, channels[0], 33, 20], 0.5, 2.0, &device);
            let apart = activation.forward(block.bn.forward(block.conv.forward(x.clone())));
            let largest: f32 = apart.clone().abs().max().into_scalar();
            let difference: f32 = (block.forward(x) - apart).abs().max().into_scalar();
            assert!(difference <= 1e-5 * largest, "{activation:?}: {difference} of {largest}");
        }
    }

    #[test]
    fn the_fast_pyramid_is_the_pyramid_of_5_9_and_13() {
        let x = Tensor::<4>::random([2, 3, 20, 17], Distribution::Default, &Device::flex());
        // The pyramid puts the map itself last, the cascade first.
        let slow = pyramid(x.clone(), &[5, 9, 13]);
        let slow = Tensor::cat(vec![slow.clone().narrow(1, 9, 3), slow.narrow(1, 0, 9)], 1);
        cascade(x).into_data().assert_eq(&slow.into_data(), true);
    }

    #[test]
    fn a_focus_and_a_3x3_convolution_are_a_6x6_convolution_of_stride_2() {
        let device = Device::flex();
        let x = Tensor::<4>::random([2, 3, 16, 12], Distribution::Default, &device);
        let mut small = conv([12, 5], 3, 1).init(&device);
        let mut large = Conv2dConfig::new([3, 5], [6, 6])
            .with_stride([2, 2])
            .with_padding(padded(2))
            .with_bias(false)
            .init(&device);
        // Weight [out, which column, which row, channel, row, column] of the one is [out, channel, 2 row + which row,
        // 2 column + which column] of the other.
        let weight = Tensor::<4>::random([5, 12, 3, 3], Distribution::Default, &device);
        let apart = weight.clone().reshape([5, 2, 2, 3, 3, 3]).permute([0, 3, 4, 2, 5, 1]);
        small.weight = Param::from_tensor(weight);
        large.weight = Param::from_tensor(apart.reshape([5, 3, 6, 6]));
        let tolerance = Tolerance::<f32>::rel_abs(1e-5, 1e-5);
        let expected = large.forward(x.clone()).into_data();
        small.forward(focus(x)).into_data().assert_approx_eq(&expected, tolerance);
    }

    #[test]
    fn of_an_odd_side_the_last_window_has_one_row() {
        let device = Device::flex();
        // Below 0, where padding with zeros would be seen.
        let x = Tensor::<1, Int>::arange(-9..0, &device).float().reshape([1, 1, 3, 3]);
        let values = |x: Tensor<4>| x.into_data().try_to_vec::<f32>().expect("f32");
        assert_eq!(values(pool(2).forward(x.clone())), [-5., -4., -2., -1.]);
        assert_eq!(values(pool(1).forward(x)), [-5., -4., -4., -2., -1., -1., -2., -1., -1.]);
        // A padding of a pixel less than the window keeps the size: 13 of the small networks', and those of pyramids.
        let side = |side: usize, pool: MaxPool2d| {
            let [_, _, _, width] = pool.forward(Tensor::zeros([1, 1, side, side], &device)).dims();
            width
        };
        assert_eq!([side(13, pool(1)), side(416, pool(2))], [13, 208]);
        assert_eq!([5, 9, 13].map(|size| side(19, darknet_pool(size, 1, size - 1))), [19; 3]);
    }
}
