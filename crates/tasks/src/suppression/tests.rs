//! Worked numbers, torchvision's, and what must hold of any boxes.

use kiln_core::BoundingBox;

use super::{Kept, Suppression};

/// Six boxes around two objects. Their IoU: (0, 1) .836812, (0, 3) .826446, (0, 5) .736842, (1, 3) .690249, (1, 5) .736842,
/// (3, 5) .659341 and (2, 4) .663830.
const BOXES: [[f32; 4]; 6] = [
    [100.0, 100.0, 210.0, 210.0],
    [105.0, 105.0, 215.0, 215.0],
    [250.0, 250.0, 320.0, 320.0],
    [100.0, 100.0, 200.0, 200.0],
    [260.0, 255.0, 325.0, 330.0],
    [90.0, 110.0, 205.0, 220.0],
];
const SCORES: [f32; 6] = [0.9, 0.8, 0.75, 0.7, 0.6, 0.5];

/// Boxes, scores, classes.
type Scene = (Vec<BoundingBox>, Vec<f32>, Vec<usize>);

fn worked() -> Vec<BoundingBox> {
    BOXES.map(BoundingBox::from_xyxy).to_vec()
}

/// Numbers between 0 and 1 of Knuth's linear congruence, which any language computes alike.
fn random(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    }
}

/// Boxes with corners up to 80 and sides of 10 to 50, 32 different scores, three classes.
fn crowd(num_boxes: usize, seed: u64) -> Scene {
    let mut u = random(seed);
    let mut scene = Scene::default();
    for _ in 0..num_boxes {
        let [x, y] = [u() * 80.0, u() * 80.0];
        let [width, height] = [10.0 + u() * 40.0, 10.0 + u() * 40.0];
        scene.0.push(BoundingBox::from_xywh([x, y, width, height]));
        scene.1.push((u() * 32.0).floor() / 32.0);
        scene.2.push((u() * 3.0) as usize);
    }
    scene
}

fn indices(kept: &[Kept]) -> Vec<usize> {
    kept.iter().map(|kept| kept.index).collect()
}

#[test]
fn worked_scores_come_out() {
    use Suppression::*;
    let plain = |index: usize| (index, SCORES[index]);
    let table: [(Suppression, &[(usize, f32)]); 9] = [
        (Greedy { threshold: 0.5 }, &[plain(0), plain(2)]),
        (Greedy { threshold: 0.7 }, &[plain(0), plain(2), plain(4)]),
        (Greedy { threshold: 0.75 }, &[plain(0), plain(2), plain(4), plain(5)]),
        // Box 5's centre lies apart: DIoU (0, 5) is .7314, so it stays where greedy's IoU of .7368 drops it.
        (Greedy { threshold: 0.735 }, &[plain(0), plain(2), plain(4)]),
        (Distance { threshold: 0.735 }, &[plain(0), plain(2), plain(4), plain(5)]),
        // Box 4: .6 (1 - .663830); box 5: .5 (1 - .736842); then box 3 loses to 0 and 5, and box 1 to all of them.
        (
            SoftLinear { threshold: 0.3, least: 0.001 },
            &[plain(0), plain(2), (4, 0.201_702), (5, 0.131_579), (3, 0.041_386), (1, 0.010_642)],
        ),
        (
            SoftGaussian { sigma: 0.5, least: 0.001 },
            &[plain(0), plain(2), (4, 0.248_536), (1, 0.197_177), (3, 0.068_866), (5, 0.023_889)],
        ),
        // The authors' `matrix_nms` on these IoU, in 64 bits; box 5: .5 (1 - .736842), as no other takes more.
        (
            MatrixLinear { least: 0.125 },
            &[plain(0), plain(2), (4, 0.201_702_1), (5, 0.131_578_9), (1, 0.130_550_3)],
        ),
        (
            MatrixGaussian { sigma: 0.5, least: 0.0 },
            &[plain(0), plain(2), (4, 0.248_536_5), (1, 0.197_177_2), (3, 0.178_583), (5, 0.168_803_5)],
        ),
    ];
    for (suppression, expected) in table {
        let found = suppression.keep(&worked(), &SCORES);
        assert_eq!(found.len(), expected.len(), "{suppression:?}: {found:?}");
        for (found, (index, score)) in found.iter().zip(expected) {
            assert!(
                found.index == *index && (found.score - score).abs() < 1e-6,
                "{suppression:?}: {found:?}"
            );
        }
    }
}

/// torchvision 0.29.2: `nms(boxes, scores, threshold)` of `crowd(100, 1)`.
#[rustfmt::skip]
const TORCHVISION: [(f64, &[usize]); 2] = [
    (0.3, &[92, 4, 25, 30, 57, 98, 63, 72, 27, 85, 88, 69, 46, 71, 1, 90, 15, 45, 11, 61, 17, 55, 36, 22, 96, 6, 86, 7, 42, 60]),
    (0.5, &[92, 4, 25, 30, 57, 98, 43, 63, 72, 27, 80, 85, 88, 19, 21, 69, 9, 66, 0, 37, 46, 47, 51, 71, 1, 18, 67, 90, 15, 10, 20, 73, 8, 41, 64, 54, 83, 94, 3, 45, 53, 31, 61, 17, 33, 26, 55, 68, 23, 35, 74, 36, 76, 89, 39, 56, 22, 44, 49, 96, 6, 86, 7, 34, 65, 78, 42, 58, 60, 14, 48, 84, 62]),
];

