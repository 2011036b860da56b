//! Activations that join several values to one.

use burn::prelude::*;

/// The first half of the channels times the sigmoid of the second: Dauphin et al. 2017; PyTorch's `glu` along dimension 1.
///
/// # Shapes
/// `[batch, 2 channels, ..]` to `[batch, channels, ..]`
///
/// # Panics
/// If the channels are odd.
pub fn glu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let channels = x.dims()[1];
    assert_eq!(channels % 2, 0, "{channels} channels have no two halves");
    let half = channels / 2;
    x.clone().narrow(1, 0, half) * crate::sigmoid(x.narrow(1, half, half))
}

/// The largest of every `pieces` neighbouring channels: Goodfellow et al. 2013, *Maxout networks*.
///
/// # Shapes
/// `[batch, channels * pieces, ..]` to `[batch, channels, ..]`
///
/// # Panics
/// If the channels are no multiple of the pieces.
pub fn maxout<const D: usize>(x: Tensor<D>, pieces: usize) -> Tensor<D> {
    let mut sides = x.dims();
    assert_eq!(sides[1] % pieces, 0, "{} channels in groups of {pieces}", sides[1]);
    let rest = sides[2..].iter().product::<usize>();
    sides[1] /= pieces;
    x.reshape([sides[0] * sides[1], pieces, rest]).max_dim(1).reshape(sides)
}
