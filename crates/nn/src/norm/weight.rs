//! Normalizations that are part of the weights.

use burn::module::Param;
use burn::prelude::*;

use crate::{BatchNorm, Conv2d};

/// Weights of the direction of `v` and the length `g`, for each output: Salimans and Kingma 2016, *Weight normalization*.
///
/// # Shapes
/// `v`: `[out channels, ..]`; `g`: `[out channels]`; the result as `v`
pub fn weight_norm<const D: usize>(v: Tensor<D>, g: Tensor<1>) -> Tensor<D> {
    let sides = v.dims();
    let rows = v.reshape([sides[0] as i64, -1]);
    let length = rows.clone().square().sum_dim(1).sqrt();
    (rows * (g.reshape([sides[0], 1]) / length)).reshape(sides)
}

/// The convolution that alone gives what the two give in evaluation, by the running statistics: weights times
/// `gamma / sqrt(variance + epsilon)`, and `beta + (bias - mean) gamma / sqrt(variance + epsilon)`.
///
/// # Panics
/// If the normalization is not of the convolution's channels.
pub fn folded(conv: &Conv2d, norm: &BatchNorm) -> Conv2d {
    let [channels, ..] = conv.weight.dims();
    assert_eq!([channels], norm.gamma.dims(), "channels of a convolution and its normalization");
    let device = conv.weight.val().device();
    let ([gamma, beta, mean, variance], epsilon) = norm.given(&device);
    let factor = gamma / (variance + epsilon).sqrt();
    let bias = match &conv.bias {
        Some(bias) => beta + (bias.val() - mean) * factor.clone(),
        None => beta - mean * factor.clone(),
    };
    let weight = conv.weight.val() * factor.reshape([channels, 1, 1, 1]);
    Conv2d {
        weight: Param::from_tensor(weight.detach()),
        bias: Some(Param::from_tensor(bias.detach())),
        ..conv.clone()
    }
}
