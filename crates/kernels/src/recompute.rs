//! A convolution of what is normalized and rectified first, which keeps none of it for the backward pass.
//!
//! A DenseNet's layer reads the outputs of all layers before it. Joined, normalized and rectified they are two tensors as
//! large as all of these together, in every layer: quadratic in the depth, where the outputs themselves are linear. Here
//! the outputs alone are kept (every layer after them keeps the same ones), and the backward pass does the rest again. The
//! convolution is not done again: its gradients need its input, not its output.
//!
//! Pleiss et al. 2017, *Memory-efficient implementation of DenseNets*, <https://arxiv.org/abs/1707.06990>.

use burn::backend::autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Tensor};

use crate::gradient::{leave, take};
use crate::layers;
use crate::norm::{Statistics, Then};
use crate::ops::conv::{ConvGradients, ConvOps};
use crate::ops::join::{JoinOps, Parts, cat_channels};
use crate::ops::norm::{self, NormGradients, NormOps, ThenOf, batch_norm_train};

type FlexTensor = FloatTensor<Flex>;

/// `conv(relu(norm(x)))`, `x` being `parts` joined along the channels: the result, and the batch's mean and variance
/// (divided by n). On flex in f32 nothing but the parts is kept for the backward pass; on every other backend, and with
/// groups, it is the three operations one after the other, with what each of them keeps.
///
/// # Shapes
/// - `parts`: `[batch, some channels, rows, columns]`
/// - `gamma`, `beta`, mean and variance: `[in channels]`, the sum of the parts' channels
/// - `weight`: `[out channels, in channels, kernel rows, kernel columns]`
/// - result: `[batch, out channels, rows, columns]`
///
/// # Panics
/// If the shapes do not agree.
pub fn norm_relu_conv(
    parts: Vec<Tensor<4>>,
    [gamma, beta]: [Tensor<1>; 2],
    weight: Tensor<4>,
    options: ConvOptions<2>,
    epsilon: f64,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let on_flex = |part: &Tensor<4>| part.clone().inner().try_into_primitive::<Flex>().ok();
    let kept: Option<Vec<FlexTensor>> = parts.iter().map(on_flex).collect();
    let x = cat_channels(parts);
    match kept {
        Some(kept) if options.groups == 1 && x.dtype() == DType::F32 => {
            let (y, mean, variance) = <Dispatch as Recompute>::norm_relu_conv(
                x.into_dispatch(),
                kept,
                gamma.into_dispatch(),
                beta.into_dispatch(),
                weight.into_dispatch(),
                options,
                epsilon,
            );
            (Tensor::from_dispatch(y), Tensor::from_dispatch(mean), Tensor::from_dispatch(variance))
        }
        _ => {
            let (x, [mean, variance]) = batch_norm_train(x, [gamma, beta], Then::Relu, epsilon);
            (layers::conv2d(x, weight, None, options), mean, variance)
        }
    }
}

/// What [`norm_relu_conv`] calls.
#[backend_extension(Flex, Autodiff)]
pub trait Recompute: Backend {
    /// `conv(relu(norm(x)))`; `parts` joined are `x`.
    fn norm_relu_conv(
        x: FloatTensor<Self>,
        parts: Vec<FlexTensor>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvOptions<2>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl Recompute for Flex {
    fn norm_relu_conv(
        x: FlexTensor,
        _parts: Vec<FlexTensor>,
        gamma: FlexTensor,
        beta: FlexTensor,
        weight: FlexTensor,
        options: ConvOptions<2>,
        epsilon: f64,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (x, mean, variance) = Self::normalize_train(x, gamma, beta, ThenOf::Relu, epsilon);
        (Self::convolve(x, weight, options), mean, variance)
    }
}

impl<C: CheckpointStrategy> Recompute for Autodiff<Flex, C> {
    fn norm_relu_conv(
        x: FloatTensor<Self>,
        parts: Vec<FlexTensor>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvOptions<2>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), gamma.node(), beta.node(), weight.node()];
        let [x, gamma, beta, weight] = [x, gamma, beta, weight].map(|tensor| tensor.into_primitive());
        let kept = Kept {
            parts: parts.clone(),
            gamma: gamma.clone(),
            beta: beta.clone(),
            weight: weight.clone(),
            options: options.clone(),
            epsilon,
        };
        let (y, mean, variance) = Flex::norm_relu_conv(x, parts, gamma, beta, weight, options, epsilon);
        let y = match NormReluConv.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(kept, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        };
        (y, FloatTensor::<Self>::new(mean), FloatTensor::<Self>::new(variance))
    }
}

#[derive(Debug)]
struct NormReluConv;

/// All that the backward pass is given; the tensors are others' too, or parameters.
#[derive(Debug, Clone)]
struct Kept {
    parts: Vec<FlexTensor>,
    gamma: FlexTensor,
    beta: FlexTensor,
    weight: FlexTensor,
    options: ConvOptions<2>,
    epsilon: f64,
}

