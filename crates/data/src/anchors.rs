//! Anchors: the sizes of box that a detector starts from, found in a data set's own boxes.

use kiln_core::{Error, Result};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Beginnings tried; the best end counts.
const TRIES: u64 = 5;
/// Steps at most: the mean minimizes no sum of IoUs, so that sizes may go round in circles.
const STEPS: usize = 300;
/// A box can be learned from an anchor whose sides are at most this factor from its own: YOLOv5's `anchor_t`.
const REACH: f64 = 4.0;

/// Anchors and how well they fit the boxes they were found in. Sizes are `[width, height]`, in the boxes' unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Anchors {
    /// From the smallest area to the largest.
    pub sizes: Vec<[f64; 2]>,
    /// The mean of each box's IoU with the anchor that fits it best, both at the same corner.
    pub mean_iou: f64,
    /// Best possible recall: the share of boxes with an anchor whose width and height are each within a factor of 4.
    pub recall: f64,
}

impl Anchors {
    /// `count` anchors by k-means with a distance of 1 - IoU (Redmon and Farhadi 2016, "YOLO9000: Better, faster,
    /// stronger", Section 2), begun as k-means++ begins (Arthur and Vassilvitskii 2007). The same boxes and seed give
    /// the same anchors.
    ///
    /// # Errors
    /// Fewer different boxes than anchors.
    ///
    /// # Panics
    /// If no anchors are wanted, or a side is not a positive number.
    pub fn fit(boxes: &[[f64; 2]], count: usize, seed: u64) -> Result<Self> {
        let sound = |side: &f64| *side > 0.0 && side.is_finite();
        assert!(boxes.as_flattened().iter().all(sound), "a box without area");
        assert!(count > 0, "no anchors");
        let different = different(boxes);
        if different < count {
            let message = format!("{count} anchors cannot be found in boxes of {different} different sizes");
            return Err(Error::input(message).hint("fewer anchors, or more boxes"));
        }
        let ends = (0..TRIES).map(|attempt| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(attempt);
            Self::of(boxes, moved_to_means(boxes, beginning(boxes, count, &mut rng)))
        });
        // The first of equals, so that no order of evaluation matters.
        let best = ends.reduce(|best, end| if end.mean_iou > best.mean_iou { end } else { best });
        Ok(best.expect("there are tries"))
    }

    /// How well certain anchors fit boxes; 0 without boxes.
    pub fn of(boxes: &[[f64; 2]], mut sizes: Vec<[f64; 2]>) -> Self {
        sizes.sort_by(|a, b| (a[0] * a[1]).total_cmp(&(b[0] * b[1])));
        let count = boxes.len().max(1) as f64;
        let mean_iou = boxes.iter().map(|size| nearest(size, &sizes).1).sum::<f64>() / count;
        let within = |size: &[f64; 2], anchor: &[f64; 2]| {
            (0..2).all(|i| (size[i] / anchor[i]).max(anchor[i] / size[i]) < REACH)
        };
        let reached = boxes.iter().filter(|size| sizes.iter().any(|anchor| within(size, anchor))).count();
        Self { mean_iou, recall: reached as f64 / count, sizes }
    }
}

/// How many boxes there are if equal ones count once.
fn different(boxes: &[[f64; 2]]) -> usize {
    let mut bits: Vec<[u64; 2]> = boxes.iter().map(|size| size.map(f64::to_bits)).collect();
    bits.sort_unstable();
    bits.dedup();
    bits.len()
}

/// IoU of two boxes at the same corner.
fn overlap(a: &[f64; 2], b: &[f64; 2]) -> f64 {
    let shared = a[0].min(b[0]) * a[1].min(b[1]);
    shared / (a[0] * a[1] + b[0] * b[1] - shared)
}

/// The anchor that fits best, the first of equals, and its IoU.
fn nearest(size: &[f64; 2], anchors: &[[f64; 2]]) -> (usize, f64) {
    anchors
        .iter()
        .map(|anchor| overlap(size, anchor))
        .enumerate()
        .fold((0, -1.0), |best, next| if next.1 > best.1 { next } else { best })
}

/// The first is any box; each of the others is one as likely as its squared distance from those before.
fn beginning(boxes: &[[f64; 2]], count: usize, rng: &mut ChaCha8Rng) -> Vec<[f64; 2]> {
    let mut anchors = vec![boxes[rng.random_range(0..boxes.len())]];
    let mut distances = vec![f64::INFINITY; boxes.len()];
    while anchors.len() < count {
        let last = anchors[anchors.len() - 1];
        for (distance, size) in distances.iter_mut().zip(boxes) {
            *distance = distance.min((1.0 - overlap(size, &last)).powi(2));
        }
        let mut left = rng.random_range(0.0..1.0) * distances.iter().sum::<f64>();
        let drawn = distances.iter().position(|distance| {
            left -= distance;
            left < 0.0
        });
        // Rounding may leave a little beyond the last.
        anchors.push(boxes[drawn.unwrap_or_else(|| farthest(&distances))]);
    }
    anchors
}

