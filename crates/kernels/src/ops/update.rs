//! The steps of optimizers on Burn's tensors, which are without gradients there.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use crate::isa::Isa;
use crate::layers::is_ours;
use crate::tensor::{FlexTensor, in_order, values};
use crate::update::{self, Adam, Sgd};

/// The weights and the velocity after a step; without momentum there is none. Weights that no one else holds are written over.
///
/// # Panics
/// If the lengths differ.
pub fn sgd(
    x: Tensor<1>,
    grad: Tensor<1>,
    velocity: Option<Tensor<1>>,
    step: Sgd,
) -> (Tensor<1>, Option<Tensor<1>>) {
    assert_eq!(x.dims(), grad.dims());
    // PyTorch's first velocity is the gradient itself, whatever the dampening.
    let step = if velocity.is_some() { step } else { Sgd { dampening: 0.0, ..step } };
    let velocity = (step.momentum > 0.0).then(|| velocity.unwrap_or_else(|| x.zeros_like()));
    if !is_plain(&x) || !is_plain(&grad) || !velocity.iter().all(is_plain) {
        return sgd_stock(x, grad, velocity, step);
    }
    let (x, grad) = (x.into_dispatch(), grad.into_dispatch());
    let Some(velocity) = velocity else {
        return (Tensor::from_dispatch(<Dispatch as UpdateOps>::sgd(x, grad, step)), None);
    };
    let velocity = velocity.into_dispatch();
    let (x, velocity) = <Dispatch as UpdateOps>::sgd_with_momentum(x, grad, velocity, step);
    (Tensor::from_dispatch(x), Some(Tensor::from_dispatch(velocity)))
}

fn sgd_stock(
    x: Tensor<1>,
    grad: Tensor<1>,
    velocity: Option<Tensor<1>>,
    step: Sgd,
) -> (Tensor<1>, Option<Tensor<1>>) {
    let Sgd { rate, momentum, dampening, nesterov, l2 } = step;
    let grad = with_l2(grad, &x, l2);
    let Some(velocity) = velocity else {
        return (x - grad * rate, None);
    };
    let velocity = velocity * momentum + grad.clone() * (1.0 - dampening);
    let along = if nesterov { grad + velocity.clone() * momentum } else { velocity.clone() };
    (x - along * rate, Some(velocity))
}

/// The weights and the moments after a step. Weights that no one else holds are written over.
///
/// # Panics
/// If the lengths differ.
pub fn adam(
    x: Tensor<1>,
    grad: Tensor<1>,
    moments: Option<[Tensor<1>; 2]>,
    step: Adam,
) -> (Tensor<1>, [Tensor<1>; 2]) {
    assert_eq!(x.dims(), grad.dims());
    let [first, second] = moments.unwrap_or_else(|| [x.zeros_like(), x.zeros_like()]);
    if ![&x, &grad, &first, &second].into_iter().all(is_plain) {
        return adam_stock(x, grad, [first, second], step);
    }
    let [x, grad, first, second] = [x, grad, first, second].map(Tensor::into_dispatch);
    let (x, first, second) = <Dispatch as UpdateOps>::adam(x, grad, first, second, step);
    (Tensor::from_dispatch(x), [first, second].map(Tensor::from_dispatch))
}

fn adam_stock(
    x: Tensor<1>,
    grad: Tensor<1>,
    [first, second]: [Tensor<1>; 2],
    step: Adam,
) -> (Tensor<1>, [Tensor<1>; 2]) {
    let ([rate, root], betas) = (step.corrected(), step.betas);
    let grad = with_l2(grad, &x, step.l2);
    let first = first * betas[0] + grad.clone() * (1.0 - betas[0]);
    let second = second * betas[1] + grad.square() * (1.0 - betas[1]);
    let by = first.clone() / (second.clone().sqrt() / root + step.eps) * rate;
    (x * step.shrink - by, [first, second])
}

fn with_l2(grad: Tensor<1>, x: &Tensor<1>, l2: f64) -> Tensor<1> {
    match l2 {
        0.0 => grad,
        l2 => grad + x.clone() * l2,
    }
}

/// Whether our kernels serve this tensor, and no gradient is asked of it.
fn is_plain(x: &Tensor<1>) -> bool {
    is_ours(x) && !x.device().is_autodiff()
}

/// What the functions above call. All tensors are f32, of one dimension and without gradients.
#[backend_extension(Flex)]
pub trait UpdateOps: Backend {
    /// The weights after a step without momentum.
    fn sgd(x: FloatTensor<Self>, grad: FloatTensor<Self>, step: Sgd) -> FloatTensor<Self>;
    /// The weights and the velocity after a step.
    fn sgd_with_momentum(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        step: Sgd,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// The weights and the moments after a step.
    fn adam(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: Adam,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// The values, to be written over; a copy where someone else holds them.
fn values_mut(x: &mut FlexTensor) -> &mut [f32] {
    let len = x.shape().num_elements();
    &mut x.storage_mut()[..len]
}

impl UpdateOps for Flex {
    fn sgd(x: FlexTensor, grad: FlexTensor, step: Sgd) -> FlexTensor {
        let (mut x, grad) = (in_order(x), in_order(grad));
        update::sgd(Isa::best(), step, values_mut(&mut x), values(&grad));
        x
    }

    fn sgd_with_momentum(
        x: FlexTensor,
        grad: FlexTensor,
        velocity: FlexTensor,
        step: Sgd,
    ) -> (FlexTensor, FlexTensor) {
        let ([mut x, mut velocity], grad) = ([x, velocity].map(in_order), in_order(grad));
        let (xs, velocities) = (values_mut(&mut x), values_mut(&mut velocity));
        update::sgd_with_momentum(Isa::best(), step, xs, values(&grad), velocities);
        (x, velocity)
    }

    fn adam(
        x: FlexTensor,
        grad: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        step: Adam,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let ([mut x, mut first, mut second], grad) = ([x, first, second].map(in_order), in_order(grad));
        let moments = [values_mut(&mut first), values_mut(&mut second)];
        update::adam(Isa::best(), step, values_mut(&mut x), values(&grad), moments);
        (x, first, second)
    }
}
