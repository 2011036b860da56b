//! How well pixels are labelled.

use burn::prelude::*;
use kiln_core::{Batch, IGNORED, LabelLogits, LabelMap, Score, Truth};

use super::{BoundaryScore, boundary_f};
use crate::ConfusionMatrix;

/// Intersection over union and accuracies over all pixels that count, whatever image they are in; if asked for, the boundaries of
/// each image (Long et al. 2015, "Fully convolutional networks for semantic segmentation", Section 5, has the first four).
///
/// The class of a pixel is that of its largest logit; of equal ones it is the first.
#[derive(Debug, Clone)]
pub struct SegmentationScore {
    confusion: ConfusionMatrix,
    boundaries: Option<BoundaryScore>,
}

impl SegmentationScore {
    /// Of `num_classes` classes, nothing counted.
    pub fn new(num_classes: usize) -> Self {
        Self { confusion: ConfusionMatrix::new(num_classes), boundaries: None }
    }

    /// Scores boundaries too.
    pub fn with_boundaries(self) -> Self {
        Self { boundaries: Some(BoundaryScore::default()), ..self }
    }

    /// Counts one more image: the labels that are predicted and those that are true.
    ///
    /// # Panics
    /// If the maps are not of one size, or a class is not below the number of classes.
    pub fn add(&mut self, predicted: &LabelMap, truth: &LabelMap) {
        let sizes = [predicted, truth].map(|map| (map.width, map.height));
        assert_eq!(sizes[0], sizes[1], "width and height of predicted and true labels");
        let counted = truth.labels.iter().zip(&predicted.labels).filter(|(truth, _)| **truth != IGNORED);
        counted.for_each(|(truth, found)| self.confusion.count(usize::from(*truth), usize::from(*found)));
        if let Some(boundaries) = &mut self.boundaries {
            boundaries.add(boundary_f(predicted, truth));
        }
    }

    /// Which classes are taken for which, in pixels.
    pub fn confusion(&self) -> &ConfusionMatrix {
        &self.confusion
    }

    /// The intersection over union of each class; `None` for one that is neither there nor predicted.
    pub fn iou_of_classes(&self) -> Vec<Option<f64>> {
        self.confusion.intersections_over_unions()
    }

    /// The mean of the intersections over unions of the classes that are there or predicted; 0 of nothing.
    pub fn mean_iou(&self) -> f64 {
        mean(self.iou_of_classes())
    }

    /// The share of the pixels that are labelled right; 0 of nothing.
    pub fn pixel_accuracy(&self) -> f64 {
        self.confusion.accuracy()
    }

    /// The mean over the classes that are there of the share of their pixels that are labelled right; 0 of nothing.
    pub fn mean_accuracy(&self) -> f64 {
        mean(self.confusion.recalls())
    }

    /// The mean of the intersections over unions, each class by its share of the true pixels; 0 of nothing.
    pub fn frequency_weighted_iou(&self) -> f64 {
        let actual = self.confusion.actual();
        let weighted = self.iou_of_classes().into_iter().zip(&actual);
        let sum: f64 = weighted.map(|(iou, actual)| iou.unwrap_or(0.0) * *actual as f64).sum();
        sum / self.confusion.total().max(1) as f64
    }

    /// The mean over the images of their boundary F; `None` where it was not asked for.
    pub fn boundary_f(&self) -> Option<f64> {
        self.boundaries.as_ref().map(BoundaryScore::mean)
    }
}

impl Score for SegmentationScore {
    type Output = LabelLogits;

