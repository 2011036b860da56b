//! A run: its folder, who watches it, and the report at its end.

mod environment;
mod folder;
mod histograms;
mod lock;
mod progress;
mod pulse;
mod rows;
mod steps;
mod summary;
mod weights;

pub use environment::environment;
pub use folder::RunFolder;
pub(crate) use histograms::layer_of;
pub use histograms::{Histograms, Of, Row};
pub use lock::{Life, Lock};
pub use progress::{Progress, bar};
pub use pulse::{Pulse, Stage, Standing};
pub use steps::Steps;
pub use summary::write_report;
pub use weights::BestAndLast;
