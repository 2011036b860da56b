//! The plateau.

use serde::{Deserialize, Serialize};

use crate::EpochSummary;

/// The rate falls when the evaluations no longer get better, as PyTorch's `ReduceLROnPlateau` does it.
///
/// What it has seen is the run's history, which checkpoints hold; so it has no state of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plateau {
    /// What is to get better.
    pub watch: Watched,
    /// What the rate is multiplied with.
    pub factor: f64,
    /// So many evaluations in a row may be no better; with the next the rate falls.
    pub patience: usize,
    /// The share of the best that counts as better.
    pub threshold: f64,
    /// Evaluations after a fall that are not counted.
    pub cooldown: usize,
    /// The rate does not fall below this.
    pub final_rate: f64,
}

/// What decides whether an evaluation is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Watched {
    /// A lower test loss.
    Loss,
    /// A higher score: the task's first figure, or a lower test loss where the task has none.
    Score,
}

impl Default for Plateau {
    fn default() -> Self {
        Self {
            watch: Watched::Loss,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            cooldown: 0,
            final_rate: 0.0,
        }
    }
}

/// PyTorch's: a fall by less than this is none.
const LEAST: f64 = 1e-8;

impl Plateau {
    /// The rate after the evaluations of `history`.
    pub(super) fn rate(&self, base: f64, history: &[EpochSummary]) -> f64 {
        let (mut rate, mut best, mut idle, mut cooldown) = (base, None, 0, 0);
        for epoch in history {
            let (value, is_better) = match (self.watch, epoch.figures.first()) {
                (Watched::Score, Some((_, score))) => {
                    (*score, best.is_none_or(|best: f64| *score > best * (1.0 + self.threshold)))
                }
                _ => {
                    let loss = epoch.test_loss;
                    (loss, best.is_none_or(|best: f64| loss < best * (1.0 - self.threshold)))
                }
            };
            // What is no number is no best either.
            match is_better && !value.is_nan() {
                true => (best, idle) = (Some(value), 0),
                false => idle += 1,
            }
            if cooldown > 0 {
                (cooldown, idle) = (cooldown - 1, 0);
            }
            if idle > self.patience {
                let lower = (rate * self.factor).max(self.final_rate);
                rate = if rate - lower > LEAST { lower } else { rate };
                (cooldown, idle) = (self.cooldown, 0);
            }
        }
        rate
    }
}
