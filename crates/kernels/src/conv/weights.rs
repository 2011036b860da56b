//! The gradient of the weights of a convolution of one group.

use rayon::prelude::*;

use super::Conv;
use super::grid::Grid;
use super::panel::{Panels, Weights};
use super::tile::{self, Pair, ROWS, WIDTH};
use crate::isa::Isa;
use crate::memory::{Buffer, SharedMut, with_scratch};

/// Outputs of a piece of the sum: their gradients of one panel, 16 kB, and their inputs stay in the caches while
/// every tap goes over them.
const PIECE: usize = 128;
/// Pieces of work that the sum is cut into, at least, where the shapes allow.
const UNITS: usize = 16;

/// As [`super::weight_gradient`].
///
/// The batch is cut into chunks by the shapes alone and the chunks are added in order: the sum does not depend on
/// the threads.
pub fn weight_gradient(isa: Isa, conv: &Conv, x: &[f32], grad: &[f32]) -> Vec<f32> {
    let out = conv.out_size();
    assert_eq!([x.len(), grad.len()], conv.floats());
    let taps = conv.kernel[0] * conv.kernel[1];
    let weights = Weights { output: conv.channels[1], input: conv.channels[0], taps };
    let (grid, x) = Grid::forward(conv, out, x);
    let (panels, len) = (weights.forward(), weights.forward().len());
    let [length, runs] = grid.runs();

    // Chunks of the outputs, as many as 4 MB of partial sums allow, and so large that clearing and adding up the sums is
    // little beside the products; and of the panels.
    let worth = grad.len() * panels.depth / (256 * len.max(1));
    let chunks = UNITS.min(runs).min((1 << 20) / len.max(1)).min(worth).max(1);
    let parts = UNITS.div_ceil(chunks).min(panels.count()).max(1);
    let mut sums = Buffer::zeros(chunks * len);
    let shared = SharedMut::of(&mut sums);
    let work = |unit: usize| {
        let (chunk, part) = (unit / parts, unit % parts);
        let of_part = panels.count() * part / parts..panels.count() * (part + 1) / parts;
        let runs = runs * chunk / chunks..runs * (chunk + 1) / chunks;
        let at_once = (PIECE / length.max(1)).max(1);
        let mut lines = Vec::new();
        for first in runs.clone().step_by(at_once) {
            let piece = Piece { grid: &grid, out, x: &x, grad, runs: first..runs.end.min(first + at_once) };
            with_scratch(piece.runs.len() * length * WIDTH, |flat| {
                piece.lines(&mut lines);
                for panel in of_part.clone() {
                    let vectors = panels.vectors(panel);
                    // SAFETY: this panel of this chunk's sums is no other unit's, and `sums` outlives the loop.
                    let sums = unsafe {
                        shared.part(chunk * len + panels.start(panel), panels.depth * 16 * vectors)
                    };
                    piece.pack(panels, panel, flat);
                    piece.accumulate(isa, vectors, &lines, flat, sums);
                }
            });
        }
    };
    let units = chunks * parts;
    if grad.len() * panels.depth < 1 << 20 {
        (0..units).for_each(work);
    } else {
        (0..units).into_par_iter().for_each(work);
    }
    let (total, rest) = sums.split_at_mut(len);
    for chunk in rest.chunks_exact(len.max(1)) {
        total.iter_mut().zip(chunk).for_each(|(total, value)| *total += value);
    }
    weights.unpack(isa, total)
}

/// Some runs of outputs: a part of the sum.
struct Piece<'a> {
    grid: &'a Grid,
    out: [usize; 2],
    x: &'a [f32],
    grad: &'a [f32],
    runs: std::ops::Range<usize>,
}

/// What runs add to one tap: the tap, outputs of each run, and for each run the first input and the first gradient.
type Line = (usize, usize, Vec<Pair>);

impl Piece<'_> {
    /// The inputs that each tap meets, beside the rows that [`pack`](Self::pack) fills.
    fn lines(&self, lines: &mut Vec<Line>) {
        let (grid, [length, _]) = (self.grid, self.grid.runs());
        lines.iter_mut().for_each(|(.., pairs)| pairs.clear());
        for (index, run) in self.runs.clone().enumerate() {
            grid.taps(run, |tap, start, [low, high]| {
                let left = self.x.as_ptr().wrapping_offset(start + (low * grid.step()) as isize);
                let pair = (left, (index * length + low) * WIDTH);
                match lines.iter_mut().find(|(of, ..)| *of == tap) {
                    Some((_, count, pairs)) => {
                        *count = high - low;
                        pairs.push(pair);
                    }
                    None => lines.push((tap, high - low, vec![pair])),
                }
            });
        }
    }

    /// The gradients of one panel's channels, run by run.
    fn pack(&self, panels: Panels, panel: usize, flat: &mut [f32]) {
        let (columns, area) = (panels.columns(panel), self.out[0] * self.out[1]);
        let [length, _] = self.grid.runs();
        for (run, flat) in self.runs.clone().zip(flat.chunks_exact_mut(length * WIDTH)) {
            let (first, step) = if self.grid.across() { (run, area) } else { (run * length, 1) };
            for (index, flat) in flat.chunks_exact_mut(WIDTH).enumerate() {
                let at = (first + index * step) * panels.columns + panel * WIDTH;
                let from = &self.grad[at..][..columns];
                // A copy of known length is a few moves, where one of any length is a call.
                match (<&mut [f32; WIDTH]>::try_from(&mut *flat), <&[f32; WIDTH]>::try_from(from)) {
                    (Ok(flat), Ok(from)) => *flat = *from,
                    _ => {
                        flat[..columns].copy_from_slice(from);
                        flat[columns..].fill(0.0);
                    }
                }
            }
        }
    }

    /// Adds this part to one panel of `sums`, from what [`pack`](Self::pack) made of the gradients.
    fn accumulate(&self, isa: Isa, vectors: usize, lines: &[Line], flat: &[f32], sums: &mut [f32]) {
        let depth = self.grid.depth;
        let tiles = depth.div_ceil(ROWS);
        for (tap, count, pairs) in lines.iter().filter(|(.., pairs)| !pairs.is_empty()) {
            for tile in 0..tiles {
                let [begin, end] = [depth * tile / tiles, depth * (tile + 1) / tiles];
                let sums = &mut sums[(tap * depth + begin) * 16 * vectors..][..(end - begin) * 16 * vectors];
                // SAFETY: `Grid::taps` gives the outputs whose inputs lie within `x`, with `depth` floats each; the
                // scratch has a row for every output of the runs.
                unsafe {
                    let (size, steps) = ([end - begin, vectors], [self.grid.step(), WIDTH]);
                    tile::outer(isa, size, pairs, flat.as_ptr(), begin, *count, steps, sums.as_mut_ptr());
                }
            }
        }
    }
}
