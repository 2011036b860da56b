//! Channels that become pixels, and pixels that become channels.

use burn::prelude::*;

/// Every `factor * factor` neighbouring channels as a square of pixels of one channel: PyTorch's `pixel_shuffle`.
///
/// # Shapes
/// `[batch, channels * factor * factor, height, width]` to `[batch, channels, height * factor, width * factor]`
///
/// # Panics
/// If the channels are no multiple of the square.
pub fn pixel_shuffle(x: Tensor<4>, factor: usize) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    assert_eq!(channels % (factor * factor), 0, "{channels} channels of squares of side {factor}");
    let channels = channels / (factor * factor);
    let x = x.permute([0, 2, 3, 1]).reshape([batch, height, width, channels, factor, factor]);
    let x = x.permute([0, 1, 4, 2, 5, 3]);
    x.reshape([batch, height * factor, width * factor, channels]).permute([0, 3, 1, 2])
}

/// Every square of `factor * factor` pixels as neighbouring channels of one pixel: PyTorch's `pixel_unshuffle`, the
/// inverse of [`pixel_shuffle`].
///
/// # Shapes
/// `[batch, channels, height * factor, width * factor]` to `[batch, channels * factor * factor, height, width]`
///
/// # Panics
/// If the sides are no multiples of the square's.
pub fn pixel_unshuffle(x: Tensor<4>, factor: usize) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    assert_eq!([height % factor, width % factor], [0, 0], "{height}x{width} in squares of side {factor}");
    let [height, width] = [height / factor, width / factor];
    let x = x.permute([0, 2, 3, 1]).reshape([batch, height, factor, width, factor, channels]);
    let x = x.permute([0, 1, 3, 5, 2, 4]);
    x.reshape([batch, height, width, channels * factor * factor]).permute([0, 3, 1, 2])
}
