//! What is learned: for each task its loss and its score.

mod classification;
mod confusion;

pub use classification::{Classification, ClassificationScore};
pub use confusion::ConfusionMatrix;
