//! The two inner loops, compiled for each instruction set. Both are a sum of outer products in registers: a tile of some
//! rows times one or two vectors of columns, where a vector is loaded and a row's float is broadcast.
//!
//! Neither knows a convolution. Rows are found by pointers, so the columns of im2col are never written down, and a tile's
//! rows may lie anywhere: at the end of one row of pixels and the beginning of the next, or outside the image.

use std::ptr::null;

use super::vector::Vector;
use crate::isa::Isa;

/// Rows of a tile at most: as many sums as leave registers for two vectors and a broadcast, of 32 or of 16.
pub const fn rows(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 14,
        _ => 6,
    }
}

/// Most rows of a tile, for any instruction set.
pub const ROWS: usize = 14;

/// Columns of a vector.
pub const fn lanes(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 16,
        Isa::Avx2 => 8,
        Isa::Portable => 4,
    }
}

/// Most columns of a panel, for any instruction set: two vectors.
pub const WIDTH: usize = 32;

/// What one weight of the kernel's plane adds to a tile.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// Which of the panel's taps it is.
    pub tap: usize,
    /// The input of each of the tile's rows, the first of so many pointers.
    pub inputs: *const *const f32,
    /// Floats from there.
    pub offset: isize,
}

/// Where a tile's sums go.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Each row's first column, the first of so many pointers.
    pub rows: *const *mut f32,
    /// Floats from there.
    pub offset: usize,
    /// Columns that are wanted of the panel's.
    pub columns: usize,
    pub after: After,
}

/// What becomes of a sum: it is multiplied, something is added, and negative sums become zero. Null is nothing.
#[derive(Debug, Clone, Copy)]
pub struct After {
    /// A factor a column.
    pub scale: *const f32,
    /// A summand a column.
    pub shift: *const f32,
    /// A summand for every output, in the order of the outputs, which begin at `outputs`.
    pub skip: *const f32,
    pub outputs: *const f32,
    pub relu: bool,
}

impl After {
    pub const NOTHING: Self =
        Self { scale: null(), shift: null(), skip: null(), outputs: null(), relu: false };

    /// The same for the columns from `first` on.
    pub fn behind(self, first: usize) -> Self {
        let behind = |from: *const f32| if from.is_null() { from } else { from.wrapping_add(first) };
        Self { scale: behind(self.scale), shift: behind(self.shift), ..self }
    }

    /// For the columns from `first` on.
    ///
    /// # Safety
    /// As [`product`].
    #[inline(always)]
    unsafe fn apply<V: Vector>(self, sum: V, at: *const f32, first: usize, count: usize) -> V {
        // SAFETY: factors and summands are there for all columns and outputs: the caller's promise.
        unsafe {
            let some =
                |from: *const f32| if count == V::LEN { V::load(from) } else { V::load_some(from, count) };
            let mut sum = sum;
            match (self.scale.is_null(), self.shift.is_null()) {
                (true, true) => {}
                (true, false) => sum = sum.add(some(self.shift.add(first))),
                (false, true) => sum = sum.multiply_add(some(self.scale.add(first)), V::ZERO),
                (false, false) => {
                    sum = sum.multiply_add(some(self.scale.add(first)), some(self.shift.add(first)))
                }
            }
            if !self.skip.is_null() {
                sum = sum.add(some(self.skip.offset(at.offset_from(self.outputs))));
            }
            if self.relu { sum.max(V::ZERO) } else { sum }
        }
    }

    /// Writes so many floats of what becomes of a sum; the columns are those from `first` on.
    ///
    /// # Safety
    /// There is room for them; otherwise as [`product`].
    #[inline(always)]
    pub unsafe fn leave<V: Vector>(self, sum: V, to: *mut f32, first: usize, count: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let sum = self.apply(sum, to, first, count);
            if count == V::LEN { sum.store(to) } else { sum.store_some(to, count) }
        }
    }
}

// SAFETY: it only points to what is read.
unsafe impl Send for After {}
// SAFETY: as above.
unsafe impl Sync for After {}

