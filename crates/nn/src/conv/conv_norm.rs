//! A convolution and what stands behind it as one step.
//!
//! In a network that learns they are the layers one after the other. In one that answers, the normalization is a factor and a summand
//! of every channel, and on the CPU the convolution applies both, and the ReLU, before it writes an output for the first time.

use burn::prelude::*;
use kiln_kernels::Then;

use crate::tap::shown;
use crate::{BatchNorm, Conv2d, relu};

/// `norm(conv(x))`
///
/// # Shapes
/// `[batch, in channels, height, width]` to `[batch, out channels, new height, new width]`
///
/// # Panics
/// If the normalization is not of the convolution's channels.
pub fn conv_norm(conv: &Conv2d, norm: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
    both(conv, norm, x, Then::Nothing)
}

/// `relu(norm(conv(x)))`
///
/// # Shapes
/// As [`conv_norm`].
///
/// # Panics
/// As [`conv_norm`].
pub fn conv_norm_relu(conv: &Conv2d, norm: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
    both(conv, norm, x, Then::Relu)
}

/// `relu(norm(conv(x)) + skip)`
///
/// # Shapes
/// As [`conv_norm`]; `skip` as the result.
///
/// # Panics
/// As [`conv_norm`].
pub fn conv_norm_add_relu(conv: &Conv2d, norm: &BatchNorm, x: Tensor<4>, skip: Tensor<4>) -> Tensor<4> {
    both(conv, norm, x, Then::AddRelu(skip))
}

/// `relu(conv(x))`
///
/// # Shapes
/// As [`conv_norm`].
pub fn conv_relu(conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    let x = match x.device().is_autodiff() {
        true => relu(conv.convolved(x)),
        false => conv.forward_then(x, None, Then::Relu),
    };
    shown(conv.weight.id, x)
}

fn both(conv: &Conv2d, norm: &BatchNorm, x: Tensor<4>, then: Then<Tensor<4>>) -> Tensor<4> {
    assert_eq!(
        conv.weight.dims()[0],
        norm.gamma.dims()[0],
        "channels of a convolution and its normalization"
    );
    if x.device().is_autodiff() {
        return norm.normalize(conv.forward(x), then);
    }
    let given = norm.given(&x.device());
    shown(norm.gamma.id, conv.forward_then(x, Some(given), then))
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::tensor::{Distribution, Tolerance};

    use super::*;
    use crate::{BatchNormConfig, Conv2dConfig, PaddingConfig2d};

    /// A layer whose running statistics have moved, in evaluation mode.
    fn norm(channels: usize, device: &Device) -> BatchNorm {
        let trained = device.clone().autodiff();
        let mut layer = BatchNormConfig::new(channels).init(&trained);
        let random = |low, high| {
            Param::from_tensor(Tensor::random([channels], Distribution::Uniform(low, high), &trained))
        };
        (layer.gamma, layer.beta) = (random(0.5, 2.0), random(-1.0, 1.0));
        layer.forward(Tensor::<4>::random([4, channels, 5, 5], Distribution::Normal(0.5, 2.0), &trained));
        layer.valid()
    }

    #[test]
    fn together_is_one_after_the_other_for_every_kind_of_convolution() {
        let device = Device::flex();
        device.seed(3);
        let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
        // Channels and groups, and stride: dense, by points (at least 64 tiles of 4 x 4), depthwise, few and many channels a
        // group.
        let rows = [([5, 20], 1, 2), ([16, 24], 1, 1), ([12, 12], 12, 1), ([8, 12], 4, 1), ([64, 70], 2, 1)];
        for (channels, groups, stride) in rows {
            for bias in [true, false] {
                let conv = Conv2dConfig::new(channels, [3, 3])
                    .with_groups(groups)
                    .with_stride([stride; 2])
                    .with_padding(padding.clone())
                    .with_bias(bias)
                    .init(&device);
                let norm = norm(channels[1], &device);
                let x =
                    Tensor::<4>::random([2, channels[0], 24, 24], Distribution::Normal(0.0, 1.0), &device);
                let y = norm.forward(conv.forward(x.clone()));
                let skip = Tensor::random(y.dims(), Distribution::Normal(0.0, 1.0), &device);
                let rows = [
                    (conv_norm(&conv, &norm, x.clone()), y.clone()),
                    (conv_norm_relu(&conv, &norm, x.clone()), relu(y.clone())),
                    (conv_norm_add_relu(&conv, &norm, x.clone(), skip.clone()), relu(y + skip)),
                    (conv_relu(&conv, x.clone()), relu(conv.forward(x))),
                ];
                for (ours, expected) in rows {
                    let tolerance = Tolerance::<f32>::rel_abs(1e-4, 1e-4);
                    ours.into_data().assert_approx_eq(&expected.into_data(), tolerance);
                }
            }
        }
    }

    #[test]
    fn a_network_that_learns_moves_its_statistics() {
        let device = Device::flex().autodiff();
        let (conv, norm) =
            (Conv2dConfig::new([2, 3], [1, 1]).init(&device), BatchNormConfig::new(3).init(&device));
        let before = norm.running_mean.value_sync().into_data();
        conv_norm_relu(&conv, &norm, Tensor::ones([1, 2, 4, 4], &device));
        assert_ne!(norm.running_mean.value_sync().into_data(), before);
    }
}
