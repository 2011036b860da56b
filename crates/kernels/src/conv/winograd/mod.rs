//! 3 x 3 convolutions of stride one with a quarter of the products: 4 x 4 outputs at a time by 36 products in place of 144.
//!
//! Lavin and Gray 2016, *Fast algorithms for convolutional neural networks*, <https://arxiv.org/abs/1509.09308>. Inputs and
//! weights are turned into values at 36 points, multiplied point by point (36 matrix products, over the channels), and
//! the products turned into outputs. The weights' gradient is the same algorithm read backwards.

mod transform;
mod weights;

use rayon::prelude::*;

use super::panel::{Panels, Weights};
use super::tile::{self, Line, Target};
use super::vector::{Vector, for_every_vector};
use super::{After, Conv};
use crate::isa::Isa;
use crate::memory::{Buffer, Output, SharedMut, with_scratch};
use transform::{IN, KERNEL, OUT, POINTS, both};

pub use weights::weight_gradient;

/// Floats at points that a piece of work holds: half of a core's second-level cache, which is a megabyte or two where there
/// is AVX-512, and often half a megabyte where there is not.
fn held(isa: Isa) -> usize {
    if isa == Isa::Avx512 { 1 << 18 } else { 1 << 16 }
}

/// Whether there is less to do this way. The weights at points are four times the weights; few tiles do not pay for
/// them.
pub fn pays(conv: &Conv) -> bool {
    let [input, output] = conv.channels;
    let plain = conv.kernel == [3, 3] && conv.stride == [1, 1] && conv.dilation == [1, 1] && conv.groups == 1;
    if !plain || input < 16 || output < 16 {
        return false;
    }
    let out = conv.out_size();
    let tiles = conv.batch * out[0].div_ceil(OUT) * out[1].div_ceil(OUT);
    let used = (conv.batch * out[0] * out[1]) as f64 / (tiles * OUT * OUT) as f64;
    used > 0.7 && tiles >= 48
}

/// The tiles of a plane of outputs, and the inputs below them.
#[derive(Debug, Clone, Copy)]
struct Tiles {
    batch: usize,
    channels: usize,
    size: [usize; 2],
    out: [usize; 2],
    before: [isize; 2],
}

impl Tiles {
    fn sides(&self) -> [usize; 2] {
        self.out.map(|side| side.div_ceil(OUT))
    }

    fn count(&self) -> usize {
        let [high, wide] = self.sides();
        self.batch * high * wide
    }

    /// Image and first output of a tile.
    fn place(&self, tile: usize) -> (usize, [usize; 2]) {
        let [high, wide] = self.sides();
        (tile / (high * wide), [tile / wide % high * OUT, tile % wide * OUT])
    }

    /// Channels at a point, filled up to an odd number of cache lines: tiles then lie in different sets of the caches.
    fn filled(&self) -> usize {
        (self.channels.div_ceil(16) | 1) * 16
    }

    /// Tiles of a piece of work.
    fn at_once(&self, isa: Isa, pieces: usize) -> usize {
        let rows = tile::rows(isa);
        let fit = (held(isa) / (POINTS * self.filled())).max(4 * rows);
        let tiles = fit.min(self.count().div_ceil(pieces)).max(1);
        if tiles > rows { tiles.next_multiple_of(rows) } else { tiles }
    }
}

/// As [`super::pack`].
pub fn pack(isa: Isa, conv: &Conv, weight: &[f32]) -> Buffer {
    let shape = shape_of(conv);
    weights_at_points(isa, shape.forward(isa), &shape.pack_forward(isa, weight), false)
}

