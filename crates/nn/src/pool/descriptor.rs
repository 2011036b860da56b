//! Pools that make one vector of a map, by which images are compared.

use burn::prelude::*;

use super::adaptive::global_max;

/// Each vector divided by its length, or by `1e-12` if it is shorter: PyTorch's `normalize`.
///
/// # Shapes
/// `[batch, channels]` to the same
pub fn unit_length(x: Tensor<2>) -> Tensor<2> {
    let square = x.clone().square().sum_dim(1);
    x / square.clamp_min(1e-24).sqrt()
}

/// Sums of every channel, each place weighted by how much all channels see there, each channel by how rarely it sees anything. Kalantidis et
/// al. 2016, *Cross-dimensional weighting for aggregated deep convolutional features*, with its a = b = 2; for values that are not
/// negative. The paper then scales to unit length ([`unit_length`]), whitens by a data set, and scales again.
///
/// # Shapes
/// `[batch, channels, height, width]` to `[batch, channels]`
pub fn crow(x: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = x.dims();
    let x = x.reshape([batch, channels, height * width]);
    // Places: the root of a place's share of the length of all. Where nothing is seen the root has no slope.
    let seen = x.clone().sum_dim(1);
    let length = seen.clone().square().sum_dim(2).clamp_min(1e-24).sqrt();
    let share = seen / length;
    let nothing = share.clone().equal_elem(0.0);
    let places = share.mask_fill(nothing.clone(), 1.0).sqrt().mask_fill(nothing, 0.0);
    // Channels: log(sum of all channels' Q / Q), Q being the part of the places where a channel is not zero.
    let part = x.clone().not_equal_elem(0.0).float().cast(x.dtype()).mean_dim(2);
    let never = part.clone().equal_elem(0.0);
    let rarity = (part.clone().sum_dim(1) / part.mask_fill(never.clone(), 1.0)).log().mask_fill(never, 0.0);
    ((x * places).sum_dim(2) * rarity).reshape([batch, channels])
}

/// A square region of a map: its first row and column, and its side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Square {
    /// The first row.
    pub top: usize,
    /// The first column.
    pub left: usize,
    /// Rows, and columns.
    pub side: usize,
}

/// The squares of [`r_mac`], of the largest to the smallest: at scale `l` they have sides of `2 min(height, width) / (l + 1)`, and so many of them stand
/// along the longer side that neighbours share as nearly 40 % as can be.
pub fn r_mac_squares([height, width]: [usize; 2], scales: usize) -> Vec<Square> {
    let (short, long) = (height.min(width), height.max(width));
    // Squares more along the longer side than along the shorter.
    let miss = |more: &usize| {
        let step = (long - short) as f64 / *more as f64;
        (1.0 - step / short as f64 - 0.4).abs()
    };
    let more = (1..=6).min_by(|a, b| miss(a).total_cmp(&miss(b))).filter(|_| long > short).unwrap_or(0);
    let mut squares = Vec::new();
    for scale in 1..=scales {
        let side = 2 * short / (scale + 1);
        if side == 0 {
            continue;
        }
        let starts = |length: usize| -> Vec<usize> {
            let count = if length == long { scale + more } else { scale };
            let step = if count > 1 { (length - side) as f64 / (count - 1) as f64 } else { 0.0 };
            (0..count).map(|at| (at as f64 * step) as usize).collect()
        };
        for top in starts(height) {
            squares.extend(starts(width).into_iter().map(|left| Square { top, left, side }));
        }
    }
    squares
}

/// The sum of the unit vectors of regional maxima, at unit length. Tolias et al. 2016, *Particular object retrieval with integral max-pooling
/// of CNN activations*, without its whitening; 3 scales in the paper.
///
/// # Shapes
/// `[batch, channels, height, width]` to `[batch, channels]`
pub fn r_mac(x: Tensor<4>, scales: usize) -> Tensor<2> {
    let [batch, channels, height, width] = x.dims();
    let zeros = Tensor::zeros([batch, channels], (&x.device(), x.dtype()));
    let squares = r_mac_squares([height, width], scales);
    let sum = squares.into_iter().fold(zeros, |sum, Square { top, left, side }| {
        sum + unit_length(global_max(x.clone().narrow(2, top, side).narrow(3, left, side)))
    });
    unit_length(sum)
}
