//! Losses that are sums over pixels.

use burn::prelude::*;
use burn::tensor::activation::log_softmax;
use kiln_kernels::weighted_cross_entropy;

use super::Labels;

/// The least of 1 - p that has a gradient, so that a power of it has one too.
const LEAST_DOUBT: f32 = 1e-7;

/// What a pixel of a class counts; 1 where there are no weights.
fn of_class(weights: &[f32]) -> impl Fn(usize) -> f32 {
    |class| weights.get(class).copied().unwrap_or(1.0)
}

/// The weighted mean of the cross entropy.
pub fn cross_entropy(rows: Tensor<2>, labels: &Labels, weights: &[f32]) -> Tensor<1> {
    weighted_cross_entropy(rows, labels.classes().to_vec(), labels.numbers(of_class(weights)))
}

/// The mean of the cross entropy over hard pixels.
pub fn ohem(rows: Tensor<2>, labels: &Labels, threshold: f32, least: usize) -> Tensor<1> {
    let of_class = of_its_class(rows.clone().detach(), labels).into_data().convert::<f32>();
    let log_probabilities = of_class.as_slice::<f32>().expect("converted to f32 above");
    let mut counted: Vec<(f32, usize)> = labels
        .iter()
        .zip(log_probabilities)
        .enumerate()
        .filter_map(|(pixel, (class, log))| class.map(|_| (*log, pixel)))
        .collect();
    let by_hardness = |a: &(f32, usize), b: &(f32, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    let mut hard = counted.iter().filter(|(log, _)| *log < threshold.ln()).count();
    if hard < least {
        hard = least.min(counted.len());
        if hard < counted.len() {
            counted.select_nth_unstable_by(hard, by_hardness);
        }
        counted.truncate(hard);
    } else {
        counted.retain(|(log, _)| *log < threshold.ln());
    }
    let mut weights = vec![0.0; log_probabilities.len()];
    counted.iter().for_each(|(_, pixel)| weights[*pixel] = 1.0);
    weighted_cross_entropy(rows, labels.classes().to_vec(), weights)
}

/// The mean of the focal loss.
pub fn focal(rows: Tensor<2>, labels: &Labels, gamma: f32, weights: &[f32]) -> Tensor<1> {
    let (device, dtype) = (rows.device(), rows.dtype());
    let log = of_its_class(rows, labels);
    let doubt = (log.clone().exp().neg() + 1.0).clamp_min(LEAST_DOUBT);
    let weights = labels.numbers(of_class(weights));
    let weights = Tensor::<1>::from_data(weights.as_slice(), (&device, dtype)).unsqueeze_dim(1);
    (doubt.powf_scalar(gamma) * log * weights).sum() / -(labels.count().max(1) as f64)
}

/// The logarithm of the probability of each pixel's class, `[pixels, 1]`.
fn of_its_class(rows: Tensor<2>, labels: &Labels) -> Tensor<2> {
    let classes = labels.column(&rows.device());
    log_softmax(rows, 1).gather(1, classes)
}