fn farthest(distances: &[f64]) -> usize {
    let last =
        distances.iter().enumerate().fold((0, -1.0), |far, (i, d)| if *d > far.1 { (i, *d) } else { far });
    last.0
}

/// Each anchor becomes the mean of the boxes it fits best, until none of them changes sides.
fn moved_to_means(boxes: &[[f64; 2]], mut anchors: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    let mut sides = vec![usize::MAX; boxes.len()];
    for _ in 0..STEPS {
        let found: Vec<(usize, f64)> = boxes.iter().map(|size| nearest(size, &anchors)).collect();
        if found.iter().zip(&sides).all(|((side, _), old)| side == old) {
            break;
        }
        sides = found.iter().map(|(side, _)| *side).collect();
        let mut sums = vec![[0.0; 3]; anchors.len()];
        for (side, [width, height]) in sides.iter().zip(boxes) {
            let sum = &mut sums[*side];
            *sum = [sum[0] + width, sum[1] + height, sum[2] + 1.0];
        }
        for (anchor, [width, height, count]) in anchors.iter_mut().zip(sums) {
            // One that fits nothing best goes where nothing fits well.
            *anchor = match count {
                0.0 => boxes[farthest(&found.iter().map(|(_, iou)| 1.0 - iou).collect::<Vec<_>>())],
                _ => [width / count, height / count],
            };
        }
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_clusters_come_back() {
        // Nine sizes far from each other, a hundred boxes around each, symmetrically: the means are the sizes.
        let known = [
            [10, 13],
            [30, 33],
            [16, 90],
            [90, 61],
            [62, 160],
            [190, 119],
            [200, 420],
            [500, 198],
            [600, 626],
        ];
        let mut boxes = Vec::new();
        for [width, height] in known.map(|size| size.map(f64::from)) {
            for i in 0..100 {
                let by = |at: usize| 1.0 + 0.002 * (at as f64 - 4.5);
                boxes.push([width * by(i % 10), height * by(i / 10)]);
            }
        }
        for seed in 0..5 {
            let anchors = Anchors::fit(&boxes, 9, seed).expect("more boxes than anchors");
            for (found, expected) in anchors.sizes.iter().zip(known) {
                let near = |i: usize| (found[i] / f64::from(expected[i]) - 1.0).abs() < 1e-9;
                assert!(near(0) && near(1), "seed {seed}: {:?}", anchors.sizes);
            }
            assert!(anchors.mean_iou > 0.98 && anchors.recall == 1.0, "{anchors:?}");
            assert_eq!(Ok(anchors), Anchors::fit(&boxes, 9, seed));
        }
    }

    #[test]
    fn the_distance_is_one_less_the_iou_and_not_euclids() {
        // Of 10 x 10, anchors of 1 x 1 and 25 x 25: Euclid's nearest is the small one (12.7 against 21.2), but the IoU
        // is 1 / 100 with it and 100 / 625 with the large one.
        assert_eq!(nearest(&[10.0, 10.0], &[[1.0, 1.0], [25.0, 25.0]]), (1, 0.16));
        let anchors = Anchors::of(&[[10.0, 10.0], [1.0, 4.0]], vec![[25.0, 25.0], [1.0, 1.0]]);
        assert_eq!(anchors.sizes, [[1.0, 1.0], [25.0, 25.0]]);
        // 1 x 4 has 1/4 of itself in 1 x 1. Its height is not within a factor of 4; 10 x 10 is within 2.5 of 25 x 25.
        assert_eq!((anchors.mean_iou, anchors.recall), ((0.16 + 0.25) / 2.0, 0.5));
    }

    #[test]
    fn as_many_anchors_as_boxes_are_the_boxes() {
        let boxes = [[1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [8.0, 8.0], [2.0, 2.0]];
        let mut anchors = Anchors::fit(&boxes, 4, 0).expect("four sizes");
        anchors.sizes.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
        assert_eq!(anchors.sizes, [[1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [8.0, 8.0]]);
        assert_eq!(anchors.mean_iou, 1.0);
        let error = Anchors::fit(&boxes, 5, 0).expect_err("four sizes");
        assert_eq!(error.message(), "5 anchors cannot be found in boxes of 4 different sizes");
    }
}
