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

/// A linear rise of the rate before the schedule proper (Goyal et al., 2017), <https://arxiv.org/abs/1706.02677>; with it, as YOLOv5
/// to v9 have it, biases begin fast and momentum is gathered slowly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warmup {
    /// How long it lasts, in epochs; a fraction will do.
    pub epochs: f64,
    /// The share of the rate that the first step has.
    #[serde(default = "start")]
    pub start: f64,
    /// The rate that biases begin with, in place of that share: YOLOv5's is 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_rate: Option<f64>,
    /// The momentum that SGD begins with, in place of its own: YOLOv5's is 0.8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
}

fn start() -> f64 {
    0.1
}

impl Default for Warmup {
    fn default() -> Self {
        Self { epochs: 0.0, start: start(), bias_rate: None, momentum: None }
    }
}

/// A schedule that knows the length of its run.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    base: f64,
    warmup: Warmup,
    warmup_steps: usize,
    way: Way,
}

/// How far a step goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// The learning rate.
    pub rate: f64,
    /// That of biases, those of norms among them.
    pub biases: f64,
    /// The momentum that SGD warms up from, and how much of the way to its own is done.
    pub momentum: Option<(f64, f64)>,
}

impl From<f64> for Pace {
    /// One rate for all.
    fn from(rate: f64) -> Self {
        Self { rate, biases: rate, momentum: None }
    }
}

impl Pace {
    /// The momentum of this step where it is else `own`.
    pub fn momentum(&self, own: f64) -> f64 {
        self.momentum.map_or(own, |(from, share)| from + (own - from) * share)
    }
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
    /// How far a step, counted from 0, goes when the epochs of `history` are done.
    pub fn pace(&self, step: usize, history: &[EpochSummary]) -> Pace {
        let rate = self.rate(step, history);
        if step >= self.warmup_steps {
            return rate.into();
        }
        let Warmup { bias_rate, momentum, .. } = self.warmup;
        let share = step as f64 / self.warmup_steps as f64;
        let warm = self.warm_rate(0, step, history);
        let biases = bias_rate.map_or(rate, |from| from + (warm - from) * share);
        Pace { rate, biases, momentum: momentum.map(|from| (from, share)) }
    }

    /// The rate of a step, counted from 0, when the epochs of `history` are done.
    pub fn rate(&self, step: usize, history: &[EpochSummary]) -> f64 {
        self.rate_from(0, step, history)
    }

    /// The same for a schedule that began with the run's step `begin`; `step` is counted from there.
    fn rate_from(&self, begin: usize, step: usize, history: &[EpochSummary]) -> f64 {
        let (rate, Warmup { start, .. }) = (self.warm_rate(begin, step, history), self.warmup);
        match step < self.warmup_steps {
            true => rate * (start + (1.0 - start) * step as f64 / self.warmup_steps as f64),
            false => rate,
        }
    }

    /// What that would be without a warm-up.
    fn warm_rate(&self, begin: usize, step: usize, history: &[EpochSummary]) -> f64 {
        let after = step.saturating_sub(self.warmup_steps);
        let between = |last: f64, share: f64| last + (self.base - last) * share;
        match &self.way {
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
