//! Activations, and sums of two: value by value, wherever in memory they lie.

use std::f32::consts::LOG2_E;
use std::mem::MaybeUninit;
use std::ops::Range;

use crate::isa::{Isa, for_every_isa};
use crate::memory::{Output, SharedMut, with_scratch};
use crate::share::in_shares;

/// A function of single values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `x` where it is positive, this times `x` elsewhere.
    LeakyRelu(f32),
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `x / (1 + exp(-x))`
    Silu,
    /// `x min(max(x / 6 + 1 / 2, 0), 1)`
    HardSwish,
    /// `x tanh(log(1 + exp(x)))` (Misra 2019)
    Mish,
}

impl Activation {
    /// Whether the gradient follows from the output, so that the input may be written over.
    pub fn gradient_needs_output(self) -> bool {
        match self {
            Self::Relu | Self::Relu6 | Self::Sigmoid => true,
            // Of a negative slope the output does not tell the input's sign.
            Self::LeakyRelu(slope) => slope >= 0.0,
            Self::Silu | Self::HardSwish | Self::Mish => false,
        }
    }
}

/// The activation of every value.
pub fn activate(isa: Isa, activation: Activation, x: &[f32]) -> Vec<f32> {
    filled(x.len(), |start, y| activate_into(isa, activation, &x[start..][..y.len()], y))
}

/// As [`activate`], in place.
pub fn activate_in_place(isa: Isa, activation: Activation, x: &mut [f32]) {
    in_parts(x, |_, x, y| activate_into(isa, activation, x, y));
}

/// The gradient of an activation's input. `known` is the output where [`Activation::gradient_needs_output`], the input
/// elsewhere.
///
/// # Panics
/// If the slices differ in length.
pub fn gradient(isa: Isa, activation: Activation, known: &[f32], grad: &[f32]) -> Vec<f32> {
    assert_eq!(known.len(), grad.len());
    filled(grad.len(), |start, to| {
        let [known, grad] = [known, grad].map(|values| &values[start..][..to.len()]);
        gradient_into(isa, activation, known, grad, to);
    })
}

/// As [`gradient`], in place of the output's.
///
/// # Panics
/// If the slices differ in length.
pub fn gradient_in_place(isa: Isa, activation: Activation, known: &[f32], grad: &mut [f32]) {
    assert_eq!(known.len(), grad.len());
    in_parts(grad, |start, grad, to| gradient_into(isa, activation, &known[start..][..to.len()], grad, to));
}

/// `a + b`.
///
/// # Panics
/// If the slices differ in length.
pub fn sum(isa: Isa, a: &[f32], b: &[f32]) -> Vec<f32> {
    assert_eq!(a.len(), b.len());
    filled(a.len(), |start, y| add_into(isa, &a[start..][..y.len()], &b[start..][..y.len()], y))
}

