//! What a layer calls: our kernels on flex in f32, Burn's stock operation everywhere else.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Dispatch, DispatchDevice, Flex};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Device, Tensor, module};

use crate::norm::Then;
use crate::ops::activation::{add_relu, relu};
use crate::ops::conv::{ConvOps, convolve_then};
use crate::ops::norm::batch_norm;

/// Whether our kernels serve this tensor: on flex (with gradients or without), in f32.
///
/// Asked here and not left to the extension's default bodies: so a backend that this crate has never heard of, and a
/// model that is captured as a graph, get the stock operation and need no feature of this crate.
pub(crate) fn is_ours<const D: usize>(x: &Tensor<D>) -> bool {
    if x.dtype() != DType::F32 {
        return false;
    }
    match x.device().as_dispatch() {
        DispatchDevice::Flex(_) => true,
        DispatchDevice::Autodiff(device) => matches!(**device, DispatchDevice::Flex(_)),
        #[allow(unreachable_patterns)] // with no other backend
        _ => false,
    }
}

/// Whether tensors of this device are recorded as a graph. A graph is to show what a layer is, not how it is computed: such a
/// layer is one operation there.
pub fn is_recorded(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::Capture(_))
}

/// Convolution along two sides.
///
/// # Shapes
/// - `x`: `[batch, in channels, rows, columns]`
/// - `weight`: `[out channels, in channels / groups, kernel rows, kernel columns]`
/// - `bias`: `[out channels]`
/// - result: `[batch, out channels, rows, columns]`
///
/// # Panics
/// If the shapes do not agree, or the kernel is larger than the padded input.
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    let empty = x.dims().contains(&0);
    if empty || !is_ours(&x) || !is_ours(&weight) || !bias.iter().all(is_ours) {
        return module::conv2d(x, weight, bias, options);
    }
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(match bias {
        Some(bias) => <Dispatch as ConvOps>::convolve_with_bias(x, weight, bias.into_dispatch(), options),
        None => <Dispatch as ConvOps>::convolve(x, weight, options),
    })
}

/// A normalization by given statistics: gamma, beta, mean and variance, each `[channels]`, and what is added to the variance.
pub type Given = ([Tensor<1>; 4], f64);

/// A convolution along two sides, a normalization by given statistics if there is one, and what follows: on flex without
/// gradients one pass, everywhere else one operation after the other.
///
/// # Shapes
/// As [`conv2d`]; what is added as the result.
///
/// # Panics
/// As [`conv2d`].
pub fn conv2d_then(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
    norm: Option<Given>,
    then: Then<Tensor<4>>,
) -> Tensor<4> {
    let of_norm = norm.iter().flat_map(|(norm, _)| norm);
    let plain = is_plain(&x)
        && is_plain(&weight)
        && bias.iter().chain(of_norm).all(is_plain)
        && !matches!(&then, Then::AddRelu(skip) if !is_plain(skip));
    if !plain || x.dims().contains(&0) {
        let x = conv2d(x, weight, bias, options);
        return match norm {
            Some(([gamma, beta, mean, variance], epsilon)) => {
                batch_norm(x, [gamma, beta], [mean, variance], then, epsilon)
            }
            None => match then {
                Then::Nothing => x,
                Then::Relu => relu(x),
                Then::AddRelu(skip) => add_relu(x, skip),
            },
        };
    }
    let norm = norm.map(|(norm, epsilon)| (norm.map(on_flex), epsilon));
    let then = match then {
        Then::Nothing => Then::Nothing,
        Then::Relu => Then::Relu,
        Then::AddRelu(skip) => Then::AddRelu(on_flex(skip)),
    };
    Tensor::from_primitive::<Flex>(convolve_then(
        on_flex(x),
        on_flex(weight),
        bias.map(on_flex),
        options,
        norm,
        then,
    ))
}

/// Whether a tensor is on flex without gradients, in f32.
fn is_plain<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && matches!(x.device().as_dispatch(), DispatchDevice::Flex(_))
}

fn on_flex<const D: usize>(x: Tensor<D>) -> FloatTensor<Flex> {
    x.try_into_primitive::<Flex>().expect("it is on flex")
}
