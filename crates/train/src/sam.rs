//! Sharpness-aware minimization.

use burn::module::Module;
use burn::optim::GradientsParams;
use kiln_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::clip::norm;
use crate::walk::{Values, mapped, mapped_gradients, values};

/// Sharpness-aware minimization (Foret, Kleiner, Mobahi and Neyshabur, *Sharpness-Aware Minimization for Efficiently
/// Improving Generalization*, 2021, <https://arxiv.org/abs/2010.01412>, Algorithm 1): the step follows the gradient at
/// w + ρ · g / ‖g‖, where g is the gradient at w. Two passes a step.
///
/// Both passes see the same batches and the same dropout; running statistics move in the first one alone, since the
/// weights of the second are nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sam {
    /// How far is climbed; 0.05 in the paper's experiments.
    #[serde(default = "rho")]
    pub rho: f64,
}

fn rho() -> f64 {
    0.05
}

impl Sam {
    /// # Errors
    /// A distance that is none.
    pub(crate) fn check(&self) -> Result<()> {
        match self.rho.is_finite() && self.rho > 0.0 {
            true => Ok(()),
            false => {
                let error = Error::input(format!("{} is no distance", self.rho)).place("train.sam.rho");
                Err(error.hint("give a number above 0, as 0.05"))
            }
        }
    }

    /// The module at w + ρ · g / ‖g‖. It shares its running statistics with `module`.
    pub(crate) fn climbed<M: Module>(&self, module: &M, gradients: GradientsParams) -> M {
        let (norm, gradients) = norm(module, gradients);
        // As the authors' code has it: a gradient of zero leads nowhere.
        let scale = self.rho / (norm + 1e-12);
        let mut uphill = Values::new();
        mapped_gradients(module, gradients, |path, gradient| {
            uphill.insert(path.to_string(), gradient.clone() * scale);
            gradient
        });
        mapped(module.clone(), |path, value| match uphill.remove(path) {
            Some(uphill) => value + uphill,
            None => value,
        })
    }
}

/// The running statistics of a module, to be put back after a pass that is not to move them.
pub(crate) struct Statistics(Values);

impl Statistics {
    /// As they are now.
    pub(crate) fn of<M: Module>(module: &M) -> Self {
        // Burn queues the last update; evaluation mode is sure to have it.
        let mut values = values(&module.valid());
        values.retain(|path, _| crate::walk::is_statistic(path));
        Self(values)
    }

    /// As they were.
    pub(crate) fn put_back<M: Module>(mut self, module: M) -> M {
        // The queued update is taken up first, so that it does not come after.
        drop(module.valid());
        mapped(module, |path, value| self.0.remove(path).unwrap_or(value))
    }
}
