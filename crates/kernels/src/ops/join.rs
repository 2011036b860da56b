//! Channels joined, parted and interleaved, as operations of Burn's backends.
//!
//! A tensor with many readers (a DenseNet's layer has all later ones) gets its gradient added up in place, straight from
//! the columns of the readers' gradients.

use std::ops::Range;

use burn::backend::autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, NodeGuard, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, BackendTensor, Dispatch, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind,
    ExtensionType, Flex, TensorMetadata, backend_extension,
};
use burn::tensor::Tensor;

use crate::gradient::{Sum, leave, take, waiting};
use crate::isa::Isa;
use crate::join::{self, Columns};
use crate::layers::is_ours;
use crate::tensor::{FlexTensor, channels_last, dims, from_rows, overwrite, values};

/// The channels of all parts, one part after the other.
///
/// # Shapes
/// `[batch, some channels, rows, columns]` each to `[batch, all channels, rows, columns]`
///
/// # Panics
/// If there is no part, or their other sides differ.
pub fn cat_channels(mut parts: Vec<Tensor<4>>) -> Tensor<4> {
    if !parts.iter().all(|part| is_ours(part) && !part.dims().contains(&0)) {
        return Tensor::cat(parts, 1);
    }
    while parts.len() > MOST {
        let rest = parts.split_off(MOST);
        parts = [join(parts)].into_iter().chain(rest).collect();
    }
    join(parts)
}

fn join(mut parts: Vec<Tensor<4>>) -> Tensor<4> {
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => Tensor::from_dispatch(<Dispatch as JoinOps>::join(Parts(
            parts.into_iter().map(Tensor::into_dispatch).collect(),
        ))),
    }
}

/// The first half of the channels, and the second.
///
/// # Shapes
/// `[batch, channels, rows, columns]` to twice `[batch, channels / 2, rows, columns]`
///
/// # Panics
/// If the number of channels is odd.
pub fn halves(x: Tensor<4>) -> [Tensor<4>; 2] {
    let [_, channels, ..] = x.dims();
    assert!(channels.is_multiple_of(2), "two halves of {channels} channels");
    let half = channels / 2;
    if x.dims().contains(&0) || !is_ours(&x) {
        return [x.clone().narrow(1, 0, half), x.narrow(1, half, half)];
    }
    let part = |x: Tensor<4>, columns: Range<usize>| {
        Tensor::from_dispatch(<Dispatch as JoinOps>::part(x.into_dispatch(), columns))
    };
    [part(x.clone(), 0..half), part(x, half..channels)]
}

/// The channels of both by turns: the first of `a`, the first of `b`, the second of `a`, and so on.
///
/// # Shapes
/// twice `[batch, channels, rows, columns]` to `[batch, 2 * channels, rows, columns]`
///
/// # Panics
/// If the shapes differ.
pub fn interleave(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    let [batch, channels, rows, columns] = a.dims();
    assert_eq!(a.dims(), b.dims());
    if a.dims().contains(&0) || !is_ours(&a) || !is_ours(&b) {
        return Tensor::cat(vec![a, b], 1)
            .reshape([batch, 2, channels, rows, columns])
            .swap_dims(1, 2)
            .reshape([batch, 2 * channels, rows, columns]);
    }
    Tensor::from_dispatch(<Dispatch as JoinOps>::interleave(a.into_dispatch(), b.into_dispatch()))
}

