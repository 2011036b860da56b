//! The sign of the gradients.

use burn::prelude::*;
use kiln_core::Result;
use serde::{Deserialize, Serialize};

use super::rule::{At, Update, both_below_one, not_negative};

/// Lion (Chen et al., 2023), <https://arxiv.org/abs/2302.06675>. It wants a rate 3 to 10 times smaller than AdamW, and a
/// decay so much larger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lion {
    /// Shares of the average that are kept: in what the step goes along, and in what is remembered.
    pub betas: [f64; 2],
    /// Each step shrinks the weight by `weight_decay` times the rate.
    pub weight_decay: f64,
}

impl Default for Lion {
    fn default() -> Self {
        Self { betas: [0.9, 0.99], weight_decay: 0.0 }
    }
}

impl Update for Lion {
    fn check(&self) -> Result<()> {
        both_below_one("betas", self.betas)?;
        not_negative("weight_decay", self.weight_decay, "0.1")
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn keeps(&self) -> &'static [&'static str] {
        &["first"]
    }

    fn step(&self, x: Tensor<1>, g: Tensor<1>, at: At) -> Tensor<1> {
        let m = at.past.take("first").unwrap_or_else(|| x.zeros_like());
        let c = m.clone() * self.betas[0] + g.clone() * (1.0 - self.betas[0]);
        at.past.keep("first", m * self.betas[1] + g * (1.0 - self.betas[1]));
        x * (1.0 - at.rate * at.decay) - c.sign() * at.rate
    }
}
