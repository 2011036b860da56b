//! Batch normalization of rows of channels, and the sum and ReLU that follow it.
//!
//! The result takes two passes over the input, one of them for the statistics; so does its gradient, one of them for the
//! sums. What follows the normalization goes along with these. Short rows are walked several at a time: such a *long row*
//! is a whole number of vectors, and its columns repeat the channels.

mod loops;
mod walk;

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::activation::overwrite;
use crate::isa::Isa;
use crate::memory::{Output, SharedMut};
use loops::{
    affine, affine_add_relu, affine_relu, mask, moments, products_of, products_of_positive, project,
    project_positive,
};
use walk::Walk;

/// What follows a normalization.
#[derive(Debug, Clone, Copy)]
pub enum Then<T> {
    /// Nothing.
    Nothing,
    /// ReLU.
    Relu,
    /// A sum with this, and ReLU of it.
    AddRelu(T),
}

impl Then<&[f32]> {
    fn of(self, range: Range<usize>) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Relu => Self::Relu,
            Self::AddRelu(values) => Self::AddRelu(&values[range]),
        }
    }
}

/// What every channel is normalized by: `(x - mean) / sqrt(variance + epsilon) * gamma + beta`.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// A factor for every channel.
    pub gamma: &'a [f32],
    /// What is added to every channel.
    pub beta: &'a [f32],
    /// Every channel's mean.
    pub mean: &'a [f32],
    /// Every channel's variance.
    pub variance: &'a [f32],
    /// Added to the variance.
    pub epsilon: f64,
}

/// Where mean and variance come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// From the input, so that every value's gradient depends on all of its channel.
    OfBatch,
    /// From elsewhere.
    Given,
}

/// The gradients of a normalization.
#[derive(Debug)]
pub struct Gradients {
    /// The input's, if it is not in the place of the output's.
    pub x: Option<Vec<f32>>,
    /// Of the factors.
    pub gamma: Vec<f32>,
    /// Of what is added.
    pub beta: Vec<f32>,
}

impl Norm<'_> {
    fn deviations(&self) -> impl Iterator<Item = f64> {
        self.variance.iter().map(|&variance| (f64::from(variance) + self.epsilon).sqrt())
    }

    /// Factor and summand of every channel of what a layer gives that adds `bias` itself.
    pub(crate) fn folded(&self, bias: Option<&[f32]>) -> (Vec<f32>, Vec<f32>) {
        let factors: Vec<f64> = self
            .gamma
            .iter()
            .zip(self.deviations())
            .map(|(&gamma, deviation)| f64::from(gamma) / deviation)
            .collect();
        let shift = |(channel, factor): (usize, &f64)| {
            let bias = bias.map_or(0.0, |bias| f64::from(bias[channel]));
            (f64::from(self.beta[channel]) + (bias - f64::from(self.mean[channel])) * factor) as f32
        };
        let shifts = factors.iter().enumerate().map(shift).collect();
        (factors.iter().map(|factor| *factor as f32).collect(), shifts)
    }

    /// Mean, factor and what is added, for the columns of a long row. Forward and backward pass get the same ones, so that
    /// both find the same values positive.
    fn columns(&self, walk: Walk) -> [Vec<f32>; 3] {
        let scale =
            self.gamma.iter().zip(self.deviations()).map(|(&gamma, deviation)| f64::from(gamma) / deviation);
        let scale: Vec<f32> = scale.map(|scale| scale as f32).collect();
        [walk.columns(self.mean), walk.columns(&scale), walk.columns(self.beta)]
    }
}

/// Mean and variance (divided by n) of every channel.
pub fn statistics(isa: Isa, channels: usize, x: &[f32]) -> [Vec<f32>; 2] {
    let walk = Walk::of(channels);
    let rows = x.len() / walk.channels;
    // Shifted by about the mean, the sum of squares does not cancel where the mean is far from zero.
    let sample = || (0..rows).step_by((rows / 16).max(1)).take(16);
    let mut shift = vec![0.0; channels];
    for row in sample() {
        shift.iter_mut().zip(&x[row * channels..]).for_each(|(shift, x)| *shift += x / sample().len() as f32);
    }
    let columns = walk.columns(&shift);
    let [sums, squares] = walk.sums(x.len(), |range, sums| moments(isa, &x[range], &columns, sums));
    let mean = sums.iter().zip(&shift).map(|(sum, shift)| (sum / rows as f64 + f64::from(*shift)) as f32);
    let variance = sums.iter().zip(&squares).map(|(sum, square)| {
        let mean = sum / rows as f64;
        (square / rows as f64 - mean * mean).max(0.0) as f32
    });
    [mean.collect(), variance.collect()]
}

/// The normalized rows.
///
/// # Panics
/// If a slice is not as long as the others say.
pub fn normalize(isa: Isa, norm: &Norm, x: &[f32], then: Then<&[f32]>) -> Vec<f32> {
    let walk = Walk::of(norm.gamma.len());
    let columns = norm.columns(walk);
    let mut y = Output::unwritten(x.len());
    let out = y.shared();
    walk.for_each(x.len(), |range| {
        // SAFETY: the block is this task's alone; it is written before anyone reads.
        let y = unsafe { out.blank(range.start, range.len()) };
        normalize_into(isa, &x[range.clone()], &columns, then.of(range), y);
    });
    // SAFETY: every block was written.
    unsafe { y.written(x.len()) }
}

