//! Local response normalization: every channel is divided by what its neighbours are, squared and added up.

use std::mem::MaybeUninit;

use crate::isa::{Isa, for_every_isa};
use crate::memory::{Output, with_scratch};
use crate::share::in_shares;

/// `x / (k + alpha / size * (sum of the squares of size channels))^beta`: of [`Response::before`] channels, the channel
/// itself, and [`Response::after`] more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Response {
    /// Channels of a sum.
    pub size: usize,
    /// What the mean square is multiplied by.
    pub alpha: f64,
    /// The exponent.
    pub beta: f64,
    /// What is added.
    pub k: f64,
}

impl Response {
    /// Channels before the one that is normalized; of an even size one less than after it.
    pub fn before(&self) -> usize {
        (self.size - 1) / 2
    }

    /// Channels after it.
    pub fn after(&self) -> usize {
        self.size / 2
    }
}

/// Normalizes every channel.
///
/// # Shapes
/// `[rows, channels]` to the same
pub fn forward(isa: Isa, response: Response, channels: usize, x: &[f32]) -> Vec<f32> {
    let mut y = Output::unwritten(x.len());
    let out = y.shared();
    in_shares(x.len() / channels, channels * COST, |rows| {
        let (start, len) = (rows.start * channels, rows.len() * channels);
        // SAFETY: these rows are this task's alone, and `y` outlives the loop.
        let y = unsafe { out.blank(start, len) };
        with_scratch(response.padded(channels) + channels, |scratch| {
            forward_rows(isa, response, channels, &x[start..][..len], scratch, y);
        });
    });
    // SAFETY: every row was written.
    unsafe { y.written(x.len()) }
}

/// The gradient of the input.
///
/// # Shapes
/// `[rows, channels]` both to the same
pub fn gradient(isa: Isa, response: Response, channels: usize, x: &[f32], grad: &[f32]) -> Vec<f32> {
    assert_eq!(x.len(), grad.len());
    let mut dx = Output::unwritten(x.len());
    let out = dx.shared();
    in_shares(x.len() / channels, channels * COST, |rows| {
        let (start, len) = (rows.start * channels, rows.len() * channels);
        // SAFETY: these rows are this task's alone, and `dx` outlives the loop.
        let dx = unsafe { out.blank(start, len) };
        let (x, grad) = (&x[start..][..len], &grad[start..][..len]);
        with_scratch(2 * (response.padded(channels) + channels), |scratch| {
            gradient_rows(isa, response, channels, x, grad, scratch, dx);
        });
    });
    // SAFETY: every row was written.
    unsafe { dx.written(x.len()) }
}

/// A float's roots are worth about as many copies.
const COST: usize = 4;

impl Response {
    /// A row and the zeros around it, which stand for channels that are not there.
    fn padded(&self, channels: usize) -> usize {
        channels + self.size - 1
    }
}

for_every_isa! {
    fn forward_rows(
        response: Response,
        channels: usize,
        x: &[f32],
        scratch: &mut [f32],
        y: &mut [MaybeUninit<f32>],
    ) {
        let (squares, bases) = scratch.split_at_mut(response.padded(channels));
        squares.fill(0.0);
        for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
            response.bases(x, squares, bases);
            response.each_power(bases, |channel, _, power| {
                y[channel].write(x[channel] * power);
            });
        }
    }
}

for_every_isa! {
    // With s(j) = k + alpha / size * sum, y(j) = x(j) s(j)^-beta depends on x(i) by itself, if i is j, and by s(j), if i is
    // among j's neighbours: dx(i) = g(i) s(i)^-beta - 2 alpha / size beta x(i) * sum of g(j) x(j) s(j)^(-beta - 1).
    fn gradient_rows(
        response: Response,
        channels: usize,
        x: &[f32],
        grad: &[f32],
        scratch: &mut [f32],
        dx: &mut [MaybeUninit<f32>],
    ) {
        let slope = (2.0 * response.beta * response.alpha / response.size as f64) as f32;
        let (squares, rest) = scratch.split_at_mut(response.padded(channels));
        let (pulls, rest) = rest.split_at_mut(response.padded(channels));
        let (bases, direct) = rest.split_at_mut(channels);
        squares.fill(0.0);
        pulls.fill(0.0);
        let rows = x.chunks_exact(channels).zip(grad.chunks_exact(channels));
        for ((x, grad), dx) in rows.zip(dx.chunks_exact_mut(channels)) {
            response.bases(x, squares, bases);
            // The neighbours of j after it are those that have j before them.
            let pull = &mut pulls[response.after()..][..channels];
            response.each_power(bases, |channel, base, power| {
                direct[channel] = grad[channel] * power;
                pull[channel] = direct[channel] * x[channel] / base;
            });
            window_sums(response.size, pulls, bases);
            for channel in 0..channels {
                dx[channel].write(direct[channel] - slope * x[channel] * bases[channel]);
            }
        }
    }
}

impl Response {
    /// What every channel's power is taken of. `squares` has zeros around the row.
    #[inline(always)]
    fn bases(&self, x: &[f32], squares: &mut [f32], bases: &mut [f32]) {
        for (square, x) in squares[self.before()..].iter_mut().zip(x) {
            *square = x * x;
        }
        window_sums(self.size, squares, bases);
        let (scale, k) = ((self.alpha / self.size as f64) as f32, self.k as f32);
        for base in bases {
            *base = k + scale * *base;
        }
    }

    /// Hands out every channel's number, base and base^-beta.
    #[inline(always)]
    fn each_power(&self, bases: &[f32], mut work: impl FnMut(usize, f32, f32)) {
        let beta = self.beta as f32;
        if beta == 0.75 {
            // The exponent of all published networks: x^(3/4) is the root of x times the root of that root.
            for (channel, &base) in bases.iter().enumerate() {
                let root = base.sqrt();
                work(channel, base, 1.0 / (root * root.sqrt()));
            }
        } else {
            for (channel, &base) in bases.iter().enumerate() {
                work(channel, base, base.powf(-beta));
            }
        }
    }
}

/// `sums[i]` becomes the sum of the `size` values from `padded[i]` on.
#[inline(always)]
fn window_sums(size: usize, padded: &[f32], sums: &mut [f32]) {
    let count = sums.len();
    if size == 5 {
        // The size of all published networks, in one pass.
        let padded = &padded[..count + 4];
        for i in 0..count {
            sums[i] = padded[i] + padded[i + 1] + padded[i + 2] + padded[i + 3] + padded[i + 4];
        }
        return;
    }
    sums.fill(0.0);
    for shift in 0..size {
        for (sum, value) in sums.iter_mut().zip(&padded[shift..]) {
            *sum += *value;
        }
    }
}
