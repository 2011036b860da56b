//! The way back from a max pool.

use burn::prelude::*;
use burn::tensor::IndexingUpdateOp;

/// Every value at the place where a max pool found its maximum, and zeros elsewhere: PyTorch's `max_unpool2d`.
///
/// `places` are those of [`MaxPool2d::forward_with_places`](crate::MaxPool2d::forward_with_places), of a pool whose windows do
/// not overlap: values of one place are added, of which PyTorch keeps any one.
///
/// # Shapes
/// `x` and `places`: `[batch, channels, height, width]`; the result: `[batch, channels, size[0], size[1]]`, `size` being the
/// size before the pool
pub fn max_unpool(x: Tensor<4>, places: Tensor<4, Int>, size: [usize; 2]) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let [rows, columns] = size;
    let flat = [batch, channels, height * width];
    let zeros = Tensor::<3>::zeros([batch, channels, rows * columns], (&x.device(), x.dtype()));
    let x = zeros.scatter(2, places.reshape(flat), x.reshape(flat), IndexingUpdateOp::Add);
    x.reshape([batch, channels, rows, columns])
}