    fn update(&mut self, logits: LabelLogits, batch: &Batch) {
        for (found, truth) in label_maps(logits.main).iter().zip(&batch.truths) {
            self.add(found, true_labels(truth));
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        let figures = [
            ("mean_iou", self.mean_iou()),
            ("pixel_accuracy", self.pixel_accuracy()),
            ("mean_accuracy", self.mean_accuracy()),
            ("frequency_weighted_iou", self.frequency_weighted_iou()),
        ];
        figures.into_iter().chain(self.boundary_f().map(|f| ("boundary_f", f))).collect()
    }
}

/// The label map of an image.
///
/// # Panics
/// If it has none.
pub fn true_labels(truth: &Truth) -> &LabelMap {
    truth.label_map.as_ref().expect("a data set for segmentation has a label map an image")
}

/// The class of the largest logit of every pixel, the first of equal ones.
///
/// # Shapes
/// `[batch, num_classes, height, width]` to a label map an image
///
/// # Panics
/// If there are more classes than a label map can have.
pub fn label_maps(logits: Tensor<4>) -> Vec<LabelMap> {
    let [_, num_classes, height, width] = logits.dims();
    let labels = largest(logits.permute([0, 2, 3, 1]).reshape([-1, num_classes as i32]));
    let images = labels.chunks((height * width).max(1));
    images.map(|labels| LabelMap { width, height, labels: labels.to_vec() }).collect()
}

/// The class of the largest logit of each row, the first of equal ones.
fn largest(rows: Tensor<2>) -> Vec<u8> {
    let [_, num_classes] = rows.dims();
    assert!(num_classes <= usize::from(IGNORED), "{num_classes} classes do not fit into a label map");
    let logits = rows.into_data().convert::<f32>();
    let logits = logits.as_slice::<f32>().expect("converted to f32 above");
    let of_row = |row: &[f32]| {
        let first = |best: usize, class: usize| if row[class] > row[best] { class } else { best };
        (0..num_classes).fold(0, first) as u8
    };
    logits.chunks(num_classes).map(of_row).collect()
}

fn mean(values: Vec<Option<f64>>) -> f64 {
    let known: Vec<f64> = values.into_iter().flatten().collect();
    known.iter().sum::<f64>() / known.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use kiln_core::Truth;

    use super::*;

    fn map(labels: &[u8]) -> LabelMap {
        LabelMap { width: labels.len(), height: 1, labels: labels.to_vec() }
    }

    #[test]
    fn figures_are_those_worked_by_hand() {
        // Two images; class 3 is neither there nor predicted, class 2 is predicted only, and two pixels do not count.
        //            predicted 0  1  2
        //   true 0             3  1  1
        //   true 1             1  2  0
        let mut score = SegmentationScore::new(4);
        assert_eq!(score.mean_iou(), 0.0);
        score.add(&map(&[0, 0, 0, 1, 2, 3]), &map(&[0, 0, 0, 0, 0, IGNORED]));
        score.add(&map(&[0, 1, 1, 1]), &map(&[1, 1, 1, IGNORED]));
        // Class 0: 3 of 5 there and 4 predicted; 1: 2 of 3 and 3; 2: 0 of 0 and 1.
        let iou = [Some(3.0 / 6.0), Some(2.0 / 4.0), Some(0.0), None];
        assert_eq!(score.iou_of_classes(), iou);
        let expected = [
            ("mean_iou", (0.5 + 0.5 + 0.0) / 3.0),
            ("pixel_accuracy", 5.0 / 8.0),
            ("mean_accuracy", (3.0 / 5.0 + 2.0 / 3.0) / 2.0),
            ("frequency_weighted_iou", (5.0 * 0.5 + 3.0 * 0.5) / 8.0),
        ];
        assert_eq!(score.figures().len(), expected.len());
        for ((name, value), (expected_name, expected)) in score.figures().into_iter().zip(expected) {
            assert!(name == expected_name && (value - expected).abs() < 1e-12, "{name}: {value}");
        }
    }

    #[test]
    fn a_pixel_is_of_the_class_of_its_largest_logit_the_first_of_equal_ones() {
        // Two images of two pixels, three classes, one value a pixel and class.
        let logits = Tensor::<4>::from_data(
            [[[[1.0, 0.0]], [[3.0, 5.0]], [[2.0, 5.0]]], [[[0.0, -1.0]], [[0.0, -2.0]], [[0.0, -0.5]]]],
            &Device::flex(),
        );
        let truth = |labels| Truth { label_map: Some(map(labels)), ..Truth::default() };
        let batch = Batch {
            images: Tensor::zeros([2, 3, 1, 2], &Device::flex()),
            truths: vec![truth(&[1, 1]), truth(&[0, 2])],
            indices: vec![0, 1],
        };
        // With boundaries: all is right.
        let mut score = SegmentationScore::new(3).with_boundaries();
        score.update(logits.into(), &batch);
        assert_eq!(score.confusion().right(), [1, 2, 1]);
        assert!(score.figures().iter().all(|(_, value)| *value == 1.0), "{:?}", score.figures());
        assert_eq!(score.figures()[4].0, "boundary_f");
    }
}
