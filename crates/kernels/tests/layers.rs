//! The operations on Burn's tensors: against Burn's stock operations, PyTorch's numbers and arithmetic.

use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, Tensor, TensorData, Tolerance, activation, module};
use kiln_kernels::{Then, batch_norm_train, conv2d, relu};

/// A layer's input, weights, bias, gamma and beta.
struct Parts(Tensor<4>, Tensor<4>, Tensor<1>, Tensor<1>, Tensor<1>);

impl Parts {
    fn tracked(&self) -> Self {
        let Self(x, weight, bias, gamma, beta) = self;
        let one = |tensor: &Tensor<1>| tensor.clone().autodiff().require_grad();
        let four = |tensor: &Tensor<4>| tensor.clone().autodiff().require_grad();
        Self(four(x), four(weight), one(bias), one(gamma), one(beta))
    }

    /// The result, and the gradient of each part when the result's is `grad`.
    fn run(&self, grad: &Tensor<4>, forward: impl Fn(Self) -> Tensor<4>) -> Vec<TensorData> {
        let device = Device::flex().autodiff();
        let parts = self.tracked();
        let y = forward(parts.tracked_again());
        let grads = (y.clone() * grad.clone().to_device(&device)).sum().backward();
        let Self(x, weight, bias, gamma, beta) = parts;
        let mut all = vec![y.into_data()];
        all.extend([x, weight].map(|part| part.grad(&grads).expect("a gradient").into_data()));
        all.extend([bias, gamma, beta].map(|part| part.grad(&grads).expect("a gradient").into_data()));
        all
    }

    fn tracked_again(&self) -> Self {
        let Self(x, weight, bias, gamma, beta) = self;
        Self(x.clone(), weight.clone(), bias.clone(), gamma.clone(), beta.clone())
    }
}

fn options() -> ConvOptions<2> {
    ConvOptions::new_with_padding([2, 1], [(1, 0), (1, 2)], [1, 1], 1)
}

#[test]
fn gradients_through_convolution_norm_and_relu_are_burns() {
    let device = Device::flex();
    device.seed(3);
    let normal = Distribution::Normal(0.0, 1.0);
    let four = |shape: [usize; 4]| Tensor::<4>::random(shape, normal, &device);
    let one = || Tensor::<1>::random([10], normal, &device);
    let parts = Parts(four([5, 6, 9, 11]), four([10, 6, 3, 3]), one(), one(), one());
    let grad = four([5, 10, 4, 12]);

    // A residual sum, so that a gradient has two owners and must not be written over.
    let ours = parts.run(&grad, |Parts(x, weight, bias, gamma, beta)| {
        let x = conv2d(x, weight, Some(bias), options());
        let (y, ..) = batch_norm_train(x.clone(), [gamma, beta], Then::Nothing, 1e-5);
        relu(relu(y) - x)
    });
    let stock = parts.run(&grad, |Parts(x, weight, bias, gamma, beta)| {
        let x = module::conv2d(x, weight, Some(bias), options());
        let y = module::batch_norm_train(x.clone(), gamma, beta, 1e-5).output;
        activation::relu(activation::relu(y) - x)
    });
    for (ours, stock) in ours.iter().zip(&stock) {
        ours.assert_approx_eq(stock, Tolerance::<f32>::rel_abs(1e-4, 1e-4));
    }
}

#[test]
fn tensors_that_lie_otherwise_in_memory_are_read_in_order() {
    let device = Device::flex();
    device.seed(5);
    let x = Tensor::<4>::random([7, 6, 5, 3], Distribution::Default, &device);
    let weight = Tensor::<4>::random([3, 3, 4, 2], Distribution::Default, &device);
    let (x, weight) = (x.swap_dims(1, 3), weight.swap_dims(0, 3).slice([0..2, 0..3, 0..2]));
    let ours = conv2d(x.clone(), weight.clone(), None, ConvOptions::new([1, 1], [1, 1], [1, 1], 1));
    let stock = module::conv2d(x, weight, None, ConvOptions::new([1, 1], [1, 1], [1, 1], 1));
    ours.into_data().assert_approx_eq(&stock.into_data(), Tolerance::<f32>::rel_abs(1e-4, 1e-5));
}

#[test]
fn doubles_and_groups_are_burns_stock_operations() {
    let device = Device::flex();
    let x = Tensor::<4>::ones([1, 2, 3, 3], &device);
    let weight = Tensor::<4>::ones([2, 1, 3, 3], &device);
    let y = conv2d(x.clone(), weight, None, ConvOptions::new([1, 1], [0, 0], [1, 1], 2));
    assert_eq!(y.into_data(), TensorData::from([[[[9.0f32]], [[9.0]]]]));
    let x = x.cast(burn::tensor::DType::F64);
    let weight = Tensor::<4>::ones([1, 2, 3, 3], &device).cast(burn::tensor::DType::F64);
    let y = conv2d(x, weight, None, ConvOptions::new([1, 1], [0, 0], [1, 1], 1));
    assert_eq!(y.into_data(), TensorData::from([[[[18.0f64]]]]));
}
