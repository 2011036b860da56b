//! The gradient of the weights of a convolution of one group.

use std::ops::Range;

use rayon::prelude::*;

use super::Conv;
use super::grid::{Grid, Inputs, Steps};
use super::panel::{Panels, Weights};
use super::tile::{self, Pair};
use crate::isa::Isa;
use crate::memory::{Buffer, SharedMut, with_scratch};

/// Outputs of a piece of the sum: their gradients of one panel, 16 kB, and their inputs stay in the caches while
/// every tap goes over them.
const PIECE: usize = 128;
/// Chunks of the outputs, each with sums of its own, where the shapes allow.
const UNITS: usize = 16;
/// Channels from which on inputs are packed as well: rows a multiple of 256 bytes apart share few sets of the first-level cache.
const FAR: usize = 64;

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
    let panels = weights.forward(isa);
    let (outputs, len) = (grid.outputs(), panels.len());

    // Chunks of the outputs, as many as 4 MB of partial sums allow, and so large that clearing and adding up the sums is
    // little beside the products; and of the panels.
    let worth = grad.len() * panels.depth / (256 * len.max(1));
    let chunks = UNITS.min(outputs).min((1 << 20) / len.max(1)).min(worth).max(1);
    let parts = (2 * rayon::current_num_threads()).div_ceil(chunks).min(panels.count()).max(1);
    let mut sums = Buffer::zeros(chunks * len);
    let shared = SharedMut::of(&mut sums);
    let piece = Piece { isa, grid: &grid, x: &x, grad, steps: Steps::of(conv.channels[1], out), panels };
    let work = |unit: usize| {
        let (chunk, part) = (unit / parts, unit % parts);
        let of_part = panels.count() * part / parts..panels.count() * (part + 1) / parts;
        let (first, end) = (outputs * chunk / chunks, outputs * (chunk + 1) / chunks);
        let mut pairs = vec![Vec::new(); taps];
        for first in (first..end).step_by(PIECE) {
            let outputs = first..end.min(first + PIECE);
            // SAFETY: these panels of this chunk's sums are no other unit's, and `sums` outlives the loop.
            let sums = |panel| unsafe {
                shared.part(chunk * len + panels.start(panel), panels.depth * panels.wide(panel))
            };
            piece.add(outputs, of_part.clone(), &mut pairs, sums);
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

/// What the sum is made of.
struct Piece<'a> {
    isa: Isa,
    grid: &'a Grid,
    x: &'a [f32],
    grad: &'a [f32],
    /// Of `grad`.
    steps: Steps,
    panels: Panels,
}

impl Piece<'_> {
    /// Adds some outputs to some panels of the sums.
    fn add<'s>(
        &self,
        outputs: Range<usize>,
        of_part: Range<usize>,
        pairs: &mut [Vec<Pair>],
        sums: impl Fn(usize) -> &'s mut [f32],
    ) {
        let (grid, width) = (self.grid, self.panels.width());
        pairs.iter_mut().for_each(Vec::clear);
        let mut before = 0;
        for run in grid.runs(outputs.clone()) {
            grid.met(&run, |tap, Inputs { start, step, met }| {
                let pair = |index| [(start + index as isize * step) as usize, (before + index) * width];
                pairs[tap].extend((met[0]..met[1]).map(pair));
            });
            before += run.len;
        }
        let distinct = self.distinct(pairs, of_part.len());
        let (rows, tiles) = (tile::rows(self.isa), grid.depth.div_ceil(tile::rows(self.isa)));
        let begin = |tile: usize| grid.depth * tile / tiles;
        // Tiles lie an odd number of cache lines apart, so that they are in different sets of the caches.
        let pitch =
            distinct.as_ref().map_or(0, |inputs| ((inputs.len() * rows + rows).div_ceil(16) | 1) * 16);
        with_scratch(outputs.len() * width + tiles * pitch, |scratch| {
            let (flat, packed) = scratch.split_at_mut(outputs.len() * width);
            if let Some(distinct) = &distinct {
                match rows {
                    ..=8 => self.pack_inputs::<8>(distinct, tiles, pitch, packed),
                    _ => self.pack_inputs::<16>(distinct, tiles, pitch, packed),
                }
                for [input, _] in pairs.iter_mut().flatten() {
                    *input = distinct.partition_point(|other| other < input) * rows;
                }
            }
            for panel in of_part {
                self.pack_gradients(outputs.clone(), panel, flat);
                let (vectors, wide, sums) =
                    (self.panels.vectors(panel), self.panels.wide(panel), sums(panel));
                for (tap, pairs) in pairs.iter().enumerate().filter(|(_, pairs)| !pairs.is_empty()) {
                    for tile in 0..tiles {
                        let (first, size) = (begin(tile), begin(tile + 1) - begin(tile));
                        let sums = &mut sums[(tap * grid.depth + first) * wide..][..size * wide];
                        let left = match distinct {
                            Some(_) => packed[tile * pitch..].as_ptr(),
                            None => self.x.as_ptr().wrapping_add(first),
                        };
                        // SAFETY: `Grid::met` gives places with `depth` floats in `x`, and `pack_inputs` keeps those of
                        // the tile; `flat` has a row for every output.
                        unsafe {
                            let size = [size, vectors];
                            tile::outer(self.isa, size, pairs, left, flat.as_ptr(), sums.as_mut_ptr());
                        }
                    }
                }
            }
        });
    }

    /// The inputs that these pairs read, in order, if it pays to pack them.
    fn distinct(&self, pairs: &[Vec<Pair>], panels: usize) -> Option<Vec<usize>> {
        if self.grid.depth < FAR || panels < 3 {
            return None;
        }
        let mut inputs: Vec<usize> = pairs.iter().flatten().map(|[input, _]| *input).collect();
        inputs.sort_unstable();
        inputs.dedup();
        Some(inputs)
    }

    /// The gradients of one panel's channels, output by output.
    fn pack_gradients(&self, outputs: Range<usize>, panel: usize, flat: &mut [f32]) {
        let (columns, width) = (self.panels.columns(panel), self.panels.width());
        let places = self.grid.runs(outputs).flat_map(|run| {
            let [start, step] = run.place(self.steps);
            (0..run.len).map(move |index| start + index * step + panel * width)
        });
        for (at, flat) in places.zip(flat.chunks_exact_mut(width)) {
            let from = &self.grad[at..][..columns];
            tile::fetch(from.as_ptr().wrapping_add(width));
            // A copy of known length is a few moves, where one of any length is a call.
            match (columns, width) {
                (32, 32) => part::<32>(from, flat),
                (16, 16) => part::<16>(from, flat),
                _ => {
                    flat[..columns].copy_from_slice(from);
                    flat[columns..].fill(0.0);
                }
            }
        }
    }

    /// Inputs as `[tile, input, rows]`, the tiles so many floats apart and as equal as can be.
    ///
    /// `MORE` floats are copied, which are more than a tile's rows; the next input overwrites the rest. A copy of known length
    /// is a few moves, where one of any length is a call.
    fn pack_inputs<const MORE: usize>(
        &self,
        inputs: &[usize],
        tiles: usize,
        pitch: usize,
        packed: &mut [f32],
    ) {
        let (depth, rows) = (self.grid.depth, tile::rows(self.isa));
        let begins: Vec<usize> = (0..tiles).map(|tile| depth * tile / tiles).collect();
        let mut last: Vec<f32>;
        for (index, input) in inputs.iter().enumerate() {
            let mut from = &self.x[*input..];
            if from.len() < depth + MORE {
                last = from.to_vec();
                last.resize(depth + MORE, 0.0);
                from = &last;
            }
            for (packed, begin) in packed.chunks_exact_mut(pitch).zip(&begins) {
                part::<MORE>(&from[*begin..], &mut packed[index * rows..]);
            }
        }
    }
}

/// Copies the first floats.
fn part<const LEN: usize>(from: &[f32], to: &mut [f32]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<LEN>(), from.first_chunk()) {
        *to = *from;
    }
}
