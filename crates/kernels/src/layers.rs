//! What a layer calls: our kernels on flex in f32, Burn's stock operation everywhere else.

use burn::backend::{Dispatch, DispatchDevice};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Tensor, activation, module};

use crate::ops::Kernels;

/// Whether our kernels serve this tensor: on flex (with gradients or without), in f32.
///
/// Asked here and not left to the extension's default bodies: so a backend that this crate has never heard of, and a
/// model that is captured as a graph, get the stock operation and need no feature of this crate.
fn is_ours<const D: usize>(x: &Tensor<D>) -> bool {
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
    if options.groups != 1 || empty || !is_ours(&x) || !is_ours(&weight) || !bias.iter().all(is_ours) {
        return module::conv2d(x, weight, bias, options);
    }
    let y = <Dispatch as Kernels>::convolve(x.into_dispatch(), weight.into_dispatch(), options);
    Tensor::from_dispatch(match bias {
        Some(bias) => <Dispatch as Kernels>::add_bias(y, bias.into_dispatch()),
        None => y,
    })
}

/// Batch normalization by the batch's own statistics: the result, every channel's mean, and every channel's variance
/// (divided by n, not n - 1). Only the result has a gradient.
///
/// Ioffe and Szegedy 2015, algorithm 1.
///
/// # Shapes
/// - `x` and the result: `[batch, channels, ..]`
/// - all others: `[channels]`
pub fn batch_norm_train<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> (Tensor<D>, Tensor<1>, Tensor<1>) {
    if !is_ours(&x) || !is_ours(&gamma) || !is_ours(&beta) {
        let stock = module::batch_norm_train(x, gamma, beta, epsilon);
        return (stock.output, stock.mean.detach(), stock.variance.detach());
    }
    let (y, mean, variance) = <Dispatch as Kernels>::normalize_train(
        x.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        epsilon,
    );
    (Tensor::from_dispatch(y), Tensor::from_dispatch(mean), Tensor::from_dispatch(variance))
}

/// Batch normalization by given statistics.
///
/// # Shapes
/// - `x` and the result: `[batch, channels, ..]`
/// - all others: `[channels]`
pub fn batch_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    [mean, variance]: [Tensor<1>; 2],
    epsilon: f64,
) -> Tensor<D> {
    if !is_ours(&x) || ![&gamma, &beta, &mean, &variance].into_iter().all(is_ours) {
        return module::batch_norm(x, gamma, beta, mean, variance, epsilon);
    }
    let [gamma, beta, mean, variance] = [gamma, beta, mean, variance].map(Tensor::into_dispatch);
    Tensor::from_dispatch(<Dispatch as Kernels>::normalize(
        x.into_dispatch(),
        gamma,
        beta,
        mean,
        variance,
        epsilon,
    ))
}

/// Negative values become zero.
pub fn relu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if !is_ours(&x) {
        return activation::relu(x);
    }
    Tensor::from_dispatch(<Dispatch as Kernels>::rectify(x.into_dispatch()))
}
