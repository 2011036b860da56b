//! Linear layers as operations of Burn's backends.

use burn::backend::autodiff::{
    NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, module};

use crate::gradient::{Sum, leave, take};
use crate::isa::Isa;
use crate::layers::is_ours;
use crate::linear::{self, Linear};
use crate::sums;
use crate::tensor::{FlexTensor, dims, in_order, in_order_of, values};

/// A linear layer: `x` times `weight`, plus `bias`.
///
/// # Shapes
/// - `x`: `[.., inputs]`; our kernels are for `[rows, inputs]`
/// - `weight`: `[inputs, outputs]`
/// - `bias`: `[outputs]`
/// - result: `[.., outputs]`
///
/// # Panics
/// If the shapes do not agree.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let empty = x.dims().contains(&0) || weight.dims().contains(&0);
    if D != 2 || empty || !is_ours(&x) || !is_ours(&weight) || !bias.iter().all(is_ours) {
        return module::linear(x, weight, bias);
    }
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(match bias {
        Some(bias) => <Dispatch as LinearOps>::rows_times_and(x, weight, bias.into_dispatch()),
        None => <Dispatch as LinearOps>::rows_times(x, weight),
    })
}

/// What the layer calls. All tensors are f32.
#[backend_extension(Flex, Autodiff)]
pub trait LinearOps: Backend {
    /// `x` times `weight`.
    fn rows_times(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
    /// `x` times `weight`, plus `bias`. (The macro knows no optional tensor.)
    fn rows_times_and(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// The gradients of [`LinearOps`].
pub trait LinearGradients: Sum {
    /// The gradient of `x`.
    fn rows_gradient(weight: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;
    /// The gradient of `weight`.
    fn matrix_gradient(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;
    /// The gradient of `bias`.
    fn column_sums(grad: FloatTensor<Self>) -> FloatTensor<Self>;
}

fn product(x: FlexTensor, weight: FlexTensor, bias: Option<FlexTensor>) -> FlexTensor {
    let ([rows, inputs], [depth, outputs]) = (dims(&x), dims(&weight));
    assert_eq!(inputs, depth, "input [{rows}, {inputs}], weight [{depth}, {outputs}]");
    let (x, weight, bias) = (in_order(x), in_order(weight), bias.map(in_order));
    let sides = Linear { rows, inputs, outputs };
    let y = linear::forward(Isa::best(), sides, values(&x), values(&weight), bias.as_ref().map(values));
    in_order_of(y, &[rows, outputs])
}

impl LinearOps for Flex {
    fn rows_times(x: FlexTensor, weight: FlexTensor) -> FlexTensor {
        product(x, weight, None)
    }

    fn rows_times_and(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        product(x, weight, Some(bias))
    }
}

impl LinearGradients for Flex {
    fn rows_gradient(weight: FlexTensor, grad: FlexTensor) -> FlexTensor {
        let ([inputs, outputs], [rows, _]) = (dims(&weight), dims(&grad));
        let (weight, grad) = (in_order(weight), in_order(grad));
        let sides = Linear { rows, inputs, outputs };
        let x = linear::input_gradient(Isa::best(), sides, values(&weight), values(&grad));
        in_order_of(x, &[rows, inputs])
    }

    fn matrix_gradient(x: FlexTensor, grad: FlexTensor) -> FlexTensor {
        let ([rows, inputs], [_, outputs]) = (dims(&x), dims(&grad));
        let (x, grad) = (in_order(x), in_order(grad));
        let sides = Linear { rows, inputs, outputs };
        let weight = linear::weight_gradient(Isa::best(), sides, values(&x), values(&grad));
        in_order_of(weight, &[inputs, outputs])
    }

    fn column_sums(grad: FlexTensor) -> FlexTensor {
        let [_, outputs] = dims(&grad);
        let grad = in_order(grad);
        in_order_of(sums::column_sums(Isa::best(), outputs, values(&grad)), &[outputs])
    }
}

/// The input and the weights, where a gradient needs them.
type Kept = [Option<NodeId>; 2];

fn backward<B: LinearGradients, const N: usize>(
    ops: Ops<Kept, N>,
    grads: &mut Gradients,
    checkpointer: &mut Checkpointer,
) {
    let grad = take!(B, grads, ops.node);
    let [x, weight] = ops.state.map(|node| node.map(|node| checkpointer.retrieve_node_output(node)));
    let (mut x, mut weight): (Option<FloatTensor<B>>, Option<FloatTensor<B>>) = (x, weight);
    for (index, node) in ops.parents.into_iter().enumerate().rev() {
        // What was kept is what the parents' gradients need.
        let gradient = match index {
            0 => weight.take().map(|weight| B::rows_gradient(weight, grad.clone())),
            1 => x.take().map(|x| B::matrix_gradient(x, grad.clone())),
            _ => node.is_some().then(|| B::column_sums(grad.clone())),
        };
        if let Some(gradient) = gradient {
            leave!(B, grads, node, gradient);
        }
    }
}

impl<B: LinearOps + LinearGradients, C: CheckpointStrategy> LinearOps for Autodiff<B, C> {
    fn rows_times(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct RowsTimes;

        impl<B: LinearGradients> Backward<B, 2> for RowsTimes {
            type State = Kept;

            fn backward(self, ops: Ops<Kept, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
                backward::<B, 2>(ops, grads, checkpointer);
            }
        }

        match RowsTimes.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let x_kept = weight.is_tracked().then(|| prep.checkpoint(&x));
                let weight_kept = x.is_tracked().then(|| prep.checkpoint(&weight));
                let y = B::rows_times(x.into_primitive(), weight.into_primitive());
                prep.finish([x_kept, weight_kept], y)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::rows_times(x.into_primitive(), weight.into_primitive()))
            }
        }
    }

    fn rows_times_and(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct RowsTimesAnd;

        impl<B: LinearGradients> Backward<B, 3> for RowsTimesAnd {
            type State = Kept;

            fn backward(self, ops: Ops<Kept, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
                backward::<B, 3>(ops, grads, checkpointer);
            }
        }

        let nodes = [x.node(), weight.node(), bias.node()];
        match RowsTimesAnd.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let x_kept = weight.is_tracked().then(|| prep.checkpoint(&x));
                let weight_kept = x.is_tracked().then(|| prep.checkpoint(&weight));
                let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
                prep.finish([x_kept, weight_kept], B::rows_times_and(x, weight, bias))
            }
            OpsKind::UnTracked(prep) => {
                let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
                prep.finish(B::rows_times_and(x, weight, bias))
            }
        }
    }
}
