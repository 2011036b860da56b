//! [`Overlap`] of boxes as tensors, so that a network can learn to raise it: a loss is 1 less the overlap.
//!
//! Where two edges are equal, each gets half of the gradient, so that a box that is right stays where it is. PyTorch does
//! the same.

use std::f32::consts::PI;

use burn::prelude::*;
use burn::tensor::activation::relu;
use kiln_core::Overlap;

/// What a measure divides by counts as nothing up to here, and the quotient as 0: its gradient would be no number.
const NOTHING: f32 = 1e-12;

/// The overlap of the first box of `a` with the first of `b`, of the second with the second, …
///
/// Boxes are rows of left, upper, right and lower edges. CIoU's weight α is a constant for the gradient, as its authors
/// have it.
///
/// # Shapes
/// `[num_boxes, 4]` and `[num_boxes, 4]` to `[num_boxes]`
///
/// # Panics
/// If there are not as many of both.
pub fn overlap_of_rows(overlap: Overlap, a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    assert_eq!(a.dims(), b.dims(), "boxes in pairs");
    let num_boxes = a.dims()[0];
    if num_boxes == 0 {
        return Tensor::zeros([0], &a.device());
    }
    measure(overlap, Edges::of(a), Edges::of(b)).reshape([num_boxes])
}

/// The overlap of each box of `a` with each of `b`, as [`overlap_of_rows`] has it.
///
/// # Shapes
/// `[n, 4]` and `[m, 4]` to `[n, m]`
pub fn overlap_of_all(overlap: Overlap, a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let shape = [a.dims()[0], b.dims()[0]];
    if shape.contains(&0) {
        return Tensor::zeros(shape, &a.device());
    }
    let b = Edges::of(b).map(|column| column.transpose().expand(shape));
    measure(overlap, Edges::of(a).map(|column| column.expand(shape)), b)
}

/// The edges of boxes, all of one shape.
#[derive(Clone)]
struct Edges {
    x1: Tensor<2>,
    y1: Tensor<2>,
    x2: Tensor<2>,
    y2: Tensor<2>,
}

impl Edges {
    /// `[num_boxes, 4]` to columns `[num_boxes, 1]`.
    fn of(boxes: Tensor<2>) -> Self {
        assert_eq!(boxes.dims()[1], 4, "boxes are rows of 4 numbers");
        let column = |i: usize| boxes.clone().narrow(1, i, 1);
        Self { x1: column(0), y1: column(1), x2: column(2), y2: column(3) }
    }

    fn map(self, f: impl Fn(Tensor<2>) -> Tensor<2>) -> Self {
        Self { x1: f(self.x1), y1: f(self.y1), x2: f(self.x2), y2: f(self.y2) }
    }

    /// 0 where the edges are the wrong way round; no gradient there, nor where the width is 0.
    fn width(&self) -> Tensor<2> {
        relu(self.x2.clone() - self.x1.clone())
    }

    fn height(&self) -> Tensor<2> {
        relu(self.y2.clone() - self.y1.clone())
    }

    fn area(&self) -> Tensor<2> {
        self.width() * self.height()
    }

    /// The angle whose tangent is width over height.
    fn aspect(&self) -> Tensor<2> {
        let (width, height) = (self.x2.clone() - self.x1.clone(), self.y2.clone() - self.y1.clone());
        let (w, h) = (self.width().detach(), self.height().detach());
        // π/2 of a line, 0 of a point.
        let angle = w.clone().div(h.clone().clamp_min(NOTHING)).atan();
        // The sum is 0, and its gradient the angle's: (h, -w) / (w² + h²).
        let slope = ratio(h.clone() * width - w.clone() * height, squares(w.clone(), h.clone()));
        angle + slope.clone() - slope.detach()
    }
}

