//! Activations against the worked numbers of the literature, PyTorch, and each other: formula, tensor and gradient.

#![allow(clippy::unwrap_used)]
#![allow(clippy::approx_constant)] // as the references print them

use burn::prelude::*;
use burn::tensor::DType;
use kiln_nn::{
    Activation, ActivationProperties, ActivationRange, Draws, PReluConfig, RReluConfig, SReluConfig,
    Smoothness, glu, maxout,
};

const POINTS: [f64; 7] = [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0];

/// To six decimals, computed by an independent script.
#[rustfmt::skip]
const VALUES: [(Activation, [f64; 7]); 17] = [
    (Activation::Sigmoid, [0.119203, 0.268941, 0.377541, 0.5, 0.622459, 0.731059, 0.880797]),
    (Activation::Tanh, [-0.964028, -0.761594, -0.462117, 0.0, 0.462117, 0.761594, 0.964028]),
    (Activation::Elu { alpha: 1.0 }, [-0.864665, -0.632121, -0.393469, 0.0, 0.5, 1.0, 2.0]),
    (Activation::Selu, [-1.520166, -1.111331, -0.691758, 0.0, 0.525350, 1.050701, 2.101402]),
    (Activation::SRelu { left: [-1.0, 0.7], right: [1.0, 0.4] }, [-1.7, -1.0, -0.5, 0.0, 0.5, 1.0, 1.4]),
    (Activation::HardSigmoid { slope: 0.2 }, [0.1, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9]),
    (Activation::LecunTanh, [-1.492939, -0.999997, -0.551684, 0.0, 0.551684, 0.999997, 1.492939]),
    (Activation::ArcTan, [-1.107149, -0.785398, -0.463648, 0.0, 0.463648, 0.785398, 1.107149]),
    (Activation::SoftSign, [-0.666667, -0.5, -0.333333, 0.0, 0.333333, 0.5, 0.666667]),
    (Activation::SoftPlus, [0.126928, 0.313262, 0.474077, 0.693147, 0.974077, 1.313262, 2.126928]),
    (Activation::BentIdentity, [-1.381966, -0.792893, -0.440983, 0.0, 0.559017, 1.207107, 2.618034]),
    (Activation::SymmetricSigmoid, [-0.761594, -0.462117, -0.244919, 0.0, 0.244919, 0.462117, 0.761594]),
    (Activation::LogLog, [0.126577, 0.307799, 0.454761, 0.632121, 0.807704, 0.934012, 0.999382]),
    (Activation::Gaussian, [0.018316, 0.367879, 0.778801, 1.0, 0.778801, 0.367879, 0.018316]),
    (Activation::Sinc, [0.454649, 0.841471, 0.958851, 1.0, 0.958851, 0.841471, 0.454649]),
    (Activation::RRelu { lower: 0.125, upper: 1.0 / 3.0 }, [-0.458333, -0.229167, -0.114583, 0.0, 0.5, 1.0, 2.0]),
    (Activation::LeakyRelu { slope: 0.1 }, [-0.2, -0.1, -0.05, 0.0, 0.5, 1.0, 2.0]),
];

/// At -1.3 and 0.7.
const SLOPES: [(Activation, [f64; 2]); 15] = [
    (Activation::Sigmoid, [0.168298, 0.221713]),
    (Activation::Tanh, [0.257433, 0.634740]),
    (Activation::Elu { alpha: 1.0 }, [0.272532, 1.0]),
    (Activation::Selu, [0.479138, 1.050701]),
    (Activation::LecunTanh, [0.583924, 0.926973]),
    (Activation::ArcTan, [0.371747, 0.671141]),
    (Activation::SoftSign, [0.189036, 0.346021]),
    (Activation::SoftPlus, [0.214165, 0.668188]),
    (Activation::BentIdentity, [0.603688, 1.286731]),
    (Activation::SymmetricSigmoid, [0.336597, 0.443426]),
    (Activation::LogLog, [0.207519, 0.268809]),
    (Activation::Gaussian, [0.479751, -0.857677]),
    (Activation::Sinusoid, [0.267499, 0.764842]),
    (Activation::Cosine, [0.963558, -0.644218]),
    (Activation::Sinc, [0.364384, -0.222098]),
];

