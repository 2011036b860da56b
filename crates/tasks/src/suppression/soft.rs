//! The best box is kept, and what overlaps it counts less; then the best of the rest.

use kiln_core::{BoundingBox, Overlap};

use super::Kept;

pub fn keep(
    decay: impl Fn(f64) -> f64,
    least: f64,
    boxes: &[BoundingBox],
    scores: &[f32],
    order: Vec<usize>,
) -> Vec<Kept> {
    let mut rest: Vec<(usize, f64)> =
        order.into_iter().map(|index| (index, f64::from(scores[index]))).collect();
    let mut kept = Vec::new();
    loop {
        rest.retain(|(_, score)| *score >= least);
        let better = |a: &(usize, f64), b: &(usize, f64)| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0));
        let Some(place) = (0..rest.len()).max_by(|a, b| better(&rest[*a], &rest[*b])) else {
            return kept;
        };
        let (index, score) = rest.swap_remove(place);
        kept.push(Kept { index, score: score as f32 });
        for (other, score) in rest.iter_mut().filter(|(other, _)| boxes[index].meets(&boxes[*other])) {
            *score *= decay(f64::from(Overlap::Iou.of(&boxes[index], &boxes[*other])));
        }
    }
}
