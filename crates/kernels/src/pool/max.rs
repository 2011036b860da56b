//! The maximum of each window.

use std::mem::MaybeUninit;

use super::{Side, Window, strips};
use crate::isa::{Isa, for_every_isa};
use crate::memory::Output;
use crate::share::in_shares;

/// Maxima, and where they are from.
#[derive(Debug)]
pub struct Maxima {
    /// `[batch, windows, windows, channels]`
    pub values: Vec<f32>,
    /// Which tap of its window each is, counted row by row.
    pub taps: Vec<u8>,
}

/// The maximum of each window; of a window with a NaN, NaN; of one without an input, minus infinity.
///
/// # Shapes
/// `x`: `[batch, rows, columns, channels]` to `[batch, windows, windows, channels]`
///
/// # Panics
/// If `x` is not that long.
pub fn max(isa: Isa, [rows, columns]: &[Side; 2], batch: usize, channels: usize, x: &[f32]) -> Vec<f32> {
    let line = columns.windows.len() * channels;
    let area = rows.size * columns.size * channels;
    assert_eq!(x.len(), batch * area);
    let units = batch * rows.windows.len();
    let mut y = Output::unwritten(units * line);
    let out = y.shared();
    in_shares(units, work(rows, columns) * channels, |units| {
        for unit in units {
            let (image, row) = (unit / rows.windows.len(), unit % rows.windows.len());
            // SAFETY: the line is this task's alone, and `y` outlives the loop.
            let y = unsafe { out.blank(unit * line, line) };
            max_line(isa, &x[image * area..][..area], rows.windows[row], columns, channels, y);
        }
    });
    // SAFETY: every line was written.
    unsafe { y.written(units * line) }
}

/// As [`max`]; also where they are from. Of equal values it is the first, of several NaN the last.
///
/// # Panics
/// If `x` is not that long, or a window has more than 256 taps.
pub fn maxima(isa: Isa, [rows, columns]: &[Side; 2], batch: usize, channels: usize, x: &[f32]) -> Maxima {
    let line = columns.windows.len() * channels;
    let area = rows.size * columns.size * channels;
    assert!(x.len() == batch * area && rows.kernel * columns.kernel <= 256);
    let units = batch * rows.windows.len();
    let (mut y, mut taps) = (Output::unwritten(units * line), Output::unwritten_bytes(units * line));
    let (out, places) = (y.shared(), taps.shared());
    in_shares(units, work(rows, columns) * channels, |units| {
        for unit in units {
            let (image, row) = (unit / rows.windows.len(), unit % rows.windows.len());
            // SAFETY: the line is this task's alone, and `y` and `taps` outlive the loop.
            let (y, taps) = unsafe { (out.blank(unit * line, line), places.blank(unit * line, line)) };
            maxima_line(isa, &x[image * area..][..area], rows.windows[row], columns, channels, y, taps);
        }
    });
    // SAFETY: every line was written.
    unsafe { Maxima { values: y.written(units * line), taps: taps.written(units * line) } }
}

/// Floats a line of outputs reads, in channels.
fn work(rows: &Side, columns: &Side) -> usize {
    (rows.size * columns.size).div_ceil(rows.windows.len().max(1))
}

for_every_isa! {
    fn max_line(
        x: &[f32],
        row: Window,
        columns: &Side,
        channels: usize,
        y: &mut [MaybeUninit<f32>],
    ) {
        for (y, column) in y.chunks_exact_mut(channels).zip(&columns.windows) {
            strips!(channels, |first, LANES| {
                let mut best = [f32::NEG_INFINITY; LANES];
                for r in 0..row.taps {
                    for c in 0..column.taps {
                        let pixel = (row.first + r * row.step) * columns.size + column.first + c * column.step;
                        let x = &x[pixel * channels + first..][..LANES];
                        for lane in 0..LANES {
                            // Not `f32::max`, which forgets a NaN.
                            let better = (x[lane] > best[lane]) | x[lane].is_nan();
                            best[lane] = if better { x[lane] } else { best[lane] };
                        }
                    }
                }
                let y = &mut y[first..][..LANES];
                for lane in 0..LANES {
                    y[lane].write(best[lane]);
                }
            });
        }
    }
}