fn measure(overlap: Overlap, a: Edges, b: Edges) -> Tensor<2> {
    let shared = Edges {
        x1: larger(&a.x1, &b.x1),
        y1: larger(&a.y1, &b.y1),
        x2: smaller(&a.x2, &b.x2),
        y2: smaller(&a.y2, &b.y2),
    };
    let shared = shared.area();
    let union = a.area() + b.area() - shared.clone();
    let iou = ratio(shared, union.clone());
    if overlap == Overlap::Iou {
        return iou;
    }
    let around = Edges {
        x1: smaller(&a.x1, &b.x1),
        y1: smaller(&a.y1, &b.y1),
        x2: larger(&a.x2, &b.x2),
        y2: larger(&a.y2, &b.y2),
    };
    if overlap == Overlap::Giou {
        let area = around.area();
        return iou - ratio(area.clone() - union, area);
    }
    let apart = |a: (&Tensor<2>, &Tensor<2>), b: (&Tensor<2>, &Tensor<2>)| {
        (a.0.clone() + a.1.clone() - b.0.clone() - b.1.clone()) * 0.5
    };
    let distance = squares(apart((&a.x1, &a.x2), (&b.x1, &b.x2)), apart((&a.y1, &a.y2), (&b.y1, &b.y2)));
    let diou = iou.clone() - ratio(distance, squares(around.width(), around.height()));
    if overlap == Overlap::Diou {
        return diou;
    }
    let aspect = (b.aspect() - a.aspect()).square() * (4.0 / (PI * PI));
    let (constant, iou) = (aspect.clone().detach(), iou.detach());
    diou - ratio(constant.clone(), constant - iou + 1.0) * aspect
}

fn squares(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    a.square() + b.square()
}

/// 0 where there is nothing to divide by.
fn ratio(part: Tensor<2>, whole: Tensor<2>) -> Tensor<2> {
    let nothing = whole.clone().lower_equal_elem(NOTHING);
    let quotient = part / whole.mask_fill(nothing.clone(), 1.0);
    quotient.mask_fill(nothing, 0.0)
}

/// The mean of both orders, as Burn gives all of the gradient to the first of two equals.
fn larger(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
    (a.clone().max_pair(b.clone()) + b.clone().max_pair(a.clone())) * 0.5
}

fn smaller(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
    (a.clone().min_pair(b.clone()) + b.clone().min_pair(a.clone())) * 0.5
}

#[cfg(test)]
mod tests {
    use kiln_core::BoundingBox;

    use super::*;

    const ALL: [Overlap; 4] = [Overlap::Iou, Overlap::Giou, Overlap::Diou, Overlap::Ciou];

    const A: [[f32; 4]; 5] = [
        [1.0, 2.0, 11.0, 9.0],
        [0.0, 0.0, 4.0, 2.0],
        [0.0, 0.0, 2.0, 2.0],
        [10.0, 10.0, 50.0, 30.0],
        [100.5, 40.25, 180.75, 300.5],
    ];
    const B: [[f32; 4]; 5] = [
        [5.0, 5.0, 16.0, 15.0],
        [1.0, -1.0, 3.0, 4.0],
        [3.0, 3.0, 5.0, 5.5],
        [20.0, 15.0, 40.0, 55.0],
        [90.0, 60.0, 200.0, 280.0],
    ];

    struct Row {
        overlap: Overlap,
        values: [f32; 5],
        /// Of the sum of the values, by `A` and by `B`.
        gradients: [[[f32; 4]; 5]; 2],
    }

