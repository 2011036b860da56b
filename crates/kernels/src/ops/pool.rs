//! Pooling as operations of Burn's backends.

use std::sync::Arc;

use burn::backend::autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Tensor, module};

use crate::gradient::{Sum, leave, take};
use crate::isa::Isa;
use crate::layers::{is_ours, is_recorded};
use crate::pool::{self, Maxima, Side, Slide};
use crate::tensor::{FlexTensor, Sides, channels_last, from_rows, values};

/// The maximum of each window.
///
/// # Shapes
/// `[batch, channels, rows, columns]` to `[batch, channels, new rows, new columns]`
pub fn max_pool2d(x: Tensor<4>, options: MaxPoolOptions<2>) -> Tensor<4> {
    let slide = |side: usize| Slide {
        kernel: options.kernel_size[side],
        stride: options.stride[side],
        padding: options.padding[side],
        dilation: options.dilation[side],
        ceil: options.ceil_mode,
    };
    match sliding(&x, [slide(0), slide(1)], false) {
        // A place in a window is a byte.
        Some(windows) if options.kernel_size.iter().product::<usize>() <= 256 => {
            Tensor::from_dispatch(<Dispatch as PoolOps>::pool_max(x.into_dispatch(), windows))
        }
        _ => module::max_pool2d(x, options),
    }
}

/// The mean of each window.
///
/// # Shapes
/// `[batch, channels, rows, columns]` to `[batch, channels, new rows, new columns]`
pub fn avg_pool2d(x: Tensor<4>, options: AvgPoolOptions<2>) -> Tensor<4> {
    let slide = |side: usize| Slide {
        kernel: options.kernel_size[side],
        stride: options.stride[side],
        padding: options.padding[side],
        dilation: 1,
        ceil: options.ceil_mode,
    };
    match sliding(&x, [slide(0), slide(1)], options.count_include_pad) {
        Some(windows) => Tensor::from_dispatch(<Dispatch as PoolOps>::pool_mean(x.into_dispatch(), windows)),
        None => module::avg_pool2d(x, options),
    }
}

/// The mean of each of `size` parts of the image, which overlap where the sides do not divide.
///
/// # Shapes
/// `[batch, channels, rows, columns]` to `[batch, channels, size[0], size[1]]`
pub fn adaptive_avg_pool2d(x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let [batch, channels, rows, columns] = x.dims();
    if [batch, channels, rows, columns, size[0], size[1]].contains(&0) || !is_ours(&x) {
        return module::adaptive_avg_pool2d(x, size);
    }
    if [rows, columns] == size {
        return x;
    }
    let windows = Arc::new([Side::shared_out(rows, size[0]), Side::shared_out(columns, size[1])]);
    Tensor::from_dispatch(<Dispatch as PoolOps>::pool_mean(x.into_dispatch(), windows))
}

/// The mean of every channel.
///
/// # Shapes
/// `[batch, channels, rows, columns]` to `[batch, channels]`
pub fn global_average(x: Tensor<4>) -> Tensor<2> {
    let [batch, channels, rows, columns] = x.dims();
    if is_recorded(&x.device()) {
        return module::adaptive_avg_pool2d(x, [1, 1]).reshape([batch, channels]);
    }
    if x.dims().contains(&0) || !is_ours(&x) {
        return x.reshape([batch, channels, rows * columns]).mean_dim(2).reshape([batch, channels]);
    }
    let windows = Arc::new([Side::shared_out(rows, 1), Side::shared_out(columns, 1)]);
    let x = Tensor::<4>::from_dispatch(<Dispatch as PoolOps>::pool_mean(x.into_dispatch(), windows));
    x.reshape([batch, channels])
}

/// The windows on a tensor that our kernels serve. Padding as wide as a window is Burn's: it knows more special cases.
fn sliding(x: &Tensor<4>, slides: [Slide; 2], count_padding: bool) -> Option<Windows> {
    let [batch, channels, rows, columns] = x.dims();
    let usual = slides.iter().zip([rows, columns]).all(|(slide, size)| {
        let (before, after) = slide.padding;
        let reach = slide.dilation * (slide.kernel - 1) + 1;
        before.max(after) < reach && reach <= before + size + after
    });
    let side = |side: usize| slides[side].along([rows, columns][side], count_padding);
    (usual && ![batch, channels, rows, columns].contains(&0) && is_ours(x))
        .then(|| Arc::new([side(0), side(1)]))
}

/// The windows along the rows and along the columns.
type Windows = Arc<[Side; 2]>;

