//! Weights in the order in which the inner loops read them: panels `[taps, rows, width]` of two vectors of columns.
//!
//! The columns are the output's channels (forward) or the input's (its gradient); a *tap* is a place in the kernel's
//! plane.

use rayon::prelude::*;

use super::tile::lanes;
use crate::isa::Isa;
use crate::memory::{Buffer, Output, SharedMut};
use crate::transpose::square;

/// The panels of a matrix of so many columns.
#[derive(Debug, Clone, Copy)]
pub struct Panels {
    /// Taps times rows: what one panel holds of each column.
    pub depth: usize,
    pub columns: usize,
    /// Columns of a vector.
    pub lanes: usize,
}

impl Panels {
    pub fn new(isa: Isa, depth: usize, columns: usize) -> Self {
        Self { depth, columns, lanes: lanes(isa) }
    }

    /// Columns of every panel but, perhaps, the last.
    pub fn width(self) -> usize {
        2 * self.lanes
    }

    pub fn count(self) -> usize {
        self.columns.div_ceil(self.width())
    }

    /// Vectors of columns in a panel: 2, or 1 in a last one that needs no more.
    pub fn vectors(self, panel: usize) -> usize {
        self.columns(panel).div_ceil(self.lanes)
    }

    /// Columns of a panel that are not filling.
    pub fn columns(self, panel: usize) -> usize {
        self.width().min(self.columns - panel * self.width())
    }

    /// Columns of a panel with the filling.
    pub fn wide(self, panel: usize) -> usize {
        self.vectors(panel) * self.lanes
    }

    pub fn start(self, panel: usize) -> usize {
        panel * self.width() * self.depth
    }

    /// One of the panels.
    pub fn of(self, packed: &[f32], panel: usize) -> &[f32] {
        &packed[self.start(panel)..][..self.depth * self.wide(panel)]
    }

    pub fn len(self) -> usize {
        self.columns.next_multiple_of(self.lanes) * self.depth
    }

    /// For each 16 columns of a panel, or fewer: the first, how many are not filling, and how many there are.
    fn blocks(self, panel: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let (wide, real) = (self.wide(panel), self.columns(panel));
        (0..wide).step_by(16).map(move |first| (first, 16.min(real - first), 16.min(wide - first)))
    }
}

/// The shape of a convolution's weights `[out, in, taps]`.
#[derive(Debug, Clone, Copy)]
pub struct Weights {
    pub output: usize,
    pub input: usize,
    pub taps: usize,
}

impl Weights {
    fn len(self) -> usize {
        self.output * self.input * self.taps
    }

    /// Panels of output channels, whose rows are the input's.
    pub fn forward(self, isa: Isa) -> Panels {
        Panels::new(isa, self.taps * self.input, self.output)
    }

    /// Panels of input channels, whose rows are the output's.
    pub fn backward(self, isa: Isa) -> Panels {
        Panels::new(isa, self.taps * self.output, self.input)
    }

    /// The weights as panels of output channels.
    ///
    /// # Panics
    /// If they are not as many as the shape says.
    pub fn pack_forward(self, isa: Isa, weights: &[f32]) -> Buffer {
        assert_eq!(weights.len(), self.len());
        let panels = self.forward(isa);
        let mut packed = Buffer::of(panels.len());
        let shared = SharedMut::of(&mut packed);
        let row = self.input * self.taps;
        self.squares(panels, |[output, j], size, wide, target| {
            // SAFETY: the square lies within the weights' rows and columns.
            let from = unsafe { weights.as_ptr().add(output * row + j) };
            let mut turned = [[0.0f32; 16]; 16];
            // SAFETY: as above; `turned` holds 16 x 16.
            unsafe { square(isa, from, row, size, turned.as_mut_ptr().cast(), 16) };
            for (k, turned) in turned.iter().enumerate().take(size[1]) {
                // SAFETY: this panel is no other unit's, and `packed` outlives the loop.
                copy(&turned[..wide], unsafe { shared.part(target(j + k), wide) });
            }
        });
        packed
    }

    /// The weights from panels of output channels: the way back of [`pack_forward`](Self::pack_forward).
    ///
    /// # Panics
    /// If the panels do not hold as much as the shape says.
    pub fn unpack(self, isa: Isa, packed: &[f32]) -> Vec<f32> {
        let panels = self.forward(isa);
        assert_eq!(packed.len(), panels.len());
        let mut weights = Output::unwritten(self.len());
        let shared = weights.shared();
        let row = self.input * self.taps;
        self.squares(panels, |[output, j], size, wide, source| {
            let mut turned = [[0.0f32; 16]; 16];
            for (k, turned) in turned.iter_mut().enumerate().take(size[1]) {
                copy(&packed[source(j + k)..][..wide], &mut turned[..wide]);
            }
            let to = shared.at(output * row + j, (size[0] - 1) * row + size[1]);
            // SAFETY: these places of these rows are no other unit's; the square is within them.
            unsafe { square(isa, turned.as_ptr().cast(), 16, [size[1], size[0]], to, row) };
        });
        // SAFETY: the squares cover every row and column.
        unsafe { weights.written(self.len()) }
    }

