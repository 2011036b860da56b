//! Where a convolution's inputs and outputs lie: outputs along two sides, and for each tap the inputs that they meet.

use std::ops::Range;

use rayon::prelude::*;

use super::Conv;
use super::tile::{Line, ROWS};
use crate::memory::{Buffer, SharedMut};

/// Input channels of up to this many are joined along the kernel's row.
const FEW: usize = 8;

/// One side of the plane.
#[derive(Debug, Clone)]
pub struct Side {
    pub out: usize,
    pub stride: usize,
    pub taps: Vec<Tap>,
}

/// A place in the kernel, along one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tap {
    /// Output `o` meets input `o * stride + offset`.
    pub offset: isize,
    pub place: usize,
    /// The outputs from the first up to the second have an input there.
    pub met: [usize; 2],
}

impl Side {
    /// A side of so many outputs and inputs; the taps are offsets and places.
    pub fn new([out, size]: [usize; 2], stride: usize, taps: impl Iterator<Item = (isize, usize)>) -> Self {
        let taps = taps.map(|(offset, place)| {
            let reach = |end: isize| (end - offset).max(0).cast_unsigned().div_ceil(stride).min(out);
            Tap { offset, place, met: [reach(0), reach(size as isize)] }
        });
        Self { out, stride, taps: taps.collect() }
    }

    pub fn forward(conv: &Conv, side: usize, out: usize) -> Self {
        let offset = |k: usize| (k * conv.dilation[side]) as isize - conv.padding[side].0 as isize;
        let taps = (0..conv.kernel[side]).map(|k| (offset(k), k));
        Self::new([out, conv.size[side]], conv.stride[side], taps)
    }

    /// The input that an output meets through a tap.
    fn input(&self, tap: &Tap, output: usize) -> Option<usize> {
        let met = (tap.met[0]..tap.met[1]).contains(&output);
        met.then(|| (output * self.stride).wrapping_add_signed(tap.offset))
    }
}

/// Floats from the first image, row and pixel to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    pub image: usize,
    pub row: usize,
    pub pixel: usize,
}

impl Steps {
    pub fn of(channels: usize, [high, wide]: [usize; 2]) -> Self {
        Self { image: high * wide * channels, row: wide * channels, pixel: channels }
    }
}

/// The input, or a copy of it with zeros around every image.
pub enum Input<'a> {
    Given(&'a [f32]),
    Copied(Buffer),
}

impl std::ops::Deref for Input<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::Given(x) => x,
            Self::Copied(x) => x,
        }
    }
}

/// The outputs, and where their inputs are.
#[derive(Debug, Clone)]
pub struct Grid {
    pub batch: usize,
    pub sides: [Side; 2],
    pub x: Steps,
    /// Floats that a tap reads of a pixel, and taps of a row of the kernel.
    pub depth: usize,
    pub columns: usize,
}

