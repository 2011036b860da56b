//! Averages of a network's weights over its training.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::prelude::*;
use kiln_core::{Batches, Error, Network, Result};
use kiln_kernels::Sgd;
use serde::{Deserialize, Serialize};

use crate::Place;
use crate::state::exact;
use crate::statistics::recomputed;
use crate::walk::{is_statistic, mapped, values};

/// An average of the weights, kept, evaluated and saved beside the weights that are trained.
///
/// Where an epoch has one, the average's figures say how good the epoch is, and the best network is an average.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Average {
    /// The exponential moving average (Polyak and Juditsky, *Acceleration of stochastic approximation by averaging*, 1992;
    /// in this form Kingma and Ba, *Adam*, 2015, Section 3, <https://arxiv.org/abs/1412.6980>):
    /// v ← d·v + (1 - d)·w from v = 0, and the average is v / (1 - Πd), so that the first one is w itself.
    Ema {
        /// How much of it an update keeps: d.
        #[serde(default = "decay")]
        decay: f64,
        /// The decay of the update number n is d · (1 - e^(-n / `ramp_steps`)), as YOLOv5 has it with 2000; 0: d from the
        /// beginning.
        #[serde(default)]
        ramp_steps: usize,
        /// Steps between two updates.
        #[serde(default = "one")]
        every_steps: usize,
        /// What becomes of running statistics.
        #[serde(default)]
        statistics: RunningStatistics,
    },
    /// Stochastic weight averaging (Izmailov et al., *Averaging Weights Leads to Wider Optima and Better Generalization*,
    /// 2018, <https://arxiv.org/abs/1803.05407>, Algorithm 1): w̄ ← (n·w̄ + w) / (n + 1) at the ends of epochs. After the last
    /// one its running statistics are computed anew over the training images (Section 3.1), and it is evaluated.
    Swa {
        /// Epochs before the first weights that are averaged.
        after_epochs: usize,
        /// Epochs between two weights that are averaged: the length of a cycle.
        #[serde(default = "one")]
        every_epochs: usize,
        /// The learning rate from then on, in place of the schedule's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lr: Option<f64>,
    },
}

/// What becomes of running statistics in a moving average.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunningStatistics {
    /// They are averaged as weights are: what is averaged belongs together.
    #[default]
    Average,
    /// They are those of the trained weights.
    Copy,
}

fn decay() -> f64 {
    0.9999
}

fn one() -> usize {
    1
}

impl Average {
    /// # Errors
    /// A value that makes no sense, named by its key, for a run of so many epochs.
    pub(crate) fn check(&self, epochs: usize) -> Result<()> {
        let reject = |key: &str, message: String, hint: &str| {
            Err(Error::input(message).place(format!("train.average.{key}")).hint(hint))
        };
        match self {
            Self::Ema { decay, .. } if !(0.0..1.0).contains(decay) => {
                reject("decay", format!("{decay} is out of range"), "0 up to, but not, 1, as 0.9999")
            }
            Self::Ema { every_steps: 0, .. } => reject("every_steps", "is 0".into(), "give 1 or more"),
            Self::Swa { every_epochs: 0, .. } => reject("every_epochs", "is 0".into(), "give 1 or more"),
            Self::Swa { lr: Some(lr), .. } if !(lr.is_finite() && *lr > 0.0) => {
                reject("lr", format!("{lr} is no rate"), "give a number above 0, as 0.05")
            }
            Self::Swa { after_epochs, .. } if *after_epochs > epochs => reject(
                "after_epochs",
                format!("is {after_epochs}, but the run has {epochs} epochs"),
                "begin earlier, as after three quarters of the run",
            ),
            _ => Ok(()),
        }
    }

    /// The average of a network that trains, with nothing in it yet.
    pub fn init<N: Network>(&self, network: &N) -> Averaged<N> {
        Averaged::new(self.clone(), network.valid(), Progress::default())
    }

