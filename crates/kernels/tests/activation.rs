//! Activations and sums: every path against PyTorch's numbers and formulas in f64, and on Burn's tensors against Burn's.

use burn::tensor::{Device, Distribution, Tensor, TensorData, Tolerance, activation as stock};
use kiln_kernels::activation::{self, Activation};
use kiln_kernels::{Isa, add, add_relu, hard_swish, leaky_relu, mish, relu, relu6, sigmoid, silu};

const ALL: [Activation; 7] = [
    Activation::Relu,
    Activation::LeakyRelu(0.1),
    Activation::Relu6,
    Activation::Sigmoid,
    Activation::Silu,
    Activation::HardSwish,
    Activation::Mish,
];

/// torch 2.15.0: `y = f(x)`, `y.sum().backward()`, at and around every bend.
const X: [f32; 12] = [-100.0, -6.0, -3.0, -1.5, -0.0, 0.0, 0.5, 2.0, 3.0, 5.5, 6.0, 90.0];
#[rustfmt::skip]
const PYTORCH: [[[f32; 12]; 2]; 7] = [
    [[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 2.0, 3.0, 5.5, 6.0, 90.0],
     [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]],
    [[-10.0, -0.6, -0.3, -0.15, 0.0, 0.0, 0.5, 2.0, 3.0, 5.5, 6.0, 90.0],
     [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]],
    [[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 2.0, 3.0, 5.5, 6.0, 6.0],
     [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]],
    [[0.0, 0.002472623, 0.04742587, 0.1824255, 0.5, 0.5, 0.6224594, 0.880797, 0.9525741, 0.9959299, 0.9975274, 1.0],
     [0.0, 0.002466509, 0.04517666, 0.1491465, 0.25, 0.25, 0.2350037, 0.1049936, 0.04517666, 0.004053537, 0.002466466, 0.0]],
    [[0.0, -0.01483574, -0.1422776, -0.2736383, 0.0, 0.0, 0.3112297, 1.761594, 2.857723, 5.477614, 5.985165, 90.0],
     [0.0, -0.01232643, -0.08810411, -0.04129416, 0.5, 0.5, 0.7399612, 1.090784, 1.088104, 1.018224, 1.012326, 1.0]],
    [[0.0, 0.0, 0.0, -0.375, 0.0, 0.0, 0.2916667, 1.666667, 3.0, 5.5, 6.0, 90.0],
     [0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.6666667, 1.166667, 1.0, 1.0, 1.0, 1.0]],
    [[0.0, -0.01485408, -0.1456475, -0.2980998, 0.0, 0.0, 0.3752452, 1.943959, 2.986535, 5.499818, 5.999927, 90.0],
     [0.0, -0.01235997, -0.09339312, -0.06409781, 0.6, 0.6, 0.8864244, 1.069318, 1.021107, 1.00033, 1.000134, 1.0]],
];

/// Within a millionth of the larger of the expected value and one.
fn close(ours: &[f32], expected: &[f32], context: &str) {
    assert_eq!(ours.len(), expected.len(), "{context}");
    for (index, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        assert!(
            (ours - expected).abs() <= 1e-6 * expected.abs().max(1.0),
            "{context}: {ours} for {expected} at {index}"
        );
    }
}

#[test]
fn values_and_gradients_are_pytorchs() {
    for &isa in Isa::available() {
        for (activation, [y, slope]) in ALL.into_iter().zip(PYTORCH) {
            let context = format!("{isa:?} {activation:?}");
            let ours = activation::activate(isa, activation, &X);
            close(&ours, &y, &context);
            let known = if activation.gradient_needs_output() { ours } else { X.to_vec() };
            // The gradient of 2 y is twice that of y.
            let ours = activation::gradient(isa, activation, &known, &[2.0; 12]);
            close(&ours, &slope.map(|slope| 2.0 * slope), &format!("gradient, {context}"));
        }
    }
}

