//! The cross entropy of a softmax as an operation of Burn's backends.

use burn::backend::autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

use crate::gradient::{Sum, leave, take};
use crate::layers::is_ours;
use crate::softmax::{self, ClassLoss, Targets};
use crate::tensor::{FlexTensor, dims, in_order, in_order_of, overwrite, values};

/// The mean over the batch of the cross entropy between a target and the softmax of the logits. The target is the class of
/// each, but for a share `smoothing` that is spread evenly over all classes.
///
/// # Shapes
/// `[batch, num_classes]` to `[1]`
///
/// # Panics
/// If there are not as many classes as rows, or a class is out of range.
pub fn cross_entropy(logits: Tensor<2>, classes: &[usize], smoothing: f64) -> Tensor<1> {
    check(&logits, classes);
    if is_ours(&logits) && !classes.is_empty() {
        return ours(logits, Targets { classes: classes.to_vec(), weights: Vec::new(), smoothing });
    }
    let log_probabilities = log_softmax(logits, 1);
    let of_class = log_probabilities.clone().gather(1, column(classes, &log_probabilities));
    let loss = of_class.mean().neg();
    match smoothing {
        0.0 => loss,
        spread => loss * (1.0 - spread) - log_probabilities.mean() * spread,
    }
}

/// The mean over rows, each by its weight, of the cross entropy between its class and the softmax of its logits; 0, with a
/// gradient of zeros, where no row counts. A row whose weight is 0 is not looked at, but its class must be one.
///
/// # Shapes
/// `[rows, num_classes]` to `[1]`
///
/// # Panics
/// If there are not as many classes or weights as rows, or a class is out of range.
pub fn weighted_cross_entropy(logits: Tensor<2>, classes: Vec<usize>, weights: Vec<f32>) -> Tensor<1> {
    check(&logits, &classes);
    assert_eq!(classes.len(), weights.len(), "rows and weights");
    if is_ours(&logits) && !classes.is_empty() {
        return ours(logits, Targets { classes, weights, smoothing: 0.0 });
    }
    let total: f64 = weights.iter().copied().map(f64::from).sum();
    let weights = Tensor::<1>::from_data(weights.as_slice(), &logits.device()).cast(logits.dtype());
    let of_class = log_softmax(logits.clone(), 1).gather(1, column(&classes, &logits));
    (of_class * weights.unsqueeze_dim(1)).sum() / -(if total > 0.0 { total } else { 1.0 })
}

fn check(logits: &Tensor<2>, classes: &[usize]) {
    let [rows, num_classes] = logits.dims();
    assert_eq!(rows, classes.len(), "rows and classes");
    assert!(classes.iter().all(|class| *class < num_classes), "a class is not one of {num_classes}");
}

fn ours(logits: Tensor<2>, targets: Targets) -> Tensor<1> {
    let (loss, _) = <Dispatch as SoftmaxOps>::class_loss(logits.into_dispatch(), targets);
    Tensor::from_dispatch(loss)
}

/// The classes beside their rows, `[rows, 1]`.
fn column(classes: &[usize], beside: &Tensor<2>) -> Tensor<2, Int> {
    let classes: Vec<i64> = classes.iter().map(|class| *class as i64).collect();
    Tensor::<1, Int>::from_data(classes.as_slice(), &beside.device()).unsqueeze_dim(1)
}

/// What the loss calls. All tensors are f32.
#[backend_extension(Flex, Autodiff)]
pub trait SoftmaxOps: Backend {
    /// The mean cross entropy `[1]`, and the probabilities, which have no gradient.
    fn class_loss(logits: FloatTensor<Self>, targets: Targets) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// The gradient of [`SoftmaxOps`].
pub trait SoftmaxGradients: Sum {
    /// The gradient of the logits, from the probabilities.
    fn class_loss_gradient(
        probabilities: FloatTensor<Self>,
        targets: Targets,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl SoftmaxOps for Flex {
    fn class_loss(logits: FlexTensor, targets: Targets) -> (FlexTensor, FlexTensor) {
        let (shape, logits): ([usize; 2], _) = (dims(&logits), in_order(logits));
        let ClassLoss { mean, probabilities } = softmax::cross_entropy(values(&logits), &targets);
        (in_order_of(vec![mean], &[1]), in_order_of(probabilities, &shape))
    }
}

impl SoftmaxGradients for Flex {
    fn class_loss_gradient(probabilities: FlexTensor, targets: Targets, grad: FlexTensor) -> FlexTensor {
        let grad = values(&in_order(grad))[0];
        overwrite(probabilities, |probabilities| {
            softmax::cross_entropy_gradient(probabilities, &targets, grad);
        })
    }
}

impl<B: SoftmaxOps + SoftmaxGradients, C: CheckpointStrategy> SoftmaxOps for Autodiff<B, C> {
    fn class_loss(logits: FloatTensor<Self>, targets: Targets) -> (FloatTensor<Self>, FloatTensor<Self>) {
        #[derive(Debug)]
        struct LossOfClasses;

        impl<B: SoftmaxGradients> Backward<B, 1> for LossOfClasses {
            /// The probabilities, and what they should be.
            type State = (FloatTensor<B>, Targets);

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = take!(B, grads, ops.node);
                let ([node], (probabilities, targets)) = (ops.parents, ops.state);
                leave!(B, grads, node, B::class_loss_gradient(probabilities, targets, grad));
            }
        }

        let (loss, probabilities) =
            match LossOfClasses.prepare::<C>([logits.node()]).compute_bound().stateful() {
                OpsKind::Tracked(prep) => {
                    let (loss, probabilities) = B::class_loss(logits.into_primitive(), targets.clone());
                    (prep.finish((probabilities.clone(), targets), loss), probabilities)
                }
                OpsKind::UnTracked(prep) => {
                    let (loss, probabilities) = B::class_loss(logits.into_primitive(), targets);
                    (prep.finish(loss), probabilities)
                }
            };
        (loss, FloatTensor::<Self>::new(probabilities))
    }
}
