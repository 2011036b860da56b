//! How logits of pixels are compared with label maps.

use burn::prelude::*;
use kiln_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::{Labels, pixelwise, regions};

/// The loss of a segmenter: pixel by pixel (cross entropy and its kin), by regions (Dice, Lovász), or a sum of such.
///
/// Pixels that do not count cost nothing and have no gradient; a batch in which none counts costs 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SegmentationLoss {
    /// Cross entropy between a pixel's class and the softmax of its logits: the mean over the pixels.
    CrossEntropy {
        /// What a pixel of each class counts in the mean, as [`LabelCounts::median_frequency_weights`](super::LabelCounts::median_frequency_weights)
        /// finds it; all the same if left out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        weights: Vec<f32>,
    },
    /// Cross entropy of the hard pixels alone (online hard example mining; Shrivastava et al. 2016, for pixels as in
    /// HRNet's and mmsegmentation's training): the mean over those whose class is less probable than the threshold, and over the
    /// hardest where these are too few. Of equally hard ones the first are taken.
    Ohem {
        /// A pixel is hard whose class is less probable.
        #[serde(default = "seven_tenths")]
        threshold: f32,
        /// So many pixels of a batch count at least, if there are as many.
        #[serde(default = "hundred_thousand")]
        least: usize,
    },
    /// Cross entropy times (1 - p)^gamma, p being the probability of the pixel's class (Lin et al. 2017, "Focal loss for dense
    /// object detection", of the softmax): the mean over the pixels.
    Focal {
        /// How little easy pixels count; 0 is cross entropy, the paper's is 2.
        #[serde(default = "two")]
        gamma: f32,
        /// What the cost of a pixel of each class is multiplied by, the paper's alpha; 1 if left out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        weights: Vec<f32>,
    },
    /// One less the Dice coefficient between the probabilities p of a class and its pixels g, over the whole batch:
    /// 1 - (2 sum pg + s) / (sum p² + sum g² + s), the mean over all classes (Milletari et al. 2016, "V-Net").
    Dice {
        /// False: the sums below the line are of p and g, not of their squares.
        #[serde(default = "yes")]
        squared: bool,
        /// The s of the formula, above 0: what a class costs that is nowhere depends on it.
        #[serde(default = "one")]
        smoothing: f64,
    },
    /// The Lovász extension of one less the intersection over union of a class, over the whole batch, the mean over the classes
    /// that are there (Berman et al. 2018, "The Lovász-softmax loss").
    LovaszSoftmax {},
    /// Several losses, each of another name, each times its weight.
    Sum {
        /// The losses.
        parts: Vec<WeightedLoss>,
    },
}

/// A part of a sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedLoss {
    /// What it is multiplied by.
    #[serde(default = "one")]
    pub weight: f64,
    /// What is summed.
    pub loss: SegmentationLoss,
}

fn seven_tenths() -> f32 {
    0.7
}

fn hundred_thousand() -> usize {
    100_000
}

fn two() -> f32 {
    2.0
}

fn one() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

impl Default for SegmentationLoss {
    fn default() -> Self {
        Self::CrossEntropy { weights: Vec::new() }
    }
}