#[test]
fn a_sigmoid_is_right_to_seven_digits() {
    let x: Vec<f32> = (-850..850).map(|i| i as f32 * 0.1).collect();
    for &isa in Isa::available() {
        for (x, ours) in x.iter().zip(activation::activate(isa, Activation::Sigmoid, &x)) {
            let expected = 1.0 / (1.0 + (-f64::from(*x)).exp());
            assert!((f64::from(ours) / expected - 1.0).abs() < 3e-7, "{isa:?}: {ours} for {expected} at {x}");
        }
    }
}

#[test]
fn a_value_that_is_no_number_stays_none() {
    for &isa in Isa::available() {
        for activation in ALL {
            // Forty: in whole vectors, and in what is left behind them.
            let y = activation::activate(isa, activation, &[f32::NAN; 40]);
            assert!(y.iter().all(|y| y.is_nan()), "{isa:?} {activation:?}");
        }
        assert!(activation::rectified_sum(isa, &[f32::NAN; 40], &[1.0; 40]).iter().all(|y| y.is_nan()));
    }
}

#[test]
fn in_place_is_the_same_to_the_bit() {
    let x: Vec<f32> = (0..2111).map(|i| (i as f32 * 0.7).sin() * 8.0).collect();
    let other: Vec<f32> = x.iter().rev().copied().collect();
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let over = |work: &dyn Fn(&mut [f32])| {
        let mut x = x.clone();
        work(&mut x);
        bits(x)
    };
    for &isa in Isa::available() {
        for activation in ALL {
            let ours = over(&|x| activation::activate_in_place(isa, activation, x));
            assert!(ours == bits(activation::activate(isa, activation, &x)), "{isa:?} {activation:?}");
            let ours = over(&|grad| activation::gradient_in_place(isa, activation, &other, grad));
            assert!(
                ours == bits(activation::gradient(isa, activation, &other, &x)),
                "{isa:?} {activation:?}"
            );
        }
        assert!(
            over(&|x| activation::sum_in_place(isa, x, &other)) == bits(activation::sum(isa, &x, &other))
        );
        let ours = over(&|x| activation::rectified_sum_in_place(isa, x, &other));
        assert!(ours == bits(activation::rectified_sum(isa, &x, &other)));
    }
}

/// The same values, the channels side by side in memory.
fn channels_last(x: Tensor<4>) -> Tensor<4> {
    let rows = x.permute([0, 2, 3, 1]).into_data();
    Tensor::<4>::from_data(rows, &Device::flex()).permute([0, 3, 1, 2])
}

fn random(shape: [usize; 4]) -> Tensor<4> {
    Tensor::random(shape, Distribution::Normal(0.0, 4.0), &Device::flex())
}

/// The result of `forward` on both, and their gradients when the result's is `grad`.
fn run(
    parts: [&Tensor<4>; 2],
    grad: &Tensor<4>,
    forward: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<4>,
) -> [TensorData; 3] {
    let [a, b] = parts.map(|part| part.clone().autodiff().require_grad());
    let y = forward(a.clone(), b.clone());
    let grads = (y.clone() * grad.clone().autodiff()).sum().backward();
    [
        y.into_data(),
        a.grad(&grads).expect("a gradient").into_data(),
        b.grad(&grads).expect("a gradient").into_data(),
    ]
}

