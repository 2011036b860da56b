//! Boxes: the worked numbers of overlap, suppression and regression.

#![allow(clippy::unwrap_used)]
#![allow(clippy::excessive_precision)] // as the references print them

use kiln_core::{BoundingBox, BoxRegression, Overlap};
use kiln_tasks::Suppression;

fn near(ours: f32, expected: f32, tolerance: f32) {
    assert!((ours - expected).abs() < tolerance, "{ours}, not {expected}");
}

#[test]
fn overlaps_are_the_worked_numbers() {
    // IoU, GIoU, DIoU and CIoU, computed by an independent script.
    let rows = [
        ([0.0, 0.0, 10.0, 10.0], [5.0, 5.0, 15.0, 15.0], [0.1428571, -0.0793651, 0.0317460, 0.0317460]),
        ([0.0, 0.0, 4.0, 2.0], [1.0, 0.0, 3.0, 4.0], [0.3333333, 0.0833333, 0.3020833, 0.2683317]),
        ([0.0, 0.0, 2.0, 2.0], [3.0, 3.0, 5.0, 5.0], [0.0, -0.68, -0.36, -0.36]),
        ([10.0, 10.0, 50.0, 30.0], [20.0, 15.0, 40.0, 55.0], [0.2307692, -0.0470085, 0.1687003, 0.1386428]),
        ([0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0]),
    ];
    for (a, b, expected) in rows {
        let [a, b] = [a, b].map(BoundingBox::from_xyxy);
        for (overlap, expected) in
            [Overlap::Iou, Overlap::Giou, Overlap::Diou, Overlap::Ciou].into_iter().zip(expected)
        {
            near(overlap.of(&a, &b), expected, 2e-7);
        }
    }
}

#[test]
fn suppression_keeps_the_worked_boxes() {
    let boxes = [
        [100.0, 100.0, 210.0, 210.0],
        [105.0, 105.0, 215.0, 215.0],
        [250.0, 250.0, 320.0, 320.0],
        [100.0, 100.0, 200.0, 200.0],
        [260.0, 255.0, 325.0, 330.0],
        [90.0, 110.0, 205.0, 220.0],
    ]
    .map(BoundingBox::from_xyxy);
    let scores = [0.9, 0.8, 0.75, 0.7, 0.6, 0.5];
    let pairs = [
        (0, 1, 0.836812),
        (0, 3, 0.826446),
        (0, 5, 0.736842),
        (1, 3, 0.690249),
        (1, 5, 0.736842),
        (2, 4, 0.663830),
        (3, 5, 0.659341),
    ];
    pairs.iter().for_each(|(a, b, iou)| near(Overlap::Iou.of(&boxes[*a], &boxes[*b]), *iou, 1e-6));
    let kept = |rule: Suppression| -> Vec<(usize, f32)> {
        rule.keep(&boxes, &scores).iter().map(|one| (one.index, one.score)).collect()
    };
    let greedy =
        |threshold| kept(Suppression::Greedy { threshold }).iter().map(|one| one.0).collect::<Vec<_>>();
    assert_eq!([greedy(0.5), greedy(0.7), greedy(0.75)], [vec![0, 2], vec![0, 2, 4], vec![0, 2, 4, 5]]);
    let soft = [
        (
            Suppression::SoftLinear { threshold: 0.3, least: 0.001 },
            [(0, 0.9), (2, 0.75), (4, 0.201702), (5, 0.131579), (3, 0.041386), (1, 0.010642)],
        ),
        (
            Suppression::SoftGaussian { sigma: 0.5, least: 0.001 },
            [(0, 0.9), (2, 0.75), (4, 0.248536), (1, 0.197177), (3, 0.068866), (5, 0.023889)],
        ),
    ];
    for (rule, expected) in soft {
        let found = kept(rule);
        assert_eq!(found.len(), 6);
        for (ours, expected) in found.iter().zip(expected) {
            assert_eq!(ours.0, expected.0, "{rule:?}");
            near(ours.1, expected.1, 1e-6);
        }
    }
}

#[test]
fn a_box_is_regressed_by_the_worked_deltas() {
    let proposal = BoundingBox::from_cxcywh([100.0, 100.0, 50.0, 40.0]);
    let truth = BoundingBox::from_cxcywh([110.0, 95.0, 60.0, 50.0]);
    let deltas = BoxRegression::PLAIN.deltas(&proposal, &truth);
    for (ours, expected) in deltas.into_iter().zip([0.2, -0.125, 0.1823215568, 0.2231435513]) {
        near(ours, expected, 1e-6);
    }
}

#[test]
fn smooth_l1_is_a_square_and_then_a_line() {
    use kiln_explain::topics::box_regression::smooth_l1;
    // 0.5 x^2 below 1, |x| - 0.5 beyond; with beta 1/9, 4.5 x^2 and |x| - 1/18.
    let rows = [(0.5, 1.0, 0.125), (-2.0, 1.0, 1.5), (0.1, 1.0 / 9.0, 0.045), (1.0, 1.0 / 9.0, 17.0 / 18.0)];
    for (x, beta, expected) in rows {
        assert!((smooth_l1(x, beta) - expected).abs() < 1e-12, "{x}, {beta}");
    }
}
