//! Channels joined, dealt out and interleaved: rows that are copied piece by piece.

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::isa::{Isa, for_every_isa};
use crate::memory::{Output, SharedMut};
use crate::share::in_shares;

/// A few columns of rows that lie `stride` floats apart.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// From the first row's first column on.
    pub values: &'a [f32],
    /// From row to row.
    pub stride: usize,
    /// Columns.
    pub width: usize,
}

for_every_isa! {
    /// `to[r * to_stride + c] = from[r * from_stride + c]` for `c` below `width`, in every row `r` of `to`.
    fn copy_rows(from: &[f32], from_stride: usize, to: &mut [MaybeUninit<f32>], to_stride: usize, width: usize) {
        for (to, from) in to.chunks_mut(to_stride).zip(from.chunks(from_stride)) {
            let (to, from) = (&mut to[..width], &from[..width]);
            for (to, from) in to.iter_mut().zip(from) {
                to.write(*from);
            }
        }
    }
}

for_every_isa! {
    /// As [`copy_rows`], adding.
    fn add_rows(from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize, width: usize) {
        for (to, from) in to.chunks_mut(to_stride).zip(from.chunks(from_stride)) {
            let (to, from) = (&mut to[..width], &from[..width]);
            for (to, from) in to.iter_mut().zip(from) {
                *to += *from;
            }
        }
    }
}

/// The parts side by side.
///
/// # Shapes
/// `[rows, width]` each to `[rows, sum of the widths]`
///
/// # Panics
/// If a part is not that long.
pub fn join(isa: Isa, rows: usize, parts: &[Columns]) -> Vec<f32> {
    let total: usize = parts.iter().map(|part| part.width).sum();
    let mut y = Output::unwritten(rows * total);
    let out = y.shared();
    in_shares(rows, total, |rows| {
        let mut first = 0;
        for part in parts {
            let from =
                &part.values[rows.start * part.stride..][..(rows.len() - 1) * part.stride + part.width];
            let len = (rows.len() - 1) * total + part.width;
            // SAFETY: these rows are this task's alone, and `y` outlives the loop.
            let to = unsafe { out.blank(rows.start * total + first, len) };
            copy_rows(isa, from, part.stride, to, total, part.width);
            first += part.width;
        }
    });
    // SAFETY: every part of every row was written.
    unsafe { y.written(rows * total) }
}

/// The way back from [`join`]: columns of `x` are added to what there is, or become a vector of their own.
///
/// # Shapes
/// `x`: `[rows, channels]`; what there is of a range of columns: `[rows, columns]`
///
/// # Panics
/// If a slice is not that long.
pub fn deal(
    isa: Isa,
    channels: usize,
    x: &[f32],
    parts: Vec<(Range<usize>, Option<&mut [f32]>)>,
) -> Vec<Option<Vec<f32>>> {
    let rows = x.len() / channels;
    let mut fresh: Vec<(Option<Output>, usize)> = Vec::with_capacity(parts.len());
    let mut targets: Vec<(Range<usize>, SharedMut, bool)> = Vec::with_capacity(parts.len());
    for (columns, sum) in parts {
        let len = rows * columns.len();
        let mut output = None;
        let (target, adds) = match sum {
            Some(sum) => {
                assert_eq!(sum.len(), len);
                (SharedMut::of(sum), true)
            }
            None => (output.insert(Output::unwritten(len)).shared(), false),
        };
        targets.push((columns, target, adds));
        fresh.push((output, len));
    }
    in_shares(rows, channels, |rows| {
        for (columns, target, adds) in &targets {
            let width = columns.len();
            let (start, len) = (rows.start * width, rows.len() * width);
            let from = &x[rows.start * channels + columns.start..][..(rows.len() - 1) * channels + width];
            // SAFETY: these rows of the part are this task's alone; what is added to is written already, and both kinds
            // outlive the loop.
            unsafe {
                match adds {
                    true => add_rows(isa, from, channels, target.part(start, len), width, width),
                    false => copy_rows(isa, from, channels, target.blank(start, len), width, width),
                }
            }
        }
    });
    let written = |(output, len): (Option<Output>, usize)| {
        // SAFETY: every row of every part was written.
        output.map(|output| unsafe { output.written(len) })
    };
    fresh.into_iter().map(written).collect()
}

