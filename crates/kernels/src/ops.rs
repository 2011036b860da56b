//! The kernels as operations of Burn's backends: on flex, and with gradients on autodiff over it.

use burn::backend::autodiff::{
    NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::TensorData;
use burn::tensor::ops::ConvOptions;

use crate::activation;
use crate::conv::{self, Conv};
use crate::isa::Isa;
use crate::norm::{self, Planes};

/// What the layers call. All tensors are f32.
#[backend_extension(Flex, Autodiff)]
pub trait Kernels: Backend {
    /// A convolution of one group, without bias.
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;
    /// Adds a number to every channel.
    fn add_bias(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Normalizes by the batch's own statistics: the result, the mean, the variance (divided by n).
    fn normalize_train(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// Normalizes by given statistics.
    fn normalize(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        Self::batch_norm(x, gamma, beta, mean, variance, epsilon)
    }
    /// ReLU.
    fn rectify(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The gradients of [`Kernels`].
pub trait KernelGradients: Backend {
    /// The gradient of the input `[batch, channels, rows, columns]`.
    fn convolve_input_gradient(
        shape: [usize; 4],
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;
    /// The gradient of the weights `[out channels, channels, kernel rows, kernel columns]`.
    fn convolve_weight_gradient(
        shape: [usize; 4],
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;
    /// The gradient of a number added to every channel.
    fn bias_gradient(grad: FloatTensor<Self>) -> FloatTensor<Self>;
    /// The gradients of the input, gamma and beta.
    fn normalize_train_gradient(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        statistics: [FloatTensor<Self>; 2],
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3];
    /// The gradient of ReLU's input, from ReLU's output.
    fn rectify_gradient(y: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;
}

type FlexTensor = FloatTensor<Flex>;

fn dims<const D: usize>(x: &FlexTensor) -> [usize; D] {
    x.shape().dims()
}

fn tensor(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// The values in order; a copy only where they lie otherwise in memory. (Takes the tensor: a second handle to the same
/// memory would make the first writer copy it.)
fn in_order(x: FlexTensor) -> FlexTensor {
    x.to_contiguous()
}

/// Batch, channels and everything behind them.
fn planes(x: &FlexTensor) -> Planes {
    let shape = x.shape();
    let shape: &[usize] = shape.as_slice();
    Planes { batch: shape[0], channels: shape[1], area: shape[2..].iter().product() }
}

fn settings(x: [usize; 4], weight: [usize; 4], options: &ConvOptions<2>) -> Conv {
    assert!(options.groups == 1 && x[1] == weight[1], "input {x:?}, weight {weight:?}, {options:?}");
    Conv {
        batch: x[0],
        channels: [x[1], weight[0]],
        size: [x[2], x[3]],
        kernel: [weight[2], weight[3]],
        stride: options.stride,
        padding: options.padding,
        dilation: options.dilation,
    }
}

/// Lets `work` write over `x`, where no one else has it, or over a copy.
fn overwrite(x: FlexTensor, work: impl FnOnce(&mut [f32])) -> FlexTensor {
    let mut x = in_order(x);
    work(x.storage_mut::<f32>());
    x
}

impl Kernels for Flex {
    fn convolve(x: FlexTensor, weight: FlexTensor, options: ConvOptions<2>) -> FlexTensor {
        let conv = settings(dims(&x), dims(&weight), &options);
        let Some([high, wide]) = conv.out() else {
            panic!("a kernel of {:?} does not fit an input of {:?}", conv.kernel, conv.size);
        };
        let (x, weight) = (in_order(x), in_order(weight));
        let y = conv::forward(Isa::best(), &conv, x.storage(), weight.storage());
        tensor(y, &[conv.batch, conv.channels[1], high, wide])
    }

    fn add_bias(x: FlexTensor, bias: FlexTensor) -> FlexTensor {
        let planes = planes(&x);
        let bias = in_order(bias);
        overwrite(x, |x| norm::add_bias(Isa::best(), planes, x, bias.storage()))
    }

    fn normalize_train(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        epsilon: f64,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (shape, planes) = (x.shape(), planes(&x));
        let [x, gamma, beta] = [x, gamma, beta].map(in_order);
        let out = norm::train(Isa::best(), planes, x.storage(), gamma.storage(), beta.storage(), epsilon);
        let channels = [planes.channels];
        (tensor(out.y, shape.as_slice()), tensor(out.mean, &channels), tensor(out.variance, &channels))
    }

    fn normalize(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        epsilon: f64,
    ) -> FlexTensor {
        let planes = planes(&x);
        let [x, gamma, beta, mean, variance] = [x, gamma, beta, mean, variance].map(in_order);
        let [gammas, betas, means, variances]: [&[f32]; 4] =
            [gamma.storage(), beta.storage(), mean.storage(), variance.storage()];
        let values: Vec<_> = (0..planes.channels)
            .map(|c| {
                let scale = f64::from(gammas[c]) / (f64::from(variances[c]) + epsilon).sqrt();
                [means[c], scale as f32, betas[c]]
            })
            .collect();
        let y = norm::per_channel(Isa::best(), planes, x.storage(), &values);
        tensor(y, x.shape().as_slice())
    }

    fn rectify(x: FlexTensor) -> FlexTensor {
        if x.is_unique() {
            return overwrite(x, |x| activation::relu_in_place(Isa::best(), x));
        }
        let x = in_order(x);
        tensor(activation::relu(Isa::best(), x.storage()), x.shape().as_slice())
    }
}

impl KernelGradients for Flex {
    fn convolve_input_gradient(
        shape: [usize; 4],
        weight: FlexTensor,
        grad: FlexTensor,
        options: ConvOptions<2>,
    ) -> FlexTensor {
        let conv = settings(shape, dims(&weight), &options);
        let (weight, grad) = (in_order(weight), in_order(grad));
        let gradient = conv::input_gradient(Isa::best(), &conv, weight.storage(), grad.storage());
        tensor(gradient, &shape)
    }

    fn convolve_weight_gradient(
        shape: [usize; 4],
        x: FlexTensor,
        grad: FlexTensor,
        options: ConvOptions<2>,
    ) -> FlexTensor {
        let conv = settings(dims(&x), shape, &options);
        let (x, grad) = (in_order(x), in_order(grad));
        let gradient = conv::weight_gradient(Isa::best(), &conv, x.storage(), grad.storage());
        tensor(gradient, &shape)
    }

    fn bias_gradient(grad: FlexTensor) -> FlexTensor {
        let planes = planes(&grad);
        let grad = in_order(grad);
        tensor(norm::channel_sums(Isa::best(), planes, grad.storage()), &[planes.channels])
    }

    fn normalize_train_gradient(
        x: FlexTensor,
        gamma: FlexTensor,
        statistics: [FlexTensor; 2],
        grad: FlexTensor,
        epsilon: f64,
    ) -> [FlexTensor; 3] {
        let planes = planes(&x);
        let [x, gamma] = [x, gamma].map(in_order);
        let [mean, variance] = statistics.map(in_order);
        let mut parameters = [Vec::new(), Vec::new()];
        let grad = overwrite(grad, |grad| {
            let statistics = [mean.storage(), variance.storage()];
            parameters = norm::train_gradient(
                Isa::best(),
                planes,
                x.storage(),
                grad,
                gamma.storage(),
                statistics,
                epsilon,
            );
        });
        let [gamma, beta] = parameters.map(|values| tensor(values, &[planes.channels]));
        [grad, gamma, beta]
    }

    fn rectify_gradient(y: FlexTensor, grad: FlexTensor) -> FlexTensor {
        let y = in_order(y);
        if grad.is_unique() {
            return overwrite(grad, |grad| {
                activation::relu_gradient_in_place(Isa::best(), y.storage(), grad)
            });
        }
        let grad = in_order(grad);
        tensor(activation::relu_gradient(Isa::best(), y.storage(), grad.storage()), y.shape().as_slice())
    }
}

impl<B: Backend + Kernels + KernelGradients, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Convolve;

        impl<B: KernelGradients> Backward<B, 2> for Convolve {
            type State = (NodeId, NodeId, ConvOptions<2>);

            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                grads: &mut Gradients,
                checkpointer: &mut Checkpointer,
            ) {
                let [x_node, weight_node] = ops.parents;
                let grad = grads.consume::<B>(&ops.node);
                let (x, weight, options) = ops.state;
                let x: FloatTensor<B> = checkpointer.retrieve_node_output(x);
                let weight: FloatTensor<B> = checkpointer.retrieve_node_output(weight);
                let x_shape = x.shape().dims();
                if let Some(node) = weight_node {
                    let shape = weight.shape().dims();
                    let grad = B::convolve_weight_gradient(shape, x, grad.clone(), options.clone());
                    grads.register::<B>(node.id, grad);
                }
                if let Some(node) = x_node {
                    grads.register::<B>(node.id, B::convolve_input_gradient(x_shape, weight, grad, options));
                }
            }
        }

        match Convolve.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&weight), options.clone());
                prep.finish(state, B::convolve(x.into_primitive(), weight.into_primitive(), options))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::convolve(x.into_primitive(), weight.into_primitive(), options))
            }
        }
    }

    fn add_bias(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct AddBias;

        impl<B: KernelGradients> Backward<B, 2> for AddBias {
            type State = ();

            fn backward(self, ops: Ops<(), 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let [x_node, bias_node] = ops.parents;
                let grad = grads.consume::<B>(&ops.node);
                if let Some(node) = bias_node {
                    grads.register::<B>(node.id, B::bias_gradient(grad.clone()));
                }
                if let Some(node) = x_node {
                    grads.register::<B>(node.id, grad);
                }
            }
        }

        let prep = AddBias.prepare::<C>([x.node(), bias.node()]).compute_bound();
        prep.stateless(B::add_bias(x.into_primitive(), bias.into_primitive()))
    }

    fn normalize_train(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        #[derive(Debug)]
        struct NormalizeTrain;

        impl<B: KernelGradients> Backward<B, 3> for NormalizeTrain {
            type State = (NodeId, NodeId, [FloatTensor<B>; 2], f64);

            fn backward(
                self,
                ops: Ops<Self::State, 3>,
                grads: &mut Gradients,
                checkpointer: &mut Checkpointer,
            ) {
                let grad = grads.consume::<B>(&ops.node);
                let (x, gamma, statistics, epsilon) = ops.state;
                let x: FloatTensor<B> = checkpointer.retrieve_node_output(x);
                let gamma: FloatTensor<B> = checkpointer.retrieve_node_output(gamma);
                let gradients = B::normalize_train_gradient(x, gamma, statistics, grad, epsilon);
                for (node, gradient) in ops.parents.into_iter().zip(gradients) {
                    if let Some(node) = node {
                        grads.register::<B>(node.id, gradient);
                    }
                }
            }
        }

        let prep = NormalizeTrain.prepare::<C>([x.node(), gamma.node(), beta.node()]).compute_bound();
        let (y, mean, variance) = match prep.stateful() {
            OpsKind::Tracked(mut prep) => {
                let (x_state, gamma_state) = (prep.checkpoint(&x), prep.checkpoint(&gamma));
                let [x, gamma, beta] = [x, gamma, beta].map(|tensor| tensor.into_primitive());
                let (y, mean, variance) = B::normalize_train(x, gamma, beta, epsilon);
                let state = (x_state, gamma_state, [mean.clone(), variance.clone()], epsilon);
                (prep.finish(state, y), mean, variance)
            }
            OpsKind::UnTracked(prep) => {
                let [x, gamma, beta] = [x, gamma, beta].map(|tensor| tensor.into_primitive());
                let (y, mean, variance) = B::normalize_train(x, gamma, beta, epsilon);
                (prep.finish(y), mean, variance)
            }
        };
        (y, FloatTensor::<Self>::new(mean), FloatTensor::<Self>::new(variance))
    }

    fn rectify(x: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Rectify;

        impl<B: KernelGradients> Backward<B, 1> for Rectify {
            /// ReLU's output: what follows has it anyway, and the input can be written over.
            type State = FloatTensor<B>;

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let [node] = ops.parents;
                if let Some(node) = node {
                    grads.register::<B>(node.id, B::rectify_gradient(ops.state, grad));
                }
            }
        }

        match Rectify.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let y = B::rectify(x.into_primitive());
                prep.finish(y.clone(), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::rectify(x.into_primitive())),
        }
    }
}