/// As [`super::forward_packed`].
pub fn forward(isa: Isa, conv: &Conv, x: &[f32], at_points: &[f32], after: After) -> Vec<f32> {
    let before = conv.padding.map(|padding| padding.0 as isize);
    let (out, [input, output]) = (conv.out_size(), conv.channels);
    let tiles = Tiles { batch: conv.batch, channels: input, size: conv.size, out, before };
    let [inputs, outputs] = conv.floats();
    assert!(x.len() == inputs && at_points.len() == Panels::new(isa, POINTS * input, output).len());
    let mut y = Output::unwritten(outputs);
    let shared = y.shared();
    correlate(isa, &tiles, x, output, at_points, after.at(conv, shared.at(0, 0)), shared);
    // SAFETY: the tiles cover every output of every panel.
    unsafe { y.written(outputs) }
}

/// As [`super::input_gradient`].
pub fn input_gradient(isa: Isa, conv: &Conv, weight: &[f32], grad: &[f32]) -> Vec<f32> {
    let shape = shape_of(conv);
    let at_points = weights_at_points(isa, shape.backward(isa), &shape.pack_backward(isa, weight), true);
    let before = conv.padding.map(|padding| 2 - padding.0 as isize);
    let (size, channels) = (conv.out_size(), conv.channels[1]);
    let tiles = Tiles { batch: conv.batch, channels, size, out: conv.size, before };
    let [inputs, outputs] = conv.floats();
    assert_eq!(grad.len(), outputs);
    let mut x = Output::unwritten(inputs);
    correlate(isa, &tiles, grad, conv.channels[0], &at_points, tile::After::NOTHING, x.shared());
    // SAFETY: the tiles cover every input of every panel.
    unsafe { x.written(inputs) }
}

fn shape_of(conv: &Conv) -> Weights {
    Weights { output: conv.channels[1], input: conv.channels[0], taps: KERNEL * KERNEL }
}

/// The panels `[9, rows, width]` as `[36, rows, width]`; `turned` by half a turn first.
fn weights_at_points(isa: Isa, panels: Panels, packed: &[f32], turned: bool) -> Buffer {
    let rows = panels.depth / (KERNEL * KERNEL);
    let wide = Panels { depth: POINTS * rows, ..panels };
    let mut at_points = Buffer::of(wide.len());
    let shared = SharedMut::of(&mut at_points);
    (0..panels.count()).into_par_iter().for_each(|panel| {
        let (width, from) = (panels.wide(panel), panels.of(packed, panel));
        // SAFETY: this panel is no other unit's, and `at_points` outlives the loop.
        let to = unsafe { shared.part(wide.start(panel), wide.depth * width) };
        panel_at_points(isa, rows * width, from, to, turned);
    });
    at_points
}

for_every_vector! {
    /// Every column of `from` `[9, floats]` as a column of `to` `[36, floats]`.
    fn panel_at_points<V>(floats: usize, from: &[f32], to: &mut [f32], turned: bool) {
        assert!(from.len() == KERNEL * KERNEL * floats && to.len() == POINTS * floats && floats.is_multiple_of(V::LEN));
        for at in (0..floats).step_by(V::LEN) {
            let place = |r: usize, c: usize| if turned { (2 - r) * KERNEL + 2 - c } else { r * KERNEL + c };
            // SAFETY: by the assertion both reach that far.
            both::<transform::Weights, V, KERNEL, IN>(
                |r, c| unsafe { V::load(from.as_ptr().add(place(r, c) * floats + at)) },
                |r, c, value| unsafe { value.store(to.as_mut_ptr().add((r * IN + c) * floats + at)) },
            );
        }
    }
}

