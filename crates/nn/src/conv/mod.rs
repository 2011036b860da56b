//! Convolutions, and the settings that most of the literature share.

mod conv2d;
mod conv_norm;
mod conv_transpose2d;
mod local;
pub(crate) mod padding;
mod recompute;
mod separable;

use std::f64::consts::SQRT_2;

use crate::{Initializer, PaddingConfig2d};
pub use conv_norm::{conv_norm, conv_norm_add_relu, conv_norm_relu, conv_relu};
pub use conv_transpose2d::{ConvTranspose2d, ConvTranspose2dConfig};
pub use conv2d::{Conv2d, Conv2dConfig};
pub use local::{LocallyConnected2d, LocallyConnected2dConfig};
pub use recompute::norm_relu_conv;
pub use separable::{SeparableConv2d, SeparableConv2dConfig};

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

/// A 3x3 convolution whose weights are `dilation` pixels apart and which keeps the size of its input, without bias.
pub fn dilated(channels: [usize; 2], dilation: usize) -> Conv2dConfig {
    conv(channels, 3, 1).with_dilation([dilation; 2]).with_padding(padded(dilation))
}

#[cfg(test)]
mod tests {
    use burn::prelude::*;

    use super::*;

    #[test]
    fn a_strided_convolution_halves_an_even_side() {
        let device = Device::flex();
        let x = Tensor::zeros([1, 2, 8, 6], &device);
        assert_eq!(conv([2, 5], 3, 2).init(&device).forward(x).dims(), [1, 5, 4, 3]);
    }
}