fn all() -> impl Iterator<Item = Activation> {
    Activation::TABLE.into_iter().chain(Activation::OTHERS)
}

/// Values and gradients of the tensor function.
fn evaluated(activation: Activation, points: &[f64], dtype: DType) -> [Vec<f64>; 2] {
    let device = Device::flex().autodiff();
    let x = Tensor::<1>::from_data(TensorData::new(points.to_vec(), [points.len()]), (&device, dtype))
        .require_grad();
    let y = activation.forward(x.clone());
    let gradient = x.grad(&y.clone().sum().backward()).unwrap();
    [y, gradient.autodiff()].map(|one| one.into_data().iter::<f64>().collect())
}

fn near(ours: f64, expected: f64, tolerance: f64) -> bool {
    (ours - expected).abs() <= tolerance * (1.0 + expected.abs())
}

#[test]
fn values_and_derivatives_are_the_worked_numbers() {
    for (activation, expected) in VALUES {
        for (x, expected) in POINTS.into_iter().zip(expected) {
            let ours = activation.value(x);
            assert!((ours - expected).abs() < 6e-7, "{activation:?} at {x}: {ours}, not {expected}");
        }
    }
    for (activation, expected) in SLOPES {
        for (x, expected) in [-1.3, 0.7].into_iter().zip(expected) {
            let ours = activation.derivative(x);
            assert!((ours - expected).abs() < 6e-7, "{activation:?}' at {x}: {ours}, not {expected}");
        }
    }
    // LeCun's constants make f(1) nearly 1; SELU's product is the limit to the left.
    assert!(near(Activation::LecunTanh.value(1.0), 0.99999726, 1e-8));
    assert!(near(Activation::Selu.value(-700.0), -1.7580993408, 1e-10));
    // The lowest value of sinc, and the steepest slope.
    assert!(near(Activation::Sinc.value(4.493409457909064), -0.21723363, 1e-8));
    assert!(near(Activation::Sinc.derivative(-2.0815759778), 0.43618, 1e-5));
    assert!(near(Activation::Gaussian.derivative(-(0.5f64.sqrt())), 0.8577638850, 1e-10));
}

#[test]
fn tensors_and_their_gradients_follow_the_formula_in_both_precisions() {
    // Away from the kinks at whole numbers, small, large, and where an exponential would overflow.
    let mut points: Vec<f64> = (-80..80).map(|at| f64::from(at) * 0.1 + 0.013).collect();
    points.extend([-95.3, -30.7, -1.7e-4, 2.3e-6, 0.2501, 0.2499, 25.3, 101.7]);
    for activation in all() {
        for (dtype, tolerance) in [(DType::F64, 1e-12_f64), (DType::F32, 4e-6)] {
            let [values, slopes] = evaluated(activation, &points, dtype);
            for ((x, value), slope) in points.iter().zip(values).zip(slopes) {
                let (expected, steep) = (activation.value(*x), activation.derivative(*x));
                // Burn's error function has six digits.
                let few = activation == Activation::Gelu;
                let tolerance = if few { tolerance.max(4e-7) } else { tolerance };
                // Sines of large arguments lose digits with the argument.
                let tolerance = tolerance * (1.0 + x.abs() / 10.0);
                assert!(
                    near(value, expected, tolerance),
                    "{activation:?} of {x}, {dtype:?}: {value}, not {expected}"
                );
                assert!(
                    near(slope, steep, tolerance),
                    "{activation:?}' of {x}, {dtype:?}: {slope}, not {steep}"
                );
            }
        }
    }
}

