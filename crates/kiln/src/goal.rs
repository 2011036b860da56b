//! What an experiment is to learn, as one type, so that one loop learns it all: what class an image is of, what objects are in
//! it, what every pixel of it is.

use kiln_core::{Batch, Losses, Score, Task};
use kiln_tasks::{
    Classification, ClassificationScore, DetectionLoss, ObjectDetection, ObjectDetectionScore,
    SegmentationScore, Selection, SemanticSegmentation,
};
use kiln_zoo::{Detector, Model, Output};

/// A task of any kind.
#[derive(Debug, Clone)]
pub enum Goal {
    /// A class an image.
    Classification(Classification),
    /// A class and a box an object.
    Detection(ObjectDetection),
    /// A class a pixel.
    Segmentation(SemanticSegmentation),
}

/// The score of a [`Goal`].
#[derive(Debug, Clone)]
pub enum GoalScore {
    /// Of a class an image.
    Classification(ClassificationScore),
    /// Of a class and a box an object.
    Detection(ObjectDetectionScore),
    /// Of a class a pixel.
    Segmentation(SegmentationScore),
}

impl Goal {
    /// What a model can be scored by: a detector by the boxes of `selection`. Its loss is that of its version.
    pub fn of(model: &Model, num_classes: usize, selection: Selection) -> Self {
        match model {
            Model::Classifier(_) => Self::Classification(Classification::new(num_classes)),
            Model::Detector(detector) => {
                Self::Detection(ObjectDetection { num_classes, loss: loss_of(detector), selection })
            }
            Model::Segmenter(_) => Self::Segmentation(SemanticSegmentation::new(num_classes)),
        }
    }
}

/// How a detector learns: as its paper says.
pub fn loss_of(detector: &Detector) -> DetectionLoss {
    match detector {
        Detector::YoloV1(_) => DetectionLoss::YoloV1,
        Detector::YoloV2(_) | Detector::YoloV2Tiny(_) => DetectionLoss::YoloV2,
        Detector::YoloV3(_) | Detector::YoloV3Tiny(_) => DetectionLoss::YoloV3,
        Detector::YoloV4(_) | Detector::YoloV4Tiny(_) => DetectionLoss::YoloV4,
        Detector::YoloV5(_) => DetectionLoss::YoloV5,
        Detector::YoloV8(_) => DetectionLoss::YoloV8,
        Detector::Configured(network) => match network.version() {
            2 => DetectionLoss::YoloV2,
            4 => DetectionLoss::YoloV4,
            _ => DetectionLoss::YoloV3,
        },
    }
}

impl Task for Goal {
    type Output = Output;
    type Score = GoalScore;

    /// # Panics
    /// If the output is of a model of another kind.
    fn loss(&self, output: Output, batch: &Batch) -> Losses {
        match (self, output) {
            (Self::Classification(task), Output::Logits(logits)) => task.loss(logits, batch),
            (Self::Detection(task), Output::Predictions(predictions)) => task.loss(predictions, batch),
            (Self::Segmentation(task), Output::Labels(logits)) => task.loss(logits, batch),
            (goal, _) => unfit(goal),
        }
    }

    fn score(&self) -> GoalScore {
        match self {
            Self::Classification(task) => GoalScore::Classification(task.score()),
            Self::Detection(task) => GoalScore::Detection(task.score()),
            Self::Segmentation(task) => GoalScore::Segmentation(task.score()),
        }
    }
}

impl Score for GoalScore {
    type Output = Output;

    /// # Panics
    /// If the output is of a model of another kind.
    fn update(&mut self, output: Output, batch: &Batch) {
        match (self, output) {
            (Self::Classification(score), Output::Logits(logits)) => score.update(logits, batch),
            (Self::Detection(score), Output::Predictions(predictions)) => score.update(predictions, batch),
            (Self::Segmentation(score), Output::Labels(logits)) => score.update(logits, batch),
            (score, _) => unfit(score),
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        match self {
            Self::Classification(score) => score.figures(),
            Self::Detection(score) => score.figures(),
            Self::Segmentation(score) => score.figures(),
        }
    }
}

fn unfit(goal: impl std::fmt::Debug) -> ! {
    panic!("a model of another kind was given to {goal:?}; an experiment of such is refused when it is read")
}