/// `target[m][n] = after(sum over lines and c < len of line.inputs[m][c] * weights[(line.tap * len + c) * width + n])`
/// for so many rows and the target's columns; the width is so many vectors, 1 or 2.
///
/// # Safety
/// Every pointer reaches that far; the target is no other thread's; the processor has `isa`.
pub unsafe fn product(
    isa: Isa,
    [rows, vectors]: [usize; 2],
    lines: &[Line],
    len: usize,
    weights: *const f32,
    target: Target,
) {
    debug_assert!((1..=self::rows(isa)).contains(&rows) && (1..=2).contains(&vectors));
    debug_assert!(target.columns <= lanes(isa) * vectors && target.columns > lanes(isa) * (vectors - 1));
    // SAFETY: the caller's promise, passed on.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::PRODUCT[vectors - 1][rows - 1](lines, len, weights, target),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::PRODUCT[vectors - 1][rows - 1](lines, len, weights, target),
            _ => portable::PRODUCT[vectors - 1][rows - 1](lines, len, weights, target),
        }
    }
}

/// What [`outer`] multiplies at a step: the floats behind the left base and behind the right one.
pub type Pair = [usize; 2];

/// `sums[m * width + n] += sum over pairs of left[pair[0] + m] * right[pair[1] + n]` for so many rows `m` and all columns
/// `n` of the width, so many vectors, 1 or 2.
///
/// # Safety
/// Every pointer reaches that far; the sums are no other thread's; the processor has `isa`.
pub unsafe fn outer(
    isa: Isa,
    [rows, vectors]: [usize; 2],
    pairs: &[Pair],
    left: *const f32,
    right: *const f32,
    sums: *mut f32,
) {
    debug_assert!((1..=self::rows(isa)).contains(&rows) && (1..=2).contains(&vectors));
    // SAFETY: the caller's promise, passed on.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::OUTER[vectors - 1][rows - 1](pairs, left, right, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::OUTER[vectors - 1][rows - 1](pairs, left, right, sums),
            _ => portable::OUTER[vectors - 1][rows - 1](pairs, left, right, sums),
        }
    }
}

/// Steps that are fetched in advance: panels are in the second-level cache, and without this a tenth of the time is
/// waiting for it.
const AHEAD: usize = 8;

/// Asks for what is read soon.
#[inline(always)]
pub fn fetch(from: *const f32) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: nothing is read; any address may be asked for.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(from.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = from;
}

/// # Safety
/// As [`product`].
#[inline(always)]
unsafe fn product_of<V: Vector, const M: usize, const N: usize>(
    lines: &[Line],
    len: usize,
    weights: *const f32,
    target: Target,
) {
    let columns: [usize; N] = std::array::from_fn(|n| (target.columns - V::LEN * n).min(V::LEN));
    let mut sums = [[V::ZERO; N]; M];
    for line in lines {
        // SAFETY: there are `M` pointers.
        let inputs: [*const f32; M] =
            std::array::from_fn(|m| unsafe { *line.inputs.add(m) }.wrapping_offset(line.offset));
        let mut weights = weights.wrapping_add(line.tap * len * V::LEN * N);
        for c in 0..len {
            // SAFETY: `len` rows of weights and `len` floats behind every input: the caller's promise.
            unsafe {
                let mut values = [V::ZERO; N];
                for (n, value) in values.iter_mut().enumerate() {
                    *value = V::load(weights.add(V::LEN * n));
                }
                if N == 2 {
                    // A line of the cache is 16 floats.
                    fetch(weights.wrapping_add(AHEAD * V::LEN * N));
                    if V::LEN == 16 {
                        fetch(weights.wrapping_add(AHEAD * V::LEN * N + V::LEN));
                    }
                }
                weights = weights.add(V::LEN * N);
                for (sums, input) in sums.iter_mut().zip(inputs) {
                    let factor = V::splat(input.add(c));
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = factor.multiply_add(value, *sum);
                    }
                }
            }
        }
    }
    for (m, sums) in sums.into_iter().enumerate() {
        // SAFETY: there are `M` pointers.
        let row = unsafe { *target.rows.add(m) }.wrapping_add(target.offset);
        for (n, sum) in sums.into_iter().enumerate() {
            let first = V::LEN * n;
            // SAFETY: the row has these columns.
            unsafe { target.after.leave(sum, row.wrapping_add(first), first, columns[n]) };
        }
    }
}

