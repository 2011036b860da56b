//! Pools of regions of an image: torchvision's `roi_pool` and `roi_align`.

use burn::prelude::*;
use kiln_core::BoundingBox;

use super::adaptive::maxima;

/// A box in an image of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Which image.
    pub image: usize,
    /// In the pixels of the image that the map was made of.
    pub bounding_box: BoundingBox,
}

/// The maxima of `size[0]` times `size[1]` parts of each region, whose edges are rounded to pixels: Girshick 2015, *Fast R-CNN*, Section 2.1.
/// `scale` is a map's side over its image's.
///
/// # Shapes
/// `[batch, channels, height, width]` to `[regions, channels, size[0], size[1]]`; a part that lies outside of the map gives 0.
///
/// # Panics
/// If there is no region, or an image of one is not in the batch.
pub fn roi_pool(x: Tensor<4>, regions: &[Region], size: [usize; 2], scale: f64) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let pooled = regions.iter().map(|region| {
        let edges = region.bounding_box.xyxy().map(|edge| (f64::from(edge) * scale).round() as i64);
        // The last pixel belongs to the region.
        let parts = |[from, to]: [i64; 2], count: usize, side: usize| {
            let length = (to - from + 1).max(1) as f64;
            let edge = move |place: f64| (from + place as i64).clamp(0, side as i64) as usize;
            (0..count).map(move |at| {
                let [begin, end] = [at, at + 1].map(|at| at as f64 * length / count as f64);
                edge(begin.floor())..edge(end.ceil())
            })
        };
        let x = maxima(x.clone().narrow(0, region.image, 1), 2, parts([edges[1], edges[3]], size[0], height));
        maxima(x, 3, parts([edges[0], edges[2]], size[1], width))
    });
    Tensor::cat(pooled.collect(), 0)
}

/// How [`roi_align`] looks at a region.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Align {
    /// A map's side over its image's.
    pub scale: f64,
    /// Points a side of a part; as many as the part has pixels if there is no number.
    pub points: Option<usize>,
    /// Whether a pixel's value stands at its middle, as it should; Mask R-CNN's first code, and torchvision where it is not asked, had it at
    /// the corner.
    pub aligned: bool,
}

/// The means of `size[0]` times `size[1]` parts of each region, of values at points between the pixels: He et al. 2017, *Mask R-CNN*,
/// Section 3. A map times a matrix for the rows and one for the columns.
///
/// # Shapes
/// `[batch, channels, height, width]` to `[regions, channels, size[0], size[1]]`
///
/// # Panics
/// If there is no region, or an image of one is not in the batch.
pub fn roi_align(x: Tensor<4>, regions: &[Region], size: [usize; 2], align: Align) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let options = (&x.device(), x.dtype());
    let pooled = regions.iter().map(|region| {
        let [x1, y1, x2, y2] = region.bounding_box.xyxy().map(f64::from);
        let rows = means([y1, y2], size[0], height, align);
        let columns = means([x1, x2], size[1], width, align);
        let rows = Tensor::<4>::from_data(TensorData::new(rows, [1, 1, size[0], height]), options);
        let columns = Tensor::<4>::from_data(TensorData::new(columns, [1, 1, size[1], width]), options);
        rows.matmul(x.clone().narrow(0, region.image, 1)).matmul(columns.swap_dims(2, 3))
    });
    Tensor::cat(pooled.collect(), 0)
}

/// The matrix `[count, side]` whose product with the values along a side is the mean of each part's points.
fn means([from, to]: [f64; 2], count: usize, side: usize, align: Align) -> Vec<f64> {
    let shift = if align.aligned { 0.5 } else { 0.0 };
    let from = from * align.scale - shift;
    let length = to * align.scale - shift - from;
    let length = if align.aligned { length } else { length.max(1.0) };
    let part = length / count as f64;
    let points = align.points.unwrap_or(part.ceil().max(0.0) as usize);
    let mut matrix = vec![0.0; count * side];
    for (at, row) in matrix.chunks_mut(side).enumerate() {
        for point in 0..points {
            let place = from + (at as f64 + (point as f64 + 0.5) / points as f64) * part;
            // One pixel beyond the map there is nothing; between, the value of the border.
            if place < -1.0 || place > side as f64 {
                continue;
            }
            let place = place.clamp(0.0, (side - 1) as f64);
            let before = place as usize;
            let share = place - before as f64;
            row[before] += (1.0 - share) / points as f64;
            row[(before + 1).min(side - 1)] += share / points as f64;
        }
    }
    matrix
}
