//! Local response normalization as an operation of Burn's backends.

use burn::backend::autodiff::{
    NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::nn::LocalResponseNormConfig;
use burn::tensor::Tensor;

use crate::gradient::{Sum, leave, take};
use crate::isa::Isa;
use crate::layers::is_ours;
use crate::response::{self, Response};
use crate::tensor::{FlexTensor, Sides, channels_last, from_rows, values};

/// Every channel divided by what its neighbours are, squared and added up.
///
/// Krizhevsky et al. 2012, Section 3.3; alpha is divided by the size, as Caffe and PyTorch have it.
///
/// # Shapes
/// `[batch, channels, rows, columns]` to the same
pub fn response_norm(x: Tensor<4>, response: Response) -> Tensor<4> {
    if x.dims().contains(&0) || !is_ours(&x) {
        let Response { size, alpha, beta, k } = response;
        let stock = LocalResponseNormConfig::new(size).with_alpha(alpha).with_beta(beta).with_k(k);
        return stock.init().forward(x);
    }
    Tensor::from_dispatch(<Dispatch as ResponseOps>::normalize_response(x.into_dispatch(), response))
}

/// What [`response_norm`] calls. All tensors are f32.
#[backend_extension(Flex, Autodiff)]
pub trait ResponseOps: Backend {
    /// Local response normalization.
    fn normalize_response(x: FloatTensor<Self>, response: Response) -> FloatTensor<Self>;
}

/// The gradient of [`ResponseOps`].
pub trait ResponseGradients: Sum {
    /// The gradient of the input.
    fn normalize_response_gradient(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        response: Response,
    ) -> FloatTensor<Self>;
}

impl ResponseOps for Flex {
    fn normalize_response(x: FlexTensor, response: Response) -> FlexTensor {
        let (shape, Sides { channels, .. }) = (x.shape(), Sides::of(&x));
        let x = channels_last(x);
        from_rows(response::forward(Isa::best(), response, channels, values(&x)), shape.as_slice())
    }
}

impl ResponseGradients for Flex {
    fn normalize_response_gradient(x: FlexTensor, grad: FlexTensor, response: Response) -> FlexTensor {
        let (shape, Sides { channels, .. }) = (x.shape(), Sides::of(&x));
        let [x, grad] = [x, grad].map(channels_last);
        let dx = response::gradient(Isa::best(), response, channels, values(&x), values(&grad));
        from_rows(dx, shape.as_slice())
    }
}

impl<B: ResponseOps + ResponseGradients, C: CheckpointStrategy> ResponseOps for Autodiff<B, C> {
    fn normalize_response(x: FloatTensor<Self>, response: Response) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct NormalizeResponse;

        impl<B: ResponseGradients> Backward<B, 1> for NormalizeResponse {
            type State = (NodeId, Response);

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                grads: &mut Gradients,
                checkpointer: &mut Checkpointer,
            ) {
                let grad = take!(B, grads, ops.node);
                let ([node], (x, response)) = (ops.parents, ops.state);
                let x: FloatTensor<B> = checkpointer.retrieve_node_output(x);
                leave!(B, grads, node, B::normalize_response_gradient(x, grad, response));
            }
        }

        match NormalizeResponse.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let kept = (prep.checkpoint(&x), response);
                prep.finish(kept, B::normalize_response(x.into_primitive(), response))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::normalize_response(x.into_primitive(), response)),
        }
    }
}
