//! A convolution along two sides: Burn's parameters, names and initialization; on the CPU, the kernels of
//! `kiln-kernels`.

use burn::config::Config;
use burn::module::{Content, DisplaySettings, ModuleDisplay, Param};
use burn::prelude::*;
use burn::tensor::ops::ConvOptions;
use kiln_kernels::{Given, Then};

use super::padding;
use crate::tap::shown;
use crate::{Initializer, PaddingConfig2d};

/// The settings of a [`Conv2d`].
#[derive(Config, Debug)]
pub struct Conv2dConfig {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Rows and columns of the kernel.
    pub kernel_size: [usize; 2],
    /// Steps between outputs.
    #[config(default = "[1, 1]")]
    pub stride: [usize; 2],
    /// Steps between the kernel's weights.
    #[config(default = "[1, 1]")]
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    #[config(default = "1")]
    pub groups: usize,
    /// Zeros around the input.
    #[config(default = "PaddingConfig2d::Valid")]
    pub padding: PaddingConfig2d,
    /// Whether a number is added to every channel.
    #[config(default = true)]
    pub bias: bool,
    /// How fresh weights and biases are drawn: as PyTorch does by default.
    #[config(default = "Initializer::KaimingUniform { gain: 1.0 / 3.0f64.sqrt(), fan_out_only: false }")]
    pub initializer: Initializer,
}

/// A convolution along two sides.
///
/// It is named and built as Burn's is: weight files are matched by these names.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct Conv2d {
    /// `[out channels, in channels / groups, kernel rows, kernel columns]`
    pub weight: Param<Tensor<4>>,
    /// `[out channels]`
    pub bias: Option<Param<Tensor<1>>>,
    /// Steps between outputs.
    pub stride: [usize; 2],
    /// Rows and columns of the kernel.
    pub kernel_size: [usize; 2],
    /// Steps between the kernel's weights.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Zeros around the input.
    #[module(skip)]
    pub padding: PaddingConfig2d,
}

impl Conv2dConfig {
    /// A layer with fresh weights.
    ///
    /// # Panics
    /// If the groups do not divide the channels.
    pub fn init(&self, device: &Device) -> Conv2d {
        let stock = nn::conv::Conv2dConfig::new(self.channels, self.kernel_size)
            .with_stride(self.stride)
            .with_dilation(self.dilation)
            .with_groups(self.groups)
            .with_padding(self.padding.clone())
            .with_bias(self.bias)
            .with_initializer(self.initializer.clone())
            .init(device);
        Conv2d {
            weight: stock.weight,
            bias: stock.bias,
            stride: stock.stride,
            kernel_size: stock.kernel_size,
            dilation: stock.dilation,
            groups: stock.groups,
            padding: stock.padding,
        }
    }
}

impl Conv2d {
    /// # Shapes
    /// `[batch, in channels, height, width]` to `[batch, out channels, new height, new width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        shown(self.weight.id, self.convolved(x))
    }

    /// What [`Self::forward`] gives, shown to nobody.
    pub(crate) fn convolved(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let bias = self.bias.as_ref().map(|bias| bias.val());
        kiln_kernels::conv2d(x, self.weight.val(), bias, self.options([height, width]))
    }

    /// The convolution, a normalization by given statistics if there is one, and what follows.
    pub(crate) fn forward_then(&self, x: Tensor<4>, norm: Option<Given>, then: Then<Tensor<4>>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let bias = self.bias.as_ref().map(|bias| bias.val());
        let options = self.options([height, width]);
        kiln_kernels::conv2d_then(x, self.weight.val(), bias, options, norm, then)
    }

    /// What the kernels are told, for an input of these sides.
    pub(crate) fn options(&self, [height, width]: [usize; 2]) -> ConvOptions<2> {
        let padding = padding::pairs(&self.padding, self.kernel_size, self.stride, [height, width]);
        ConvOptions::new_with_padding(self.stride, padding, self.dilation, self.groups)
    }
}

impl ModuleDisplay for Conv2d {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [output, input, ..] = self.weight.dims();
        content
            .add("ch_in", &(input * self.groups))
            .add("ch_out", &output)
            .add("stride", &format!("{:?}", self.stride))
            .add("kernel_size", &format!("{:?}", self.kernel_size))
            .add("dilation", &format!("{:?}", self.dilation))
            .add("groups", &self.groups)
            .add_debug_attribute("padding", &self.padding)
            .optional()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    /// Burn's own layer with the same weights is the reference.
    fn stock(layer: &Conv2d) -> nn::conv::Conv2d {
        nn::conv::Conv2d {
            weight: layer.weight.clone(),
            bias: layer.bias.clone(),
            stride: layer.stride,
            kernel_size: layer.kernel_size,
            dilation: layer.dilation,
            groups: layer.groups,
            padding: layer.padding.clone(),
        }
    }

    #[test]
    fn the_layer_is_burns_with_and_without_groups_and_bias() {
        let device = Device::flex();
        let rows = [
            Conv2dConfig::new([4, 6], [3, 3]),
            Conv2dConfig::new([4, 6], [3, 3]).with_groups(2).with_stride([2, 1]),
            Conv2dConfig::new([6, 6], [3, 3]).with_groups(6).with_bias(false),
            Conv2dConfig::new([4, 6], [2, 3]).with_padding(PaddingConfig2d::Same),
            Conv2dConfig::new([4, 6], [3, 5])
                .with_padding(PaddingConfig2d::Explicit(0, 1, 2, 3))
                .with_dilation([2, 1]),
        ];
        for config in rows {
            let layer = config.init(&device);
            let x = Tensor::random([3, config.channels[0], 9, 7], Distribution::Default, &device);
            let expected = stock(&layer).forward(x.clone()).into_data();
            let tolerance = Tolerance::<f32>::rel_abs(1e-4, 1e-5);
            layer.forward(x).into_data().assert_approx_eq(&expected, tolerance);
        }
    }
}
