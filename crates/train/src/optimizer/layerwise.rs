//! Rates of a layer's own, for large batches: each layer moves by a share of its length.

use burn::prelude::*;
use kiln_core::Result;
use serde::{Deserialize, Serialize};

use super::rule::{At, Update, below_one, both_below_one, length, not_negative};

/// LARS (You et al., 2017, Algorithm 1), <https://arxiv.org/abs/1708.03888>.
///
/// Norms and biases, unless `decay_norms_and_biases` is set, take plain steps with momentum: a bias that begins at 0 has no
/// length to move by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lars {
    /// Share of the velocity that is kept each step.
    pub momentum: f64,
    /// Added to the gradient: `weight_decay` times the weight.
    pub weight_decay: f64,
    /// The share of its length that a layer moves by, times the rate.
    pub trust: f64,
}

impl Default for Lars {
    fn default() -> Self {
        Self { momentum: 0.9, weight_decay: 0.0, trust: 1e-3 }
    }
}

impl Update for Lars {
    fn check(&self) -> Result<()> {
        below_one("momentum", self.momentum)?;
        not_negative("trust", self.trust, "1e-3")?;
        not_negative("weight_decay", self.weight_decay, "1e-4")
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn keeps(&self) -> &'static [&'static str] {
        &["velocity"]
    }

    fn step(&self, x: Tensor<1>, g: Tensor<1>, at: At) -> Tensor<1> {
        let (size, slope) = (length(&x), length(&g));
        let local = match at.full && size > 0.0 && slope > 0.0 {
            true => self.trust * size / (slope + at.decay * size),
            false => 1.0,
        };
        let g = at.decayed(g, &x);
        x - at.past.sum("velocity", self.momentum, g * (at.rate * local))
    }
}

/// LAMB (You et al., 2020, Algorithm 2), <https://arxiv.org/abs/1904.00962>: Adam's direction, a layer's own length.
///
/// Norms and biases, unless `decay_norms_and_biases` is set, take Adam's steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lamb {
    /// Decay of the first and the second moment.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Added to Adam's direction: `weight_decay` times the weight.
    pub weight_decay: f64,
}

impl Default for Lamb {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-6, weight_decay: 0.01 }
    }
}

impl Update for Lamb {
    fn check(&self) -> Result<()> {
        both_below_one("betas", self.betas)?;
        not_negative("eps", self.eps, "1e-6")?;
        not_negative("weight_decay", self.weight_decay, "0.01")
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn keeps(&self) -> &'static [&'static str] {
        &["first", "second"]
    }

    fn step(&self, x: Tensor<1>, g: Tensor<1>, at: At) -> Tensor<1> {
        let [first, second] = self.betas.map(|beta| at.correction(beta));
        let m = at.past.average("first", self.betas[0], g.clone()) / first;
        let v = at.past.average("second", self.betas[1], g.square()) / second;
        let r = m / (v.sqrt() + self.eps);
        let along = at.decayed(r, &x);
        let (size, slope) = (length(&x), length(&along));
        let local = if at.full && size > 0.0 && slope > 0.0 { size / slope } else { 1.0 };
        x - along * (at.rate * local)
    }
}
