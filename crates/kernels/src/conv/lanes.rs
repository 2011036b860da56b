//! The inner loops for groups of few channels, compiled for each instruction set: channel by channel, a vector of
//! neighbouring channels of a pixel times as many weights.
//!
//! A tile is up to 14 outputs of a row. Its sums stay in registers, and where neighbouring outputs meet the same
//! inputs each of these is read once for up to three taps.

use super::vector::Vector;
use crate::isa::Isa;

/// Most taps of a [`Line`].
pub const TAPS: usize = 3;

/// Channels of a vector.
pub fn lanes(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 16,
        Isa::Avx2 => 8,
        Isa::Portable => 4,
    }
}

/// What up to three neighbouring taps of one row of the kernel add to a row of outputs: output `o` meets input `o + k` through
/// tap `k`. (Inputs are counted in steps of the stride; with a stride there is one tap.)
#[derive(Debug, Clone, Copy)]
pub struct Line {
    pub taps: usize,
    /// Input 0, which need not exist.
    pub x: *const f32,
    /// The inputs that exist.
    pub low: usize,
    pub high: usize,
    /// Floats from a block's first weight to the first tap's, and from tap to tap.
    pub weights: usize,
    pub step: isize,
    /// Which of a group's channels this is.
    pub source: usize,
}

/// Most outputs of a tile: what the registers hold.
pub fn outputs(isa: Isa) -> usize {
    if isa == Isa::Avx512 { 14 } else { 8 }
}

/// Where the channels that a block's lanes see are in a pixel of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// One after another.
    InOrder,
    /// Within the length of a vector.
    Near,
    /// All lanes see the same.
    Same,
}

/// A row of outputs.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    pub lines: &'a [Line],
    /// Floats between inputs.
    pub x_step: usize,
    /// For each block its first channel in the input and in the output.
    pub blocks: &'a [[usize; 2]],
    pub place: Place,
    /// For channels that are near, how far behind the block's first: `[block, source, lane]`.
    pub spread: &'a [i32],
    /// Channels of a group in the input.
    pub depth: usize,
    /// Floats from block to block of the weights.
    pub block_weights: usize,
    /// The first output, and floats from output to output.
    pub y_step: usize,
}

/// For the outputs from the first up to the second of `tile`: `y = bias + sum over lines and taps of input * weight`. `bias`
/// has a vector for each block.
///
/// # Safety
/// Every pointer reaches that far; the output is no other thread's; the processor has `isa`.
pub unsafe fn weigh(
    isa: Isa,
    row: &Row,
    tile: [usize; 2],
    weights: *const f32,
    bias: *const f32,
    y: *mut f32,
) {
    debug_assert!(tile[0] < tile[1] && tile[1] - tile[0] <= outputs(isa));
    let (place, half) = (row.place as usize, (tile[1] - tile[0] - 1) / 2);
    // SAFETY: the caller's promise, passed on.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::WEIGH[place][half](row, tile, weights, bias, y),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::WEIGH[place][half](row, tile, weights, bias, y),
            _ => portable::WEIGH[place][half](row, tile, weights, bias, y),
        }
    }
}

/// For the outputs from the first up to the second of `tile`: adds every input times its output's gradient to `sums`, which
/// are laid out as the weights.
///
/// # Safety
/// As [`weigh`].
pub unsafe fn correlate(isa: Isa, row: &Row, tile: [usize; 2], grad: *const f32, sums: *mut f32) {
    debug_assert!(tile[0] < tile[1] && tile[1] - tile[0] <= outputs(isa));
    let (place, half) = (row.place as usize, (tile[1] - tile[0] - 1) / 2);
    // SAFETY: the caller's promise, passed on.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::CORRELATE[place][half](row, tile, grad, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::CORRELATE[place][half](row, tile, grad, sums),
            _ => portable::CORRELATE[place][half](row, tile, grad, sums),
        }
    }
}

