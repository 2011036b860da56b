//! Convolution of groups with few channels; with one channel each it is called depthwise.
//!
//! The channels of the result are gone through by vectors, and for each source channel of a group there is a vector of what
//! these see: `y[lane] = sum over sources and taps of x[source, tap][lane] * weight[source, tap][lane]`. For a depthwise
//! convolution the one source is the channel itself; otherwise it is picked out of neighbouring channels, or is one
//! channel for all lanes. No product is wasted on zeros between groups.
//!
//! The input is read where it lies. (Copied first into scratch of one cache line a pixel and vector, with zeros around it,
//! the loops know no borders and no odd numbers of channels; but the copy alone takes as long as all of this.)

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::Conv;
use super::blocks::Blocks;
use super::dense::phase;
use super::grid::Side;
use super::lanes::{self, Line, Place, Row, TAPS};
use crate::isa::Isa;
use crate::memory::{Buffer, Output, SharedMut};

/// Products that are worth a second thread.
const FEW: usize = 1 << 18;
/// Floats of a result that are worth a piece of work.
const PIECE: usize = 1 << 14;
/// Pieces of work that the gradient of the weights is cut into, about, if it is not small.
const UNITS: usize = 8;

/// As [`super::forward`].
pub fn forward(isa: Isa, conv: &Conv, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let [inputs, _] = conv.floats();
    assert_eq!(x.len(), inputs);
    assert!(bias.is_none_or(|bias| bias.len() == conv.channels[1]));
    let plan = Plan::forward(isa, conv, x);
    let weights = plan.blocks.pack(isa, taps(conv), weight);
    plan.apply(conv.out_size(), &weights, bias)
}

/// As [`super::input_gradient`].
pub fn input_gradient(isa: Isa, conv: &Conv, weight: &[f32], grad: &[f32]) -> Vec<f32> {
    let out = conv.out_size();
    assert_eq!(grad.len(), conv.floats()[1]);
    let [input, output] = conv.channels;
    let blocks = Blocks { lanes: lanes::lanes(isa), channels: [input, output], group: group(conv) };
    let sides = [0, 1].map(|side| {
        let phases = conv.stride[side].min(conv.size[side]).max(1);
        (0..phases).map(|first| phase(conv, side, first, out[side])).collect()
    });
    let plan = Plan::new(isa, conv, blocks, sides, grad, out);
    let weights = blocks.pack(isa, taps(conv), &turned(conv, weight));
    plan.apply(conv.size, &weights, None)
}

/// As [`super::weight_gradient`].
///
/// The batch is cut into chunks by the shapes alone and the chunks are added in order: the sum does not depend on
/// the threads.
pub fn weight_gradient(isa: Isa, conv: &Conv, x: &[f32], grad: &[f32]) -> Vec<f32> {
    assert_eq!([x.len(), grad.len()], conv.floats());
    let [high, wide] = conv.out_size();
    let plan = Plan::forward(isa, conv, x);
    let grad = plan.blocks.widened(grad);
    let (pitch, rows) = (plan.blocks.pitch(), conv.batch * high);
    let len = plan.blocks.count() * plan.block_weights();
    let products = grad.len() * plan.block_weights() / plan.blocks.lanes;
    // To clear a chunk's sums and to add them must cost little beside its products.
    let units = (products / FEW).clamp(1, UNITS);
    let chunks = (products / (512 * len).max(1)).min(units).min(rows).max(1);
    let parts = units.div_ceil(chunks).min(plan.blocks.count());
    let mut sums = Buffer::zeros(chunks * len);
    let shared = SharedMut::of(&mut sums);
    let work = |unit: usize| {
        let (chunk, part) = (unit / parts, unit % parts);
        let [begin, end] = [part, part + 1].map(|part| plan.blocks.count() * part / parts);
        let sums =
            shared.at(chunk * len + begin * plan.block_weights(), (end - begin) * plan.block_weights());
        let rows = rows * chunk / chunks..rows * (chunk + 1) / chunks;
        plan.rows([high, wide], rows, begin..end, |row, first, tile| {
            let grad = grad[first * pitch..].as_ptr();
            // SAFETY: the lines are what the input has, the gradient has a row of this many pixels from there on, and
            // these blocks of this chunk's sums are no one else's.
            unsafe { lanes::correlate(isa, row, tile, grad, sums) };
        });
    };
    run(products, chunks * parts, work);
    let (total, rest) = sums.split_at_mut(len);
    for chunk in rest.chunks_exact(len.max(1)) {
        total.iter_mut().zip(chunk).for_each(|(total, value)| *total += value);
    }
    plan.blocks.unpack(isa, taps(conv), total)
}

