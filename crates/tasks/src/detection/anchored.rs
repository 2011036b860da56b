//! What the versions with anchors share: which cell and which anchor an object belongs to, and targets number by number.

use burn::prelude::*;
use burn::tensor::activation::log_sigmoid;
use kiln_core::{BoundingBox, Level, Overlap, Predictions, Truth};

use super::rows::{anchor_rows, boxes_of, flat, objects};

/// A prediction of an image by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Of the levels, the finest first.
    pub level: usize,
    /// Of the level's anchors; of v1 one of the cell's boxes.
    pub anchor: usize,
    /// Row of the grid.
    pub row: usize,
    /// Column of the grid.
    pub column: usize,
}

impl Place {
    /// Its number among all predictions of an image.
    pub fn prediction(&self, levels: &[Level]) -> usize {
        let before: usize = levels[..self.level].iter().map(predictions).sum();
        let [rows, columns] = levels[self.level].grid();
        before + (self.anchor * rows + self.row) * columns + self.column
    }

    /// The place of a prediction by its number.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn of(mut prediction: usize, levels: &[Level]) -> Self {
        let level = levels.iter().position(|level| {
            let here = prediction < predictions(level);
            prediction -= if here { 0 } else { predictions(level) };
            here
        });
        let level = level.expect("one of the predictions of the levels");
        let [rows, columns] = levels[level].grid();
        let (anchor, cell) = (prediction / (rows * columns), prediction % (rows * columns));
        Self { level, anchor, row: cell / columns, column: cell % columns }
    }
}

/// Predictions that a level makes of an image.
fn predictions(level: &Level) -> usize {
    level.anchors.len().max(1) * level.grid().iter().product::<usize>()
}

/// Row and column of the cell that a box's centre lies in.
pub fn cell(level: &Level, bounding_box: &BoundingBox) -> [usize; 2] {
    let [x, y] = bounding_box.centre();
    let [rows, columns] = level.grid();
    let cell = |at: f32, cells: usize| ((at / level.stride as f32).max(0.0) as usize).min(cells - 1);
    [cell(y, rows), cell(x, columns)]
}

/// The IoU of two sizes laid on the same corner.
pub fn shape_iou([width, height]: [f32; 2], [other_width, other_height]: [f32; 2]) -> f32 {
    let shared = width.min(other_width) * height.min(other_height);
    shared / (width * height + other_width * other_height - shared)
}

/// Every anchor of every level as (level, anchor), with its IoU with a box's size.
pub fn shapes(levels: &[Level], bounding_box: &BoundingBox) -> Vec<(usize, usize, f32)> {
    let size = [bounding_box.width(), bounding_box.height()];
    let of_level = |(at, level): (usize, &Level)| {
        let of_anchor = |(anchor, prior): (usize, &[f32; 2])| (at, anchor, shape_iou(*prior, size));
        level.anchors.iter().enumerate().map(of_anchor).collect::<Vec<_>>()
    };
    levels.iter().enumerate().flat_map(of_level).collect()
}

/// The anchor of all levels whose shape is nearest to a box's, in the cell of the box's centre.
pub fn nearest(levels: &[Level], bounding_box: &BoundingBox) -> Place {
    let first =
        |best: (usize, usize, f32), next: (usize, usize, f32)| if next.2 > best.2 { next } else { best };
    let (level, anchor, _) =
        shapes(levels, bounding_box).into_iter().reduce(first).expect("levels have anchors");
    let [row, column] = cell(&levels[level], bounding_box);
    Place { level, anchor, row, column }
}

/// What x and y within the cell and the logarithms of width and height, in anchors, are to be, and what each counts: more for a
/// small object.
pub fn place_and_size(levels: &[Level], place: Place, object: &BoundingBox) -> ([f32; 4], f32) {
    let level = &levels[place.level];
    let stride = level.stride as f32;
    let [height, width] = level.grid().map(|cells| cells as f32 * stride);
    let ([x, y], [prior_width, prior_height]) = (object.centre(), level.anchors[place.anchor]);
    let numbers = [
        x / stride - place.column as f32,
        y / stride - place.row as f32,
        (object.width() / prior_width).ln(),
        (object.height() / prior_height).ln(),
    ];
    (numbers, 2.0 - object.area() / (width * height))
}

