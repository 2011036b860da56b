//! Which predictions learn which objects, as data: what the losses of all versions choose.

use kiln_core::{BoundingBox, Predictions, Truth};

use super::anchored::{Place, nearest};
use super::rows::{boxes_of, learned, middles, objects, values};
use super::{DetectionLoss, v1, v3, v5, v8};

/// A prediction that learns an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    /// Of the image's objects.
    pub object: usize,
    /// Which prediction.
    pub place: Place,
}

/// The predictions of each image that learn an object, object by object for the versions with anchors. Where a place is there
/// twice, the later object is learned. v1 and v8 choose by what the predictions are, the others by the levels alone.
///
/// # Panics
/// If there are not as many images as truths.
pub fn assignments(loss: DetectionLoss, predictions: &Predictions, truths: &[Truth]) -> Vec<Vec<Assignment>> {
    let [batch, count, num_classes] = predictions.scores.dims();
    assert_eq!(batch, truths.len(), "a truth an image");
    let levels = &predictions.levels;
    let each = |choose: &dyn Fn(&BoundingBox) -> Vec<Place>| {
        let of_image = |truth: &Truth| {
            let places = |(object, bounding_box): (usize, BoundingBox)| {
                choose(&bounding_box).into_iter().map(move |place| Assignment { object, place })
            };
            learned(truth).map(|(at, object)| (at, object.bounding_box)).flat_map(places).collect()
        };
        truths.iter().map(of_image).collect()
    };
    match loss {
        DetectionLoss::YoloV2 | DetectionLoss::YoloV3 => each(&|object| vec![nearest(levels, object)]),
        DetectionLoss::YoloV4 => each(&|object| v3::alike(levels, object)),
        DetectionLoss::YoloV5 => each(&|object| v5::alike(levels, object)),
        DetectionLoss::YoloV1 => {
            let boxes = boxes_of(&predictions.boxes);
            let of_image = |(boxes, truth): (&[BoundingBox], &Truth)| {
                let owner = |owner: v1::Owner| {
                    let [row, column] = owner.cell;
                    (owner.object, Place { level: 0, anchor: owner.index, row, column })
                };
                named(truth, v1::owners(&levels[0], boxes, &objects(truth)).into_iter().map(owner))
            };
            boxes.chunks_exact(count).zip(truths).map(of_image).collect()
        }
        DetectionLoss::YoloV8 => {
            let (boxes, scores) = (boxes_of(&predictions.boxes), values(predictions.scores.clone()));
            let middles: Vec<[f32; 2]> = levels.iter().flat_map(middles).map(|(middle, _)| middle).collect();
            let images = boxes.chunks_exact(count).zip(scores.chunks_exact(count * num_classes)).zip(truths);
            let of_image = |((boxes, scores), truth): ((&[BoundingBox], &[f32]), &Truth)| {
                let matches = v8::assigned(&middles, boxes, scores, num_classes, &objects(truth));
                named(
                    truth,
                    matches.into_iter().map(|found| (found.object, Place::of(found.prediction, levels))),
                )
            };
            images.map(of_image).collect()
        }
    }
}

/// Assignments of objects by their places among those that are learned.
fn named(truth: &Truth, owners: impl Iterator<Item = (usize, Place)>) -> Vec<Assignment> {
    let among_all: Vec<usize> = learned(truth).map(|(at, _)| at).collect();
    owners.map(|(object, place)| Assignment { object: among_all[object], place }).collect()
}
