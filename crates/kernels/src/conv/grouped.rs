//! Convolution of groups with many channels: the dense one, group by group, on slices of the channels.

use rayon::prelude::*;

use super::dense::{correlate, phase};
use super::depthwise::group;
use super::grid::{Grid, Side, Steps};
use super::panel::Weights;
use super::{Conv, depthwise, tile, weights};
use crate::isa::Isa;
use crate::memory::Output;

/// Channels of a group from which on it is a dense convolution of its own.
const MANY: usize = 32;
/// The same where groups lie across vectors.
const ACROSS: usize = 4;

/// As [`super::forward`].
pub fn forward(isa: Isa, conv: &Conv, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    if !many(isa, conv) {
        return depthwise::forward(isa, conv, x, weight, bias);
    }
    let ([inputs, outputs], [input, output]) = (conv.floats(), group(conv));
    let (out, weights) = (conv.out_size(), weights_of(conv));
    assert!(x.len() == inputs && weight.len() == conv.groups * weights.output * weights.input * weights.taps);
    let grid = Grid {
        batch: conv.batch,
        sides: [0, 1].map(|side| Side::forward(conv, side, out[side])),
        x: Steps::of(conv.channels[0], conv.size),
        depth: input,
        columns: conv.kernel[1],
    };
    let steps = Steps::of(conv.channels[1], out);
    let mut y = Output::unwritten(outputs);
    let shared = y.shared();
    (0..conv.groups).into_par_iter().for_each(|group| {
        let packed = weights.pack_forward(isa, part(weight, conv, group));
        let x = &x[group * input..];
        let shift = bias.map_or(std::ptr::null(), |bias| part(bias, conv, group).as_ptr());
        let after = tile::After { shift, ..tile::After::NOTHING };
        let first = [group * output, 0];
        correlate(isa, &grid, x, weights.forward(isa), &packed, after, steps, first, shared);
    });
    // SAFETY: the groups are all channels of every output.
    unsafe { y.written(outputs) }
}

/// As [`super::input_gradient`].
pub fn input_gradient(isa: Isa, conv: &Conv, weight: &[f32], grad: &[f32]) -> Vec<f32> {
    if !many(isa, conv) {
        return depthwise::input_gradient(isa, conv, weight, grad);
    }
    let ([inputs, outputs], [input, output]) = (conv.floats(), group(conv));
    let (out, weights) = (conv.out_size(), weights_of(conv));
    assert!(
        grad.len() == outputs && weight.len() == conv.groups * weights.output * weights.input * weights.taps
    );
    let steps = Steps::of(conv.channels[0], conv.size);
    let mut phases = Vec::new();
    for row in 0..conv.stride[0].min(conv.size[0]) {
        for column in 0..conv.stride[1].min(conv.size[1]) {
            let grid = Grid {
                batch: conv.batch,
                sides: [phase(conv, 0, row, out[0]), phase(conv, 1, column, out[1])],
                x: Steps::of(conv.channels[1], out),
                depth: output,
                columns: conv.kernel[1],
            };
            phases.push((grid, row * steps.row + column * steps.pixel));
        }
    }
    let strided = Steps { row: steps.row * conv.stride[0], pixel: steps.pixel * conv.stride[1], ..steps };
    let mut x = Output::unwritten(inputs);
    let shared = x.shared();
    (0..conv.groups).into_par_iter().for_each(|group| {
        let packed = weights.pack_backward(isa, part(weight, conv, group));
        for (grid, first) in &phases {
            let (grad, first) = (&grad[group * output..], [group * input, *first]);
            correlate(
                isa,
                grid,
                grad,
                weights.backward(isa),
                &packed,
                tile::After::NOTHING,
                strided,
                first,
                shared,
            );
        }
    });
    // SAFETY: the groups are all channels of every input.
    unsafe { x.written(inputs) }
}

/// As [`super::weight_gradient`].
pub fn weight_gradient(isa: Isa, conv: &Conv, x: &[f32], grad: &[f32]) -> Vec<f32> {
    if !many(isa, conv) {
        return depthwise::weight_gradient(isa, conv, x, grad);
    }
    assert_eq!([x.len(), grad.len()], conv.floats());
    let channels = group(conv);
    let one = Conv { channels, groups: 1, ..*conv };
    let of_group = |group: usize| {
        let [x, grad] = [(x, 0), (grad, 1)]
            .map(|(rows, side)| columns(rows, conv.channels[side], group * channels[side], channels[side]));
        weights::weight_gradient(isa, &one, &x, &grad)
    };
    (0..conv.groups).into_par_iter().map(of_group).collect::<Vec<_>>().concat()
}

fn many(isa: Isa, conv: &Conv) -> bool {
    let least = group(conv).into_iter().min().unwrap_or(0);
    least >= MANY || least >= ACROSS && !depthwise::fits(isa, conv)
}

/// The weights of one group.
fn weights_of(conv: &Conv) -> Weights {
    let [input, output] = group(conv);
    Weights { output, input, taps: conv.kernel[0] * conv.kernel[1] }
}

/// What is a group's of what all groups have one after another.
fn part<'a>(values: &'a [f32], conv: &Conv, group: usize) -> &'a [f32] {
    let len = values.len() / conv.groups;
    &values[group * len..][..len]
}

/// Some columns of rows.
fn columns(rows: &[f32], channels: usize, first: usize, count: usize) -> Vec<f32> {
    let mut part = Vec::with_capacity(rows.len() / channels * count);
    for row in rows.chunks_exact(channels) {
        part.extend_from_slice(&row[first..first + count]);
    }
    part
}