/// The numbers below `count`, at most 16, one after another: the compiler gives up on a loop of this size.
macro_rules! unrolled {
    ($count:expr, |$q:ident| $body:expr) => {
        unrolled!($count, |$q| $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    ($count:expr, |$q:ident| $body:expr, $($number:literal)*) => {
        $(if $number < $count {
            let $q = $number;
            $body;
        })*
    };
}

/// Calls `each` with every input of a line and its number.
///
/// # Safety
/// The inputs from `low` to `high` exist; so do the lanes that `index` names.
#[inline(always)]
unsafe fn inputs<V: Vector, const P: usize, const K: usize, const FROM: usize>(
    x: *const f32,
    step: usize,
    [low, high]: [usize; 2],
    index: *const i32,
    mut each: impl FnMut(usize, V),
) {
    // SAFETY: the caller's promise.
    unsafe {
        let index = if FROM == Place::Near as usize { Some(V::index(index)) } else { None };
        let get = |q: usize| {
            let from = x.wrapping_add(q * step);
            match index {
                Some(index) => V::pick(from, index),
                None if FROM == Place::Same as usize => V::splat(from),
                None => V::load(from),
            }
        };
        if low == 0 && high >= P + K - 1 {
            unrolled!(P + K - 1, |q| each(q, get(q)));
        } else {
            unrolled!(P + K - 1, |q| if q >= low && q < high {
                each(q, get(q));
            });
        }
    }
}

/// Where a tile meets a line: its first input and those that exist.
#[inline(always)]
fn meet(line: &Line, row: &Row, first: usize) -> (*const f32, [usize; 2]) {
    (
        line.x.wrapping_add(first * row.x_step),
        [line.low.saturating_sub(first), line.high.saturating_sub(first)],
    )
}

/// # Safety
/// As [`weigh`].
#[inline(always)]
unsafe fn weigh_line<V: Vector, const P: usize, const K: usize, const FROM: usize>(
    x: *const f32,
    step: usize,
    met: [usize; 2],
    index: *const i32,
    weights: *const f32,
    weight_step: isize,
    sums: &mut [V; P],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let weights: [V; K] =
            std::array::from_fn(|k| V::load(weights.wrapping_offset(k as isize * weight_step)));
        inputs::<V, P, K, FROM>(x, step, met, index, |q, x| {
            for (k, weight) in weights.iter().enumerate() {
                if q >= k && q - k < P {
                    sums[q - k] = x.multiply_add(*weight, sums[q - k]);
                }
            }
        });
    }
}

/// # Safety
/// As [`weigh`].
#[inline(always)]
unsafe fn weigh_any<V: Vector, const P: usize, const FROM: usize>(
    row: &Row,
    [first, end]: [usize; 2],
    weights: *const f32,
    bias: *const f32,
    y: *mut f32,
) {
    for (block, &[from, to]) in row.blocks.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [V::load(bias.add(block * V::LEN)); P];
            let weights = weights.add(block * row.block_weights);
            for line in row.lines {
                let (x, met) = meet(line, row, first);
                let (x, weights) = (x.wrapping_add(from), weights.add(line.weights));
                let index = row.spread.as_ptr().wrapping_add((block * row.depth + line.source) * V::LEN);
                let step = row.x_step;
                match line.taps {
                    1 => weigh_line::<V, P, 1, FROM>(x, step, met, index, weights, line.step, &mut sums),
                    2 => weigh_line::<V, P, 2, FROM>(x, step, met, index, weights, line.step, &mut sums),
                    _ => weigh_line::<V, P, 3, FROM>(x, step, met, index, weights, line.step, &mut sums),
                }
            }
            let y = y.add(first * row.y_step + to);
            for (p, sum) in sums.iter().enumerate() {
                if p < end - first {
                    sum.store(y.add(p * row.y_step));
                }
            }
        }
    }
}

