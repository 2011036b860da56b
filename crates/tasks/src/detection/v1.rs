//! YOLO v1: squares of differences (Redmon et al. 2015, Section 2.2, Equation 3).

use burn::prelude::*;
use kiln_core::{BoundingBox, Level, Losses, Overlap, Predictions, Truth};

use super::anchored::cell;
use super::rows::{boxes_of, objects};

/// λ_coord, and λ_noobj.
const PLACE: f32 = 5.0;
const NOTHING: f32 = 0.5;

/// The box of a cell that is to learn an object: the one that overlaps it most; if none does, the nearest in its edges.
pub fn responsible(boxes: &[BoundingBox], object: &BoundingBox) -> (usize, f32) {
    let squares = |b: &BoundingBox| {
        [b.x1 - object.x1, b.y1 - object.y1, b.x2 - object.x2, b.y2 - object.y2]
            .map(|d| d * d)
            .iter()
            .sum::<f32>()
    };
    let key = |b: &BoundingBox| (Overlap::Iou.of(b, object), -squares(b));
    let better = |a: (f32, f32), b: (f32, f32)| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).is_gt();
    let best = (1..boxes.len())
        .fold(0, |best, index| if better(key(&boxes[index]), key(&boxes[best])) { index } else { best });
    (best, Overlap::Iou.of(&boxes[best], object))
}

/// An object, the cell that learns it, and which of the cell's boxes does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Owner {
    /// Of the image's objects.
    pub object: usize,
    /// Row and column.
    pub cell: [usize; 2],
    /// Of the boxes of a cell.
    pub index: usize,
    /// The IoU of that box and the object.
    pub overlap: f32,
}

/// Which box of which cell of an image learns which object. Of several objects in a cell the first counts.
pub fn owners(level: &Level, boxes: &[BoundingBox], objects: &[(usize, BoundingBox)]) -> Vec<Owner> {
    let [rows, columns] = level.grid();
    let mut taken = vec![false; rows * columns];
    let owner = |(number, (_, object)): (usize, &(usize, BoundingBox))| {
        let [row, column] = cell(level, object);
        let place = row * columns + column;
        if std::mem::replace(&mut taken[place], true) {
            return None;
        }
        let of_cell = boxes.iter().skip(place).step_by(rows * columns).copied();
        let candidates: Vec<BoundingBox> = of_cell.collect();
        let (index, overlap) = responsible(&candidates, object);
        Some(Owner { object: number, cell: [row, column], index, overlap })
    };
    objects.iter().enumerate().filter_map(owner).collect()
}

/// The parts of the sum over all images, divided by their number: `place`, `object`, `nothing`, `classes`.
pub fn losses(predictions: &Predictions, truths: &[Truth], num_classes: usize) -> Losses {
    let level = &predictions.levels[0];
    let [batch, channels, rows, columns] = level.map.dims();
    let (cells, boxes_a_cell) = (rows * columns, (channels - num_classes) / 5);
    let side = [columns, rows].map(|cells| (cells * level.stride) as f32);
    let boxes = boxes_of(&predictions.boxes);
    // For every number of the map what is wanted, and what it counts as a part of each sum.
    let mut wanted = vec![0.0f32; batch * channels * cells];
    let mut counts = [(); 4].map(|()| vec![0.0f32; batch * channels * cells]);
    let [place, object_, nothing, classes] = &mut counts;
    for (image, truth) in truths.iter().enumerate() {
        let at = |channel: usize, cell: usize| (image * channels + channel) * cells + cell;
        let confidence = |index: usize| num_classes + 5 * index + 4;
        for cell in 0..cells {
            (0..boxes_a_cell).for_each(|index| nothing[at(confidence(index), cell)] = NOTHING);
        }
        let objects = objects(truth);
        let of_image = &boxes[image * boxes_a_cell * cells..(image + 1) * boxes_a_cell * cells];
        for Owner { object, cell: [row, column], index, overlap } in owners(level, of_image, &objects) {
            let (class, object) = objects[object];
            let cell = row * columns + column;
            for other in 0..num_classes {
                wanted[at(other, cell)] = f32::from(other == class);
                classes[at(other, cell)] = 1.0;
            }
            let [x, y] = object.centre();
            let stride = level.stride as f32;
            let numbers = [
                x / stride - column as f32,
                y / stride - row as f32,
                (object.width() / side[0]).sqrt(),
                (object.height() / side[1]).sqrt(),
            ];
            for (number, value) in numbers.into_iter().enumerate() {
                wanted[at(num_classes + 5 * index + number, cell)] = value;
                place[at(num_classes + 5 * index + number, cell)] = PLACE;
            }
            wanted[at(confidence(index), cell)] = overlap;
            object_[at(confidence(index), cell)] = 1.0;
            nothing[at(confidence(index), cell)] = 0.0;
        }
    }
    let tensor = |values: Vec<f32>| {
        let data = TensorData::new(values, [batch, channels, rows, columns]);
        Tensor::<4>::from_data(data, (&level.map.device(), level.map.dtype()))
    };
    let difference = level.map.clone() - tensor(wanted);
    let squares = difference.clone() * difference;
    let [place, object, nothing, classes] =
        counts.map(|counts| (squares.clone() * tensor(counts)).sum() / batch as f64);
    Losses::new("place", place).and("object", object).and("nothing", nothing).and("classes", classes)
}

