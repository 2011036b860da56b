//! Batch normalization on Burn's tensors: against Burn's own, PyTorch's numbers and arithmetic.

use burn::tensor::{Device, Distribution, Tensor, TensorData, Tolerance, activation, module};
use kiln_kernels::{Then, batch_norm, batch_norm_train, running_statistics};

const EPSILON: f64 = 1e-5;

/// The same values, the channels side by side in memory.
fn channels_last(x: Tensor<4>) -> Tensor<4> {
    let rows = x.permute([0, 2, 3, 1]).into_data();
    Tensor::<4>::from_data(rows, &Device::flex()).permute([0, 3, 1, 2])
}

/// The result of `forward` of x, what is added, gamma and beta, and their gradients when the result's is `grad`.
fn run(
    parts: [&Tensor<4>; 2],
    affine: &[Tensor<1>; 2],
    grad: &Tensor<4>,
    forward: impl Fn(Tensor<4>, Tensor<4>, [Tensor<1>; 2]) -> Tensor<4>,
) -> Vec<TensorData> {
    let [x, skip] = parts.map(|part| part.clone().autodiff().require_grad());
    let affine = affine.clone().map(|part| part.autodiff().require_grad());
    let y = forward(x.clone(), skip.clone(), affine.clone());
    let grads = (y.clone() * grad.clone().autodiff()).sum().backward();
    let of_four = [x, skip].map(|part| part.grad(&grads).map(Tensor::into_data));
    let of_one = affine.map(|part| part.grad(&grads).map(Tensor::into_data));
    [Some(y.into_data())].into_iter().chain(of_four).chain(of_one).flatten().collect()
}

#[test]
fn on_tensors_of_either_layout_it_is_burns() {
    Device::flex().seed(3);
    let four = || Tensor::<4>::random([4, 5, 3, 6], Distribution::Normal(0.5, 2.0), &Device::flex());
    let one = || Tensor::<1>::random([5], Distribution::Uniform(0.5, 1.5), &Device::flex());
    let ([x, skip, grad], affine, statistics) = ([four(), four(), four()], [one(), one()], [one(), one()]);
    let given = || statistics.clone().map(Tensor::autodiff);
    let thens = [|_| Then::Nothing, |_| Then::Relu, Then::AddRelu];
    let followed = |index: usize, y: Tensor<4>, skip| match index {
        0 => y,
        1 => activation::relu(y),
        _ => activation::relu(y + skip),
    };
    for (index, then) in thens.into_iter().enumerate() {
        let of_batch = run([&x, &skip], &affine, &grad, |x, skip, [gamma, beta]| {
            followed(index, module::batch_norm_train(x, gamma, beta, EPSILON).output, skip)
        });
        let by_given = run([&x, &skip], &affine, &grad, |x, skip, [gamma, beta]| {
            let [mean, variance] = given();
            followed(index, module::batch_norm(x, gamma, beta, mean, variance, EPSILON), skip)
        });
        assert_eq!(of_batch.len(), if index == 2 { 5 } else { 4 });
        for layouts in 0..8 {
            let laid = |index: usize, x: &Tensor<4>| match layouts >> index & 1 {
                0 => x.clone(),
                _ => channels_last(x.clone()),
            };
            let (x, skip, grad) = (laid(0, &x), laid(1, &skip), laid(2, &grad));
            let ours = run([&x, &skip], &affine, &grad, |x, skip, affine| {
                batch_norm_train(x, affine, then(skip), EPSILON).0
            });
            same(&ours, &of_batch);
            let ours = run([&x, &skip], &affine, &grad, |x, skip, affine| {
                batch_norm(x, affine, given(), then(skip), EPSILON)
            });
            same(&ours, &by_given);
        }
    }
}

fn same(ours: &[TensorData], theirs: &[TensorData]) {
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        ours.assert_approx_eq(theirs, Tolerance::<f32>::rel_abs(2e-5, 2e-5));
    }
}

#[test]
fn without_gradients_no_input_that_others_hold_is_written_over() {
    let device = Device::flex();
    let x = Tensor::<2>::from_data([[1.0, 2.0], [3.0, -4.0]], &device);
    let skip = Tensor::<2>::from_data([[0.0, 9.0], [-5.0, 0.5]], &device);
    let one = |value: f32| Tensor::<1>::full([2], value, &device);
    let apply =
        |x| batch_norm(x, [one(2.0), one(1.0)], [one(0.0), one(1.0)], Then::AddRelu(skip.clone()), 0.0);
    // 2 x + 1 + skip
    let expected = TensorData::from([[3.0f32, 14.0], [2.0, 0.0]]);
    assert_eq!(apply(x.clone()).into_data(), expected);
    assert_eq!(x.clone().into_data(), TensorData::from([[1.0f32, 2.0], [3.0, -4.0]]));
    assert_eq!(apply(x).into_data(), expected, "in place");
    assert_eq!(skip.into_data(), TensorData::from([[0.0f32, 9.0], [-5.0, 0.5]]));
}

#[test]
fn running_statistics_move_by_the_momentum() {
    let device = Device::flex();
    let one = |value: f32| Tensor::<1>::from_data([value], &device);
    let moved = running_statistics([one(1.0), one(2.0)], [one(5.0), one(3.0)], 0.25, 4);
    // 0.75 * 1 + 0.25 * 5; 0.75 * 2 + 0.25 * 3 * 4 / 3.
    assert_eq!(moved.map(Tensor::into_data), [2.0f32, 2.5].map(|value| TensorData::from([value])));
    // Of one value there is no unbiased variance.
    let [_, variance] = running_statistics([one(1.0), one(2.0)], [one(5.0), one(0.0)], 0.25, 1);
    assert_eq!(variance.into_data(), TensorData::from([1.5f32]));
}

