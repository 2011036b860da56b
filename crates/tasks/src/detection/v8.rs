//! YOLO v8: predictions and objects choose each other (Feng et al. 2021, *TOOD: Task-aligned One-stage Object Detection*,
//! <https://arxiv.org/abs/2108.07755>, Section 3.2), and a side of a box is learned as a distribution (Li et al. 2020,
//! *Generalized Focal Loss*, <https://arxiv.org/abs/2006.04388>, Equation 6).

use burn::prelude::*;
use burn::tensor::activation::{log_sigmoid, log_softmax};
use kiln_core::{BoundingBox, Losses, Overlap, Predictions, Truth};

use super::rows::{Row, boxes_of, chosen, class_rows, edges, flat, objects, values};
use crate::overlap_of_rows;

/// What the parts count.
const BOX: f64 = 7.5;
const CLASSES: f64 = 0.5;
const SIDES: f64 = 1.5;
/// Of the alignment `score^α overlap^β`.
const ALPHA: f32 = 0.5;
const BETA: f32 = 6.0;
/// So many predictions are an object's, at most.
const TOP: usize = 10;
/// Distances that a side's distribution is over.
const BINS: usize = 16;

/// An object's prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// Of all predictions of an image.
    pub prediction: usize,
    /// Of the image's objects.
    pub object: usize,
    /// What its score is to be: how well aligned it is, as a part of the best of its object, times that one's overlap.
    pub target: f32,
}

/// Which predictions of an image learn which object. A prediction's place is the middle of its cell, which must lie in the
/// object's box; of those the best aligned are taken, and one that several objects want is the object's that it overlaps most.
///
/// `scores` has a row of `num_classes` numbers a prediction.
pub fn assigned(
    middles: &[[f32; 2]],
    boxes: &[BoundingBox],
    scores: &[f32],
    num_classes: usize,
    objects: &[(usize, BoundingBox)],
) -> Vec<Match> {
    let mut owners: Vec<Option<(usize, f32)>> = vec![None; boxes.len()];
    let aligned = |prediction: usize, class: usize, overlap: f32| {
        scores[prediction * num_classes + class].powf(ALPHA) * overlap.powf(BETA)
    };
    let overlap =
        |prediction: usize, object: &BoundingBox| Overlap::Ciou.of(object, &boxes[prediction]).max(0.0);
    for (index, (class, object)) in objects.iter().enumerate() {
        let inside = |[x, y]: [f32; 2]| x > object.x1 && x < object.x2 && y > object.y1 && y < object.y2;
        let candidates = (0..boxes.len()).filter(|prediction| inside(middles[*prediction]));
        let mut candidates: Vec<(usize, f32, f32)> = candidates
            .map(|prediction| {
                let overlap = overlap(prediction, object);
                (prediction, overlap, aligned(prediction, *class, overlap))
            })
            .collect();
        candidates.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
        for (prediction, overlap, _) in candidates.into_iter().take(TOP) {
            let owner = &mut owners[prediction];
            if owner.is_none_or(|(_, other)| overlap > other) {
                *owner = Some((index, overlap));
            }
        }
    }
    let mut matches: Vec<Match> = Vec::new();
    let mut best = vec![[0.0f32; 2]; objects.len()];
    for (prediction, owner) in owners.iter().enumerate() {
        let Some((object, overlap)) = *owner else { continue };
        let target = aligned(prediction, objects[object].0, overlap);
        best[object] = [best[object][0].max(target), best[object][1].max(overlap)];
        matches.push(Match { prediction, object, target });
    }
    for found in &mut matches {
        let [alignment, overlap] = best[found.object];
        found.target *= overlap / (alignment + 1e-9);
    }
    matches
}