/// # Safety
/// As [`correlate`].
#[inline(always)]
unsafe fn correlate_line<V: Vector, const P: usize, const K: usize, const FROM: usize>(
    x: *const f32,
    step: usize,
    met: [usize; 2],
    index: *const i32,
    grads: &[V; P],
    totals: *mut f32,
    total_step: isize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums: [V; K] =
            std::array::from_fn(|k| V::load(totals.wrapping_offset(k as isize * total_step)));
        inputs::<V, P, K, FROM>(x, step, met, index, |q, x| {
            for (k, sum) in sums.iter_mut().enumerate() {
                if q >= k && q - k < P {
                    *sum = x.multiply_add(grads[q - k], *sum);
                }
            }
        });
        for (k, sum) in sums.iter().enumerate() {
            sum.store(totals.wrapping_offset(k as isize * total_step));
        }
    }
}

/// # Safety
/// As [`correlate`].
#[inline(always)]
unsafe fn correlate_any<V: Vector, const P: usize, const FROM: usize>(
    row: &Row,
    [first, end]: [usize; 2],
    grad: *const f32,
    sums: *mut f32,
) {
    let zeros = [0.0f32; 16];
    for (block, &[from, to]) in row.blocks.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            let grad = grad.add(first * row.y_step + to);
            let grads: [V; P] = std::array::from_fn(|p| {
                V::load(if p < end - first { grad.wrapping_add(p * row.y_step) } else { zeros.as_ptr() })
            });
            let sums = sums.add(block * row.block_weights);
            for line in row.lines {
                let (x, met) = meet(line, row, first);
                let (x, sums) = (x.wrapping_add(from), sums.add(line.weights));
                let index = row.spread.as_ptr().wrapping_add((block * row.depth + line.source) * V::LEN);
                let step = row.x_step;
                match line.taps {
                    1 => correlate_line::<V, P, 1, FROM>(x, step, met, index, &grads, sums, line.step),
                    2 => correlate_line::<V, P, 2, FROM>(x, step, met, index, &grads, sums, line.step),
                    _ => correlate_line::<V, P, 3, FROM>(x, step, met, index, &grads, sums, line.step),
                }
            }
        }
    }
}

/// The tables of one instruction set: by [`Place`], then by half the tile's outputs.
macro_rules! tables {
    ($vector:ty, [$($outputs:literal)*] $(, $features:literal)?) => {
        use super::{Row, correlate_any, weigh_any};

        type Weigh = unsafe fn(&Row, [usize; 2], *const f32, *const f32, *mut f32);
        type Correlate = unsafe fn(&Row, [usize; 2], *const f32, *mut f32);

        pub const WEIGH: [&[Weigh]; 3] =
            [&[$(weigh::<$outputs, 0>),*], &[$(weigh::<$outputs, 1>),*], &[$(weigh::<$outputs, 2>),*]];
        pub const CORRELATE: [&[Correlate]; 3] =
            [&[$(correlate::<$outputs, 0>),*], &[$(correlate::<$outputs, 1>),*], &[$(correlate::<$outputs, 2>),*]];

        /// # Safety
        /// As [`super::weigh`].
        $(#[target_feature(enable = $features)])?
        unsafe fn weigh<const P: usize, const FROM: usize>(
            row: &Row,
            tile: [usize; 2],
            weights: *const f32,
            bias: *const f32,
            y: *mut f32,
        ) {
            // SAFETY: the caller's promise, passed on.
            unsafe { weigh_any::<$vector, P, FROM>(row, tile, weights, bias, y) }
        }

        /// # Safety
        /// As [`super::correlate`].
        $(#[target_feature(enable = $features)])?
        unsafe fn correlate<const P: usize, const FROM: usize>(
            row: &Row,
            tile: [usize; 2],
            grad: *const f32,
            sums: *mut f32,
        ) {
            // SAFETY: the caller's promise, passed on.
            unsafe { correlate_any::<$vector, P, FROM>(row, tile, grad, sums) }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    tables!(std::arch::x86_64::__m512, [2 4 6 8 10 12 14], "avx512f,avx512vl,avx512dq,avx2,fma");
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    tables!(std::arch::x86_64::__m256, [2 4 6 8], "avx2,fma");
}

mod portable {
    tables!([f32; 4], [2 4 6 8]);
}
