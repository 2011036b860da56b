//! Semantic segmentation: the class of every pixel.

mod balance;
mod boundary;
mod crf;
mod labels;
mod lattice;
mod loss;
#[cfg(test)]
mod loss_tests;
mod pixelwise;
mod regions;
mod score;

use kiln_core::{Batch, LabelLogits, Losses, Task};

pub use balance::LabelCounts;
pub use boundary::{BoundaryScore, boundary_f};
pub use crf::DenseCrf;
pub use labels::Labels;
pub use loss::{SegmentationLoss, WeightedLoss};
pub use score::{SegmentationScore, label_maps, true_labels};

/// What an auxiliary head's loss counts beside the main one's, as torchvision trains FCN and DeepLab. PSPNet's is 0.4 (Zhao et
/// al. 2017, Section 5.1).
const AUXILIARY_WEIGHT: f64 = 0.5;

/// Logits `[batch, num_classes, height, width]` compared with label maps of the same size, scored by intersection over union.
/// Pixels labelled [`IGNORED`](kiln_core::IGNORED) count nowhere.
#[derive(Debug, Clone)]
pub struct SemanticSegmentation {
    /// Classes to tell apart, the background among them where there is one.
    pub num_classes: usize,
    /// How logits are compared with the labels.
    pub loss: SegmentationLoss,
    /// What the loss of an auxiliary head counts beside that of the main one.
    pub auxiliary_weight: f64,
    /// Whether boundaries are scored too; that takes longer than all else.
    pub boundaries: bool,
}

impl SemanticSegmentation {
    /// Cross entropy; auxiliary heads count a half, boundaries are not scored.
    pub fn new(num_classes: usize) -> Self {
        let loss = SegmentationLoss::default();
        Self { num_classes, loss, auxiliary_weight: AUXILIARY_WEIGHT, boundaries: false }
    }
}

impl Task for SemanticSegmentation {
    type Output = LabelLogits;
    type Score = SegmentationScore;

    fn loss(&self, logits: LabelLogits, batch: &Batch) -> Losses {
        let labels = Labels::of(&batch.truths, self.num_classes);
        let mut parts = self.loss.parts(logits.main, &labels);
        let auxiliary = logits.auxiliary.into_iter().map(|logits| self.loss.of(logits, &labels));
        let auxiliary = auxiliary.reduce(|sum, loss| sum + loss);
        parts.extend(auxiliary.map(|sum| ("auxiliary", sum * self.auxiliary_weight)));
        let mut parts = parts.into_iter();
        let (name, first) = parts.next().expect("a loss that was checked has a part");
        parts.fold(Losses::new(name, first), |losses, (name, part)| losses.and(name, part))
    }

    fn score(&self) -> SegmentationScore {
        let score = SegmentationScore::new(self.num_classes);
        if self.boundaries { score.with_boundaries() } else { score }
    }
}

#[cfg(test)]
mod tests {
    use burn::prelude::*;
    use kiln_core::{IGNORED, LabelMap, Truth};

    use super::*;

    /// Images of two pixels, one below the other.
    fn batch(maps: &[[u8; 2]]) -> Batch {
        let truth = |labels: &[u8; 2]| Truth {
            label_map: Some(LabelMap { width: 1, height: 2, labels: labels.to_vec() }),
            ..Truth::default()
        };
        Batch {
            images: Tensor::zeros([maps.len(), 3, 2, 1], &Device::flex()),
            truths: maps.iter().map(truth).collect(),
            indices: (0..maps.len()).collect(),
        }
    }

    #[test]
    fn the_loss_is_the_mean_negative_log_probability_over_the_pixels_that_count() {
        // p = 3/4 and 1/2; the others do not count, whatever is said of them. (ln(4/3) + ln 2) / 2 = 0.490414627.
        let ln3 = 3f32.ln();
        let logits = Tensor::<4>::from_data(
            [[[[ln3], [90.0]], [[0.0], [-90.0]]], [[[7.0], [0.0]], [[9.0], [0.0]]]],
            &Device::flex(),
        );
        let batch = batch(&[[0, IGNORED], [IGNORED, 1]]);
        let losses = SemanticSegmentation::new(2).loss(logits.into(), &batch);
        let [(name, loss)] = losses.parts() else { panic!("one part") };
        assert_eq!(*name, "cross_entropy");
        assert!((loss.clone().into_scalar::<f32>() - 0.490_414_63).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn auxiliary_heads_count_their_share_and_parts_have_their_names() {
        // Undecided between two classes: ln 2. Dice, with s = 2: each class is one of two pixels, both with p = 1/2, so that it
        // costs 1 - (2 / 2 + 2) / (2 / 2 + 1 + 2) = 1/4, and twice that is 1/2. Two more heads cost 0.4 of that each.
        let zeros = || Tensor::<4>::zeros([1, 2, 2, 1], &Device::flex());
        let logits = LabelLogits { main: zeros(), auxiliary: vec![zeros(), zeros()] };
        let part = |weight, loss| WeightedLoss { weight, loss };
        let dice = SegmentationLoss::Dice { squared: false, smoothing: 2.0 };
        let parts = vec![part(1.0, SegmentationLoss::default()), part(2.0, dice)];
        let loss = SegmentationLoss::Sum { parts };
        let task = SemanticSegmentation { loss, auxiliary_weight: 0.4, ..SemanticSegmentation::new(2) };
        let ln2 = std::f32::consts::LN_2;
        let expected = [("cross_entropy", ln2), ("dice", 0.5), ("auxiliary", 0.8 * (ln2 + 0.5))];
        let losses = task.loss(logits, &batch(&[[0, 1]]));
        assert_eq!(losses.parts().len(), expected.len());
        for ((name, value), (expected_name, expected)) in losses.parts().iter().zip(expected) {
            let value = value.clone().into_scalar::<f32>();
            assert!(*name == expected_name && (value - expected).abs() < 1e-6, "{name}: {value}");
        }
    }

    #[test]
    #[should_panic(expected = "a label Some(2) of 2 classes")]
    fn a_class_beyond_the_classes_is_a_bug() {
        SemanticSegmentation::new(2)
            .loss(Tensor::zeros([1, 2, 2, 1], &Device::flex()).into(), &batch(&[[2, 0]]));
    }

    #[test]
    #[should_panic(expected = "images, height and width of logits and of label maps")]
    fn logits_of_another_size_than_the_labels_are_a_bug() {
        SemanticSegmentation::new(2)
            .loss(Tensor::zeros([1, 2, 1, 1], &Device::flex()).into(), &batch(&[[1, 0]]));
    }
}
