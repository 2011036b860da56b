//! A convolution whose weights are not shared.

use burn::config::Config;
use burn::module::Param;
use burn::prelude::*;

use crate::{Conv2d, Initializer};

/// The settings of a [`LocallyConnected2d`].
#[derive(Config, Debug)]
pub struct LocallyConnected2dConfig {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Rows and columns of the input: there are weights for each place of it.
    pub size: [usize; 2],
    /// Side of the kernel.
    pub kernel: usize,
    /// Steps between outputs.
    #[config(default = 1)]
    pub stride: usize,
    /// Zeros on every side of the input.
    #[config(default = 0)]
    pub padding: usize,
    /// How fresh weights are drawn, those of an output being its fan-in. Biases begin at zero.
    #[config(default = "Initializer::KaimingUniform { gain: 1.0 / 3.0f64.sqrt(), fan_out_only: false }")]
    pub initializer: Initializer,
}

/// A square convolution with other weights in each place: what a convolution would be without sharing them. Darknet's `[local]`.
#[derive(Module, Debug)]
pub struct LocallyConnected2d {
    /// `[places, out channels, in channels * kernel * kernel]`
    pub weight: Param<Tensor<3>>,
    /// `[out channels * places]`
    pub bias: Param<Tensor<1>>,
    /// Rows and columns of the output.
    pub output: [usize; 2],
    /// Side of the kernel.
    pub kernel: usize,
    /// Steps between outputs.
    pub stride: usize,
    /// Zeros on every side of the input.
    pub padding: usize,
}

impl LocallyConnected2dConfig {
    /// A layer with fresh weights.
    ///
    /// # Panics
    /// If the kernel is larger than the padded input.
    pub fn init(&self, device: &Device) -> LocallyConnected2d {
        let [input, output] = self.channels;
        let sides = self.size.map(|side| (side + 2 * self.padding - self.kernel) / self.stride + 1);
        let places = sides[0] * sides[1];
        let fan_in = input * self.kernel * self.kernel;
        let shape = [places, output, fan_in];
        LocallyConnected2d {
            weight: self.initializer.init_with(shape, Some(fan_in), Some(output), device),
            bias: Initializer::Zeros.init([output * places], device),
            output: sides,
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
        }
    }
}

impl LocallyConnected2d {
    /// The layer that has a convolution's weights in each place.
    ///
    /// # Panics
    /// If the convolution is not square, has groups, or holes in its kernel.
    pub fn tied(conv: &Conv2d, size: [usize; 2], padding: usize) -> Self {
        let [output, input, kernel, _] = conv.weight.dims();
        assert!(conv.kernel_size == [kernel; 2] && conv.stride[0] == conv.stride[1], "a square convolution");
        assert!(conv.groups == 1 && conv.dilation == [1, 1], "a convolution without groups and holes");
        let device = conv.weight.val().device();
        let config = LocallyConnected2dConfig::new([input, output], size, kernel);
        let fresh = config.with_stride(conv.stride[0]).with_padding(padding).init(&device);
        let places = fresh.output[0] * fresh.output[1];
        let weight = conv.weight.val().reshape([1, output, input * kernel * kernel]).repeat_dim(0, places);
        let bias = match &conv.bias {
            Some(bias) => bias.val().reshape([output, 1]).repeat_dim(1, places).reshape([output * places]),
            None => fresh.bias.val(),
        };
        Self { weight: Param::from_tensor(weight.detach()), bias: Param::from_tensor(bias.detach()), ..fresh }
    }

    /// # Shapes
    /// `[batch, in channels, height, width]` to `[batch, out channels, new height, new width]`
    ///
    /// # Panics
    /// If the image has not the layer's size.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, ..] = x.dims();
        let [places, output, fan_in] = self.weight.dims();
        let padding = self.padding;
        let padded = if padding > 0 { x.pad((padding, padding, padding, padding), 0.0) } else { x };
        let found = crate::windows(padded, [self.kernel; 2], [self.stride; 2]);
        assert_eq!(found.dims()[3..], self.output, "an image and a layer of its places");
        let patches = found.reshape([batch, channels * self.kernel * self.kernel, places]);
        assert_eq!(patches.dims()[1], fan_in, "the channels of a layer");
        // [places, out, fan-in] times [places, fan-in, batch].
        let y = self.weight.val().matmul(patches.permute([2, 1, 0]));
        let y = y.permute([2, 1, 0]).reshape([batch, output * places]);
        (y + self.bias.val().unsqueeze()).reshape([batch, output, self.output[0], self.output[1]])
    }
}
