//! Activations by name: the 26 of a well-known page (D. Sheehan, *Visualising activation functions in neural networks*, 2017,
//! <https://dashee87.github.io/deep%20learning/visualising-activation-functions-in-neural-networks/>), whose formulas are corrected where
//! it misprints them, and those that the models use beside them.

mod formula;
mod function;
mod gated;
mod property;
mod randomized;
mod s_shaped;
mod straight_through;

use burn::prelude::*;
use burn::tensor::activation as stock;
use serde::{Deserialize, Serialize};

use function::{
    bent_identity, elu, gaussian, gelu, hard_sigmoid, lecun_tanh, log_log, s_shaped_relu, sign, sinc,
    softplus, step,
};
pub use gated::{glu, maxout};
pub use property::{ActivationProperties, ActivationRange, Smoothness};
pub use randomized::{RRelu, RReluConfig};
pub use s_shaped::{SRelu, SReluConfig};
pub use straight_through::{Surrogate, straight_through, surrogate_sign, surrogate_step};

/// An activation with its settings, as a file names it: `"silu"`, `{ leaky-relu = { slope = 0.1 } }`.
///
/// Settings are fixed numbers. Those that learn are layers of their own: [`PRelu`](crate::PRelu), [`SRelu`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Activation {
    /// 1 where `x >= 0`, else 0: Heaviside's step. Its gradient is zero.
    Step,
    /// `x`
    Identity,
    /// `max(x, 0)`. Nair and Hinton 2010.
    Relu,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `tanh(x)`
    Tanh,
    /// `x` where it is positive, else `slope x`. Maas et al. 2013; 0.01 in the paper, 0.1 in Darknet's networks.
    LeakyRelu {
        /// Of the negative side.
        slope: f64,
    },
    /// As [`Self::LeakyRelu`]; a network learns the slope. He et al. 2015, where it begins at 0.25.
    PRelu {
        /// Of the negative side.
        slope: f64,
    },
    /// As [`Self::LeakyRelu`], the slope drawn evenly from an interval for every value in training: what is computed here is
    /// evaluation, by the interval's middle. Xu et al. 2015.
    RRelu {
        /// The least slope.
        lower: f64,
        /// The largest.
        upper: f64,
    },
    /// `x` where it is positive, else `alpha (exp(x) - 1)`. Clevert et al. 2016.
    Elu {
        /// Minus the limit to the left.
        alpha: f64,
    },
    /// `lambda elu(x)`, its two constants such that zero mean and unit variance stay. Klambauer et al. 2017.
    Selu,
    /// Three straight pieces that meet at two places. Jin et al. 2016, where all four numbers are learned.
    SRelu {
        /// Where the left piece ends, and its slope.
        left: [f64; 2],
        /// Where the right piece begins, and its slope.
        right: [f64; 2],
    },
    /// `slope x + 0.5`, clipped to 0 and 1: slope 0.2 in Theano and Keras 2, 1/6 in PyTorch.
    HardSigmoid {
        /// Between the clipped ends.
        slope: f64,
    },
    /// `x`, clipped to -1 and 1.
    HardTanh,
    /// `1.7159 tanh(2x / 3)`, which is nearly 1 at 1. LeCun et al. 1998, *Efficient backprop*, Section 4.4.
    LecunTanh,
    /// `atan(x)`
    ArcTan,
    /// `x / (1 + |x|)`. Bergstra et al. 2009.
    SoftSign,
    /// `log(1 + exp(x))`. Dugas et al. 2001.
    SoftPlus,
    /// -1, 0 or 1. Its gradient is zero.
    Signum,
    /// `(sqrt(x^2 + 1) - 1) / 2 + x`
    BentIdentity,
    /// `tanh(x / 2)`, also called bipolar sigmoid.
    SymmetricSigmoid,
    /// `1 - exp(-exp(x))`, the complementary log-log.
    LogLog,
    /// `exp(-x^2)`
    Gaussian,
    /// `|x|`
    Absolute,
    /// `sin(x)`
    Sinusoid,
    /// `cos(x)`
    Cosine,
    /// `sin(x) / x`, and 1 at 0.
    Sinc,
    /// `x / (1 + exp(-x))`. Elfwing et al. 2018; Swish of Ramachandran et al. 2017.
    Silu,
    /// `x tanh(softplus(x))`. Misra 2020.
    Mish,
    /// `min(max(x, 0), 6)`. Howard et al. 2017.
    Relu6,
    /// `x relu6(x + 3) / 6`. Howard et al. 2019.
    HardSwish,
    /// `x` times the normal distribution's share below it. Hendrycks and Gimpel 2016.
    Gelu,
}

