//! Where every number of a convolution lies: the padded copy of a few images, the taps into it, the runs out of it.

use super::rows::{self, SPILL};
use super::tile::VECTORS;
use crate::isa::Isa;

/// One weight's place under the kernel: where its input lies, in the padded copy, for the output at `[0, 0]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tap {
    /// Which of [`Geometry::phases`] it reads.
    pub phase: usize,
    /// Row and column within the phase.
    pub at: [usize; 2],
}

/// A convolution along two sides, without its numbers: what it reads for each output.
///
/// A stride of `s` reads the padded image as `s` phases (every `s`th pixel), each of which it walks in steps of one.
#[derive(Debug, Clone)]
pub struct Geometry {
    pub channels: usize,
    /// Rows and columns of the input.
    pub size: [usize; 2],
    /// Rows and columns of the output.
    pub out: [usize; 2],
    pub stride: [usize; 2],
    /// Zeros above and to the left; negative: rows and columns that are never read.
    pub pad: [isize; 2],
    /// The phases that some tap reads.
    pub phases: Vec<[usize; 2]>,
    pub taps: Vec<Tap>,
}

/// A stretch of at most 16 neighbouring outputs within a tile.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// First position within the tile.
    pub from: u32,
    pub len: u32,
    /// Where it goes, from the first output of the group's first image and channel.
    pub to: usize,
}

/// All runs of a layout.
#[derive(Debug)]
pub struct Runs {
    all: Vec<Run>,
    /// Where the runs of each tile end; zero where a tile has none.
    ends: Vec<usize>,
}

impl Runs {
    /// The runs of each tile in turn.
    pub fn tiles(&self) -> impl Iterator<Item = &[Run]> {
        let mut begin = 0;
        self.ends.iter().map(move |&end| {
            let end = end.max(begin);
            let runs = &self.all[begin..end];
            begin = end;
            runs
        })
    }
}

/// The padded copy of a group of images (or of some rows of one image), channel by channel, and what comes of it.
///
/// The output at row `y` and column `x` of image `i` is at position `i * plane + y * width + x`; a tap is a constant
/// offset from the position. The positions between the columns of one row and the next are computed and dropped.
#[derive(Debug)]
pub struct Layout {
    /// Images in the group.
    pub images: usize,
    /// First output row and number of output rows.
    pub rows: [usize; 2],
    height: usize,
    width: usize,
    /// Positions from one image to the next.
    pub plane: usize,
    /// Floats from one phase to the next.
    phase: usize,
    /// Positions up to the last output.
    pub positions: usize,
    /// Floats of the whole copy, with the zeros behind it that the last vectors read.
    pub len: usize,
    /// For each channel and tap (the tap fastest): its offset from a position.
    pub offsets: Vec<u32>,
}

/// Beyond the last position, tiles of three vectors are read whole.
const SLACK: usize = 64;
const _: () = assert!(SLACK >= SPILL + 16 * VECTORS);

impl Geometry {
    /// Taps of an ordinary convolution.
    pub fn new(
        channels: usize,
        size: [usize; 2],
        out: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        pad: [usize; 2],
        dilation: [usize; 2],
    ) -> Self {
        let mut phases = Vec::new();
        let mut taps = Vec::with_capacity(kernel[0] * kernel[1]);
        for row in 0..kernel[0] {
            for column in 0..kernel[1] {
                let reach = [row * dilation[0], column * dilation[1]];
                let phase = [reach[0] % stride[0], reach[1] % stride[1]];
                let index = phases.iter().position(|known| *known == phase).unwrap_or_else(|| {
                    phases.push(phase);
                    phases.len() - 1
                });
                taps.push(Tap { phase: index, at: [reach[0] / stride[0], reach[1] / stride[1]] });
            }
        }
        Self { channels, size, out, stride, pad: pad.map(|pad| pad as isize), phases, taps }
    }

    /// How far the taps reach beyond the output's own position, down and to the right.
    fn reach(&self) -> [usize; 2] {
        [0, 1].map(|side| self.taps.iter().map(|tap| tap.at[side]).max().unwrap_or(0))
    }

    /// The length of one side in the copy, for `out` outputs. Where the steps are of one, the zeros that end a row
    /// are the ones that begin the next.
    fn side(&self, side: usize, out: usize, whole: bool) -> usize {
        let full = out + self.reach()[side];
        let before = self.pad[side];
        let after = full as isize - self.size[side] as isize - before;
        if self.stride == [1, 1] && whole && before >= 0 && after >= 0 {
            (self.size[side] + before.max(after) as usize).max(out)
        } else {
            full
        }
    }

