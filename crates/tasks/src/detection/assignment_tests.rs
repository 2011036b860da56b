//! Assignments of every version, with numbers worked out by hand.

use burn::prelude::*;
use kiln_core::{BoundingBox, Level, Object, Predictions, Truth};

use super::anchored::{place_and_size, shape_iou};
use super::{Assignment, DetectionLoss, Place, assignments};

/// v3's and v5's, in pixels.
const ANCHORS: [[[f32; 2]; 3]; 3] = [
    [[10.0, 13.0], [16.0, 30.0], [33.0, 23.0]],
    [[30.0, 61.0], [62.0, 45.0], [59.0, 119.0]],
    [[116.0, 90.0], [156.0, 198.0], [373.0, 326.0]],
];

/// Levels of an image of 416 pixels, and predictions that say nothing.
fn predictions(levels: &[(usize, &[[f32; 2]])], boxes_a_cell: usize) -> Predictions {
    let device = Device::flex();
    let level = |(stride, anchors): &(usize, &[[f32; 2]])| Level {
        map: Tensor::zeros([1, 6 * boxes_a_cell, 416 / stride, 416 / stride], &device),
        stride: *stride,
        anchors: anchors.to_vec(),
    };
    let count: usize = levels.iter().map(|(stride, _)| boxes_a_cell * (416 / stride) * (416 / stride)).sum();
    Predictions {
        levels: levels.iter().map(level).collect(),
        boxes: Tensor::zeros([1, count, 4], &device),
        scores: Tensor::zeros([1, count, 2], &device),
    }
}

fn pyramid() -> Predictions {
    predictions(&[(8, &ANCHORS[0]), (16, &ANCHORS[1]), (32, &ANCHORS[2])], 3)
}

fn object(bounding_box: BoundingBox) -> Object {
    Object { class: 0, bounding_box, mask: None, keypoints: Vec::new(), crowd: false, difficult: false }
}

/// Level, anchor, row and column of the predictions that learn the only object.
fn places(loss: DetectionLoss, predictions: &Predictions, bounding_box: BoundingBox) -> Vec<[usize; 4]> {
    // Neither a crowd, nor a difficult object, nor one without area is learned, and the number is that among all.
    let crowd = Object { crowd: true, ..object(bounding_box) };
    let difficult = Object { difficult: true, ..object(bounding_box) };
    let flat = object(BoundingBox::from_cxcywh([9.0, 9.0, 5.0, 0.0]));
    let objects = vec![crowd, difficult, flat, object(bounding_box)];
    let found = assignments(loss, predictions, &[Truth { objects, ..Truth::default() }]).remove(0);
    assert!(found.iter().all(|one| one.object == 3), "{found:?}");
    found
        .iter()
        .map(|Assignment { place, .. }| [place.level, place.anchor, place.row, place.column])
        .collect()
}

/// `σ(0.2)`, `σ(-0.3)`, 0.1, 0.4: what boxes below were decoded from, in column 6 and row 4.
const WORKED: [f32; 4] = [0.549_834, 0.425_557_5, 0.1, 0.4];

fn assert_decoded_from(predictions: &Predictions, place: [usize; 4], bounding_box: BoundingBox) {
    let [level, anchor, row, column] = place;
    let place = Place { level, anchor, row, column };
    let (numbers, _) = place_and_size(&predictions.levels, place, &bounding_box);
    for (number, expected) in numbers.into_iter().zip(WORKED) {
        assert!((number - expected).abs() < 1e-5, "{numbers:?}");
    }
}