#[cfg(test)]
mod tests {
    use kiln_core::Object;

    use super::*;
    use crate::detection::rows::values;

    #[test]
    fn the_loss_is_equation_3() {
        // One class, two boxes a cell, 7x7 cells of 64 pixels. All numbers are 0 but one box of the cell (3, 2): x 0.5, y 0.5,
        // roots of 0.5 (112 pixels), confidence 0.8; the object is that box, a little lower: y is 0.75.
        let (channels, cells, cell) = (11, 49, 3 * 7 + 2);
        let mut map = vec![0.0f32; channels * cells];
        for (channel, value) in [(1 + 5, 0.5), (2 + 5, 0.5), (3 + 5, 0.5), (4 + 5, 0.5), (5 + 5, 0.8)] {
            map[channel * cells + cell] = value;
        }
        let device = Device::flex();
        let map = Tensor::from_data(TensorData::new(map, [1, channels, 7, 7]), &device);
        let square = |x: f32, y: f32| BoundingBox { x1: x - 56.0, y1: y - 56.0, x2: x + 56.0, y2: y + 56.0 };
        let mut boxes = vec![[0.0f32; 4]; 2 * cells];
        let found = square(160.0, 224.0);
        boxes[cells + cell] = [found.x1, found.y1, found.x2, found.y2];
        let boxes = Tensor::from_data(TensorData::new(boxes.concat(), [1, 2 * cells, 4]), &device);
        let predictions = Predictions {
            levels: vec![Level { map, stride: 64, anchors: Vec::new() }],
            boxes,
            scores: Tensor::zeros([1, 2 * cells, 1], &device),
        };
        let object = Object {
            class: 0,
            bounding_box: square(160.0, 240.0),
            mask: None,
            keypoints: Vec::new(),
            crowd: false,
            difficult: false,
        };
        let truth = Truth { objects: vec![object], ..Truth::default() };
        let losses = losses(&predictions, &[truth], 1);
        // 96 of 112 rows are shared: 96 / 128 = 0.75 is the IoU. 5 (0.75 - 0.5)², (0.75 - 0.8)², no other confidence, (1 - 0)².
        for ((name, value), expected) in losses.parts().iter().zip([0.3125, 0.0025, 0.0, 1.0]) {
            let value = values(value.clone())[0];
            assert!((value - expected).abs() < 1e-5, "{name}: {value}");
        }
    }

    #[test]
    fn a_box_that_overlaps_nothing_is_responsible_if_its_edges_are_nearest() {
        let square = |x: f32| BoundingBox { x1: x, y1: 0.0, x2: x + 2.0, y2: 2.0 };
        assert_eq!(responsible(&[square(10.0), square(-4.0), square(9.0)], &square(0.0)), (1, 0.0));
        assert_eq!(responsible(&[square(10.0), square(1.0), square(0.5)], &square(0.0)).0, 2);
    }
}
