//! Linear layers, f32: products of some rows with a matrix that may be far larger than every cache.
//!
//! All three products read or write the matrix `[inputs, outputs]` once, as it lies in memory. A vector register holds one
//! number of 16 rows, so that each of the matrix's floats is met by broadcast and nothing of it is copied.

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use crate::conv::panel::{Panels, Weights};
use crate::conv::tile::{self, After, Line, Pair, ROWS, Target, WIDTH, outer, product};
use crate::conv::vector::for_every_vector;
use crate::isa::Isa;
use crate::memory::{Output, SharedMut};

/// Rows of the matrix that meet a tile of sums at once: as many streams as the processor's prefetchers follow.
const DEPTH: usize = 16;
/// Tiles of the matrix that are fetched in advance.
const AHEAD: usize = 4;
/// Rows of the input that do not fill a vector: each goes through the matrix by vectors of neighbouring columns.
const FEW: usize = 4;
/// Columns whose sums one piece of work keeps in its first-level cache: 64 kB of one panel's, or 16 where vectors are shorter.
const RUN: usize = 504;
/// Products that are worth a thread.
const WORK: usize = 1 << 20;
/// Floats from which a result passes by the caches on its way to memory.
const LARGE: usize = 1 << 22;

/// The sides of a linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear {
    /// Rows of the input and of the output.
    pub rows: usize,
    /// Floats of an input's row.
    pub inputs: usize,
    /// Floats of an output's row.
    pub outputs: usize,
}

impl Linear {
    fn products(self) -> usize {
        self.rows * self.inputs * self.outputs
    }

    /// The input's rows, each a column of panels.
    fn input_lanes(self) -> Weights {
        Weights { output: self.rows, input: self.inputs, taps: 1 }
    }

    /// The output's rows, each a column of panels.
    fn output_lanes(self) -> Weights {
        Weights { output: self.rows, input: self.outputs, taps: 1 }
    }
}

/// `x` times `weight`, plus `bias`: `[rows, outputs]`.
///
/// # Panics
/// If a slice is not as long as `sides` says.
pub fn forward(isa: Isa, sides: Linear, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let Linear { rows, inputs, outputs } = sides;
    assert!(x.len() == rows * inputs && weight.len() == inputs * outputs);
    assert!(bias.is_none_or(|bias| bias.len() == outputs));
    if rows <= FEW {
        let mut y = Output::unwritten(rows * outputs);
        let shared = y.shared();
        let run = (outputs / (2 * rayon::current_num_threads())).clamp(1, 2048).next_multiple_of(WIDTH);
        in_units(sides, outputs.div_ceil(run), |unit| {
            few_rows(isa, sides, x, weight, bias, unit * run..outputs.min((unit + 1) * run), shared);
        });
        // SAFETY: the units cover every column of every row.
        return unsafe { y.written(rows * outputs) };
    }
    let (from, to) = (sides.input_lanes(), sides.output_lanes());
    let x = from.pack_forward(isa, x);
    let len = to.forward(isa).len();
    let mut y = Output::unwritten(len);
    let shared = y.shared();
    let rows_of_tile = tile::rows(isa);
    let run = (outputs / (2 * rayon::current_num_threads())).clamp(1, RUN).next_multiple_of(rows_of_tile);
    in_units(sides, outputs.div_ceil(run), |unit| {
        let columns = unit * run..outputs.min((unit + 1) * run);
        forward_columns(isa, sides, [from.forward(isa), to.forward(isa)], &x, weight, bias, columns, shared);
    });
    // SAFETY: the units cover every column of every panel.
    to.unpack(isa, &unsafe { y.written(len) })
}

