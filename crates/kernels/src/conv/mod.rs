//! Convolution along two sides, one group, f32: the output and the gradients of the input and of the weights.
//!
//! All three are sums over a *padded copy* of a few images at a time, in which a weight's input lies at a constant
//! offset from the output's position ([`plan`]); the inner loops follow pointers ([`tile`]).

mod plan;
mod rows;
mod tile;

use rayon::prelude::*;

use crate::isa::Isa;
use crate::memory::{Output, SharedMut, with_scratch};
use plan::{Geometry, Layout, Runs, Tap};
use tile::{LEFT, RIGHT, ROWS, Tile, VECTORS};

/// Floats of a padded copy: half a megabyte, a part of a core's second-level cache.
const COPY: usize = 1 << 17;
/// Positions that [`tile::dots`] walks at a time: eight rows of that many floats stay in the first-level cache.
const STRETCH: usize = 768;
/// Positions of one tile.
const TILE: usize = 16 * VECTORS;

/// The shapes and settings of one convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv {
    /// Images.
    pub batch: usize,
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Rows and columns of the input.
    pub size: [usize; 2],
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Steps between outputs.
    pub stride: [usize; 2],
    /// Zeros before and after, for rows and for columns.
    pub padding: [(usize, usize); 2],
    /// Steps between the kernel's weights.
    pub dilation: [usize; 2],
}

impl Conv {
    /// Rows and columns of the output; `None` where the kernel is larger than the padded input.
    pub fn out(&self) -> Option<[usize; 2]> {
        let side = |i: usize| {
            let padded = self.size[i] + self.padding[i].0 + self.padding[i].1;
            Some(padded.checked_sub((self.kernel[i] - 1) * self.dilation[i] + 1)? / self.stride[i] + 1)
        };
        Some([side(0)?, side(1)?])
    }

    /// Floats of the output.
    fn outputs(&self, out: [usize; 2]) -> usize {
        self.batch * self.channels[1] * out[0] * out[1]
    }

    fn geometry(&self, out: [usize; 2]) -> Geometry {
        let pad = [self.padding[0].0, self.padding[1].0];
        Geometry::new(self.channels[0], self.size, out, self.kernel, self.stride, pad, self.dilation)
    }
}

/// The output `[batch, out channels, rows, columns]` for `x` `[batch, in channels, rows, columns]` and `weight`
/// `[out channels, in channels, kernel rows, kernel columns]`.
///
/// # Panics
/// If a slice is not as long as `conv` says, or the kernel is larger than the padded input.
pub fn forward(isa: Isa, conv: &Conv, x: &[f32], weight: &[f32]) -> Vec<f32> {
    let [input, output] = conv.channels;
    let taps = conv.kernel[0] * conv.kernel[1];
    let out = conv.out().expect("the kernel is larger than the padded input");
    assert_eq!(weight.len(), output * input * taps);
    let weights = pack(output, [input, taps], |m, channel, tap| weight[(m * input + channel) * taps + tap]);
    let mut y = Output::unwritten(conv.outputs(out));
    correlate(isa, &conv.geometry(out), conv.batch, output, x, &weights, y.shared());
    // SAFETY: `correlate` writes every output.
    unsafe { y.written(conv.outputs(out)) }
}

