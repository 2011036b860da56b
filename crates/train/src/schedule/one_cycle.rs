//! One cycle.

use serde::{Deserialize, Serialize};

use super::falling_cosine;

/// Up from a low rate to the learning rate and down to a far lower one (Smith and Topin, 2018),
/// <https://arxiv.org/abs/1708.07120>; as PyTorch has it, the momentum left as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OneCycle {
    /// The share of the steps that the rate rises for.
    pub pct_start: f64,
    /// The learning rate over the first one.
    pub div_factor: f64,
    /// The first rate over the last one.
    pub final_div_factor: f64,
    /// How it goes from one to the other.
    pub anneal: Anneal,
    /// Falls as long as it has risen, to the first rate, and then to the last one, rather than at once.
    pub three_phase: bool,
}

/// How a rate goes from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anneal {
    /// By half a cosine.
    Cosine,
    /// In a straight line.
    Linear,
}

impl Default for OneCycle {
    fn default() -> Self {
        Self {
            pct_start: 0.3,
            div_factor: 25.0,
            final_div_factor: 1e4,
            anneal: Anneal::Cosine,
            three_phase: false,
        }
    }
}

impl OneCycle {
    /// The rate of a step of `steps` whose highest rate is `highest`.
    pub(super) fn rate(&self, highest: f64, step: usize, steps: usize) -> f64 {
        let (step, steps) = (step as f64, steps as f64);
        let first = highest / self.div_factor;
        let last = first / self.final_div_factor;
        let top = self.pct_start * steps - 1.0;
        // Each leg ends at a step, with a rate.
        let legs = match self.three_phase {
            true => vec![(top, highest), (2.0 * top, first), (steps - 1.0, last)],
            false => vec![(top, highest), (steps - 1.0, last)],
        };
        let mut from = (0.0, first);
        for to in legs {
            if step <= to.0 && to.0 > from.0 {
                let share = (step - from.0) / (to.0 - from.0);
                let left = match self.anneal {
                    Anneal::Cosine => falling_cosine(share),
                    Anneal::Linear => 1.0 - share,
                };
                return to.1 + (from.1 - to.1) * left;
            }
            from = to;
        }
        last
    }
}
