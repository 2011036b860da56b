//! `[segmentation]`: how labels of pixels are learned.

use kiln_core::Result;
use kiln_tasks::SegmentationLoss;
use serde::Serialize;

use super::prepare::placed;
use super::{ExperimentFile, SegmentationFile, Source};

/// `[segmentation]`, complete.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SegmentationPlan {
    /// How logits are compared with labels.
    pub loss: SegmentationLoss,
    /// What the loss of an auxiliary head counts beside that of the main one.
    pub auxiliary_weight: f64,
    /// Whether boundaries are scored too.
    pub boundaries: bool,
}

/// Fills in what was left out of `[segmentation]`, and refuses what only classifiers have.
///
/// # Errors
/// A number that makes no sense; a key of classifiers.
pub(super) fn segmentation(
    source: &Source,
    file: &ExperimentFile,
    num_classes: usize,
) -> Result<SegmentationPlan> {
    let mixes = |alpha: fn(&kiln_data::Batching) -> f64| {
        file.data.train_batches.as_ref().is_some_and(|batching| alpha(batching) > 0.0)
    };
    let classifiers = [
        ("train.label_smoothing", file.train.label_smoothing.is_some()),
        ("train.loss", file.train.loss.is_some()),
        ("data.train_batches.mixup", mixes(|batching| batching.mixup)),
        ("data.train_batches.cutmix", mixes(|batching| batching.cutmix)),
    ];
    if let Some((key, _)) = classifiers.into_iter().find(|(_, is_given)| *is_given) {
        return Err(source.reject(key, "is for classifiers, and this is a segmenter").hint("leave it out"));
    }
    let SegmentationFile { loss, auxiliary_weight, boundaries } =
        file.segmentation.clone().unwrap_or_default();
    let plan = SegmentationPlan {
        loss: loss.unwrap_or_default(),
        auxiliary_weight: auxiliary_weight.unwrap_or(0.5),
        boundaries: boundaries.unwrap_or(false),
    };
    plan.loss.check(num_classes).map_err(|error| placed(source, "segmentation.loss", &error))?;
    match plan.auxiliary_weight.is_finite() && plan.auxiliary_weight >= 0.0 {
        true => Ok(plan),
        false => Err(source
            .reject("segmentation.auxiliary_weight", format!("is {}", plan.auxiliary_weight))
            .hint("0 or more, as 0.5")),
    }
}
