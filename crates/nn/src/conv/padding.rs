//! Padding as the kernels are told of it.

use crate::PaddingConfig2d;

/// What comes before and after the rows, and before and after the columns, of an input of `size`.
pub(crate) fn pairs(
    padding: &PaddingConfig2d,
    kernel: [usize; 2],
    stride: [usize; 2],
    size: [usize; 2],
) -> [(usize, usize); 2] {
    match *padding {
        PaddingConfig2d::Valid => [(0, 0); 2],
        PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
        PaddingConfig2d::Same => [0, 1].map(|side| same(kernel[side], stride[side], size[side])),
    }
}

/// What comes before and after one side, for an output of its size (divided by the stride, rounded up). As Burn's, whose
/// function is private: the kernel counts without its dilation.
fn same(kernel: usize, stride: usize, size: usize) -> (usize, usize) {
    let reach = size.div_ceil(stride).saturating_sub(1) * stride;
    let total = (reach + kernel).saturating_sub(size);
    (total / 2, total - total / 2)
}
