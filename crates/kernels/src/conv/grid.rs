//! Where a convolution's inputs and outputs lie: outputs along two sides, and for each tap the inputs that they meet.

use rayon::prelude::*;

use super::Conv;
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

    /// The taps through which an output meets an input, and that input.
    fn inputs(&self, output: usize) -> impl Iterator<Item = (&Tap, usize)> {
        let within = move |tap: &&Tap| (tap.met[0]..tap.met[1]).contains(&output);
        let at = move |tap: &Tap| (output * self.stride).wrapping_add_signed(tap.offset);
        self.taps.iter().filter(within).map(move |tap| (tap, at(tap)))
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

    /// Whether tiles go along the images rather than along a row: the maps are small then, and borders fall on
    /// whole tiles, which skip the taps beyond them.
    pub fn across(&self) -> bool {
        self.sides[1].out < 8 && self.batch > self.sides[1].out
    }

    /// Length of what tiles are cut from, and how many of these there are.
    pub fn runs(&self) -> [usize; 2] {
        let [high, wide] = [self.sides[0].out, self.sides[1].out];
        if self.across() { [self.batch, high * wide] } else { [wide, self.batch * high] }
    }

    /// Calls `each` with every tap of a run that has inputs there: the tap, where the input of the run's first output
    /// would be, and the outputs that have one.
    pub fn taps(&self, run: usize, mut each: impl FnMut(usize, isize, [usize; 2])) {
        let [rows, columns] = &self.sides;
        let across = self.across();
        let (image, row, column) = match across {
            true => (0, run / columns.out, run % columns.out),
            false => (run / rows.out, run % rows.out, 0),
        };
        for (vertical, y) in rows.inputs(row) {
            let start = image * self.x.image + y * self.x.row;
            let base = vertical.place * self.columns;
            if across {
                for (tap, x) in columns.inputs(column) {
                    each(base + tap.place, (start + x * self.x.pixel) as isize, [0, self.batch]);
                }
            } else {
                for tap in columns.taps.iter().filter(|tap| tap.met[0] < tap.met[1]) {
                    each(base + tap.place, start as isize + tap.offset * self.x.pixel as isize, tap.met);
                }
            }
        }
    }

    /// Floats between the inputs of neighbouring outputs of a run.
    pub fn step(&self) -> usize {
        if self.across() { self.x.image } else { self.sides[1].stride * self.x.pixel }
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
