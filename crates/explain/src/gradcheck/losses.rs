//! Losses of classes, of pixels and of boxes.

use burn::module::Param;
use burn::prelude::*;
use kiln_core::{LabelMap, Overlap, Truth};
use kiln_tasks::{ClassificationLoss, Labels, SegmentationLoss, SmoothL1LossConfig, overlap_of_rows};

use super::layers::of;
use super::{Check, Group, STEP, check, check_by, check_held, input};

pub(super) fn losses() -> Vec<Check> {
    let group = Group::Loss;
    let classes = || -> Vec<Truth> {
        (0..5).map(|class| Truth { class: Some(class % 4), ..Truth::default() }).collect()
    };
    let mixed = || -> Vec<Truth> {
        (0..5).map(|class| Truth { mixture: vec![(class % 4, 0.7), (3, 0.3)], ..Truth::default() }).collect()
    };
    let classified = |name: &str, loss: ClassificationLoss, smoothing: f64| {
        of(group, name, input, [5, 4], move |x| loss.of(x, &classes(), smoothing))
    };
    let mut all = vec![
        of(group, "cross-entropy-mixed", input, [5, 4], move |x| {
            ClassificationLoss::CrossEntropy {}.of(x, &mixed(), 0.1)
        }),
        classified("cross-entropy", ClassificationLoss::CrossEntropy {}, 0.0),
        classified("cross-entropy-smoothed", ClassificationLoss::CrossEntropy {}, 0.1),
        classified("binary-cross-entropy", ClassificationLoss::BinaryCrossEntropy { threshold: None }, 0.1),
    ];
    let segmented = [
        ("pixel-cross-entropy", SegmentationLoss::CrossEntropy { weights: Vec::new() }),
        ("pixel-cross-entropy-weighted", SegmentationLoss::CrossEntropy { weights: vec![1.0, 0.5, 2.0] }),
        // Of the four hardest of six pixels.
        ("pixel-hard", SegmentationLoss::Ohem { threshold: 0.01, least: 4 }),
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
    // On both sides of beta.
    all.push(of(group, "smooth-l1", input, [4, 6], |x| {
        SmoothL1LossConfig::new().with_beta(0.61).init().forward(x.clone(), x.zeros_like())
    }));
    let overlaps = [("iou", Overlap::Iou), ("giou", Overlap::Giou), ("diou", Overlap::Diou)];
    all.extend(overlaps.into_iter().map(|(name, overlap)| {
        Check::new(group, name, move |device| {
            check(pairs(device), device, |(a, b)| overlap_of_rows(overlap, a.val(), b.val()))
        })
    }));
    all.push(Check::new(group, "ciou", |device| {
        // What CIoU takes from DIoU is the square of the difference of the aspects' angles, times a weight that is a constant.
        let angles = |(a, b): &Pairs| {
            let angle = |boxes: &Param<Tensor<2>>| {
                let side = |from: usize| boxes.val().narrow(1, from + 2, 1) - boxes.val().narrow(1, from, 1);
                (side(0) / side(1)).atan().squeeze_dim::<1>(1)
            };
            (angle(a) - angle(b)).square() * (4.0 / std::f64::consts::PI.powi(2))
        };
        let overlap = |kind: Overlap, (a, b): &Pairs| overlap_of_rows(kind, a.val(), b.val());
        let weight = |pairs: &Pairs| angles(pairs) / (angles(pairs) + 1.0 - overlap(Overlap::Iou, pairs));
        let held = |moved: &_, still: &_| overlap(Overlap::Diou, moved) - weight(still) * angles(moved);
        check_held(pairs(device), device, |pairs| overlap(Overlap::Ciou, pairs), held)
    }));
    all
}

type Pairs = (Param<Tensor<2>>, Param<Tensor<2>>);

/// Boxes that overlap in part, that cross, and that are apart; no edges are equal.
fn pairs(device: &Device) -> Pairs {
    let boxes = |rows: [[f32; 4]; 3]| Param::<Tensor<2>>::from_data(TensorData::from(rows), device);
    (
        boxes([[0.0, 0.1, 10.0, 10.3], [0.2, 0.0, 4.0, 2.0], [0.0, 0.3, 2.0, 2.1]]),
        boxes([[5.0, 5.2, 15.0, 15.1], [1.0, 0.4, 3.0, 4.0], [3.0, 3.1, 5.0, 5.4]]),
    )
}
