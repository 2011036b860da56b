//! The ResNets of Section 4.2, for images of 32x32: three stages of 16, 32 and 64 channels, n blocks each.

use burn::prelude::*;
use kiln_core::Network;
use kiln_nn::{
    BatchNorm, BatchNormConfig, Conv2d, KAIMING_FAN_IN, Linear, LinearConfig, cat_channels, constant_bias,
    conv, conv_norm, conv_norm_add_relu, conv_norm_relu, global_average, max_pool,
};

/// How a shortcut gets its shape where the block's output has another (Section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortcut {
    /// Option A: every second pixel, the new channels zero; no parameters.
    Padded,
    /// Option B: a 1x1 convolution.
    Projected,
}

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct CifarResNetConfig {
    /// 6n + 2: 20, 32, 44, 56, 110, 1202.
    pub depth: usize,
    /// Option A or B; the paper's is A.
    pub shortcut: Shortcut,
    /// Classes to tell apart.
    pub num_classes: usize,
}

/// The network of Section 4.2.
#[derive(Module, Debug)]
pub struct CifarResNet {
    conv1: Conv2d,
    bn1: BatchNorm,
    layer1: Vec<CifarBlock>,
    layer2: Vec<CifarBlock>,
    layer3: Vec<CifarBlock>,
    fc: Linear,
}

impl CifarResNetConfig {
    /// A network with fresh weights, by He's initialization over the fan-in.
    ///
    /// # Panics
    /// If the depth is not 6n + 2.
    pub fn init(&self, device: &Device) -> CifarResNet {
        assert!(self.depth >= 8 && self.depth % 6 == 2, "depth {} is not 6n + 2", self.depth);
        let stage = |channels: [usize; 2], stride| -> Vec<CifarBlock> {
            let rest = (1..self.depth / 6).map(|_| self.block([channels[1]; 2], 1, device));
            std::iter::once(self.block(channels, stride, device)).chain(rest).collect()
        };
        let linear = LinearConfig::new(64, self.num_classes).with_initializer(KAIMING_FAN_IN).init(device);
        CifarResNet {
            conv1: conv([3, 16], 3, 1).with_initializer(KAIMING_FAN_IN).init(device),
            bn1: BatchNormConfig::new(16).init(device),
            layer1: stage([16, 16], 1),
            layer2: stage([16, 32], 2),
            layer3: stage([32, 64], 2),
            fc: Linear { bias: constant_bias(0.0, self.num_classes, device), ..linear },
        }
    }

    fn block(&self, channels: [usize; 2], stride: usize, device: &Device) -> CifarBlock {
        let [input, output] = channels;
        let conv = |channels, kernel, stride| {
            conv(channels, kernel, stride).with_initializer(KAIMING_FAN_IN).init(device)
        };
        let norm = || BatchNormConfig::new(output).init(device);
        let projected = input != output && self.shortcut == Shortcut::Projected;
        CifarBlock {
            conv1: conv([input, output], 3, stride),
            bn1: norm(),
            conv2: conv([output, output], 3, 1),
            bn2: norm(),
            downsample: projected.then(|| (conv(channels, 1, stride), norm())),
        }
    }
}

impl Network for CifarResNet {
    type Output = Tensor<2>;

    /// # Shapes
    /// `[batch, 3, height, width]` (32 in the paper) to logits `[batch, num_classes]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = conv_norm_relu(&self.conv1, &self.bn1, images);
        let stages = [&self.layer1, &self.layer2, &self.layer3];
        let x = stages.into_iter().flatten().fold(x, |x, block| block.forward(x));
        self.fc.forward(global_average(x))
    }
}

#[derive(Module, Debug)]
struct CifarBlock {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    downsample: Option<(Conv2d, BatchNorm)>,
}

impl CifarBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.downsample {
            Some((conv, norm)) => conv_norm(conv, norm, x.clone()),
            None => self.padded(x.clone()),
        };
        let x = conv_norm_relu(&self.conv1, &self.bn1, x);
        conv_norm_add_relu(&self.conv2, &self.bn2, x, shortcut)
    }

    /// Option A: what is missing in channels is zero, half of it before and half behind.
    fn padded(&self, x: Tensor<4>) -> Tensor<4> {
        let [output, input, ..] = self.conv1.weight.dims();
        if input == output {
            return x;
        }
        // The maximum of a single pixel is the pixel.
        let x = max_pool(1, 2).init().forward(x);
        let [batch, _, height, width] = x.dims();
        let zeros = Tensor::zeros([batch, (output - input) / 2, height, width], (&x.device(), x.dtype()));
        cat_channels(vec![zeros.clone(), x, zeros])
    }
}

#[cfg(test)]
mod tests {
    use kiln_core::learnable_parameters;

    use super::*;

    #[test]
    fn parameters_and_outputs_are_the_published_ones() {
        let device = Device::flex();
        // Section 4.2 and Table 6 (0.27 M, 0.46 M, 0.66 M, 0.85 M, 1.7 M, 19.4 M), counted exactly; B adds its two
        // projections: 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64 = 2,752.
        let rows = [
            (20, 269_722),
            (32, 464_154),
            (44, 658_586),
            (56, 853_018),
            (110, 1_727_962),
            (1202, 19_421_274),
        ];
        for (depth, params) in rows {
            for (shortcut, more) in [(Shortcut::Padded, 0), (Shortcut::Projected, 2_752)] {
                let network = CifarResNetConfig { depth, shortcut, num_classes: 10 }.init(&device);
                assert_eq!(learnable_parameters(&network), params + more, "{depth} {shortcut:?}");
                if depth < 100 {
                    assert_eq!(network.forward(Tensor::zeros([2, 3, 32, 32], &device)).dims(), [2, 10]);
                }
            }
        }
    }

    #[test]
    fn the_padded_shortcut_takes_every_second_pixel_and_adds_zero_channels_on_both_sides() {
        let device = Device::flex();
        let config = CifarResNetConfig { depth: 20, shortcut: Shortcut::Padded, num_classes: 10 };
        let block = config.block([16, 32], 2, &device);
        let x = Tensor::<1, Int>::arange(0..16 * 16, &device).float().reshape([1, 16, 4, 4]);
        let padded = block.padded(x.clone());
        assert_eq!(padded.dims(), [1, 32, 2, 2]);
        // Channel 0 of the input, pixels 0, 2, 8, 10, stands in channel 8.
        let channel = padded.clone().slice(s![0, 8, .., ..]).reshape([4]);
        channel.into_data().assert_eq(&TensorData::from([0.0f32, 2.0, 8.0, 10.0]), true);
        assert_eq!(padded.slice(s![0, 24.., .., ..]).abs().sum().into_scalar::<f32>(), 0.0);
    }

    #[test]
    #[should_panic(expected = "is not 6n + 2")]
    fn a_depth_that_is_not_6n_plus_2_is_a_bug() {
        CifarResNetConfig { depth: 21, shortcut: Shortcut::Padded, num_classes: 10 }.init(&Device::flex());
    }
}