impl SegmentationLoss {
    /// Its name in metrics and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CrossEntropy { .. } => "cross_entropy",
            Self::Ohem { .. } => "ohem",
            Self::Focal { .. } => "focal",
            Self::Dice { .. } => "dice",
            Self::LovaszSoftmax {} => "lovasz_softmax",
            Self::Sum { .. } => "sum",
        }
    }

    /// Whether the numbers make sense for so many classes.
    ///
    /// # Errors
    /// Weights that are not one a class, or not from 0 up, or all 0; a threshold, a gamma or a smoothing out of its range; a sum of
    /// nothing, of sums, or of one loss twice.
    pub fn check(&self, num_classes: usize) -> Result<()> {
        let wrong = |message: String, hint: &str| Err(Error::input(message).hint(hint));
        match self {
            Self::CrossEntropy { weights } | Self::Focal { weights, .. }
                if !weights.is_empty() && weights.len() != num_classes =>
            {
                let message = format!("`weights` has {} numbers, for {num_classes} classes", weights.len());
                wrong(message, "a number a class, or leave it out")
            }
            Self::CrossEntropy { weights } | Self::Focal { weights, .. }
                if weights.iter().any(|weight| !(weight.is_finite() && *weight >= 0.0))
                    || (!weights.is_empty() && weights.iter().all(|weight| *weight == 0.0)) =>
            {
                wrong(format!("`weights` is {weights:?}"), "numbers from 0 up, not all of them 0")
            }
            Self::Ohem { threshold, .. } if !(0.0..=1.0).contains(threshold) => {
                wrong(format!("`threshold` is {threshold}"), "a probability, as 0.7")
            }
            Self::Ohem { least: 0, .. } => wrong("`least` is 0".to_string(), "a number of pixels, as 100000"),
            Self::Focal { gamma, .. } if !(0.0..=10.0).contains(gamma) => {
                wrong(format!("`gamma` is {gamma}"), "a number from 0 to 10, as 2")
            }
            Self::Dice { smoothing, .. } if !(smoothing.is_finite() && *smoothing > 0.0) => {
                wrong(format!("`smoothing` is {smoothing}"), "a number above 0, as 1")
            }
            Self::Sum { parts } => check_sum(parts, num_classes),
            _ => Ok(()),
        }
    }

    /// Its parts by name, weighted, each averaged over the batch; one but for a sum.
    ///
    /// # Shapes
    /// `[batch, num_classes, height, width]` to `[1]` each
    ///
    /// # Panics
    /// If the logits are not those of the labelled pixels.
    pub fn parts(&self, logits: Tensor<4>, labels: &Labels) -> Vec<(&'static str, Tensor<1>)> {
        let rows = labels.rows(logits);
        match self {
            Self::Sum { parts } => {
                let part = |part: &WeightedLoss| {
                    (part.loss.name(), part.loss.of_rows(rows.clone(), labels) * part.weight)
                };
                parts.iter().map(part).collect()
            }
            loss => vec![(loss.name(), loss.of_rows(rows, labels))],
        }
    }

    /// The sum of its parts.
    ///
    /// # Shapes
    /// `[batch, num_classes, height, width]` to `[1]`
    ///
    /// # Panics
    /// If the logits are not those of the labelled pixels.
    pub fn of(&self, logits: Tensor<4>, labels: &Labels) -> Tensor<1> {
        self.of_rows(labels.rows(logits), labels)
    }

    fn of_rows(&self, rows: Tensor<2>, labels: &Labels) -> Tensor<1> {
        match self {
            Self::CrossEntropy { weights } => pixelwise::cross_entropy(rows, labels, weights),
            Self::Ohem { threshold, least } => pixelwise::ohem(rows, labels, *threshold, *least),
            Self::Focal { gamma, weights } => pixelwise::focal(rows, labels, *gamma, weights),
            Self::Dice { squared, smoothing } => regions::dice(rows, labels, *squared, *smoothing),
            Self::LovaszSoftmax {} => regions::lovasz_softmax(rows, labels),
            Self::Sum { parts } => {
                let part = |part: &WeightedLoss| part.loss.of_rows(rows.clone(), labels) * part.weight;
                let sum = parts.iter().map(part).reduce(|sum, part| sum + part);
                sum.expect("a sum that was checked has parts")
            }
        }
    }
}

fn check_sum(parts: &[WeightedLoss], num_classes: usize) -> Result<()> {
    let names: Vec<&str> = parts.iter().map(|part| part.loss.name()).collect();
    if names.is_empty() {
        return Err(Error::input("a sum of no losses").hint("`parts = [{ loss = { name = \"dice\" } }]`"));
    }
    for (i, WeightedLoss { weight, loss }) in parts.iter().enumerate() {
        let place = format!("parts[{i}]");
        if names[i] == "sum" || names[..i].contains(&names[i]) {
            let message = format!("`{}` in a sum", names[i].replace('_', "-"));
            return Err(Error::input(message).place(place).hint("each loss once, and no sums"));
        }
        if !(weight.is_finite() && *weight > 0.0) {
            let error = Error::input(format!("`weight` is {weight}")).place(place);
            return Err(error.hint("a number above 0"));
        }
        loss.check(num_classes).map_err(|error| error.place(place))?;
    }
    Ok(())
}
