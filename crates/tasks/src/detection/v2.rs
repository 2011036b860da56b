//! YOLO v2, as Darknet's region layer learns (Redmon and Farhadi 2016, Section 2). Its pull of all boxes to their priors in the
//! first 12,800 images is left out.

use burn::prelude::*;
use burn::tensor::activation::{log_softmax, sigmoid};
use kiln_core::{Losses, Overlap, Predictions, Truth};

use super::anchored::{all_rows, confidences, nearest, place_and_size, squared};
use super::rows::{boxes_of, objects};

/// What a confidence counts where there is an object.
const OBJECT: f32 = 5.0;
/// A prediction that overlaps an object by more is not told that there is nothing.
const IGNORED: f32 = 0.6;

/// The sums over all predictions, divided by the images: `place`, `object`, `classes`.
pub fn losses(predictions: &Predictions, truths: &[Truth]) -> Losses {
    let rows = all_rows(predictions);
    let [batch, _, _] = predictions.boxes.dims();
    let [_, width] = rows.dims();
    let boxes = boxes_of(&predictions.boxes);
    let (mut targets, count) = confidences(predictions, truths, IGNORED);
    for (image, truth) in truths.iter().enumerate() {
        for (class, object) in objects(truth) {
            let place = nearest(&predictions.levels, &object);
            let row = image * count + place.prediction(&predictions.levels);
            let (numbers, counts) = place_and_size(&predictions.levels, place, &object);
            targets.set_place(row, numbers, counts);
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
