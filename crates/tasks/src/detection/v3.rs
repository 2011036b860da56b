//! YOLO v3 and v4, as Darknet's yolo layer learns (Redmon and Farhadi 2018, Section 2.1; Bochkovskiy et al. 2020, Section 3.4).

use burn::prelude::*;
use kiln_core::{BoundingBox, Level, Losses, Overlap, Predictions, Truth};

use super::anchored::{
    Place, all_rows, cell, confidences, logistic, nearest, place_and_size, shapes, squared,
};
use super::rows::{Row, chosen, edges, flat, objects};
use crate::overlap_of_rows;

/// A prediction that overlaps an object by more is not told that there is nothing (`ignore_thresh`).
const IGNORED: f32 = 0.7;
/// v4: an anchor that is as alike as that learns an object too (`iou_thresh`).
const ALIKE: f32 = 0.213;
/// v4: what the boxes count (`iou_normalizer`).
const BOX: f64 = 0.07;

/// v4's: every anchor that is alike enough, and the one that is most.
pub fn alike(levels: &[Level], object: &BoundingBox) -> Vec<Place> {
    let best = nearest(levels, object);
    let place = |(level, anchor, _): (usize, usize, f32)| {
        let [row, column] = cell(&levels[level], object);
        Place { level, anchor, row, column }
    };
    let alike = shapes(levels, object).into_iter().filter(|(.., iou)| *iou > ALIKE).map(place);
    std::iter::once(best).chain(alike.filter(|place| *place != best)).collect()
}

/// v3's sums over all predictions, divided by the images: `place`, `object`, `classes`. An object is learned by the one anchor of
/// all whose shape is nearest.
pub fn losses(predictions: &Predictions, truths: &[Truth]) -> Losses {
    let rows = all_rows(predictions);
    let [batch, _, _] = predictions.boxes.dims();
    let [_, width] = rows.dims();
    let (mut targets, count) = confidences(predictions, truths, IGNORED);
    for (image, truth) in truths.iter().enumerate() {
        for (class, object) in objects(truth) {
            let place = nearest(&predictions.levels, &object);
            let row = image * count + place.prediction(&predictions.levels);
            let (numbers, counts) = place_and_size(&predictions.levels, place, &object);
            targets.set_place(row, numbers, counts);
            targets.set(row, 4, 1.0, 1.0);
            targets.set_class(row, class, 1.0);
        }
    }
    let images = batch as f64;
    let place = targets.sum(&rows, 0..2, logistic) + targets.sum(&rows, 2..4, squared);
    Losses::new("place", place / images)
        .and("object", targets.sum(&rows, 4..5, logistic) / images)
        .and("classes", targets.sum(&rows, 5..width, logistic) / images)
}

/// v4's: `box` (CIoU), `object`, `classes`. An object is learned by every anchor that is alike enough.
pub fn losses_v4(predictions: &Predictions, truths: &[Truth]) -> Losses {
    let rows = all_rows(predictions);
    let [batch, _, _] = predictions.boxes.dims();
    let [_, width] = rows.dims();
    let (mut targets, count) = confidences(predictions, truths, IGNORED);
    let mut positives = Vec::new();
    for (image, truth) in truths.iter().enumerate() {
        for (class, bounding_box) in objects(truth) {
            for place in alike(&predictions.levels, &bounding_box) {
                let row = image * count + place.prediction(&predictions.levels);
                targets.set(row, 4, 1.0, 1.0);
                targets.set_class(row, class, 1.0);
                positives.push(Row { row, bounding_box, weight: 1.0 });
            }
        }
    }
    let images = batch as f64;
    let boxes = match positives.is_empty() {
        true => Tensor::zeros([1], (&rows.device(), rows.dtype())),
        false => {
            let found = chosen(flat(predictions.boxes.clone()), &positives);
            let wanted = edges(&positives, &found);
            let overlap = overlap_of_rows(Overlap::Ciou, found, wanted);
            (overlap.neg() + 1.0).sum() * (BOX / images)
        }
    };
    Losses::new("box", boxes)
        .and("object", targets.sum(&rows, 4..5, logistic) / images)
        .and("classes", targets.sum(&rows, 5..width, logistic) / images)
}