    /// PyTorch 2.15 and torchvision 0.29.2 in 64 bits: `value = 1 - f(a, b, eps=1e-15)` with `f` of
    /// `generalized_box_iou_loss`, `distance_box_iou_loss`, `complete_box_iou_loss`; for the IoU `i / u` with
    /// `i, u = _loss_inter_union(a, b)`. Gradients by `value.sum().backward()`.
    #[rustfmt::skip]
    const EXPECTED: [Row; 4] = [
        Row {
            overlap: Overlap::Iou,
            values: [0.1538462, 0.2857143, 0.0, 0.2307692, 0.6436369],
            gradients: [
                [[0.006903353, 0.009861933, 0.02268245, 0.03451677], [0.04081633, -0.1020408, -0.04081633, 0.1020408], [0.0, 0.0, 0.0, 0.0], [0.003550296, 0.007100592, -0.003550296, 0.01183432], [-0.007075945, 0.001883038, 0.007075945, -0.001883038]],
                [[-0.01972387, -0.03353057, -0.009861933, -0.01084813], [-0.08163265, 0.04081633, 0.08163265, -0.04081633], [0.0, 0.0, 0.0, 0.0], [-0.007100592, -0.01538462, 0.007100592, -0.003550296], [0.005162224, -0.002227549, -0.005162224, 0.002227549]],
            ],
        },
        Row {
            overlap: Overlap::Giou,
            values: [-0.04615385, -0.01428571, -0.6727273, -0.04700855, 0.6018087],
            gradients: [
                [[0.02433925, 0.02011834, 0.03806706, 0.05502959], [0.1158163, -0.2020408, -0.1158163, 0.2020408], [-0.007272727, -0.01322314, 0.07272727, 0.07272727], [0.01049474, 0.0009277522, -0.01049474, 0.02294543], [-0.008481936, 0.002761526, 0.008481936, -0.002761526]],
                [[-0.0504931, -0.0591716, -0.01191321, -0.01597633], [-0.2316327, 0.08081633, 0.2316327, -0.08081633], [-0.09090909, -0.07272727, 0.02545455, 0.01322314], [-0.02098948, -0.01538462, 0.02098948, -0.008488567], [0.006187958, -0.003266759, -0.006187958, 0.003266759]],
            ],
        },
        Row {
            overlap: Overlap::Diou,
            values: [0.05105428, 0.2796167, -0.3540724, 0.1687003, 0.6433954],
            gradients: [
                [[0.01049788, 0.01450003, 0.03410377, 0.04593809], [0.03962656, -0.08984569, -0.03962656, 0.1142359], [-0.009786859, -0.01167052, 0.05429864, 0.05882353], [0.002180498, 0.0096975, -0.002180498, 0.01597225], [-0.007021141, 0.001876766, 0.007130749, -0.001886161]],
                [[-0.03114519, -0.04495189, -0.01345646, -0.01548623], [-0.08163265, 0.02713399, 0.08163265, -0.05152424], [-0.05429864, -0.05882353, 0.009786859, 0.01167052], [-0.007100592, -0.01952255, 0.007100592, -0.006147204], [0.005106754, -0.002222851, -0.005216362, 0.002232246]],
            ],
        },
        Row {
            overlap: Overlap::Ciou,
            values: [0.05100402, 0.2302852, -0.3540969, 0.1386428, 0.6430676],
            gradients: [
                [[0.01053503, 0.01444696, 0.03406661, 0.04599116], [0.05320449, -0.1170016, -0.05320449, 0.1413918], [-0.009676126, -0.01178126, 0.05418791, 0.05893426], [0.003114682, 0.007829132, -0.003114682, 0.01784062], [-0.00703512, 0.001881077, 0.007144728, -0.001890472]],
                [[-0.03118097, -0.04491253, -0.01342068, -0.01552559], [-0.1050429, 0.03649809, 0.1050429, -0.06088833], [-0.05440668, -0.0587371, 0.009894892, 0.0115841], [-0.00896896, -0.01858836, 0.00896896, -0.007081389], [0.005121241, -0.002230095, -0.005230849, 0.00223949]],
            ],
        },
    ];

    fn boxes(rows: &[[f32; 4]], device: &Device) -> Tensor<2> {
        Tensor::<1>::from_floats(rows.as_flattened(), device).reshape([rows.len(), 4])
    }

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    /// The measures, and the gradients of their sum.
    fn learned(overlap: Overlap, a: &[[f32; 4]], b: &[[f32; 4]]) -> [Vec<f32>; 3] {
        let device = Device::flex().autodiff();
        let [a, b] = [a, b].map(|rows| boxes(rows, &device).require_grad());
        let values = overlap_of_rows(overlap, a.clone(), b.clone());
        let gradients = values.clone().sum().backward();
        let of = |boxes: Tensor<2>| numbers(boxes.grad(&gradients).expect("boxes are learned"));
        [numbers(values), of(a), of(b)]
    }