impl Grid {
    /// The grid of the output, and the input that it reads: `x` itself or, where there are few channels, a copy with
    /// zeros around it, in which a row of the kernel is one tap.
    pub fn forward<'a>(conv: &Conv, out: [usize; 2], x: &'a [f32]) -> (Self, Input<'a>) {
        let channels = conv.channels[0];
        let (batch, columns) = (conv.batch, conv.kernel[1]);
        if channels > FEW || conv.dilation[1] != 1 || columns == 1 {
            let sides = [0, 1].map(|side| Side::forward(conv, side, out[side]));
            let x_steps = Steps::of(channels, conv.size);
            return (Self { batch, sides, x: x_steps, depth: channels, columns }, Input::Given(x));
        }
        let padded = [0, 1].map(|side| conv.size[side] + conv.padding[side].0 + conv.padding[side].1);
        let copy = pad(conv, channels, padded, x);
        let rows = (0..conv.kernel[0]).map(|k| ((k * conv.dilation[0]) as isize, k));
        let sides = [
            Side::new([out[0], padded[0]], conv.stride[0], rows),
            Side::new([out[1], padded[1]], conv.stride[1], std::iter::once((0, 0))),
        ];
        let x_steps = Steps::of(channels, padded);
        (Self { batch, sides, x: x_steps, depth: channels * columns, columns: 1 }, Input::Copied(copy))
    }

    /// Outputs.
    pub fn outputs(&self) -> usize {
        self.batch * self.sides[0].out * self.sides[1].out
    }

    /// Image, row and column, the slowest first, in the order in which tiles go over the outputs.
    ///
    /// On small maps much is border. Neighbours in this order are at the same border, and a tap that leads beyond it is
    /// skipped for all of them.
    fn order(&self) -> [usize; 3] {
        match self.sides[1].out {
            8.. => [0, 1, 2],
            wide if self.batch > wide => [1, 2, 0],
            _ => [1, 0, 2],
        }
    }

    /// The outputs from one number up to another.
    pub fn runs(&self, range: Range<usize>) -> impl Iterator<Item = Run> {
        let (sizes, order) = ([self.batch, self.sides[0].out, self.sides[1].out], self.order());
        let (mut first, mut rest) = ([0; 3], range.start);
        for side in order.into_iter().rev() {
            first[side] = rest % sizes[side];
            rest /= sizes[side];
        }
        let mut left = range.len();
        std::iter::from_fn(move || {
            let side = order[2];
            let run = Run { first, side, len: left.min(sizes[side] - first[side]) };
            left -= run.len;
            first[side] = 0;
            for side in [order[1], order[0]] {
                first[side] += 1;
                if first[side] < sizes[side] {
                    break;
                }
                first[side] = 0;
            }
            (run.len > 0).then_some(run)
        })
    }

    /// The places in the kernel's plane.
    fn taps(&self) -> impl Iterator<Item = [&Tap; 2]> {
        let columns = &self.sides[1].taps;
        self.sides[0].taps.iter().flat_map(move |row| columns.iter().map(move |column| [row, column]))
    }

    fn number(&self, [row, column]: [&Tap; 2]) -> usize {
        row.place * self.columns + column.place
    }

    /// The inputs that a run's outputs meet through a tap; `None` if there is not one.
    fn inputs(&self, run: &Run, tap: [&Tap; 2]) -> Option<Inputs> {
        let [image, row, column] = run.first;
        let across = run.side == 0;
        let y = self.sides[0].input(tap[0], row)?;
        let met = match across {
            true => self.sides[1].input(tap[1], column).map(|_| [0, run.len])?,
            false => tap[1].met.map(|end| end.saturating_sub(column).min(run.len)),
        };
        let x = (column * self.sides[1].stride) as isize + tap[1].offset;
        let start = (image * self.x.image + y * self.x.row) as isize + x * self.x.pixel as isize;
        let step = if across { self.x.image } else { self.sides[1].stride * self.x.pixel };
        (met[0] < met[1]).then_some(Inputs { start, step: step as isize, met })
    }

    /// Calls `each` with every tap of a run that has inputs.
    pub fn met(&self, run: &Run, mut each: impl FnMut(usize, Inputs)) {
        for tap in self.taps() {
            if let Some(inputs) = self.inputs(run, tap) {
                each(self.number(tap), inputs);
            }
        }
    }

    /// Some of the `count` tiles of all outputs, and where their inputs and outputs are. Rows that have no input through a
    /// tap which another row of the tile has one through are given `zeros`.
    pub fn tiles(&self, range: Range<usize>, count: usize, x: &[f32], zeros: &[f32], y: &Outputs) -> Tiles {
        assert!(zeros.len() >= self.depth);
        let most = range.len() * self.sides[0].taps.len() * self.sides[1].taps.len();
        let (mut inputs, mut outputs) =
            (Vec::with_capacity(most * ROWS), Vec::with_capacity(range.len() * ROWS));
        let (mut taps, mut tiles) = (Vec::with_capacity(most), Vec::with_capacity(range.len()));
        let mut runs = Vec::new();
        for tile in range {
            let [begin, end] = [tile, tile + 1].map(|tile| self.outputs() * tile / count);
            runs.clear();
            runs.extend(self.runs(begin..end));
            let (first_output, first_tap) = (outputs.len(), taps.len());
            runs.iter().for_each(|run| outputs.extend(y.of(run)));
            for tap in self.taps() {
                let (start, mut any) = (inputs.len(), false);
                for run in &runs {
                    let Some(Inputs { start, step, met }) = self.inputs(run, tap) else {
                        inputs.extend((0..run.len).map(|_| zeros.as_ptr()));
                        continue;
                    };
                    any = true;
                    inputs.extend((0..met[0]).map(|_| zeros.as_ptr()));
                    let at = |index: usize| x.as_ptr().wrapping_offset(start + index as isize * step);
                    inputs.extend((met[0]..met[1]).map(at));
                    inputs.extend((met[1]..run.len).map(|_| zeros.as_ptr()));
                }
                match any {
                    true => taps.push((self.number(tap), start)),
                    false => inputs.truncate(start),
                }
            }
            tiles.push(Tile { outputs: first_output..outputs.len(), lines: first_tap..taps.len() });
        }
        let line = |&(tap, start): &(usize, usize)| Line { tap, inputs: inputs[start..].as_ptr(), offset: 0 };
        let lines = taps.iter().map(line).collect();
        Tiles { _inputs: inputs, outputs, lines, tiles }
    }
}