/// The gradient of `x`, from that of the output.
///
/// A sum over the taps again: outputs and inputs trade places, and each phase of the stride is a convolution in steps
/// of one with the taps that reach it.
///
/// # Panics
/// As [`forward`].
pub fn input_gradient(isa: Isa, conv: &Conv, weight: &[f32], grad: &[f32]) -> Vec<f32> {
    let [input, output] = conv.channels;
    let [high, wide] = conv.size;
    let out = conv.out().expect("the kernel is larger than the padded input");
    let taps = conv.kernel[0] * conv.kernel[1];
    assert_eq!(weight.len(), output * input * taps);
    let len = conv.batch * input * high * wide;

    let dense = conv.stride == [1, 1];
    let mut scattered = if dense { Vec::new() } else { vec![0.0; len] };
    for row in 0..conv.stride[0] {
        for column in 0..conv.stride[1] {
            let phases = [Phase::of(conv, 0, row), Phase::of(conv, 1, column)];
            let [rows, columns] = &phases;
            if phases.iter().any(|phase| phase.count == 0 || phase.taps.is_empty()) {
                continue;
            }
            let places: Vec<_> = rows
                .taps
                .iter()
                .flat_map(|&(r, y)| columns.taps.iter().map(move |&(c, x)| (r * conv.kernel[1] + c, [y, x])))
                .collect();
            let geometry = Geometry {
                channels: output,
                size: out,
                out: [rows.count, columns.count],
                stride: [1, 1],
                pad: [rows.pad, columns.pad],
                phases: vec![[0, 0]],
                taps: places.iter().map(|&(_, at)| Tap { phase: 0, at }).collect(),
            };
            let weights = pack(input, [output, places.len()], |m, channel, tap| {
                weight[(channel * input + m) * taps + places[tap].0]
            });
            let count = conv.batch * input * rows.count * columns.count;
            let mut part = Output::unwritten(count);
            correlate(isa, &geometry, conv.batch, input, grad, &weights, part.shared());
            // SAFETY: `correlate` writes every output.
            let part = unsafe { part.written(count) };
            if dense {
                return part;
            }
            let planes = part.par_chunks_exact(rows.count * columns.count);
            scattered.par_chunks_exact_mut(high * wide).zip(planes).for_each(|(to, from)| {
                for (i, from) in from.chunks_exact(columns.count).enumerate() {
                    let to = &mut to[(rows.first + i * conv.stride[0]) * wide + columns.first..];
                    for (to, from) in to.iter_mut().step_by(conv.stride[1]).zip(from) {
                        *to = *from;
                    }
                }
            });
        }
    }
    // A convolution of stride one has a single phase and taps that reach it, so it ended above unless it is empty.
    if dense { vec![0.0; len] } else { scattered }
}

/// Along one side: the inputs whose padded place is `phase` modulo the stride, and the taps that reach them.
struct Phase {
    /// The first of those inputs, and how many there are.
    first: usize,
    count: usize,
    /// The kernel's index and the place in the padded gradient.
    taps: Vec<(usize, usize)>,
    pad: isize,
}

impl Phase {
    fn of(conv: &Conv, side: usize, phase: usize) -> Self {
        let (stride, before) = (conv.stride[side], conv.padding[side].0);
        let skipped = before.saturating_sub(phase).div_ceil(stride);
        let first = skipped * stride + phase - before;
        let reached: Vec<_> = (0..conv.kernel[side])
            .map(|index| (index, index * conv.dilation[side]))
            .filter(|(_, reach)| reach % stride == phase)
            .map(|(index, reach)| (index, reach / stride))
            .collect();
        let farthest = reached.last().map_or(0, |&(_, steps)| steps);
        Self {
            first,
            count: conv.size[side].saturating_sub(first).div_ceil(stride),
            taps: reached.into_iter().map(|(index, steps)| (index, farthest - steps)).collect(),
            pad: farthest as isize - skipped as isize,
        }
    }
}