/// Up to three taps of a row of the kernel that neighbouring outputs share.
#[derive(Debug, Clone, Copy)]
struct Segment {
    offset: isize,
    place: usize,
    taps: usize,
    /// Places from tap to tap.
    step: isize,
    low: usize,
    high: usize,
}

impl Segment {
    fn all(side: &Side, size: usize) -> Vec<Self> {
        let mut taps: Vec<_> = side.taps.iter().map(|tap| (tap.offset, tap.place)).collect();
        taps.sort_unstable();
        let mut segments: Vec<Self> = Vec::with_capacity(taps.len());
        for (offset, place) in taps {
            if let Some(last) = segments.last_mut()
                && side.stride == 1
                && last.offset + last.taps as isize == offset
                && last.taps < TAPS
            {
                last.step = (place as isize - last.place as isize) / last.taps as isize;
                last.taps += 1;
                continue;
            }
            let reach = |end: isize| (end - offset).max(0).cast_unsigned().div_ceil(side.stride);
            let [low, high] = [reach(0), reach(size as isize)];
            segments.push(Self { offset, place, taps: 1, step: 1, low, high });
        }
        segments
    }
}

/// What is the same for all rows of the result.
struct Plan<'a> {
    isa: Isa,
    blocks: Blocks,
    batch: usize,
    kernel: [usize; 2],
    starts: Vec<[usize; 2]>,
    place: Place,
    spread: Vec<i32>,
    x: Cow<'a, [f32]>,
    size: [usize; 2],
    /// Floats of a pixel of the input, and from source to source.
    pixel: usize,
    source: usize,
    /// The phases of the result's rows and columns: output `o` is output `o / phases` of phase `o % phases`.
    sides: [Vec<Side>; 2],
    segments: Vec<Vec<Segment>>,
}

impl<'a> Plan<'a> {
    fn forward(isa: Isa, conv: &Conv, x: &'a [f32]) -> Self {
        let out = conv.out_size();
        let sides = [0, 1].map(|side| vec![Side::forward(conv, side, out[side])]);
        Self::new(isa, conv, of_output(isa, conv), sides, x, conv.size)
    }

    fn new(
        isa: Isa,
        conv: &Conv,
        blocks: Blocks,
        sides: [Vec<Side>; 2],
        x: &'a [f32],
        size: [usize; 2],
    ) -> Self {
        let segments = sides[1].iter().map(|side| Segment::all(side, size[1])).collect();
        let [_, depth] = blocks.group;
        let (batch, kernel) = (conv.batch, conv.kernel);
        let (starts, place, spread, x, pixel, source) = match blocks.places() {
            Some((starts, place, spread)) => {
                let source = usize::from(place == Place::Same);
                (starts, place, spread, Cow::Borrowed(x), blocks.channels[1], source)
            }
            None => {
                // Each source of every channel in a place of its own.
                let pitch = blocks.pitch();
                let from: Vec<usize> =
                    (0..depth * pitch).map(|at| blocks.source(at % pitch) + at / pitch).collect();
                let x =
                    x.chunks_exact(blocks.channels[1]).flat_map(|x| from.iter().map(|at| x[*at])).collect();
                let starts = (0..blocks.count()).map(|block| [blocks.start(block); 2]).collect();
                (starts, Place::InOrder, Vec::new(), Cow::Owned(x), depth * pitch, pitch)
            }
        };
        Self { isa, blocks, batch, kernel, starts, place, spread, x, size, pixel, source, sides, segments }
    }

    /// Floats of a block's weights.
    fn block_weights(&self) -> usize {
        self.blocks.group[1] * self.kernel[0] * self.kernel[1] * self.blocks.lanes
    }

    /// Calls `each` with every tile of these rows of all images: its row, with these blocks, the row's first pixel, and
    /// the outputs.
    fn rows(
        &self,
        [high, wide]: [usize; 2],
        rows: Range<usize>,
        blocks: Range<usize>,
        mut each: impl FnMut(&Row, usize, [usize; 2]),
    ) {
        let phases = [self.sides[0].len(), self.sides[1].len()];
        let spread =
            self.spread.get(blocks.start * self.blocks.group[1] * self.blocks.lanes..).unwrap_or(&[]);
        let mut lines = Vec::with_capacity(self.blocks.group[1] * self.kernel[0] * self.kernel[1]);
        for at in rows {
            let (image, row) = (at / high, at % high);
            for column in 0..phases[1] {
                lines.clear();
                self.lines(image, row, column, &mut lines);
                let row = Row {
                    lines: &lines,
                    x_step: self.sides[1][column].stride * self.pixel,
                    blocks: &self.starts[blocks.clone()],
                    place: self.place,
                    spread,
                    depth: self.blocks.group[1],
                    block_weights: self.block_weights(),
                    y_step: phases[1] * self.blocks.pitch(),
                };
                let out = self.sides[1][column].out;
                let tiles = out.div_ceil(lanes::outputs(self.isa));
                for tile in 0..tiles {
                    each(&row, at * wide + column, [out * tile / tiles, out * (tile + 1) / tiles]);
                }
            }
        }
    }

