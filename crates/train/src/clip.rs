//! Gradients that are kept from being too large.

use burn::optim::GradientsParams;
use burn::prelude::*;
use kiln_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::walk::mapped_gradients;

/// What is done to gradients before a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Clip {
    /// All gradients together, as one vector, are shortened to a length of `max` if they are longer (Pascanu, Mikolov and
    /// Bengio, *On the difficulty of training recurrent neural networks*, 2013, <https://arxiv.org/abs/1211.5063>,
    /// Algorithm 1): g ← g · min(1, max / (‖g‖ + 1e-6)), as `torch.nn.utils.clip_grad_norm_` has it.
    Norm {
        /// The longest that they may be.
        max: f64,
    },
    /// Every number is brought into the range from -`max` to `max`.
    Value {
        /// The largest that a number may be.
        max: f64,
    },
}

impl Clip {
    /// # Errors
    /// A bound that is none.
    pub(crate) fn check(&self) -> Result<()> {
        let (Self::Norm { max } | Self::Value { max }) = self;
        match max.is_finite() && *max > 0.0 {
            true => Ok(()),
            false => {
                let error = Error::input(format!("{max} is no bound")).place("train.clip.max");
                Err(error.hint("give a number above 0, as 1.0"))
            }
        }
    }

    /// The gradients of a module, clipped.
    pub(crate) fn clipped<M: Module>(&self, module: &M, gradients: GradientsParams) -> GradientsParams {
        match *self {
            Self::Value { max } => mapped_gradients(module, gradients, |_, g| g.clamp(-max, max)),
            Self::Norm { max } => {
                let (norm, gradients) = norm(module, gradients);
                // NaN is not below 1: it stays in the gradients, and the loop finds it in the weights.
                match max / (norm + 1e-6) {
                    scale if scale < 1.0 => mapped_gradients(module, gradients, |_, g| g * scale),
                    _ => gradients,
                }
            }
        }
    }
}

/// The length of all gradients together, and the gradients.
pub(crate) fn norm<M: Module>(module: &M, gradients: GradientsParams) -> (f64, GradientsParams) {
    let mut squares = 0.0;
    let gradients = mapped_gradients(module, gradients, |_, g| {
        squares += f64::from(g.clone().square().sum().into_scalar::<f32>());
        g
    });
    (squares.sqrt(), gradients)
}
