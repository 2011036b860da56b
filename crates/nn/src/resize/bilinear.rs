//! Bilinear resizing: two products with constant matrices, one along the rows, one along the columns.
//!
//! Burn's own operation has a gradient on flex alone; a product of matrices has one everywhere.

use burn::prelude::*;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use kiln_kernels::is_recorded;

/// What stays where it is when a map is resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corners {
    /// The centres of the corner pixels: PyTorch's `align_corners=True`.
    Centres,
    /// The edges of the map: PyTorch's `align_corners=False`.
    Edges,
}

/// A map of another size, along straight lines between the pixels that there are.
///
/// # Shapes
/// `[batch, channels, height, width]` to `[batch, channels, size[0], size[1]]`
pub fn bilinear(x: Tensor<4>, size: [usize; 2], corners: Corners) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    if [height, width] == size {
        return x;
    }
    let device = x.device();
    if is_recorded(&device) {
        let options = InterpolateOptions::new(InterpolateMode::Bilinear).with_output_size(size);
        return interpolate(x, options.with_align_corners(corners == Corners::Centres));
    }
    let [rows, columns] = size;
    let matrix = |from, to| Tensor::<3>::from_data(weights(from, to, corners), &device).cast(x.dtype());
    let [along_rows, along_columns] = [matrix(height, rows), matrix(width, columns)];
    // With the channels last, as the kernels leave them, nothing is laid out anew.
    let x = x.permute([0, 2, 3, 1]).reshape([batch, height, width * channels]);
    let x = along_rows.matmul(x).reshape([batch * rows, width, channels]);
    let x = along_columns.matmul(x).reshape([batch, rows, columns, channels]);
    x.permute([0, 3, 1, 2])
}

/// The matrix `[1, to, from]` whose product with `from` values is `to` values on the lines between them.
fn weights(from: usize, to: usize, corners: Corners) -> TensorData {
    let place = |pixel: usize| match corners {
        Corners::Centres if to == 1 => 0.0,
        Corners::Centres => (pixel * (from - 1)) as f64 / (to - 1) as f64,
        Corners::Edges => ((pixel as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0),
    };
    let mut weights = vec![0.0f32; to * from];
    for (pixel, row) in weights.chunks_mut(from).enumerate() {
        let place = place(pixel);
        let before = (place as usize).min(from - 1);
        let share = place - before as f64;
        row[before] += (1.0 - share) as f32;
        row[(before + 1).min(from - 1)] += share as f32;
    }
    TensorData::new(weights, [1, to, from])
}
