//! Batch normalization, channel by channel: a channel's values stay in a core's cache from pass to pass.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::isa::{Isa, for_every_isa};
use crate::memory::{Output, SharedMut};

/// Batch, channels and values of a channel in one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planes {
    /// Images.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Rows times columns.
    pub area: usize,
}

impl Planes {
    fn len(&self) -> usize {
        self.batch * self.channels * self.area
    }

    /// Where each image's plane of one channel begins.
    fn starts(self, channel: usize) -> impl Iterator<Item = usize> {
        (0..self.batch).map(move |image| (image * self.channels + channel) * self.area)
    }
}

/// What a normalization by the batch's own statistics gives.
#[derive(Debug)]
pub struct Normalized {
    /// As the input.
    pub y: Vec<f32>,
    /// A channel's mean.
    pub mean: Vec<f32>,
    /// A channel's variance, divided by n.
    pub variance: Vec<f32>,
}

for_every_isa! {
    /// The sums of `x - shift` and of its square.
    pub fn moments(x: &[f32], shift: f32) -> [f64; 2] {
        let (mut sum, mut square) = ([0.0f32; 32], [0.0f32; 32]);
        let chunks = x.chunks_exact(32);
        let rest = chunks.remainder();
        for chunk in chunks {
            for i in 0..32 {
                let value = chunk[i] - shift;
                sum[i] += value;
                square[i] += value * value;
            }
        }
        for (i, value) in rest.iter().enumerate() {
            let value = value - shift;
            sum[i] += value;
            square[i] += value * value;
        }
        [sum, square].map(|lanes| lanes.iter().map(|&lane| f64::from(lane)).sum())
    }
}

for_every_isa! {
    /// The sums of `grad` and of `grad * (x - shift)`.
    pub fn products(x: &[f32], grad: &[f32], shift: f32) -> [f64; 2] {
        let (mut sum, mut product) = ([0.0f32; 32], [0.0f32; 32]);
        let (xs, grads) = (x.chunks_exact(32), grad.chunks_exact(32));
        let rest = xs.remainder().iter().zip(grads.remainder());
        for (x, grad) in xs.zip(grads) {
            for i in 0..32 {
                sum[i] += grad[i];
                product[i] += grad[i] * (x[i] - shift);
            }
        }
        for (i, (x, grad)) in rest.enumerate() {
            sum[i] += grad;
            product[i] += grad * (x - shift);
        }
        [sum, product].map(|lanes| lanes.iter().map(|&lane| f64::from(lane)).sum())
    }
}

for_every_isa! {
    /// `(x - centre) * scale + shift`.
    pub fn affine(x: &[f32], y: &mut [MaybeUninit<f32>], centre: f32, scale: f32, shift: f32) {
        for (y, x) in y.iter_mut().zip(x) {
            y.write((x - centre) * scale + shift);
        }
    }
}

for_every_isa! {
    /// `grad = (grad - mean) * scale + (x - centre) * slope`, in place.
    pub fn project(x: &[f32], grad: &mut [f32], centre: f32, slope: f32, mean: f32, scale: f32) {
        for (grad, x) in grad.iter_mut().zip(x) {
            *grad = (*grad - mean) * scale + (x - centre) * slope;
        }
    }
}

/// The sums of a plane are f32 over at most this many values, f64 beyond.
const STRETCH: usize = 4096;

/// Normalizes by the batch's own statistics.
///
/// # Panics
/// If a slice is not as long as `planes` says.
pub fn train(isa: Isa, planes: Planes, x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f64) -> Normalized {
    assert!(x.len() == planes.len() && gamma.len() == planes.channels && beta.len() == planes.channels);
    let count = (planes.batch * planes.area) as f64;
    let mut y = Output::unwritten(x.len());
    let out = y.shared();
    let statistics: Vec<(f32, f32)> = (0..planes.channels)
        .into_par_iter()
        .map(|channel| {
            // Shifted by one of the values, the sum of squares does not cancel where the mean is far from zero.
            let shift = planes.starts(channel).next().and_then(|start| x.get(start)).copied().unwrap_or(0.0);
            let mut sums = [0.0; 2];
            for start in planes.starts(channel) {
                for stretch in x[start..start + planes.area].chunks(STRETCH) {
                    let [sum, square] = moments(isa, stretch, shift);
                    sums = [sums[0] + sum, sums[1] + square];
                }
            }
            let mean = sums[0] / count;
            let variance = (sums[1] / count - mean * mean).max(0.0);
            let centre = (f64::from(shift) + mean) as f32;
            let scale = (f64::from(gamma[channel]) / (variance + epsilon).sqrt()) as f32;
            for start in planes.starts(channel) {
                // SAFETY: the channel's planes are this task's alone; `affine` writes them before anyone reads.
                let y = unsafe { out.blank(start, planes.area) };
                affine(isa, &x[start..start + planes.area], y, centre, scale, beta[channel]);
            }
            (centre, variance as f32)
        })
        .collect();
    // SAFETY: every plane of every channel was written.
    let y = unsafe { y.written(x.len()) };
    let (mean, variance) = statistics.into_iter().unzip();
    Normalized { y, mean, variance }
}

