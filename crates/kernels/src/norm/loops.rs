//! The innermost loops: over the columns of long rows.

use std::mem::MaybeUninit;

use crate::activation::rectified;
use crate::isa::for_every_isa;

/// `y = f(inputs, columns)` for every value, `columns` being those of a long row.
#[inline(always)]
fn map<const N: usize, const M: usize>(
    inputs: [&[f32]; N],
    columns: [&[f32]; M],
    y: &mut [MaybeUninit<f32>],
    f: impl Fn([f32; N], [f32; M]) -> f32,
) {
    let long = columns[0].len();
    for (row, y) in y.chunks_mut(long).enumerate() {
        let inputs = inputs.map(|input| &input[row * long..][..y.len()]);
        let columns = columns.map(|column| &column[..y.len()]);
        for (i, y) in y.iter_mut().enumerate() {
            y.write(f(inputs.map(|input| input[i]), columns.map(|column| column[i])));
        }
    }
}

/// Adds `f` of every value to its column's two sums.
#[inline(always)]
fn add_up<const N: usize, const M: usize>(
    inputs: [&[f32]; N],
    columns: [&[f32]; M],
    [first, second]: [&mut [f32]; 2],
    f: impl Fn([f32; N], [f32; M]) -> [f32; 2],
) {
    let (long, len) = (first.len(), inputs[0].len());
    for start in (0..len).step_by(long) {
        let count = long.min(len - start);
        let inputs = inputs.map(|input| &input[start..][..count]);
        let columns = columns.map(|column| &column[..count]);
        let (first, second) = (&mut first[..count], &mut second[..count]);
        for i in 0..count {
            let sums = f(inputs.map(|input| input[i]), columns.map(|column| column[i]));
            first[i] += sums[0];
            second[i] += sums[1];
        }
    }
}

for_every_isa! {
    pub fn moments(x: &[f32], shift: &[f32], sums: [&mut [f32]; 2]) {
        add_up([x], [shift], sums, |[x], [shift]| [x - shift, (x - shift) * (x - shift)]);
    }
}

for_every_isa! {
    pub fn products_of(inputs: [&[f32]; 2], mean: &[f32], sums: [&mut [f32]; 2]) {
        add_up(inputs, [mean], sums, |[x, grad], [mean]| [grad, grad * (x - mean)]);
    }
}

for_every_isa! {
    pub fn products_of_positive(inputs: [&[f32]; 2], columns: [&[f32]; 3], sums: [&mut [f32]; 2]) {
        add_up(inputs, columns, sums, |[x, grad], [mean, scale, shift]| {
            let grad = if (x - mean) * scale + shift <= 0.0 { 0.0 } else { grad };
            [grad, grad * (x - mean)]
        });
    }
}

for_every_isa! {
    /// Zero where `y` is.
    pub fn mask(y: &[f32], grad: &mut [f32]) {
        for (grad, y) in grad.iter_mut().zip(y) {
            *grad = if *y <= 0.0 { 0.0 } else { *grad };
        }
    }
}

for_every_isa! {
    pub fn affine(x: &[f32], columns: [&[f32]; 3], y: &mut [MaybeUninit<f32>]) {
        map([x], columns, y, |[x], [mean, scale, shift]| (x - mean) * scale + shift);
    }
}

for_every_isa! {
    pub fn affine_relu(x: &[f32], columns: [&[f32]; 3], y: &mut [MaybeUninit<f32>]) {
        map([x], columns, y, |[x], [mean, scale, shift]| rectified((x - mean) * scale + shift));
    }
}

for_every_isa! {
    pub fn affine_add_relu(inputs: [&[f32]; 2], columns: [&[f32]; 3], y: &mut [MaybeUninit<f32>]) {
        map(inputs, columns, y, |[x, skip], [mean, scale, shift]| {
            rectified((x - mean) * scale + shift + skip)
        });
    }
}

for_every_isa! {
    pub fn project(inputs: [&[f32]; 2], columns: [&[f32]; 4], dx: &mut [MaybeUninit<f32>]) {
        map(inputs, columns, dx, |[x, grad], [mean, scale, slope, offset]| {
            grad * scale + ((x - mean) * slope + offset)
        });
    }
}

for_every_isa! {
    pub fn project_positive(inputs: [&[f32]; 2], columns: [&[f32]; 5], dx: &mut [MaybeUninit<f32>]) {
        map(inputs, columns, dx, |[x, grad], [mean, scale, slope, offset, shift]| {
            let grad = if (x - mean) * scale + shift <= 0.0 { 0.0 } else { grad };
            grad * scale + ((x - mean) * slope + offset)
        });
    }
}
