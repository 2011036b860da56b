//! What is learned: for each task its loss and its score.

pub mod average_precision;
mod classification;
mod confusion;
mod detection_score;
mod loss;
mod voc;

pub use average_precision::AveragePrecision;
pub use classification::{Classification, ClassificationScore};
pub use confusion::ConfusionMatrix;
pub use detection_score::DetectionScore;
pub use loss::ClassificationLoss;
pub use voc::{VocAverage, VocScore};
