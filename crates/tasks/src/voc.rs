//! Average precision as PASCAL VOC has it: Everingham et al. 2010, *The PASCAL Visual Object Classes (VOC) Challenge*,
//! Section 4.2, and the challenge's development kit.
//!
//! Boxes here are by their edges, so that the first pixel is from 0 to 1; the kit's, by whole pixels from 1 on and both
//! ends included, are the same with 1 taken from their left and upper numbers.

use std::cmp::Reverse;

use crate::average_precision::{Actual, BoxIou, Curve, Predicted, Similarity, XywhBox, ordered};

/// The least overlap of a prediction that has found an object.
const OVERLAP: f64 = 0.5;

/// How the precision is averaged over recall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VocAverage {
    /// At eleven recalls, until 2009: VOC2007's figures.
    Of11,
    /// At all recalls, since 2010.
    OfAll,
}

/// Predictions of boxes, gathered image by image. Objects that are `ignored` are VOC's difficult ones; it has no crowds.
#[derive(Debug, Clone)]
pub struct VocScore {
    classes: Vec<Class>,
}

#[derive(Debug, Clone, Default)]
struct Class {
    /// The score of each prediction that counts, and whether it has found an object.
    predictions: Vec<(f64, bool)>,
    /// Objects to be found.
    objects: usize,
}

impl VocScore {
    /// Of `num_classes` classes, nothing gathered.
    pub fn new(num_classes: usize) -> Self {
        Self { classes: vec![Class::default(); num_classes] }
    }

    /// Counts one more image: each prediction, best score first, stands for the object of its class that it overlaps most,
    /// and is wrong if a better one stands for that already.
    ///
    /// # Panics
    /// If a class is not below the number of classes.
    pub fn add(&mut self, predictions: &[Predicted<XywhBox>], objects: &[Actual<XywhBox>]) {
        for object in objects {
            self.classes[object.class].objects += usize::from(!object.ignored);
        }
        let mut predictions: Vec<&Predicted<_>> = predictions.iter().collect();
        predictions.sort_by_key(|prediction| Reverse(ordered(prediction.score)));
        let mut found = vec![false; objects.len()];
        for prediction in predictions {
            let same = objects.iter().enumerate().filter(|(_, object)| object.class == prediction.class);
            let overlaps =
                same.map(|(at, object)| (at, BoxIou.between(&prediction.shape, &object.shape, false)));
            let most = overlaps.reduce(|most, other| if other.1 > most.1 { other } else { most });
            let is_right = match most.filter(|(_, overlap)| *overlap >= OVERLAP) {
                Some((at, _)) if objects[at].ignored => continue,
                Some((at, _)) => !std::mem::replace(&mut found[at], true),
                None => false,
            };
            self.classes[prediction.class].predictions.push((prediction.score, is_right));
        }
    }

    /// Precision and recall of one class.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn curve(&self, class: usize) -> Curve {
        let Class { predictions, objects } = &self.classes[class];
        let mut sorted = predictions.clone();
        sorted.sort_by_key(|(score, _)| Reverse(ordered(*score)));
        Curve::new(sorted, *objects)
    }

    /// The average precision of each class; `None` for a class without objects.
    pub fn per_class(&self, average: VocAverage) -> Vec<Option<f64>> {
        let value = |class| match average {
            VocAverage::Of11 => self.curve(class).average_of_11(),
            VocAverage::OfAll => self.curve(class).average_of_all(),
        };
        (0..self.classes.len()).map(|class| (self.classes[class].objects > 0).then(|| value(class))).collect()
    }

    /// The mean over all classes of which there are objects; `None` without any.
    pub fn mean(&self, average: VocAverage) -> Option<f64> {
        let values: Vec<f64> = self.per_class(average).into_iter().flatten().collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predicted(class: usize, score: f64, shape: XywhBox) -> Predicted<XywhBox> {
        Predicted { class, score, area: shape[2] * shape[3], shape }
    }

    fn actual(class: usize, ignored: bool, shape: XywhBox) -> Actual<XywhBox> {
        Actual { class, area: shape[2] * shape[3], crowd: false, ignored, shape }
    }

    /// Objects of 10x10, `at` tens to the right.
    fn square(at: u32) -> XywhBox {
        [20.0 * f64::from(at), 0.0, 10.0, 10.0]
    }

    #[test]
    fn ten_predictions_of_six_objects_average_as_worked_out_by_hand() {
        // Right, wrong, right, right, wrong, wrong, right, wrong, right, wrong, over two images.
        let mut score = VocScore::new(2);
        let objects = [0, 1, 2].map(|at| actual(1, false, square(at)));
        let first = [(1.0, 0), (0.9, 7), (0.8, 1), (0.7, 2), (0.6, 0)];
        let second = [(0.5, 7), (0.4, 0), (0.3, 0), (0.2, 1), (0.1, 1)];
        for image in [first, second] {
            score.add(&image.map(|(score, at)| predicted(1, score, square(at))), &objects);
        }
        assert_eq!(score.per_class(VocAverage::Of11)[0], None, "of class 0 there is nothing");
        let close =
            |value: Option<f64>, expected: f64| (value.expect("there are objects") - expected).abs() < 1e-10;
        assert!(close(score.mean(VocAverage::Of11), 0.607_503_607_5));
        assert!(close(score.mean(VocAverage::OfAll), 0.604_497_354_5));
    }

    /// Predictions, objects (difficult or not), and whether each prediction that counts is right, by score.
    type Row = (&'static str, Vec<(f64, XywhBox)>, Vec<(bool, XywhBox)>, &'static [bool]);

    #[test]
    fn a_prediction_stands_for_the_object_it_overlaps_most() {
        let half = [0.0, 0.0, 10.0, 5.0];
        let rows: [Row; 5] = [
            ("half is enough", vec![(0.9, half)], vec![(false, square(0))], &[true]),
            ("less is not", vec![(0.9, [0.0, 0.0, 10.0, 4.99])], vec![(false, square(0))], &[false]),
            (
                "the second is wrong",
                vec![(0.8, square(0)), (0.9, half)],
                vec![(false, square(0))],
                &[true, false],
            ),
            (
                "difficult ones do not count",
                vec![(0.9, half), (0.8, square(0))],
                vec![(true, square(0))],
                &[],
            ),
            (
                // It overlaps the second by 10/11, which is found; the first by 9/10 would be free.
                "no prediction takes the second best",
                vec![(0.9, [0.0, 0.0, 11.0, 10.0]), (0.8, [0.0, 0.0, 10.5, 10.0])],
                vec![(false, [0.0, 0.0, 9.0, 10.0]), (false, [0.0, 0.0, 11.0, 10.0])],
                &[true, false],
            ),
        ];
        for (what, predictions, objects, expected) in rows {
            let mut score = VocScore::new(1);
            let predictions: Vec<_> =
                predictions.into_iter().map(|(s, shape)| predicted(0, s, shape)).collect();
            let objects: Vec<_> =
                objects.into_iter().map(|(ignored, shape)| actual(0, ignored, shape)).collect();
            score.add(&predictions, &objects);
            let mut found = score.classes[0].predictions.clone();
            found.sort_by(|a, b| b.0.total_cmp(&a.0));
            let found: Vec<bool> = found.into_iter().map(|(_, is_right)| is_right).collect();
            assert_eq!(found, expected, "{what}");
        }
    }
}
