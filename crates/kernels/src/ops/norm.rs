//! Batch normalization, with what follows it, as operations of Burn's backends.

use burn::backend::autodiff::{
    NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, ExtensionType, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, activation, module};

use crate::gradient::{Sum, leave, take};
use crate::isa::Isa;
use crate::layers::is_ours;
use crate::norm::{self, Norm, Statistics, Then};
use crate::tensor::{FlexTensor, Sides, channels_last, from_rows, in_order, in_order_of, overwrite, values};

/// Batch normalization by the batch's own statistics and what follows it: the result, and every channel's mean and
/// variance (divided by n, not n - 1). Only the result has a gradient.
///
/// Ioffe and Szegedy 2015, algorithm 1.
///
/// # Shapes
/// - `x`, what is added and the result: `[batch, channels, ..]`
/// - all others: `[channels]`
pub fn batch_norm_train<const D: usize>(
    x: Tensor<D>,
    [gamma, beta]: [Tensor<1>; 2],
    then: Then<Tensor<D>>,
    epsilon: f64,
) -> (Tensor<D>, [Tensor<1>; 2]) {
    if !are_ours(&x, &then) || ![&gamma, &beta].into_iter().all(is_ours) {
        let stock = module::batch_norm_train(x, gamma, beta, epsilon);
        return (followed(stock.output, then), [stock.mean.detach(), stock.variance.detach()]);
    }
    let [gamma, beta] = [gamma, beta].map(Tensor::into_dispatch);
    let (y, mean, variance) =
        <Dispatch as NormOps>::normalize_train(x.into_dispatch(), gamma, beta, into_dispatch(then), epsilon);
    (Tensor::from_dispatch(y), [mean, variance].map(Tensor::from_dispatch))
}

/// Batch normalization by given statistics and what follows it. The statistics get no gradient.
///
/// # Shapes
/// - `x`, what is added and the result: `[batch, channels, ..]`
/// - all others: `[channels]`
pub fn batch_norm<const D: usize>(
    x: Tensor<D>,
    [gamma, beta]: [Tensor<1>; 2],
    [mean, variance]: [Tensor<1>; 2],
    then: Then<Tensor<D>>,
    epsilon: f64,
) -> Tensor<D> {
    if !are_ours(&x, &then) || ![&gamma, &beta, &mean, &variance].into_iter().all(is_ours) {
        return followed(module::batch_norm(x, gamma, beta, mean, variance, epsilon), then);
    }
    let [gamma, beta, mean, variance] = [gamma, beta, mean, variance].map(Tensor::into_dispatch);
    let (x, then) = (x.into_dispatch(), into_dispatch(then));
    Tensor::from_dispatch(<Dispatch as NormOps>::normalize(x, gamma, beta, mean, variance, then, epsilon))
}

/// Running mean and variance, moved by `momentum` towards those of a batch of `count` values a channel. The variance of
/// the batch is divided by n; the running one is of n - 1, as PyTorch's.
///
/// # Shapes
/// `[channels]` each
pub fn running_statistics(
    running: [Tensor<1>; 2],
    batch: [Tensor<1>; 2],
    momentum: f64,
    count: usize,
) -> [Tensor<1>; 2] {
    // Of a single value there is no unbiased variance; the batch's own, zero, stays.
    let unbiased = count as f64 / count.saturating_sub(1).max(1) as f64;
    let ([running_mean, running_variance], [mean, variance]) = (running, batch);
    if ![&running_mean, &running_variance, &mean, &variance].into_iter().all(is_ours) {
        let moved = |running: Tensor<1>, batch: Tensor<1>, factor| {
            running.mul_scalar(1.0 - momentum).add(batch.mul_scalar(momentum * factor)).detach()
        };
        return [moved(running_mean, mean, 1.0), moved(running_variance, variance, unbiased)];
    }
    let [running_mean, running_variance, mean, variance] =
        [running_mean, running_variance, mean, variance].map(Tensor::into_dispatch);
    let (running_mean, running_variance) =
        <Dispatch as NormOps>::follow(running_mean, running_variance, mean, variance, momentum, unbiased);
    [running_mean, running_variance].map(Tensor::from_dispatch)
}

fn are_ours<const D: usize>(x: &Tensor<D>, then: &Then<Tensor<D>>) -> bool {
    let then = match then {
        Then::Nothing | Then::Relu => true,
        Then::AddRelu(skip) => is_ours(skip) && skip.dims() == x.dims(),
    };
    then && is_ours(x) && !x.dims().contains(&0)
}

fn followed<const D: usize>(x: Tensor<D>, then: Then<Tensor<D>>) -> Tensor<D> {
    match then {
        Then::Nothing => x,
        Then::Relu => activation::relu(x),
        Then::AddRelu(skip) => activation::relu(x + skip),
    }
}

