//! ReLU.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::isa::{Isa, for_every_isa};
use crate::memory::Output;

/// Values of one task.
const STRETCH: usize = 1 << 15;

for_every_isa! {
    /// Negative values become zero; NaN stays.
    pub fn rectify_in_place(x: &mut [f32]) {
        for x in x {
            *x = if *x <= 0.0 { 0.0 } else { *x };
        }
    }
}

for_every_isa! {
    /// `y` becomes `x` without its negative values.
    pub fn rectify_into(x: &[f32], y: &mut [MaybeUninit<f32>]) {
        for (y, x) in y.iter_mut().zip(x) {
            y.write(if *x <= 0.0 { 0.0 } else { *x });
        }
    }
}

for_every_isa! {
    /// `grad` becomes zero where `y` is.
    pub fn mask_in_place(y: &[f32], grad: &mut [f32]) {
        for (grad, y) in grad.iter_mut().zip(y) {
            *grad = if *y <= 0.0 { 0.0 } else { *grad };
        }
    }
}

for_every_isa! {
    /// `to` becomes `grad`, zero where `y` is.
    pub fn mask_into(y: &[f32], grad: &[f32], to: &mut [MaybeUninit<f32>]) {
        for ((to, grad), y) in to.iter_mut().zip(grad).zip(y) {
            to.write(if *y <= 0.0 { 0.0 } else { *grad });
        }
    }
}

/// ReLU of every value.
pub fn relu(isa: Isa, x: &[f32]) -> Vec<f32> {
    let mut y = Output::unwritten(x.len());
    let out = y.shared();
    x.par_chunks(STRETCH).enumerate().for_each(|(index, x)| {
        // SAFETY: the stretch is this task's alone; it is written before anyone reads.
        rectify_into(isa, x, unsafe { out.blank(index * STRETCH, x.len()) });
    });
    // SAFETY: every stretch was written.
    unsafe { y.written(x.len()) }
}

/// ReLU of every value, in place.
pub fn relu_in_place(isa: Isa, x: &mut [f32]) {
    x.par_chunks_mut(STRETCH).for_each(|x| rectify_in_place(isa, x));
}

/// The gradient of ReLU's input, from ReLU's output and its gradient.
pub fn relu_gradient(isa: Isa, y: &[f32], grad: &[f32]) -> Vec<f32> {
    assert_eq!(y.len(), grad.len());
    let mut to = Output::unwritten(y.len());
    let out = to.shared();
    y.par_chunks(STRETCH).zip(grad.par_chunks(STRETCH)).enumerate().for_each(|(index, (y, grad))| {
        // SAFETY: the stretch is this task's alone; it is written before anyone reads.
        mask_into(isa, y, grad, unsafe { out.blank(index * STRETCH, y.len()) });
    });
    // SAFETY: every stretch was written.
    unsafe { to.written(y.len()) }
}

/// As [`relu_gradient`], in place of the output's gradient.
pub fn relu_gradient_in_place(isa: Isa, y: &[f32], grad: &mut [f32]) {
    assert_eq!(y.len(), grad.len());
    y.par_chunks(STRETCH).zip(grad.par_chunks_mut(STRETCH)).for_each(|(y, grad)| mask_in_place(isa, y, grad));
}