/// `y = f(x); y.sum().backward()` in torch 2.15.0, in 64-bit, kinks included: `x`, `y`, `x.grad`.
#[rustfmt::skip]
const TORCH: [(Activation, [f64; 11], [f64; 11]); 16] = [
    (Activation::Relu, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.5, 1.0, 2.0, 3.5], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    (Activation::Sigmoid, [0.0293122, 0.1192029, 0.2689414, 0.3775407, 0.4750208, 0.5, 0.5249792, 0.6224593, 0.7310586, 0.8807971, 0.9706878], [0.028453, 0.1049936, 0.1966119, 0.2350037, 0.249376, 0.25, 0.249376, 0.2350037, 0.1966119, 0.1049936, 0.028453]),
    (Activation::Tanh, [-0.9981779, -0.9640276, -0.7615942, -0.4621172, -0.099668, 0.0, 0.099668, 0.4621172, 0.7615942, 0.9640276, 0.9981779], [0.0036409, 0.0706508, 0.4199743, 0.7864477, 0.9900663, 1.0, 0.9900663, 0.7864477, 0.4199743, 0.0706508, 0.0036409]),
    (Activation::LeakyRelu { slope: 0.01 }, [-0.035, -0.02, -0.01, -0.005, -0.001, 0.0, 0.1, 0.5, 1.0, 2.0, 3.5], [0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 1.0, 1.0, 1.0, 1.0, 1.0]),
    (Activation::RRelu { lower: 0.125, upper: 1.0 / 3.0 }, [-0.8020833, -0.4583333, -0.2291667, -0.1145833, -0.0229167, 0.0, 0.1, 0.5, 1.0, 2.0, 3.5], [0.2291667, 0.2291667, 0.2291667, 0.2291667, 0.2291667, 0.2291667, 1.0, 1.0, 1.0, 1.0, 1.0]),
    (Activation::Elu { alpha: 1.5 }, [-1.4547039, -1.2969971, -0.9481808, -0.590204, -0.1427439, 0.0, 0.1, 0.5, 1.0, 2.0, 3.5], [0.0452961, 0.2030029, 0.5518192, 0.909796, 1.3572561, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
    (Activation::Selu, [-1.7050093, -1.5201665, -1.1113307, -0.6917582, -0.1673053, 0.0, 0.1050701, 0.5253505, 1.050701, 2.101402, 3.6774535], [0.05309, 0.2379329, 0.6467686, 1.0663412, 1.5907941, 1.7580993, 1.050701, 1.050701, 1.050701, 1.050701, 1.050701]),
    (Activation::HardSigmoid { slope: 1.0 / 6.0 }, [0.0, 0.1666667, 0.3333333, 0.4166667, 0.4833333, 0.5, 0.5166667, 0.5833333, 0.6666667, 0.8333333, 1.0], [0.0, 0.1666667, 0.1666667, 0.1666667, 0.1666667, 0.1666667, 0.1666667, 0.1666667, 0.1666667, 0.1666667, 0.0]),
    (Activation::HardTanh, [-1.0, -1.0, -1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]),
    (Activation::SoftSign, [-0.7777778, -0.6666667, -0.5, -0.3333333, -0.0909091, 0.0, 0.0909091, 0.3333333, 0.5, 0.6666667, 0.7777778], [0.0493827, 0.1111111, 0.25, 0.4444444, 0.8264463, 1.0, 0.8264463, 0.4444444, 0.25, 0.1111111, 0.0493827]),
    (Activation::SoftPlus, [0.0297504, 0.126928, 0.3132617, 0.474077, 0.6443967, 0.6931472, 0.7443967, 0.974077, 1.3132617, 2.126928, 3.5297504], [0.0293122, 0.1192029, 0.2689414, 0.3775407, 0.4750208, 0.5, 0.5249792, 0.6224593, 0.7310586, 0.8807971, 0.9706878]),
    (Activation::Silu, [-0.1025928, -0.2384058, -0.2689414, -0.1887703, -0.0475021, 0.0, 0.0524979, 0.3112297, 0.7310586, 1.7615942, 3.3974072], [-0.0702734, -0.0907842, 0.0723295, 0.2600388, 0.4500832, 0.5, 0.5499168, 0.7399612, 0.9276705, 1.0907842, 1.0702734]),
    (Activation::Mish, [-0.1040958, -0.2525015, -0.3034015, -0.2207438, -0.0567886, 0.0, 0.0631794, 0.3752452, 0.8650984, 1.943959, 3.4939907], [-0.0727604, -0.1083551, 0.0592168, 0.2895107, 0.5357028, 0.6, 0.6633368, 0.8864244, 1.0490362, 1.0693179, 1.0099393]),
    (Activation::Relu6, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.5, 1.0, 2.0, 3.5], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    (Activation::HardSwish, [0.0, -0.3333333, -0.3333333, -0.2083333, -0.0483333, 0.0, 0.0516667, 0.2916667, 0.6666667, 1.6666667, 3.5], [0.0, -0.1666667, 0.1666667, 0.3333333, 0.4666667, 0.5, 0.5333333, 0.6666667, 0.8333333, 1.1666667, 1.0]),
    (Activation::Gelu, [-0.0008142, -0.0455003, -0.1586553, -0.1542688, -0.0460172, 0.0, 0.0539828, 0.3457312, 0.8413447, 1.9544997, 3.4991858], [-0.0028218, -0.0852318, -0.0833155, 0.1325049, 0.4204769, 0.5, 0.5795231, 0.8674951, 1.0833155, 1.0852318, 1.0028218]),
];

#[test]
fn values_and_gradients_are_pytorchs_at_kinks_too() {
    let x = [-3.5, -2.0, -1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0, 2.0, 3.5];
    for (activation, values, slopes) in TORCH {
        for dtype in [DType::F64, DType::F32] {
            let ours = evaluated(activation, &x, dtype);
            for (at, x) in x.iter().enumerate() {
                // Burn's own, which serve 64 bits and hard tanh, have the other slope at the kink.
                let stock = match activation {
                    Activation::LeakyRelu { .. } | Activation::RRelu { .. } | Activation::Relu6 => {
                        *x == 0.0 && dtype == DType::F64
                    }
                    Activation::HardTanh => x.abs() == 1.0,
                    _ => false,
                };
                if stock {
                    continue;
                }
                assert!(near(ours[0][at], values[at], 1e-6), "{activation:?} of {x}: {}", ours[0][at]);
                assert!(
                    near(ours[1][at], slopes[at], 1e-6),
                    "{activation:?}' of {x}, {dtype:?}: {}",
                    ours[1][at]
                );
            }
        }
    }
}

fn holds(range: &ActivationRange, value: f64) -> bool {
    match range {
        ActivationRange::Values(values) => values.iter().any(|one| (one - value).abs() < 1e-12),
        ActivationRange::Between { ends, .. } => {
            let slack = 1e-6 * ends[0].abs().min(ends[1].abs()).min(1.0);
            ends[0] - slack <= value && value <= ends[1] + slack
        }
        ActivationRange::And(value_alone, rest) => (value - value_alone).abs() < 1e-12 || holds(rest, value),
    }
}

/// How near the values come to the finite ends of a range, on the scale of the range.
fn misses(range: &ActivationRange, values: &[f64]) -> f64 {
    let far = |end: f64| values.iter().map(|value| (value - end).abs()).fold(f64::INFINITY, f64::min);
    match range {
        ActivationRange::Values(listed) => listed.iter().map(|one| far(*one)).fold(0.0, f64::max),
        ActivationRange::Between { ends, .. } => {
            ends.iter().filter(|end| end.is_finite()).map(|end| far(*end)).fold(0.0, f64::max)
        }
        ActivationRange::And(alone, rest) => far(*alone).max(misses(rest, values)),
    }
}

#[test]
fn ranges_hold_all_values_and_no_more() {
    // Denser in the middle, out to a million; 0 for those that have a value of their own there.
    let half = (0..200_000).map(|at| (f64::from(at) * 7e-5).sinh() * 1e-2);
    let points: Vec<f64> = half.flat_map(|x| [-x, x]).collect();
    for activation in all() {
        let properties = activation.properties();
        let values: Vec<f64> = points.iter().map(|x| activation.value(*x)).collect();
        let kinked = properties.smoothness <= Smoothness::Continuous;
        let off = points.iter().filter(|x| !(kinked && x.fract() == 0.0));
        let slopes: Vec<f64> = off.map(|x| activation.derivative(*x)).collect();
        for (range, list) in [(&properties.range, &values), (&properties.derivative_range, &slopes)] {
            for value in list {
                assert!(holds(range, *value), "{activation:?}: {value} is not within {range:?}");
            }
            let miss = misses(range, list);
            assert!(miss < 2e-4, "{activation:?}: an end of {range:?} is {miss} away from all values");
        }
    }
}

#[test]
fn the_table_is_the_pages_in_its_order() {
    #[rustfmt::skip]
    let page = [
        "Step", "Identity", "ReLU", "Sigmoid", "Tanh", "Leaky ReLU", "PReLU", "RReLU", "ELU", "SELU", "SReLU", "Hard Sigmoid", "Hard Tanh",
        "LeCun Tanh", "ArcTan", "SoftSign", "SoftPlus", "Signum", "Bent Identity", "Symmetrical Sigmoid", "Log Log", "Gaussian", "Absolute",
        "Sinusoid", "Cosine", "Sinc",
    ];
    assert_eq!(Activation::TABLE.map(Activation::name), page);
}

#[test]
fn the_cards_of_the_page_are_right_where_it_is() {
    let names = |of: fn(&ActivationProperties) -> bool| -> Vec<&str> {
        let holds = |one: &Activation| of(&one.properties());
        Activation::TABLE.into_iter().filter(holds).map(Activation::name).collect()
    };
    // Symmetrical and antisymmetrical; the page calls SymmSigmoid and ArcTan symmetrical, which are odd.
    assert_eq!(names(|card| card.even), ["Gaussian", "Absolute", "Cosine", "Sinc"]);
    assert_eq!(
        names(|card| card.odd),
        [
            "Identity",
            "Tanh",
            "Hard Tanh",
            "LeCun Tanh",
            "ArcTan",
            "SoftSign",
            "Signum",
            "Symmetrical Sigmoid",
            "Sinusoid"
        ]
    );
    assert_eq!(
        names(|card| card.saturates),
        [
            "Sigmoid",
            "Tanh",
            "ELU",
            "SELU",
            "LeCun Tanh",
            "ArcTan",
            "SoftSign",
            "SoftPlus",
            "Symmetrical Sigmoid",
            "Log Log",
            "Gaussian",
            "Sinc"
        ]
    );
    assert_eq!(names(|card| card.dies), ["Step", "ReLU", "Hard Sigmoid", "Hard Tanh", "Signum"]);
    // SReLU's slopes of the page are all at most 1.
    assert_eq!(names(|card| card.explodes), ["SELU", "LeCun Tanh", "Bent Identity"]);
    assert_eq!(names(|card| !card.monotonic), ["Gaussian", "Absolute", "Sinusoid", "Cosine", "Sinc"]);
    assert_eq!(names(|card| card.smoothness == Smoothness::Jumps), ["Step", "Signum"]);
    assert_eq!(names(|card| card.smoothness == Smoothness::Once), ["ELU", "SoftSign"]);
}

#[test]
fn a_file_names_an_activation_and_its_settings_strictly() {
    let read = |text: &str| serde_json::from_str::<Activation>(text);
    assert_eq!(read(r#""silu""#).unwrap(), Activation::Silu);
    assert_eq!(read(r#"{"leaky-relu": {"slope": 0.1}}"#).unwrap(), Activation::LeakyRelu { slope: 0.1 });
    for wrong in [r#""swish""#, r#""leaky-relu""#, r#"{"leaky-relu": {"slope": 0.1, "slop": 1}}"#] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
    for activation in all() {
        assert_eq!(read(&serde_json::to_string(&activation).unwrap()).unwrap(), activation);
    }
}

#[test]
fn learned_slopes_have_the_gradients_of_their_papers() {
    let device = Device::flex().autodiff();
    let x = Tensor::<3>::from_data([[[-2.0, 3.0], [-0.5, 4.0]]], &device);
    let layer = PReluConfig::new().with_num_parameters(2).init(&device);
    let y = layer.forward(x.clone());
    assert_eq!(y.clone().into_data(), TensorData::from([[[-0.5f32, 3.0], [-0.125, 4.0]]]));
    // The gradient of a slope is the sum of min(0, x).
    let gradient = layer.alpha.val().grad(&y.sum().backward()).unwrap();
    assert_eq!(gradient.into_data(), TensorData::from([-2.0f32, -0.5]));

    // Two channels of the page's SReLU: t + a (x - t) outside, whose gradient is 1 - a by t and x - t by a.
    let layer =
        SReluConfig::new(2).with_left(-1.0).with_left_slope(0.75).with_right(1.0).with_right_slope(0.5);
    let layer = layer.init(&device);
    let y = layer.forward(x);
    assert_eq!(y.clone().into_data(), TensorData::from([[[-1.75f32, 2.0], [-0.5, 2.5]]]));
    let gradients = y.sum().backward();
    let of = |param: &burn::module::Param<Tensor<1>>| param.val().grad(&gradients).unwrap().into_data();
    assert_eq!(of(&layer.left), TensorData::from([0.25f32, 0.0]));
    assert_eq!(of(&layer.left_slope), TensorData::from([-1.0f32, 0.0]));
    assert_eq!(of(&layer.right), TensorData::from([0.5f32, 0.5]));
    assert_eq!(of(&layer.right_slope), TensorData::from([2.0f32, 3.0]));
}

#[test]
fn rrelu_draws_slopes_in_training_and_takes_their_mean_in_evaluation() {
    let layer = RReluConfig::new().init();
    let x = Tensor::<2>::full([100, 1000], -1.0, &Device::flex());
    // (1/8 + 1/3) / 2 = 11/48.
    let mean = layer.forward(x.clone(), &mut Draws::new(1)).mean().into_scalar::<f64>();
    assert!(near(mean, -11.0 / 48.0, 1e-6));
    let drawn = |seed| layer.forward(x.clone().autodiff(), &mut Draws::new(seed)).into_data();
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
    let slopes: Vec<f64> = drawn(1).iter::<f64>().map(|y| -y).collect();
    assert!(slopes.iter().all(|slope| (0.125..=1.0 / 3.0 + 1e-7).contains(slope)));
    // 1e5 draws of standard deviation (1/3 - 1/8) / sqrt 12 = 0.06: their mean is within 5 * 0.06 / sqrt 1e5 = 0.00095.
    let mean = slopes.iter().sum::<f64>() / 1e5;
    assert!((mean - 11.0 / 48.0).abs() < 9.5e-4, "{mean}");
    let again = RReluConfig::new().init().forward(x.clone().autodiff().abs(), &mut Draws::new(3));
    assert_eq!(again.into_data(), x.abs().into_data());
}

#[test]
fn gates_and_maxout_join_channels() {
    let x = Tensor::<3>::from_data([[[1.0, -2.0], [3.0, 0.5], [0.0, 1.0], [-1.0, 2.0]]], &Device::flex());
    // [1, -2] sigmoid([0, 1]) = [0.5, -2 * 0.7310586]; [3, 0.5] sigmoid([-1, 2]) = [3 * 0.2689414, 0.5 * 0.8807971].
    let expected = TensorData::from([[[0.5f32, -1.4621172], [0.8068243, 0.4403985]]]);
    glu(x.clone()).into_data().assert_approx_eq::<f32>(&expected, burn::tensor::Tolerance::absolute(1e-6));
    assert_eq!(maxout(x, 2).into_data(), TensorData::from([[[3.0f32, 0.5], [0.0, 2.0]]]));
    // A maxout of x and -x is |x|.
    let both = Tensor::<2>::from_data([[-3.0, 3.0], [0.25, -0.25]], &Device::flex());
    assert_eq!(maxout(both, 2).into_data(), TensorData::from([[3.0f32], [0.25]]));
}
