//! Convolution along two sides, f32, rows of channels: the output, and the gradients of the input, the weights and the
//! bias.

mod blocks;
mod dense;
pub mod depthwise;
mod grid;
pub mod grouped;
mod lanes;
pub(crate) mod panel;
pub(crate) mod tile;
mod vector;
mod weights;
mod winograd;

use crate::isa::Isa;

/// The shapes and settings of one convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv {
    /// Images.
    pub batch: usize,
    /// Input and output channels, of all groups.
    pub channels: [usize; 2],
    /// Rows and columns of the input.
    pub size: [usize; 2],
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Steps between outputs.
    pub stride: [usize; 2],
    /// Zeros before and after, for rows and for columns.
    pub padding: [(usize, usize); 2],
    /// Steps between the kernel's weights.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl Conv {
    /// Rows and columns of the output; `None` where the kernel is larger than the padded input.
    pub fn out(&self) -> Option<[usize; 2]> {
        let side = |i: usize| {
            let padded = self.size[i] + self.padding[i].0 + self.padding[i].1;
            Some(padded.checked_sub((self.kernel[i] - 1) * self.dilation[i] + 1)? / self.stride[i] + 1)
        };
        Some([side(0)?, side(1)?])
    }

    /// Rows and columns of the output.
    ///
    /// # Panics
    /// If the kernel is larger than the padded input.
    pub(crate) fn out_size(&self) -> [usize; 2] {
        let [kernel, size] = [self.kernel, self.size];
        self.out().unwrap_or_else(|| panic!("a kernel of {kernel:?} does not fit an input of {size:?}"))
    }

    /// Floats of the input and of the output.
    pub(crate) fn floats(&self) -> [usize; 2] {
        let area = |[high, wide]: [usize; 2]| self.batch * high * wide;
        [area(self.size) * self.channels[0], area(self.out_size()) * self.channels[1]]
    }

    /// Whether every channel has its own kernel and gives one channel.
    fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.channels == [self.groups; 2]
    }
}

/// The output's rows `[batch * rows * columns, out channels]` for the input's rows `x` and `weight`
/// `[out channels, in channels / groups, kernel rows, kernel columns]`; `bias` has a float for each output channel.
///
/// # Panics
/// If a slice is not as long as `conv` says, or the kernel is larger than the padded input.
pub fn forward(isa: Isa, conv: &Conv, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    match conv {
        _ if winograd::pays(conv) => winograd::forward(isa, conv, x, weight, bias),
        _ if conv.groups == 1 => dense::forward(isa, conv, x, weight, bias),
        _ if conv.is_depthwise() => depthwise::forward(isa, conv, x, weight, bias),
        _ => grouped::forward(isa, conv, x, weight, bias),
    }
}

/// The gradient of the input's rows, from that of the output's.
///
/// # Panics
/// As [`forward`].
pub fn input_gradient(isa: Isa, conv: &Conv, weight: &[f32], grad: &[f32]) -> Vec<f32> {
    match conv {
        _ if winograd::pays(conv) => winograd::input_gradient(isa, conv, weight, grad),
        _ if conv.groups == 1 => dense::input_gradient(isa, conv, weight, grad),
        _ if conv.is_depthwise() => depthwise::input_gradient(isa, conv, weight, grad),
        _ => grouped::input_gradient(isa, conv, weight, grad),
    }
}

/// The gradient of the weights `[out channels, in channels / groups, kernel rows, kernel columns]`, from the input's
/// rows and the gradient of the output's.
///
/// # Panics
/// As [`forward`].
pub fn weight_gradient(isa: Isa, conv: &Conv, x: &[f32], grad: &[f32]) -> Vec<f32> {
    match conv {
        _ if winograd::pays(conv) => winograd::weight_gradient(isa, conv, x, grad),
        _ if conv.groups == 1 => weights::weight_gradient(isa, conv, x, grad),
        _ if conv.is_depthwise() => depthwise::weight_gradient(isa, conv, x, grad),
        _ => grouped::weight_gradient(isa, conv, x, grad),
    }
}
