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

/// Fills in what was left out of `[segmentation]`.
///
/// # Errors
/// A number that makes no sense.
pub(super) fn segmentation(
    source: &Source,
    file: &ExperimentFile,
    num_classes: usize,
) -> Result<SegmentationPlan> {
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