/// Outputs of all tiles, `columns` channels of them.
fn correlate(
    isa: Isa,
    tiles: &Tiles,
    x: &[f32],
    columns: usize,
    at_points: &[f32],
    after: tile::After,
    y: SharedMut,
) {
    let panels = Panels::new(isa, POINTS * tiles.channels, columns);
    let at_once = tiles.at_once(isa, 2 * rayon::current_num_threads());
    (0..tiles.count().div_ceil(at_once)).into_par_iter().for_each(|unit| {
        let range = unit * at_once..tiles.count().min((unit + 1) * at_once);
        let (count, filled) = (range.len(), tiles.filled());
        with_scratch(POINTS * count * (filled + panels.width()), |scratch| {
            let (inputs, products) = scratch.split_at_mut(POINTS * count * filled);
            inputs_at_points(isa, tiles, x, range.start, inputs);
            for panel in 0..panels.count() {
                let (first, wide) = (panel * panels.width(), panels.wide(panel));
                let weights = panels.of(at_points, panel);
                multiply(
                    isa,
                    [count, tiles.channels, filled],
                    panels.vectors(panel),
                    inputs,
                    weights,
                    products,
                );
                let channels = [first, panels.columns(panel), columns];
                outputs_of_points(
                    isa,
                    tiles,
                    channels,
                    range.start,
                    &products[..POINTS * count * wide],
                    after.behind(first),
                    y,
                );
            }
        });
    });
}

/// `products[point][tile] = inputs[point][tile] * weights[point]` for every point, by the matrix product's inner loop.
fn multiply(
    isa: Isa,
    [count, channels, filled]: [usize; 3],
    vectors: usize,
    inputs: &[f32],
    weights: &[f32],
    products: &mut [f32],
) {
    let (width, most) = (tile::lanes(isa) * vectors, tile::rows(isa));
    let parts = count.div_ceil(most);
    let rows: Vec<_> = inputs.chunks_exact(filled).take(count).map(<[f32]>::as_ptr).collect();
    let start = products[..POINTS * count * width].as_mut_ptr();
    let targets: Vec<_> = (0..count).map(|tile| start.wrapping_add(tile * width)).collect();
    for point in 0..POINTS {
        let offset = (point * count * filled) as isize;
        let weights = weights[point * channels * width..][..channels * width].as_ptr();
        for part in 0..parts {
            let [begin, end] = [count * part / parts, count * (part + 1) / parts];
            let line = Line { tap: 0, inputs: rows[begin..end].as_ptr(), offset };
            let (rows, offset) = (targets[begin..end].as_ptr(), point * count * width);
            let target = Target { rows, offset, columns: width, after: tile::After::NOTHING };
            // SAFETY: the inputs hold 36 times `count * filled` floats, the products 36 times `count * width`.
            unsafe { tile::product(isa, [end - begin, vectors], &[line], channels, weights, target) };
        }
    }
}

for_every_vector! {
    /// The tiles from `first` on as `points` `[36, tiles, filled channels]`.
    fn inputs_at_points<V>(tiles: &Tiles, x: &[f32], first: usize, points: &mut [f32]) {
        let (filled, [high, wide]) = (tiles.filled(), tiles.size);
        let count = points.len() / (POINTS * filled);
        assert_eq!(x.len(), tiles.batch * high * wide * tiles.channels);
        for index in 0..count {
            let (image, [row, column]) = tiles.place(first + index);
            let (top, left) = (row as isize - tiles.before[0], column as isize - tiles.before[1]);
            let start = x.as_ptr().wrapping_add(image * high * wide * tiles.channels);
            let within = |at: isize, size: usize| at >= 0 && at + IN as isize <= size as isize;
            let whole = within(top, high) && within(left, wide);
            for channel in (0..tiles.channels).step_by(V::LEN) {
                let real = V::LEN.min(tiles.channels - channel);
                let to = points[index * filled + channel..].as_mut_ptr();
                // SAFETY: the points hold 36 times `count * filled` floats.
                let store = |r: usize, c: usize, value: V| unsafe {
                    value.store(to.add((r * IN + c) * count * filled));
                };
                let load = |r: usize, c: usize| {
                    let (y, x) = (top + r as isize, left + c as isize);
                    let at = (y * wide as isize + x) * tiles.channels as isize + channel as isize;
                    // SAFETY: the place is within the image, which `whole` or the comparison below say.
                    unsafe { some(start.wrapping_offset(at), real) }
                };
                if whole {
                    both::<transform::Inputs, V, IN, IN>(load, store);
                } else {
                    let load = |r: usize, c: usize| {
                        let [y, x] = [top + r as isize, left + c as isize].map(isize::cast_unsigned);
                        if y < high && x < wide { load(r, c) } else { V::ZERO }
                    };
                    both::<transform::Inputs, V, IN, IN>(load, store);
                }
            }
        }
    }
}

