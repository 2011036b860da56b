//! Activations and sums as operations of Burn's backends.

use burn::backend::autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Tensor, activation as stock};

use crate::activation::{self, Activation};
use crate::gradient::{Sum, leave, take};
use crate::isa::Isa;
use crate::layers::is_ours;
use crate::tensor::{
    FlexTensor, channels_last, from_rows, in_order, in_order_of, is_in_order, overwrite, values,
};

/// Negative values become zero.
pub fn relu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activate(x, Activation::Relu, stock::relu)
}

/// Negative values are multiplied by `slope`.
pub fn leaky_relu<const D: usize>(x: Tensor<D>, slope: f64) -> Tensor<D> {
    activate(x, Activation::LeakyRelu(slope as f32), |x| stock::leaky_relu(x, slope))
}

/// Negative values become zero, and those above six become six.
pub fn relu6<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activate(x, Activation::Relu6, stock::relu6)
}

/// `1 / (1 + exp(-x))`
pub fn sigmoid<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activate(x, Activation::Sigmoid, stock::sigmoid)
}

/// `x / (1 + exp(-x))`, which others call Swish.
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activate(x, Activation::Silu, stock::silu)
}

/// `x relu6(x + 3) / 6`
pub fn hard_swish<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activate(x, Activation::HardSwish, |x| match x.dtype() {
        // Burn's has 32 bits within, and so has the gradient of its division by a number.
        DType::F64 => x.clone() * (x + 3.0).clamp(0.0, 6.0) * (1.0 / 6.0),
        _ => stock::hard_swish(x),
    })
}

/// `x tanh(log(1 + exp(x)))`
pub fn mish<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activate(x, Activation::Mish, stock::mish)
}

fn activate<const D: usize>(
    x: Tensor<D>,
    activation: Activation,
    elsewhere: impl Fn(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    match is_ours(&x) {
        true => Tensor::from_dispatch(<Dispatch as ActivationOps>::activate(x.into_dispatch(), activation)),
        false => elsewhere(x),
    }
}

/// The sum of two tensors of one shape.
pub fn add<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    match are_ours(&a, &b) {
        true => Tensor::from_dispatch(<Dispatch as ActivationOps>::add(a.into_dispatch(), b.into_dispatch())),
        false => a + b,
    }
}

/// The sum of two tensors of one shape, where it is positive; zero elsewhere.
pub fn add_relu<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    match are_ours(&a, &b) {
        true => {
            Tensor::from_dispatch(<Dispatch as ActivationOps>::add_relu(a.into_dispatch(), b.into_dispatch()))
        }
        false => stock::relu(a + b),
    }
}

fn are_ours<const D: usize>(a: &Tensor<D>, b: &Tensor<D>) -> bool {
    a.dims() == b.dims() && is_ours(a) && is_ours(b)
}

