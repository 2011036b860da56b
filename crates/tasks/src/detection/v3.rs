//! YOLO v3 and v4, as Darknet's yolo layer learns (Redmon and Farhadi 2018, Section 2.1; Bochkovskiy et al. 2020, Section 3.4).

use burn::prelude::*;
use kiln_core::{BoundingBox, Level, Losses, Overlap, Predictions, Truth};

use super::anchored::{Place, Targets, all_rows, cell, logistic, nearest, shapes, squared};
use super::rows::{Row, boxes_of, chosen, edges, flat, objects};
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
    let (mut targets, count) = confidences(predictions, truths, width);
    for (image, truth) in truths.iter().enumerate() {
        for (class, object) in objects(truth) {
            let place = nearest(&predictions.levels, &object);
            let level = &predictions.levels[place.level];
            let row = image * count + place.prediction(&predictions.levels);
            let [rows, columns] = level.grid().map(|cells| (cells * level.stride) as f32);
            let small = 2.0 - object.width() * object.height() / (rows * columns);
            let ([x, y], stride) = (object.centre(), level.stride as f32);
            let [prior_width, prior_height] = level.anchors[place.anchor];
            targets.set(row, 0, x / stride - place.column as f32, small);
            targets.set(row, 1, y / stride - place.row as f32, small);
            targets.set(row, 2, (object.width() / prior_width).ln(), small);
            targets.set(row, 3, (object.height() / prior_height).ln(), small);
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
    let device = rows.device();
    let [batch, _, _] = predictions.boxes.dims();
    let [_, width] = rows.dims();
    let (mut targets, count) = confidences(predictions, truths, width);
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
        true => Tensor::zeros([1], &device),
        false => {
            let found = chosen(flat(predictions.boxes.clone()), &positives);
            let overlap = overlap_of_rows(Overlap::Ciou, found, edges(&positives, &device));
            (overlap.neg() + 1.0).sum() * (BOX / images)
        }
    };
    Losses::new("box", boxes)
        .and("object", targets.sum(&rows, 4..5, logistic) / images)
        .and("classes", targets.sum(&rows, 5..width, logistic) / images)
}

/// Targets by which every prediction learns that there is nothing, unless it overlaps an object; and the predictions of an
/// image.
fn confidences(predictions: &Predictions, truths: &[Truth], width: usize) -> (Targets, usize) {
    let [batch, count, _] = predictions.boxes.dims();
    let boxes = boxes_of(&predictions.boxes);
    let mut targets = Targets::new(batch * count, width);
    for (image, truth) in truths.iter().enumerate() {
        let objects = objects(truth);
        for row in image * count..(image + 1) * count {
            let overlaps = objects.iter().map(|(_, object)| Overlap::Iou.of(&boxes[row], object));
            targets.set(row, 4, 0.0, f32::from(overlaps.fold(0.0, f32::max) <= IGNORED));
        }
    }
    (targets, count)
}
