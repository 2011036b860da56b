//! The settings that most convolutions and pools of the literature share.

use std::f64::consts::SQRT_2;

use burn::prelude::*;

use crate::{Conv2dConfig, Initializer, MaxPool2dConfig, PaddingConfig2d};

/// Normal with variance 2 / fan-in: He et al. 2015, equation 10.
pub const KAIMING_FAN_IN: Initializer = Initializer::KaimingNormal { gain: SQRT_2, fan_out_only: false };

/// Normal with variance 2 / fan-out: He et al. 2015, equation 14; torchvision's choice for ResNet.
pub const KAIMING_FAN_OUT: Initializer = Initializer::KaimingNormal { gain: SQRT_2, fan_out_only: true };

/// The same padding on all four sides. (Burn's `Same` is uneven for even kernels and knows no dilation.)
pub fn padded(pixels: usize) -> PaddingConfig2d {
    PaddingConfig2d::Explicit(pixels, pixels, pixels, pixels)
}

/// A square convolution padded by half its kernel, without bias: what stands before a batch normalization.
pub fn conv(channels: [usize; 2], kernel: usize, stride: usize) -> Conv2dConfig {
    Conv2dConfig::new(channels, [kernel; 2])
        .with_stride([stride; 2])
        .with_padding(padded(kernel / 2))
        .with_bias(false)
}

/// A square max pool without padding.
pub fn max_pool(kernel: usize, stride: usize) -> MaxPool2dConfig {
    MaxPool2dConfig::new([kernel; 2]).with_strides([stride; 2])
}

/// The mean of every channel.
///
/// # Shapes
/// `[batch, channels, height, width]` to `[batch, channels]`
pub fn global_average(x: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = x.dims();
    x.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strided_convolution_halves_an_even_side() {
        let device = Device::flex();
        let x = Tensor::zeros([1, 2, 8, 6], &device);
        assert_eq!(conv([2, 5], 3, 2).init(&device).forward(x).dims(), [1, 5, 4, 3]);
    }

    #[test]
    fn the_global_average_is_the_mean_of_each_channel() {
        let x =
            Tensor::<4>::from_data([[[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [0.0, 4.0]]]], &Device::flex());
        // (1 + 2 + 3 + 6) / 4 = 3 and 4 / 4 = 1.
        global_average(x).into_data().assert_eq(&TensorData::from([[3.0f32, 1.0]]), true);
    }
}