/// Where [`Activation::Selu`] has its two constants from: Klambauer et al. 2017, equation 14.
const SELU: [f64; 2] = [1.0507009873554805, 1.6732632423543772];
/// The scale of [`Activation::LecunTanh`], and the slope within.
const LECUN: [f64; 2] = [1.7159, 2.0 / 3.0];

impl Activation {
    /// The 26 of the page, in its order and with its settings.
    pub const TABLE: [Self; 26] = [
        Self::Step,
        Self::Identity,
        Self::Relu,
        Self::Sigmoid,
        Self::Tanh,
        Self::LeakyRelu { slope: 0.01 },
        Self::PRelu { slope: 0.25 },
        Self::RRelu { lower: 1.0 / 8.0, upper: 1.0 / 3.0 },
        Self::Elu { alpha: 1.0 },
        Self::Selu,
        Self::SRelu { left: [-1.0, 0.7], right: [1.0, 0.4] },
        Self::HardSigmoid { slope: 0.2 },
        Self::HardTanh,
        Self::LecunTanh,
        Self::ArcTan,
        Self::SoftSign,
        Self::SoftPlus,
        Self::Signum,
        Self::BentIdentity,
        Self::SymmetricSigmoid,
        Self::LogLog,
        Self::Gaussian,
        Self::Absolute,
        Self::Sinusoid,
        Self::Cosine,
        Self::Sinc,
    ];

    /// Those that the models use and the page lacks.
    pub const OTHERS: [Self; 5] = [Self::Silu, Self::Mish, Self::Relu6, Self::HardSwish, Self::Gelu];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Step => "Step",
            Self::Identity => "Identity",
            Self::Relu => "ReLU",
            Self::Sigmoid => "Sigmoid",
            Self::Tanh => "Tanh",
            Self::LeakyRelu { .. } => "Leaky ReLU",
            Self::PRelu { .. } => "PReLU",
            Self::RRelu { .. } => "RReLU",
            Self::Elu { .. } => "ELU",
            Self::Selu => "SELU",
            Self::SRelu { .. } => "SReLU",
            Self::HardSigmoid { .. } => "Hard Sigmoid",
            Self::HardTanh => "Hard Tanh",
            Self::LecunTanh => "LeCun Tanh",
            Self::ArcTan => "ArcTan",
            Self::SoftSign => "SoftSign",
            Self::SoftPlus => "SoftPlus",
            Self::Signum => "Signum",
            Self::BentIdentity => "Bent Identity",
            Self::SymmetricSigmoid => "Symmetrical Sigmoid",
            Self::LogLog => "Log Log",
            Self::Gaussian => "Gaussian",
            Self::Absolute => "Absolute",
            Self::Sinusoid => "Sinusoid",
            Self::Cosine => "Cosine",
            Self::Sinc => "Sinc",
            Self::Silu => "SiLU",
            Self::Mish => "Mish",
            Self::Relu6 => "ReLU6",
            Self::HardSwish => "Hardswish",
            Self::Gelu => "GELU",
        }
    }

    /// Of every value.
    ///
    /// # Shapes
    /// Any to the same.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Step => step(x),
            Self::Identity => x,
            Self::Relu => crate::relu(x),
            Self::Sigmoid => crate::sigmoid(x),
            Self::Tanh => x.tanh(),
            Self::LeakyRelu { slope } | Self::PRelu { slope } => crate::leaky_relu(x, slope),
            Self::RRelu { lower, upper } => crate::leaky_relu(x, (lower + upper) / 2.0),
            Self::Elu { alpha } => elu(x, alpha),
            Self::Selu => elu(x, SELU[1]) * SELU[0],
            Self::SRelu { left, right } => s_shaped_relu(x, left, right),
            Self::HardSigmoid { slope } => hard_sigmoid(x, slope),
            Self::HardTanh => x.clamp(-1.0, 1.0),
            Self::LecunTanh => lecun_tanh(x),
            Self::ArcTan => x.atan(),
            Self::SoftSign => stock::softsign(x),
            Self::SoftPlus => softplus(x),
            Self::Signum => sign(x),
            Self::BentIdentity => bent_identity(x),
            Self::SymmetricSigmoid => (x * 0.5).tanh(),
            Self::LogLog => log_log(x),
            Self::Gaussian => gaussian(x),
            Self::Absolute => x.abs(),
            Self::Sinusoid => x.sin(),
            Self::Cosine => x.cos(),
            Self::Sinc => sinc(x),
            Self::Silu => crate::silu(x),
            Self::Mish => crate::mish(x),
            Self::Relu6 => crate::relu6(x),
            Self::HardSwish => crate::hard_swish(x),
            Self::Gelu => gelu(x),
        }
    }
}