/// `a + b`, in place of `a`.
///
/// # Panics
/// If the slices differ in length.
pub fn sum_in_place(isa: Isa, a: &mut [f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    in_parts(a, |start, a, y| add_into(isa, a, &b[start..][..y.len()], y));
}

/// `max(a + b, 0)`.
///
/// # Panics
/// If the slices differ in length.
pub fn rectified_sum(isa: Isa, a: &[f32], b: &[f32]) -> Vec<f32> {
    assert_eq!(a.len(), b.len());
    filled(a.len(), |start, y| add_relu_into(isa, &a[start..][..y.len()], &b[start..][..y.len()], y))
}

/// `max(a + b, 0)`, in place of `a`.
///
/// # Panics
/// If the slices differ in length.
pub fn rectified_sum_in_place(isa: Isa, a: &mut [f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    in_parts(a, |start, a, y| add_relu_into(isa, a, &b[start..][..y.len()], y));
}

/// A vector whose parts `work` writes, each of them whole; it is told where the part starts.
fn filled(len: usize, work: impl Fn(usize, &mut [MaybeUninit<f32>]) + Sync) -> Vec<f32> {
    let mut y = Output::unwritten(len);
    let out = y.shared();
    // SAFETY: the part is this task's alone.
    in_shares(len, 1, |range| work(range.start, unsafe { out.blank(range.start, range.len()) }));
    // SAFETY: `work` wrote every part.
    unsafe { y.written(len) }
}

/// Changes `x`; `work` is told where a part starts, has the part as it was, and writes it anew.
fn in_parts(x: &mut [f32], work: impl Fn(usize, &[f32], &mut [MaybeUninit<f32>]) + Sync) {
    let shared = SharedMut::of(x);
    in_shares(x.len(), 1, |range| {
        // SAFETY: the part is this task's alone.
        let x = unsafe { shared.part(range.start, range.len()) };
        overwrite(x, 1024, |part, old, new| work(range.start + part.start, old, new));
    });
}

/// Changes `x` a piece at a time; `work` is told where the piece lies, has the piece as it was, and writes all of it anew.
///
/// So one kernel serves for both: the copy stays in the innermost cache, where it costs next to nothing.
pub(crate) fn overwrite(
    x: &mut [f32],
    piece: usize,
    work: impl Fn(Range<usize>, &[f32], &mut [MaybeUninit<f32>]),
) {
    with_scratch(piece.min(x.len()), |old| {
        for (index, new) in x.chunks_mut(piece).enumerate() {
            let old = &mut old[..new.len()];
            old.copy_from_slice(new);
            // SAFETY: they are laid out alike, and every `work` of this crate writes what it is given to write.
            let part = index * piece..index * piece + old.len();
            work(part, old, unsafe { &mut *(std::ptr::from_mut(new) as *mut [MaybeUninit<f32>]) });
        }
    });
}

for_every_isa! {
    fn activate_into(activation: Activation, x: &[f32], y: &mut [MaybeUninit<f32>]) {
        match activation {
            Activation::Relu => map([x], y, |[x]| rectified(x)),
            Activation::LeakyRelu(slope) => map([x], y, |[x]| if x > 0.0 { x } else { slope * x }),
            Activation::Relu6 => map([x], y, |[x]| bounded(x, [0.0, 6.0])),
            Activation::Sigmoid => map([x], y, |[x]| sigmoid(x)),
            Activation::Silu => map([x], y, |[x]| x * sigmoid(x)),
            Activation::HardSwish => map([x], y, |[x]| x * bounded(x / 6.0 + 0.5, [0.0, 1.0])),
            Activation::Mish => map([x], y, |[x]| x * tanh_softplus(exp(bounded(x, [-87.0, 20.0])))),
        }
    }
}

for_every_isa! {
    fn gradient_into(activation: Activation, known: &[f32], grad: &[f32], to: &mut [MaybeUninit<f32>]) {
        let both = [known, grad];
        match activation {
            Activation::Relu => map(both, to, |[y, grad]| if y <= 0.0 { 0.0 } else { grad }),
            Activation::LeakyRelu(slope) => map(both, to, |[y, grad]| if y > 0.0 { grad } else { slope * grad }),
            Activation::Relu6 => map(both, to, |[y, grad]| if y <= 0.0 || y >= 6.0 { 0.0 } else { grad }),
            Activation::Sigmoid => map(both, to, |[y, grad]| grad * y * (1.0 - y)),
            Activation::Silu => map(both, to, |[x, grad]| {
                let sigmoid = sigmoid(x);
                grad * sigmoid * (1.0 + x * (1.0 - sigmoid))
            }),
            Activation::HardSwish => map(both, to, |[x, grad]| {
                let slope = x / 3.0 + 0.5;
                grad * if x <= -3.0 { 0.0 } else if x >= 3.0 { 1.0 } else { slope }
            }),
            Activation::Mish => map(both, to, |[x, grad]| {
                let e = exp(bounded(x, [-87.0, 20.0]));
                let t = tanh_softplus(e);
                grad * (t + x * (1.0 - t * t) * e / (1.0 + e))
            }),
        }
    }
}

for_every_isa! {
    fn add_into(a: &[f32], b: &[f32], y: &mut [MaybeUninit<f32>]) {
        map([a, b], y, |[a, b]| a + b);
    }
}

for_every_isa! {
    fn add_relu_into(a: &[f32], b: &[f32], y: &mut [MaybeUninit<f32>]) {
        map([a, b], y, |[a, b]| rectified(a + b));
    }
}

#[inline(always)]
fn map<const N: usize>(inputs: [&[f32]; N], y: &mut [MaybeUninit<f32>], f: impl Fn([f32; N]) -> f32) {
    let inputs = inputs.map(|input| &input[..y.len()]);
    for (i, y) in y.iter_mut().enumerate() {
        y.write(f(inputs.map(|input| input[i])));
    }
}

/// `max(x, 0)`; NaN stays.
#[inline(always)]
pub(crate) fn rectified(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
}

/// The nearest number to `x` within the bounds; NaN stays.
#[inline(always)]
fn bounded(x: f32, [low, high]: [f32; 2]) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// `tanh(log(1 + e))`, of `e = exp(x)`: of 20 and more it is 1 in 32 bits.
#[inline(always)]
fn tanh_softplus(e: f32) -> f32 {
    let n = e * (e + 2.0);
    n / (n + 2.0)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `exp(x)` within two units of the last place, of an `x` that is brought to where 2^n is a normal number.
///
/// x = n log 2 + r; the polynomial in r is that of Cephes' `expf` (Moshier 1989).
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Added to a small number it leaves no bits behind the point: the number's integer is in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = bounded(x, [-87.0, 87.0]);
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    // log 2 in two parts, of which the first times n is exact.
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4 * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    (p * r * r + r + 1.0) * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}