/// The gradients of gamma and beta; `grad`, the output's gradient, becomes the input's.
///
/// # Panics
/// If a slice is not as long as `planes` says.
pub fn train_gradient(
    isa: Isa,
    planes: Planes,
    x: &[f32],
    grad: &mut [f32],
    gamma: &[f32],
    statistics: [&[f32]; 2],
    epsilon: f64,
) -> [Vec<f32>; 2] {
    assert!(x.len() == planes.len() && grad.len() == x.len() && gamma.len() == planes.channels);
    let [mean, variance] = statistics;
    let count = (planes.batch * planes.area) as f64;
    let shared = SharedMut::of(grad);
    let gradients: Vec<(f32, f32)> = (0..planes.channels)
        .into_par_iter()
        .map(|channel| {
            let centre = mean[channel];
            let deviation = (f64::from(variance[channel]) + epsilon).sqrt().recip();
            let mut sums = [0.0; 2];
            for start in planes.starts(channel) {
                // SAFETY: the channel's planes are this task's alone.
                let grad = unsafe { shared.part(start, planes.area) };
                for (x, grad) in x[start..start + planes.area].chunks(STRETCH).zip(grad.chunks(STRETCH)) {
                    let [sum, product] = products(isa, x, grad, centre);
                    sums = [sums[0] + sum, sums[1] + product];
                }
            }
            let [beta_gradient, product] = sums;
            let gamma_gradient = product * deviation;
            let scale = f64::from(gamma[channel]) * deviation;
            let slope = -scale * gamma_gradient / count * deviation;
            for start in planes.starts(channel) {
                // SAFETY: as above, and the first borrow has ended.
                let grad = unsafe { shared.part(start, planes.area) };
                let x = &x[start..start + planes.area];
                project(isa, x, grad, centre, slope as f32, (beta_gradient / count) as f32, scale as f32);
            }
            (gamma_gradient as f32, beta_gradient as f32)
        })
        .collect();
    let (gamma, beta) = gradients.into_iter().unzip();
    [gamma, beta]
}

/// `(x - centre) * scale + shift` with a number each for every channel; values are `[centre, scale, shift]`.
///
/// # Panics
/// If a slice is not as long as `planes` says.
pub fn per_channel(isa: Isa, planes: Planes, x: &[f32], values: &[[f32; 3]]) -> Vec<f32> {
    assert!(x.len() == planes.len() && values.len() == planes.channels);
    let mut y = Output::unwritten(x.len());
    let out = y.shared();
    let planes_at_once = (STRETCH / planes.area.max(1)).max(1);
    (0..planes.batch * planes.channels).into_par_iter().with_min_len(planes_at_once).for_each(|plane| {
        let [centre, scale, shift] = values[plane % planes.channels];
        let start = plane * planes.area;
        // SAFETY: the plane is this task's alone; `affine` writes it before anyone reads.
        let y = unsafe { out.blank(start, planes.area) };
        affine(isa, &x[start..start + planes.area], y, centre, scale, shift);
    });
    // SAFETY: every plane was written.
    unsafe { y.written(x.len()) }
}

/// The sum of every channel.
///
/// # Panics
/// If the slice is not as long as `planes` says.
pub fn channel_sums(isa: Isa, planes: Planes, x: &[f32]) -> Vec<f32> {
    assert_eq!(x.len(), planes.len());
    let sum = |channel| {
        let stretches =
            planes.starts(channel).flat_map(|start| x[start..start + planes.area].chunks(STRETCH));
        stretches.map(|stretch| moments(isa, stretch, 0.0)[0]).sum::<f64>() as f32
    };
    (0..planes.channels).into_par_iter().map(sum).collect()
}

for_every_isa! {
    /// Adds `shift`, in place.
    pub fn add(x: &mut [f32], shift: f32) {
        for x in x {
            *x += shift;
        }
    }
}

/// Adds a number to every channel, in place.
///
/// # Panics
/// If a slice is not as long as `planes` says.
pub fn add_bias(isa: Isa, planes: Planes, x: &mut [f32], bias: &[f32]) {
    assert!(x.len() == planes.len() && bias.len() == planes.channels);
    if let Some(planes_at_once) = STRETCH.checked_div(planes.area) {
        x.par_chunks_exact_mut(planes.area)
            .with_min_len(planes_at_once.max(1))
            .enumerate()
            .for_each(|(plane, x)| add(isa, x, bias[plane % planes.channels]));
    }
}
