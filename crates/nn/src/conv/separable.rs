//! A convolution of each channel for itself, and one across them.

use burn::config::Config;
use burn::prelude::*;

use crate::{Conv2d, Conv2dConfig, PaddingConfig2d};

/// The settings of a [`SeparableConv2d`].
#[derive(Config, Debug)]
pub struct SeparableConv2dConfig {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Rows and columns of the kernel.
    pub kernel_size: [usize; 2],
    /// Maps that are made of each channel before they are mixed.
    #[config(default = 1)]
    pub multiplier: usize,
    /// Steps between outputs.
    #[config(default = "[1, 1]")]
    pub stride: [usize; 2],
    /// Steps between the kernel's weights.
    #[config(default = "[1, 1]")]
    pub dilation: [usize; 2],
    /// Zeros around the input.
    #[config(default = "PaddingConfig2d::Valid")]
    pub padding: PaddingConfig2d,
    /// Whether a number is added to every channel of the result.
    #[config(default = true)]
    pub bias: bool,
}

/// A convolution of each channel and then one of 1x1 pixels across them, at `1 / out channels + 1 / kernel area` of a convolution's cost. Sifre 2014; Chollet 2017,
/// *Xception*; Howard et al. 2017, *MobileNets*.
#[derive(Module, Debug)]
pub struct SeparableConv2d {
    /// Each channel for itself.
    pub depthwise: Conv2d,
    /// Across them.
    pub pointwise: Conv2d,
}

impl SeparableConv2dConfig {
    /// A layer with fresh weights.
    pub fn init(&self, device: &Device) -> SeparableConv2d {
        let [input, output] = self.channels;
        let wide = input * self.multiplier;
        let depthwise = Conv2dConfig::new([input, wide], self.kernel_size)
            .with_groups(input)
            .with_stride(self.stride)
            .with_dilation(self.dilation)
            .with_padding(self.padding.clone())
            .with_bias(false);
        let pointwise = Conv2dConfig::new([wide, output], [1, 1]).with_bias(self.bias);
        SeparableConv2d { depthwise: depthwise.init(device), pointwise: pointwise.init(device) }
    }
}

impl SeparableConv2d {
    /// # Shapes
    /// `[batch, in channels, height, width]` to `[batch, out channels, new height, new width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.pointwise.forward(self.depthwise.forward(x))
    }
}