impl Backward<Flex, 4> for NormReluConv {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = take!(Flex, grads, ops.node);
        let Kept { parts, gamma, beta, weight, options, epsilon } = ops.state;
        let x = Flex::join(Parts(parts));
        // By the batch's statistics as before, not by those it gave: so every value is the same to the last bit.
        let affine = [gamma.clone(), beta.clone()];
        let (y, mean, variance) = Flex::normalize_train(x.clone(), gamma, beta, ThenOf::Relu, epsilon);
        let (shape, weight_shape) = (x.shape().dims(), weight.shape().dims());
        let weight_grad = Flex::convolve_weight_gradient(weight_shape, y, grad.clone(), options.clone());
        let grad = Flex::convolve_input_gradient(shape, weight, grad, options);
        let kept = norm::Kept {
            affine,
            statistics: [mean, variance],
            source: Statistics::OfBatch,
            then: ThenOf::Relu,
            epsilon,
        };
        let gradients = Flex::normalize_gradients(x, kept, grad).into_iter().chain([weight_grad]);
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            leave!(Flex, grads, node, gradient);
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, TensorData};

    use super::*;
    use crate::ops::activation::relu;

    type Forward = fn(Vec<Tensor<4>>, [Tensor<1>; 2], Tensor<4>, ConvOptions<2>) -> [Tensor<4>; 3];

    fn at_once(
        parts: Vec<Tensor<4>>,
        affine: [Tensor<1>; 2],
        weight: Tensor<4>,
        options: ConvOptions<2>,
    ) -> [Tensor<4>; 3] {
        let (y, mean, variance) = norm_relu_conv(parts, affine, weight, options, 1e-5);
        [y, mean.reshape([1, -1, 1, 1]), variance.reshape([1, -1, 1, 1])]
    }

    fn one_after_the_other(
        parts: Vec<Tensor<4>>,
        [gamma, beta]: [Tensor<1>; 2],
        weight: Tensor<4>,
        options: ConvOptions<2>,
    ) -> [Tensor<4>; 3] {
        let x = Tensor::cat(parts, 1);
        let (x, [mean, variance]) = batch_norm_train(x, [gamma, beta], Then::Nothing, 1e-5);
        let y = layers::conv2d(relu(x), weight, None, options);
        [y, mean.reshape([1, -1, 1, 1]), variance.reshape([1, -1, 1, 1])]
    }

    /// Results, and gradients of the parts, gamma, beta and the weight. The second part goes into the loss by itself too, as
    /// an earlier layer's output does.
    fn run(forward: Forward, device: &Device, groups: usize) -> Vec<TensorData> {
        let four = |shape: [usize; 4]| {
            let values: Vec<f32> =
                (0..shape.iter().product::<usize>()).map(|i| (i as f32 * 0.7).sin()).collect();
            Tensor::<4>::from_data(TensorData::new(values, shape), device)
        };
        let one = |shift: f32| four([1, 1, 1, 8]).reshape([8]).add_scalar(shift).detach();
        let parts = [2, 5, 1].map(|channels| four([3, channels, 6, 5]).require_grad());
        let affine = [0.5, -0.2].map(|shift| one(shift).require_grad());
        let weight = four([4, 8 / groups, 3, 3]).require_grad();
        let options = ConvOptions::new_with_padding([2, 1], [(1, 0), (1, 2)], [1, 1], groups);
        let [y, mean, variance] = forward(parts.to_vec(), affine.clone(), weight.clone(), options);
        let factor = four(y.dims());
        let grads = ((y.clone() * factor).sum() + parts[1].clone().powf_scalar(2.0).sum()).backward();
        let of_four =
            parts.iter().chain([&weight]).map(|part| part.grad(&grads).expect("a gradient").into_data());
        let of_one = affine.iter().map(|part| part.grad(&grads).expect("a gradient").into_data());
        let results = [y, mean, variance].map(Tensor::into_data);
        results.into_iter().chain(of_four).chain(of_one).collect()
    }

    #[test]
    fn results_and_gradients_are_those_of_the_three_operations_to_the_bit() {
        let plain = Device::flex().autodiff();
        let checkpointing = plain.clone().gradient_checkpointing();
        for (device, groups) in [(&plain, 1), (&checkpointing, 1), (&plain, 2)] {
            let ours = run(at_once, device, groups);
            let theirs = run(one_after_the_other, device, groups);
            assert_eq!(ours.len(), 9);
            for (ours, theirs) in ours.iter().zip(&theirs) {
                ours.assert_eq(theirs, true);
            }
        }
    }

    #[test]
    fn it_serves_without_gradients_and_where_images_have_none() {
        let device = Device::flex();
        let x = Tensor::<4>::random([2, 3, 4, 4], Distribution::Default, &device);
        let affine = || [Tensor::ones([3], &device), Tensor::zeros([3], &device)];
        let weight = Tensor::<4>::random([5, 3, 1, 1], Distribution::Default, &device);
        let options = || ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
        let [expected, ..] = one_after_the_other(vec![x.clone()], affine(), weight.clone(), options());
        let expected = expected.into_data();
        let [y, ..] = at_once(vec![x.clone()], affine(), weight.clone(), options());
        y.into_data().assert_eq(&expected, true);

        let weight = weight.autodiff().require_grad();
        let affine = affine().map(Tensor::autodiff);
        let [y, ..] = at_once(vec![x.autodiff()], affine, weight.clone(), options());
        y.clone().into_data().assert_eq(&expected, true);
        assert!(weight.grad(&y.sum().backward()).is_some());
    }
}