/// The gradient of the weights, from `x` and the gradient of the output.
///
/// The batch is cut into chunks by the shapes alone and the chunks are added in order: the sum does not depend on
/// the threads.
///
/// # Panics
/// As [`forward`].
pub fn weight_gradient(isa: Isa, conv: &Conv, x: &[f32], grad: &[f32]) -> Vec<f32> {
    let [input, output] = conv.channels;
    let out = conv.out().expect("the kernel is larger than the padded input");
    assert_eq!(x.len(), conv.batch * input * conv.size[0] * conv.size[1]);
    assert_eq!(grad.len(), conv.outputs(out));
    let geometry = conv.geometry(out);
    let columns = input * geometry.taps.len();
    let len = output * columns;

    // About 16 pieces of work; at most 16 MB of partial sums.
    let chunks = conv.batch.min(16).min(((1 << 22) / len).max(1));
    let part = output.div_ceil(16usize.div_ceil(chunks)).next_multiple_of(LEFT);
    let parts = output.div_ceil(part);

    let mut sums = vec![0.0f32; chunks * len];
    let shared = SharedMut::of(&mut sums);
    (0..chunks * parts).into_par_iter().for_each(|unit| {
        let (chunk, part_index) = (unit / parts, unit % parts);
        let images = conv.batch * chunk / chunks..conv.batch * (chunk + 1) / chunks;
        let rows = part_index * part..output.min((part_index + 1) * part);
        // SAFETY: this unit's rows of this chunk's sums are no other unit's, and `sums` outlives the loop.
        let sums = unsafe { shared.part(chunk * len + rows.start * columns, rows.len() * columns) };
        let (group, band) = geometry.group(COPY, images.len());
        let mut first = images.start;
        while first < images.end {
            let group = group.min(images.end - first);
            let mut row = 0;
            while row < out[0] {
                let layout = geometry.layout(group, [row, band.min(out[0] - row)]);
                accumulate(isa, &geometry, &layout, x, grad, [first, output], rows.clone(), sums);
                row += band;
            }
            first += group;
        }
    });
    let (total, rest) = sums.split_at_mut(len);
    for chunk in rest.chunks_exact(len) {
        total.iter_mut().zip(chunk).for_each(|(total, value)| *total += value);
    }
    sums.truncate(len);
    sums
}

/// Adds one group's part of the weights' gradient to `sums`; `of` is the group's first image and the gradient's
/// channels, `rows` the channels wanted.
#[allow(clippy::too_many_arguments)]
fn accumulate(
    isa: Isa,
    geometry: &Geometry,
    layout: &Layout,
    x: &[f32],
    grad: &[f32],
    of: [usize; 2],
    rows: std::ops::Range<usize>,
    sums: &mut [f32],
) {
    let columns = layout.offsets.len();
    let length = layout.positions.next_multiple_of(16);
    let copy_len = layout.len.next_multiple_of(16);
    with_scratch(copy_len + rows.len().next_multiple_of(LEFT) * length, |scratch| {
        let (copy, flat) = scratch.split_at_mut(copy_len);
        layout.pad(isa, geometry, x, of[0], &mut copy[..layout.len]);
        for (row, flat) in flat.chunks_exact_mut(length).enumerate() {
            match rows.start + row {
                channel if channel < rows.end => {
                    layout.flatten(isa, geometry.out, of[1], [of[0], channel], grad, flat)
                }
                _ => flat.fill(0.0),
            }
        }
        for begin in (0..length).step_by(STRETCH) {
            let vectors = STRETCH.min(length - begin) / 16;
            for (tile, flat) in flat.chunks_exact(LEFT * length).enumerate() {
                let left = std::array::from_fn(|i| flat[i * length + begin..].as_ptr());
                let real = LEFT.min(rows.len() - tile * LEFT);
                for (index, offsets) in layout.offsets.chunks(RIGHT).enumerate() {
                    let right = std::array::from_fn(|j| {
                        let offset = offsets[j.min(offsets.len() - 1)] as usize;
                        copy[offset + begin..].as_ptr()
                    });
                    let mut tile_sums = [[0.0; LEFT]; RIGHT];
                    // SAFETY: the flat rows have `length` floats, and the copy has slack for a vector behind the
                    // last position of every offset.
                    unsafe { tile::dots(isa, vectors, left, right, &mut tile_sums) };
                    for (j, tile_sums) in tile_sums.iter().enumerate().take(offsets.len()) {
                        let at = tile * LEFT * columns + index * RIGHT + j;
                        for (sum, value) in sums[at..].iter_mut().step_by(columns).zip(&tile_sums[..real]) {
                            *sum += value;
                        }
                    }
                }
            }
        }
    });
}