/// Outputs one after the other along one side: images at the same place, or pixels of a row.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Image, row and column.
    first: [usize; 3],
    /// Which of these grows.
    side: usize,
    pub len: usize,
}

impl Run {
    /// Floats from the beginning of a tensor of such outputs to the first, and from one to the next.
    pub fn place(&self, steps: Steps) -> [usize; 2] {
        let steps = [steps.image, steps.row, steps.pixel];
        [self.first.iter().zip(steps).map(|(at, step)| at * step).sum(), steps[self.side]]
    }
}

/// The inputs of a run through one tap.
#[derive(Debug, Clone, Copy)]
pub struct Inputs {
    /// Floats from the beginning of `x` to that of the first output, which need not exist.
    pub start: isize,
    /// Floats from one to the next.
    pub step: isize,
    /// The outputs from the first up to the second have one.
    pub met: [usize; 2],
}

/// Where outputs go.
pub struct Outputs {
    pub y: SharedMut,
    pub steps: Steps,
    /// Floats before the first.
    pub first: usize,
    /// Channels of each.
    pub columns: usize,
}

impl Outputs {
    /// A pointer to each output of a run.
    fn of(&self, run: &Run) -> impl Iterator<Item = *mut f32> {
        let [start, step] = run.place(self.steps);
        let start = self.y.at(self.first + start, (run.len - 1) * step + self.columns);
        (0..run.len).map(move |index| start.wrapping_add(index * step))
    }
}

/// Tiles of outputs, as [`tile::product`](super::tile::product) wants them.
pub struct Tiles {
    /// What the lines point to.
    _inputs: Vec<*const f32>,
    outputs: Vec<*mut f32>,
    lines: Vec<Line>,
    tiles: Vec<Tile>,
}

/// A tile's part of each list.
struct Tile {
    outputs: Range<usize>,
    lines: Range<usize>,
}

impl Tiles {
    /// For every tile its lines, and its rows' first outputs.
    pub fn iter(&self) -> impl Iterator<Item = (&[Line], &[*mut f32])> {
        self.tiles.iter().map(|tile| (&self.lines[tile.lines.clone()], &self.outputs[tile.outputs.clone()]))
    }
}

/// A copy with zeros around each image.
fn pad(conv: &Conv, channels: usize, [high, wide]: [usize; 2], x: &[f32]) -> Buffer {
    let ([top, left], row) = (conv.padding.map(|padding| padding.0), conv.size[1] * channels);
    let mut padded = Buffer::zeros(conv.batch * high * wide * channels);
    let shared = SharedMut::of(&mut padded);
    (0..conv.batch).into_par_iter().for_each(|image| {
        // SAFETY: one image is no other's, and `padded` outlives the loop.
        let to = unsafe { shared.part(image * high * wide * channels, high * wide * channels) };
        let from = &x[image * conv.size[0] * row..][..conv.size[0] * row];
        for (y, from) in from.chunks_exact(row.max(1)).enumerate() {
            to[((top + y) * wide + left) * channels..][..row].copy_from_slice(from);
        }
    });
    padded
}
