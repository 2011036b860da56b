//! A model on a split of a data set: its score, and what it says of every image.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use burn::prelude::*;
use burn::tensor::activation::softmax;
use kiln_core::{Batches, ClassProbability, Detection, LabelMap, Result, Score, Task, Truth};
use kiln_data::{Dataset, Loader, LoaderOptions, Pipeline, Sample};
use kiln_tasks::{
    ClassificationScore, DetectionScore, ObjectDetection, SegmentationScore, label_maps, true_labels,
};
use kiln_zoo::Output;

use crate::goal::{Goal, GoalScore};

/// What came of it.
pub enum Evaluation {
    /// Of a classifier.
    Classes {
        /// Accuracy and the confusion matrix.
        score: ClassificationScore,
        /// Image by image, in the order of the split.
        named: Vec<Named>,
    },
    /// Of a detector.
    Objects {
        /// Average precision and what is taken for what.
        score: DetectionScore,
        /// Image by image, in the order of the split.
        found: Vec<Found>,
    },
    /// Of a segmenter.
    Labels {
        /// Intersection over union and accuracies.
        score: SegmentationScore,
        /// Image by image, in the order of the split.
        labelled: Vec<Labelled>,
    },
}

/// What a classifier says of one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Named {
    /// Its place in the split.
    pub index: usize,
    /// Its class.
    pub truth: usize,
    /// The class the network named.
    pub predicted: usize,
    /// The probability the network gave to the class it named.
    pub probability: f32,
}

/// What a detector finds in one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its place in the split.
    pub index: usize,
    /// What is in it, in its pixels.
    pub truth: Truth,
    /// What was found, the surest first, in its pixels.
    pub detections: Vec<Detection>,
}

/// What a segmenter says of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// Its place in the split.
    pub index: usize,
    /// What its pixels are, as the network is shown them.
    pub truth: LabelMap,
    /// What the network takes them for.
    pub predicted: LabelMap,
    /// The mean intersection over union of this image alone.
    pub iou: f64,
}

impl Evaluation {
    /// Named figures between 0 and 1, the one that decides first.
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        match self {
            Self::Classes { score, .. } => score.figures(),
            Self::Objects { score, .. } => score.figures(),
            Self::Labels { score, .. } => score.figures(),
        }
    }

    /// Images.
    pub fn items(&self) -> usize {
        match self {
            Self::Classes { named, .. } => named.len(),
            Self::Objects { found, .. } => found.len(),
            Self::Labels { labelled, .. } => labelled.len(),
        }
    }
}

/// Shows a split to a model, which answers by `forward`; `progress` hears of the images done.
///
/// Boxes are compared in the pixels of the images as they are in the split; where the pipeline does more to an image than a
/// letterbox or a resize, in the pixels that it makes, as labels are.
///
/// # Errors
/// An image that cannot be read; images that make no batch.
pub fn evaluate(
    forward: impl Fn(Tensor<4>) -> Output,
    goal: &Goal,
    (images, pipeline): (Arc<dyn Dataset>, Pipeline),
    options: LoaderOptions,
    device: &Device,
    mut progress: impl FnMut(usize),
) -> Result<Evaluation> {
    let originals = Arc::new(Originals { images, seen: Mutex::default() });
    let batches = Loader::new(originals.clone(), pipeline.clone(), options, device.clone())?;
    let mut evaluation = match goal.score() {
        GoalScore::Classification(score) => Evaluation::Classes { score, named: Vec::new() },
        GoalScore::Detection(score) => {
            Evaluation::Objects { score: score.score().clone(), found: Vec::new() }
        }
        GoalScore::Segmentation(score) => Evaluation::Labels { score, labelled: Vec::new() },
    };
    for batch in batches.epoch(0, 0) {
        let batch = batch?;
        match (&mut evaluation, goal, forward(batch.images.clone())) {
            (Evaluation::Classes { score, named }, _, Output::Logits(logits)) => {
                for (at, classes) in most_probable(logits.main.clone(), 1).into_iter().enumerate() {
                    let ClassProbability { class, probability } = classes[0];
                    let truth = batch.truths[at].class.unwrap_or_default();
                    named.push(Named { index: batch.indices[at], truth, predicted: class, probability });
                }
                score.update(logits, &batch);
            }
            (
                Evaluation::Objects { score, found },
                Goal::Detection(ObjectDetection { selection, .. }),
                Output::Predictions(predictions),
            ) => {
                let shown = selection.of(&predictions).into_iter();
                for ((index, truth), detections) in batch.indices.into_iter().zip(batch.truths).zip(shown) {
                    let mut one = originals.brought_back(index, truth, detections, &pipeline);
                    score.add(&one.detections, &one.truth);
                    // A bit a pixel and object would be most of what is kept.
                    one.truth.objects.iter_mut().for_each(|object| object.mask = None);
                    one.truth.label_map = None;
                    found.push(one);
                }
            }
            (Evaluation::Labels { score, labelled }, Goal::Segmentation(task), Output::Labels(logits)) => {
                let maps = label_maps(logits.main).into_iter().zip(batch.truths);
                for (index, (predicted, truth)) in batch.indices.into_iter().zip(maps) {
                    let truth = true_labels(&truth).clone();
                    score.add(&predicted, &truth);
                    let mut own = SegmentationScore::new(task.num_classes);
                    own.add(&predicted, &truth);
                    labelled.push(Labelled { index, truth, predicted, iou: own.mean_iou() });
                }
            }
            _ => panic!("a goal of another kind than the model"),
        }
        progress(evaluation.items());
    }
    Ok(evaluation)
}