    /// Calls `each` with the first row of up to 16 of the weights and the first of up to 16 places of these, the square's
    /// size, the columns of its panel that it fills, and where in the panels a place is.
    fn squares(
        self,
        panels: Panels,
        each: impl Fn([usize; 2], [usize; 2], usize, &dyn Fn(usize) -> usize) + Sync,
    ) {
        let row = self.input * self.taps;
        in_parallel(panels.len(), panels.count(), |panel: usize| {
            for (first, real, wide) in panels.blocks(panel) {
                let place = |j: usize| {
                    let depth = j % self.taps * self.input + j / self.taps;
                    panels.start(panel) + depth * panels.wide(panel) + first
                };
                for j in (0..row).step_by(16) {
                    each([panel * panels.width() + first, j], [real, 16.min(row - j)], wide, &place);
                }
            }
        });
    }

    /// The weights as panels of input channels.
    ///
    /// # Panics
    /// If they are not as many as the shape says.
    pub fn pack_backward(self, isa: Isa, weights: &[f32]) -> Buffer {
        assert_eq!(weights.len(), self.len());
        let panels = self.backward(isa);
        let mut packed = Buffer::of(panels.len());
        let shared = SharedMut::of(&mut packed);
        let Self { output, input, taps } = self;
        in_parallel(panels.len(), panels.count(), |panel| {
            for (first, real, wide) in panels.blocks(panel) {
                let (pitch, start) = (panels.wide(panel), panels.start(panel) + first);
                let column = panel * panels.width() + first;
                for row in 0..output {
                    if taps == 1 {
                        // SAFETY: these columns of this panel are no other unit's, and `packed` outlives the loop.
                        let to = unsafe { shared.part(start + row * pitch, wide) };
                        let (real, filling) = to.split_at_mut(real);
                        copy(&weights[row * input + column..][..real.len()], real);
                        filling.fill(0.0);
                        continue;
                    }
                    for tap in (0..taps).step_by(16) {
                        let size = [real, 16.min(taps - tap)];
                        let step = output * pitch;
                        let to = shared.at(start + (tap * output + row) * pitch, (size[1] - 1) * step + wide);
                        // SAFETY: these places of this panel are no other unit's; the square is within the weights.
                        unsafe {
                            let from = weights.as_ptr().add((row * input + column) * taps + tap);
                            square(isa, from, taps, size, to, step);
                            if real < wide {
                                (0..size[1])
                                    .for_each(|k| to.add(k * step + real).write_bytes(0, wide - real));
                            }
                        }
                    }
                }
            }
        });
        packed
    }
}

/// A copy of known length is a few moves, where one of any length is a call.
fn copy(from: &[f32], to: &mut [f32]) {
    match (<&mut [f32; 16]>::try_from(&mut *to), <&[f32; 16]>::try_from(from)) {
        (Ok(to), Ok(from)) => *to = *from,
        _ => to.copy_from_slice(from),
    }
}

/// Small work is not worth a second thread.
fn in_parallel(floats: usize, panels: usize, work: impl Fn(usize) + Sync + Send) {
    match floats < 1 << 15 {
        true => (0..panels).for_each(work),
        false => (0..panels).into_par_iter().for_each(work),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_has_its_place_in_the_panels_and_comes_back() {
        for [output, input, taps] in [[1, 1, 1], [5, 3, 9], [16, 4, 1], [33, 7, 4], [64, 16, 9], [50, 2, 25]]
        {
            let shape = Weights { output, input, taps };
            let weights: Vec<f32> = (0..shape.len()).map(|i| i as f32 + 1.0).collect();
            for &isa in Isa::available() {
                let (forward, backward) =
                    (shape.pack_forward(isa, &weights), shape.pack_backward(isa, &weights));
                let at = |panels: Panels, packed: &[f32], column: usize, depth: usize| {
                    let (panel, place) = (column / panels.width(), column % panels.width());
                    panels.of(packed, panel)[depth * panels.wide(panel) + place]
                };
                for (index, &weight) in weights.iter().enumerate() {
                    let (o, i, tap) = (index / taps / input, index / taps % input, index % taps);
                    assert_eq!(
                        at(shape.forward(isa), &forward, o, tap * input + i),
                        weight,
                        "{isa:?} {shape:?}"
                    );
                    assert_eq!(
                        at(shape.backward(isa), &backward, i, tap * output + o),
                        weight,
                        "{isa:?} {shape:?}"
                    );
                }
                // What is filled up is zeros: the sum is that of the weights.
                let sum = |values: &[f32]| values.iter().map(|v| f64::from(*v)).sum::<f64>();
                assert_eq!([sum(&forward), sum(&backward)], [sum(&weights); 2]);
                assert_eq!(shape.unpack(isa, &forward), weights);
            }
        }
    }
}
