//! The cross entropy of a softmax, and its gradient.

use rayon::prelude::*;

use crate::memory::Output;
use crate::share::{SHARE, in_shares};

/// What rows of logits should be.
#[derive(Debug, Clone)]
pub struct Targets {
    /// The class of each row.
    pub classes: Vec<usize>,
    /// What each row counts; empty where all count the same. A row that counts 0 is not looked at.
    pub weights: Vec<f32>,
    /// The share of a target that is spread evenly over all classes.
    pub smoothing: f64,
}

impl Targets {
    fn weight(&self, row: usize) -> f32 {
        self.weights.get(row).copied().unwrap_or(1.0)
    }

    /// What all rows count together.
    fn total(&self) -> f64 {
        match self.weights.is_empty() {
            true => self.classes.len() as f64,
            false => self.weights.iter().copied().map(f64::from).sum(),
        }
    }
}

/// What is kept of a classification.
#[derive(Debug, Clone)]
pub struct ClassLoss {
    /// The mean over the rows, each by its weight; 0 where none counts.
    pub mean: f32,
    /// The softmax of every row that counts; zeros for the others.
    pub probabilities: Vec<f32>,
}

/// The mean over rows of the cross entropy between a target and the softmax of a row of logits. The target is the row's
/// class, but for the share that is spread evenly over all classes.
///
/// # Panics
/// If there is not a row of logits for every class, or a class is out of range.
pub fn cross_entropy(logits: &[f32], targets: &Targets) -> ClassLoss {
    let Targets { classes, smoothing, .. } = targets;
    let (rows, num_classes) = (classes.len(), logits.len() / classes.len());
    assert_eq!(logits.len(), rows * num_classes);
    let mut probabilities = Output::unwritten(logits.len());
    let mut losses = Output::unwritten(rows);
    let (to, row_losses) = (probabilities.shared(), losses.shared());
    in_shares(rows, num_classes, |rows| {
        for row in rows {
            let (x, class) = (&logits[row * num_classes..][..num_classes], classes[row]);
            // SAFETY: this row is no other share's.
            let (y, loss) = unsafe { (to.blank(row * num_classes, num_classes), row_losses.blank(row, 1)) };
            let weight = targets.weight(row);
            if weight == 0.0 {
                y.iter_mut().chain(loss).for_each(|y| {
                    y.write(0.0);
                });
                continue;
            }
            let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0.0f32;
            for (y, x) in y.iter_mut().zip(x) {
                sum += *y.write((x - largest).exp());
            }
            for y in y {
                // SAFETY: written above.
                unsafe { *y.assume_init_mut() /= sum };
            }
            let log_sum = f64::from(largest) + f64::from(sum).ln();
            let to_class = log_sum - f64::from(x[class]);
            let to_all = || log_sum - x.iter().map(|x| f64::from(*x)).sum::<f64>() / num_classes as f64;
            let spread = if *smoothing > 0.0 { smoothing * to_all() } else { 0.0 };
            loss[0].write((to_class * (1.0 - smoothing) + spread) as f32 * weight);
        }
    });
    // SAFETY: every row was written.
    let (losses, probabilities) = unsafe { (losses.written(rows), probabilities.written(logits.len())) };
    let sum: f64 = losses.into_iter().map(f64::from).sum();
    let total = targets.total();
    ClassLoss { mean: if total > 0.0 { (sum / total) as f32 } else { 0.0 }, probabilities }
}

/// The gradient of the logits, in place of the probabilities, for a gradient of the mean loss.
///
/// # Panics
/// As [`cross_entropy`].
pub fn cross_entropy_gradient(probabilities: &mut [f32], targets: &Targets, grad: f32) {
    let Targets { classes, smoothing, .. } = targets;
    let num_classes = probabilities.len() / classes.len();
    let scale = grad / targets.total() as f32;
    let [spread, rest] = [smoothing / num_classes as f64, 1.0 - smoothing].map(|share| share as f32);
    let rows = probabilities.par_chunks_exact_mut(num_classes).with_min_len(SHARE.div_ceil(num_classes));
    rows.zip(classes).enumerate().for_each(|(index, (row, class))| {
        let weight = targets.weight(index);
        if weight != 0.0 {
            let scale = scale * weight;
            row.iter_mut().for_each(|p| *p -= spread);
            row[*class] -= rest;
            row.iter_mut().for_each(|p| *p *= scale);
        }
    });
}
