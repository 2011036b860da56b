//! Learning rate schedules: the rate of a step as a function of its number alone, so that nothing has to be restored.

use std::f64::consts::PI;

use kiln_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// How the learning rate changes over a run, as an experiment says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// The same rate all along.
    Constant {
        /// What comes first.
        #[serde(default)]
        warmup: Warmup,
    },
    /// Times `gamma` every so many epochs.
    Step {
        /// Epochs between two falls; a fraction will do.
        every_epochs: f64,
        /// What the rate is multiplied with.
        #[serde(default = "gamma")]
        gamma: f64,
        /// What comes first; the epochs are counted from its beginning.
        #[serde(default)]
        warmup: Warmup,
    },
    /// Times `gamma` at each milestone. Milestones are given in epochs or in steps.
    Multistep {
        /// Epochs after which the rate falls; fractions will do.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        milestones: Vec<f64>,
        /// Steps after which the rate falls.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        milestones_steps: Vec<usize>,
        /// What the rate is multiplied with.
        #[serde(default = "gamma")]
        gamma: f64,
        /// What comes first; milestones are counted from its beginning.
        #[serde(default)]
        warmup: Warmup,
    },
    /// Half a cosine from the end of the warm-up to the end of the run (Loshchilov and Hutter, 2017),
    /// <https://arxiv.org/abs/1608.03983>.
    Cosine {
        /// The rate at the end.
        #[serde(default)]
        final_rate: f64,
        /// What comes first.
        #[serde(default)]
        warmup: Warmup,
    },
    /// A power of what is left of the run, from the end of the warm-up to its end; power 1 is a straight line.
    Polynomial {
        /// 1 if left out.
        #[serde(default = "power")]
        power: f64,
        /// The rate at the end.
        #[serde(default)]
        final_rate: f64,
        /// What comes first.
        #[serde(default)]
        warmup: Warmup,
    },
}

fn power() -> f64 {
    1.0
}

fn gamma() -> f64 {
    0.1
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
    course: Course,
}

#[derive(Debug, Clone, PartialEq)]
enum Course {
    Constant,
    Step { every: usize, gamma: f64 },
    Multistep { milestones: Vec<usize>, gamma: f64 },
    Cosine { steps: usize, last: f64 },
    Polynomial { steps: usize, last: f64, power: f64 },
}

impl ScheduleConfig {
    /// The schedule of a run of `steps` steps, `steps_per_epoch` to the epoch, whose learning rate is `base`.
    ///
    /// # Errors
    /// A rate, a factor or a length that makes no sense, named by its key.
    pub fn resolve(&self, base: f64, steps_per_epoch: usize, steps: usize) -> Result<Schedule> {
        let reject =
            |key: &str, message: String, hint: &str| Err(Error::input(message).place(key).hint(hint));
        let length = |epochs: f64| (epochs * steps_per_epoch as f64).round() as usize;
        let (Self::Constant { warmup }
        | Self::Step { warmup, .. }
        | Self::Multistep { warmup, .. }
        | Self::Cosine { warmup, .. }
        | Self::Polynomial { warmup, .. }) = self;
        if !(base.is_finite() && base > 0.0) {
            return reject("learning_rate", format!("{base} is no rate"), "give a number above 0, as 0.1");
        }
        if let Self::Step { gamma, .. } | Self::Multistep { gamma, .. } = self
            && !(gamma.is_finite() && *gamma > 0.0)
        {
            return reject(
                "schedule.gamma",
                format!("{gamma} is no factor"),
                "give a number above 0, as 0.1",
            );
        }
        if !(0.0..=1.0).contains(&warmup.start) {
            return reject(
                "schedule.warmup.start",
                format!("{} is no share", warmup.start),
                "0 to 1, as 0.1",
            );
        }
        if !(warmup.epochs.is_finite() && warmup.epochs >= 0.0 && length(warmup.epochs) <= steps) {
            let epochs = steps as f64 / steps_per_epoch as f64;
            return reject(
                "schedule.warmup.epochs",
                format!("{} do not fit in a run of {epochs} epochs", warmup.epochs),
                "shorten the warm-up or lengthen the run",
            );
        }
        let warmup_steps = length(warmup.epochs);
        let course = match self {
            Self::Constant { .. } => Course::Constant,
            Self::Step { every_epochs, gamma, .. } => {
                if !(every_epochs.is_finite() && length(*every_epochs) > 0) {
                    return reject(
                        "schedule.every_epochs",
                        format!("{every_epochs} epochs are not a step long"),
                        "give a number above 0, as 30",
                    );
                }
                Course::Step { every: length(*every_epochs), gamma: *gamma }
            }
            Self::Multistep { milestones, milestones_steps, gamma, .. } => {
                if milestones.is_empty() == milestones_steps.is_empty() {
                    return reject(
                        "schedule.milestones",
                        "one of `milestones` (in epochs) and `milestones_steps` is wanted".into(),
                        "as `milestones = [30, 60]`",
                    );
                }
                let epochs_rise =
                    milestones.is_sorted_by(|a, b| a < b) && milestones.iter().all(|m| *m > 0.0);
                if !epochs_rise || !milestones_steps.is_sorted_by(|a, b| a < b) {
                    return reject("schedule.milestones", "do not rise".into(), "as `milestones = [30, 60]`");
                }
                let epochs = milestones.iter().map(|epochs| length(*epochs));
                Course::Multistep {
                    milestones: epochs.chain(milestones_steps.iter().copied()).collect(),
                    gamma: *gamma,
                }
            }
            Self::Polynomial { power, .. } if !(power.is_finite() && *power > 0.0) => {
                return reject(
                    "schedule.power",
                    format!("{power} is no power"),
                    "give a number above 0; 1 is a straight line",
                );
            }
            Self::Cosine { final_rate, .. } | Self::Polynomial { final_rate, .. } => {
                if !(0.0..=base).contains(final_rate) {
                    return reject(
                        "schedule.final_rate",
                        format!("{final_rate} is not between 0 and the learning rate, {base}"),
                        "give the rate of the last step, as 0",
                    );
                }
                let (steps, last) = (steps - warmup_steps, *final_rate);
                match self {
                    Self::Polynomial { power, .. } => Course::Polynomial { steps, last, power: *power },
                    _ => Course::Cosine { steps, last },
                }
            }
        };
        Ok(Schedule { base, warmup_steps, warmup_start: warmup.start, course })
    }
}

impl Schedule {
    /// The rate of a step, counted from 0.
    pub fn rate(&self, step: usize) -> f64 {
        let rate = match &self.course {
            Course::Constant => self.base,
            Course::Step { every, gamma } => self.base * gamma.powf((step / every) as f64),
            Course::Multistep { milestones, gamma } => {
                self.base
                    * gamma.powf(milestones.iter().filter(|milestone| **milestone <= step).count() as f64)
            }
            Course::Cosine { steps, last } => {
                last + (self.base - last) * (1.0 + (PI * self.done(step, *steps)).cos()) / 2.0
            }
            Course::Polynomial { steps, last, power } => {
                last + (self.base - last) * (1.0 - self.done(step, *steps)).powf(*power)
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

    /// The share of the `steps` after the warm-up that is over.
    fn done(&self, step: usize, steps: usize) -> f64 {
        step.saturating_sub(self.warmup_steps).min(steps) as f64 / steps.max(1) as f64
    }
}
