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
use crate::softmax::{self, ClassLoss};
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
    let [batch, num_classes] = logits.dims();
    assert_eq!(batch, classes.len(), "rows and classes");
    assert!(classes.iter().all(|class| *class < num_classes), "a class is not one of {num_classes}");
    if is_ours(&logits) && batch > 0 {
        let logits = logits.into_dispatch();
        let (loss, _) = <Dispatch as SoftmaxOps>::class_loss(logits, classes.to_vec(), smoothing);
        return Tensor::from_dispatch(loss);
    }
    let targets: Vec<i64> = classes.iter().map(|class| *class as i64).collect();
    let targets = Tensor::<1, Int>::from_data(targets.as_slice(), &logits.device());
    let log_probabilities = log_softmax(logits, 1);
    let loss = log_probabilities.clone().gather(1, targets.unsqueeze_dim(1)).mean().neg();
    match smoothing {
        0.0 => loss,
        spread => loss * (1.0 - spread) - log_probabilities.mean() * spread,
    }
}

/// What the loss calls. All tensors are f32.
#[backend_extension(Flex, Autodiff)]
pub trait SoftmaxOps: Backend {
    /// The mean cross entropy `[1]`, and the probabilities, which have no gradient.
    fn class_loss(
        logits: FloatTensor<Self>,
        classes: Vec<usize>,
        smoothing: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// The gradient of [`SoftmaxOps`].
pub trait SoftmaxGradients: Sum {
    /// The gradient of the logits, from the probabilities.
    fn class_loss_gradient(
        probabilities: FloatTensor<Self>,
        classes: Vec<usize>,
        smoothing: f64,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl SoftmaxOps for Flex {
    fn class_loss(logits: FlexTensor, classes: Vec<usize>, smoothing: f64) -> (FlexTensor, FlexTensor) {
        let (shape, logits): ([usize; 2], _) = (dims(&logits), in_order(logits));
        let ClassLoss { mean, probabilities } = softmax::cross_entropy(values(&logits), &classes, smoothing);
        (in_order_of(vec![mean], &[1]), in_order_of(probabilities, &shape))
    }
}

impl SoftmaxGradients for Flex {
    fn class_loss_gradient(
        probabilities: FlexTensor,
        classes: Vec<usize>,
        smoothing: f64,
        grad: FlexTensor,
    ) -> FlexTensor {
        let grad = values(&in_order(grad))[0];
        overwrite(probabilities, |probabilities| {
            softmax::cross_entropy_gradient(probabilities, &classes, smoothing, grad);
        })
    }
}

impl<B: SoftmaxOps + SoftmaxGradients, C: CheckpointStrategy> SoftmaxOps for Autodiff<B, C> {
    fn class_loss(
        logits: FloatTensor<Self>,
        classes: Vec<usize>,
        smoothing: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        #[derive(Debug)]
        struct LossOfClasses;

        impl<B: SoftmaxGradients> Backward<B, 1> for LossOfClasses {
            /// The probabilities, the classes and the smoothing.
            type State = (FloatTensor<B>, Vec<usize>, f64);

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = take!(B, grads, ops.node);
                let ([node], (probabilities, classes, smoothing)) = (ops.parents, ops.state);
                leave!(B, grads, node, B::class_loss_gradient(probabilities, classes, smoothing, grad));
            }
        }

        let (loss, probabilities) =
            match LossOfClasses.prepare::<C>([logits.node()]).compute_bound().stateful() {
                OpsKind::Tracked(prep) => {
                    let (loss, probabilities) =
                        B::class_loss(logits.into_primitive(), classes.clone(), smoothing);
                    (prep.finish((probabilities.clone(), classes, smoothing), loss), probabilities)
                }
                OpsKind::UnTracked(prep) => {
                    let (loss, probabilities) = B::class_loss(logits.into_primitive(), classes, smoothing);
                    (prep.finish(loss), probabilities)
                }
            };
        (loss, FloatTensor::<Self>::new(probabilities))
    }
}
