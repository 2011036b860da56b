//! The two inner loops, compiled for each instruction set. Both are a sum of outer products in registers: up to 14 rows
//! times one or two vectors of 16 columns, where a vector is loaded and a row's float is broadcast.
//!
//! Neither knows a convolution: rows are addressed by pointers, so the columns of im2col are never written down.

use crate::isa::Isa;

/// Most rows of a tile: 14 x 2 sums, two vectors and a broadcast fill 31 of 32 registers.
pub const ROWS: usize = 14;
/// Columns of a panel: two vectors of 16. The last panel of a matrix has 16 if that is enough.
pub const WIDTH: usize = 32;

/// What one weight of the kernel's plane adds to a tile.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// The input of the tile's first row (which need not exist), and floats from row to row.
    pub start: *const f32,
    pub step: isize,
    /// The rows that have an input; the others see zeros.
    pub low: usize,
    pub high: usize,
    /// `[input channels, panel's width]`
    pub weights: *const f32,
}

/// Where a tile's sums go.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The first row, and floats from row to row.
    pub start: *mut f32,
    pub step: isize,
    /// Columns that are wanted of the panel's.
    pub columns: usize,
    /// What the sums begin with, a float a column; null for zeros.
    pub bias: *const f32,
    /// Whether negative sums become zero.
    pub relu: bool,
}

/// `target[m][n] = bias[n] + sum over lines and c < len of line.start[m * line.step + c] * line.weights[c * width + n]`
/// for `rows` rows and the target's columns; the width is 16 times `vectors`, 1 or 2.
///
/// # Safety
/// Every pointer reaches that far; `zeros` has `len` floats; the target is no other thread's; the processor has `isa`.
pub unsafe fn product(
    isa: Isa,
    [rows, vectors]: [usize; 2],
    lines: &[Line],
    len: usize,
    zeros: *const f32,
    target: Target,
) {
    debug_assert!((1..=ROWS).contains(&rows) && (1..=2).contains(&vectors));
    debug_assert!(target.columns <= 16 * vectors && target.columns > 16 * (vectors - 1));
    // SAFETY: the caller's promise, passed on.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::PRODUCT[vectors - 1][rows - 1](lines, len, zeros, target),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => product_avx2([rows, vectors], lines, len, zeros, target),
            _ => product_any::<false, 2>([rows, vectors], lines, len, zeros, target),
        }
    }
}

/// Two rows that [`outer`] multiplies: the left one's floats by the right one's panel, at every step. The right one is
/// so many floats from the first: it lies in scratch that is written again while the pairs stay.
pub type Pair = (*const f32, usize);

/// `sums[m * width + n] += sum over pairs and k < count of left[k * steps[0] + first + m] * right[k * steps[1] + n]`
/// (the pair's `right` from `right` on) for `rows` rows `m` and all columns `n` of the width, 16 times `vectors`, 1 or 2.
///
/// # Safety
/// Every pointer reaches that far; the sums are no other thread's; the processor has `isa`.
#[allow(clippy::too_many_arguments)]
pub unsafe fn outer(
    isa: Isa,
    [rows, vectors]: [usize; 2],
    pairs: &[Pair],
    right: *const f32,
    first: usize,
    count: usize,
    steps: [usize; 2],
    sums: *mut f32,
) {
    debug_assert!((1..=ROWS).contains(&rows) && (1..=2).contains(&vectors));
    // SAFETY: the caller's promise, passed on.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::OUTER[vectors - 1][rows - 1](pairs, right, first, count, steps, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => outer_avx2([rows, vectors], pairs, right, first, count, steps, sums),
            _ => outer_any::<false, 2>([rows, vectors], pairs, right, first, count, steps, sums),
        }
    }
}