/// What the functions above call. All tensors are f32.
#[backend_extension(Flex, Autodiff)]
pub trait JoinOps: Backend {
    /// The channels of all parts, one part after the other.
    fn join(#[extension_type] parts: Parts<Self>) -> FloatTensor<Self>;
    /// Some of the channels.
    fn part(x: FloatTensor<Self>, columns: Range<usize>) -> FloatTensor<Self>;
    /// The channels of both by turns.
    fn interleave(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The gradients of [`JoinOps`].
pub trait JoinGradients: Sum {
    /// Columns of a gradient, each range in sum with what it is given.
    fn join_gradients(
        grad: FloatTensor<Self>,
        parts: Vec<(Range<usize>, Option<FloatTensor<Self>>)>,
    ) -> Vec<FloatTensor<Self>>;
    /// The gradient of all channels from that of some, in sum with what it is given.
    fn part_gradient(
        grad: FloatTensor<Self>,
        columns: Range<usize>,
        channels: usize,
        sum: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self>;
    /// The gradients of both.
    fn interleave_gradients(grad: FloatTensor<Self>) -> [FloatTensor<Self>; 2];
}

/// Tensors that are joined.
#[derive(Debug)]
pub struct Parts<B: Backend>(pub Vec<FloatTensor<B>>);

/// Burn derives it for structs of tensors, not of vectors of them.
impl<B: Backend> ExtensionType<B> for Parts<B> {
    type Target = Parts<Dispatch>;

    fn map_to_dispatch<F>(self, map_kind: F, autodiff: DispatchAutodiffContext) -> Parts<Dispatch>
    where
        F: Fn(BackendTensor<B>) -> DispatchTensorKind,
    {
        let tensors = self.0.into_iter();
        Parts(tensors.map(|x| DispatchTensor { kind: map_kind(BackendTensor::Float(x)), autodiff }).collect())
    }

    fn map_from_dispatch<F>(target: Parts<Dispatch>, unwrap_kind: F) -> Self
    where
        F: Fn(DispatchTensor) -> BackendTensor<B>,
    {
        Self(target.0.into_iter().map(|x| unwrap_kind(x).float()).collect())
    }

    fn routing_tensor(target: &Parts<Dispatch>) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn routing_float_tensor(target: &Parts<Dispatch>) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn autodiff_context(target: &Parts<Dispatch>) -> DispatchAutodiffContext {
        let contexts = target.0.iter().map(|x| x.autodiff);
        contexts.fold(DispatchAutodiffContext::Disabled, DispatchAutodiffContext::merge)
    }
}

impl JoinOps for Flex {
    fn join(parts: Parts<Self>) -> FlexTensor {
        let parts: Vec<FlexTensor> = parts.0.into_iter().map(channels_last).collect();
        let [batch, _, high, wide] = dims(&parts[0]);
        let columns = |part: &FlexTensor| {
            let [b, width, h, w] = dims(part);
            assert_eq!([batch, high, wide], [b, h, w], "parts of different sides");
            width
        };
        let widths: Vec<usize> = parts.iter().map(columns).collect();
        let slices = parts.iter().zip(&widths);
        let slices: Vec<Columns> =
            slices.map(|(x, &width)| Columns { values: values(x), stride: width, width }).collect();
        let rows = join::join(Isa::best(), batch * high * wide, &slices);
        from_rows(rows, &[batch, widths.iter().sum(), high, wide])
    }

    fn part(x: FlexTensor, columns: Range<usize>) -> FlexTensor {
        let [batch, channels, high, wide] = dims(&x);
        let x = channels_last(x);
        let slice = Columns { values: &values(&x)[columns.start..], stride: channels, width: columns.len() };
        from_rows(join::join(Isa::best(), batch * high * wide, &[slice]), &[batch, columns.len(), high, wide])
    }

    fn interleave(a: FlexTensor, b: FlexTensor) -> FlexTensor {
        let [batch, channels, high, wide] = dims(&a);
        let [a, b] = [a, b].map(channels_last);
        from_rows(join::interleave(Isa::best(), values(&a), values(&b)), &[batch, 2 * channels, high, wide])
    }
}

impl JoinGradients for Flex {
    fn join_gradients(grad: FlexTensor, parts: Vec<(Range<usize>, Option<FlexTensor>)>) -> Vec<FlexTensor> {
        let [batch, channels, high, wide] = dims(&grad);
        let rows = batch * high * wide;
        let grad = channels_last(grad);
        let (columns, sums): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let mut sums: Vec<Option<FlexTensor>> = sums.into_iter().map(|sum| sum.map(channels_last)).collect();
        let targets = columns.iter().zip(&mut sums).map(|(columns, sum)| {
            let sum = sum.as_mut().map(|sum| &mut sum.storage_mut()[..rows * columns.len()]);
            (columns.clone(), sum)
        });
        let fresh = join::deal(Isa::best(), channels, values(&grad), targets.collect());
        let gradients = sums.into_iter().zip(fresh).zip(columns);
        let gradients = gradients.filter_map(|((sum, fresh), columns)| {
            sum.or_else(|| Some(from_rows(fresh?, &[batch, columns.len(), high, wide])))
        });
        gradients.collect()
    }

    fn part_gradient(
        grad: FlexTensor,
        columns: Range<usize>,
        channels: usize,
        sum: Option<FlexTensor>,
    ) -> FlexTensor {
        let [batch, width, high, wide] = dims(&grad);
        let grad = channels_last(grad);
        let (isa, first) = (Isa::best(), columns.start);
        match sum {
            Some(sum) => overwrite(channels_last(sum), |sum| {
                join::add_columns(isa, values(&grad), width, first, sum, channels);
            }),
            None => from_rows(
                join::widen(isa, values(&grad), width, first, channels),
                &[batch, channels, high, wide],
            ),
        }
    }

    fn interleave_gradients(grad: FlexTensor) -> [FlexTensor; 2] {
        let [batch, channels, high, wide] = dims(&grad);
        let grad = channels_last(grad);
        let parts = join::unweave(Isa::best(), values(&grad));
        parts.map(|part| from_rows(part, &[batch, channels / 2, high, wide]))
    }
}

/// Parents that Burn counts at most in one step of ours.
const MOST: usize = 64;

impl<B: JoinOps + JoinGradients, C: CheckpointStrategy> JoinOps for Autodiff<B, C> {
    fn join(parts: Parts<Self>) -> FloatTensor<Self> {
        // The number of parents is a constant of a step's type.
        match parts.0.len() {
            ..=4 => join_up_to::<B, C, 4>(parts),
            5..=16 => join_up_to::<B, C, 16>(parts),
            _ => join_up_to::<B, C, MOST>(parts),
        }
    }

    fn part(x: FloatTensor<Self>, columns: Range<usize>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Part;

        impl<B: JoinGradients> Backward<B, 1> for Part {
            type State = (Range<usize>, usize);

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = take!(B, grads, ops.node);
                let ([node], (columns, channels)) = (ops.parents, ops.state);
                if let Some(node) = node {
                    let sum = waiting!(B, grads, &node);
                    grads.register::<B>(node.id, B::part_gradient(grad, columns, channels, sum));
                }
            }
        }

        match Part.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let kept = (columns.clone(), x.shape()[1]);
                prep.finish(kept, B::part(x.into_primitive(), columns))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::part(x.into_primitive(), columns)),
        }
    }

    fn interleave(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Interleave;

        impl<B: JoinGradients> Backward<B, 2> for Interleave {
            type State = ();

            fn backward(self, ops: Ops<(), 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = take!(B, grads, ops.node);
                for (node, gradient) in ops.parents.into_iter().zip(B::interleave_gradients(grad)) {
                    leave!(B, grads, node, gradient);
                }
            }
        }

        let prep = Interleave.prepare::<C>([a.node(), b.node()]).compute_bound();
        prep.stateless(B::interleave(a.into_primitive(), b.into_primitive()))
    }
}

/// A join with up to `N` parents; the places that are left over are taken by a constant.
fn join_up_to<B: JoinOps + JoinGradients, C: CheckpointStrategy, const N: usize>(
    parts: Parts<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    #[derive(Debug)]
    struct Join;

    impl<B: JoinGradients, const N: usize> Backward<B, N> for Join {
        /// Channels of each part.
        type State = Vec<usize>;

        fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
            let grad = take!(B, grads, ops.node);
            let mut first = 0;
            let mut wanted = Vec::with_capacity(ops.state.len());
            for (index, width) in ops.state.into_iter().enumerate() {
                if let Some(node) = &ops.parents[index] {
                    // What is joined with itself has its first gradient taken already; Burn adds the second.
                    let again = ops.parents[..index].iter().flatten().any(|other| other.id == node.id);
                    let sum = if again { None } else { waiting!(B, grads, node) };
                    wanted.push((node.id, (first..first + width, sum)));
                }
                first += width;
            }
            let (nodes, parts): (Vec<_>, Vec<_>) = wanted.into_iter().unzip();
            for (node, gradient) in nodes.into_iter().zip(B::join_gradients(grad, parts)) {
                grads.register::<B>(node, gradient);
            }
        }
    }

    let constant = FloatTensor::<Autodiff<B, C>>::new(parts.0[0].primitive().clone());
    let mut guards = parts.0.iter().map(|part| part.node());
    let nodes: [NodeGuard; N] = std::array::from_fn(|_| guards.next().unwrap_or_else(|| constant.node()));
    drop((guards, constant));
    let widths: Vec<usize> = parts.0.iter().map(|part| part.shape()[1]).collect();
    let y = B::join(Parts(parts.0.into_iter().map(|part| part.into_primitive()).collect()));
    match Join.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(widths, y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}
