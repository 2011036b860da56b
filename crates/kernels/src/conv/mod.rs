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
pub(crate) mod vector;
mod weights;
mod winograd;

use std::borrow::Cow;

use rayon::prelude::*;

use crate::isa::Isa;
use crate::memory::Buffer;

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

    /// Whether it goes by Winograd's points, for which weights are packed otherwise.
    pub(crate) fn is_at_points(&self) -> bool {
        winograd::pays(self)
    }

    /// Whether every channel has its own kernel and gives one channel.
    fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.channels == [self.groups; 2]
    }
}

/// What becomes of every output of a convolution, all of it in one pass: it is multiplied by its channel's factor, its
/// channel's summand is added, then a summand of its own, and negative ones become zero.
#[derive(Debug, Clone, Copy, Default)]
pub struct After<'a> {
    /// `[out channels]`
    pub scale: Option<&'a [f32]>,
    /// `[out channels]`
    pub shift: Option<&'a [f32]>,
    /// As the output.
    pub skip: Option<&'a [f32]>,
    /// Whether negative outputs become zero.
    pub relu: bool,
}

impl After<'_> {
    /// For outputs that begin at `outputs`.
    fn at(&self, conv: &Conv, outputs: *const f32) -> tile::After {
        let channels = conv.channels[1];
        assert!(self.scale.is_none_or(|scale| scale.len() == channels));
        assert!(self.shift.is_none_or(|shift| shift.len() == channels));
        assert!(self.skip.is_none_or(|skip| skip.len() == conv.floats()[1]));
        let start = |values: Option<&[f32]>| values.map_or(std::ptr::null(), <[f32]>::as_ptr);
        let [scale, shift, skip] = [self.scale, self.shift, self.skip].map(start);
        tile::After { scale, shift, skip, outputs, relu: self.relu }
    }
}

/// Weights in the order in which a convolution's inner loop reads them.
pub struct Packed(Kind);

enum Kind {
    Panels(Buffer),
    Points(Buffer),
}

/// Packs weights for [`forward_packed`]; nothing for groups of few channels, whose weights are few.
///
/// # Panics
/// As [`forward`].
pub fn pack(isa: Isa, conv: &Conv, weight: &[f32]) -> Option<Packed> {
    Some(Packed(match conv {
        _ if conv.is_at_points() => Kind::Points(winograd::pack(isa, conv, weight)),
        _ if conv.groups == 1 => Kind::Panels(dense::pack(isa, conv, weight)),
        _ => return None,
    }))
}

/// The output's rows `[batch * rows * columns, out channels]` for the input's rows `x` and `weight`
/// `[out channels, in channels / groups, kernel rows, kernel columns]`; `bias` has a float for each output channel.
///
/// # Panics
/// If a slice is not as long as `conv` says, or the kernel is larger than the padded input.
pub fn forward(isa: Isa, conv: &Conv, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let after = After { shift: bias, ..After::default() };
    forward_packed(isa, conv, x, weight, pack(isa, conv, weight).as_ref(), after)
}

/// As [`forward`], with what [`pack`] made of the weights for a convolution of the same sides.
///
/// # Panics
/// As [`forward`], and if the weights were packed for another one.
pub fn forward_packed(
    isa: Isa,
    conv: &Conv,
    x: &[f32],
    weight: &[f32],
    packed: Option<&Packed>,
    after: After,
) -> Vec<f32> {
    match packed {
        Some(Packed(Kind::Points(weights))) => winograd::forward(isa, conv, x, weights, after),
        Some(Packed(Kind::Panels(weights))) => dense::forward(isa, conv, x, weights, after),
        None => {
            let weight = match after.scale {
                Some(scale) => Cow::Owned(scaled(weight, scale)),
                None => Cow::Borrowed(weight),
            };
            let mut y = match conv.is_depthwise() {
                true => depthwise::forward(isa, conv, x, &weight, after.shift),
                false => grouped::forward(isa, conv, x, &weight, after.shift),
            };
            finish(&mut y, after.skip, after.relu);
            y
        }
    }
}

/// Every output channel's weights times its factor.
fn scaled(weight: &[f32], scale: &[f32]) -> Vec<f32> {
    let row = weight.len() / scale.len().max(1);
    let rows = weight.chunks_exact(row.max(1)).zip(scale);
    rows.flat_map(|(row, scale)| row.iter().map(move |weight| weight * scale)).collect()
}

/// The last of what [`After`] says.
fn finish(y: &mut [f32], skip: Option<&[f32]>, relu: bool) {
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    let part = 1 << 14;
    match skip {
        Some(skip) => y.par_chunks_mut(part).zip(skip.par_chunks(part)).for_each(|(y, skip)| {
            y.iter_mut().zip(skip).for_each(|(y, skip)| *y = (*y + skip).max(floor));
        }),
        None if relu => y.par_chunks_mut(part).for_each(|y| y.iter_mut().for_each(|y| *y = y.max(floor))),
        None => {}
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