    #[test]
    fn measures_and_gradients_are_torchvisions() {
        for Row { overlap, values, gradients } in EXPECTED {
            let expected = [&values[..], gradients[0].as_flattened(), gradients[1].as_flattened()];
            for (found, expected) in learned(overlap, &A, &B).iter().zip(expected) {
                for (found, expected) in found.iter().zip(expected) {
                    assert!((found - expected).abs() < 3e-6, "{overlap:?}: {found}, {expected}");
                }
            }
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        // α is a constant for the gradient, so CIoU's differences are those of DIoU less α v.
        for overlap in [Overlap::Iou, Overlap::Giou, Overlap::Diou] {
            let [_, by_a, _] = learned(overlap, &A, &B);
            for (at, found) in by_a.iter().enumerate() {
                let (row, edge) = (at / 4, at % 4);
                let step = 0.02f32;
                let moved = |by: f32| {
                    let mut a = A[row];
                    a[edge] += by;
                    overlap.of(&BoundingBox::from_xyxy(a), &BoundingBox::from_xyxy(B[row]))
                };
                let expected = (moved(step) - moved(-step)) / (2.0 * step);
                assert!((found - expected).abs() < 1e-4, "{overlap:?}, {row}, {edge}: {found}, {expected}");
            }
        }
    }

    #[test]
    fn all_pairs_are_the_measures_of_plain_boxes() {
        let device = Device::flex();
        let [a, b] = [&A[..], &B[..3]]
            .map(|rows| rows.iter().map(|row| BoundingBox::from_xyxy(*row)).collect::<Vec<_>>());
        for overlap in ALL {
            let found = overlap_of_all(overlap, boxes(&A, &device), boxes(&B[..3], &device));
            assert_eq!(found.dims(), [5, 3]);
            for (found, expected) in numbers(found).into_iter().zip(overlap.of_all(&a, &b)) {
                assert!((found - expected).abs() < 2e-6, "{overlap:?}: {found}, {expected}");
            }
        }
        let none = overlap_of_all(Overlap::Ciou, boxes(&A, &device), boxes(&[], &device));
        assert_eq!(none.dims(), [5, 0]);
        assert_eq!(overlap_of_rows(Overlap::Giou, boxes(&[], &device), boxes(&[], &device)).dims(), [0]);
    }

    #[test]
    fn boxes_without_area_and_distance_have_gradients_that_are_numbers() {
        let unit = [0.0, 0.0, 1.0, 1.0];
        let (point, line, inverted) = ([0.5; 4], [0.0, 0.5, 1.0, 0.5], [1.0, 1.0, 0.0, 0.0]);
        let a = [point, point, line, line, line, inverted, unit, point];
        let b = [point, unit, unit, point, line, unit, unit, [9.0; 4]];
        let plain = |i: usize| (BoundingBox::from_xyxy(a[i]), BoundingBox::from_xyxy(b[i]));
        for overlap in ALL {
            let [values, by_a, by_b] = learned(overlap, &a, &b);
            for (i, found) in values.into_iter().enumerate() {
                let expected = overlap.of(&plain(i).0, &plain(i).1);
                assert!((found - expected).abs() < 1e-6, "{overlap:?}, {i}: {found}, {expected}");
            }
            for gradient in by_a.iter().chain(&by_b) {
                assert!(gradient.abs() < 100.0, "{overlap:?}: {by_a:?}, {by_b:?}");
            }
            // A box that is right stays where it is.
            assert_eq!(by_a[6 * 4..7 * 4], [0.0; 4], "{overlap:?}");
        }
    }
}
