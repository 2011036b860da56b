//! Non-maximum suppression: of many boxes around one object the best remains, or the others count less.

mod greedy;
mod matrix;
mod soft;
#[cfg(test)]
mod tests;

use kiln_core::{BoundingBox, Error, Overlap, Result};
use serde::{Deserialize, Serialize};

/// What becomes of a box that overlaps a better one. Of equal scores, the one that comes first in the slice is better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Suppression {
    /// It is dropped: torchvision's `nms`, comparison in 64 bits included.
    Greedy {
        /// An IoU above it is an overlap.
        threshold: f64,
    },
    /// It is dropped if it is the same object's by its place too: DIoU in place of IoU (Zheng et al. 2020, "Distance-IoU
    /// loss", Section 3.4).
    Distance {
        /// A DIoU above it is an overlap.
        threshold: f64,
    },
    /// Its score is multiplied by 1 - IoU (Bodla et al. 2017, "Soft-NMS: Improving object detection with one line of code").
    SoftLinear {
        /// An IoU above it is an overlap; the paper's is 0.3.
        threshold: f64,
        /// Lower scores are dropped.
        least: f64,
    },
    /// Its score is multiplied by e^(-IoU²/σ) (same paper).
    SoftGaussian {
        /// σ; the paper's is 0.5.
        sigma: f64,
        /// Lower scores are dropped.
        least: f64,
    },
    /// Its score is multiplied by (1 - IoU) / (1 - the better one's own largest IoU with one better still), the least of all
    /// these (Wang et al. 2020, "SOLOv2: Dynamic and fast instance segmentation", Section 3.3). One pass, nothing waits for
    /// another's outcome.
    MatrixLinear {
        /// Lower scores are dropped.
        least: f64,
    },
    /// As that, with e^(-IoU²/σ) in place of 1 - IoU (same paper).
    MatrixGaussian {
        /// σ; the authors' is 0.5, which their code writes as a factor of 2.
        sigma: f64,
        /// Lower scores are dropped.
        least: f64,
    },
}

/// A box that remains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kept {
    /// Its place in the slice.
    pub index: usize,
    /// Its score, perhaps lowered.
    pub score: f32,
}

impl Suppression {
    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// A threshold or a least score that is no share, a σ that is not positive.
    pub fn check(self) -> Result<()> {
        let share = |key: &str, value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => Err(Error::input(format!("`{key}` is {value}")).hint("from 0 to 1")),
        };
        match self {
            Self::Greedy { threshold } | Self::Distance { threshold } => share("threshold", threshold),
            Self::SoftLinear { threshold, least } => {
                share("threshold", threshold).and_then(|()| share("least", least))
            }
            Self::MatrixLinear { least } => share("least", least),
            Self::SoftGaussian { sigma, .. } | Self::MatrixGaussian { sigma, .. }
                if !(sigma > 0.0 && sigma.is_finite()) =>
            {
                Err(Error::input(format!("`sigma` is {sigma}")).hint("a positive number, as 0.5"))
            }
            Self::SoftGaussian { least, .. } | Self::MatrixGaussian { least, .. } => share("least", least),
        }
    }

    /// The boxes that remain of all, whatever their class, the best first. A score that is no number is dropped.
    ///
    /// # Panics
    /// If there are not as many boxes as scores.
    pub fn keep(self, boxes: &[BoundingBox], scores: &[f32]) -> Vec<Kept> {
        assert_eq!(boxes.len(), scores.len(), "boxes and scores");
        self.keep_of(boxes, scores, best_first(scores))
    }

    /// The boxes that remain if those of different classes leave each other alone, the best first.
    ///
    /// # Panics
    /// If there are not as many boxes as scores and classes.
    pub fn keep_by_class(self, boxes: &[BoundingBox], scores: &[f32], classes: &[usize]) -> Vec<Kept> {
        assert!(boxes.len() == scores.len() && boxes.len() == classes.len(), "boxes, scores and classes");
        let mut order = best_first(scores);
        // Stable: within a class, the best remain first.
        order.sort_by_key(|index| classes[*index]);
        let of_class = order.chunk_by(|a, b| classes[*a] == classes[*b]);
        let mut kept: Vec<Kept> =
            of_class.flat_map(|order| self.keep_of(boxes, scores, order.to_vec())).collect();
        sort(&mut kept);
        kept
    }

    /// Of the boxes of `order`, the best first.
    fn keep_of(self, boxes: &[BoundingBox], scores: &[f32], order: Vec<usize>) -> Vec<Kept> {
        match self {
            Self::Greedy { threshold } => greedy::keep(Overlap::Iou, threshold, boxes, scores, order),
            Self::Distance { threshold } => greedy::keep(Overlap::Diou, threshold, boxes, scores, order),
            Self::SoftLinear { threshold, least } => {
                let decay = |iou: f64| if iou > threshold { 1.0 - iou } else { 1.0 };
                soft::keep(decay, least, boxes, scores, order)
            }
            Self::SoftGaussian { sigma, least } => soft::keep(gaussian(sigma), least, boxes, scores, order),
            Self::MatrixLinear { least } => matrix::keep(|iou| 1.0 - iou, least, boxes, scores, &order),
            Self::MatrixGaussian { sigma, least } => {
                matrix::keep(gaussian(sigma), least, boxes, scores, &order)
            }
        }
    }
}

fn gaussian(sigma: f64) -> impl Fn(f64) -> f64 {
    move |iou| (-iou * iou / sigma).exp()
}

/// The places of the scores, the highest first, of equals the first one.
fn best_first(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).filter(|index| !scores[*index].is_nan()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}

/// The best first, of equals the one that came first.
fn sort(kept: &mut [Kept]) {
    kept.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index)));
}
