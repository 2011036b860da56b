//! What an operation does along one side of a map: where its outputs look in its input.

use std::ops::RangeInclusive;

/// How outputs along a side look at inputs.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Each at the input of its place.
    Same,
    /// Each at so many neighbours, and at those behind by a stride.
    Window {
        /// From the first to the last of them: a kernel with its dilation.
        reach: usize,
        /// Inputs between what two neighbouring outputs begin with.
        stride: usize,
        /// Inputs before the first.
        before: usize,
    },
    /// A transposed convolution: each input adds to `reach` outputs.
    Transposed {
        /// From the first to the last output that an input adds to.
        reach: usize,
        /// Outputs between what two neighbouring inputs begin with.
        stride: usize,
        /// Outputs cut off before the first.
        before: usize,
    },
    /// As many places as there are outputs, spread over the inputs.
    Resize {
        /// Inputs.
        from: usize,
        /// Outputs.
        to: usize,
        /// Between which inputs a place lies: the nearest one, or two.
        taps: usize,
        /// Whether the centres of the first and last pixels stay where they are, and not the map's edges.
        corners: bool,
    },
    /// The inputs in as many parts as there are outputs.
    Bins {
        /// Inputs.
        from: usize,
        /// Outputs.
        to: usize,
    },
    /// Every `step`th input from `start` on; negative where outputs are added before the first input.
    Shift {
        /// The input of the first output.
        start: isize,
        /// Inputs from one output to the next.
        step: usize,
    },
    /// The inputs of these numbers.
    Select(Vec<usize>),
    /// All inputs.
    Whole,
}

/// What an output along one side of a map sees of the image: `size` pixels, for the first output around `center`, and
/// for each after it `stride` pixels further.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Side {
    /// Pixels from the first to the last.
    pub size: f64,
    /// Pixels from an output's field to the next one's.
    pub stride: f64,
    /// The middle of the first output's field, in pixels; the first pixel is at 0.
    pub center: f64,
}

impl Side {
    /// Of the image itself.
    pub const PIXEL: Self = Self { size: 1.0, stride: 1.0, center: 0.0 };

    /// The padding of one convolution that would see the same: pixels that the first output's field reaches beyond the image.
    pub fn padding(&self) -> f64 {
        (self.size - 1.0) / 2.0 - self.center
    }

    /// Pixels that a whole map of so many outputs sees.
    pub fn extent(&self, outputs: usize) -> f64 {
        self.size + outputs.saturating_sub(1) as f64 * self.stride
    }
}

impl Step {
    /// What the outputs see of the image if this is what `inputs` inputs see. Dang Ha and others 2017; Araujo and others 2019.
    pub fn field(&self, side: Side, inputs: usize) -> Side {
        let Side { size, stride, center } = side;
        match *self {
            Self::Same => side,
            Self::Window { reach, stride: step, before } => Side {
                size: size + (reach - 1) as f64 * stride,
                stride: stride * step as f64,
                center: center + ((reach - 1) as f64 / 2.0 - before as f64) * stride,
            },
            Self::Transposed { reach, stride: step, before } => Side {
                size: size + (reach.div_ceil(step) - 1) as f64 * stride,
                stride: stride / step as f64,
                center: center + (before as f64 - (reach - 1) as f64 / 2.0) / step as f64 * stride,
            },
            Self::Resize { from, to, taps, .. } => Side {
                size: if from == to || from == 1 { size } else { size + (taps - 1) as f64 * stride },
                stride: stride * (self.place(1) - self.place(0)),
                center: center + self.place(0) * stride,
            },
            Self::Bins { from, to } => {
                let most = (0..to).map(|at| bin(at, from, to)).map(|bin| bin.end() - bin.start()).max();
                Side {
                    size: size + most.unwrap_or(0) as f64 * stride,
                    stride: stride * from as f64 / to as f64,
                    center: center + (from as f64 / to as f64 - 1.0) / 2.0 * stride,
                }
            }
            Self::Shift { start, step } => {
                Side { stride: stride * step as f64, center: center + start as f64 * stride, ..side }
            }
            // Mirrored borders around a middle in which one follows the other.
            Self::Select(ref places) => {
                let middle = places.len() / 2;
                let offset = places.get(middle).map_or(0.0, |place| *place as f64 - middle as f64);
                Side { center: center + offset * stride, ..side }
            }
            Self::Whole => {
                let size = side.extent(inputs);
                Side {
                    size,
                    stride: stride * inputs as f64,
                    center: center + (inputs as f64 - 1.0) / 2.0 * stride,
                }
            }
        }
    }

