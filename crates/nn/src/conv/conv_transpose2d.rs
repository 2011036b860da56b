//! A transposed convolution along two sides, with Burn's parameters, names and initialization.

use burn::config::Config;
use burn::module::{Content, DisplaySettings, ModuleDisplay, Param};
use burn::prelude::*;
use burn::tensor::module::conv_transpose2d;
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use kiln_kernels::is_recorded;

use crate::tap::shown;
use crate::{Initializer, pixel_shuffle};

/// The settings of a [`ConvTranspose2d`].
#[derive(Config, Debug)]
pub struct ConvTranspose2dConfig {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Rows and columns of the kernel.
    pub kernel_size: [usize; 2],
    /// Steps between what two neighbouring inputs add to.
    #[config(default = "[1, 1]")]
    pub stride: [usize; 2],
    /// Steps between the kernel's weights.
    #[config(default = "[1, 1]")]
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    #[config(default = "1")]
    pub groups: usize,
    /// Rows and columns cut off on both sides of the output.
    #[config(default = "[0, 0]")]
    pub padding: [usize; 2],
    /// Rows and columns of the output beyond the last.
    #[config(default = "[0, 0]")]
    pub padding_out: [usize; 2],
    /// Whether a number is added to every channel.
    #[config(default = true)]
    pub bias: bool,
    /// How fresh weights and biases are drawn: as PyTorch does by default.
    #[config(default = "Initializer::KaimingUniform { gain: 1.0 / 3.0f64.sqrt(), fan_out_only: false }")]
    pub initializer: Initializer,
}

/// A transposed convolution along two sides: every input adds the kernel, times its value, to the output.
///
/// It is named and built as Burn's is: weight files are matched by these names.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ConvTranspose2d {
    /// `[in channels, out channels / groups, kernel rows, kernel columns]`
    pub weight: Param<Tensor<4>>,
    /// `[out channels]`
    pub bias: Option<Param<Tensor<1>>>,
    /// Steps between what two neighbouring inputs add to.
    pub stride: [usize; 2],
    /// Rows and columns of the kernel.
    pub kernel_size: [usize; 2],
    /// Steps between the kernel's weights.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Rows and columns cut off on both sides of the output.
    pub padding: [usize; 2],
    /// Rows and columns of the output beyond the last.
    pub padding_out: [usize; 2],
}

impl ConvTranspose2dConfig {
    /// A layer with fresh weights.
    ///
    /// # Panics
    /// If the groups do not divide the channels.
    pub fn init(&self, device: &Device) -> ConvTranspose2d {
        let stock = nn::conv::ConvTranspose2dConfig::new(self.channels, self.kernel_size)
            .with_stride(self.stride)
            .with_dilation(self.dilation)
            .with_groups(self.groups)
            .with_padding(self.padding)
            .with_padding_out(self.padding_out)
            .with_bias(self.bias)
            .with_initializer(self.initializer.clone())
            .init(device);
        ConvTranspose2d {
            weight: stock.weight,
            bias: stock.bias,
            stride: stock.stride,
            kernel_size: stock.kernel_size,
            dilation: stock.dilation,
            groups: stock.groups,
            padding: stock.padding,
            padding_out: stock.padding_out,
        }
    }
}

impl ConvTranspose2d {
    /// A layer that enlarges maps bilinearly until it has learned something better: no bias, `channels` channels that do
    /// not see each other yet, a square kernel. (`upsample_filt` of the authors of *Fully convolutional networks for semantic
    /// segmentation*.)
    pub fn bilinear(channels: usize, kernel: usize, stride: usize, device: &Device) -> Self {
        let middle = kernel.div_ceil(2) as f64;
        let centre = if kernel % 2 == 1 { middle - 1.0 } else { middle - 0.5 };
        let hat = |place: usize| 1.0 - (place as f64 - centre).abs() / middle;
        let mut weights = vec![0.0; channels * channels * kernel * kernel];
        for square in weights.chunks_mut(kernel * kernel).step_by(channels + 1) {
            for (place, weight) in square.iter_mut().enumerate() {
                *weight = (hat(place / kernel) * hat(place % kernel)) as f32;
            }
        }
        let weights = TensorData::new(weights, [channels, channels, kernel, kernel]);
        let config = ConvTranspose2dConfig::new([channels; 2], [kernel; 2]).with_stride([stride; 2]);
        Self { weight: Param::from_data(weights, device), ..config.with_bias(false).init(device) }
    }

    /// # Shapes
    /// `[batch, in channels, height, width]` to `[batch, out channels, new height, new width]`, a new side being
    /// `(side - 1) * stride - 2 * padding + dilation * (kernel - 1) + padding_out + 1`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let bias = self.bias.as_ref().map(|bias| bias.val());
        let x = match self.square() {
            Some(side) if !is_recorded(&x.device()) => squares(x, self.weight.val(), bias, side),
            _ => {
                let Self { stride, padding, padding_out, dilation, groups, .. } = *self;
                let options = ConvTransposeOptions::new(stride, padding, padding_out, dilation, groups);
                conv_transpose2d(x, self.weight.val(), bias, options)
            }
        };
        shown(self.weight.id, x)
    }

    /// The side of the square that every input becomes, where the squares stand side by side.
    fn square(&self) -> Option<usize> {
        let side = self.kernel_size[0];
        let whole = [self.padding, self.padding_out] == [[0; 2]; 2] && self.dilation == [1, 1];
        (self.kernel_size == [side; 2] && self.stride == [side; 2] && whole && self.groups == 1)
            .then_some(side)
    }
}

/// Where no output is a sum of several inputs, this is a 1x1 convolution, of which the kernels know more: the weights of a
/// square are its channels.
fn squares(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, side: usize) -> Tensor<4> {
    let [input, output, ..] = weight.dims();
    let count = output * side * side;
    let weight = weight.permute([1, 2, 3, 0]).reshape([count, input, 1, 1]);
    let bias = bias.map(|bias| bias.reshape([output, 1]).expand([output, side * side]).reshape([count]));
    let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
    pixel_shuffle(kiln_kernels::conv2d(x, weight, bias, options), side)
}

impl ModuleDisplay for ConvTranspose2d {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [input, output, ..] = self.weight.dims();
        content
            .add("channels", &format!("{:?}", [input, output * self.groups]))
            .add("stride", &format!("{:?}", self.stride))
            .add("kernel_size", &format!("{:?}", self.kernel_size))
            .add("dilation", &format!("{:?}", self.dilation))
            .add("groups", &self.groups)
            .add("padding", &format!("{:?}", self.padding))
            .add("padding_out", &format!("{:?}", self.padding_out))
            .optional()
    }
}
