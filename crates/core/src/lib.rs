//! The words that every Kiln crate shares: what a batch, a truth and a prediction are, the contract between networks
//! and tasks, a device by its name, and the one error type.
//!
//! Nothing here knows a model, a data set or a file format.

mod batch;
mod box_regression;
mod caught;
mod detection;
mod device;
mod error;
mod geometry;
mod letterbox;
mod network;
mod overlap;
mod prediction;
mod task;
mod truth;

pub use batch::{Batch, Batches};
pub use box_regression::BoxRegression;
pub use caught::caught;
pub use detection::{Level, Predictions, corners, rows};
pub use device::{device, devices_compiled_in};
pub use error::{Error, Kind, Result, nearest};
pub use geometry::BoundingBox;
pub use letterbox::{Letterbox, Letterboxing};
pub use network::{Network, learnable_parameters, without_gradient};
pub use overlap::Overlap;
pub use prediction::{ClassProbability, Detection, LabelLogits, Logits};
pub use task::{Losses, Score, Task};
pub use truth::{IGNORED, Keypoint, LabelMap, Mask, Object, Truth};
