//! Activations that Burn lacks, or has with a gap: made of its operations, so that they have gradients on every device.

use std::f64::consts::FRAC_1_SQRT_2;

use burn::prelude::*;

use super::LECUN;

/// 1 where `x >= 0`, else 0. It stays part of the graph, with a gradient of zeros.
pub(super) fn step<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let (below, above) = (x.clone().lower_elem(0.0), x.clone().greater_equal_elem(0.0));
    x.mask_fill(below, 0.0).mask_fill(above, 1.0)
}

/// -1, 0 or 1.
pub(super) fn sign<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.sign()
}

/// Three straight pieces.
pub(super) fn s_shaped_relu<const D: usize>(x: Tensor<D>, left: [f64; 2], right: [f64; 2]) -> Tensor<D> {
    let piece = |[from, slope]: [f64; 2]| (x.clone() - from) * slope + from;
    let (below, above) = (x.clone().lower_equal_elem(left[0]), x.clone().greater_equal_elem(right[0]));
    let pieces = (piece(left), piece(right));
    x.mask_where(below, pieces.0).mask_where(above, pieces.1)
}

/// `alpha (exp(x) - 1)` below 0, as `2 alpha t / (1 - t)` with `t = tanh(x / 2)`, which keeps small values' digits. (The gradient of
/// Burn's is no number where the exponential of a positive value overflows.)
pub(super) fn elu<const D: usize>(x: Tensor<D>, alpha: f64) -> Tensor<D> {
    let positive = x.clone().greater_elem(0.0);
    let t = (x.clone().mask_fill(positive.clone(), 0.0) * 0.5).tanh();
    (t.clone() * (2.0 * alpha) / (-t + 1.0)).mask_where(positive, x)
}

pub(super) fn hard_sigmoid<const D: usize>(x: Tensor<D>, slope: f64) -> Tensor<D> {
    (x * slope + 0.5).clamp(0.0, 1.0)
}

pub(super) fn lecun_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let [scale, slope] = LECUN;
    (x * slope).tanh() * scale
}

/// `max(x, 0) + log(1 + exp(-|x|))`, with both parts of the same side at 0, so that the gradient there is a half.
pub(super) fn softplus<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let negative = x.clone().lower_elem(0.0);
    let positive_part = x.clone().mask_fill(negative.clone(), 0.0);
    let minus_size = (-x.clone()).mask_where(negative, x);
    positive_part + minus_size.exp().log1p()
}

/// `x / 2 (1 + erf(x / sqrt(2)))`. (Burn's own takes its gradient from the approximation by `tanh` on most backends: three digits.)
pub(super) fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let erf = (x.clone() * FRAC_1_SQRT_2).erf();
    x * (erf + 1.0) * 0.5
}

pub(super) fn bent_identity<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    ((x.clone().square() + 1.0).sqrt() - 1.0) * 0.5 + x
}

/// `1 - exp(-u)`, `u` being `exp(x)`, as `2t / (1 + t)` with `t = tanh(u / 2)`, which keeps small values' digits. From 10 on it is 1
/// in every precision.
pub(super) fn log_log<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let t = (x.clamp_max(10.0).exp() * 0.5).tanh();
    t.clone() * 2.0 / (t + 1.0)
}

pub(super) fn gaussian<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    (-x.square()).exp()
}

/// Near 0 by its series, where the quotient's gradient is a difference of large numbers.
pub(super) fn sinc<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let near = x.clone().abs().lower_elem(0.25);
    // 1 - x^2/3! + x^4/5! - …, to the last digit of 64 bits.
    let square = x.clone().square().clamp_max(1.0);
    let series = [13.0 * 12.0, 11.0 * 10.0, 9.0 * 8.0, 7.0 * 6.0, 5.0 * 4.0, 3.0 * 2.0]
        .into_iter()
        .fold(square.ones_like(), |sum, divisor| (square.clone() * sum) * (-1.0 / divisor) + 1.0);
    let x = x.mask_fill(near.clone(), 1.0);
    (x.clone().sin() / x).mask_where(near, series)
}
