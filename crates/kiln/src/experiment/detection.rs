//! `[detection]`, and what else an experiment of a detector is checked for.

use kiln_core::Result;
use kiln_data::{Pipeline, Transform};
use kiln_tasks::{Selection, Suppression};
use serde::Serialize;

use super::prepare::placed;
use super::{DetectionFile, ExperimentFile, Source};

/// `[detection]`, complete: which boxes are scored.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DetectionPlan {
    /// The least score of a box.
    pub score: f32,
    /// What becomes of boxes that overlap better ones of their class.
    pub suppression: Suppression,
    /// At most so many boxes an image.
    pub max: usize,
}

impl Default for DetectionPlan {
    /// As YOLOv5 is scored.
    fn default() -> Self {
        Self { score: 0.001, suppression: Suppression::Greedy { threshold: 0.6 }, max: 300 }
    }
}

impl From<DetectionPlan> for Selection {
    fn from(plan: DetectionPlan) -> Self {
        Self { least: plan.score, suppression: plan.suppression, most: plan.max, several: true }
    }
}

/// Fills in what was left out of `[detection]`.
///
/// # Errors
/// A number that makes no sense.
pub(super) fn detection(source: &Source, file: &ExperimentFile) -> Result<DetectionPlan> {
    let DetectionFile { score, suppression, max } = file.detection.clone().unwrap_or_default();
    let usual = DetectionPlan::default();
    let plan = DetectionPlan {
        score: score.unwrap_or(usual.score),
        suppression: suppression.unwrap_or(usual.suppression),
        max: max.unwrap_or(usual.max),
    };
    if !(0.0..=1.0).contains(&plan.score) {
        return Err(source.reject("detection.score", format!("is {}", plan.score)).hint("0 to 1, as 0.001"));
    }
    plan.suppression.check().map_err(|error| placed(source, "detection.suppression", &error))?;
    match plan.max {
        0 => Err(source.reject("detection.max", "is 0").hint("give 1 or more")),
        _ => Ok(plan),
    }
}

/// Makes sure that boxes can be brought back from what the network is shown into the image.
///
/// # Errors
/// Transforms that do more than one letterbox or one resize into a square.
pub(super) fn check_frame(source: &Source, pipeline: &Pipeline) -> Result<()> {
    let is_square = |[height, width]: [usize; 2]| height == width;
    let is_framed = match pipeline.transforms() {
        [] => true,
        [Transform::Letterbox { size, .. } | Transform::Resize { size, .. }] => {
            is_square(size.height_width())
        }
        _ => false,
    };
    match is_framed && pipeline.frame([1, 1]).is_some() {
        true => Ok(()),
        false => Err(source
            .reject("data.test_transforms", "a detector is shown its images in a square")
            .hint("give one `letterbox`, or one `resize` to height and width, or none for images that are squares")),
    }
}