#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// In blocks of `BLOCK` rows and 16 columns.
///
/// # Safety
/// As [`product`].
#[inline(always)]
unsafe fn product_any<const FUSED: bool, const BLOCK: usize>(
    [rows, vectors]: [usize; 2],
    lines: &[Line],
    len: usize,
    zeros: *const f32,
    target: Target,
) {
    for vector in 0..vectors {
        let columns = 16.min(target.columns - 16 * vector);
        let mut bias = [0.0f32; 16];
        if !target.bias.is_null() {
            // SAFETY: the bias has a float a column.
            let given = unsafe { std::slice::from_raw_parts(target.bias.add(16 * vector), columns) };
            bias[..columns].copy_from_slice(given);
        }
        for first in (0..rows).step_by(BLOCK) {
            let mut sums = [bias; BLOCK];
            for line in lines {
                let inputs: [*const f32; BLOCK] = std::array::from_fn(|i| {
                    // A block beyond the last row works on that row again, and the result is dropped.
                    let m = (first + i).min(rows - 1);
                    let real = (line.low..line.high).contains(&m);
                    if real { line.start.wrapping_offset(m as isize * line.step) } else { zeros }
                });
                for c in 0..len {
                    // SAFETY: the caller's promise: `len` rows of weights, `len` floats behind every input.
                    let weights =
                        unsafe { line.weights.add((c * vectors + vector) * 16).cast::<[f32; 16]>().read() };
                    for (sums, input) in sums.iter_mut().zip(inputs) {
                        // SAFETY: as above.
                        let input = unsafe { *input.add(c) };
                        for (sum, weight) in sums.iter_mut().zip(weights) {
                            *sum = multiply_add::<FUSED>(input, weight, *sum);
                        }
                    }
                }
            }
            for (i, sums) in sums.iter_mut().enumerate().take(rows - first) {
                if target.relu {
                    sums.iter_mut().for_each(|sum| *sum = sum.max(0.0));
                }
                // SAFETY: the caller's promise: the target has these rows and columns.
                unsafe {
                    let to = target.start.offset((first + i) as isize * target.step).add(16 * vector);
                    std::ptr::copy_nonoverlapping(sums.as_ptr(), to, columns);
                }
            }
        }
    }
}

