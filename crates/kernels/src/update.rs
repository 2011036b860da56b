//! The steps of optimizers, in one pass over a parameter and in place.
//!
//! Every number is rounded after every operation, in the order of the formulas: Burn's operations one after the other give
//! the same bits.

use rayon::prelude::*;

use crate::isa::{Isa, for_every_isa};

/// Floats of one task.
const STRETCH: usize = 1 << 15;

/// A step of stochastic gradient descent, as `torch.optim.SGD` defines it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// The learning rate.
    pub rate: f64,
    /// Share of the velocity that is kept; 0 for none at all.
    pub momentum: f64,
    /// Share of the gradient that is kept out of the velocity.
    pub dampening: f64,
    /// Looks ahead along the velocity.
    pub nesterov: bool,
    /// Added to the gradient: so many times the weight.
    pub l2: f64,
}

/// A step of Adam, as `torch.optim.Adam` and `AdamW` define it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// The learning rate.
    pub rate: f64,
    /// Decay of the first and the second moment.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Added to the gradient: so many times the weight.
    pub l2: f64,
    /// What the weight is multiplied by before all else; 1 for nothing.
    pub shrink: f64,
    /// Gradients seen, this one included.
    pub steps: u64,
}

impl Adam {
    /// The rate by the first moment's correction for having begun at 0, and the root of the second's.
    pub(crate) fn corrected(self) -> [f64; 2] {
        let [first, second] = self.betas.map(|beta| 1.0 - beta.powf(self.steps as f64));
        [self.rate / first, second.sqrt()]
    }
}

/// The weights after a step without momentum.
///
/// # Panics
/// If the slices are not of one length.
pub fn sgd(isa: Isa, step: Sgd, x: &mut [f32], grad: &[f32]) {
    assert_eq!(x.len(), grad.len());
    let [rate, l2] = [step.rate, step.l2].map(|c| c as f32);
    if x.len() <= STRETCH {
        return plain(isa, rate, l2, x, grad);
    }
    let stretches = x.par_chunks_mut(STRETCH).zip(grad.par_chunks(STRETCH));
    stretches.for_each(|(x, grad)| plain(isa, rate, l2, x, grad));
}

/// The weights and the velocity after a step with momentum.
///
/// # Panics
/// As [`sgd`].
pub fn sgd_with_momentum(isa: Isa, step: Sgd, x: &mut [f32], grad: &[f32], velocity: &mut [f32]) {
    assert_eq!([x.len(), velocity.len()], [grad.len(); 2]);
    if x.len() <= STRETCH {
        return momentum(isa, step, x, grad, velocity);
    }
    let stretches = x.par_chunks_mut(STRETCH).zip(grad.par_chunks(STRETCH));
    let stretches = stretches.zip(velocity.par_chunks_mut(STRETCH));
    stretches.for_each(|((x, grad), velocity)| momentum(isa, step, x, grad, velocity));
}

/// The weights and the moments after a step.
///
/// # Panics
/// As [`sgd`].
pub fn adam(isa: Isa, step: Adam, x: &mut [f32], grad: &[f32], [first, second]: [&mut [f32]; 2]) {
    assert_eq!([x.len(), first.len(), second.len()], [grad.len(); 3]);
    if x.len() <= STRETCH {
        return adaptive(isa, step, x, grad, first, second);
    }
    let stretches = x.par_chunks_mut(STRETCH).zip(grad.par_chunks(STRETCH));
    let stretches = stretches.zip(first.par_chunks_mut(STRETCH)).zip(second.par_chunks_mut(STRETCH));
    stretches.for_each(|(((x, grad), first), second)| adaptive(isa, step, x, grad, first, second));
}

#[inline(always)]
fn with_l2(l2: f32, x: f32, grad: f32) -> f32 {
    if l2 == 0.0 { grad } else { grad + x * l2 }
}

for_every_isa! {
    fn plain(rate: f32, l2: f32, x: &mut [f32], grad: &[f32]) {
        for (x, grad) in x.iter_mut().zip(grad) {
            *x -= with_l2(l2, *x, *grad) * rate;
        }
    }
}

for_every_isa! {
    fn momentum(step: Sgd, x: &mut [f32], grad: &[f32], velocity: &mut [f32]) {
        let [rate, momentum, share, l2] =
            [step.rate, step.momentum, 1.0 - step.dampening, step.l2].map(|c| c as f32);
        for ((x, grad), velocity) in x.iter_mut().zip(grad).zip(velocity) {
            let grad = with_l2(l2, *x, *grad);
            *velocity = *velocity * momentum + grad * share;
            let along = if step.nesterov { grad + *velocity * momentum } else { *velocity };
            *x -= along * rate;
        }
    }
}

for_every_isa! {
    fn adaptive(step: Adam, x: &mut [f32], grad: &[f32], first: &mut [f32], second: &mut [f32]) {
        let [l2, shrink, eps] = [step.l2, step.shrink, step.eps].map(|c| c as f32);
        let [kept, new] = [step.betas, step.betas.map(|beta| 1.0 - beta)].map(|betas| betas.map(|c| c as f32));
        let [rate, root] = step.corrected().map(|c| c as f32);
        for (((x, grad), first), second) in x.iter_mut().zip(grad).zip(first).zip(second) {
            let grad = with_l2(l2, *x, *grad);
            *first = *first * kept[0] + grad * new[0];
            *second = *second * kept[1] + grad * grad * new[1];
            *x = *x * shrink - *first / (second.sqrt() / root + eps) * rate;
        }
    }
}
