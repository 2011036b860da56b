//! The operations on Burn's tensors: against Burn's stock operations, PyTorch's numbers and arithmetic.

use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, Tensor, TensorData, Tolerance, activation, module};
use kiln_kernels::{batch_norm, batch_norm_train, conv2d, relu};

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
        let (y, ..) = batch_norm_train(x.clone(), gamma, beta, 1e-5);
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
fn an_input_that_others_hold_is_not_written_over() {
    let device = Device::flex();
    let x = Tensor::<2>::from_data([[-1.0, 2.0]], &device);
    let y = relu(x.clone());
    assert_eq!(x.into_data(), TensorData::from([[-1.0f32, 2.0]]));
    assert_eq!(y.into_data(), TensorData::from([[0.0f32, 2.0]]));

    let tracked = device.autodiff();
    let x = Tensor::<4>::from_data([[[[-1.0, 2.0], [3.0, -4.0]]]], &tracked).require_grad();
    let grads = (relu(x.clone()) + x.clone()).sum().backward();
    // 1 from the sum, and 1 more where x is positive.
    let expected = TensorData::from([[[[1.0f32, 2.0], [2.0, 1.0]]]]);
    assert_eq!(x.grad(&grads).expect("a gradient").into_data(), expected);
}

/// torch 2.15.0: `bn = BatchNorm2d(2)` with weight [1.5, -0.5], bias [0.25, 1]; `x` as below; `y = bn(x)`;
/// `(y * (arange(16.) - 5).reshape(2, 2, 2, 2)).sum().backward()`.
#[test]
fn the_norm_and_its_gradients_are_pytorchs() {
    let device = Device::flex().autodiff();
    let values = [1.0f32, 2., 3., 6., 100., 101., 99., 104., -1., 0., 4., 2., 102., 98., 97., 103.];
    let four = |values: [f32; 16]| Tensor::<1>::from_data(values, &device).reshape([2, 2, 2, 2]);
    let x = four(values).require_grad();
    let gamma = Tensor::<1>::from_data([1.5, -0.5], &device).require_grad();
    let beta = Tensor::<1>::from_data([0.25, 1.0], &device).require_grad();
    let (y, mean, variance) = batch_norm_train(x.clone(), gamma.clone(), beta.clone(), 1e-5);
    let grads = (y.clone() * four(std::array::from_fn(|i| i as f32 - 5.0))).sum().backward();

    let check = |ours: TensorData, expected: &[f32]| {
        let expected = TensorData::new(expected.to_vec(), ours.shape().clone());
        ours.assert_approx_eq(&expected, Tolerance::<f32>::rel_abs(1e-5, 1e-5));
    };
    check(
        y.into_data(),
        &[
            -0.558223, 0.160197, 0.878618, 3.033879, 1.109109, 0.890891, 1.327327, 0.236238, -1.995064,
            -1.276643, 1.597038, 0.160197, 0.672674, 1.545545, 1.763762, 0.454456,
        ],
    );
    check(
        x.grad(&grads).expect("a gradient").into_data(),
        &[
            -4.264172, -3.267654, -2.271136, -0.718423, 1.226175, 0.956001, 0.841697, 0.363696, 0.926996,
            1.923514, 3.754325, 3.91655, -0.623479, -0.633871, -0.800132, -1.330088,
        ],
    );
    check(gamma.grad(&grads).expect("a gradient").into_data(), &[-6.465784, -4.364354]);
    check(beta.grad(&grads).expect("a gradient").into_data(), &[4.0, 36.0]);
    // (1 + 2 + 3 + 6 - 1 + 0 + 4 + 2) / 8 = 17 / 8; squares 71 / 8 - (17 / 8)^2 = 279 / 64. The second channel is
    // 100 + (0, 1, -1, 4, 2, -2, -3, 3): 4 / 8 and 44 / 8 - 1 / 4.
    check(mean.into_data(), &[2.125, 100.5]);
    check(variance.into_data(), &[279.0 / 64.0, 5.25]);
}

#[test]
fn given_statistics_are_applied_channel_by_channel() {
    let device = Device::flex();
    let x = Tensor::<3>::from_data([[[1.0, 2.0], [3.0, 4.0]]], &device);
    let pair = |values: [f32; 2]| Tensor::<1>::from_data(values, &device);
    let statistics = [pair([1.0, 2.0]), pair([3.0, 0.0])];
    let y = batch_norm(x, pair([2.0, 3.0]), pair([0.5, -1.0]), statistics, 1.0);
    // (x - 1) / sqrt(3 + 1) * 2 + 0.5 and (x - 2) / sqrt(0 + 1) * 3 - 1.
    y.into_data()
        .assert_approx_eq(&TensorData::from([[[0.5f32, 1.5], [2.0, 5.0]]]), Tolerance::<f32>::absolute(1e-6));
}

#[test]
fn a_mean_far_from_zero_does_not_spoil_the_variance() {
    let device = Device::flex().autodiff();
    // 4096 +- 0.5: the squares differ in the eighth digit, the variance is 1/4.
    let values: Vec<f32> = (0..4096).map(|i| 4096.0 + if i % 2 == 0 { 0.5 } else { -0.5 }).collect();
    let x = Tensor::<1>::from_data(values.as_slice(), &device).reshape([4, 1, 32, 32]);
    let ones = Tensor::<1>::ones([1], &device);
    let (_, mean, variance) = batch_norm_train(x, ones.clone(), ones, 1e-5);
    assert_eq!(mean.into_data(), TensorData::from([4096.0f32]));
    variance.into_data().assert_approx_eq(&TensorData::from([0.25f32]), Tolerance::<f32>::absolute(1e-6));
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
