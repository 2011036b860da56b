//! What a layer calls: our kernels on flex in f32, Burn's stock operation everywhere else.

use burn::backend::{Dispatch, DispatchDevice};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Tensor, module};

use crate::ops::conv::ConvOps;

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