for_every_vector! {
    /// Some columns of the output of few rows. All sums begin with the bias, and then go through the matrix from its first row
    /// to its last.
    fn few_rows<V>(
        sides: Linear,
        x: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
        columns: Range<usize>,
        y: SharedMut,
    ) {
        const VECTORS: usize = 4;
        let Linear { rows, inputs, outputs } = sides;
        let (tile, most) = (VECTORS * V::LEN, columns.len());
        for row in 0..rows {
            // SAFETY: these columns are no other unit's.
            let y = unsafe { y.blank(row * outputs + columns.start, most) };
            for (y, column) in y.iter_mut().zip(columns.clone()) {
                y.write(bias.map_or(0.0, |bias| bias[column]));
            }
        }
        for block in (0..inputs).step_by(DEPTH) {
            let depth = DEPTH.min(inputs - block);
            for first in (0..most).step_by(tile) {
                let count = tile.min(most - first);
                // What comes a few tiles later, of these rows or of those after them.
                let ahead = first + AHEAD * tile;
                let (next, ahead) = if ahead < most { (block, ahead) } else { (block + DEPTH, ahead - most) };
                for row in next..inputs.min(next + DEPTH) {
                    (0..tile).step_by(16).for_each(|line| {
                        fetch(weight, row * outputs + columns.start + ahead + line);
                    });
                }
                for row in 0..rows {
                    let x = &x[row * inputs + block..][..depth];
                    let to = y.at(row * outputs + columns.start + first, count);
                    let from = weight[block * outputs + columns.start + first..][..(depth - 1) * outputs + count].as_ptr();
                    // SAFETY: `count` floats of each of `depth` rows of the matrix; the sums are no other unit's, and were
                    // written above.
                    unsafe {
                        if count == tile {
                            let mut sums: [V; VECTORS] = std::array::from_fn(|v| V::load(to.add(v * V::LEN)));
                            for (k, x) in x.iter().enumerate() {
                                let (factor, from) = (V::splat(x), from.add(k * outputs));
                                for (v, sum) in sums.iter_mut().enumerate() {
                                    *sum = V::load(from.add(v * V::LEN)).multiply_add(factor, *sum);
                                }
                            }
                            for (v, sum) in sums.iter().enumerate() {
                                sum.store(to.add(v * V::LEN));
                            }
                            continue;
                        }
                        for at in (0..count).step_by(V::LEN) {
                            let real = V::LEN.min(count - at);
                            let mut sum = V::load_some(to.add(at), real);
                            for (k, x) in x.iter().enumerate() {
                                sum = V::load_some(from.add(k * outputs + at), real).multiply_add(V::splat(x), sum);
                            }
                            sum.store_some(to.add(at), real);
                        }
                    }
                }
            }
        }
    }
}

/// Some columns of the output. All sums begin with the bias, and then go through the matrix from its first row to its last.
#[allow(clippy::too_many_arguments)]
fn forward_columns(
    isa: Isa,
    sides: Linear,
    [from, to]: [Panels; 2],
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    columns: Range<usize>,
    y: SharedMut,
) {
    let Linear { inputs, outputs, .. } = sides;
    for panel in 0..to.count() {
        let width = to.wide(panel);
        // SAFETY: these columns are no other unit's.
        let sums = unsafe { y.blank(to.start(panel) + columns.start * width, columns.len() * width) };
        for (sums, column) in sums.chunks_exact_mut(width).zip(columns.clone()) {
            sums.fill(MaybeUninit::new(bias.map_or(0.0, |bias| bias[column])));
        }
    }
    let tiles = columns.len().div_ceil(tile::rows(isa));
    let pairs = |wide: usize| -> [Pair; DEPTH] { std::array::from_fn(|k| [k * outputs, k * wide]) };
    let begin = |tile: usize| columns.start + columns.len() * tile / tiles;
    for block in (0..inputs).step_by(DEPTH) {
        let depth = DEPTH.min(inputs - block);
        for tile in 0..tiles {
            // A tile of these rows, or of those that come after them.
            let rows_of_next = if tile + AHEAD < tiles { block } else { block + depth };
            for row in rows_of_next..inputs.min(rows_of_next + DEPTH) {
                fetch(weight, row * outputs + begin((tile + AHEAD) % tiles));
            }
            let (first, size) = (begin(tile), begin(tile + 1) - begin(tile));
            for panel in 0..to.count() {
                let (vectors, wide) = (to.vectors(panel), to.wide(panel));
                let lanes = &x[from.start(panel) + block * wide..][..depth * wide];
                let left = weight[block * outputs + first..][..(depth - 1) * outputs + size].as_ptr();
                let sums = y.at(to.start(panel) + first * wide, size * wide);
                // SAFETY: `depth` rows of the matrix with this tile in them, as many vectors of `x`; the sums are no other
                // unit's, and were written above.
                unsafe { outer(isa, [size, vectors], &pairs(wide)[..depth], left, lanes.as_ptr(), sums) };
            }
        }
    }
}

