//! Normalization, ReLU and convolution as one step of a training network, which is computed again for its gradients.

use burn::prelude::*;
use burn::tensor::ops::ConvOptions;
use kiln_nn::{BatchNorm, Conv2d, PaddingConfig2d};

/// `conv(relu(norm(x)))`, `x` being `parts` joined along the channels: result, gradients and running statistics are those
/// of the three layers, but nothing except `parts` is kept for the backward pass. For a layer in training, on a device with
/// gradients.
///
/// # Shapes
/// `[batch, some channels, height, width]` each to `[batch, out channels, new height, new width]`
///
/// # Panics
/// If there is no part, the convolution has a bias, or its padding is not [`PaddingConfig2d::Explicit`].
pub fn norm_relu_conv(norm: &BatchNorm, conv: &Conv2d, parts: Vec<Tensor<4>>) -> Tensor<4> {
    assert!(conv.bias.is_none(), "a convolution with a bias");
    let PaddingConfig2d::Explicit(top, left, bottom, right) = conv.padding else {
        panic!("padding {:?}", conv.padding);
    };
    let padding = [(top, bottom), (left, right)];
    let options = ConvOptions::new_with_padding(conv.stride, padding, conv.dilation, conv.groups);
    let [batch, _, height, width] = parts[0].dims();
    let device = parts[0].device();
    let affine = [norm.gamma.val(), norm.beta.val()];
    let (x, mean, variance) =
        kiln_kernels::norm_relu_conv(parts, affine, conv.weight.val(), options, norm.epsilon);

    let count = batch * height * width;
    let unbiased = variance.mul_scalar(count as f64 / count.saturating_sub(1).max(1) as f64);
    for (state, batch) in [(&norm.running_mean, mean), (&norm.running_var, unbiased)] {
        let kept = state.value_sync().to_device(&device).mul_scalar(1.0 - norm.momentum);
        state.update(kept.add(batch.detach().mul_scalar(norm.momentum)).detach());
    }
    x
}
