//! Learning rate schedules: the rate of a step as a function of its number and of the epochs done, so that nothing has
//! to be restored.

mod course;
mod one_cycle;
mod plateau;
mod resolve;

use std::f64::consts::PI;

use kiln_core::Result;
use serde::{Deserialize, Deserializer, Serialize};

use crate::EpochSummary;
use crate::shared_keys::take_out;

pub use course::{Course, Part};
pub use one_cycle::{Anneal, OneCycle};
pub use plateau::{Plateau, Watched};

/// How the learning rate changes over a run, as an experiment says it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScheduleConfig {
    /// Its course.
    #[serde(flatten)]
    pub course: Course,
    /// What comes first.
    pub warmup: Warmup,
}

impl Default for ScheduleConfig {
    /// The same rate all along.
    fn default() -> Self {
        Self { course: Course::Constant {}, warmup: Warmup::default() }
    }
}

impl<'de> Deserialize<'de> for ScheduleConfig {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Shared {
            #[serde(default)]
            warmup: Warmup,
        }
        let (Shared { warmup }, course) = take_out(from, &["warmup"])?;
        Ok(Self { course, warmup })
    }
}

/// A linear rise of the rate before the schedule proper (Goyal et al., 2017), <https://arxiv.org/abs/1706.02677>.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warmup {
    /// How long it lasts, in epochs; a fraction will do.
    pub epochs: f64,
    /// The share of the rate that the first step has.
    #[serde(default = "start")]
    pub start: f64,
}

fn start() -> f64 {
    0.1
}

impl Default for Warmup {
    fn default() -> Self {
        Self { epochs: 0.0, start: start() }
    }
}

/// A schedule that knows the length of its run.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    base: f64,
    warmup_steps: usize,
    warmup_start: f64,
    way: Way,
}

/// A course, its lengths in steps.
#[derive(Debug, Clone, PartialEq)]
enum Way {
    Constant,
    Step {
        every: usize,
        gamma: f64,
    },
    Multistep {
        milestones: Vec<usize>,
        gamma: f64,
    },
    Exponential {
        steps_per_epoch: usize,
        gamma: f64,
    },
    Linear {
        steps: usize,
        start: f64,
        end: f64,
    },
    Cosine {
        steps: usize,
        last: f64,
    },
    Polynomial {
        steps: usize,
        last: f64,
        power: f64,
    },
    WarmRestarts {
        first: usize,
        factor: usize,
        last: f64,
    },
    OneCycle {
        steps: usize,
        cycle: OneCycle,
    },
    Plateau(Plateau),
    /// Schedules, each with the step it begins at.
    Sequence(Vec<(usize, Schedule)>),
}

impl Schedule {
    /// The rate of a step, counted from 0, when the epochs of `history` are done.
    pub fn rate(&self, step: usize, history: &[EpochSummary]) -> f64 {
        self.rate_from(0, step, history)
    }

    /// The same for a schedule that began with the run's step `begin`; `step` is counted from there.
    fn rate_from(&self, begin: usize, step: usize, history: &[EpochSummary]) -> f64 {
        let after = step.saturating_sub(self.warmup_steps);
        let between = |last: f64, share: f64| last + (self.base - last) * share;
        let rate = match &self.way {
            Way::Constant => self.base,
            Way::Step { every, gamma } => self.base * gamma.powf((step / every) as f64),
            Way::Multistep { milestones, gamma } => {
                let passed = milestones.iter().filter(|milestone| **milestone <= step).count();
                self.base * gamma.powf(passed as f64)
            }
            Way::Exponential { steps_per_epoch, gamma } => {
                self.base * gamma.powf(step as f64 / *steps_per_epoch as f64)
            }
            Way::Linear { steps, start, end } => self.base * (start + (end - start) * share(after, *steps)),
            Way::Cosine { steps, last } => between(*last, falling_cosine(share(after, *steps))),
            Way::Polynomial { steps, last, power } => {
                between(*last, (1.0 - share(after, *steps)).powf(*power))
            }
            Way::WarmRestarts { first, factor, last } => {
                let (mut step, mut steps) = (after, *first);
                while step >= steps {
                    (step, steps) = (step - steps, steps * factor);
                }
                between(*last, falling_cosine(share(step, steps)))
            }
            Way::OneCycle { steps, cycle } => cycle.rate(self.base, after, *steps),
            Way::Plateau(plateau) => plateau.rate(self.base, history),
            Way::Sequence(parts) => {
                let part = parts.iter().rev().find(|(start, _)| *start <= step);
                part.map_or(self.base, |(start, schedule)| {
                    // A part knows nothing of the epochs that ended before it began.
                    let earlier = history.iter().filter(|epoch| epoch.step <= begin + start).count();
                    schedule.rate_from(begin + start, step - start, &history[earlier..])
                })
            }
        };
        match step < self.warmup_steps {
            true => {
                rate * (self.warmup_start
                    + (1.0 - self.warmup_start) * step as f64 / self.warmup_steps as f64)
            }
            false => rate,
        }
    }
}

/// The share of `steps` that is over.
fn share(step: usize, steps: usize) -> f64 {
    step.min(steps) as f64 / steps.max(1) as f64
}

/// Half a cosine from 1 to 0.
fn falling_cosine(share: f64) -> f64 {
    (1.0 + (PI * share).cos()) / 2.0
}
