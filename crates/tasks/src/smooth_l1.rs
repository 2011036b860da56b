//! What a detector that says how far a box is from its proposal ([`BoxRegression`](kiln_core::BoxRegression)) learns by: half the
//! square of a difference up to `beta`, the difference itself beyond, so that one wild proposal does not outweigh all others. Girshick
//! 2015, *Fast R-CNN*, <https://arxiv.org/abs/1504.08083>, Equation 3, with a beta of 1; region proposals have 1/9. Burn's, and
//! PyTorch's to the last digits.

pub use burn::nn::loss::{SmoothL1Loss, SmoothL1LossConfig};

#[cfg(test)]
mod tests {
    use burn::prelude::*;

    use super::*;

    /// PyTorch 2.15: `l = F.smooth_l1_loss(x, zeros, reduction="none", beta=beta)` with `x` of `DIFFERENCES`, and its gradient by
    /// `l.sum().backward()`.
    #[rustfmt::skip]
    const EXPECTED: [(f32, [f32; 7], [f32; 7]); 3] = [
        (1.0, [0.125, 1.5, 0.005, 0.5, 0.00125, 2.5, 0.0], [0.5, 1.0, 0.1, 1.0, -0.05, -1.0, 0.0]),
        (1.0 / 9.0, [0.4444444, 1.944444, 0.045, 0.9444444, 0.01125, 2.944444, 0.0], [1.0, 1.0, 0.9, 1.0, -0.45, -1.0, 0.0]),
        (2.5, [0.05, 0.8, 0.002, 0.2, 0.0005, 1.75, 0.0], [0.2, 0.8, 0.04, 0.4, -0.02, -1.0, 0.0]),
    ];

    const DIFFERENCES: [f32; 7] = [0.5, 2.0, 0.1, 1.0, -0.05, -3.0, 0.0];

    #[test]
    fn the_loss_and_its_gradient_are_pytorchs() {
        for (beta, values, gradients) in EXPECTED {
            let x = Tensor::<1>::from_floats(DIFFERENCES, &Device::flex().autodiff()).require_grad();
            let loss =
                SmoothL1LossConfig::new().with_beta(beta).init().forward(x.clone(), x.zeros_like().detach());
            let gradient = x.grad(&loss.clone().sum().backward()).expect("differences are learned");
            for (found, expected) in [(loss, values), (gradient, gradients)] {
                for (found, expected) in found.into_data().iter::<f32>().zip(expected) {
                    assert!((found - expected).abs() < 1e-6, "beta {beta}: {found}, {expected}");
                }
            }
        }
    }

    #[test]
    fn half_a_square_up_to_beta_and_a_distance_beyond() {
        // beta 1: 0.5²/2 and 2 - 1/2; beta 1/9: 9 0.1²/2 and 1 - 1/18.
        for (beta, difference, expected) in
            [(1.0, 0.5, 0.125), (1.0, 2.0, 1.5), (1.0 / 9.0, 0.1, 0.045), (1.0 / 9.0, 1.0, 17.0 / 18.0)]
        {
            let [x, zero] =
                [difference, 0.0].map(|one: f32| Tensor::<1>::from_floats([one], &Device::flex()));
            let loss = SmoothL1LossConfig::new().with_beta(beta).init().forward(x, zero);
            assert!((loss.into_scalar::<f32>() - expected).abs() < 1e-6);
        }
    }
}
