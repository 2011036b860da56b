//! Predictions as rows, and rows that were chosen.

use burn::prelude::*;
use kiln_core::{BoundingBox, Level, Object, Truth};

/// A prediction that learns an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Of all predictions of the batch.
    pub row: usize,
    /// The object's box.
    pub bounding_box: BoundingBox,
    /// What it counts.
    pub weight: f32,
}

/// Class and box of every object of an image that is to be found; neither crowds nor difficult ones are.
pub fn objects(truth: &Truth) -> Vec<(usize, BoundingBox)> {
    learned(truth).map(|(_, object)| (object.class, object.bounding_box)).collect()
}

/// The objects of an image that a detector learns, with their places among all: those to be found that have an area.
pub fn learned(truth: &Truth) -> impl Iterator<Item = (usize, &Object)> {
    let objects = truth.objects.iter().enumerate();
    objects.filter(|(_, object)| object.is_sought() && object.bounding_box.area() > 0.0)
}

/// The numbers of a tensor, which learns nothing by them.
pub fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().convert::<f32>().try_into_vec().expect("converted to f32 above")
}

/// Boxes of all predictions of a batch, one image after the other.
pub fn boxes_of(boxes: &Tensor<3>) -> Vec<BoundingBox> {
    let edges = values(boxes.clone());
    edges.chunks_exact(4).map(|e| BoundingBox { x1: e[0], y1: e[1], x2: e[2], y2: e[3] }).collect()
}

/// Rows of all images, one after the other.
///
/// # Shapes
/// `[batch, predictions, n]` to `[batch * predictions, n]`
pub fn flat(x: Tensor<3>) -> Tensor<2> {
    let [batch, predictions, n] = x.dims();
    x.reshape([batch * predictions, n])
}

/// The rows that were chosen.
///
/// # Shapes
/// `[batch * predictions, n]` to `[rows, n]`
pub fn chosen(x: Tensor<2>, rows: &[Row]) -> Tensor<2> {
    let indices: Vec<i64> = rows.iter().map(|row| row.row as i64).collect();
    let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [rows.len()]), &x.device());
    x.select(0, indices)
}

/// The boxes of the objects of rows, beside a tensor.
///
/// # Shapes
/// `[rows, 4]`
pub fn edges(rows: &[Row], like: &Tensor<2>) -> Tensor<2> {
    let edges: Vec<f32> = rows
        .iter()
        .flat_map(|row| {
            let BoundingBox { x1, y1, x2, y2 } = row.bounding_box;
            [x1, y1, x2, y2]
        })
        .collect();
    Tensor::from_data(TensorData::new(edges, [rows.len(), 4]), (&like.device(), like.dtype()))
}

/// What a level without anchors says of the classes, which begin at a channel, a row a prediction.
///
/// # Shapes
/// `[batch, rows * columns, num_classes]`
pub fn class_rows(level: &Level, from: usize) -> Tensor<3> {
    let [batch, channels, rows, columns] = level.map.dims();
    let classes = level.map.clone().narrow(1, from, channels - from);
    classes.reshape([batch, channels - from, rows * columns]).swap_dims(1, 2)
}

/// The maps of a level with anchors, a row a prediction.
///
/// # Shapes
/// `[batch, anchors * rows * columns, channels of an anchor]`
pub fn anchor_rows(level: &Level) -> Tensor<3> {
    let maps = level.by_anchor();
    let [batch, anchors, channels, rows, columns] = maps.dims();
    maps.permute([0, 1, 3, 4, 2]).reshape([batch, anchors * rows * columns, channels])
}

/// The middle of every cell in pixels, and the side of the cell.
pub fn middles(level: &Level) -> Vec<([f32; 2], f32)> {
    let [rows, columns] = level.grid();
    let stride = level.stride as f32;
    let middle = |at: usize| (at as f32 + 0.5) * stride;
    (0..rows)
        .flat_map(|row| (0..columns).map(move |column| ([middle(column), middle(row)], stride)))
        .collect()
}