/// Targets by which every prediction learns that there is nothing, unless it overlaps an object by more than `ignored`; and the
/// predictions of an image.
pub fn confidences(predictions: &Predictions, truths: &[Truth], ignored: f32) -> (Targets, usize) {
    let [batch, count, _] = predictions.boxes.dims();
    let [_, _, num_classes] = predictions.scores.dims();
    let boxes = boxes_of(&predictions.boxes);
    let mut targets = Targets::new(batch * count, 5 + num_classes);
    for ((image, truth), boxes) in truths.iter().enumerate().zip(boxes.chunks_exact(count)) {
        let objects = objects(truth);
        for (prediction, bounding_box) in boxes.iter().enumerate() {
            let overlaps = objects.iter().map(|(_, object)| Overlap::Iou.of(bounding_box, object));
            let counts = f32::from(overlaps.fold(0.0, f32::max) <= ignored);
            targets.set(image * count + prediction, 4, 0.0, counts);
        }
    }
    (targets, count)
}

/// The maps of all levels, a row a prediction of the batch: x, y, width, height, objectness, classes.
///
/// # Shapes
/// `[batch * predictions, 5 + num_classes]`
pub fn all_rows(predictions: &Predictions) -> Tensor<2> {
    flat(Tensor::cat(predictions.levels.iter().map(anchor_rows).collect(), 1))
}

/// For every number of [`all_rows`] what it should be, and what it counts if it is not: nothing, at first.
pub struct Targets {
    wanted: Vec<f32>,
    counts: Vec<f32>,
    width: usize,
}

impl Targets {
    /// Of so many rows of so many numbers.
    pub fn new(rows: usize, width: usize) -> Self {
        Self { wanted: vec![0.0; rows * width], counts: vec![0.0; rows * width], width }
    }

    /// Wants a number, which counts so much.
    pub fn set(&mut self, row: usize, column: usize, wanted: f32, count: f32) {
        (self.wanted[row * self.width + column], self.counts[row * self.width + column]) = (wanted, count);
    }

    /// Wants a place and a size, of which each number counts so much.
    pub fn set_place(&mut self, row: usize, numbers: [f32; 4], count: f32) {
        numbers.into_iter().enumerate().for_each(|(column, number)| self.set(row, column, number, count));
    }

    /// Wants one class of all from the fifth number on.
    pub fn set_class(&mut self, row: usize, class: usize, count: f32) {
        for column in 5..self.width {
            self.set(row, column, f32::from(column == class + 5), count);
        }
    }

    /// The sum of `distance(numbers, wanted)`, counted, over some columns.
    pub fn sum(
        &self,
        rows: &Tensor<2>,
        columns: std::ops::Range<usize>,
        distance: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<2>,
    ) -> Tensor<1> {
        let part = |all: &[f32]| {
            let each = all.chunks_exact(self.width).flat_map(|row| row[columns.clone()].iter().copied());
            let data: Vec<f32> = each.collect();
            let shape = [all.len() / self.width, columns.len()];
            Tensor::<2>::from_data(TensorData::new(data, shape), (&rows.device(), rows.dtype()))
        };
        let numbers = rows.clone().narrow(1, columns.start, columns.len());
        (distance(numbers, part(&self.wanted)) * part(&self.counts)).sum()
    }
}

/// Half the squared difference: its gradient is the difference, as Darknet has it.
pub fn squared(x: Tensor<2>, wanted: Tensor<2>) -> Tensor<2> {
    let difference = x - wanted;
    difference.clone() * difference / 2.0
}

/// Cross entropy of a logistic: its gradient is the difference of `σ(x)`.
pub fn logistic(x: Tensor<2>, wanted: Tensor<2>) -> Tensor<2> {
    // -t ln s(x) - (1 - t) ln s(-x), where ln s(-x) = ln s(x) - x.
    x.clone() * (wanted.neg() + 1.0) - log_sigmoid(x)
}
