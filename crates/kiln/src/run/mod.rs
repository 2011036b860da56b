//! A run: its folder, who watches it, and the report at its end.

mod environment;
mod folder;
mod histograms;
mod progress;
mod steps;
mod summary;
mod weights;

pub use environment::environment;
pub use folder::RunFolder;
pub use histograms::{Histograms, Of, Row};
pub use progress::{Progress, bar};
pub use steps::Steps;
pub use summary::write_report;
pub use weights::BestAndLast;
