//! Stochastic gradient descent.

use burn::prelude::*;
use kiln_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::rule::{At, Update, below_one, not_negative};

/// Stochastic gradient descent, with momentum (Polyak, 1964) and Nesterov's look ahead (Sutskever et al., 2013).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Share of the velocity that is kept each step.
    pub momentum: f64,
    /// Looks ahead along the velocity; wants momentum and no dampening.
    pub nesterov: bool,
    /// Added to the gradient: `weight_decay` times the weight.
    pub weight_decay: f64,
    /// Share of the gradient that is kept out of the velocity.
    pub dampening: f64,
}

impl Update for Sgd {
    fn check(&self) -> Result<()> {
        below_one("momentum", self.momentum)?;
        below_one("dampening", self.dampening)?;
        match self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            false => Ok(()),
            true => Err(Error::input("has nothing to look ahead along")
                .place("optimizer.nesterov")
                .hint("set `momentum` above 0 and `dampening` to 0")),
        }?;
        not_negative("weight_decay", self.weight_decay, "1e-4")
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn keeps(&self) -> &'static [&'static str] {
        &["velocity"]
    }

    fn step(&self, x: Tensor<1>, g: Tensor<1>, at: At) -> Tensor<1> {
        let Self { nesterov, dampening, .. } = *self;
        let momentum = at.pace.momentum(self.momentum);
        let step = kiln_kernels::Sgd { rate: at.rate, momentum, dampening, nesterov, l2: at.decay };
        let (x, velocity) = kiln_kernels::sgd(x, g, at.past.take("velocity"), step);
        if let Some(velocity) = velocity {
            at.past.keep("velocity", velocity);
        }
        x
    }
}
