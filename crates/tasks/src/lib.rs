//! What is learned: for each task its loss and its score.

mod box_overlap;
mod classification;
mod confusion;
mod loss;
mod suppression;

pub use box_overlap::{overlap_of_all, overlap_of_rows};
pub use classification::{Classification, ClassificationScore};
pub use confusion::ConfusionMatrix;
pub use loss::ClassificationLoss;
pub use suppression::{Kept, Suppression};
