//! The training loop and what it stands on: optimizers and schedules with PyTorch's semantics, checkpoints from which
//! a run goes on as if it had never stopped, and observers that write down what happens.
//!
//! [`Trainer::fit`] is the entry. It is generic over the network, the task and the batches, and knows none by name.

mod average;
mod begin;
mod checkpoint;
mod clip;
mod evaluate;
mod event;
mod files;
mod finder;
mod fit;
mod freeze;
mod histogram;
mod log;
mod metrics;
mod noise;
mod optimizer;
mod parameters;
mod recipe;
mod sam;
mod saving;
mod schedule;
mod shared_keys;
mod state;
mod statistics;
mod step;
mod tensorboard;
mod times;
mod walk;

pub use average::{Average, Averaged, RunningStatistics};
pub use checkpoint::{Checkpoint, latest};
pub use clip::Clip;
pub use event::{Event, Observer};
pub use finder::{RateFinder, Sweep, TriedRate};
pub use fit::{Fit, Length, Outcome, Trainer};
pub use freeze::Freeze;
pub use histogram::{Histogram, SHARES};
pub use log::Log;
pub use metrics::MetricsFiles;
pub use noise::{Estimate, GradientNoise, Moments, NoiseProbe};
pub use optimizer::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, Group, Lamb, Lars, LayerDecay, Lion, NAdam, Optimizer,
    OptimizerConfig, RAdam, RmsProp, Rule, Sgd, Swats,
};
pub use parameters::{Parameter, parameters};
pub use recipe::{EarlyStop, Recipe};
pub use sam::Sam;
pub use saving::Saving;
pub use schedule::{
    Anneal, Course, OneCycle, Pace, Part, Plateau, Schedule, ScheduleConfig, Warmup, Watched,
};
pub use state::{EpochSummary, Place, Tried};
pub use tensorboard::TensorBoard;
pub use times::Times;
