//! The formulas themselves, in 64 bits: what tables and drawings are made of, and what the tensors are tested against.

use std::f64::consts::{PI, SQRT_2};

use super::{Activation, LECUN, SELU};

fn sigmoid(x: f64) -> f64 {
    match x < 0.0 {
        true => x.exp() / (1.0 + x.exp()),
        false => 1.0 / (1.0 + (-x).exp()),
    }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn leaky(x: f64, slope: f64) -> f64 {
    if x > 0.0 { x } else { slope * x }
}

/// The share of the normal distribution below `x`, and its density there.
fn normal(x: f64) -> [f64; 2] {
    [0.5 * libm::erfc(-x / SQRT_2), (-0.5 * x * x).exp() / (2.0 * PI).sqrt()]
}

impl Activation {
    /// `f(x)`
    pub fn value(self, x: f64) -> f64 {
        match self {
            Self::Step => f64::from(x >= 0.0),
            Self::Identity => x,
            Self::Relu => x.max(0.0),
            Self::Sigmoid => sigmoid(x),
            Self::Tanh => x.tanh(),
            Self::LeakyRelu { slope } | Self::PRelu { slope } => leaky(x, slope),
            Self::RRelu { lower, upper } => leaky(x, (lower + upper) / 2.0),
            Self::Elu { alpha } if x > 0.0 || alpha == 0.0 => x.max(0.0),
            Self::Elu { alpha } => alpha * x.exp_m1(),
            Self::Selu => SELU[0] * Self::Elu { alpha: SELU[1] }.value(x),
            Self::SRelu { left, right } => match () {
                () if x <= left[0] => left[0] + left[1] * (x - left[0]),
                () if x >= right[0] => right[0] + right[1] * (x - right[0]),
                () => x,
            },
            Self::HardSigmoid { slope } => (slope * x + 0.5).clamp(0.0, 1.0),
            Self::HardTanh => x.clamp(-1.0, 1.0),
            Self::LecunTanh => LECUN[0] * (LECUN[1] * x).tanh(),
            Self::ArcTan => x.atan(),
            Self::SoftSign => x / (1.0 + x.abs()),
            Self::SoftPlus => softplus(x),
            Self::Signum if x == 0.0 => 0.0,
            Self::Signum => x.signum(),
            Self::BentIdentity => (x.hypot(1.0) - 1.0) / 2.0 + x,
            Self::SymmetricSigmoid => (x / 2.0).tanh(),
            Self::LogLog => -(-x.exp()).exp_m1(),
            Self::Gaussian => (-x * x).exp(),
            Self::Absolute => x.abs(),
            Self::Sinusoid => x.sin(),
            Self::Cosine => x.cos(),
            Self::Sinc if x == 0.0 => 1.0,
            Self::Sinc => x.sin() / x,
            Self::Silu => x * sigmoid(x),
            Self::Mish => x * softplus(x).tanh(),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Self::Gelu => x * normal(x)[0],
        }
    }

    /// `f'(x)`. Where a function has a kink, one of the slopes beside it: 0 for ReLU and the step's kin, as PyTorch has it.
    pub fn derivative(self, x: f64) -> f64 {
        let leaky = |slope: f64| if x > 0.0 { 1.0 } else { slope };
        match self {
            Self::Step | Self::Signum => 0.0,
            Self::Identity => 1.0,
            Self::Relu => f64::from(x > 0.0),
            Self::Sigmoid => sigmoid(x) * sigmoid(-x),
            Self::Tanh => x.cosh().powi(-2),
            Self::LeakyRelu { slope } | Self::PRelu { slope } => leaky(slope),
            Self::RRelu { lower, upper } => leaky((lower + upper) / 2.0),
            Self::Elu { .. } if x > 0.0 => 1.0,
            Self::Elu { alpha } => alpha * x.exp(),
            Self::Selu => SELU[0] * Self::Elu { alpha: SELU[1] }.derivative(x),
            Self::SRelu { left, .. } if x <= left[0] => left[1],
            Self::SRelu { right, .. } if x >= right[0] => right[1],
            Self::SRelu { .. } => 1.0,
            Self::HardSigmoid { slope } => {
                if (slope * x).abs() < 0.5 {
                    slope
                } else {
                    0.0
                }
            }
            Self::HardTanh => f64::from(x.abs() < 1.0),
            Self::LecunTanh => LECUN[0] * LECUN[1] * (LECUN[1] * x).cosh().powi(-2),
            Self::ArcTan => 1.0 / (1.0 + x * x),
            Self::SoftSign => (1.0 + x.abs()).powi(-2),
            Self::SoftPlus => sigmoid(x),
            Self::BentIdentity => x / (2.0 * x.hypot(1.0)) + 1.0,
            Self::SymmetricSigmoid => 0.5 * (x / 2.0).cosh().powi(-2),
            Self::LogLog => (x - x.exp()).exp(),
            Self::Gaussian => -2.0 * x * (-x * x).exp(),
            Self::Absolute if x == 0.0 => 0.0,
            Self::Absolute => x.signum(),
            Self::Sinusoid => x.cos(),
            Self::Cosine => -x.sin(),
            // The first terms of the series; the next is less than 1e-16.
            Self::Sinc if x.abs() < 1e-3 => -x / 3.0 + x.powi(3) / 30.0,
            Self::Sinc => (x.cos() - x.sin() / x) / x,
            Self::Silu => sigmoid(x) * (1.0 + x * sigmoid(-x)),
            Self::Mish => {
                let t = softplus(x).tanh();
                t + x * (1.0 - t * t) * sigmoid(x)
            }
            Self::Relu6 => f64::from(x > 0.0 && x < 6.0),
            Self::HardSwish if x.abs() >= 3.0 => f64::from(x > 0.0),
            Self::HardSwish => x / 3.0 + 0.5,
            Self::Gelu => normal(x)[0] + x * normal(x)[1],
        }
    }
}