    /// The inputs that a range of outputs looks at, from the first to the last; `None` if it looks beyond all of them.
    pub fn needs(&self, outputs: &RangeInclusive<usize>, inputs: usize) -> Option<RangeInclusive<usize>> {
        let (first, last) = (*outputs.start() as isize, *outputs.end() as isize);
        let (start, end) = match *self {
            Self::Same => (first, last),
            Self::Window { reach, stride, before } => {
                let start = |output: isize| output * stride as isize - before as isize;
                (start(first), start(last) + reach as isize - 1)
            }
            Self::Transposed { reach, stride, before } => {
                let [reach, stride, before] = [reach, stride, before].map(|number| number as isize);
                // Rounded up.
                let start = first + before - (reach - 1) + stride - 1;
                (start.div_euclid(stride), (last + before).div_euclid(stride))
            }
            Self::Resize { from, to, taps: 1, .. } => {
                (first * from as isize / to as isize, last * from as isize / to as isize)
            }
            Self::Resize { from, .. } => {
                let clamped = |output: isize| self.place(output as usize).clamp(0.0, (from - 1) as f64);
                (clamped(first).floor() as isize, clamped(last).ceil() as isize)
            }
            Self::Bins { from, to } => {
                let [first, last] = [first, last].map(|at| bin(at as usize, from, to));
                (*first.start() as isize, *last.end() as isize)
            }
            Self::Shift { start, step } => (first * step as isize + start, last * step as isize + start),
            Self::Select(ref places) => {
                let looked = places.get(first as usize..=last as usize)?;
                (*looked.iter().min()? as isize, *looked.iter().max()? as isize)
            }
            Self::Whole => (0, inputs as isize - 1),
        };
        let (start, end) = (start.max(0), end.min(inputs as isize - 1));
        (start <= end).then_some(start as usize..=end as usize)
    }

    /// Where an output of a resized map lies among the inputs.
    fn place(&self, output: usize) -> f64 {
        match *self {
            Self::Resize { from, to, corners: true, .. } => {
                output as f64 * (from as f64 - 1.0) / (to as f64 - 1.0).max(1.0)
            }
            Self::Resize { from, to, .. } => (output as f64 + 0.5) * from as f64 / to as f64 - 0.5,
            _ => output as f64,
        }
    }
}

/// The inputs of one of `to` parts.
fn bin(at: usize, from: usize, to: usize) -> RangeInclusive<usize> {
    at * from / to..=((at + 1) * from).div_ceil(to) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(reach: usize, stride: usize, before: usize) -> Step {
        Step::Window { reach, stride, before }
    }

    #[test]
    fn stacked_convolutions_see_what_the_closed_form_says() {
        let through = |steps: &[Step]| steps.iter().fold(Side::PIXEL, |side, step| step.field(side, 100));
        // concepts.md 3.4: three 3x3; dilation rates 1, 2, 4, 8, 16, 1; the demonstration of two with stride 2.
        assert_eq!(through(&[window(3, 1, 1), window(3, 1, 1), window(3, 1, 1)]).size, 7.0);
        let rates = [1, 2, 4, 8, 16, 1].map(|rate| window(2 * rate + 1, 1, rate));
        assert_eq!(through(&rates).size, 65.0);
        let demonstration = through(&[window(3, 2, 1), window(3, 2, 1)]);
        assert_eq!(demonstration, Side { size: 7.0, stride: 4.0, center: 0.0 });
    }

    #[test]
    fn a_transposed_convolution_takes_back_the_stride() {
        // Stride 2 and kernel 2, down and up: an output sees the two pixels of its pair. Centres differ by phase, and
        // the middle of a pair is half a pixel after its first.
        let down = window(2, 2, 0).field(Side::PIXEL, 8);
        assert_eq!(down, Side { size: 2.0, stride: 2.0, center: 0.5 });
        let up = Step::Transposed { reach: 2, stride: 2, before: 0 };
        assert_eq!(up.field(down, 4), Side { size: 2.0, stride: 1.0, center: 0.0 });
        assert_eq!(up.needs(&(3..=3), 4), Some(1..=1));
        // Kernel 4, stride 2, padding 1, as for bilinear enlarging: output 3 is input 1 and input 2.
        let wide = Step::Transposed { reach: 4, stride: 2, before: 1 };
        assert_eq!(wide.needs(&(3..=3), 4), Some(1..=2));
        assert_eq!(wide.needs(&(0..=0), 4), Some(0..=0));
    }

    #[test]
    fn a_resized_map_looks_at_its_neighbours() {
        let twice = |taps| Step::Resize { from: 4, to: 8, taps, corners: false };
        assert_eq!(twice(1).needs(&(3..=3), 4), Some(1..=1));
        // Output 3 lies at 3.5 / 2 - 0.5 = 1.25.
        assert_eq!(twice(2).needs(&(3..=3), 4), Some(1..=2));
        assert_eq!(twice(2).needs(&(0..=0), 4), Some(0..=0));
        let corners = Step::Resize { from: 3, to: 5, taps: 2, corners: true };
        assert_eq!(corners.needs(&(2..=2), 3), Some(1..=1));
        assert_eq!(corners.needs(&(3..=3), 3), Some(1..=2));
    }

    #[test]
    fn parts_of_a_side_overlap_where_they_do_not_divide() {
        // PyTorch: 5 in 3 parts are 0..2, 1..4, 3..5.
        let parts = Step::Bins { from: 5, to: 3 };
        assert_eq!(parts.needs(&(0..=0), 5), Some(0..=1));
        assert_eq!(parts.needs(&(1..=1), 5), Some(1..=3));
        assert_eq!(parts.needs(&(2..=2), 5), Some(3..=4));
    }
}
