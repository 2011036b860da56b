//! Pools along two sides, with Burn's names and settings; on the CPU, the kernels of `kiln-kernels`.

use burn::config::Config;
use burn::module::{Content, DisplaySettings, ModuleDisplay};
use burn::prelude::*;
use burn::tensor::module::max_pool2d_with_indices;
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};

use crate::PaddingConfig2d;
use crate::conv::padding;

/// The settings of a [`MaxPool2d`].
#[derive(Config, Debug)]
pub struct MaxPool2dConfig {
    /// Rows and columns of a window.
    pub kernel_size: [usize; 2],
    /// Steps between windows.
    #[config(default = "kernel_size")]
    pub strides: [usize; 2],
    /// Pixels around the input, smaller than any other.
    #[config(default = "PaddingConfig2d::Valid")]
    pub padding: PaddingConfig2d,
    /// Steps between a window's pixels.
    #[config(default = "[1, 1]")]
    pub dilation: [usize; 2],
    /// Whether the size of the output is rounded up.
    #[config(default = "false")]
    pub ceil_mode: bool,
}

/// The maximum of each window.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct MaxPool2d {
    /// Steps between windows.
    pub stride: [usize; 2],
    /// Rows and columns of a window.
    pub kernel_size: [usize; 2],
    /// Pixels around the input, smaller than any other.
    #[module(skip)]
    pub padding: PaddingConfig2d,
    /// Steps between a window's pixels.
    pub dilation: [usize; 2],
    /// Whether the size of the output is rounded up.
    pub ceil_mode: bool,
}

impl MaxPool2dConfig {
    /// The layer.
    pub fn init(&self) -> MaxPool2d {
        MaxPool2d {
            stride: self.strides,
            kernel_size: self.kernel_size,
            padding: self.padding.clone(),
            dilation: self.dilation,
            ceil_mode: self.ceil_mode,
        }
    }
}

impl MaxPool2d {
    /// # Shapes
    /// `[batch, channels, height, width]` to `[batch, channels, new height, new width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        kiln_kernels::max_pool2d(x, self.options([height, width]))
    }

    /// The maxima, and where in its channel each of them is, counted row by row: what [`max_unpool`](crate::max_unpool) takes.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]` to twice `[batch, channels, new height, new width]`
    pub fn forward_with_places(&self, x: Tensor<4>) -> (Tensor<4>, Tensor<4, Int>) {
        let [_, _, height, width] = x.dims();
        max_pool2d_with_indices(x, self.options([height, width]))
    }

    fn options(&self, size: [usize; 2]) -> MaxPoolOptions<2> {
        MaxPoolOptions::new(self.kernel_size)
            .with_stride(self.stride)
            .with_padding_pairs(padding::pairs(&self.padding, self.kernel_size, self.stride, size))
            .with_dilation(self.dilation)
            .with_ceil_mode(self.ceil_mode)
    }
}

impl ModuleDisplay for MaxPool2d {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content
            .add("kernel_size", &format!("{:?}", self.kernel_size))
            .add("stride", &format!("{:?}", self.stride))
            .add_debug_attribute("padding", &self.padding)
            .add("dilation", &format!("{:?}", self.dilation))
            .add("ceil_mode", &self.ceil_mode)
            .optional()
    }
}

/// The settings of an [`AvgPool2d`].
#[derive(Config, Debug)]
pub struct AvgPool2dConfig {
    /// Rows and columns of a window.
    pub kernel_size: [usize; 2],
    /// Steps between windows.
    #[config(default = "kernel_size")]
    pub strides: [usize; 2],
    /// Zeros around the input.
    #[config(default = "PaddingConfig2d::Valid")]
    pub padding: PaddingConfig2d,
    /// Whether a mean counts the padding.
    #[config(default = "true")]
    pub count_include_pad: bool,
    /// Whether the size of the output is rounded up.
    #[config(default = "false")]
    pub ceil_mode: bool,
}

/// The mean of each window.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct AvgPool2d {
    /// Steps between windows.
    pub stride: [usize; 2],
    /// Rows and columns of a window.
    pub kernel_size: [usize; 2],
    /// Zeros around the input.
    #[module(skip)]
    pub padding: PaddingConfig2d,
    /// Whether a mean counts the padding.
    pub count_include_pad: bool,
    /// Whether the size of the output is rounded up.
    pub ceil_mode: bool,
}

impl AvgPool2dConfig {
    /// The layer.
    pub fn init(&self) -> AvgPool2d {
        AvgPool2d {
            stride: self.strides,
            kernel_size: self.kernel_size,
            padding: self.padding.clone(),
            count_include_pad: self.count_include_pad,
            ceil_mode: self.ceil_mode,
        }
    }
}

impl AvgPool2d {
    /// # Shapes
    /// `[batch, channels, height, width]` to `[batch, channels, new height, new width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let options = AvgPoolOptions::new(self.kernel_size)
            .with_stride(self.stride)
            .with_padding_pairs(padding::pairs(&self.padding, self.kernel_size, self.stride, [height, width]))
            .with_count_include_pad(self.count_include_pad)
            .with_ceil_mode(self.ceil_mode);
        kiln_kernels::avg_pool2d(x, options)
    }
}

