//! The gradient of the weights at 36 points.

use rayon::prelude::*;

use super::super::tile::{self, Pair};
use super::transform::{Gradients, IN, KERNEL, OUT, POINTS, WeightGradients, both};
use super::{Tiles, inputs_at_points, shape_of, some};
use crate::conv::Conv;
use crate::conv::panel::Panels;
use crate::conv::vector::for_every_vector;
use crate::isa::Isa;
use crate::memory::{Buffer, SharedMut, with_scratch};

/// Pieces of work that the sum is cut into.
const UNITS: usize = 8;

/// As [`crate::conv::weight_gradient`].
///
/// The tiles are cut into chunks by the shapes alone and the chunks are added in order: the sum does not depend on
/// the threads.
pub fn weight_gradient(isa: Isa, conv: &Conv, x: &[f32], grad: &[f32]) -> Vec<f32> {
    assert_eq!([x.len(), grad.len()], conv.floats());
    let shape = shape_of(conv);
    let before = conv.padding.map(|padding| padding.0 as isize);
    let (out, channels) = (conv.out_size(), conv.channels[0]);
    let tiles = Tiles { batch: conv.batch, channels, size: conv.size, out, before };
    let panels = Panels::new(isa, POINTS * channels, conv.channels[1]);
    let len = panels.len();

    // Parts of the panels, each of which turns the inputs again; chunks of the tiles, each with sums of its own.
    let parts = panels.count().min(UNITS / 2);
    let chunks = (UNITS / parts).min((1 << 20) / len.max(1)).clamp(1, tiles.count());
    let at_once = tiles.at_once(isa, chunks);
    let mut sums = Buffer::zeros(chunks * len);
    let shared = SharedMut::of(&mut sums);
    (0..chunks * parts).into_par_iter().for_each(|unit| {
        let (chunk, part) = (unit / parts, unit % parts);
        let of_part = panels.count() * part / parts..panels.count() * (part + 1) / parts;
        let end = tiles.count() * (chunk + 1) / chunks;
        for first in (tiles.count() * chunk / chunks..end).step_by(at_once) {
            let (count, filled) = (at_once.min(end - first), tiles.filled());
            with_scratch(POINTS * count * (filled + panels.width()), |scratch| {
                let (inputs, gradients) = scratch.split_at_mut(POINTS * count * filled);
                inputs_at_points(isa, &tiles, x, first, inputs);
                for panel in of_part.clone() {
                    let (vectors, wide) = (panels.vectors(panel), panels.wide(panel));
                    let gradients = &mut gradients[..POINTS * count * wide];
                    let of = [panel * panels.width(), panels.columns(panel), panels.columns];
                    gradients_at_points(isa, &tiles, of, first, grad, gradients);
                    // SAFETY: this panel of this chunk's sums is no other unit's, and `sums` outlives the loop.
                    let sums = unsafe { shared.part(chunk * len + panels.start(panel), panels.depth * wide) };
                    multiply(isa, [count, channels, filled], vectors, inputs, gradients, sums);
                }
            });
        }
    });
    let (total, rest) = sums.split_at_mut(len);
    for chunk in rest.chunks_exact(len) {
        total.iter_mut().zip(chunk).for_each(|(total, value)| *total += value);
    }
    let narrow = shape.forward(isa);
    let mut packed = Buffer::of(narrow.len());
    let shared = SharedMut::of(&mut packed);
    (0..panels.count()).into_par_iter().for_each(|panel| {
        let width = panels.wide(panel);
        // SAFETY: this panel is no other unit's, and `packed` outlives the loop.
        let to = unsafe { shared.part(narrow.start(panel), narrow.depth * width) };
        panel_of_points(isa, channels * width, panels.of(total, panel), to);
    });
    shape.unpack(isa, &packed)
}

/// `sums[point] += inputs[point]ᵀ * gradients[point]` for every point, the tiles summed.
fn multiply(
    isa: Isa,
    [count, channels, filled]: [usize; 3],
    vectors: usize,
    inputs: &[f32],
    gradients: &[f32],
    sums: &mut [f32],
) {
    let (width, most) = (tile::lanes(isa) * vectors, tile::rows(isa));
    let parts = channels.div_ceil(most);
    let pairs: Vec<Pair> = (0..count).map(|tile| [tile * filled, tile * width]).collect();
    for point in 0..POINTS {
        let left = inputs[point * count * filled..][..count * filled].as_ptr();
        let right = gradients[point * count * width..][..count * width].as_ptr();
        for part in 0..parts {
            let [begin, end] = [channels * part / parts, channels * (part + 1) / parts];
            let sums = &mut sums[(point * channels + begin) * width..][..(end - begin) * width];
            // SAFETY: the slices above hold `count` rows of each.
            unsafe {
                let left = left.add(begin);
                tile::outer(isa, [end - begin, vectors], &pairs, left, right, sums.as_mut_ptr());
            }
        }
    }
}

for_every_vector! {
    /// The gradients of the tiles from `first` on as `points` `[36, tiles, width]`: the channels from the first of
    /// `channels` on, so many, of so many in a row of `grad`.
    fn gradients_at_points<V>(
        tiles: &Tiles,
        channels: [usize; 3],
        first: usize,
        grad: &[f32],
        points: &mut [f32],
    ) {
        let [begin, columns, all] = channels;
        let (width, [high, wide]) = (columns.next_multiple_of(V::LEN), tiles.out);
        let count = points.len() / (POINTS * width);
        for index in 0..count {
            let (image, [row, column]) = tiles.place(first + index);
            let [rows, in_row] = [OUT.min(high - row), OUT.min(wide - column)];
            let from = &grad[((image * high + row) * wide + column) * all + begin..];
            let from = from[..((rows - 1) * wide + in_row - 1) * all + columns].as_ptr();
            for vector in (0..columns).step_by(V::LEN) {
                let real = V::LEN.min(columns - vector);
                let to = points[index * width + vector..].as_mut_ptr();
                // SAFETY: a tile's outputs are within the slice above; the points hold 36 times `count * width` floats.
                both::<Gradients, V, OUT, IN>(
                    |r, c| match r < rows && c < in_row {
                        true => unsafe { some(from.add((r * wide + c) * all + vector), real) },
                        false => V::ZERO,
                    },
                    |r, c, value| unsafe { value.store(to.add((r * IN + c) * count * width)) },
                );
            }
        }
    }
}

for_every_vector! {
    /// Every column of `from` `[36, floats]` as a column of `to` `[9, floats]`.
    fn panel_of_points<V>(floats: usize, from: &[f32], to: &mut [f32]) {
        assert!(from.len() == POINTS * floats && to.len() == KERNEL * KERNEL * floats && floats.is_multiple_of(V::LEN));
        for at in (0..floats).step_by(V::LEN) {
            // SAFETY: by the assertion both reach that far.
            both::<WeightGradients, V, IN, KERNEL>(
                |r, c| unsafe { V::load(from.as_ptr().add((r * IN + c) * floats + at)) },
                |r, c, value| unsafe { value.store(to.as_mut_ptr().add((r * KERNEL + c) * floats + at)) },
            );
        }
    }
}