/// torchvision 0.29.2: `batched_nms(boxes, scores, classes, 0.3)` of `crowd(100, 1)`.
#[rustfmt::skip]
const TORCHVISION_BY_CLASS: [usize; 58] = [92, 4, 25, 30, 32, 57, 98, 63, 72, 27, 85, 88, 19, 69, 66, 0, 40, 46, 47, 51, 71, 1, 18, 90, 15, 10, 73, 8, 64, 54, 83, 94, 45, 53, 11, 95, 17, 52, 81, 55, 97, 74, 89, 39, 44, 96, 6, 86, 34, 65, 78, 93, 42, 60, 14, 12, 84, 62];

#[test]
fn greedy_keeps_what_torchvision_keeps() {
    let (boxes, scores, classes) = crowd(100, 1);
    for (threshold, expected) in TORCHVISION {
        let kept = Suppression::Greedy { threshold }.keep(&boxes, &scores);
        assert_eq!(indices(&kept), expected, "{threshold}");
        assert!(kept.iter().all(|kept| kept.score == scores[kept.index]));
    }
    let kept = Suppression::Greedy { threshold: 0.3 }.keep_by_class(&boxes, &scores, &classes);
    assert_eq!(indices(&kept), TORCHVISION_BY_CLASS);
}

#[test]
fn what_is_kept_overlaps_no_more_and_keeps_itself() {
    for seed in 2..12 {
        let (boxes, scores, _) = crowd(60, seed);
        let suppression = Suppression::Greedy { threshold: 0.4 };
        let kept = suppression.keep(&boxes, &scores);
        let best: Vec<BoundingBox> = kept.iter().map(|kept| boxes[kept.index]).collect();
        let again = suppression.keep(&best, &kept.iter().map(|kept| kept.score).collect::<Vec<_>>());
        assert_eq!(indices(&again), (0..best.len()).collect::<Vec<_>>());
        let pairs = kiln_core::Overlap::Iou.of_all(&best, &best);
        let above = pairs.iter().filter(|iou| **iou > 0.4).count();
        assert_eq!(above, best.len(), "each with itself alone");
    }
}

#[test]
fn classes_leave_each_other_alone_in_every_way_of_suppression() {
    use Suppression::*;
    let (boxes, scores, classes) = crowd(80, 20);
    for suppression in [
        Greedy { threshold: 0.3 },
        Distance { threshold: 0.3 },
        SoftLinear { threshold: 0.3, least: 0.01 },
        SoftGaussian { sigma: 0.5, least: 0.01 },
        MatrixLinear { least: 0.01 },
        MatrixGaussian { sigma: 0.5, least: 0.01 },
    ] {
        // Far apart, the classes cannot touch, and all boxes in one pass must come to the same.
        let moved: Vec<BoundingBox> =
            boxes.iter().zip(&classes).map(|(b, class)| b.moved([1024.0 * *class as f32, 0.0])).collect();
        let apart = suppression.keep(&moved, &scores);
        let by_class = suppression.keep_by_class(&boxes, &scores, &classes);
        assert_eq!(by_class.len(), apart.len(), "{suppression:?}");
        for kept in &apart {
            let found = by_class.iter().find(|found| found.index == kept.index).expect("kept by class too");
            assert!((found.score - kept.score).abs() < 1e-4, "{suppression:?}: {found:?}, {kept:?}");
        }
        assert!(by_class.windows(2).all(|pair| pair[0].score >= pair[1].score), "{suppression:?}");
    }
}

#[test]
fn of_equal_scores_the_first_is_better() {
    use Suppression::*;
    let unit = BoundingBox::from_xywh([0.0, 0.0, 1.0, 1.0]);
    let far = unit.moved([5.0, 0.0]);
    for (suppression, expected) in [
        (Greedy { threshold: 0.5 }, vec![0, 1]),
        (Distance { threshold: 0.5 }, vec![0, 1]),
        // An equal box keeps nothing of its score linearly, 0.5 e^-2 by Gauss.
        (SoftLinear { threshold: 0.3, least: 0.001 }, vec![0, 1]),
        (SoftGaussian { sigma: 0.5, least: 0.001 }, vec![0, 1, 2, 3]),
        (MatrixLinear { least: 0.001 }, vec![0, 1]),
        (MatrixGaussian { sigma: 0.5, least: 0.001 }, vec![0, 1, 2, 3]),
    ] {
        let kept = suppression.keep(&[unit, far, unit, far], &[0.5; 4]);
        assert_eq!(indices(&kept), expected, "{suppression:?}");
        // Nothing of nothing, and a score that is no number is dropped.
        assert_eq!(suppression.keep(&[], &[]), []);
        assert_eq!(indices(&suppression.keep(&[unit, unit], &[f32::NAN, 0.5])), [1]);
    }
}

#[test]
fn a_suppression_is_named_and_its_numbers_are_checked() {
    let parsed = |text: &str| toml::from_str::<Suppression>(text);
    assert_eq!(parsed("name = 'greedy'\nthreshold = 0.45"), Ok(Suppression::Greedy { threshold: 0.45 }));
    assert!(parsed("name = 'greedy'\nsigma = 0.5").is_err());
    assert!(Suppression::MatrixGaussian { sigma: 0.5, least: 0.05 }.check().is_ok());
    for (wrong, word) in [
        (Suppression::Greedy { threshold: 1.5 }, "`threshold` is 1.5"),
        (Suppression::SoftLinear { threshold: 0.3, least: f64::NAN }, "`least` is NaN"),
        (Suppression::SoftGaussian { sigma: 0.0, least: 0.0 }, "`sigma` is 0"),
    ] {
        assert!(wrong.check().expect_err(word).to_string().contains(word));
    }
}