impl ModuleDisplay for AvgPool2d {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content
            .add("kernel_size", &format!("{:?}", self.kernel_size))
            .add("stride", &format!("{:?}", self.stride))
            .add_debug_attribute("padding", &self.padding)
            .add("count_include_pad", &self.count_include_pad)
            .add("ceil_mode", &self.ceil_mode)
            .optional()
    }
}

/// The settings of an [`AdaptiveAvgPool2d`].
#[derive(Config, Debug)]
pub struct AdaptiveAvgPool2dConfig {
    /// Rows and columns of the output.
    pub output_size: [usize; 2],
}

/// The mean of each of as many parts of the image as the output has pixels.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct AdaptiveAvgPool2d {
    /// Rows and columns of the output.
    pub output_size: [usize; 2],
}

impl AdaptiveAvgPool2dConfig {
    /// The layer.
    pub fn init(&self) -> AdaptiveAvgPool2d {
        AdaptiveAvgPool2d { output_size: self.output_size }
    }
}

impl AdaptiveAvgPool2d {
    /// # Shapes
    /// `[batch, channels, height, width]` to `[batch, channels, output height, output width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        kiln_kernels::adaptive_avg_pool2d(x, self.output_size)
    }
}

impl ModuleDisplay for AdaptiveAvgPool2d {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content.add("output_size", &format!("{:?}", self.output_size)).optional()
    }
}

/// A square max pool without padding.
pub fn max_pool(kernel: usize, stride: usize) -> MaxPool2dConfig {
    MaxPool2dConfig::new([kernel; 2]).with_strides([stride; 2])
}

#[cfg(test)]
mod tests {
    use burn::nn::pool;
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    fn paddings() -> [PaddingConfig2d; 3] {
        [PaddingConfig2d::Valid, PaddingConfig2d::Same, PaddingConfig2d::Explicit(1, 0, 1, 2)]
    }

    #[test]
    fn the_max_pool_is_burns() {
        let x = Tensor::<4>::random([2, 5, 9, 12], Distribution::Default, &Device::flex());
        for padding in paddings() {
            for (strides, dilation, ceil) in [([2, 3], [1, 1], true), ([1, 1], [1, 2], false)] {
                let stock = pool::MaxPool2dConfig::new([3, 4])
                    .with_strides(strides)
                    .with_padding(padding.clone())
                    .with_dilation(dilation)
                    .with_ceil_mode(ceil)
                    .init();
                let ours = MaxPool2dConfig::new([3, 4])
                    .with_strides(strides)
                    .with_padding(padding.clone())
                    .with_dilation(dilation)
                    .with_ceil_mode(ceil)
                    .init();
                assert_eq!(format!("{ours}"), format!("{stock}"));
                let expected = stock.forward(x.clone()).into_data();
                ours.forward(x.clone()).into_data().assert_eq(&expected, true);
            }
        }
    }

    #[test]
    fn the_average_pools_are_burns() {
        let x = Tensor::<4>::random([2, 5, 9, 12], Distribution::Default, &Device::flex());
        let near = |ours: Tensor<4>, stock: Tensor<4>| {
            ours.into_data().assert_approx_eq(&stock.into_data(), Tolerance::<f32>::rel_abs(1e-6, 1e-6));
        };
        for padding in paddings() {
            for (count, ceil) in [(true, true), (false, true), (true, false)] {
                let stock = pool::AvgPool2dConfig::new([3, 4])
                    .with_strides([2, 3])
                    .with_padding(padding.clone())
                    .with_count_include_pad(count)
                    .with_ceil_mode(ceil)
                    .init();
                let ours = AvgPool2dConfig::new([3, 4])
                    .with_strides([2, 3])
                    .with_padding(padding.clone())
                    .with_count_include_pad(count)
                    .with_ceil_mode(ceil)
                    .init();
                assert_eq!(format!("{ours}"), format!("{stock}"));
                near(ours.forward(x.clone()), stock.forward(x.clone()));
            }
        }
        let stock = pool::AdaptiveAvgPool2dConfig::new([4, 5]).init();
        let ours = AdaptiveAvgPool2dConfig::new([4, 5]).init();
        assert_eq!(format!("{ours}"), format!("{stock}"));
        near(ours.forward(x.clone()), stock.forward(x));
    }

    #[test]
    fn windows_do_not_overlap_by_default() {
        let x = Tensor::<4>::zeros([1, 1, 9, 8], &Device::flex());
        assert_eq!(MaxPool2dConfig::new([3, 2]).init().forward(x.clone()).dims(), [1, 1, 3, 4]);
        assert_eq!(AvgPool2dConfig::new([3, 2]).init().forward(x).dims(), [1, 1, 3, 4]);
    }
}
