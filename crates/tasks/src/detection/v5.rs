//! YOLO v5: an object is learned wherever an anchor is alike enough, in its cell and the two cells next to its centre. Written from
//! published facts.

use burn::prelude::*;
use kiln_core::{BoundingBox, Level, Losses, Overlap, Predictions, Truth};

use super::anchored::{Place, logistic};
use super::rows::{Row, anchor_rows, chosen, edges, flat, objects, values};
use crate::overlap_of_rows;

/// A side may be so many times an anchor's, and an anchor's so many times it.
const RATIO: f32 = 4.0;
/// What the parts count.
const BOX: f64 = 0.05;
const OBJECT: f64 = 1.0;
const CLASSES: f64 = 0.5;
/// What the confidences of a level count, the finest first: there are four times as many as on the next.
const BALANCE: [f64; 3] = [4.0, 1.0, 0.4];

/// The places that learn an object.
pub fn alike(levels: &[Level], object: &BoundingBox) -> Vec<Place> {
    let mut places = Vec::new();
    for (index, level) in levels.iter().enumerate() {
        let stride = level.stride as f32;
        let [rows, columns] = level.grid();
        let [x, y] = object.centre().map(|at| at / stride);
        let (column, row) = ((x as usize).min(columns - 1), (y as usize).min(rows - 1));
        let mut cells = vec![[row, column]];
        // The neighbours that the centre is nearer to than to the far side of its own cell, if they are on the grid.
        let near = |at: f32, cells: usize| {
            let (from, to) = (at, cells as f32 - at);
            [from.fract() < 0.5 && from > 1.0, to.fract() < 0.5 && to > 1.0]
        };
        let ([left, right], [above, below]) = (near(x, columns), near(y, rows));
        cells.extend(left.then(|| [row, column - 1]));
        cells.extend(above.then(|| [row - 1, column]));
        cells.extend(right.then(|| [row, column + 1]).filter(|[_, column]| *column < columns));
        cells.extend(below.then(|| [row + 1, column]).filter(|[row, _]| *row < rows));
        for (anchor, [width, height]) in level.anchors.iter().enumerate() {
            let ratio = |side: f32, prior: f32| (side / prior).max(prior / side);
            if ratio(object.width(), *width).max(ratio(object.height(), *height)) < RATIO {
                let place =
                    |[row, column]: &[usize; 2]| Place { level: index, anchor, row: *row, column: *column };
                places.extend(cells.iter().map(place));
            }
        }
    }
    places
}

/// The parts: `box` (CIoU), `object` (a confidence is to be the overlap), `classes`.
pub fn losses(predictions: &Predictions, truths: &[Truth], num_classes: usize) -> Losses {
    let levels = &predictions.levels;
    let like = (&predictions.boxes.device(), predictions.boxes.dtype());
    let [_, count, _] = predictions.boxes.dims();
    // Rows of one level, with the class of each.
    let mut positives: Vec<Vec<(Row, usize)>> = vec![Vec::new(); levels.len()];
    for (image, truth) in truths.iter().enumerate() {
        for (class, bounding_box) in objects(truth) {
            for place in alike(levels, &bounding_box) {
                let row = image * count + place.prediction(levels);
                positives[place.level].push((Row { row, bounding_box, weight: 1.0 }, class));
            }
        }
    }
    let [rows, columns] = levels[0].grid();
    let size = (rows * columns * levels[0].stride * levels[0].stride) as f64 / (640.0 * 640.0);
    let share = 3.0 / levels.len() as f64;
    let zero = || Tensor::<1>::zeros([1], like);
    let (mut boxes, mut object, mut classes) = (zero(), zero(), zero());
    let mut before = 0;
    for ((level, positives), balance) in levels.iter().zip(positives).zip(BALANCE) {
        let maps = anchor_rows(level);
        let [batch, of_level, width] = maps.dims();
        let maps = flat(maps);
        let mut wanted = vec![0.0f32; batch * of_level];
        if !positives.is_empty() {
            let rows: Vec<Row> = positives.iter().map(|(row, _)| *row).collect();
            let found = chosen(flat(predictions.boxes.clone()), &rows);
            let of_objects = edges(&rows, &found);
            let overlap = overlap_of_rows(Overlap::Ciou, found, of_objects);
            boxes = boxes + (overlap.clone().neg() + 1.0).mean();
            // The same rows among those of the level alone.
            let of_image = |row: &Row| row.row / count * of_level + row.row % count - before;
            for (row, overlap) in rows.iter().zip(values(overlap.detach())) {
                let wanted = &mut wanted[of_image(row)];
                *wanted = wanted.max(overlap);
            }
            let in_level: Vec<Row> = rows.iter().map(|row| Row { row: of_image(row), ..*row }).collect();
            let logits = chosen(maps.clone().narrow(1, 5, num_classes), &in_level);
            let mut one = vec![0.0f32; positives.len() * num_classes];
            for (row, (_, class)) in one.chunks_exact_mut(num_classes).zip(&positives) {
                row[*class] = 1.0;
            }
            let one = Tensor::from_data(TensorData::new(one, [positives.len(), num_classes]), like);
            classes = classes + logistic(logits, one).mean();
        }
        let wanted = Tensor::from_data(TensorData::new(wanted, [batch * of_level, 1]), like);
        debug_assert_eq!(width, 5 + num_classes);
        object = object + logistic(maps.narrow(1, 4, 1), wanted).mean() * balance;
        before += of_level;
    }
    // With one class there is nothing to tell apart.
    let classes =
        if num_classes > 1 { classes * (CLASSES * share * num_classes as f64 / 80.0) } else { classes * 0.0 };
    Losses::new("box", boxes * (BOX * share))
        .and("object", object * (OBJECT * share * size))
        .and("classes", classes)
}