/// What the functions above call. All tensors are f32.
#[backend_extension(Flex, Autodiff)]
pub trait ActivationOps: Backend {
    /// An activation.
    fn activate(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;
    /// `a + b`, of one shape.
    fn add(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
    /// `max(a + b, 0)`, of one shape.
    fn add_relu(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The gradients of [`ActivationOps`].
pub trait ActivationGradients: Sum {
    /// The gradient of an activation's input; `known` is what [`activation::gradient`] asks for.
    fn activation_gradient(
        activation: Activation,
        known: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// The values side by side in memory, in an order that this crate knows.
fn dense(x: FlexTensor) -> FlexTensor {
    match x.shape().num_dims() {
        ..=2 => in_order(x),
        _ if is_in_order(&x) => x,
        _ => channels_last(x),
    }
}

/// Both in the same order: that of rows of channels if they differ.
fn alike(a: FlexTensor, b: FlexTensor) -> [FlexTensor; 2] {
    let both = [dense(a), dense(b)];
    match both.each_ref().map(is_in_order) {
        [true, true] => both,
        _ => both.map(channels_last),
    }
}

/// A tensor of values in the order of another's.
fn like(x: &FlexTensor, values: Vec<f32>) -> FlexTensor {
    let shape = x.shape();
    match is_in_order(x) {
        true => in_order_of(values, shape.as_slice()),
        false => from_rows(values, shape.as_slice()),
    }
}

impl ActivationOps for Flex {
    fn activate(x: FlexTensor, activation: Activation) -> FlexTensor {
        let x = dense(x);
        match x.is_unique() {
            true => overwrite(x, |x| activation::activate_in_place(Isa::best(), activation, x)),
            false => like(&x, activation::activate(Isa::best(), activation, values(&x))),
        }
    }

    fn add(a: FlexTensor, b: FlexTensor) -> FlexTensor {
        let [a, b] = alike(a, b);
        match [a.is_unique(), b.is_unique()] {
            [true, _] => overwrite(a, |a| activation::sum_in_place(Isa::best(), a, values(&b))),
            [_, true] => overwrite(b, |b| activation::sum_in_place(Isa::best(), b, values(&a))),
            _ => like(&a, activation::sum(Isa::best(), values(&a), values(&b))),
        }
    }

    fn add_relu(a: FlexTensor, b: FlexTensor) -> FlexTensor {
        let [a, b] = alike(a, b);
        match [a.is_unique(), b.is_unique()] {
            [true, _] => overwrite(a, |a| activation::rectified_sum_in_place(Isa::best(), a, values(&b))),
            [_, true] => overwrite(b, |b| activation::rectified_sum_in_place(Isa::best(), b, values(&a))),
            _ => like(&a, activation::rectified_sum(Isa::best(), values(&a), values(&b))),
        }
    }
}

impl Sum for Flex {
    fn sum(a: FlexTensor, b: FlexTensor) -> FlexTensor {
        Self::add(a, b)
    }
}

impl ActivationGradients for Flex {
    fn activation_gradient(activation: Activation, known: FlexTensor, grad: FlexTensor) -> FlexTensor {
        let [known, grad] = alike(known, grad);
        match grad.is_unique() {
            true => overwrite(grad, |grad| {
                activation::gradient_in_place(Isa::best(), activation, values(&known), grad);
            }),
            false => {
                like(&grad, activation::gradient(Isa::best(), activation, values(&known), values(&grad)))
            }
        }
    }
}

impl<B: ActivationOps + ActivationGradients, C: CheckpointStrategy> ActivationOps for Autodiff<B, C> {
    fn activate(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Activate;

        impl<B: ActivationGradients> Backward<B, 1> for Activate {
            /// Where it will do this is the output: what follows has it anyway, and the input can be written over.
            type State = (Activation, FloatTensor<B>);

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = take!(B, grads, ops.node);
                let ([node], (activation, known)) = (ops.parents, ops.state);
                leave!(B, grads, node, B::activation_gradient(activation, known, grad));
            }
        }

        match Activate.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) if activation.gradient_needs_output() => {
                let y = B::activate(x.into_primitive(), activation);
                prep.finish((activation, y.clone()), y)
            }
            OpsKind::Tracked(prep) => {
                let x = x.into_primitive();
                prep.finish((activation, x.clone()), B::activate(x, activation))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::activate(x.into_primitive(), activation)),
        }
    }

    fn add(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Add;

        impl<B: Sum> Backward<B, 2> for Add {
            type State = ();

            fn backward(self, ops: Ops<(), 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = take!(B, grads, ops.node);
                for node in ops.parents {
                    leave!(B, grads, node, grad.clone());
                }
            }
        }

        let prep = Add.prepare::<C>([a.node(), b.node()]).compute_bound();
        prep.stateless(B::add(a.into_primitive(), b.into_primitive()))
    }

    fn add_relu(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct AddRelu;

        impl<B: ActivationGradients> Backward<B, 2> for AddRelu {
            /// The output.
            type State = FloatTensor<B>;

            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = take!(B, grads, ops.node);
                let grad = B::activation_gradient(Activation::Relu, ops.state, grad);
                for node in ops.parents {
                    leave!(B, grads, node, grad.clone());
                }
            }
        }

        match AddRelu.prepare::<C>([a.node(), b.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let y = B::add_relu(a.into_primitive(), b.into_primitive());
                prep.finish(y.clone(), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::add_relu(a.into_primitive(), b.into_primitive())),
        }
    }
}
