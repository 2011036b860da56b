//! How much two boxes have in common: the IoU and what was added to it so that boxes apart can learn too.

use std::f32::consts::PI;

use crate::BoundingBox;

/// A measure of two boxes, 1 where they are equal.
///
/// Boxes without area share nothing with any box; what a measure divides by a size of 0 is 0, never no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Intersection over union, from 0.
    Iou,
    /// Less the empty share of the smallest box around both, from -1 (Rezatofighi et al. 2019, "Generalized intersection
    /// over union", Algorithm 1).
    Giou,
    /// IoU less the squared distance of the centres over the squared diagonal of the smallest box around both, from -1
    /// (Zheng et al. 2020, "Distance-IoU loss", Equation 7).
    Diou,
    /// DIoU less the difference in aspect, weighted (same paper, Equations 8 to 11).
    Ciou,
}

impl Overlap {
    /// The measure of two boxes.
    #[inline]
    pub fn of(self, a: &BoundingBox, b: &BoundingBox) -> f32 {
        let shared = intersection(a, b);
        let union = a.area() + b.area() - shared;
        let iou = ratio(shared, union);
        if self == Self::Iou {
            return iou;
        }
        let around =
            BoundingBox { x1: a.x1.min(b.x1), y1: a.y1.min(b.y1), x2: a.x2.max(b.x2), y2: a.y2.max(b.y2) };
        let squared = |[x, y]: [f32; 2]| x * x + y * y;
        let ([ax, ay], [bx, by]) = (a.centre(), b.centre());
        let diou = iou - ratio(squared([ax - bx, ay - by]), squared([around.width(), around.height()]));
        match self {
            Self::Iou => iou,
            Self::Giou => iou - ratio(around.area() - union, around.area()),
            Self::Diou => diou,
            Self::Ciou => {
                let angle = |b: &BoundingBox| b.width().atan2(b.height());
                let aspect = 4.0 / (PI * PI) * (angle(b) - angle(a)).powi(2);
                diou - ratio(aspect, 1.0 - iou + aspect) * aspect
            }
        }
    }

    /// The measures of the first box of `a` and the first of `b`, of the second and the second, …
    ///
    /// # Panics
    /// If there are not as many of both.
    pub fn of_rows(self, a: &[BoundingBox], b: &[BoundingBox]) -> Vec<f32> {
        assert_eq!(a.len(), b.len(), "boxes in pairs");
        a.iter().zip(b).map(|(a, b)| self.of(a, b)).collect()
    }

    /// The measures of each box of `a` with each of `b`: a row for each of `a`, one after the other.
    pub fn of_all(self, a: &[BoundingBox], b: &[BoundingBox]) -> Vec<f32> {
        a.iter().flat_map(|a| b.iter().map(move |b| self.of(a, b))).collect()
    }
}

/// The area that two boxes share.
fn intersection(a: &BoundingBox, b: &BoundingBox) -> f32 {
    let shared =
        BoundingBox { x1: a.x1.max(b.x1), y1: a.y1.max(b.y1), x2: a.x2.min(b.x2), y2: a.y2.min(b.y2) };
    shared.area()
}

/// 0 where there is nothing to divide by.
fn ratio(part: f32, whole: f32) -> f32 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two boxes; IoU, GIoU, DIoU, CIoU. Arithmetic for the first: 25 shared of 175; 50 of 225 empty; centres 50 apart and a
    /// diagonal of 450, both squared; both are squares. The others are the formulas, computed in 64 bits.
    const EXPECTED: [([f32; 4], [f32; 4], [f32; 4]); 5] = [
        (
            [0.0, 0.0, 10.0, 10.0],
            [5.0, 5.0, 15.0, 15.0],
            [
                25.0 / 175.0,
                25.0 / 175.0 - 50.0 / 225.0,
                25.0 / 175.0 - 50.0 / 450.0,
                25.0 / 175.0 - 50.0 / 450.0,
            ],
        ),
        ([0.0, 0.0, 4.0, 2.0], [1.0, 0.0, 3.0, 4.0], [0.333_333_3, 0.083_333_3, 0.302_083_3, 0.268_331_7]),
        ([0.0, 0.0, 2.0, 2.0], [3.0, 3.0, 5.0, 5.0], [0.0, -0.68, -0.36, -0.36]),
        (
            [10.0, 10.0, 50.0, 30.0],
            [20.0, 15.0, 40.0, 55.0],
            [0.230_769_2, -0.047_008_5, 0.168_700_3, 0.138_642_8],
        ),
        ([3.0, 4.0, 10.0, 9.0], [3.0, 4.0, 10.0, 9.0], [1.0; 4]),
    ];

    const ALL: [Overlap; 4] = [Overlap::Iou, Overlap::Giou, Overlap::Diou, Overlap::Ciou];

    #[test]
    fn measures_are_those_of_the_formulas_either_way_round() {
        for (a, b, expected) in EXPECTED {
            let (a, b) = (BoundingBox::from_xyxy(a), BoundingBox::from_xyxy(b));
            for (overlap, expected) in ALL.into_iter().zip(expected) {
                for found in [overlap.of(&a, &b), overlap.of(&b, &a)] {
                    assert!(
                        (found - expected).abs() < 2e-7,
                        "{overlap:?} of {a:?}, {b:?}: {found}, {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn boxes_without_area_have_measures_that_are_numbers() {
        let unit = BoundingBox::from_xyxy([0.0, 0.0, 1.0, 1.0]);
        let point = BoundingBox::from_xyxy([0.5; 4]);
        let line = BoundingBox::from_xyxy([0.0, 0.5, 1.0, 0.5]);
        // A point in the middle: nothing is shared, nothing is empty, the centres are the same. Its aspect is atan 0 = 0 against π/4: v = 4/π² (π/4)² = 1/4, α = v / (1 + v) = 1/5.
        let found = ALL.map(|overlap| overlap.of(&point, &unit));
        assert_eq!(found, [0.0, 0.0, 0.0, -0.05]);
        // A line is as wide as can be: atan ∞ = π/2, the same difference.
        assert_eq!(ALL.map(|overlap| overlap.of(&line, &unit)), [0.0, 0.0, 0.0, -0.05]);
        assert_eq!(ALL.map(|overlap| overlap.of(&point, &point)), [0.0; 4]);
    }

    #[test]
    fn rows_and_all_pairs_are_in_order() {
        let at = |x: f32| BoundingBox::from_xywh([x, 0.0, 2.0, 1.0]);
        let (a, b) = ([at(0.0), at(1.0)], [at(0.0), at(1.0), at(9.0)]);
        // Moved by half a width: 1 shared of 3.
        let third = 1.0 / 3.0;
        assert_eq!(Overlap::Iou.of_all(&a, &b), [1.0, third, 0.0, third, 1.0, 0.0]);
        assert_eq!(Overlap::Iou.of_rows(&a, &b[1..]), [third, 0.0]);
    }
}