/// What the functions above call. All tensors are f32.
#[backend_extension(Flex, Autodiff)]
pub trait PoolOps: Backend {
    /// The maximum of each window.
    fn pool_max(x: FloatTensor<Self>, windows: Arc<[Side; 2]>) -> FloatTensor<Self>;
    /// The mean of each window.
    fn pool_mean(x: FloatTensor<Self>, windows: Arc<[Side; 2]>) -> FloatTensor<Self>;
}

/// The gradients of [`PoolOps`].
pub trait PoolGradients: Sum {
    /// The maximum of each window, and where in its window it is.
    fn pool_maxima(x: FloatTensor<Self>, windows: &[Side; 2]) -> (FloatTensor<Self>, Vec<u8>);
    /// The gradient of the input of [`pool_maxima`](Self::pool_maxima).
    fn pool_max_gradient(taps: &[u8], grad: FloatTensor<Self>, windows: &[Side; 2]) -> FloatTensor<Self>;
    /// The gradient of the input of [`pool_mean`](PoolOps::pool_mean).
    fn pool_mean_gradient(grad: FloatTensor<Self>, windows: &[Side; 2]) -> FloatTensor<Self>;
}

fn outputs(windows: &[Side; 2]) -> [usize; 2] {
    windows.each_ref().map(Side::windows)
}

fn inputs(windows: &[Side; 2]) -> [usize; 2] {
    windows.each_ref().map(Side::size)
}

fn image(batch: usize, channels: usize, [rows, columns]: [usize; 2], values: Vec<f32>) -> FlexTensor {
    from_rows(values, &[batch, channels, rows, columns])
}

impl PoolOps for Flex {
    fn pool_max(x: FlexTensor, windows: Windows) -> FlexTensor {
        let Sides { batch, channels, .. } = Sides::of(&x);
        let x = channels_last(x);
        image(
            batch,
            channels,
            outputs(&windows),
            pool::max(Isa::best(), &windows, batch, channels, values(&x)),
        )
    }

    fn pool_mean(x: FlexTensor, windows: Windows) -> FlexTensor {
        let Sides { batch, channels, .. } = Sides::of(&x);
        let x = channels_last(x);
        image(
            batch,
            channels,
            outputs(&windows),
            pool::mean(Isa::best(), &windows, batch, channels, values(&x)),
        )
    }
}

impl PoolGradients for Flex {
    fn pool_maxima(x: FlexTensor, windows: &[Side; 2]) -> (FlexTensor, Vec<u8>) {
        let Sides { batch, channels, .. } = Sides::of(&x);
        let x = channels_last(x);
        let Maxima { values, taps } = pool::maxima(Isa::best(), windows, batch, channels, values(&x));
        (image(batch, channels, outputs(windows), values), taps)
    }

    fn pool_max_gradient(taps: &[u8], grad: FlexTensor, windows: &[Side; 2]) -> FlexTensor {
        let Sides { batch, channels, .. } = Sides::of(&grad);
        let grad = channels_last(grad);
        let dx = pool::max_gradient(Isa::best(), windows, batch, channels, taps, values(&grad));
        image(batch, channels, inputs(windows), dx)
    }

    fn pool_mean_gradient(grad: FlexTensor, windows: &[Side; 2]) -> FlexTensor {
        let Sides { batch, channels, .. } = Sides::of(&grad);
        let grad = channels_last(grad);
        let dx = pool::mean_gradient(Isa::best(), windows, batch, channels, values(&grad));
        image(batch, channels, inputs(windows), dx)
    }
}

impl<B: PoolOps + PoolGradients, C: CheckpointStrategy> PoolOps for Autodiff<B, C> {
    fn pool_max(x: FloatTensor<Self>, windows: Windows) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct PoolMax;

        impl<B: PoolGradients> Backward<B, 1> for PoolMax {
            type State = (Arc<Vec<u8>>, Windows);

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = take!(B, grads, ops.node);
                let ([node], (taps, windows)) = (ops.parents, ops.state);
                leave!(B, grads, node, B::pool_max_gradient(&taps, grad, &windows));
            }
        }

        match PoolMax.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (y, taps) = B::pool_maxima(x.into_primitive(), &windows);
                prep.finish((Arc::new(taps), windows), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::pool_max(x.into_primitive(), windows)),
        }
    }

    fn pool_mean(x: FloatTensor<Self>, windows: Windows) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct PoolMean;

        impl<B: PoolGradients> Backward<B, 1> for PoolMean {
            type State = Windows;

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = take!(B, grads, ops.node);
                let [node] = ops.parents;
                leave!(B, grads, node, B::pool_mean_gradient(grad, &ops.state));
            }
        }

        match PoolMean.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let y = B::pool_mean(x.into_primitive(), windows.clone());
                prep.finish(windows, y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::pool_mean(x.into_primitive(), windows)),
        }
    }
}