#[test]
fn v2_learns_a_box_at_the_place_that_it_is_decoded_from() {
    // COCO's anchors, in cells of 32 pixels.
    let anchors =
        [[0.57273, 0.677385], [1.87446, 2.06253], [3.33843, 5.47434], [7.88282, 3.52778], [9.77052, 9.16828]];
    let anchors = anchors.map(|size: [f32; 2]| size.map(|side| 32.0 * side));
    let predictions = predictions(&[(32, &anchors)], 5);
    // The third anchor in column 6 and row 4 with (0.2, -0.3, 0.1, 0.4): these cells.
    let cells = [6.549_834, 4.425_557_5, 3.689_535_8, 8.166_756];
    let found = BoundingBox::from_cxcywh(cells.map(|side: f32| 32.0 * side));
    let place = places(DetectionLoss::YoloV2, &predictions, found);
    assert_eq!(place, [[0, 2, 4, 6]]);
    assert_decoded_from(&predictions, place[0], found);
    // The box holds the third anchor: 1 / e^0.5. The fourth shares 3.6895 x 3.5278 of 44.92, the fifth holds the box: 30.13 of 89.58.
    let size = [found.width(), found.height()];
    for (anchor, expected) in [(2, 0.606_530_7), (3, 0.289_72), (4, 0.336_37)] {
        let iou = shape_iou(anchors[anchor], size);
        assert!((iou - expected).abs() < 1e-4, "{anchor}: {iou}");
    }
    // What counts twice in a small box: 2 - the share of the image, 30.13 of 169 cells.
    let [level, anchor, row, column] = place[0];
    let (_, counts) = place_and_size(&predictions.levels, Place { level, anchor, row, column }, &found);
    assert!((counts - (2.0 - 30.131_53 / 169.0)).abs() < 1e-4, "{counts}");
}

#[test]
fn v3_learns_a_box_with_one_of_nine_anchors_and_v4_with_all_that_are_alike() {
    let predictions = pyramid();
    // Anchor 62x45 of the level of 16 pixels in column 6 and row 4.
    let found = BoundingBox::from_cxcywh([104.797_34, 70.808_92, 68.520_6, 67.132_11]);
    let place = places(DetectionLoss::YoloV3, &predictions, found);
    assert_eq!(place, [[1, 1, 4, 6]]);
    assert_decoded_from(&predictions, place[0], found);
    // Of an area of 4599.9: 62x45 has 2790 (0.607), 59x119 shares 59 x 67.1 of 7660 (0.517), 116x90 holds all of it (0.441), 30x61
    // has 1830 (0.398). 33x23 has 759 (0.165) and 156x198 is 30888 (0.149): no more than 0.213. The best is first; the centre is
    // (3.27, 2.21) in cells of 32.
    let alike = places(DetectionLoss::YoloV4, &predictions, found);
    assert_eq!(alike, [[1, 1, 4, 6], [1, 0, 4, 6], [1, 2, 4, 6], [2, 0, 2, 3]]);
    // Alone, however little alike: 2x2 has 4 of 10x13 (0.031).
    let tiny = BoundingBox::from_cxcywh([100.0, 100.0, 2.0, 2.0]);
    assert_eq!(places(DetectionLoss::YoloV4, &predictions, tiny), [[0, 0, 12, 12]]);
}

#[test]
fn v5_learns_a_box_with_every_anchor_near_its_sides_in_three_cells() {
    let predictions = pyramid();
    // Decoded of the same numbers: (2σ - 0.5 + cell) 16 and (2σ)² times 62x45.
    let found = BoundingBox::from_cxcywh([105.594_69, 69.617_84, 68.349_58, 64.516_84]);
    // Sides over anchors' or the other way round, the larger: 10x13 6.8, 16x30 4.3, 33x23 2.8; 30x61 2.3, 62x45 1.4, 59x119 1.8;
    // 116x90 1.7, 156x198 3.1, 373x326 5.5. Below 4 are six.
    // Centres in cells of 8, 16 and 32: (13.20, 8.70), (6.60, 4.35), (3.30, 2.18): left and below, right and above, left and above.
    let cells = [[[8, 13], [8, 12], [9, 13]], [[4, 6], [3, 6], [4, 7]], [[2, 3], [2, 2], [1, 3]]];
    let anchors = [&[2][..], &[0, 1, 2], &[0, 1]];
    let mut expected: Vec<[usize; 4]> = Vec::new();
    for level in 0..3 {
        let of_anchor = |anchor: &usize| cells[level].map(|[row, column]| [level, *anchor, row, column]);
        expected.extend(anchors[level].iter().flat_map(of_anchor));
    }
    let mut places_found = places(DetectionLoss::YoloV5, &predictions, found);
    places_found.sort();
    expected.sort();
    assert_eq!(places_found, expected);
    // Exactly 4 times is too much: 132 over 33, where 92 over 23 would be so too.
    let wide = |width: f32| {
        places(DetectionLoss::YoloV5, &predictions, BoundingBox::from_cxcywh([201.0, 201.0, width, 60.0]))
    };
    let of_third = |places: Vec<[usize; 4]>| places.iter().filter(|place| place[..2] == [0, 2]).count();
    assert_eq!([of_third(wide(131.9)), of_third(wide(132.0))], [3, 0]);
}

