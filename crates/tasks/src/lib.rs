//! What is learned: for each task its loss and its score.

pub mod average_precision;
mod box_overlap;
mod classification;
mod confusion;
mod detection;
mod detection_score;
mod loss;
mod segmentation;
mod smooth_l1;
mod suppression;
mod voc;

pub use average_precision::AveragePrecision;
pub use box_overlap::{overlap_of_all, overlap_of_rows};
pub use classification::{Classification, ClassificationScore};
pub use confusion::ConfusionMatrix;
pub use detection::{
    Assignment, DetectionLoss, ObjectDetection, ObjectDetectionScore, Place, Selection, assignments, learned,
};
pub use detection_score::DetectionScore;
pub use loss::ClassificationLoss;
pub use segmentation::{
    BoundaryScore, DenseCrf, LabelCounts, Labels, SegmentationLoss, SegmentationScore, SemanticSegmentation,
    WeightedLoss, boundary_f, label_maps, true_labels,
};
pub use smooth_l1::{SmoothL1Loss, SmoothL1LossConfig};
pub use suppression::{Kept, Suppression};
pub use voc::{VocAverage, VocScore};