/// The gradient of the input, `[rows, inputs]`: that of the output times the turned `weight`.
///
/// # Panics
/// As [`forward`].
pub fn input_gradient(isa: Isa, sides: Linear, weight: &[f32], grad: &[f32]) -> Vec<f32> {
    let Linear { rows, inputs, outputs } = sides;
    assert!(grad.len() == rows * outputs && weight.len() == inputs * outputs);
    let (from, to) = (sides.output_lanes(), sides.input_lanes());
    let grad = from.pack_forward(isa, grad);
    let (from, panels) = (from.forward(isa), to.forward(isa));
    let mut x = Output::unwritten(panels.len());
    let shared = x.shared();
    let most = tile::rows(isa);
    in_units(sides, inputs.div_ceil(most), |unit| {
        let [begin, end] = [unit * most, inputs.min((unit + 1) * most)];
        let rows = rows_of(weight[begin * outputs..end * outputs].as_ptr(), outputs);
        let lines = [Line { tap: 0, inputs: rows.as_ptr(), offset: 0 }];
        for panel in 0..panels.count() {
            let (vectors, wide) = (panels.vectors(panel), panels.wide(panel));
            let weights = from.of(&grad, panel).as_ptr();
            let start = shared.at(panels.start(panel) + begin * wide, (end - begin) * wide);
            let rows: [*mut f32; ROWS] = std::array::from_fn(|m| start.wrapping_add(m * wide));
            let target = Target { rows: rows.as_ptr(), offset: 0, columns: wide, after: After::NOTHING };
            // SAFETY: these rows of the matrix have `outputs` floats each, as does the panel; the target's rows are no other
            // unit's.
            unsafe { product(isa, [end - begin, vectors], &lines, outputs, weights, target) };
        }
    });
    // SAFETY: the units cover every input of every panel.
    to.unpack(isa, &unsafe { x.written(panels.len()) })
}

/// The gradient of the weights, `[inputs, outputs]`: the turned `x` times the gradient of the output.
///
/// # Panics
/// As [`forward`].
pub fn weight_gradient(isa: Isa, sides: Linear, x: &[f32], grad: &[f32]) -> Vec<f32> {
    let Linear { rows, inputs, outputs } = sides;
    assert!(x.len() == rows * inputs && grad.len() == rows * outputs);
    let len = inputs * outputs;
    let mut weight = Output::unwritten(len);
    let shared = weight.shared();
    let x = crate::transpose::transpose(isa, 1, [rows, inputs], x);
    // What passes by the caches must be whole lines of them: the first columns, up to such a line, go the usual way.
    let past = isa == Isa::Avx512 && len >= LARGE && outputs.is_multiple_of(16);
    let skip = if past { (shared.at(0, 0) as usize).wrapping_neg() / size_of::<f32>() % 16 } else { 0 };
    for columns in [0..skip, skip..outputs].into_iter().filter(|columns| !columns.is_empty()) {
        let grad = columns_of(grad, outputs, &columns);
        let part = Linear { outputs: columns.len(), ..sides };
        weight_columns(isa, part, &x, &grad, [columns.start, outputs], past, shared);
    }
    // SAFETY: both ranges of columns were written in every row.
    unsafe { weight.written(len) }
}

/// Some columns of a matrix with `stride` of them.
fn columns_of<'a>(rows: &'a [f32], stride: usize, columns: &Range<usize>) -> Cow<'a, [f32]> {
    match columns.len() == stride {
        true => Cow::Borrowed(rows),
        false => rows.chunks_exact(stride).flat_map(|row| &row[columns.clone()]).copied().collect(),
    }
}

