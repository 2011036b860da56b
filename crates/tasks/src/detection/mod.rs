//! Object detection: which predictions learn which objects, at what cost, and which of them are shown.

mod anchored;
mod assignment;
#[cfg(test)]
mod assignment_tests;
mod rows;
mod v1;
mod v2;
mod v3;
mod v5;
mod v8;

use kiln_core::{Batch, Detection, Losses, Predictions, Score, Task};
use serde::{Deserialize, Serialize};

pub use anchored::Place;
pub use assignment::{Assignment, assignments};
pub use rows::learned;

use crate::{DetectionScore, Suppression};

/// How a detector learns: by the paper of its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DetectionLoss {
    /// Squares of differences; a cell learns the object whose centre lies in it.
    YoloV1,
    /// Squares, and a softmax of classes; of the anchors of the cell the one nearest in shape learns.
    YoloV2,
    /// Logistics; of the anchors of all levels the one nearest in shape learns.
    YoloV3,
    /// CIoU and logistics; every anchor near enough in shape learns.
    YoloV4,
    /// CIoU and logistics; every anchor near enough in its sides learns, in the neighbouring cells too.
    YoloV5,
    /// CIoU, logistics and distributions; predictions and objects choose each other.
    YoloV8,
}

/// Which predictions are shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Selection {
    /// Those that are less sure are not.
    pub least: f32,
    /// What becomes of predictions that overlap better ones of their class.
    pub suppression: Suppression,
    /// At most so many an image.
    pub most: usize,
    /// A prediction is shown for every class that it is sure enough of, and not for the likeliest alone.
    pub several: bool,
}

impl Default for Selection {
    /// As detectors are scored: all but the least sure, a hundred an image.
    fn default() -> Self {
        Self { least: 0.001, suppression: Suppression::Greedy { threshold: 0.6 }, most: 100, several: true }
    }
}

impl Selection {
    /// What is shown of each image of a batch, the surest first.
    pub fn of(&self, predictions: &Predictions) -> Vec<Vec<Detection>> {
        let [batch, count, num_classes] = predictions.scores.dims();
        let (all_boxes, all_scores) =
            (rows::boxes_of(&predictions.boxes), rows::values(predictions.scores.clone()));
        let image = |image: usize| {
            let (mut boxes, mut scores, mut classes) = (Vec::new(), Vec::new(), Vec::new());
            for row in image * count..(image + 1) * count {
                let of_row = &all_scores[row * num_classes..(row + 1) * num_classes];
                let likeliest = || (0..num_classes).max_by(|a, b| of_row[*a].total_cmp(&of_row[*b]));
                let only = if self.several { None } else { likeliest() };
                for (class, score) in of_row.iter().copied().enumerate() {
                    if score > self.least && only.is_none_or(|only| only == class) {
                        boxes.push(all_boxes[row]);
                        scores.push(score);
                        classes.push(class);
                    }
                }
            }
            let kept = self.suppression.keep_by_class(&boxes, &scores, &classes);
            let detection = |kept: crate::Kept| Detection {
                class: classes[kept.index],
                score: kept.score,
                bounding_box: boxes[kept.index],
            };
            kept.into_iter().take(self.most).map(detection).collect()
        };
        (0..batch).map(image).collect()
    }
}

/// Boxes and classes of objects, learned by a version's loss and scored by average precision.
#[derive(Debug, Clone)]
pub struct ObjectDetection {
    /// Classes to tell apart.
    pub num_classes: usize,
    /// How it is learned.
    pub loss: DetectionLoss,
    /// What is scored.
    pub selection: Selection,
}

impl Task for ObjectDetection {
    type Output = Predictions;
    type Score = ObjectDetectionScore;

    fn loss(&self, predictions: Predictions, batch: &Batch) -> Losses {
        let (predictions, truths) = (&predictions, batch.truths.as_slice());
        match self.loss {
            DetectionLoss::YoloV1 => v1::losses(predictions, truths, self.num_classes),
            DetectionLoss::YoloV2 => v2::losses(predictions, truths),
            DetectionLoss::YoloV3 => v3::losses(predictions, truths),
            DetectionLoss::YoloV4 => v3::losses_v4(predictions, truths),
            DetectionLoss::YoloV5 => v5::losses(predictions, truths, self.num_classes),
            DetectionLoss::YoloV8 => v8::losses(predictions, truths, self.num_classes),
        }
    }

    fn score(&self) -> ObjectDetectionScore {
        ObjectDetectionScore { score: DetectionScore::new(self.num_classes), selection: self.selection }
    }
}

/// [`DetectionScore`] of what is shown of a network's predictions, in the pixels of its input and clipped to it.
#[derive(Debug, Clone)]
pub struct ObjectDetectionScore {
    score: DetectionScore,
    selection: Selection,
}

impl ObjectDetectionScore {
    /// The score of all images so far.
    pub fn score(&self) -> &DetectionScore {
        &self.score
    }
}

impl Score for ObjectDetectionScore {
    type Output = Predictions;

    fn update(&mut self, predictions: Predictions, batch: &Batch) {
        let [_, _, height, width] = batch.images.dims();
        for (mut detections, truth) in self.selection.of(&predictions).into_iter().zip(&batch.truths) {
            for one in &mut detections {
                one.bounding_box = one.bounding_box.clipped(width as f32, height as f32);
            }
            self.score.add(&detections, truth);
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        self.score.figures()
    }
}
