//! The output of a convolution of one group, and the gradient of its input: the same loop over different taps.

use rayon::prelude::*;

use super::grid::{Grid, Outputs, Side, Steps};
use super::panel::{Panels, Weights};
use super::tile::{self, Target};
use super::{After, Conv};
use crate::isa::Isa;
use crate::memory::{Buffer, Output, SharedMut};

/// Floats of the input that a piece of work reads: half a megabyte, a part of a core's second-level cache.
const CACHED: usize = 1 << 15;

/// As [`super::pack`].
pub fn pack(isa: Isa, conv: &Conv, weight: &[f32]) -> Buffer {
    shape_of(conv).pack_forward(isa, weight)
}

/// As [`super::forward_packed`].
pub fn forward(isa: Isa, conv: &Conv, x: &[f32], weights: &[f32], after: After) -> Vec<f32> {
    let out = conv.out_size();
    let [inputs, outputs] = conv.floats();
    let panels = shape_of(conv).forward(isa);
    assert!(x.len() == inputs && weights.len() == panels.len());
    let (grid, x) = Grid::forward(conv, out, x);
    let mut y = Output::unwritten(outputs);
    let steps = Steps::of(conv.channels[1], out);
    let shared = y.shared();
    let after = after.at(conv, shared.at(0, 0));
    correlate(isa, &grid, &x, panels, weights, after, steps, [0, 0], shared);
    // SAFETY: `correlate` writes every output.
    unsafe { y.written(outputs) }
}

/// As [`super::input_gradient`].
///
/// Outputs and inputs trade places, and each phase of the stride is a convolution in steps of one with the taps that
/// reach it.
pub fn input_gradient(isa: Isa, conv: &Conv, weight: &[f32], grad: &[f32]) -> Vec<f32> {
    let out = conv.out_size();
    let [inputs, outputs] = conv.floats();
    assert_eq!(grad.len(), outputs);
    let weights = shape_of(conv);
    let packed = weights.pack_backward(isa, weight);
    let mut x = Output::unwritten(inputs);
    let steps = Steps::of(conv.channels[0], conv.size);
    for row in 0..conv.stride[0].min(conv.size[0]) {
        for column in 0..conv.stride[1].min(conv.size[1]) {
            let grid = Grid {
                batch: conv.batch,
                sides: [phase(conv, 0, row, out[0]), phase(conv, 1, column, out[1])],
                x: Steps::of(conv.channels[1], out),
                depth: conv.channels[1],
                columns: conv.kernel[1],
            };
            let strided = Steps {
                image: steps.image,
                row: steps.row * conv.stride[0],
                pixel: steps.pixel * conv.stride[1],
            };
            let first = [row * steps.row, column * steps.pixel];
            correlate(
                isa,
                &grid,
                grad,
                weights.backward(isa),
                &packed,
                tile::After::NOTHING,
                strided,
                first,
                x.shared(),
            );
        }
    }
    // SAFETY: every input belongs to one phase, and `correlate` writes all of each.
    unsafe { x.written(inputs) }
}

fn shape_of(conv: &Conv) -> Weights {
    Weights { output: conv.channels[1], input: conv.channels[0], taps: conv.kernel[0] * conv.kernel[1] }
}

/// The inputs `first`, `first + stride`, … of one side, and the outputs that each met through a tap.
pub(super) fn phase(conv: &Conv, side: usize, first: usize, out: usize) -> Side {
    let (stride, place) = (conv.stride[side], first + conv.padding[side].0);
    let taps = (0..conv.kernel[side])
        .map(|k| (place as isize - (k * conv.dilation[side]) as isize, k))
        .filter(|(reach, _)| reach.rem_euclid(stride as isize) == 0)
        .map(|(reach, k)| (reach / stride as isize, k));
    Side::new([(conv.size[side] - first).div_ceil(stride), out], 1, taps)
}

/// For every output of the grid and every column of the panels: the sum over taps of input times weight. `y` has
/// these `steps` and begins at the sum of `first`.
#[allow(clippy::too_many_arguments)]
pub(super) fn correlate(
    isa: Isa,
    grid: &Grid,
    x: &[f32],
    panels: Panels,
    weights: &[f32],
    after: tile::After,
    steps: Steps,
    first: [usize; 2],
    y: SharedMut,
) {
    let flattened = flat(grid, steps);
    let grid = flattened.as_ref().unwrap_or(grid);
    if grid.outputs() == 0 || panels.columns == 0 {
        return;
    }
    let rows = tile::rows(isa);
    let tiles = grid.outputs().div_ceil(rows);
    let threads = rayon::current_num_threads();
    let floats = rows * (grid.depth * grid.sides[0].stride * grid.sides[1].stride + panels.columns);
    let unit = (CACHED / floats).min(tiles.div_ceil(4 * threads)).max(1);
    let units = tiles.div_ceil(unit);
    let parts = (2 * threads).div_ceil(units).min(panels.count());
    let zeros = Buffer::zeros(grid.depth);
    let outputs = Outputs { y, steps, first: first[0] + first[1], columns: panels.columns };

    let work = |index: usize| {
        let (range, part) = (index / parts * unit..tiles.min((index / parts + 1) * unit), index % parts);
        let tiles = grid.tiles(range, tiles, x, &zeros, &outputs);
        for panel in panels.count() * part / parts..panels.count() * (part + 1) / parts {
            let (vectors, columns) = (panels.vectors(panel), panels.columns(panel));
            let weights = panels.of(weights, panel).as_ptr();
            let offset = panel * panels.width();
            let after = after.behind(offset);
            for (lines, outputs) in tiles.iter() {
                let target = Target { rows: outputs.as_ptr(), offset, columns, after };
                // SAFETY: `Grid::tiles` gives inputs that lie within `x` and have `depth` floats there, and outputs that are
                // within `y` with all columns and no other unit's.
                unsafe { tile::product(isa, [outputs.len(), vectors], lines, grid.depth, weights, target) };
            }
        }
    };
    // A fork costs as much as about a million products.
    if grid.outputs() * panels.depth * panels.columns < 1 << 20 {
        (0..units * parts).for_each(work);
    } else {
        (0..units * parts).into_par_iter().for_each(work);
    }
}

/// A grid in which every output meets the input of its own place is one long row.
fn flat(grid: &Grid, steps: Steps) -> Option<Grid> {
    // Every output meets the input of its place through the one tap, and the inputs are no more than these.
    let whole = |side: &Side| {
        side.stride == 1 && side.taps.iter().map(|tap| (tap.offset, tap.met)).eq([(0, [0, side.out])])
    };
    let size = [grid.sides[0].out, grid.sides[1].out];
    let dense = |steps: Steps| steps == Steps::of(steps.pixel, size);
    if !grid.sides.iter().all(whole) || !dense(grid.x) || !dense(steps) {
        return None;
    }
    let side = |length| Side::new([length; 2], 1, std::iter::once((0, 0)));
    let sides = [side(1), side(grid.batch * size[0] * size[1])];
    Some(Grid { batch: 1, sides, ..grid.clone() })
}