/// As [`weight_gradient`], for columns from `first` on of the matrix's `stride`.
fn weight_columns(
    isa: Isa,
    sides: Linear,
    x: &[f32],
    grad: &[f32],
    [first, stride]: [usize; 2],
    past: bool,
    weight: SharedMut,
) {
    let Linear { rows, inputs, outputs } = sides;
    let matrix = Weights { output: rows, input: outputs, taps: 1 };
    let (grad, panels, most) = (matrix.pack_backward(isa, grad), matrix.backward(isa), tile::rows(isa));
    // A few tiles at once, so that a panel is read from the second-level cache for all of them.
    let run = 4 * most;
    in_units(sides, inputs.div_ceil(run), |unit| {
        let of_unit = unit * run..inputs.min((unit + 1) * run);
        let mut sums = [0.0f32; ROWS * WIDTH];
        for panel in 0..panels.count() {
            let (vectors, columns) = (panels.vectors(panel), panels.columns(panel));
            let weights = panels.of(&grad, panel).as_ptr();
            for begin in of_unit.clone().step_by(most) {
                let size = most.min(of_unit.end - begin);
                let at = begin * stride + first + panel * panels.width();
                let direct = weight.at(at, (size - 1) * stride + columns);
                let past = past && columns == WIDTH;
                let (start, step) = if past { (sums.as_mut_ptr(), WIDTH) } else { (direct, stride) };
                let inputs = rows_of(x[begin * rows..][..size * rows].as_ptr(), rows);
                let lines = [Line { tap: 0, inputs: inputs.as_ptr(), offset: 0 }];
                let targets: [*mut f32; ROWS] = std::array::from_fn(|m| start.wrapping_add(m * step));
                let target = Target { rows: targets.as_ptr(), offset: 0, columns, after: After::NOTHING };
                // SAFETY: `rows` floats of `x` for each of the tile's rows and of the panel; these rows and columns of the
                // result are no other unit's.
                unsafe { product(isa, [size, vectors], &lines, rows, weights, target) };
                if past {
                    // SAFETY: as above; `past` is for AVX-512 and for columns that begin at a line of the cache.
                    unsafe { write_past_caches(&sums[..size * WIDTH], direct, stride) };
                }
            }
        }
        if past {
            end_of_writes();
        }
    });
}

/// A tile's rows, `step` floats apart; a tile of fewer does not look at the last.
fn rows_of(start: *const f32, step: usize) -> [*const f32; ROWS] {
    std::array::from_fn(|m| start.wrapping_add(m * step))
}

/// Writes rows of 32 floats, `step` floats apart, without reading their lines first.
///
/// # Safety
/// Every row is there, is no one else's, and begins at a line of the cache; the processor has AVX-512.
unsafe fn write_past_caches(rows: &[f32], to: *mut f32, step: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f")]
        unsafe fn write(rows: &[f32], to: *mut f32, step: usize) {
            use std::arch::x86_64::{_mm512_loadu_ps, _mm512_stream_ps};
            for (index, row) in rows.as_chunks::<WIDTH>().0.iter().enumerate() {
                // SAFETY: the caller's promise; a row has 32 floats.
                unsafe {
                    let to = to.add(index * step);
                    _mm512_stream_ps(to, _mm512_loadu_ps(row.as_ptr()));
                    _mm512_stream_ps(to.add(16), _mm512_loadu_ps(row.as_ptr().add(16)));
                }
            }
        }
        // SAFETY: the caller's promise.
        unsafe { write(rows, to, step) };
    }
}

/// Makes sure that all threads see what was written past the caches.
fn end_of_writes() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every processor of this kind has it.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// Asks memory for what is read soon.
fn fetch(values: &[f32], index: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: nothing is read; any address may be asked for.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(values.as_ptr().wrapping_add(index).cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = (values, index);
}

/// Does every unit's work, on several threads where it is worth it.
fn in_units(sides: Linear, units: usize, work: impl Fn(usize) + Sync + Send) {
    match sides.products() < WORK {
        true => (0..units).for_each(work),
        false => (0..units).into_par_iter().for_each(work),
    }
}