/// Rows of zeros, but for the columns from `first` on: these are `x`'s.
///
/// # Shapes
/// `[rows, width]` to `[rows, total]`
///
/// # Panics
/// If they do not fit.
pub fn widen(isa: Isa, x: &[f32], width: usize, first: usize, total: usize) -> Vec<f32> {
    assert!(first + width <= total && x.len().is_multiple_of(width));
    let rows = x.len() / width;
    let mut y = Output::unwritten(rows * total);
    let out = y.shared();
    in_shares(rows, total, |rows| {
        // SAFETY: these rows are this task's alone, and `y` outlives the loop.
        let to = unsafe { out.blank(rows.start * total, rows.len() * total) };
        widen_rows(isa, &x[rows.start * width..rows.end * width], width, first, to, total);
    });
    // SAFETY: every row was written.
    unsafe { y.written(rows * total) }
}

for_every_isa! {
    fn widen_rows(x: &[f32], width: usize, first: usize, to: &mut [MaybeUninit<f32>], total: usize) {
        for (to, x) in to.chunks_exact_mut(total).zip(x.chunks_exact(width)) {
            to[..first].fill(MaybeUninit::new(0.0));
            for (to, x) in to[first..][..width].iter_mut().zip(x) {
                to.write(*x);
            }
            to[first + width..].fill(MaybeUninit::new(0.0));
        }
    }
}

/// Adds `x` to the columns from `first` on.
///
/// # Shapes
/// `x`: `[rows, width]`; `sum`: `[rows, total]`
///
/// # Panics
/// If they do not fit.
pub fn add_columns(isa: Isa, x: &[f32], width: usize, first: usize, sum: &mut [f32], total: usize) {
    assert!(first + width <= total && x.len() * total == sum.len() * width);
    let sum = SharedMut::of(sum);
    in_shares(x.len() / width, total, |rows| {
        let from = &x[rows.start * width..rows.end * width];
        // SAFETY: these rows are this task's alone.
        let to = unsafe { sum.part(rows.start * total + first, (rows.len() - 1) * total + width) };
        add_rows(isa, from, width, to, total, width);
    });
}

/// The channels of two by turns: the first of `a`, the first of `b`, the second of `a`, and so on.
///
/// # Shapes
/// `[rows, channels]` both to `[rows, 2 * channels]`
///
/// # Panics
/// If they are not equally long.
pub fn interleave(isa: Isa, a: &[f32], b: &[f32]) -> Vec<f32> {
    assert_eq!(a.len(), b.len());
    let mut y = Output::unwritten(2 * a.len());
    let out = y.shared();
    // Rows follow each other without a gap, so it does not matter where they end.
    in_shares(a.len().div_ceil(STRETCH), 2 * STRETCH, |stretches| {
        let pairs = stretches.start * STRETCH..a.len().min(stretches.end * STRETCH);
        // SAFETY: these pairs are this task's alone, and `y` outlives the loop.
        let to = unsafe { out.blank(2 * pairs.start, 2 * pairs.len()) };
        interleave_pairs(isa, &a[pairs.clone()], &b[pairs], to);
    });
    // SAFETY: every pair was written.
    unsafe { y.written(2 * a.len()) }
}

/// Pairs that are not parted.
const STRETCH: usize = 1024;

for_every_isa! {
    fn interleave_pairs(a: &[f32], b: &[f32], to: &mut [MaybeUninit<f32>]) {
        for (pair, (a, b)) in to.as_chunks_mut::<2>().0.iter_mut().zip(a.iter().zip(b)) {
            pair[0].write(*a);
            pair[1].write(*b);
        }
    }
}

/// The way back from [`interleave`].
///
/// # Shapes
/// `[rows, 2 * channels]` to twice `[rows, channels]`
pub fn unweave(isa: Isa, x: &[f32]) -> [Vec<f32>; 2] {
    let pairs = x.as_chunks::<2>().0;
    let mut parts = [pairs.len(); 2].map(Output::unwritten);
    let [a, b] = parts.each_mut().map(Output::shared);
    in_shares(pairs.len().div_ceil(STRETCH), 2 * STRETCH, |stretches| {
        let (start, end) = (stretches.start * STRETCH, pairs.len().min(stretches.end * STRETCH));
        // SAFETY: these pairs are this task's alone, and both parts outlive the loop.
        let to = unsafe { [a, b].map(|part| part.blank(start, end - start)) };
        unweave_pairs(isa, &pairs[start..end], to);
    });
    // SAFETY: every pair was written.
    parts.map(|part| unsafe { part.written(pairs.len()) })
}

for_every_isa! {
    fn unweave_pairs(pairs: &[[f32; 2]], to: [&mut [MaybeUninit<f32>]; 2]) {
        let [a, b] = to;
        for ((pair, a), b) in pairs.iter().zip(a).zip(b) {
            a.write(pair[0]);
            b.write(pair[1]);
        }
    }
}
