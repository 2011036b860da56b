//! The cross entropy of a softmax, and its gradient.

use crate::memory::Output;
use crate::share::in_shares;

/// What is kept of a classification.
#[derive(Debug, Clone)]
pub struct ClassLoss {
    /// The mean over the rows.
    pub mean: f32,
    /// The softmax of every row.
    pub probabilities: Vec<f32>,
}

/// The mean over rows of the cross entropy between a target and the softmax of a row of logits. The target is the row's
/// class, but for a share `smoothing` that is spread evenly over all classes.
///
/// # Panics
/// If there is not a row of logits for every class, or a class is out of range.
pub fn cross_entropy(logits: &[f32], classes: &[usize], smoothing: f64) -> ClassLoss {
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
            let spread = if smoothing > 0.0 { smoothing * to_all() } else { 0.0 };
            loss[0].write((to_class * (1.0 - smoothing) + spread) as f32);
        }
    });
    // SAFETY: every row was written.
    let (losses, probabilities) = unsafe { (losses.written(rows), probabilities.written(logits.len())) };
    let sum: f64 = losses.into_iter().map(f64::from).sum();
    ClassLoss { mean: (sum / rows as f64) as f32, probabilities }
}

/// The gradient of the logits, in place of the probabilities, for a gradient of the mean loss.
///
/// # Panics
/// As [`cross_entropy`].
pub fn cross_entropy_gradient(probabilities: &mut [f32], classes: &[usize], smoothing: f64, grad: f32) {
    let num_classes = probabilities.len() / classes.len();
    let scale = grad / classes.len() as f32;
    let [spread, rest] = [smoothing / num_classes as f64, 1.0 - smoothing].map(|share| share as f32);
    for (row, class) in probabilities.chunks_exact_mut(num_classes).zip(classes) {
        row.iter_mut().for_each(|p| *p -= spread);
        row[*class] -= rest;
        row.iter_mut().for_each(|p| *p *= scale);
    }
}
