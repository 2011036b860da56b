//! YOLO v2, as Darknet's region layer learns (Redmon and Farhadi 2016, Section 2). Its pull of all boxes to their priors in the
//! first 12,800 images is left out.

use burn::prelude::*;
use burn::tensor::activation::{log_softmax, sigmoid};
use kiln_core::{Losses, Overlap, Predictions, Truth};

use super::anchored::{Targets, all_rows, nearest, squared};
use super::rows::{boxes_of, objects};

/// What a confidence counts where there is an object.
const OBJECT: f32 = 5.0;
/// A prediction that overlaps an object by more is not told that there is nothing.
const IGNORED: f32 = 0.6;

/// The sums over all predictions, divided by the images: `place`, `object`, `classes`.
pub fn losses(predictions: &Predictions, truths: &[Truth]) -> Losses {
    let rows = all_rows(predictions);
    let [batch, count, _] = predictions.boxes.dims();
    let [_, width] = rows.dims();
    let boxes = boxes_of(&predictions.boxes);
    let mut targets = Targets::new(batch * count, width);
    for (image, truth) in truths.iter().enumerate() {
        let objects = objects(truth);
        for row in image * count..(image + 1) * count {
            let overlaps = objects.iter().map(|(_, object)| Overlap::Iou.of(&boxes[row], object));
            targets.set(row, 4, 0.0, f32::from(overlaps.fold(0.0, f32::max) <= IGNORED));
        }
        for (class, object) in objects {
            let place = nearest(&predictions.levels, &object);
            let level = &predictions.levels[place.level];
            let row = image * count + place.prediction(&predictions.levels);
            let [rows, columns] = level.grid().map(|cells| (cells * level.stride) as f32);
            let count = 2.0 - object.width() * object.height() / (rows * columns);
            let ([x, y], stride) = (object.centre(), level.stride as f32);
            let [prior_width, prior_height] = level.anchors[place.anchor];
            targets.set(row, 0, x / stride - place.column as f32, count);
            targets.set(row, 1, y / stride - place.row as f32, count);
            targets.set(row, 2, (object.width() / prior_width).ln(), count);
            targets.set(row, 3, (object.height() / prior_height).ln(), count);
            targets.set(row, 4, Overlap::Iou.of(&boxes[row], &object), OBJECT);
            targets.set_class(row, class, 1.0);
        }
    }
    let images = batch as f64;
    let logistic = |x: Tensor<2>, wanted| squared(sigmoid(x), wanted);
    let centre = targets.sum(&rows, 0..2, logistic);
    let size = targets.sum(&rows, 2..4, squared);
    let object = targets.sum(&rows, 4..5, logistic);
    let classes = targets.sum(&rows, 5..width, |x, wanted| (log_softmax(x, 1) * wanted).neg());
    Losses::new("place", (centre + size) / images)
        .and("object", object / images)
        .and("classes", classes / images)
}