/// The weights as blocks of [`ROWS`] rows, column (channel and tap) by column, zeros after the last row.
fn pack(
    rows: usize,
    [channels, taps]: [usize; 2],
    at: impl Fn(usize, usize, usize) -> f32 + Sync,
) -> Vec<f32> {
    let mut packed = vec![0.0; rows.div_ceil(ROWS) * ROWS * channels * taps];
    packed.par_chunks_exact_mut(ROWS * channels * taps).enumerate().for_each(|(block, packed)| {
        let real = ROWS.min(rows - block * ROWS);
        for (channel, packed) in packed.chunks_exact_mut(ROWS * taps).enumerate() {
            for m in 0..real {
                for (tap, packed) in packed.chunks_exact_mut(ROWS).enumerate() {
                    packed[m] = at(block * ROWS + m, channel, tap);
                }
            }
        }
    });
    packed
}

/// For every image, output channel and position: the sum over input channels and taps of weight times input.
fn correlate(
    isa: Isa,
    geometry: &Geometry,
    batch: usize,
    channels: usize,
    x: &[f32],
    weights: &[f32],
    y: SharedMut,
) {
    let out = geometry.out;
    let area = out[0] * out[1];
    assert_eq!(x.len(), batch * geometry.channels * geometry.size[0] * geometry.size[1]);
    if batch == 0 || area == 0 {
        return;
    }
    let threads = rayon::current_num_threads();
    let (images, band) = geometry.group(COPY, batch.div_ceil(2 * threads));
    let layout = |images, first: usize| -> (Layout, Runs) {
        let layout = geometry.layout(images, [first, band.min(out[0] - first)]);
        let runs = layout.runs(out, channels, TILE);
        (layout, runs)
    };
    // Either bands of one image, or whole images: as many in each group as fit, and the rest in the last.
    let bands: Vec<_> = (0..out[0]).step_by(band).map(|first| layout(images, first)).collect();
    let rest = (!batch.is_multiple_of(images)).then(|| layout(batch % images, 0));
    let units = batch.div_ceil(images) * bands.len();
    let blocks = channels.div_ceil(ROWS);
    let parts = (2 * threads).div_ceil(units).min(blocks);
    let block_len = ROWS * geometry.channels * geometry.taps.len();

    (0..units * parts).into_par_iter().for_each(|unit| {
        let (group, part) = (unit / parts / bands.len(), unit % parts);
        let first = group * images;
        let (layout, runs) = match &rest {
            Some(rest) if first + images > batch => rest,
            _ => &bands[unit / parts % bands.len()],
        };
        with_scratch(layout.len, |copy| {
            layout.pad(isa, geometry, x, first, copy);
            let mut sums = Tile([[0.0; TILE]; ROWS]);
            for block in blocks * part / parts..blocks * (part + 1) / parts {
                let weights = &weights[block * block_len..][..block_len];
                let rows = ROWS.min(channels - block * ROWS);
                let start = (first * channels + block * ROWS) * area;
                // The last run of the last row ends at or before the end of the group's last channel written here.
                let out = y.at(start, (layout.images - 1) * channels * area + rows * area);
                for (index, runs) in runs.tiles().enumerate() {
                    let vectors = (layout.positions - index * TILE).div_ceil(16).min(VECTORS);
                    // SAFETY: the copy has slack for a vector behind the last position of every offset; the runs
                    // write this unit's images, rows and channels alone.
                    unsafe {
                        let base = copy.as_ptr().add(index * TILE);
                        tile::product(isa, vectors, weights, &layout.offsets, base, &mut sums);
                        tile::store(isa, &sums, rows, runs, out, area);
                    }
                }
            }
        });
    });
}