/// As [`normalize`], in place.
///
/// # Panics
/// If a slice is not as long as the others say.
pub fn normalize_in_place(isa: Isa, norm: &Norm, x: &mut [f32], then: Then<&[f32]>) {
    let walk = Walk::of(norm.gamma.len());
    let columns = norm.columns(walk);
    let shared = SharedMut::of(x);
    walk.for_each(x.len(), |range| {
        // SAFETY: the block is this task's alone.
        let block = unsafe { shared.part(range.start, range.len()) };
        let then = then.of(range);
        overwrite(block, walk.piece(), |part, x, y| normalize_into(isa, x, &columns, then.of(part), y));
    });
}

fn normalize_into(
    isa: Isa,
    x: &[f32],
    columns: &[Vec<f32>; 3],
    then: Then<&[f32]>,
    y: &mut [MaybeUninit<f32>],
) {
    let columns = columns.each_ref().map(|columns| &columns[..]);
    match then {
        Then::Nothing => affine(isa, x, columns, y),
        Then::Relu => affine_relu(isa, x, columns, y),
        Then::AddRelu(skip) => affine_add_relu(isa, [x, skip], columns, y),
    }
}

/// The gradients of [`normalize`]. `grad`, the output's, becomes the input's; where something was added (`then` has the
/// output, not what was added), it becomes the gradient of that, and the input's is a vector of its own.
///
/// # Panics
/// If a slice is not as long as the others say.
pub fn gradients(
    isa: Isa,
    norm: &Norm,
    statistics: Statistics,
    x: &[f32],
    grad: &mut [f32],
    then: Then<&[f32]>,
) -> Gradients {
    assert_eq!(x.len(), grad.len());
    let walk = Walk::of(norm.gamma.len());
    let [mean, scale, shift] = norm.columns(walk);
    let shared = SharedMut::of(grad);
    let [beta, products] = walk.sums(x.len(), |range, [sums, products]| {
        // SAFETY: the block is this task's alone.
        let grad = unsafe { shared.part(range.start, range.len()) };
        let x = &x[range.clone()];
        match then.of(range) {
            Then::Nothing => products_of(isa, [x, grad], &mean, [sums, products]),
            Then::Relu => products_of_positive(isa, [x, grad], [&mean, &scale, &shift], [sums, products]),
            Then::AddRelu(y) => {
                // So few that they are in cache when they are read again.
                let some = walk.piece();
                for ((x, y), grad) in x.chunks(some).zip(y.chunks(some)).zip(grad.chunks_mut(some)) {
                    mask(isa, y, grad);
                    products_of(isa, [x, grad], &mean, [sums, products]);
                }
            }
        }
    });
    let gamma: Vec<f64> =
        products.iter().zip(norm.deviations()).map(|(product, deviation)| product / deviation).collect();

    // dx = (grad - beta' / n - (x - mean) / deviation * gamma' / n) * scale
    let per_row = match statistics {
        Statistics::OfBatch => walk.channels as f64 / x.len() as f64,
        Statistics::Given => 0.0,
    };
    let factors = || scale.iter().map(|&scale| -f64::from(scale) * per_row);
    let offset: Vec<f32> = factors().zip(&beta).map(|(factor, beta)| (factor * beta) as f32).collect();
    let slope = factors().zip(&gamma).zip(norm.deviations());
    let slope: Vec<f32> =
        slope.map(|((factor, gamma), deviation)| (factor * gamma / deviation) as f32).collect();
    let [slope, offset] = [slope, offset].map(|values| walk.columns(&values));
    let project = |[x, grad]: [&[f32]; 2], dx: &mut [MaybeUninit<f32>]| match then {
        Then::Relu => project_positive(isa, [x, grad], [&mean, &scale, &slope, &offset, &shift], dx),
        Then::Nothing | Then::AddRelu(_) => project(isa, [x, grad], [&mean, &scale, &slope, &offset], dx),
    };
    let mut dx = matches!(then, Then::AddRelu(_)).then(|| Output::unwritten(x.len()));
    let out = dx.as_mut().map(Output::shared);
    walk.for_each(x.len(), |range| {
        // SAFETY: the block is this task's alone.
        let grad = unsafe { shared.part(range.start, range.len()) };
        match out {
            // SAFETY: as above; it is written before anyone reads.
            Some(dx) => project([&x[range.clone()], grad], unsafe { dx.blank(range.start, range.len()) }),
            None => {
                overwrite(grad, walk.piece(), |part, grad, dx| project([&x[range.clone()][part], grad], dx))
            }
        }
    });
    Gradients {
        // SAFETY: every block was written.
        x: dx.map(|dx| unsafe { dx.written(x.len()) }),
        gamma: gamma.into_iter().map(|gamma| gamma as f32).collect(),
        beta: beta.into_iter().map(|beta| beta as f32).collect(),
    }
}

/// Moves running statistics towards a batch's times `factor`, by `momentum` of the way.
pub fn follow(running: &mut [f32], batch: &[f32], momentum: f64, factor: f64) {
    let (kept, new) = ((1.0 - momentum) as f32, (momentum * factor) as f32);
    running.iter_mut().zip(batch).for_each(|(running, batch)| *running = *running * kept + batch * new);
}
