//! Losses. Left out are those whose targets follow the predictions, and are constants for their gradients: of the YOLO detectors, and CIoU's
//! weight.

use burn::module::Param;
use burn::prelude::*;
use kiln_core::{LabelMap, Overlap, Truth};
use kiln_tasks::{ClassificationLoss, Labels, SegmentationLoss, overlap_of_rows};

use super::layers::of;
use super::{Check, Group, STEP, check, check_by, input};

pub(super) fn losses() -> Vec<Check> {
    let group = Group::Loss;
    let classes = || -> Vec<Truth> {
        (0..5).map(|class| Truth { class: Some(class % 4), ..Truth::default() }).collect()
    };
    let classified = |name: &str, loss: ClassificationLoss, smoothing: f64| {
        of(group, name, input, [5, 4], move |x| loss.of(x, &classes(), smoothing))
    };
    let mut all = vec![
        classified("cross-entropy", ClassificationLoss::CrossEntropy {}, 0.0),
        classified("cross-entropy-smoothed", ClassificationLoss::CrossEntropy {}, 0.1),
        classified("binary-cross-entropy", ClassificationLoss::BinaryCrossEntropy { threshold: None }, 0.1),
    ];
    let segmented = [
        ("pixel-cross-entropy", SegmentationLoss::CrossEntropy { weights: Vec::new() }),
        ("pixel-cross-entropy-weighted", SegmentationLoss::CrossEntropy { weights: vec![1.0, 0.5, 2.0] }),
        ("pixel-focal", SegmentationLoss::Focal { gamma: 2.0, weights: Vec::new() }),
        ("dice", SegmentationLoss::Dice { squared: true, smoothing: 1.0 }),
        ("lovasz-softmax", SegmentationLoss::LovaszSoftmax {}),
    ];
    all.extend(segmented.into_iter().map(|(name, loss)| {
        // Few pixels, so that the errors that Lovász's extension sorts keep their order.
        let labels = vec![0, 1, 2, 2, 1, 0];
        let map = LabelMap { width: 3, height: 2, labels };
        let labels = Labels::of(&[Truth { label_map: Some(map), ..Truth::default() }], 3);
        // Those of regions add up 32-bit probabilities.
        let of_regions = matches!(loss, SegmentationLoss::Dice { .. } | SegmentationLoss::LovaszSoftmax {});
        let step = if of_regions { 1e-3 } else { STEP };
        let mut one = Check::new(group, name, move |device| {
            check_by(step, input([1, 3, 2, 3], device), device, |x| loss.of(x.val(), &labels))
        });
        if of_regions {
            one.bounds = [1e-3; 2];
        }
        one
    }));
    let overlaps = [("iou", Overlap::Iou), ("giou", Overlap::Giou), ("diou", Overlap::Diou)];
    all.extend(overlaps.into_iter().map(|(name, overlap)| {
        Check::new(group, name, move |device| {
            let boxes = |rows: [[f32; 4]; 3]| Param::<Tensor<2>>::from_data(TensorData::from(rows), device);
            let pairs = (
                boxes([[0.0, 0.1, 10.0, 10.3], [0.2, 0.0, 4.0, 2.0], [0.0, 0.3, 2.0, 2.1]]),
                boxes([[5.0, 5.2, 15.0, 15.1], [1.0, 0.4, 3.0, 4.0], [3.0, 3.1, 5.0, 5.4]]),
            );
            check(pairs, device, |(a, b)| overlap_of_rows(overlap, a.val(), b.val()))
        })
    }));
    all
}