/// In blocks of `BLOCK` rows and 16 columns.
///
/// # Safety
/// As [`outer`].
#[inline(always)]
unsafe fn outer_any<const FUSED: bool, const BLOCK: usize>(
    [rows, vectors]: [usize; 2],
    pairs: &[Pair],
    right: *const f32,
    skipped: usize,
    count: usize,
    steps: [usize; 2],
    sums: *mut f32,
) {
    for vector in 0..vectors {
        for first in (0..rows).step_by(BLOCK) {
            let places: [usize; BLOCK] = std::array::from_fn(|i| (first + i).min(rows - 1));
            let mut block = [[0.0f32; 16]; BLOCK];
            for &(left, offset) in pairs {
                let right = right.wrapping_add(offset);
                for k in 0..count {
                    // SAFETY: the caller's promise: `count` steps behind every pointer.
                    let values =
                        unsafe { right.wrapping_add(k * steps[1] + 16 * vector).cast::<[f32; 16]>().read() };
                    for (sums, &m) in block.iter_mut().zip(&places) {
                        // SAFETY: as above.
                        let factor = unsafe { *left.wrapping_add(k * steps[0] + skipped + m) };
                        for (sum, value) in sums.iter_mut().zip(values) {
                            *sum = multiply_add::<FUSED>(factor, value, *sum);
                        }
                    }
                }
            }
            for (i, block) in block.iter().enumerate().take(rows - first) {
                // SAFETY: the caller's promise: the sums have these rows and columns.
                let to = unsafe { &mut *sums.add(((first + i) * vectors + vector) * 16).cast::<[f32; 16]>() };
                to.iter_mut().zip(block).for_each(|(to, sum)| *to += sum);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn product_avx2(size: [usize; 2], lines: &[Line], len: usize, zeros: *const f32, target: Target) {
    // SAFETY: the caller's promise, passed on.
    unsafe { product_any::<true, 6>(size, lines, len, zeros, target) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn outer_avx2(
    size: [usize; 2],
    pairs: &[Pair],
    right: *const f32,
    first: usize,
    count: usize,
    steps: [usize; 2],
    sums: *mut f32,
) {
    // SAFETY: the caller's promise, passed on.
    unsafe { outer_any::<true, 6>(size, pairs, right, first, count, steps, sums) }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::{Line, Pair, ROWS, Target};

    type Product = unsafe fn(&[Line], usize, *const f32, Target);
    type Outer = unsafe fn(&[Pair], *const f32, usize, usize, [usize; 2], *mut f32);

    macro_rules! every_size {
        ($name:ident: $($rows:literal)*) => {
            [[$($name::<$rows, 1>),*], [$($name::<$rows, 2>),*]]
        };
    }
    /// By vectors and rows, each from 1.
    pub const PRODUCT: [[Product; ROWS]; 2] = every_size!(product: 1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    pub const OUTER: [[Outer; ROWS]; 2] = every_size!(outer: 1 2 3 4 5 6 7 8 9 10 11 12 13 14);

    /// Steps that are fetched in advance: panels are in the second-level cache, and without this a tenth of the time is
    /// waiting for it.
    const AHEAD: usize = 8;

    /// # Safety
    /// As [`super::product`].
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
    unsafe fn product<const M: usize, const V: usize>(
        lines: &[Line],
        len: usize,
        zeros: *const f32,
        target: Target,
    ) {
        let masks: [__mmask16; V] =
            std::array::from_fn(|v| ((1u32 << (target.columns - 16 * v).min(16)) - 1) as __mmask16);
        let mut sums = [[_mm512_setzero_ps(); V]; M];
        if !target.bias.is_null() {
            for (v, mask) in masks.iter().enumerate() {
                // SAFETY: the mask keeps to the target's columns, and the bias has a float for each.
                let bias = unsafe { _mm512_maskz_loadu_ps(*mask, target.bias.add(16 * v)) };
                sums.iter_mut().for_each(|sums| sums[v] = bias);
            }
        }
        for line in lines {
            let mut inputs = [zeros; M];
            if line.low == 0 && line.high >= M {
                for (m, input) in inputs.iter_mut().enumerate() {
                    *input = line.start.wrapping_offset(m as isize * line.step);
                }
            } else {
                for (m, input) in inputs.iter_mut().enumerate() {
                    if m >= line.low && m < line.high {
                        *input = line.start.wrapping_offset(m as isize * line.step);
                    }
                }
            }
            let mut weights = line.weights;
            for c in 0..len {
                // SAFETY: `len` rows of weights and `len` floats behind every input: the caller's promise.
                unsafe {
                    let mut values = [_mm512_setzero_ps(); V];
                    for (v, value) in values.iter_mut().enumerate() {
                        *value = _mm512_loadu_ps(weights.add(16 * v));
                        if V == 2 {
                            _mm_prefetch::<_MM_HINT_T0>(weights.wrapping_add(16 * (AHEAD * V + v)).cast());
                        }
                    }
                    weights = weights.add(16 * V);
                    for (sums, input) in sums.iter_mut().zip(inputs) {
                        let factor = _mm512_set1_ps(*input.add(c));
                        for (sum, value) in sums.iter_mut().zip(values) {
                            *sum = _mm512_fmadd_ps(factor, value, *sum);
                        }
                    }
                }
            }
        }
        let floor = if target.relu { _mm512_setzero_ps() } else { _mm512_set1_ps(f32::NEG_INFINITY) };
        for (m, sums) in sums.into_iter().enumerate() {
            for (v, sum) in sums.into_iter().enumerate() {
                // SAFETY: the mask keeps to the target's columns.
                unsafe {
                    let to = target.start.offset(m as isize * target.step).add(16 * v);
                    _mm512_mask_storeu_ps(to, masks[v], _mm512_max_ps(sum, floor));
                }
            }
        }
    }

    /// # Safety
    /// As [`super::outer`].
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
    unsafe fn outer<const M: usize, const V: usize>(
        pairs: &[Pair],
        right: *const f32,
        first: usize,
        count: usize,
        steps: [usize; 2],
        totals: *mut f32,
    ) {
        let mut sums = [[_mm512_setzero_ps(); V]; M];
        // Long runs of far steps are fetched in advance; short ones end before it pays.
        let ahead = if count >= 2 * AHEAD { AHEAD * steps[0] } else { 0 };
        for &(left, offset) in pairs {
            let (mut left, mut right) = (left.wrapping_add(first), right.wrapping_add(offset));
            for _ in 0..count {
                // SAFETY: `count` steps behind both pointers: the caller's promise. (They are moved on once more than
                // they are read, so without a claim about where that is.)
                unsafe {
                    let mut values = [_mm512_setzero_ps(); V];
                    for (v, value) in values.iter_mut().enumerate() {
                        *value = _mm512_loadu_ps(right.add(16 * v));
                    }
                    for (m, sums) in sums.iter_mut().enumerate() {
                        let factor = _mm512_set1_ps(*left.add(m));
                        for (sum, value) in sums.iter_mut().zip(values) {
                            *sum = _mm512_fmadd_ps(factor, value, *sum);
                        }
                    }
                }
                _mm_prefetch::<_MM_HINT_T0>(left.wrapping_add(ahead).cast());
                _mm_prefetch::<_MM_HINT_T0>(left.wrapping_add(ahead + M - 1).cast());
                left = left.wrapping_add(steps[0]);
                right = right.wrapping_add(steps[1]);
            }
        }
        for (m, sums) in sums.into_iter().enumerate() {
            for (v, sum) in sums.into_iter().enumerate() {
                // SAFETY: the sums have these rows and columns: the caller's promise.
                unsafe {
                    let to = totals.add((m * V + v) * 16);
                    _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), sum));
                }
            }
        }
    }
}
