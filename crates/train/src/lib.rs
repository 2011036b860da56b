//! The training loop and what it stands on: optimizers and schedules with PyTorch's semantics, checkpoints from which
//! a run goes on as if it had never stopped, and observers that write down what happens.
//!
//! [`Trainer::fit`] is the entry. It is generic over the network, the task and the batches, and knows none by name.

mod checkpoint;
mod event;
mod files;
mod finder;
mod fit;
mod log;
mod metrics;
mod optimizer;
mod schedule;
mod shared_keys;
mod state;

pub use checkpoint::{Checkpoint, latest};
pub use event::{Event, Observer};
pub use finder::{RateFinder, Sweep, Tried};
pub use fit::{Fit, Length, Outcome, Trainer};
pub use log::Log;
pub use metrics::MetricsFiles;
pub use optimizer::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, Group, Lamb, Lars, LayerDecay, Lion, NAdam, Optimizer,
    OptimizerConfig, RAdam, RmsProp, Rule, Sgd, Swats,
};
pub use schedule::{Anneal, Course, OneCycle, Part, Plateau, Schedule, ScheduleConfig, Warmup, Watched};
pub use state::{EpochSummary, Place};