for_every_isa! {
    fn maxima_line(
        x: &[f32],
        row: Window,
        columns: &Side,
        channels: usize,
        y: &mut [MaybeUninit<f32>],
        taps: &mut [MaybeUninit<u8>],
    ) {
        let lines = y.chunks_exact_mut(channels).zip(taps.chunks_exact_mut(channels));
        for ((y, taps), column) in lines.zip(&columns.windows) {
            strips!(channels, |first, LANES| {
                let mut best = [f32::NEG_INFINITY; LANES];
                let mut place = [(row.tap * columns.kernel + column.tap) as i32; LANES];
                for r in 0..row.taps {
                    for c in 0..column.taps {
                        let pixel = (row.first + r * row.step) * columns.size + column.first + c * column.step;
                        let tap = ((row.tap + r) * columns.kernel + column.tap + c) as i32;
                        let x = &x[pixel * channels + first..][..LANES];
                        for lane in 0..LANES {
                            let better = (x[lane] > best[lane]) | x[lane].is_nan();
                            best[lane] = if better { x[lane] } else { best[lane] };
                            place[lane] = if better { tap } else { place[lane] };
                        }
                    }
                }
                let (y, taps) = (&mut y[first..][..LANES], &mut taps[first..][..LANES]);
                for lane in 0..LANES {
                    y[lane].write(best[lane]);
                    taps[lane].write(place[lane] as u8);
                }
            });
        }
    }
}

/// The gradient of the input of [`maxima`]: what each output gets goes to where it is from.
///
/// # Shapes
/// `taps` and `grad`: `[batch, windows, windows, channels]` to `[batch, rows, columns, channels]`
///
/// # Panics
/// If a slice is not that long.
pub fn max_gradient(
    isa: Isa,
    [rows, columns]: &[Side; 2],
    batch: usize,
    channels: usize,
    taps: &[u8],
    grad: &[f32],
) -> Vec<f32> {
    let line = columns.size * channels;
    let area = rows.windows.len() * columns.windows.len() * channels;
    assert!(grad.len() == batch * area && taps.len() == grad.len());
    let units = batch * rows.size;
    let mut dx = Output::unwritten(units * line);
    let out = dx.shared();
    in_shares(units, line, |units| {
        for unit in units {
            let (image, row) = (unit / rows.size, unit % rows.size);
            let (grad, taps) = (&grad[image * area..][..area], &taps[image * area..][..area]);
            // SAFETY: the line is this task's alone, and `dx` outlives the loop.
            let dx = unsafe { out.blank(unit * line, line) };
            max_gradient_line(isa, rows.readers(row), columns, channels, taps, grad, dx);
        }
    });
    // SAFETY: every line was written.
    unsafe { dx.written(units * line) }
}

for_every_isa! {
    fn max_gradient_line(
        rows: &[(usize, usize)],
        columns: &Side,
        channels: usize,
        taps: &[u8],
        grad: &[f32],
        dx: &mut [MaybeUninit<f32>],
    ) {
        for (input, dx) in dx.chunks_exact_mut(channels).enumerate() {
            strips!(channels, |first, LANES| {
                let mut sum = [0.0f32; LANES];
                for &(row, row_tap) in rows {
                    for &(column, column_tap) in columns.readers(input) {
                        let tap = (row_tap * columns.kernel + column_tap) as u8;
                        let start = (row * columns.windows.len() + column) * channels + first;
                        let (grad, taps) = (&grad[start..][..LANES], &taps[start..][..LANES]);
                        for lane in 0..LANES {
                            sum[lane] += f32::from_bits(grad[lane].to_bits() & u32::from(taps[lane] == tap).wrapping_neg());
                        }
                    }
                }
                let dx = &mut dx[first..][..LANES];
                for lane in 0..LANES {
                    dx[lane].write(sum[lane]);
                }
            });
        }
    }
}
