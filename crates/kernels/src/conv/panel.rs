//! Weights in the order in which the inner loops read them: panels `[taps, rows, width]` of up to 32 columns.
//!
//! The columns are the output's channels (forward) or the input's (its gradient); a *tap* is a place in the kernel's
//! plane.

use rayon::prelude::*;

use super::tile::WIDTH;
use crate::isa::Isa;
use crate::memory::{Buffer, Output, SharedMut};
use crate::transpose::square;

/// The panels of a matrix of so many columns.
#[derive(Debug, Clone, Copy)]
pub struct Panels {
    /// Taps times rows: what one panel holds of each column.
    pub depth: usize,
    pub columns: usize,
}

impl Panels {
    pub fn count(self) -> usize {
        self.columns.div_ceil(WIDTH)
    }

    /// Vectors of 16 columns in a panel: 2, or 1 in a last one that needs no more.
    pub fn vectors(self, panel: usize) -> usize {
        if self.columns - panel * WIDTH > 16 { 2 } else { 1 }
    }

    /// Columns of a panel that are not filling.
    pub fn columns(self, panel: usize) -> usize {
        WIDTH.min(self.columns - panel * WIDTH)
    }

    pub fn start(self, panel: usize) -> usize {
        panel * WIDTH * self.depth
    }

    pub fn len(self) -> usize {
        self.columns.next_multiple_of(16) * self.depth
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
    pub fn forward(self) -> Panels {
        Panels { depth: self.taps * self.input, columns: self.output }
    }

    /// Panels of input channels, whose rows are the output's.
    pub fn backward(self) -> Panels {
        Panels { depth: self.taps * self.output, columns: self.input }
    }

    /// The weights as panels of output channels.
    ///
    /// # Panics
    /// If they are not as many as the shape says.
    pub fn pack_forward(self, isa: Isa, weights: &[f32]) -> Buffer {
        assert_eq!(weights.len(), self.len());
        let panels = self.forward();
        let mut packed = Buffer::of(panels.len());
        let shared = SharedMut::of(&mut packed);
        let row = self.input * self.taps;
        self.squares(panels, |panel, [half, j], size, target| {
            // SAFETY: the square lies within the weights' rows and columns.
            let from = unsafe { weights.as_ptr().add((panel * WIDTH + half * 16) * row + j) };
            let mut turned = [[0.0f32; 16]; 16];
            // SAFETY: as above; `turned` holds 16 x 16.
            unsafe { square(isa, from, row, size, turned.as_mut_ptr().cast(), 16) };
            for (k, turned) in turned.iter().enumerate().take(size[1]) {
                // SAFETY: this panel is no other unit's, and `packed` outlives the loop.
                let to = unsafe { shared.part(target(j + k), 16) };
                if let Ok(to) = <&mut [f32; 16]>::try_from(to) {
                    *to = *turned;
                }
            }
        });
        packed
    }

    /// The weights from panels of output channels: the way back of [`pack_forward`](Self::pack_forward).
    ///
    /// # Panics
    /// If the panels do not hold as much as the shape says.
    pub fn unpack(self, isa: Isa, packed: &[f32]) -> Vec<f32> {
        let panels = self.forward();
        assert_eq!(packed.len(), panels.len());
        let mut weights = Output::unwritten(self.len());
        let shared = weights.shared();
        let row = self.input * self.taps;
        self.squares(panels, |panel, [half, j], size, source| {
            let mut turned = [[0.0f32; 16]; 16];
            for (k, turned) in turned.iter_mut().enumerate().take(size[1]) {
                if let Some(from) = packed[source(j + k)..].first_chunk() {
                    *turned = *from;
                }
            }
            let to = shared.at((panel * WIDTH + half * 16) * row + j, (size[0] - 1) * row + size[1]);
            // SAFETY: these places of these rows are no other unit's; the square is within them.
            unsafe { square(isa, turned.as_ptr().cast(), 16, [size[1], size[0]], to, row) };
        });
        // SAFETY: the squares cover every row and column.
        unsafe { weights.written(self.len()) }
    }

    /// Calls `each` with a panel, its half and the first of up to 16 places of a weights' row, the square's size, and
    /// where in the panels a place is.
    fn squares(
        self,
        panels: Panels,
        each: impl Fn(usize, [usize; 2], [usize; 2], &dyn Fn(usize) -> usize) + Sync,
    ) {
        let row = self.input * self.taps;
        let work = |panel: usize| {
            let vectors = panels.vectors(panel);
            for half in 0..vectors {
                let real = (panels.columns(panel) - half * 16).min(16);
                let place = |j: usize| {
                    let depth = j % self.taps * self.input + j / self.taps;
                    panels.start(panel) + (depth * vectors + half) * 16
                };
                for j in (0..row).step_by(16) {
                    each(panel, [half, j], [real, 16.min(row - j)], &place);
                }
            }
        };
        in_parallel(panels.len(), panels.count(), work);
    }

    /// The weights as panels of input channels.
    ///
    /// # Panics
    /// If they are not as many as the shape says.
    pub fn pack_backward(self, isa: Isa, weights: &[f32]) -> Buffer {
        assert_eq!(weights.len(), self.len());
        let panels = self.backward();
        let mut packed = Buffer::of(panels.len());
        let shared = SharedMut::of(&mut packed);
        let Self { output, input, taps } = self;
        in_parallel(panels.len(), panels.count(), |panel| {
            let vectors = panels.vectors(panel);
            for half in 0..vectors {
                let real = (panels.columns(panel) - half * 16).min(16);
                let first = panel * WIDTH + half * 16;
                for row in 0..output {
                    if taps == 1 {
                        let from = &weights[row * input + first..][..real];
                        let at = panels.start(panel) + (row * vectors + half) * 16;
                        // SAFETY: this vector of this panel is no other unit's, and `packed` outlives the loop.
                        let to = unsafe { shared.part(at, 16) };
                        match (<&mut [f32; 16]>::try_from(&mut *to), <&[f32; 16]>::try_from(from)) {
                            (Ok(to), Ok(from)) => *to = *from,
                            _ => {
                                to[..real].copy_from_slice(from);
                                to[real..].fill(0.0);
                            }
                        }
                        continue;
                    }
                    for tap in (0..taps).step_by(16) {
                        let size = [real, 16.min(taps - tap)];
                        let at = panels.start(panel) + ((tap * output + row) * vectors + half) * 16;
                        let step = output * vectors * 16;
                        let to = shared.at(at, (size[1] - 1) * step + 16);
                        // SAFETY: these places of this panel are no other unit's; the square is within the weights.
                        unsafe {
                            let from = weights.as_ptr().add((row * input + first) * taps + tap);
                            square(isa, from, taps, size, to, step);
                            for k in 0..size[1] {
                                to.add(k * step + real).write_bytes(0, 16 - real);
                            }
                        }
                    }
                }
            }
        });
        packed
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
                    let panel = column / WIDTH;
                    packed[panels.start(panel) + depth * 16 * panels.vectors(panel) + column % WIDTH]
                };
                for (index, &weight) in weights.iter().enumerate() {
                    let (o, i, tap) = (index / taps / input, index / taps % input, index % taps);
                    assert_eq!(
                        at(shape.forward(), &forward, o, tap * input + i),
                        weight,
                        "{isa:?} {shape:?}"
                    );
                    assert_eq!(
                        at(shape.backward(), &backward, i, tap * output + o),
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
