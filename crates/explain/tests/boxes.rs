//! The worked numbers of boxes and masks.

#![allow(clippy::unwrap_used)]

use kiln_core::{BoundingBox, Overlap};
use kiln_explain::topics::panoptic_quality;

#[test]
fn panoptic_quality_has_the_worked_numbers() {
    // SQ = 2.2 / 3, RQ = 3 / (3 + 1/2 + 1), PQ = 2.2 / 4.5.
    let expected = [0.4888889, 0.7333333, 0.6666667];
    for (ours, expected) in panoptic_quality(&[0.9, 0.7, 0.6], 1, 2).iter().zip(expected) {
        assert!((ours - expected).abs() < 1e-7, "{ours}, not {expected}");
    }
    // Nothing there and nothing found; all found.
    assert_eq!(panoptic_quality(&[], 0, 0), [0.0; 3]);
    assert_eq!(panoptic_quality(&[1.0], 0, 0), [1.0; 3]);
}

#[test]
fn ciou_has_the_worked_aspects() {
    // Both pairs are of aspects 2 and 1/2; what CIoU takes from DIoU is alpha v.
    let rows = [
        ([0.0, 0.0, 4.0, 2.0], [1.0, 0.0, 3.0, 4.0], 0.2011113),
        ([10.0, 10.0, 50.0, 30.0], [20.0, 15.0, 40.0, 55.0], 0.1790989),
    ];
    for (a, b, alpha) in rows {
        let (a, b) = (BoundingBox::from_xyxy(a), BoundingBox::from_xyxy(b));
        let taken = Overlap::Diou.of(&a, &b) - Overlap::Ciou.of(&a, &b);
        assert!((taken - alpha * 0.1678258).abs() < 1e-6, "{taken}");
    }
}

#[test]
fn six_boxes_have_the_worked_overlaps() {
    let boxes = [
        [100.0, 100.0, 210.0, 210.0],
        [105.0, 105.0, 215.0, 215.0],
        [250.0, 250.0, 320.0, 320.0],
        [100.0, 100.0, 200.0, 200.0],
        [260.0, 255.0, 325.0, 330.0],
        [90.0, 110.0, 205.0, 220.0],
    ]
    .map(BoundingBox::from_xyxy);
    let worked = [
        (0, 1, 0.836812),
        (0, 3, 0.826446),
        (0, 5, 0.736842),
        (1, 3, 0.690249),
        (1, 5, 0.736842),
        (2, 4, 0.663830),
        (3, 5, 0.659341),
    ];
    for (a, b, expected) in worked {
        let iou = Overlap::Iou.of(&boxes[a], &boxes[b]);
        assert!((iou - expected).abs() < 1e-6, "{a}, {b}: {iou}, not {expected}");
    }
}
