//! Gradients for functions that have none somewhere, or anywhere.

#![allow(clippy::unwrap_used)]

use burn::prelude::*;
use burn::tensor::Tolerance;
use kiln_nn::{Activation, Surrogate, straight_through, surrogate_sign, surrogate_step};

fn near(ours: f64, expected: f64, tolerance: f64) -> bool {
    (ours - expected).abs() <= tolerance * (1.0 + expected.abs())
}

fn slope_at_0(activation: Activation) -> f32 {
    let x = Tensor::<1>::zeros([1], &Device::flex().autodiff()).require_grad();
    x.grad(&activation.forward(x.clone()).sum().backward()).unwrap().into_scalar()
}

#[test]
fn gradients_where_there_are_none() {
    // What frameworks take at the kinks: 0.
    for activation in [Activation::Relu, Activation::Absolute, Activation::Step, Activation::Signum] {
        assert_eq!(slope_at_0(activation), 0.0, "{activation:?}");
    }
    // relu(x) - relu(-x) is x, but made of two subgradients at 0 its gradient there is 0, which is no subgradient of x.
    let device = Device::flex().autodiff();
    let x = Tensor::<1>::from_data([0.0, 2.0], &device).require_grad();
    let y = Activation::Relu.forward(x.clone()) - Activation::Relu.forward(-x.clone());
    assert_eq!(x.grad(&y.sum().backward()).unwrap().into_data(), TensorData::from([0.0f32, 1.0]));
    // A smooth surrogate: softplus(beta x) / beta is at most log 2 / beta above ReLU.
    for beta in [1.0, 10.0, 1000.0] {
        let gap = |x: f64| Activation::SoftPlus.value(beta * x) / beta - x.max(0.0);
        assert!(near(gap(0.0), 2f64.ln() / beta, 1e-12));
        assert!((-50..50).all(|at| gap(f64::from(at) * 0.1) <= gap(0.0)));
    }
}

#[test]
fn a_step_gets_the_gradient_of_its_surrogate() {
    let device = Device::flex().autodiff();
    let points = [-1e8f32, -1.5, -0.5, 0.0, 0.25, 1.5];
    let rows = [
        (Surrogate::Identity, [1.0; 6]),
        (Surrogate::Clipped, [0.0, 0.0, 1.0, 1.0, 1.0, 0.0]),
        // 1 / (1 + (pi x)^2): pi^2 / 4 = 2.4674011, times 9 22.2066099; pi^2 / 16 = 0.6168503.
        (Surrogate::ArcTan, [0.0, 0.0430914, 0.2884004, 1.0, 0.6184863, 0.0430914]),
        // 4 s (1 - s) of 4x: at -6 4 * 0.0024665; at -2 4 * 0.1049936; at 1 4 * 0.1966119.
        (Surrogate::Sigmoid(4.0), [0.0, 0.0098661, 0.4199743, 1.0, 0.7864477, 0.0098661]),
        (Surrogate::Triangle, [0.0, 0.0, 0.5, 1.0, 0.75, 0.0]),
    ];
    for (surrogate, slopes) in rows {
        for (values, function) in [
            ([0.0f32, 0.0, 0.0, 1.0, 1.0, 1.0], surrogate_step as fn(Tensor<1>, Surrogate) -> Tensor<1>),
            ([-1.0, -1.0, -1.0, 0.0, 1.0, 1.0], surrogate_sign),
        ] {
            let x = Tensor::<1>::from_data(points, &device).require_grad();
            let y = function(x.clone(), surrogate);
            // To the bit, also where x is so large that x + (1 - x) is 0.
            assert_eq!(y.clone().into_data(), TensorData::from(values), "{surrogate:?}");
            let ours = x.grad(&y.sum().backward()).unwrap().into_data();
            let tolerance = Tolerance::<f32>::absolute(1e-6);
            ours.assert_approx_eq(&TensorData::from(slopes.map(|slope| slope as f32)), tolerance);
        }
    }
    // Rounding, the other function that trains this way.
    let x = Tensor::<1>::from_data([0.4, 0.6], &device).require_grad();
    let y = straight_through(x.clone().round(), x.clone() * 3.0);
    assert_eq!(y.clone().into_data(), TensorData::from([0.0f32, 1.0]));
    assert_eq!(x.grad(&y.sum().backward()).unwrap().into_data(), TensorData::from([3.0f32, 3.0]));
}

#[test]
fn a_perceptron_with_a_step_learns_only_through_a_surrogate() {
    let device = Device::flex().autodiff();
    let inputs = Tensor::<2>::from_data([[0., 0., 1.], [0., 1., 1.], [1., 0., 1.], [1., 1., 1.]], &device);
    for targets in [[0.0f32, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0]] {
        let wanted = Tensor::<2>::from_data(TensorData::new(targets.to_vec(), [4, 1]), &device);
        let wrong = |step: &dyn Fn(Tensor<2>) -> Tensor<2>| {
            let mut weights = Tensor::<2>::zeros([3, 1], &device);
            for _ in 0..20 {
                let learned = weights.clone().detach().require_grad();
                let loss = (step(inputs.clone().matmul(learned.clone())) - wanted.clone()).square().sum();
                let gradient = learned.grad(&loss.backward()).unwrap();
                weights = (learned.inner() - gradient * 0.1).autodiff();
            }
            (step(inputs.clone().matmul(weights)) - wanted.clone()).abs().sum().into_scalar::<f32>()
        };
        assert_eq!(wrong(&|x| surrogate_step(x, Surrogate::Identity)), 0.0);
        assert!(wrong(&|x| Activation::Step.forward(x)) > 0.0);
    }
}
