//! A linear layer: Burn's parameters, names and initialization; on the CPU, the kernels of `kiln-kernels`.

use burn::config::Config;
use burn::module::{Content, DisplaySettings, ModuleDisplay, Param};
use burn::prelude::*;

use crate::tap::shown;
use crate::{Conv2d, Conv2dConfig, Initializer};

/// The settings of a [`Linear`].
#[derive(Config, Debug)]
pub struct LinearConfig {
    /// Features of the input.
    pub d_input: usize,
    /// Features of the output.
    pub d_output: usize,
    /// Whether a number is added to every feature.
    #[config(default = true)]
    pub bias: bool,
    /// How fresh weights and biases are drawn: as PyTorch does by default.
    #[config(default = "Initializer::KaimingUniform { gain: 1.0 / 3.0f64.sqrt(), fan_out_only: false }")]
    pub initializer: Initializer,
}

/// A linear layer.
///
/// It is named and built as Burn's is: weight files are matched by these names, and turned over by the layer's.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct Linear {
    /// `[input features, output features]`, the other way round than PyTorch's.
    pub weight: Param<Tensor<2>>,
    /// `[output features]`
    pub bias: Option<Param<Tensor<1>>>,
}

impl LinearConfig {
    /// A layer with fresh weights.
    pub fn init(&self, device: &Device) -> Linear {
        let stock = nn::LinearConfig::new(self.d_input, self.d_output)
            .with_bias(self.bias)
            .with_initializer(self.initializer.clone())
            .init(device);
        Linear { weight: stock.weight, bias: stock.bias }
    }
}

impl Linear {
    /// # Shapes
    /// `[.., input features]` to `[.., output features]`
    ///
    /// # Panics
    /// If the last side is not the layer's.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let weight = self.weight.val();
        let [d_input, _] = weight.dims();
        assert!(x.dims().ends_with(&[d_input]), "{:?} values for {d_input} features", x.dims());
        let x = kiln_kernels::linear(x, weight, self.bias.as_ref().map(|bias| bias.val()));
        shown(self.weight.id, x)
    }

    /// The convolution with a kernel of `side` times `side` pixels that says of every such square of a map what this layer
    /// says of the square's values, channel after channel.
    ///
    /// # Panics
    /// If the layer's features are no channels of squares of that side.
    pub fn as_convolution(&self, side: usize) -> Conv2d {
        let weight = self.weight.val();
        let [input, output] = weight.dims();
        assert_eq!(input % (side * side), 0, "{input} features of squares of side {side}");
        let channels = input / (side * side);
        let kernels = weight.transpose().reshape([output, channels, side, side]);
        let fresh = Conv2dConfig::new([channels, output], [side; 2]).with_bias(false);
        let bias = self.bias.as_ref().map(|bias| Param::from_tensor(bias.val()));
        Conv2d { weight: Param::from_tensor(kernels), bias, ..fresh.init(&self.weight.val().device()) }
    }
}

impl ModuleDisplay for Linear {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [d_input, d_output] = self.weight.shape().dims();
        content
            .add("d_input", &d_input)
            .add("d_output", &d_output)
            .add("bias", &self.bias.is_some())
            .optional()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    #[test]
    fn the_layer_is_burns_at_any_rank_with_and_without_bias() {
        let device = Device::flex();
        for biased in [true, false] {
            let layer = LinearConfig::new(7, 5).with_bias(biased).init(&device);
            let stock = nn::Linear { weight: layer.weight.clone(), bias: layer.bias.clone() };
            assert_eq!(layer.to_string(), stock.to_string());
            let x = Tensor::<2>::random([3, 7], Distribution::Default, &device);
            let tolerance = Tolerance::<f32>::rel_abs(1e-5, 1e-6);
            let expected = stock.forward(x.clone()).into_data();
            layer.forward(x.clone()).into_data().assert_approx_eq(&expected, tolerance);
            let x = x.reshape([3, 1, 7]);
            let expected = stock.forward(x.clone()).into_data();
            layer.forward(x).into_data().assert_approx_eq(&expected, tolerance);
        }
    }
}
