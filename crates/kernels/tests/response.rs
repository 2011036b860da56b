//! Local response normalization: against plain loops in f64, and against Burn's stock layer.

use burn::nn::LocalResponseNormConfig;
use burn::tensor::{Device, Distribution, Tensor, Tolerance};
use kiln_kernels::response::{self, Response};
use kiln_kernels::{Isa, response_norm};

#[test]
fn every_instruction_set_normalizes_as_plain_loops_do() {
    // Sizes odd and even, more than there are channels, exponents with and without a shortcut.
    let cases = [(5, 0.75, 40), (5, 0.5, 3), (4, 0.75, 19), (1, 1.0, 16), (7, 0.75, 5)];
    for (size, beta, channels) in cases {
        let response = Response { size, alpha: 0.7, beta, k: 1.5 };
        let rows = 3;
        let x: Vec<f32> = (0..rows * channels).map(|i| (i as f32 * 0.7).sin() * 2.0).collect();
        let grad: Vec<f32> = (0..rows * channels).map(|i| (i as f32 * 1.3).cos()).collect();
        let (before, after) = ((size - 1) / 2, size / 2);
        let mut y = vec![0.0; x.len()];
        let mut dx = vec![0.0; x.len()];
        for i in 0..x.len() {
            let (row, channel) = (i / channels * channels, i % channels);
            let window = channel.saturating_sub(before)..channels.min(channel + after + 1);
            let at = |channel: usize| f64::from(x[row + channel]);
            let sum: f64 = window.clone().map(|other| at(other) * at(other)).sum();
            let base = 1.5 + 0.7 / size as f64 * sum;
            y[i] = at(channel) * base.powf(-beta);
            dx[i] += f64::from(grad[i]) * base.powf(-beta);
            for other in window {
                let slope = -beta * base.powf(-beta - 1.0) * 0.7 / size as f64 * 2.0 * at(other);
                dx[row + other] += f64::from(grad[i]) * at(channel) * slope;
            }
        }
        let near = |ours: Vec<f32>, expected: &[f64]| {
            ours.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 2e-6)
        };
        for &isa in Isa::available() {
            assert!(near(response::forward(isa, response, channels, &x), &y), "{isa:?} {response:?}");
            let gradient = response::gradient(isa, response, channels, &x, &grad);
            assert!(near(gradient, &dx), "{isa:?} {response:?}");
        }
    }
}

#[test]
fn values_and_gradients_are_burns_in_both_layouts() {
    let device = Device::flex().autodiff();
    device.seed(8);
    let last = Tensor::<4>::random([2, 7, 6, 12], Distribution::Normal(0.0, 2.0), &device.clone().inner());
    let last = last.permute([0, 3, 1, 2]);
    let planes = Tensor::<4>::from_data(last.clone().into_data(), &device);
    let factor = Tensor::<4>::random([2, 12, 7, 6], Distribution::Default, &device);
    for size in [5, 2] {
        let run = |x: Tensor<4>, forward: &dyn Fn(Tensor<4>) -> Tensor<4>| {
            let x = x.require_grad();
            let y = forward(x.clone());
            let grads = (y.clone() * factor.clone()).sum().backward();
            [y.into_data(), x.grad(&grads).expect("a gradient").into_data()]
        };
        let stock = LocalResponseNormConfig::new(size).with_alpha(0.3).init();
        let expected = run(planes.clone(), &|x| stock.forward(x));
        for x in [planes.clone(), last.clone().autodiff()] {
            let response = Response { size, alpha: 0.3, beta: 0.75, k: 1.0 };
            let ours = run(x, &|x| response_norm(x, response));
            for (ours, expected) in ours.iter().zip(&expected) {
                ours.assert_approx_eq(expected, Tolerance::<f32>::rel_abs(1e-5, 1e-5));
            }
        }
    }
}
