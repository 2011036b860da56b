//! Gradients for functions that have none.

use burn::prelude::*;

use super::function::{sign, step};

/// What stands for the derivative of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Surrogate {
    /// 1 everywhere: the straight-through estimator. Bengio et al. 2013, *Estimating or propagating gradients through stochastic
    /// neurons*.
    Identity,
    /// 1 from -1 to 1, else 0. Courbariaux et al. 2016, *Binarized neural networks*, equation 4.
    Clipped,
    /// `1 / (1 + (pi x)^2)`: the derivative of an arc tangent. Fang et al. 2021.
    ArcTan,
    /// That of `sigmoid(k x)`, `k` being this.
    Sigmoid(f64),
    /// `max(1 - |x|, 0)`. Esser et al. 2016.
    Triangle,
}

impl Surrogate {
    /// A function whose derivative this is.
    fn primitive<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        use std::f64::consts::PI;
        match self {
            Self::Identity => x,
            Self::Clipped => x.clamp(-1.0, 1.0),
            Self::ArcTan => (x * PI).atan() / PI,
            Self::Sigmoid(sharpness) => crate::sigmoid(x * sharpness),
            Self::Triangle => {
                let x = x.clamp(-1.0, 1.0);
                x.clone() - x.clone() * x.abs() * 0.5
            }
        }
    }
}

/// The values of the one with the gradient of the other.
///
/// # Shapes
/// Two of the same to the same.
pub fn straight_through<const D: usize>(value: Tensor<D>, gradient: Tensor<D>) -> Tensor<D> {
    // The difference is zero to the bit, whatever the size of its two sides.
    value.detach() + (gradient.clone() - gradient.detach())
}

/// 1 where `x >= 0`, else 0, with a gradient that is a surrogate's.
///
/// # Shapes
/// Any to the same.
pub fn surrogate_step<const D: usize>(x: Tensor<D>, surrogate: Surrogate) -> Tensor<D> {
    straight_through(step(x.clone()), surrogate.primitive(x))
}

/// -1, 0 or 1, with a gradient that is a surrogate's.
///
/// # Shapes
/// Any to the same.
pub fn surrogate_sign<const D: usize>(x: Tensor<D>, surrogate: Surrogate) -> Tensor<D> {
    straight_through(sign(x.clone()), surrogate.primitive(x))
}