    /// What the kernel's rows add to the outputs of a phase of the columns.
    fn lines(&self, image: usize, row: usize, column: usize, lines: &mut Vec<Line>) {
        let (phases, [high, wide]) = (self.sides[0].len(), self.size);
        let (side, row) = (&self.sides[0][row % phases], row / phases);
        for tap in side.taps.iter().filter(|tap| (tap.met[0]..tap.met[1]).contains(&row)) {
            let from = (row * side.stride).wrapping_add_signed(tap.offset);
            let from = self.x[(image * high + from) * wide * self.pixel..].as_ptr();
            for source in 0..self.blocks.group[1] {
                let from = from.wrapping_add(source * self.source);
                lines.extend(self.segments[column].iter().map(|segment| Line {
                    taps: segment.taps,
                    x: from.wrapping_offset(segment.offset * self.pixel as isize),
                    low: segment.low,
                    high: segment.high,
                    weights: ((source * self.kernel[0] + tap.place) * self.kernel[1] + segment.place)
                        * self.blocks.lanes,
                    step: segment.step * self.blocks.lanes as isize,
                    source,
                }));
            }
        }
    }

    /// The result's rows, `size` each image.
    fn apply(&self, size: [usize; 2], weights: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let (blocks, pitch) = (self.blocks, self.blocks.pitch());
        let mut start = vec![0.0f32; blocks.count() * blocks.lanes];
        if let Some(bias) = bias {
            for (block, start) in start.chunks_exact_mut(blocks.lanes).enumerate() {
                start[..blocks.real()].copy_from_slice(&bias[blocks.start(block)..][..blocks.real()]);
            }
        }
        let rows = self.batch * size[0];
        let len = rows * size[1] * pitch;
        let at_once = (PIECE / (size[1] * pitch).max(1)).max(1);
        let mut y = Output::unwritten(len);
        let shared = y.shared();
        let work = |unit: usize| {
            let rows = unit * at_once..rows.min((unit + 1) * at_once);
            self.rows(size, rows, 0..blocks.count(), |row, first, tile| {
                let floats = (tile[1] - 1) * row.y_step + pitch;
                let y = shared.at(first * pitch, floats);
                // SAFETY: the lines are what the input has; these rows of the result are no other unit's.
                unsafe { lanes::weigh(self.isa, row, tile, weights.as_ptr(), start.as_ptr(), y) };
            });
        };
        run(len * self.block_weights() / blocks.lanes, rows.div_ceil(at_once), work);
        // SAFETY: the phases of the columns are all columns, and the blocks all channels.
        blocks.narrowed(unsafe { y.written(len) })
    }
}

fn run(products: usize, units: usize, work: impl Fn(usize) + Sync + Send) {
    match products < FEW {
        true => (0..units).for_each(work),
        false => (0..units).into_par_iter().for_each(work),
    }
}

/// Weights `[out, in / groups, taps]` as `[in, out / groups, taps]`.
fn turned<'a>(conv: &Conv, weights: &'a [f32]) -> Cow<'a, [f32]> {
    let [input, output] = group(conv);
    if input == 1 || output == 1 {
        return Cow::Borrowed(weights);
    }
    let taps = taps(conv);
    let mut turned = Vec::with_capacity(weights.len());
    for group in weights.chunks_exact(input * output * taps) {
        for i in 0..input {
            for o in 0..output {
                turned.extend_from_slice(&group[(o * input + i) * taps..][..taps]);
            }
        }
    }
    Cow::Owned(turned)
}

/// Whether the channels that a vector of the output sees are a few neighbours.
pub fn fits(isa: Isa, conv: &Conv) -> bool {
    of_output(isa, conv).places().is_some()
}

fn of_output(isa: Isa, conv: &Conv) -> Blocks {
    let ([input, output], [inputs, outputs]) = (conv.channels, group(conv));
    Blocks { lanes: lanes::lanes(isa), channels: [output, input], group: [outputs, inputs] }
}

/// Input and output channels of one group.
pub fn group(conv: &Conv) -> [usize; 2] {
    conv.channels.map(|channels| channels / conv.groups)
}

fn taps(conv: &Conv) -> usize {
    conv.kernel[0] * conv.kernel[1]
}