    /// As the name is written in an experiment.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ema { .. } => "ema",
            Self::Swa { .. } => "swa",
        }
    }

    /// The rate of an epoch, counted from 0, where it is not the schedule's.
    pub(crate) fn rate(&self, epoch: usize) -> Option<f64> {
        match self {
            Self::Swa { after_epochs, lr, .. } if epoch >= *after_epochs => *lr,
            _ => None,
        }
    }
}

/// How far an average is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// Weights that went into it.
    pub updates: u64,
    /// Πd: the share that zero, where a moving average began, still has in it.
    #[serde(with = "exact")]
    pub of_zero: f64,
}

impl Default for Progress {
    fn default() -> Self {
        Self { updates: 0, of_zero: 1.0 }
    }
}

/// An average at work.
#[derive(Debug)]
pub struct Averaged<N> {
    config: Average,
    /// In evaluation mode, on a device without autodiff; before the first update, the network that it was made for.
    pub network: N,
    pub(crate) progress: Progress,
}

impl<N: Network> Averaged<N> {
    /// Of a network, which is in evaluation mode.
    pub(crate) fn new(config: Average, network: N, progress: Progress) -> Self {
        Self { config, network, progress }
    }

    /// After a step, which led to `place` in an epoch of so many steps: takes in the network's weights, if it is their turn.
    pub fn update(mut self, network: &N, place: Place, steps: usize) -> Self {
        let Progress { updates, of_zero } = &mut self.progress;
        let (share, statistics) = match self.config {
            Average::Ema { decay, ramp_steps, every_steps, statistics }
                if place.global_step.is_multiple_of(every_steps) =>
            {
                *updates += 1;
                let ramp = match ramp_steps {
                    0 => 1.0,
                    steps => 1.0 - (-(*updates as f64) / steps as f64).exp(),
                };
                *of_zero *= decay * ramp;
                // (v·d + (1 - d)·w) / (1 - Πd), written for the average itself: it moves by this share of the way to w.
                ((1.0 - decay * ramp) / (1.0 - *of_zero), statistics)
            }
            Average::Swa { after_epochs, every_epochs, .. } if place.step == steps => {
                let done = place.epoch + 1;
                if done < after_epochs || !(done - after_epochs).is_multiple_of(every_epochs) {
                    return self;
                }
                *updates += 1;
                (1.0 / *updates as f64, RunningStatistics::Average)
            }
            _ => return self,
        };
        // Burn queues the last update of running statistics; evaluation mode is sure to have it.
        let mut theirs = values(&network.valid());
        let first = *updates == 1;
        self.network = mapped(self.network, |path, ours| match theirs.remove(path) {
            None => ours,
            Some(theirs) if first => theirs,
            Some(theirs) if is_statistic(path) && statistics == RunningStatistics::Copy => theirs,
            Some(theirs) => moved(ours, theirs, share),
        });
        self
    }

    /// Whether it is to be evaluated after the epoch that is done; `ended` with the last one.
    pub(crate) fn is_due(&self, ended: bool) -> bool {
        self.progress.updates > 0 && (ended || matches!(self.config, Average::Ema { .. }))
    }

    /// The average as it is evaluated and saved; `None` if `stop` was set meanwhile.
    pub(crate) fn finished(
        &self,
        train: &impl Batches,
        seed: u64,
        epoch: usize,
        stop: &AtomicBool,
    ) -> Result<Option<N>> {
        match self.config {
            Average::Ema { .. } if stop.load(Ordering::Relaxed) => Ok(None),
            Average::Ema { .. } => Ok(Some(self.network.valid())),
            Average::Swa { .. } => recomputed(&self.network, train, seed, epoch, stop),
        }
    }
}

/// `from` moved by a share of the way to `to`: the step down the slope of ½ (from - to)² whose rate is that share, in one pass.
fn moved(from: Tensor<1>, to: Tensor<1>, share: f64) -> Tensor<1> {
    // from - (-share) · (to + (-1) · from)
    let step = Sgd { rate: -share, momentum: 0.0, dampening: 0.0, nesterov: false, l2: -1.0 };
    kiln_kernels::sgd(from, to, None, step).0
}
