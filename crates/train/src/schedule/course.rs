//! The courses that a rate can take, as typed.

use serde::{Deserialize, Serialize};

use super::{OneCycle, Plateau, ScheduleConfig};

/// The course of a learning rate by its name. Epochs may be fractions everywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Course {
    /// The same rate all along.
    Constant {},
    /// Times `gamma` every so many epochs.
    Step {
        /// Epochs between two falls, counted from the beginning of the warm-up.
        every_epochs: f64,
        /// What the rate is multiplied with.
        #[serde(default = "tenth")]
        gamma: f64,
    },
    /// Times `gamma` at each milestone. Milestones are given in epochs or in steps, counted from the beginning of the warm-up.
    Multistep {
        /// Epochs after which the rate falls.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        milestones: Vec<f64>,
        /// Steps after which the rate falls.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        milestones_steps: Vec<usize>,
        /// What the rate is multiplied with.
        #[serde(default = "tenth")]
        gamma: f64,
    },
    /// Times `gamma` over each epoch, a little with every step, counted from the beginning of the warm-up.
    Exponential {
        /// What the rate is multiplied with.
        gamma: f64,
    },
    /// A straight line between two shares of the rate, and level after it.
    Linear {
        /// The share that the first step after the warm-up has.
        start: f64,
        /// The share at the end of the line.
        #[serde(default = "one")]
        end: f64,
        /// How long the line is; to the end of the run if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epochs: Option<f64>,
    },
    /// Half a cosine from the end of the warm-up to the end of the run (Loshchilov and Hutter, 2017),
    /// <https://arxiv.org/abs/1608.03983>.
    Cosine {
        /// The rate at the end.
        #[serde(default)]
        final_rate: f64,
    },
    /// A power of what is left of the run, from the end of the warm-up to its end; power 1 is a straight line.
    Polynomial {
        /// 1 if left out.
        #[serde(default = "one")]
        power: f64,
        /// The rate at the end.
        #[serde(default)]
        final_rate: f64,
    },
    /// Half cosines, each of which begins at the full rate (Loshchilov and Hutter, 2017).
    WarmRestarts {
        /// How long the first is, from the end of the warm-up.
        first_epochs: f64,
        /// How many times as long as the one before each other is.
        #[serde(default = "once")]
        factor: usize,
        /// The rate at the end of each.
        #[serde(default)]
        final_rate: f64,
    },
    /// Up and down once.
    OneCycle(OneCycle),
    /// Down when the score, or the loss, no longer improves.
    Plateau(Plateau),
    /// One schedule after the other, each as if the run began and ended with it.
    Sequence {
        /// In their order.
        parts: Vec<Part>,
    },
}

/// A schedule of a sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// How long it lasts. The last goes to the end of the run, and has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<f64>,
    /// The schedule.
    pub schedule: ScheduleConfig,
}

fn tenth() -> f64 {
    0.1
}

fn one() -> f64 {
    1.0
}

fn once() -> usize {
    1
}
