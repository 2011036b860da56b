//! Local response normalization has PyTorch's formula, which divides alpha by the size.

use burn::prelude::*;
use burn::tensor::Tolerance;
use kiln_nn::LocalResponseNormConfig;

#[test]
fn local_response_normalization_and_its_gradient_are_pytorchs() {
    let device = Device::flex().autodiff();
    let images = vec![-2.0f32, -0.3, 1.4, -1.9, -0.2, 1.5, -1.8, -0.1, 1.6, -1.7, 0.0, 1.7, -1.6, 0.1];
    let images = TensorData::new(images, [1, 7, 1, 2]);
    let weights = TensorData::new((1..15).map(|x| x as f32).collect::<Vec<_>>(), [1, 7, 1, 2]);
    // torch.nn.LocalResponseNorm(5, alpha, 0.75, k) in 64-bit; the gradient is that of the sum of 1, 2, …, 14 times the
    // outputs. The first row is AlexNet's, the second has an alpha that is felt.
    let rows = [
        (
            5e-4,
            2.0,
            [
                -1.18894, -0.178341, 0.832157, -1.129494, -0.118868, 0.891609, -1.069973, -0.059434,
                0.951066, -1.010521, 0.0, 1.010606, -0.951183, 0.059447,
            ],
            [
                0.594577, 1.188953, 1.783904, 2.377883, 2.97173, 3.567574, 4.161409, 4.754769, 5.351173,
                5.945226, 6.538589, 7.133388, 7.727906, 8.322621,
            ],
        ),
        (
            0.5,
            1.0,
            [
                -1.405853, -0.211374, 0.856987, -1.33807, -0.111478, 0.932412, -1.168039, -0.056028, 1.01276,
                -1.091669, 0.0, 1.206302, -1.173427, 0.070993,
            ],
            [
                0.763502, 1.379875, 2.758615, 2.572532, 2.803807, 5.283447, 4.931413, 4.520071, 8.093024,
                8.080119, 6.9741, 7.613349, 8.30163, 9.882823,
            ],
        ),
    ];
    for (alpha, k, outputs, gradients) in rows {
        let layer = LocalResponseNormConfig::new(5).with_alpha(alpha).with_beta(0.75).with_k(k).init();
        let images = Tensor::<4>::from_data(images.clone(), &device).require_grad();
        let x = layer.forward(images.clone());
        let check = |ours: TensorData, expected: [f32; 14]| {
            let expected = TensorData::new(expected.to_vec(), [1, 7, 1, 2]);
            ours.assert_approx_eq(&expected, Tolerance::<f32>::rel_abs(1e-5, 1e-6));
        };
        check(x.to_data(), outputs);
        let loss = (x * Tensor::from_data(weights.clone(), &device)).sum();
        check(images.grad(&loss.backward()).expect("a gradient").into_data(), gradients);
    }
}