/// The three parts of the loss: `box` (CIoU), `classes`, `sides`. An image without objects teaches what no object is.
pub fn losses(predictions: &Predictions, truths: &[Truth], num_classes: usize) -> Losses {
    let like = (&predictions.boxes.device(), predictions.boxes.dtype());
    let [batch, count, _] = predictions.boxes.dims();
    let (boxes, scores) = (boxes_of(&predictions.boxes), values(predictions.scores.clone()));
    let places: Vec<([f32; 2], f32)> = predictions.levels.iter().flat_map(super::rows::middles).collect();
    let middles: Vec<[f32; 2]> = places.iter().map(|(middle, _)| *middle).collect();

    let mut positives: Vec<Row> = Vec::new();
    let mut targets = vec![0.0f32; batch * count * num_classes];
    for (image, truth) in truths.iter().enumerate() {
        let objects = objects(truth);
        let rows = image * count..(image + 1) * count;
        let of_image = &scores[rows.start * num_classes..rows.end * num_classes];
        for found in assigned(&middles, &boxes[rows.clone()], of_image, num_classes, &objects) {
            let (class, bounding_box) = objects[found.object];
            let row = rows.start + found.prediction;
            targets[row * num_classes + class] = found.target;
            positives.push(Row { row, bounding_box, weight: found.target });
        }
    }
    let total = positives.iter().map(|row| row.weight).sum::<f32>().max(1.0) as f64;

    let logits = Tensor::cat(predictions.levels.iter().map(|level| class_rows(level, 4 * BINS)).collect(), 1);
    let logits = logits.reshape([batch * count, num_classes]);
    let targets = Tensor::from_data(TensorData::new(targets, [batch * count, num_classes]), like);
    // -t ln s(x) - (1 - t) ln s(-x), where ln s(-x) = ln s(x) - x.
    let classes = (logits.clone() * (targets.neg() + 1.0) - log_sigmoid(logits)).sum() * (CLASSES / total);
    if positives.is_empty() {
        let none = || Tensor::zeros([1], like);
        return Losses::new("box", none()).and("classes", classes).and("sides", none());
    }

    let weights: Vec<f32> = positives.iter().map(|row| row.weight).collect();
    let weights = Tensor::<1>::from_data(TensorData::new(weights, [positives.len()]), like);
    let found = chosen(flat(predictions.boxes.clone()), &positives);
    let wanted = edges(&positives, &found);
    let overlap = overlap_of_rows(Overlap::Ciou, found, wanted);
    let boxes = ((overlap.neg() + 1.0) * weights.clone()).sum() * (BOX / total);

    let sides = Tensor::cat(predictions.levels.iter().map(side_rows).collect(), 1);
    let sides = chosen(flat(sides), &positives).reshape([positives.len() * 4, BINS]);
    let distances = positives.iter().flat_map(|row| {
        let ([x, y], stride) = places[row.row % count];
        let BoundingBox { x1, y1, x2, y2 } = row.bounding_box;
        [x - x1, y - y1, x2 - x, y2 - y].map(|pixels| pixels / stride)
    });
    let distances: Vec<f32> = distances.collect();
    let sides = focal(sides, &distances).reshape([positives.len(), 4]).mean_dim(1).reshape([positives.len()]);
    let sides = (sides * weights).sum() * (SIDES / total);
    Losses::new("box", boxes).and("classes", classes).and("sides", sides)
}

/// Of a level the sides' logits, a row a prediction.
fn side_rows(level: &kiln_core::Level) -> Tensor<3> {
    let [batch, _, rows, columns] = level.map.dims();
    let sides = level.map.clone().narrow(1, 0, 4 * BINS);
    sides.reshape([batch, 4 * BINS, rows * columns]).swap_dims(1, 2)
}

/// The distribution focal loss: cross entropy with the two distances around the true one, by how near they are.
///
/// # Shapes
/// `[n, 16]` and `n` distances to `[n]`
fn focal(logits: Tensor<2>, distances: &[f32]) -> Tensor<1> {
    let like = (&logits.device(), logits.dtype());
    let mut targets = vec![0.0f32; distances.len() * BINS];
    for (row, distance) in targets.chunks_exact_mut(BINS).zip(distances) {
        // The last distance would have no neighbour.
        let distance = distance.clamp(0.0, BINS as f32 - 1.0 - 0.01);
        let below = distance.floor();
        row[below as usize] = below + 1.0 - distance;
        row[below as usize + 1] = distance - below;
    }
    let targets = Tensor::from_data(TensorData::new(targets, [distances.len(), BINS]), like);
    (log_softmax(logits, 1) * targets).sum_dim(1).neg().reshape([distances.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_between_two_costs_both_by_nearness() {
        // Logits of 0 but 2 for 3 and 3 for 4, a true distance of 3.7: -(0.3 (2 - L) + 0.7 (3 - L)) with
        // L = ln(e^2 + e^3 + 14) = 3.7250810234, which is 1.0250810234.
        let mut logits = [0.0f32; 16];
        (logits[3], logits[4]) = (2.0, 3.0);
        let loss = focal(Tensor::from_data([logits], &Device::flex()), &[3.7]).into_scalar::<f32>();
        assert!((f64::from(loss) - 1.025_081_023_4).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn predictions_go_to_the_object_that_they_overlap_most_and_the_best_is_to_be_as_sure_as_it_overlaps() {
        let square = |x: f32, side: f32| BoundingBox { x1: x, y1: 0.0, x2: x + side, y2: side };
        let objects = [(0, square(0.0, 10.0)), (1, square(4.0, 10.0))];
        let boxes = [square(0.0, 10.0), square(1.0, 10.0), square(4.0, 10.0), square(30.0, 10.0)];
        let middles = [[5.0, 5.0], [6.0, 5.0], [9.0, 5.0], [35.0, 5.0]];
        let matches = assigned(&middles, &boxes, &[0.5; 8], 2, &objects);
        let owners: Vec<_> = matches.iter().map(|found| (found.prediction, found.object)).collect();
        // The last one's cell lies in no object.
        assert_eq!(owners, [(0, 0), (1, 0), (2, 1)]);
        // Equal boxes overlap by 1, and are the best of their objects; the second has an IoU of 9/11 with the first, a centre
        // 1 away of a diagonal² of 11² + 10², and the same aspect: CIoU = 9/11 - 1/221, to the sixth.
        let ciou = 9.0 / 11.0 - 1.0 / 221.0f32;
        for (found, expected) in matches.iter().zip([1.0, ciou.powi(6), 1.0]) {
            assert!((found.target - expected).abs() < 1e-5, "{found:?}, {expected}");
        }
        assert_eq!(assigned(&middles, &boxes, &[0.5; 8], 2, &[]), []);
    }
}
