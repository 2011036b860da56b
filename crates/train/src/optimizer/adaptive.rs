//! Rates of a weight's own, by the gradients it has seen.

use burn::prelude::*;
use kiln_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::rule::{At, Update, below_one, not_negative};

/// Adagrad (Duchi et al., 2011), <https://jmlr.org/papers/v12/duchi11a.html>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adagrad {
    /// How fast the rate falls by itself: in step t it is divided by `1 + (t - 1) · lr_decay`.
    pub lr_decay: f64,
    /// Added to the root of the sum of squares.
    pub eps: f64,
    /// Added to the gradient: `weight_decay` times the weight.
    pub weight_decay: f64,
}

impl Default for Adagrad {
    fn default() -> Self {
        Self { lr_decay: 0.0, eps: 1e-10, weight_decay: 0.0 }
    }
}

impl Update for Adagrad {
    fn check(&self) -> Result<()> {
        not_negative("lr_decay", self.lr_decay, "0.01")?;
        not_negative("eps", self.eps, "1e-10")?;
        not_negative("weight_decay", self.weight_decay, "1e-4")
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn keeps(&self) -> &'static [&'static str] {
        &["squares"]
    }

    fn step(&self, x: Tensor<1>, g: Tensor<1>, at: At) -> Tensor<1> {
        let rate = at.rate / (1.0 + (at.past.steps - 1) as f64 * self.lr_decay);
        let g = at.decayed(g, &x);
        let s = at.past.sum("squares", 1.0, g.clone().square());
        x - g / (s.sqrt() + self.eps) * rate
    }
}

/// RMSprop (Hinton, 2012, lecture 6e), centered (Graves, 2013), with momentum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RmsProp {
    /// Decay of the mean square.
    pub alpha: f64,
    /// Added to its root.
    pub eps: f64,
    /// Added to the gradient: `weight_decay` times the weight.
    pub weight_decay: f64,
    /// Share of the velocity that is kept each step; 0 for none at all.
    pub momentum: f64,
    /// Divides by the standard deviation: the mean is taken from the mean square.
    pub centered: bool,
}

impl Default for RmsProp {
    fn default() -> Self {
        Self { alpha: 0.99, eps: 1e-8, weight_decay: 0.0, momentum: 0.0, centered: false }
    }
}

impl Update for RmsProp {
    fn check(&self) -> Result<()> {
        below_one("alpha", self.alpha)?;
        below_one("momentum", self.momentum)?;
        not_negative("eps", self.eps, "1e-8")?;
        not_negative("weight_decay", self.weight_decay, "1e-4")
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn keeps(&self) -> &'static [&'static str] {
        &["square", "mean", "velocity"]
    }

    fn step(&self, x: Tensor<1>, g: Tensor<1>, at: At) -> Tensor<1> {
        let g = at.decayed(g, &x);
        let mut v = at.past.average("square", self.alpha, g.clone().square());
        if self.centered {
            v = v - at.past.average("mean", self.alpha, g.clone()).square();
            // In exact arithmetic it is never below 0.
            v = v.clamp_min(0.0);
        }
        let along = g / (v.sqrt() + self.eps);
        match self.momentum {
            0.0 => x - along * at.rate,
            momentum => x - at.past.sum("velocity", momentum, along) * at.rate,
        }
    }
}

/// Adadelta (Zeiler, 2012), <https://arxiv.org/abs/1212.5701>. Its learning rate is usually 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adadelta {
    /// Decay of both mean squares.
    pub rho: f64,
    /// Added to both under their roots; above 0, since the first step comes from it.
    pub eps: f64,
    /// Added to the gradient: `weight_decay` times the weight.
    pub weight_decay: f64,
}

impl Default for Adadelta {
    fn default() -> Self {
        Self { rho: 0.9, eps: 1e-6, weight_decay: 0.0 }
    }
}

impl Update for Adadelta {
    fn check(&self) -> Result<()> {
        below_one("rho", self.rho)?;
        if self.eps == 0.0 {
            let error = Error::input("0 would let no weight move").place("optimizer.eps");
            return Err(error.hint("above 0, as 1e-6"));
        }
        not_negative("eps", self.eps, "1e-6")?;
        not_negative("weight_decay", self.weight_decay, "1e-4")
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn keeps(&self) -> &'static [&'static str] {
        &["square", "moved"]
    }

    fn step(&self, x: Tensor<1>, g: Tensor<1>, at: At) -> Tensor<1> {
        let g = at.decayed(g, &x);
        let v = at.past.average("square", self.rho, g.clone().square());
        let u = at.past.take("moved").unwrap_or_else(|| x.zeros_like());
        let along = (u.clone() + self.eps).sqrt() / (v + self.eps).sqrt() * g;
        at.past.keep("moved", u * self.rho + along.clone().square() * (1.0 - self.rho));
        x - along * at.rate
    }
}