/// # Safety
/// As [`outer`].
#[inline(always)]
unsafe fn outer_of<V: Vector, const M: usize, const N: usize>(
    pairs: &[Pair],
    left: *const f32,
    right: *const f32,
    totals: *mut f32,
) {
    let mut sums = [[V::ZERO; N]; M];
    // They are read at the end.
    (0..M * N * V::LEN).step_by(16).for_each(|at| fetch(totals.wrapping_add(at)));
    for (index, pair) in pairs.iter().enumerate() {
        let [left_at, right_at] = [left.wrapping_add(pair[0]), right.wrapping_add(pair[1])];
        // SAFETY: the floats of every pair are there: the caller's promise.
        unsafe {
            let mut values = [V::ZERO; N];
            for (n, value) in values.iter_mut().enumerate() {
                *value = V::load(right_at.add(V::LEN * n));
            }
            for (m, sums) in sums.iter_mut().enumerate() {
                let factor = V::splat(left_at.add(m));
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum = factor.multiply_add(value, *sum);
                }
            }
        }
        if let Some(pair) = pairs.get(index + 3 * AHEAD) {
            let soon = left.wrapping_add(pair[0]);
            fetch(soon);
            if M > 8 {
                fetch(soon.wrapping_add(M - 1));
            }
        }
    }
    for (m, sums) in sums.into_iter().enumerate() {
        for (n, sum) in sums.into_iter().enumerate() {
            // SAFETY: the sums have these rows and columns: the caller's promise.
            unsafe {
                let to = totals.add((m * N + n) * V::LEN);
                V::load(to).add(sum).store(to);
            }
        }
    }
}

/// The tables of one instruction set: by vectors and rows, each from 1.
macro_rules! tables {
    ($vector:ty, [$($rows:literal)*] $(, $features:literal)?) => {
        use super::{Line, Pair, Target, outer_of, product_of};

        type Product = unsafe fn(&[Line], usize, *const f32, Target);
        type Outer = unsafe fn(&[Pair], *const f32, *const f32, *mut f32);

        pub const PRODUCT: [&[Product]; 2] = [&[$(product::<$rows, 1>),*], &[$(product::<$rows, 2>),*]];
        pub const OUTER: [&[Outer]; 2] = [&[$(outer::<$rows, 1>),*], &[$(outer::<$rows, 2>),*]];

        /// # Safety
        /// As [`super::product`].
        $(#[target_feature(enable = $features)])?
        unsafe fn product<const M: usize, const N: usize>(
            lines: &[Line],
            len: usize,
            weights: *const f32,
            target: Target,
        ) {
            // SAFETY: the caller's promise, passed on.
            unsafe { product_of::<$vector, M, N>(lines, len, weights, target) }
        }

        /// # Safety
        /// As [`super::outer`].
        $(#[target_feature(enable = $features)])?
        unsafe fn outer<const M: usize, const N: usize>(
            pairs: &[Pair],
            left: *const f32,
            right: *const f32,
            sums: *mut f32,
        ) {
            // SAFETY: the caller's promise, passed on.
            unsafe { outer_of::<$vector, M, N>(pairs, left, right, sums) }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    tables!(std::arch::x86_64::__m512, [1 2 3 4 5 6 7 8 9 10 11 12 13 14], "avx512f,avx512vl,avx512dq,avx2,fma");
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    tables!(std::arch::x86_64::__m256, [1 2 3 4 5 6], "avx2,fma");
}

mod portable {
    tables!([f32; 4], [1 2 3 4 5 6]);
}
