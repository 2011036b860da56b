//! The output of a convolution of one group, and the gradient of its input: the same loop over different taps.

use rayon::prelude::*;

use super::Conv;
use super::grid::{Grid, Side, Steps};
use super::panel::{Panels, Weights};
use super::tile::{self, Line, ROWS, Target};
use crate::isa::Isa;
use crate::memory::{Buffer, Output, SharedMut};

/// Floats of the input that a piece of work reads: half a megabyte, a part of a core's second-level cache.
const CACHED: usize = 1 << 15;

/// As [`super::forward`].
pub fn forward(isa: Isa, conv: &Conv, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let out = conv.out_size();
    let [inputs, outputs] = conv.floats();
    assert_eq!(x.len(), inputs);
    assert!(bias.is_none_or(|bias| bias.len() == conv.channels[1]));
    let weights = shape_of(conv);
    let packed = weights.pack_forward(isa, weight);
    let (grid, x) = Grid::forward(conv, out, x);
    let mut y = Output::unwritten(outputs);
    let steps = Steps::of(conv.channels[1], out);
    correlate(isa, &grid, &x, weights.forward(), &packed, bias, steps, [0, 0], y.shared());
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
            correlate(isa, &grid, grad, weights.backward(), &packed, None, strided, first, x.shared());
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
    bias: Option<&[f32]>,
    steps: Steps,
    first: [usize; 2],
    y: SharedMut,
) {
    let flattened = flat(grid, steps);
    let grid = flattened.as_ref().unwrap_or(grid);
    let [length, runs] = grid.runs();
    if length == 0 || runs == 0 || panels.columns == 0 {
        return;
    }
    let in_run = length.div_ceil(ROWS);
    let tiles = runs * in_run;
    let threads = rayon::current_num_threads();
    let floats = ROWS * (grid.depth * grid.sides[0].stride * grid.sides[1].stride + panels.columns);
    let unit = (CACHED / floats).min(tiles.div_ceil(4 * threads)).max(1);
    let units = tiles.div_ceil(unit);
    let parts = (2 * threads).div_ceil(units).min(panels.count());
    let zeros = Buffer::zeros(grid.depth);
    let y_step = if grid.across() { steps.image } else { steps.pixel };

    let work = |index: usize| {
        let (range, part) = (index / parts * unit..tiles.min((index / parts + 1) * unit), index % parts);
        let mut lines: Vec<Line> = Vec::with_capacity(panels.depth / grid.depth.max(1));
        for panel in panels.count() * part / parts..panels.count() * (part + 1) / parts {
            let (vectors, columns) = (panels.vectors(panel), panels.columns(panel));
            let weights = &weights[panels.start(panel)..][..panels.depth * 16 * vectors];
            let bias = bias.map_or(std::ptr::null(), |bias| bias[panel * tile::WIDTH..][..columns].as_ptr());
            for tile in range.clone() {
                let (run, tile) = (tile / in_run, tile % in_run);
                let [begin, end] = [length * tile / in_run, length * (tile + 1) / in_run];
                let rows = end - begin;
                lines.clear();
                grid.taps(run, |tap, start, [low, high]| {
                    let [low, high] = [low, high].map(|at| at.saturating_sub(begin).min(rows));
                    if low < high {
                        let step = grid.step() as isize;
                        let start = start + begin as isize * step;
                        lines.push(Line {
                            start: x.as_ptr().wrapping_offset(start),
                            step,
                            low,
                            high,
                            weights: weights[tap * grid.depth * 16 * vectors..].as_ptr(),
                        });
                    }
                });
                let at = first[0] + first[1] + place(grid, steps, run) + begin * y_step;
                let start = y.at(at + panel * tile::WIDTH, (rows - 1) * y_step + columns);
                let target = Target { start, step: y_step as isize, columns, bias, relu: false };
                // SAFETY: `Grid::taps` gives the rows that lie within `x`, and each has `depth` floats there; the
                // tile's outputs are within `y` and no other unit's.
                unsafe { tile::product(isa, [rows, vectors], &lines, grid.depth, zeros.as_ptr(), target) };
            }
        }
    };
    // A fork costs as much as about a million products.
    if tiles * ROWS * panels.depth * panels.columns < 1 << 20 {
        (0..units * parts).for_each(work);
    } else {
        (0..units * parts).into_par_iter().for_each(work);
    }
}

/// Where a run's outputs begin.
fn place(grid: &Grid, steps: Steps, run: usize) -> usize {
    let [high, wide] = [grid.sides[0].out, grid.sides[1].out];
    match grid.across() {
        true => run / wide * steps.row + run % wide * steps.pixel,
        false => run / high * steps.image + run % high * steps.row,
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
