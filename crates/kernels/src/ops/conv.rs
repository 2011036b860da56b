//! Convolution as an operation of Burn's backends.

use burn::backend::autodiff::{
    NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::ops::ConvOptions;

use crate::conv::{self, After, Conv};
use crate::gradient::{Sum, leave, take};
use crate::isa::Isa;
use crate::norm::{Norm, Then};
use crate::packed::packed;
use crate::sums;
use crate::tensor::{FlexTensor, Sides, channels_last, dims, from_rows, in_order, in_order_of, values};

/// What the layer calls. All tensors are f32.
#[backend_extension(Flex, Autodiff)]
pub trait ConvOps: Backend {
    /// A convolution.
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;
    /// A convolution that adds a number to every channel. (The macro knows no optional tensor.)
    fn convolve_with_bias(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;
}

/// The gradients of [`ConvOps`].
pub trait ConvGradients: Sum {
    /// The gradient of the input `[batch, channels, rows, columns]`.
    fn convolve_input_gradient(
        shape: [usize; 4],
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;
    /// The gradient of the weights `[out channels, channels / groups, kernel rows, kernel columns]`.
    fn convolve_weight_gradient(
        shape: [usize; 4],
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;
    /// The gradient of the bias.
    fn convolve_bias_gradient(grad: FloatTensor<Self>) -> FloatTensor<Self>;
}

fn settings(x: [usize; 4], weight: [usize; 4], options: &ConvOptions<2>) -> Conv {
    assert!(
        x[1] == weight[1] * options.groups && weight[0].is_multiple_of(options.groups),
        "input {x:?}, weight {weight:?}, {options:?}"
    );
    Conv {
        batch: x[0],
        channels: [x[1], weight[0]],
        size: [x[2], x[3]],
        kernel: [weight[2], weight[3]],
        stride: options.stride,
        padding: options.padding,
        dilation: options.dilation,
        groups: options.groups,
    }
}

/// The rows of the output.
fn forward(conv: &Conv, x: FlexTensor, weight: FlexTensor, after: After) -> Vec<f32> {
    let (isa, x, weight) = (Isa::best(), channels_last(x), in_order(weight));
    let kept = packed(isa, conv, &weight);
    let (x, weight) = (values(&x), values(&weight));
    match kept {
        Some(kept) => conv::forward_packed(isa, conv, x, weight, Some(&kept), after),
        None => conv::forward_packed(isa, conv, x, weight, conv::pack(isa, conv, weight).as_ref(), after),
    }
}

/// A convolution, a normalization by given statistics and what follows it, in one pass: on flex, without gradients.
/// `norm` is gamma, beta, mean and variance; without it, only what follows.
pub fn convolve_then(
    x: FlexTensor,
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    options: ConvOptions<2>,
    norm: Option<([FlexTensor; 4], f64)>,
    then: Then<FlexTensor>,
) -> FlexTensor {
    let conv = settings(dims(&x), dims(&weight), &options);
    let [high, wide] = conv.out_size();
    let bias = bias.map(in_order);
    let (scale, shift) = match norm {
        Some((norm, epsilon)) => {
            let norm = norm.map(in_order);
            let [gamma, beta, mean, variance] = norm.each_ref().map(values);
            let norm = Norm { gamma, beta, mean, variance, epsilon };
            let (scale, shift) = norm.folded(bias.as_ref().map(values));
            (Some(scale), Some(shift))
        }
        None => (None, bias.as_ref().map(|bias| values(bias).to_vec())),
    };
    let (relu, skip) = match then {
        Then::Nothing => (false, None),
        Then::Relu => (true, None),
        Then::AddRelu(skip) => (true, Some(channels_last(skip))),
    };
    let after =
        After { scale: scale.as_deref(), shift: shift.as_deref(), skip: skip.as_ref().map(values), relu };
    from_rows(forward(&conv, x, weight, after), &[conv.batch, conv.channels[1], high, wide])
}

impl ConvOps for Flex {
    fn convolve(x: FlexTensor, weight: FlexTensor, options: ConvOptions<2>) -> FlexTensor {
        convolve_then(x, weight, None, options, None, Then::Nothing)
    }

    fn convolve_with_bias(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        options: ConvOptions<2>,
    ) -> FlexTensor {
        convolve_then(x, weight, Some(bias), options, None, Then::Nothing)
    }
}

impl ConvGradients for Flex {
    fn convolve_input_gradient(
        shape: [usize; 4],
        weight: FlexTensor,
        grad: FlexTensor,
        options: ConvOptions<2>,
    ) -> FlexTensor {
        let conv = settings(shape, dims(&weight), &options);
        let (weight, grad) = (in_order(weight), channels_last(grad));
        from_rows(conv::input_gradient(Isa::best(), &conv, values(&weight), values(&grad)), &shape)
    }

    fn convolve_weight_gradient(
        shape: [usize; 4],
        x: FlexTensor,
        grad: FlexTensor,
        options: ConvOptions<2>,
    ) -> FlexTensor {
        let conv = settings(dims(&x), shape, &options);
        let (x, grad) = (channels_last(x), channels_last(grad));
        in_order_of(conv::weight_gradient(Isa::best(), &conv, values(&x), values(&grad)), &shape)
    }

    fn convolve_bias_gradient(grad: FlexTensor) -> FlexTensor {
        let Sides { channels, .. } = Sides::of(&grad);
        let grad = channels_last(grad);
        in_order_of(sums::column_sums(Isa::best(), channels, values(&grad)), &[channels])
    }
}

/// The input, the weights and the settings.
type Kept = (NodeId, NodeId, ConvOptions<2>);

/// The gradients of weights and input; a bias has its own before.
fn backward<B: ConvGradients, const N: usize>(
    ops: Ops<Kept, N>,
    grads: &mut Gradients,
    checkpointer: &mut Checkpointer,
) {
    let grad = take!(B, grads, ops.node);
    let (x, weight, options) = ops.state;
    let x: FloatTensor<B> = checkpointer.retrieve_node_output(x);
    let weight: FloatTensor<B> = checkpointer.retrieve_node_output(weight);
    let (x_shape, weight_shape) = (x.shape().dims(), weight.shape().dims());
    for (index, node) in ops.parents.into_iter().enumerate().rev() {
        leave!(
            B,
            grads,
            node,
            match index {
                0 => B::convolve_input_gradient(x_shape, weight.clone(), grad.clone(), options.clone()),
                1 => B::convolve_weight_gradient(weight_shape, x.clone(), grad.clone(), options.clone()),
                _ => B::convolve_bias_gradient(grad.clone()),
            }
        );
    }
}

impl<B: ConvOps + ConvGradients, C: CheckpointStrategy> ConvOps for Autodiff<B, C> {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Convolve;

        impl<B: ConvGradients> Backward<B, 2> for Convolve {
            type State = Kept;

            fn backward(self, ops: Ops<Kept, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
                backward::<B, 2>(ops, grads, checkpointer);
            }
        }

        match Convolve.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let kept = (prep.checkpoint(&x), prep.checkpoint(&weight), options.clone());
                prep.finish(kept, B::convolve(x.into_primitive(), weight.into_primitive(), options))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::convolve(x.into_primitive(), weight.into_primitive(), options))
            }
        }
    }

    fn convolve_with_bias(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct ConvolveWithBias;

        impl<B: ConvGradients> Backward<B, 3> for ConvolveWithBias {
            type State = Kept;

            fn backward(self, ops: Ops<Kept, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
                backward::<B, 3>(ops, grads, checkpointer);
            }
        }

        let nodes = [x.node(), weight.node(), bias.node()];
        match ConvolveWithBias.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let kept = (prep.checkpoint(&x), prep.checkpoint(&weight), options.clone());
                let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
                prep.finish(kept, B::convolve_with_bias(x, weight, bias, options))
            }
            OpsKind::UnTracked(prep) => {
                let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
                prep.finish(B::convolve_with_bias(x, weight, bias, options))
            }
        }
    }
}
