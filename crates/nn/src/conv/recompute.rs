//! Normalization, ReLU and convolution as one step of a training network, which is computed again for its gradients.

use burn::prelude::*;

use crate::tap::shown;
use crate::{BatchNorm, Conv2d};

/// `conv(relu(norm(x)))`, `x` being `parts` joined along the channels: result, gradients and running statistics are those
/// of the three layers, but nothing except `parts` is kept for the backward pass. For a layer in training, on a device with
/// gradients.
///
/// # Shapes
/// `[batch, some channels, height, width]` each to `[batch, out channels, new height, new width]`
///
/// # Panics
/// If there is no part, or the convolution has a bias.
pub fn norm_relu_conv(norm: &BatchNorm, conv: &Conv2d, parts: Vec<Tensor<4>>) -> Tensor<4> {
    assert!(conv.bias.is_none(), "a convolution with a bias");
    let [batch, _, height, width] = parts[0].dims();
    let (affine, options) = ([norm.gamma.val(), norm.beta.val()], conv.options([height, width]));
    let (x, mean, variance) =
        kiln_kernels::norm_relu_conv(parts, affine, conv.weight.val(), options, norm.epsilon);
    norm.update([mean, variance], batch * height * width);
    shown(conv.weight.id, x)
}