fn into_dispatch<const D: usize>(then: Then<Tensor<D>>) -> ThenOf<Dispatch> {
    match then {
        Then::Nothing => ThenOf::Nothing,
        Then::Relu => ThenOf::Relu,
        Then::AddRelu(skip) => ThenOf::AddRelu(skip.into_dispatch()),
    }
}

/// [`Then`] of a backend's tensors, as Burn's macro wants it.
#[derive(Debug, Clone, ExtensionType)]
pub enum ThenOf<B: Backend> {
    /// Nothing.
    Nothing,
    /// ReLU.
    Relu,
    /// A sum with this, and ReLU of it.
    AddRelu(FloatTensor<B>),
}

/// What the functions above call. All tensors are f32.
#[backend_extension(Flex, Autodiff)]
pub trait NormOps: Backend {
    /// Normalizes by the batch's own statistics: the result, the mean, the variance (divided by n).
    fn normalize_train(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        #[extension_type] then: ThenOf<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// Normalizes by given statistics.
    fn normalize(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        #[extension_type] then: ThenOf<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;
    /// Running statistics, moved towards a batch's; its variance times `unbiased`.
    fn follow(
        running_mean: FloatTensor<Self>,
        running_variance: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        momentum: f64,
        unbiased: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// What a backward pass is given beside the input.
#[derive(Debug, Clone)]
pub struct Kept<B: Backend> {
    /// Gamma and beta.
    pub affine: [FloatTensor<B>; 2],
    /// Mean and variance.
    pub statistics: [FloatTensor<B>; 2],
    /// Where these came from.
    pub source: Statistics,
    /// What follows; of a sum the result, not what was added.
    pub then: ThenOf<B>,
    /// Added to the variance.
    pub epsilon: f64,
}

/// The gradients of [`NormOps`].
pub trait NormGradients: Sum {
    /// The gradients of the input, gamma and beta, and of what was added if something was.
    fn normalize_gradients(
        x: FloatTensor<Self>,
        kept: Kept<Self>,
        grad: FloatTensor<Self>,
    ) -> Vec<FloatTensor<Self>>;
}

/// Calls `work` on the normalization and what follows it as slices.
fn with_slices<R>(
    affine: [FlexTensor; 2],
    statistics: [FlexTensor; 2],
    epsilon: f64,
    then: ThenOf<Flex>,
    work: impl FnOnce(&Norm, Then<&[f32]>) -> R,
) -> R {
    let [[gamma, beta], [mean, variance]] = [affine, statistics].map(|pair| pair.map(in_order));
    let [gamma, beta, mean, variance] = [&gamma, &beta, &mean, &variance].map(values);
    let norm = Norm { gamma, beta, mean, variance, epsilon };
    match then {
        ThenOf::Nothing => work(&norm, Then::Nothing),
        ThenOf::Relu => work(&norm, Then::Relu),
        ThenOf::AddRelu(other) => work(&norm, Then::AddRelu(values(&channels_last(other)))),
    }
}

impl NormOps for Flex {
    fn normalize_train(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        then: ThenOf<Self>,
        epsilon: f64,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let x = channels_last(x);
        let channels = Sides::of(&x).channels;
        let [mean, variance] = norm::statistics(Isa::best(), channels, values(&x))
            .map(|values| in_order_of(values, &[channels]));
        let y = Self::normalize(x, gamma, beta, mean.clone(), variance.clone(), then, epsilon);
        (y, mean, variance)
    }

    fn normalize(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        then: ThenOf<Self>,
        epsilon: f64,
    ) -> FlexTensor {
        let x = channels_last(x);
        with_slices([gamma, beta], [mean, variance], epsilon, then, |norm, then| match x.is_unique() {
            true => overwrite(x, |x| norm::normalize_in_place(Isa::best(), norm, x, then)),
            false => from_rows(norm::normalize(Isa::best(), norm, values(&x), then), x.shape().as_slice()),
        })
    }

    fn follow(
        running_mean: FlexTensor,
        running_variance: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        momentum: f64,
        unbiased: f64,
    ) -> (FlexTensor, FlexTensor) {
        let moved = |running: FlexTensor, batch: FlexTensor, factor: f64| {
            let batch = in_order(batch);
            overwrite(in_order(running), |running| norm::follow(running, values(&batch), momentum, factor))
        };
        (moved(running_mean, mean, 1.0), moved(running_variance, variance, unbiased))
    }
}

impl NormGradients for Flex {
    fn normalize_gradients(x: FlexTensor, kept: Kept<Self>, grad: FlexTensor) -> Vec<FlexTensor> {
        let (x, mut grad) = (channels_last(x), channels_last(grad));
        let (shape, Sides { channels, .. }) = (x.shape(), Sides::of(&x));
        let Kept { affine, statistics, source, then, epsilon } = kept;
        let gradients = with_slices(affine, statistics, epsilon, then, |norm, then| {
            let grad = &mut grad.storage_mut()[..shape.num_elements()];
            norm::gradients(Isa::best(), norm, source, values(&x), grad, then)
        });
        let [gamma, beta] = [gradients.gamma, gradients.beta].map(|values| in_order_of(values, &[channels]));
        match gradients.x {
            Some(x) => vec![from_rows(x, shape.as_slice()), gamma, beta, grad],
            None => vec![grad, gamma, beta],
        }
    }
}

impl<B: NormOps + NormGradients, C: CheckpointStrategy> NormOps for Autodiff<B, C> {
    fn normalize_train(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        then: ThenOf<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (y, [mean, variance]) =
            normalize::<B, C>(x, [gamma, beta], then, epsilon, |x, [gamma, beta], then| {
                let (y, mean, variance) = B::normalize_train(x, gamma, beta, then, epsilon);
                (y, [mean, variance], Statistics::OfBatch)
            });
        (y, FloatTensor::<Self>::new(mean), FloatTensor::<Self>::new(variance))
    }

    fn normalize(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        then: ThenOf<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let [mean, variance] = [mean, variance].map(|tensor| tensor.into_primitive());
        let (y, _) = normalize::<B, C>(x, [gamma, beta], then, epsilon, |x, [gamma, beta], then| {
            let y = B::normalize(x, gamma, beta, mean.clone(), variance.clone(), then, epsilon);
            (y, [mean, variance], Statistics::Given)
        });
        y
    }

    fn follow(
        running_mean: FloatTensor<Self>,
        running_variance: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        momentum: f64,
        unbiased: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [running_mean, running_variance, mean, variance] =
            [running_mean, running_variance, mean, variance].map(|tensor| tensor.into_primitive());
        let (mean, variance) = B::follow(running_mean, running_variance, mean, variance, momentum, unbiased);
        (FloatTensor::<Self>::new(mean), FloatTensor::<Self>::new(variance))
    }
}

/// Runs `forward`, which gives the result, the statistics and their source, and records its backward pass.
fn normalize<B: NormOps + NormGradients, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    affine: [FloatTensor<Autodiff<B, C>>; 2],
    then: ThenOf<Autodiff<B, C>>,
    epsilon: f64,
    forward: impl FnOnce(
        FloatTensor<B>,
        [FloatTensor<B>; 2],
        ThenOf<B>,
    ) -> (FloatTensor<B>, [FloatTensor<B>; 2], Statistics),
) -> (FloatTensor<Autodiff<B, C>>, [FloatTensor<B>; 2]) {
    #[derive(Debug)]
    struct Normalize;

    impl<B: NormGradients> Backward<B, 4> for Normalize {
        type State = (NodeId, Kept<B>);

        fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
            let grad = take!(B, grads, ops.node);
            let (x, kept) = ops.state;
            let gradients = B::normalize_gradients(checkpointer.retrieve_node_output(x), kept, grad);
            for (node, gradient) in ops.parents.into_iter().zip(gradients) {
                leave!(B, grads, node, gradient);
            }
        }
    }

    let [gamma, beta] = &affine;
    // Where nothing is added a constant has its place.
    let constant = FloatTensor::<Autodiff<B, C>>::new(beta.primitive().clone());
    let fourth = match &then {
        ThenOf::AddRelu(skip) => skip.node(),
        ThenOf::Nothing | ThenOf::Relu => constant.node(),
    };
    let then = match then {
        ThenOf::Nothing => ThenOf::Nothing,
        ThenOf::Relu => ThenOf::Relu,
        ThenOf::AddRelu(skip) => ThenOf::AddRelu(skip.into_primitive()),
    };
    let nodes = [x.node(), gamma.node(), beta.node(), fourth];
    drop(constant);
    match Normalize.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(mut prep) => {
            let kept_x = prep.checkpoint(&x);
            let affine = affine.map(|tensor| tensor.into_primitive());
            let kept_then = match then {
                ThenOf::Nothing => |_| ThenOf::Nothing,
                ThenOf::Relu => |_| ThenOf::Relu,
                ThenOf::AddRelu(_) => |y: &FloatTensor<B>| ThenOf::AddRelu(y.clone()),
            };
            let (y, statistics, source) = forward(x.into_primitive(), affine.clone(), then);
            let kept = Kept { affine, statistics: statistics.clone(), source, then: kept_then(&y), epsilon };
            (prep.finish((kept_x, kept), y), statistics)
        }
        OpsKind::UnTracked(prep) => {
            let affine = affine.map(|tensor| tensor.into_primitive());
            let (y, statistics, _) = forward(x.into_primitive(), affine, then);
            (prep.finish(y), statistics)
        }
    }
}