#[test]
fn v5_never_leaves_the_grid() {
    let predictions = pyramid();
    // In cells of 32: the first cell's upper left part, and the last one's lower right; there are 13.
    for (centre, cell) in [([8.0, 8.0], 0), ([410.0, 410.0], 12)] {
        let [x, y] = centre;
        let found =
            places(DetectionLoss::YoloV5, &predictions, BoundingBox::from_cxcywh([x, y, 120.0, 90.0]));
        let coarse: Vec<_> = found.iter().filter(|place| place[..2] == [2, 0]).collect();
        assert_eq!(coarse, [&[2, 0, cell, cell]], "{centre:?}");
    }
}

#[test]
fn v1_learns_with_the_cell_of_the_centre_and_the_box_that_overlaps_most() {
    let predictions = predictions(&[(32, &[])], 2);
    // Two boxes a cell, cell by cell, the second boxes after all first ones. (100, 200) is in row 6 and column 3: number 81.
    let mut boxes = vec![[0.0f32; 4]; 2 * 169];
    (boxes[81], boxes[169 + 81]) = ([60.0, 160.0, 100.0, 240.0], [80.0, 170.0, 130.0, 230.0]);
    let boxes = Tensor::from_data(TensorData::new(boxes.concat(), [1, 338, 4]), &Device::flex());
    let predictions = Predictions { boxes, ..predictions };
    let found = BoundingBox::from_cxcywh([100.0, 200.0, 60.0, 60.0]);
    // 30 x 60 of 3200 + 3600 - 1800 (0.36); 50 x 60 of 3000 + 3600 - 3000 (0.83).
    assert_eq!(places(DetectionLoss::YoloV1, &predictions, found), [[0, 1, 6, 3]]);
}

#[test]
fn v8_learns_with_the_ten_best_aligned_cells_inside_a_box() {
    let device = Device::flex();
    let mut empty = predictions(&[(8, &[]), (16, &[]), (32, &[])], 1);
    // 40x40 from (16, 16): five cells of 8 a side, whose middles are from 20 to 52, and in cells of 16 and 32 the middles 24 and 40,
    // and 48: 25, 4 and 1 cells.
    let found = BoundingBox::from_xyxy([16.0, 16.0, 56.0, 56.0]);
    // All boxes are as they should be: what is sure alone decides. Four in cells of 16 are surest, then the one of 32, then the
    // lower right ones of 8.
    let count = 52 * 52 + 26 * 26 + 13 * 13;
    let boxes = vec![found.xyxy(); count].concat();
    let mut scores = vec![0.0f32; 2 * count];
    for (level, first, columns) in [(0, 0, 52), (1, 52 * 52, 26), (2, 52 * 52 + 26 * 26, 13)] {
        for cell in 0..columns * columns {
            // Outside the box all are surest of all, and never asked.
            let middle =
                [cell % columns, cell / columns].map(|at| (at as f32 + 0.5) * [8.0, 16.0, 32.0][level]);
            let inside = middle.iter().all(|at| (16.0..56.0).contains(at));
            let score = if inside { [0.2, 0.8, 0.6][level] + 0.0001 * cell as f32 } else { 1.0 };
            scores[2 * (first + cell)] = score;
        }
    }
    empty.boxes = Tensor::from_data(TensorData::new(boxes, [1, count, 4]), &device);
    empty.scores = Tensor::from_data(TensorData::new(scores, [1, count, 2]), &device);
    let mut places = places(DetectionLoss::YoloV8, &empty, found);
    places.sort();
    let mut expected = vec![[1, 0, 1, 1], [1, 0, 1, 2], [1, 0, 2, 1], [1, 0, 2, 2], [2, 0, 1, 1]];
    expected.splice(0..0, (2..7).map(|column| [0, 0, 6, column]));
    assert_eq!(places, expected);
}

#[test]
fn a_place_is_found_by_its_number() {
    for predictions in [pyramid(), predictions(&[(8, &[]), (32, &[])], 1)] {
        let [_, count, _] = predictions.boxes.dims();
        for number in (0..count).step_by(97).chain([count - 1]) {
            let place = Place::of(number, &predictions.levels);
            assert_eq!(place.prediction(&predictions.levels), number, "{place:?}");
        }
    }
}
