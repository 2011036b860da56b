//! The predictions of an image are matched with its objects, one class at a time.

use super::rules::{Area, MAX_AREAS, THRESHOLDS};
use super::{Actual, Predicted, Similarity};

/// What became of a prediction: for each area and threshold a bit, threshold by threshold. Where both bits are 0 it does
/// not count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    /// How sure the prediction was.
    pub score: f64,
    /// It has found an object.
    right: u64,
    /// It has found none.
    wrong: u64,
    /// How many predictions of its image and class are before it.
    pub rank: u32,
}

const BITS: usize = THRESHOLDS.len();
const EVERY_THRESHOLD: u64 = (1 << BITS) - 1;
const _: () = assert!(BITS * MAX_AREAS <= 64, "a bit for each area and threshold");

impl Record {
    /// The bits of an area: where it is right, and where it is wrong.
    pub fn of_area(&self, area: usize) -> [u64; 2] {
        [self.right, self.wrong].map(|bits| bits >> (BITS * area) & EVERY_THRESHOLD)
    }

    /// Whether it has found an object; `None` where it does not count.
    pub fn is_right(&self, area: usize, threshold: usize) -> Option<bool> {
        let [right, wrong] = self.of_area(area).map(|bits| bits >> threshold & 1 == 1);
        (right || wrong).then_some(right)
    }
}

/// A number in whose order scores stand: equal scores (0 and -0 too) have the same one, what is no number the least.
pub fn ordered(score: f64) -> u64 {
    let bits = match score.is_nan() {
        true => f64::NEG_INFINITY.to_bits(),
        false => (score + 0.0).to_bits(),
    };
    // Negative numbers grow with smaller bits.
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// Whether an object is to be found.
pub fn counts<O>(object: &Actual<O>, area: &Area) -> bool {
    !object.crowd && !object.ignored && area.has(object.area)
}

/// Appends what becomes of `predicted`, which stand by score.
pub fn matched<S: Similarity>(
    similarity: &S,
    predicted: &[&Predicted<S::Prediction>],
    actual: &[&Actual<S::Object>],
    records: &mut Vec<Record>,
) {
    let first = records.len();
    records.extend(predicted.iter().zip(0..).map(|(prediction, rank)| {
        // Until it is matched it is wrong wherever it is of the area.
        let areas = S::RULES.areas.iter().enumerate().filter(|(_, area)| area.has(prediction.area));
        let wrong = areas.map(|(at, _)| EVERY_THRESHOLD << (BITS * at)).sum();
        Record { score: prediction.score, right: 0, wrong, rank }
    }));
    let alike: Vec<f64> = predicted
        .iter()
        .flat_map(|prediction| {
            actual.iter().map(|object| similarity.between(&prediction.shape, &object.shape, object.crowd))
        })
        .collect();
    let rows = || alike.chunks_exact(actual.len().max(1)).zip(0..);
    // Most predictions are near no object.
    let near: Vec<(&[f64], usize)> =
        rows().filter(|(row, _)| row.iter().any(|alike| *alike >= THRESHOLDS[0])).collect();
    if near.is_empty() {
        return;
    }
    for (at, area) in S::RULES.areas.iter().enumerate() {
        // Those that do not count come last.
        let (mut order, last): (Vec<usize>, Vec<usize>) =
            (0..actual.len()).partition(|object| counts(actual[*object], area));
        let counted = order.len();
        order.extend(last);
        // A bit for each threshold at which an object is found.
        let mut found = vec![0u64; actual.len()];
        for (row, prediction) in &near {
            let record = &mut records[first + prediction];
            for (threshold, least) in THRESHOLDS.iter().enumerate() {
                let is_free = |object: usize| found[object] >> threshold & 1 == 0 || actual[object].crowd;
                let best = |objects: &[usize]| {
                    let mut best = (None, least.min(1.0 - 1e-10));
                    for object in objects.iter().copied().filter(|object| is_free(*object)) {
                        // Of equals the last.
                        if row[object] >= best.1 {
                            best = (Some(object), row[object]);
                        }
                    }
                    best.0
                };
                let bit = 1 << (BITS * at + threshold);
                if let Some(object) = best(&order[..counted]) {
                    record.right |= bit;
                    record.wrong &= !bit;
                    found[object] |= 1 << threshold;
                } else if let Some(object) = best(&order[counted..]) {
                    record.wrong &= !bit;
                    found[object] |= 1 << threshold;
                }
            }
        }
    }
}
