//! Precision against recall, and what is averaged of it.

/// Precision and recall of one class: a point a prediction that counts, the best score first.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Objects there are to be found.
    pub objects: usize,
    /// The prediction's score.
    pub scores: Vec<f64>,
    /// Of this prediction and all before it, the share that found an object.
    pub precision: Vec<f64>,
    /// Of the objects, the share that this prediction and all before it found; 0 if there are none.
    pub recall: Vec<f64>,
}

impl Curve {
    /// The curve of predictions, the best score first, each with whether it has found one of `objects` objects.
    pub fn new(predictions: impl IntoIterator<Item = (f64, bool)>, objects: usize) -> Self {
        let mut curve = Self { objects, scores: Vec::new(), precision: Vec::new(), recall: Vec::new() };
        let mut found = 0;
        for (at, (score, is_right)) in predictions.into_iter().enumerate() {
            found += usize::from(is_right);
            curve.scores.push(score);
            curve.precision.push(found as f64 / (at + 1) as f64);
            curve.recall.push(found as f64 / objects.max(1) as f64);
        }
        curve
    }

    /// Average precision as PASCAL VOC had it until 2009: the mean, over the recalls 0, 0.1, … 1, of the best precision at
    /// that recall or above (Everingham et al. 2010, *The PASCAL Visual Object Classes Challenge*, Section 4.2).
    pub fn average_of_11(&self) -> f64 {
        let best = |least: f64| {
            let points = self.recall.iter().zip(&self.precision).filter(|(recall, _)| **recall >= least);
            points.map(|(_, precision)| *precision).fold(0.0, f64::max)
        };
        (0..=10).map(|tenth| best(f64::from(tenth) * 0.1)).sum::<f64>() / 11.0
    }

    /// Average precision as PASCAL VOC has it since 2010: the area under the precision, each raised to the best at its
    /// recall or above.
    pub fn average_of_all(&self) -> f64 {
        let (mut area, mut best, mut right) = (0.0, 0.0f64, self.recall.last().copied().unwrap_or(0.0));
        for (recall, precision) in self.recall.iter().zip(&self.precision).rev() {
            area += (right - recall) * best;
            (best, right) = (best.max(*precision), *recall);
        }
        area + right * best
    }

    /// Average precision as COCO has it: the mean over the recalls 0, 0.01, … 1.
    pub fn average_of_101(&self) -> f64 {
        mean_of_101(self.at_101())
    }

    /// The best precision at the recalls 0, 0.01, … 1 or above: what [`average_of_101`](Self::average_of_101) is the mean of.
    pub fn at_101(&self) -> [f64; 101] {
        let risen =
            |at: &usize| self.recall[*at] > at.checked_sub(1).map_or(0.0, |before| self.recall[before]);
        let mut found: Vec<f64> = (0..self.recall.len()).filter(risen).map(|at| self.precision[at]).collect();
        at_101(&mut found, self.objects)
    }

    /// The harmonic mean of precision and recall of the predictions whose score is at least `score`; 0 without any.
    pub fn f1(&self, score: f64) -> f64 {
        match self.scores.partition_point(|other| *other >= score) {
            0 => 0.0,
            count => self.f1_of(count - 1),
        }
    }

    /// The score at which [`f1`](Self::f1) is largest, and how large it is there; of equals the largest score. `None`
    /// without predictions.
    pub fn best_f1(&self) -> Option<(f64, f64)> {
        // Equal scores stand or fall together.
        let is_last = |at: &usize| self.scores.get(at + 1) != self.scores.get(*at);
        let points = (0..self.scores.len()).filter(is_last).map(|at| (self.scores[at], self.f1_of(at)));
        points.reduce(|best, point| if point.1 > best.1 { point } else { best })
    }

    fn f1_of(&self, at: usize) -> f64 {
        let (precision, recall) = (self.precision[at], self.recall[at]);
        if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
    }
}

/// The mean over the recalls 0, 0.01, … 1 of the best precision there or above, of which `precision` has one for each
/// object found. It is raised in place.
pub(super) fn average_of_101(precision: &mut [f64], objects: usize) -> f64 {
    mean_of_101(at_101(precision, objects))
}