#[test]
fn on_tensors_of_either_layout_they_are_burns() {
    Device::flex().seed(3);
    let [a, b, grad] = [0; 3].map(|_| random([2, 5, 3, 4]));
    type Pair = fn(Tensor<4>, Tensor<4>) -> Tensor<4>;
    let rows: [(Pair, Pair); 9] = [
        (|a, b| relu(a) * b, |a, b| stock::relu(a) * b),
        (|a, b| leaky_relu(a, 0.1) * b, |a, b| stock::leaky_relu(a, 0.1) * b),
        (|a, b| relu6(a) * b, |a, b| stock::relu6(a) * b),
        (|a, b| sigmoid(a) * b, |a, b| stock::sigmoid(a) * b),
        (|a, b| silu(a) * b, |a, b| stock::silu(a) * b),
        (|a, b| hard_swish(a) * b, |a, b| stock::hard_swish(a) * b),
        (|a, b| mish(a) * b, |a, b| stock::mish(a) * b),
        // Several readers of one tensor: their gradients meet.
        (|a, b| add(add(sigmoid(a.clone()), b), a), |a, b| stock::sigmoid(a.clone()) + b + a),
        (
            |a, b| add_relu(relu(a.clone()), add_relu(a, b)),
            |a, b| stock::relu(stock::relu(a.clone()) + stock::relu(a + b)),
        ),
    ];
    for (row, (ours, theirs)) in rows.into_iter().enumerate() {
        let expected = run([&a, &b], &grad, theirs);
        for layouts in 0..8 {
            let laid = |index: usize, x: &Tensor<4>| match layouts >> index & 1 {
                0 => x.clone(),
                _ => channels_last(x.clone()),
            };
            let ours = run([&laid(0, &a), &laid(1, &b)], &laid(2, &grad), ours);
            for (ours, expected) in ours.iter().zip(&expected) {
                assert_eq!(ours.shape(), expected.shape(), "row {row}");
                // Burn's Mish is put together of others, and rounded as often.
                ours.assert_approx_eq(expected, Tolerance::<f32>::rel_abs(5e-6, 5e-6));
            }
        }
    }
}

#[test]
fn other_ranks_and_parts_of_tensors_are_served() {
    let device = Device::flex();
    let x = Tensor::<1>::from_data([-1.0, 2.0, -3.0, 4.0, 5.0, -6.0], &device);
    assert_eq!(relu(x.clone()).into_data(), TensorData::from([0.0f32, 2.0, 0.0, 4.0, 5.0, 0.0]));
    assert_eq!(relu(x.clone().slice(2..5)).into_data(), TensorData::from([0.0f32, 4.0, 5.0]));
    let x = x.reshape([2, 3]);
    assert_eq!(
        add(x.clone(), x.clone()).into_data(),
        TensorData::from([[-2.0f32, 4.0, -6.0], [8.0, 10.0, -12.0]])
    );
    assert_eq!(
        relu(x.clone().transpose()).into_data(),
        TensorData::from([[0.0f32, 4.0], [2.0, 5.0], [0.0, 0.0]])
    );
    assert_eq!(
        relu(x.reshape([1, 2, 3]).slice([0..1, 1..2])).into_data(),
        TensorData::from([[[4.0f32, 5.0, 0.0]]])
    );
}

#[test]
fn an_input_that_others_hold_is_not_written_over() {
    let device = Device::flex();
    let x = Tensor::<2>::from_data([[-1.0, 2.0]], &device);
    let y = relu(x.clone());
    let sum = add(x.clone(), y.clone());
    assert_eq!(x.into_data(), TensorData::from([[-1.0f32, 2.0]]));
    assert_eq!(y.into_data(), TensorData::from([[0.0f32, 2.0]]));
    assert_eq!(sum.into_data(), TensorData::from([[-1.0f32, 4.0]]));

    let tracked = device.autodiff();
    let x = Tensor::<4>::from_data([[[[-1.0, 2.0], [3.0, -4.0]]]], &tracked).require_grad();
    let grads = (relu(x.clone()) + x.clone()).sum().backward();
    // 1 from the sum, and 1 more where x is positive.
    let expected = TensorData::from([[[[1.0f32, 2.0], [2.0, 1.0]]]]);
    assert_eq!(x.grad(&grads).expect("a gradient").into_data(), expected);
}

#[test]
fn sums_of_other_shapes_and_doubles_are_burns() {
    let device = Device::flex();
    let x = Tensor::<2>::from_data([[1.0, -2.0]], &device);
    let column = Tensor::<2>::from_data([[1.0], [0.0]], &device);
    assert_eq!(add_relu(x.clone(), column).into_data(), TensorData::from([[2.0f32, 0.0], [1.0, 0.0]]));
    let x = x.cast(burn::tensor::DType::F64);
    assert_eq!(add(x.clone(), relu(x)).into_data(), TensorData::from([[2.0f64, -2.0]]));
}