#[test]
fn given_statistics_are_applied_channel_by_channel() {
    let device = Device::flex();
    let x = Tensor::<3>::from_data([[[1.0, 2.0], [3.0, 4.0]]], &device);
    let pair = |values: [f32; 2]| Tensor::<1>::from_data(values, &device);
    let statistics = [pair([1.0, 2.0]), pair([3.0, 0.0])];
    let y = batch_norm(x, [pair([2.0, 3.0]), pair([0.5, -1.0])], statistics, Then::Nothing, 1.0);
    // (x - 1) / sqrt(3 + 1) * 2 + 0.5 and (x - 2) / sqrt(0 + 1) * 3 - 1.
    y.into_data()
        .assert_approx_eq(&TensorData::from([[[0.5f32, 1.5], [2.0, 5.0]]]), Tolerance::<f32>::absolute(1e-6));
}

const X: [f32; 16] = [1., 2., 3., 6., 100., 101., 99., 104., -1., 0., 4., 2., 102., 98., 97., 103.];

/// torch 2.15.0: `bn = BatchNorm2d(2)` with weight [1.5, -0.5], bias [0.25, 1]; `y` is `bn(x)`, or `relu(bn(x) + skip)`;
/// `(y * (arange(16.) - 5).reshape(2, 2, 2, 2)).sum().backward()`.
#[test]
fn the_norm_and_its_gradients_are_pytorchs() {
    let device = Device::flex().autodiff();
    let four = |values: [f32; 16]| Tensor::<1>::from_data(values, &device).reshape([2, 2, 2, 2]);
    let check = |ours: TensorData, expected: &[f32]| {
        let expected = TensorData::new(expected.to_vec(), ours.shape().clone());
        ours.assert_approx_eq(&expected, Tolerance::<f32>::rel_abs(1e-5, 1e-5));
    };
    let (x, skip) = (four(X).require_grad(), four(std::array::from_fn(|i| ((7 * i % 5) as f32 - 2.0) / 2.0)));
    let skip = skip.require_grad();
    let gamma = Tensor::<1>::from_data([1.5, -0.5], &device).require_grad();
    let beta = Tensor::<1>::from_data([0.25, 1.0], &device).require_grad();
    let backward = |y: Tensor<4>| (y * four(std::array::from_fn(|i| i as f32 - 5.0))).sum().backward();

    let affine = [gamma.clone(), beta.clone()];
    let (y, [mean, variance]) = batch_norm_train(x.clone(), affine.clone(), Then::Nothing, EPSILON);
    let grads = backward(y.clone());
    #[rustfmt::skip]
    check(y.into_data(), &[
        -0.558223, 0.160197, 0.878618, 3.033879, 1.109109, 0.890891, 1.327327, 0.236238,
        -1.995064, -1.276643, 1.597038, 0.160197, 0.672674, 1.545545, 1.763762, 0.454456,
    ]);
    #[rustfmt::skip]
    check(x.grad(&grads).expect("a gradient").into_data(), &[
        -4.264172, -3.267654, -2.271136, -0.718423, 1.226175, 0.956001, 0.841697, 0.363696,
        0.926996, 1.923514, 3.754325, 3.91655, -0.623479, -0.633871, -0.800132, -1.330088,
    ]);
    check(gamma.grad(&grads).expect("a gradient").into_data(), &[-6.465784, -4.364354]);
    check(beta.grad(&grads).expect("a gradient").into_data(), &[4.0, 36.0]);
    // (1 + 2 + 3 + 6 - 1 + 0 + 4 + 2) / 8 = 17 / 8; squares 71 / 8 - (17 / 8)^2 = 279 / 64. The second channel is
    // 100 + (0, 1, -1, 4, 2, -2, -3, 3): 4 / 8 and 44 / 8 - 1 / 4.
    check(mean.into_data(), &[2.125, 100.5]);
    check(variance.into_data(), &[279.0 / 64.0, 5.25]);

    let (y, _) = batch_norm_train(x.clone(), affine, Then::AddRelu(skip.clone()), EPSILON);
    let grads = backward(y.clone());
    #[rustfmt::skip]
    check(y.into_data(), &[
        0.0, 0.1601975, 1.878618, 2.533879, 1.609109, 0.0, 1.327327, 1.236238,
        0.0, 0.0, 0.5970383, 0.1601975, 1.672674, 1.045545, 2.263762, 0.0,
    ]);
    #[rustfmt::skip]
    check(x.grad(&grads).expect("a gradient").into_data(), &[
        -0.2085736, -3.056506, -2.312335, -1.516665, 1.018349, 0.6182836, 0.7637614, -0.3636949,
        -0.2600731, -0.2343234, 3.460777, 4.127698, -1.091088, -0.5819147, -0.6182846, 0.2545882,
    ]);
    #[rustfmt::skip]
    check(skip.grad(&grads).expect("a gradient").into_data(), &[
        0.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 0.0, 0.0, 5.0, 6.0, 7.0, 8.0, 9.0, 0.0,
    ]);
    check(gamma.grad(&grads).expect("a gradient").into_data(), &[-0.5986837, -15.27524]);
    check(beta.grad(&grads).expect("a gradient").into_data(), &[2.0, 26.0]);
}
