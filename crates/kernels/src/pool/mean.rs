//! The mean of each window.

use std::mem::MaybeUninit;

use super::{Side, Window, strips};
use crate::isa::{Isa, for_every_isa};
use crate::memory::Output;
use crate::share::in_shares;

/// The mean of each window; of one without an input, zero.
///
/// # Shapes
/// `x`: `[batch, rows, columns, channels]` to `[batch, windows, windows, channels]`
///
/// # Panics
/// If `x` is not that long.
pub fn mean(isa: Isa, [rows, columns]: &[Side; 2], batch: usize, channels: usize, x: &[f32]) -> Vec<f32> {
    let line = columns.windows.len() * channels;
    let area = rows.size * columns.size * channels;
    assert_eq!(x.len(), batch * area);
    let units = batch * rows.windows.len();
    let mut y = Output::unwritten(units * line);
    let out = y.shared();
    in_shares(units, area.div_ceil(rows.windows.len().max(1)), |units| {
        for unit in units {
            let (image, row) = (unit / rows.windows.len(), unit % rows.windows.len());
            // SAFETY: the line is this task's alone, and `y` outlives the loop.
            let y = unsafe { out.blank(unit * line, line) };
            mean_line(isa, &x[image * area..][..area], rows.windows[row], columns, channels, y);
        }
    });
    // SAFETY: every line was written.
    unsafe { y.written(units * line) }
}

for_every_isa! {
    fn mean_line(
        x: &[f32],
        row: Window,
        columns: &Side,
        channels: usize,
        y: &mut [MaybeUninit<f32>],
    ) {
        for (y, column) in y.chunks_exact_mut(channels).zip(&columns.windows) {
            let count = (row.count * column.count) as f32;
            strips!(channels, |first, LANES| {
                let mut sum = [0.0f32; LANES];
                for r in 0..row.taps {
                    // A sum of its own for each row: of a whole image's pixels one after the other much would be lost.
                    let mut row_sum = [0.0f32; LANES];
                    for c in 0..column.taps {
                        let pixel = (row.first + r * row.step) * columns.size + column.first + c * column.step;
                        let x = &x[pixel * channels + first..][..LANES];
                        for lane in 0..LANES {
                            row_sum[lane] += x[lane];
                        }
                    }
                    for lane in 0..LANES {
                        sum[lane] += row_sum[lane];
                    }
                }
                let y = &mut y[first..][..LANES];
                for lane in 0..LANES {
                    y[lane].write(sum[lane] / count);
                }
            });
        }
    }
}

/// The gradient of the input of [`mean`].
///
/// # Shapes
/// `grad`: `[batch, windows, windows, channels]` to `[batch, rows, columns, channels]`
///
/// # Panics
/// If `grad` is not that long.
pub fn mean_gradient(
    isa: Isa,
    [rows, columns]: &[Side; 2],
    batch: usize,
    channels: usize,
    grad: &[f32],
) -> Vec<f32> {
    let line = columns.size * channels;
    let area = rows.windows.len() * columns.windows.len() * channels;
    assert_eq!(grad.len(), batch * area);
    let units = batch * rows.size;
    let mut dx = Output::unwritten(units * line);
    let out = dx.shared();
    in_shares(units, line, |units| {
        for unit in units {
            let (image, row) = (unit / rows.size, unit % rows.size);
            // SAFETY: the line is this task's alone, and `dx` outlives the loop.
            let dx = unsafe { out.blank(unit * line, line) };
            mean_gradient_line(isa, rows, row, columns, channels, &grad[image * area..][..area], dx);
        }
    });
    // SAFETY: every line was written.
    unsafe { dx.written(units * line) }
}

for_every_isa! {
    fn mean_gradient_line(
        rows: &Side,
        input_row: usize,
        columns: &Side,
        channels: usize,
        grad: &[f32],
        dx: &mut [MaybeUninit<f32>],
    ) {
        for (input, dx) in dx.chunks_exact_mut(channels).enumerate() {
            strips!(channels, |first, LANES| {
                let mut sum = [0.0f32; LANES];
                for &(row, _) in rows.readers(input_row) {
                    for &(column, _) in columns.readers(input) {
                        let share = 1.0 / (rows.windows[row].count * columns.windows[column].count) as f32;
                        let start = (row * columns.windows.len() + column) * channels + first;
                        let grad = &grad[start..][..LANES];
                        for lane in 0..LANES {
                            sum[lane] += grad[lane] * share;
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