for_every_vector! {
    /// The outputs of the tiles from `first` on, from `points` `[36, tiles, width]`: the channels from the first of
    /// `channels` on, so many, of so many in a row of `y`.
    fn outputs_of_points<V>(
        tiles: &Tiles,
        channels: [usize; 3],
        first: usize,
        points: &[f32],
        after: tile::After,
        y: SharedMut,
    ) {
        let [begin, columns, all] = channels;
        let (width, [high, wide]) = (columns.next_multiple_of(V::LEN), tiles.out);
        let count = points.len() / (POINTS * width);
        for index in 0..count {
            let (image, [row, column]) = tiles.place(first + index);
            let [rows, in_row] = [OUT.min(high - row), OUT.min(wide - column)];
            let at = ((image * high + row) * wide + column) * all + begin;
            let to = y.at(at, ((rows - 1) * wide + in_row - 1) * all + columns);
            for vector in (0..columns).step_by(V::LEN) {
                let real = V::LEN.min(columns - vector);
                let from = points[index * width + vector..].as_ptr();
                // SAFETY: the points hold 36 times `count * width` floats; these channels of this tile are within `y`
                // and no other unit's.
                both::<transform::Outputs, V, IN, OUT>(
                    |r, c| unsafe { V::load(from.add((r * IN + c) * count * width)) },
                    |r, c, value| {
                        if r < rows && c < in_row {
                            unsafe { after.leave(value, to.add((r * wide + c) * all + vector), vector, real) };
                        }
                    },
                );
            }
        }
    }
}

/// A vector of which `count` floats are there.
///
/// # Safety
/// As [`Vector::load_some`].
#[inline(always)]
unsafe fn some<V: Vector>(from: *const f32, count: usize) -> V {
    // SAFETY: the caller's promise.
    unsafe { if count == V::LEN { V::load(from) } else { V::load_some(from, count) } }
}

#[cfg(test)]
mod tests {
    use super::super::{dense, weights as direct};
    use super::*;

    /// Few channels and tiles, which nobody would compute this way: small enough for an interpreter of memory accesses.
    #[test]
    fn small_shapes_agree_with_the_direct_way() {
        let rows = [([1, 3, 2], [5, 6], [(1, 1), (1, 1)]), ([2, 2, 17], [4, 3], [(0, 2), (1, 0)])];
        for ([batch, input, output], size, padding) in rows {
            let conv = Conv {
                batch,
                channels: [input, output],
                size,
                kernel: [3; 2],
                stride: [1; 2],
                padding,
                dilation: [1; 2],
                groups: 1,
            };
            let wave = |len: usize| -> Vec<f32> { (0..len).map(|i| (i as f32 * 0.7).sin()).collect() };
            let [x, grad] = conv.floats().map(wave);
            let weight = wave(9 * input * output);
            for &isa in Isa::available() {
                let close = |ours: Vec<f32>, expected: Vec<f32>| {
                    assert_eq!(ours.len(), expected.len());
                    let apart = ours.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    assert!(apart < 1e-4, "{isa:?} {conv:?}: {apart}");
                };
                let after = After::default();
                let expected = dense::forward(isa, &conv, &x, &dense::pack(isa, &conv, &weight), after);
                close(forward(isa, &conv, &x, &pack(isa, &conv, &weight), after), expected);
                let expected = dense::input_gradient(isa, &conv, &weight, &grad);
                close(input_gradient(isa, &conv, &weight, &grad), expected);
                let expected = direct::weight_gradient(isa, &conv, &x, &grad);
                close(weight_gradient(isa, &conv, &x, &grad), expected);
            }
        }
    }
}