/// A split that remembers of the images that were read how large they are and what is in them.
struct Originals {
    images: Arc<dyn Dataset>,
    /// Of those on their way: height and width, and the truth.
    seen: Mutex<HashMap<usize, ([usize; 2], Truth)>>,
}

impl Originals {
    /// What was found in an image as the network is shown it, in the image itself.
    fn brought_back(
        &self,
        index: usize,
        truth: Truth,
        detections: Vec<Detection>,
        pipeline: &Pipeline,
    ) -> Found {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(&index);
        let framed = seen.and_then(|(size, truth)| pipeline.frame(size).map(|frame| (frame, truth)));
        let Some((frame, truth)) = framed else { return Found { index, truth, detections } };
        let out = |one: Detection| Detection { bounding_box: frame.out_of_frame(&one.bounding_box), ..one };
        Found { index, truth, detections: detections.into_iter().map(out).collect() }
    }
}

impl Dataset for Originals {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let sample = self.images.get(index)?;
        let size = [sample.image.height() as usize, sample.image.width() as usize];
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(index, (size, sample.truth.clone()));
        Ok(sample)
    }

    fn origin(&self, index: usize) -> String {
        self.images.origin(index)
    }
}

/// The `count` most probable classes of each image, the most probable first.
pub fn most_probable(logits: Tensor<2>, count: usize) -> Vec<Vec<ClassProbability>> {
    let [_, num_classes] = logits.dims();
    let probabilities = softmax(logits, 1).into_data().convert::<f32>();
    let probabilities = probabilities.as_slice::<f32>().expect("converted to f32 above");
    let ranked = |row: &[f32]| {
        let classes = row
            .iter()
            .enumerate()
            .map(|(class, probability)| ClassProbability { class, probability: *probability });
        let mut classes: Vec<_> = classes.collect();
        classes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        classes.truncate(count);
        classes
    };
    probabilities.chunks(num_classes).map(ranked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ranked_by_probability() {
        // Logits ln 1, ln 6, ln 3: probabilities 0.1, 0.6, 0.3.
        let logits = Tensor::<2>::from_data([[0.0, 6f32.ln(), 3f32.ln()]], &Device::flex());
        let ranked = most_probable(logits, 2);
        let classes: Vec<usize> = ranked[0].iter().map(|c| c.class).collect();
        assert_eq!(classes, [1, 2]);
        assert!(
            (ranked[0][0].probability - 0.6).abs() < 1e-6 && (ranked[0][1].probability - 0.3).abs() < 1e-6
        );
    }
}
