//! The best box is kept, and what overlaps it is dropped; then the best of the rest.

use kiln_core::{BoundingBox, Overlap};

use super::Kept;

pub fn keep(
    overlap: Overlap,
    threshold: f64,
    boxes: &[BoundingBox],
    scores: &[f32],
    order: Vec<usize>,
) -> Vec<Kept> {
    let mut kept: Vec<Kept> = Vec::new();
    // Copied, so that they lie side by side.
    let mut best: Vec<BoundingBox> = Vec::new();
    for index in order {
        let candidate = boxes[index];
        let overlaps = |better: &BoundingBox| {
            // The better one first, for torchvision's order of the sum.
            candidate.meets(better) && f64::from(overlap.of(better, &candidate)) > threshold
        };
        if !best.iter().any(overlaps) {
            best.push(candidate);
            kept.push(Kept { index, score: scores[index] });
        }
    }
    kept
}
