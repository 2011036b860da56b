//! Every box counts less by what overlaps it, unless that is itself suppressed: all at once.

use kiln_core::{BoundingBox, Overlap};

use super::{Kept, sort};

/// `decay` says what remains of a score at an IoU.
pub fn keep(
    decay: impl Fn(f64) -> f64,
    least: f64,
    boxes: &[BoundingBox],
    scores: &[f32],
    order: &[usize],
) -> Vec<Kept> {
    // What remains of each better box by its own worst overlap.
    let mut remains: Vec<f64> = Vec::with_capacity(order.len());
    let mut kept = Vec::new();
    for (rank, &index) in order.iter().enumerate() {
        let (mut factor, mut largest) = (1.0f64, 0.0f64);
        let betters = order[..rank].iter().zip(&remains);
        // One that does not meet it takes nothing.
        for (&better, remains) in betters.filter(|(better, _)| boxes[index].meets(&boxes[**better])) {
            let iou = f64::from(Overlap::Iou.of(&boxes[better], &boxes[index]));
            largest = largest.max(iou);
            // One of which nothing remains takes nothing from others.
            if *remains > 0.0 {
                factor = factor.min(decay(iou) / remains);
            }
        }
        remains.push(decay(largest));
        let score = f64::from(scores[index]) * factor;
        if score >= least {
            kept.push(Kept { index, score: score as f32 });
        }
    }
    sort(&mut kept);
    kept
}
