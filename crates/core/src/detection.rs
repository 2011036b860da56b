//! What object detectors say of images.

use burn::prelude::*;

/// What a detector says of a batch: its raw output, and the boxes and scores that it means.
///
/// The predictions stand in the order of the levels; in a level in the order of its anchors, then row by row.
#[derive(Debug, Clone)]
pub struct Predictions {
    /// The raw output of every level, which losses are made of.
    pub levels: Vec<Level>,
    /// `[batch, predictions, 4]`: left, upper, right and lower edge in pixels of the network's input.
    pub boxes: Tensor<3>,
    /// `[batch, predictions, num_classes]`: how sure it is that there is an object of the class, between 0 and 1.
    pub scores: Tensor<3>,
}

/// A grid that is laid over the image, with the predictions that are made in each of its cells.
#[derive(Debug, Clone)]
pub struct Level {
    /// `[batch, channels, rows, columns]`; what the channels mean is the network's matter.
    pub map: Tensor<4>,
    /// The side of a cell, in pixels of the network's input.
    pub stride: usize,
    /// Width and height that a cell's predictions start from, in pixels; none where they start from nothing.
    pub anchors: Vec<[f32; 2]>,
}

impl Level {
    /// Rows and columns of the grid.
    pub fn grid(&self) -> [usize; 2] {
        let [_, _, rows, columns] = self.map.dims();
        [rows, columns]
    }

    /// The map with the channels of each anchor apart.
    ///
    /// # Shapes
    /// `[batch, anchors, channels / anchors, rows, columns]`; a level without anchors has one.
    pub fn by_anchor(&self) -> Tensor<5> {
        let [batch, channels, rows, columns] = self.map.dims();
        let anchors = self.anchors.len().max(1);
        self.map.clone().reshape([batch, anchors, channels / anchors, rows, columns])
    }

    /// The column and the row of every cell.
    ///
    /// # Shapes
    /// Two of `[1, 1, rows, columns]`
    pub fn cells(&self) -> [Tensor<4>; 2] {
        let ([rows, columns], device) = (self.grid(), self.map.device());
        let count = |n: usize| Tensor::<1, Int>::arange(0..n as i64, &device).float().cast(self.map.dtype());
        let column = count(columns).reshape([1, 1, 1, columns]).repeat_dim(2, rows);
        let row = count(rows).reshape([1, 1, rows, 1]).repeat_dim(3, columns);
        [column, row]
    }
}

/// Boxes by their corners, of centres and sizes, as one row a prediction.
///
/// # Shapes
/// Four of `[batch, anchors, rows, columns]` (x, y, width, height) to `[batch, predictions, 4]`
pub fn corners([x, y, width, height]: [Tensor<4>; 4]) -> Tensor<3> {
    let (half_width, half_height) = (width / 2.0, height / 2.0);
    rows([x.clone() - half_width.clone(), y.clone() - half_height.clone(), x + half_width, y + half_height])
}

/// Maps of a number each, as one row a prediction.
///
/// # Shapes
/// `N` of `[batch, anchors, rows, columns]` to `[batch, predictions, N]`
pub fn rows<const N: usize>(maps: [Tensor<4>; N]) -> Tensor<3> {
    let [batch, anchors, rows, columns] = maps[0].dims();
    let each = maps.map(|map| map.reshape([batch, anchors * rows * columns, 1]));
    Tensor::cat(each.to_vec(), 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_stand_anchor_by_anchor_and_row_by_row() {
        let device = Device::flex();
        let level = Level {
            map: Tensor::<1>::from_data([0.0; 12], &device).reshape([1, 2, 2, 3]),
            stride: 8,
            anchors: vec![[1.0, 1.0]; 2],
        };
        let [column, row] = level.cells();
        assert_eq!(column.clone().into_data().try_to_vec::<f32>().expect("f32"), [0., 1., 2., 0., 1., 2.]);
        assert_eq!(row.clone().into_data().try_to_vec::<f32>().expect("f32"), [0., 0., 0., 1., 1., 1.]);
        let anchor = Tensor::<1>::from_data([10.0, 20.0], &device).reshape([1, 2, 1, 1]);
        let both = |x: Tensor<4>| x + anchor.clone();
        let table = rows([both(column), both(row)]);
        assert_eq!(table.dims(), [1, 12, 2]);
        let values = table.into_data().try_to_vec::<f32>().expect("f32");
        assert_eq!(values[8..14], [11., 11., 12., 11., 20., 20.]);
    }

    #[test]
    fn corners_are_half_the_size_around_the_centre() {
        let of = |value: f32| Tensor::<4>::full([1, 1, 1, 1], value, &Device::flex());
        let edges = corners([5.0, 4.0, 6.0, 2.0].map(of)).into_data().try_to_vec::<f32>().expect("f32");
        assert_eq!(edges, [2.0, 3.0, 8.0, 5.0]);
    }
}