    /// The layout of `images` images, of which output rows `rows = [first, count]` are wanted.
    pub fn layout(&self, images: usize, rows: [usize; 2]) -> Layout {
        let whole = rows == [0, self.out[0]];
        let (height, width) = (self.side(0, rows[1], whole), self.side(1, self.out[1], true));
        let plane = height * width;
        let channel = images * plane;
        let phase = self.channels * channel;
        let reach = self.reach();
        let len = self.phases.len() * phase + reach[0] * width + reach[1] + SLACK;
        assert!(len < u32::MAX as usize, "a convolution of {:?} is too large", self.size);
        let offsets = (0..self.channels).flat_map(|c| {
            self.taps
                .iter()
                .map(move |tap| (tap.phase * phase + c * channel + tap.at[0] * width + tap.at[1]) as u32)
        });
        Layout {
            images,
            rows,
            height,
            width,
            plane,
            phase,
            positions: (images - 1) * plane + (rows[1] - 1) * width + self.out[1],
            len,
            offsets: offsets.collect(),
        }
    }

    /// How many images, and how many output rows of each, fit a padded copy of about `budget` floats.
    pub fn group(&self, budget: usize, most_images: usize) -> (usize, usize) {
        let row = self.phases.len() * self.channels * self.side(1, self.out[1], true);
        let image = row * self.side(0, self.out[0], true);
        if image <= budget {
            ((budget / image.max(1)).clamp(1, most_images), self.out[0])
        } else {
            let rows = (budget / row).saturating_sub(self.reach()[0]).max(4);
            // Bands of equal height.
            (1, self.out[0].div_ceil(self.out[0].div_ceil(rows)))
        }
    }
}

impl Layout {
    /// Copies images `first..` of `x` (`[batch, channels, height, width]`) into `copy`, with zeros around.
    pub fn pad(&self, isa: Isa, geometry: &Geometry, x: &[f32], first: usize, copy: &mut [f32]) {
        let [high, wide] = geometry.size;
        let end = geometry.phases.len() * self.phase;
        let mut begin = 0;
        for phase in &geometry.phases {
            for channel in 0..geometry.channels {
                for image in first..first + self.images {
                    let start = (image * geometry.channels + channel) * high * wide;
                    for row in 0..self.height {
                        // A row's last vector may reach into the next row, which comes next, or into the slack.
                        let to = &mut copy[begin..begin + self.width + SPILL];
                        begin += self.width;
                        let padded = (self.rows[0] + row) * geometry.stride[0] + phase[0];
                        let y = padded as isize - geometry.pad[0];
                        if y < 0 || y >= high as isize {
                            to[..self.width].fill(0.0);
                        } else {
                            let from = &x[start + y as usize * wide..][..wide];
                            let shift = phase[1] as isize - geometry.pad[1];
                            rows::spread(isa, from, to, geometry.stride[1], shift);
                        }
                    }
                }
            }
        }
        copy[end..].fill(0.0);
    }

    /// The runs of outputs, in order of position; `channels` is the number of output channels.
    pub fn runs(&self, out: [usize; 2], channels: usize, tile: usize) -> Runs {
        let mut runs = Runs { all: Vec::new(), ends: vec![0; self.positions.div_ceil(tile)] };
        for image in 0..self.images {
            for row in 0..self.rows[1] {
                let mut position = image * self.plane + row * self.width;
                let mut to = (image * channels * out[0] + self.rows[0] + row) * out[1];
                let mut left = out[1];
                while left > 0 {
                    let from = position % tile;
                    let len = left.min(16).min(tile - from);
                    runs.all.push(Run { from: from as u32, len: len as u32, to });
                    runs.ends[position / tile] = runs.all.len();
                    (position, to, left) = (position + len, to + len, left - len);
                }
            }
        }
        runs
    }

    /// Copies one channel of `images` (`[batch, channels, height, width]`), output-shaped, to its positions in `flat`
    /// with zeros between.
    pub fn flatten(
        &self,
        isa: Isa,
        out: [usize; 2],
        channels: usize,
        [first, channel]: [usize; 2],
        images: &[f32],
        flat: &mut [f32],
    ) {
        flat.fill(0.0);
        for image in 0..self.images {
            let start = ((first + image) * channels + channel) * out[0] * out[1];
            for row in 0..self.rows[1] {
                let from = &images[start + (self.rows[0] + row) * out[1]..][..out[1]];
                rows::copy(isa, from, &mut flat[image * self.plane + row * self.width..][..out[1]]);
            }
        }
    }
}
