//! What is learned: for each task its loss and its score.

mod classification;
mod confusion;
mod loss;

pub use classification::{Classification, ClassificationScore};
pub use confusion::ConfusionMatrix;
pub use loss::ClassificationLoss;
