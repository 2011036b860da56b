//! How alike a prediction and an object are.

use super::rules::{self, Rules};
use super::runs::Runs;

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

/// Intersection over union of masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskIou;

impl Similarity for MaskIou {
    type Prediction = Runs;
    type Object = Runs;
    const RULES: &'static Rules = &rules::DETECTION;

    /// Masks of images of different sizes are not alike at all.
    fn between(&self, prediction: &Runs, object: &Runs, crowd: bool) -> f64 {
        if prediction.size() != object.size() {
            return 0.0;
        }
        let intersection = prediction.intersection(object);
        if intersection == 0 {
            return 0.0;
        }
        let predicted = prediction.area();
        let union = if crowd { predicted } else { predicted + object.area() - intersection };
        intersection as f64 / union as f64
    }
}

/// The keypoints of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct TruePose {
    /// Those that are marked, in the data set's order.
    pub points: Vec<Option<[f64; 2]>>,
    /// The box around the object.
    pub bounds: XywhBox,
    /// Square pixels.
    pub area: f64,
}

/// Object keypoint similarity: for each marked point a bell curve of how far off it is, by the size of the object and by
/// how well people agree on such a point; the mean over the points.
#[derive(Debug, Clone, PartialEq)]
pub struct Oks {
    /// How far people's marks of each point lie apart, by the root of the object's area.
    pub sigmas: Vec<f64>,
}

impl Oks {
    /// For COCO's 17 points of a person, the nose first, the right ankle last.
    pub fn coco() -> Self {
        let hundredths = [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89];
        Self { sigmas: hundredths.map(|sigma| f64::from(sigma) / 100.0 / 10.0).into() }
    }
}

impl Similarity for Oks {
    /// A place for each of the points.
    type Prediction = Vec<[f64; 2]>;
    type Object = TruePose;
    const RULES: &'static Rules = &rules::KEYPOINTS;

    /// Without a marked point it is what the points are outside of a box three times as wide and high that counts.
    fn between(&self, prediction: &Vec<[f64; 2]>, object: &TruePose, _crowd: bool) -> f64 {
        let [x, y, width, height] = object.bounds;
        let is_marked = object.points.iter().any(Option::is_some);
        let outside = |at: f64, start: f64, size: f64| {
            (start - size - at).max(0.0) + (at - (start + size * 2.0)).max(0.0)
        };
        let (mut sum, mut count) = (0.0, 0usize);
        for ((sigma, predicted), actual) in self.sigmas.iter().zip(prediction).zip(&object.points) {
            let [dx, dy] = match (actual, is_marked) {
                (Some(actual), _) => [predicted[0] - actual[0], predicted[1] - actual[1]],
                (None, true) => continue,
                (None, false) => [outside(predicted[0], x, width), outside(predicted[1], y, height)],
            };
            let variance = (sigma * 2.0) * (sigma * 2.0);
            sum += (-((dx * dx + dy * dy) / variance / (object.area + f64::EPSILON) / 2.0)).exp();
            count += 1;
        }
        sum / count.max(1) as f64
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

    /// A person of 100x100 with points at 50, 50, all 17 predicted `off` pixels to the right.
    fn oks(marked: impl Fn(usize) -> bool, off: f64) -> f64 {
        let points = (0..17).map(|at| marked(at).then_some([50.0, 50.0])).collect();
        let object = TruePose { points, bounds: [0.0, 0.0, 100.0, 100.0], area: 1e4 };
        Oks::coco().between(&vec![[50.0 + off, 50.0]; 17], &object, false)
    }

    #[test]
    fn keypoints_that_are_ten_pixels_off_are_as_alike_as_worked_out_by_hand() {
        // exp(-100 / (2 * 1e4 * (2 sigma)^2)): 0.157 for the nose (0.026), 0.897 for a hip (0.107).
        let close = |value: f64, expected: f64| (value - expected).abs() < 1e-10;
        assert!(close(oks(|at| at == 0, 10.0), 0.157_376_787_9));
        assert!(close(oks(|at| at == 11, 10.0), 0.896_569_163_1));
        assert!(close(oks(|_| true, 10.0), 0.646_994_765_1));
        assert_eq!(oks(|_| true, 0.0), 1.0);
        // Without a mark what is within a box from -100 to 200 is right; at 210 it is 10 off.
        assert_eq!(oks(|_| false, 150.0), 1.0);
        assert!(close(oks(|_| false, 160.0), 0.646_994_765_1));
    }
}