fn mean_of_101(precision: [f64; 101]) -> f64 {
    precision.iter().sum::<f64>() / 101.0
}

/// Between two objects that are found the precision only falls, so that one for each object found is enough.
fn at_101(precision: &mut [f64], objects: usize) -> [f64; 101] {
    for at in (1..precision.len()).rev() {
        precision[at - 1] = precision[at - 1].max(precision[at]);
    }
    let mut at = 0;
    std::array::from_fn(|hundredth| {
        // numpy's linspace, to the bit.
        let least = hundredth as f64 * 0.01;
        while at < precision.len() && ((at + 1) as f64 / objects as f64) < least {
            at += 1;
        }
        precision.get(at).copied().unwrap_or(0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten predictions of six objects.
    fn curve() -> Curve {
        let found = [true, false, true, true, false, false, true, false, true, false];
        Curve::new((0..10).map(|at| f64::from(10 - at) / 10.0).zip(found), 6)
    }

    #[test]
    fn averages_are_those_worked_out_by_hand() {
        // Precision where an object is found: 1, 2/3, 3/4, 4/7, 5/9; raised: 1, 3/4, 3/4, 4/7, 5/9, at recalls 1/6 … 5/6.
        // 11 points: 0 and 0.1 at 1; 0.2 to 0.5 at 3/4; 0.6 at 4/7; 0.7 and 0.8 at 5/9; 0.9 and 1 at 0.
        let eleven = (2.0 + 4.0 * 0.75 + 4.0 / 7.0 + 2.0 * 5.0 / 9.0) / 11.0;
        assert!((curve().average_of_11() - eleven).abs() < 1e-12);
        assert!((curve().average_of_11() - 0.607_503_607_5).abs() < 1e-10);
        // All: a sixth of each.
        let all = (1.0 + 0.75 + 0.75 + 4.0 / 7.0 + 5.0 / 9.0) / 6.0;
        assert!((curve().average_of_all() - all).abs() < 1e-12);
        assert!((curve().average_of_all() - 0.604_497_354_5).abs() < 1e-10);
        // 101 points: 17 to 0.16, 34 to 0.50, 16 to 0.66, 17 to 0.83.
        let hundred = (17.0 + 34.0 * 0.75 + 16.0 * 4.0 / 7.0 + 17.0 * 5.0 / 9.0) / 101.0;
        assert!((curve().average_of_101() - hundred).abs() < 1e-12);
        assert!((curve().average_of_101() - 0.604_824_768_2).abs() < 1e-10);
        let raised = [16, 17, 50, 51, 66, 67, 83, 84].map(|hundredth| curve().at_101()[hundredth]);
        assert_eq!(raised, [1.0, 0.75, 0.75, 4.0 / 7.0, 4.0 / 7.0, 5.0 / 9.0, 5.0 / 9.0, 0.0]);
    }

    #[test]
    fn nothing_found_averages_to_nothing() {
        for curve in [Curve::new([], 3), Curve::new([(0.9, false)], 3), Curve::new([(0.9, false)], 0)] {
            assert_eq!([curve.average_of_11(), curve.average_of_all(), curve.average_of_101()], [0.0; 3]);
            assert_eq!(curve.f1(0.5), 0.0);
        }
        assert_eq!(Curve::new([], 3).best_f1(), None);
    }

    #[test]
    fn f1_is_the_harmonic_mean_at_a_score() {
        // 0.7 and above: 3 of 4 right, 3 of 6 found: 2 * 3 / (4 + 6). The best: 5 of 9 right, 5 of 6 found.
        assert!((curve().f1(0.7) - 0.6).abs() < 1e-12);
        assert!((curve().f1(0.65) - 0.6).abs() < 1e-12);
        let (score, f1) = curve().best_f1().expect("there are predictions");
        assert_eq!(score, 0.2);
        assert!((f1 - 2.0 * 5.0 / (9.0 + 6.0)).abs() < 1e-12, "{f1}");
        // Of two equal scores the first is no choice: 1 of 2 right, not 1 of 1.
        let tied = Curve::new([(0.5, true), (0.5, false)], 1);
        assert!((tied.best_f1().expect("two").1 - 2.0 / 3.0).abs() < 1e-12);
    }
}
