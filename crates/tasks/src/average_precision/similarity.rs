//! How alike a prediction and an object are.

use super::rules::{self, Rules};

/// A measure between 0 and 1 of how well a prediction says where an object is.
pub trait Similarity {
    /// Where a prediction says that something is.
    type Prediction;
    /// Where an object is.
    type Object;
    /// What else is asked of such predictions.
    const RULES: &'static Rules;

    /// The similarity; with a `crowd` the share of the prediction that lies in it.
    fn between(&self, prediction: &Self::Prediction, object: &Self::Object, crowd: bool) -> f64;
}

/// A box as COCO's files have it: left edge, upper edge, width, height, in pixels.
pub type XywhBox = [f64; 4];

/// Intersection over union of boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoxIou;

impl Similarity for BoxIou {
    type Prediction = XywhBox;
    type Object = XywhBox;
    const RULES: &'static Rules = &rules::DETECTION;

    /// In the order in which pycocotools computes it, so that similarities fall on the same side of a threshold.
    fn between(&self, prediction: &XywhBox, object: &XywhBox, crowd: bool) -> f64 {
        let [p, o] = [prediction, object];
        let width = (p[2] + p[0]).min(o[2] + o[0]) - p[0].max(o[0]);
        let height = (p[3] + p[1]).min(o[3] + o[1]) - p[1].max(o[1]);
        if width <= 0.0 || height <= 0.0 {
            return 0.0;
        }
        let intersection = width * height;
        let (predicted, actual) = (p[2] * p[3], o[2] * o[3]);
        let union = if crowd { predicted } else { predicted + actual - intersection };
        intersection / union
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_union_with_a_crowd_is_the_prediction() {
        // Two boxes of 4x2 and 2x4 that share 2x2 (concepts: IoU 1/3): 4 / (8 + 8 - 4), and 4 / 8 of the prediction.
        let (wide, high) = ([0.0, 0.0, 4.0, 2.0], [1.0, 0.0, 2.0, 4.0]);
        assert_eq!(BoxIou.between(&wide, &high, false), 4.0 / 12.0);
        assert_eq!(BoxIou.between(&wide, &high, true), 4.0 / 8.0);
        // Edges that touch share nothing.
        assert_eq!(BoxIou.between(&wide, &[4.0, 0.0, 1.0, 1.0], true), 0.0);
    }
}
