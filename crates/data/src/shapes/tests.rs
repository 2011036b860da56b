//! What `shapes` promises of its images and its truth.

#![allow(clippy::unwrap_used)]

use kiln_core::{BoundingBox, Truth};

use super::*;

fn shapes(split: &str, items: usize) -> Shapes {
    Shapes::new(ShapesConfig::new(split, items, 7)).unwrap()
}

fn truths(data: &Shapes) -> Vec<Truth> {
    (0..data.len()).map(|i| data.get(i).unwrap().truth).collect()
}

/// The box of a mask's pixels.
fn hull(mask: &kiln_core::Mask) -> BoundingBox {
    let corners = mask.bits.iter().enumerate().filter(|(_, bit)| **bit).flat_map(|(i, _)| {
        let (x, y) = ((i % mask.width) as f32, (i / mask.width) as f32);
        [[x, y], [x + 1.0, y + 1.0]]
    });
    BoundingBox::around(corners).expect("no mask is empty")
}

#[test]
fn an_image_is_a_function_of_seed_split_and_index() {
    let (data, again) = (shapes("train", 30), shapes("train", 50));
    // Read backwards: the order of reading does not matter.
    for i in (0..30).rev() {
        let (a, b) = (data.get(i).unwrap(), again.get(i).unwrap());
        assert_eq!(a.image, b.image);
        assert_eq!(a.truth, b.truth);
    }
}

#[test]
fn seeds_splits_and_indices_share_no_image() {
    let other_seed = Shapes::new(ShapesConfig::new("train", 100, 8)).unwrap();
    let mut images: Vec<Vec<u8>> = [shapes("train", 100), shapes("test", 100), other_seed]
        .iter()
        .flat_map(|data| (0..100).map(|i| data.get(i).unwrap().image.into_raw()).collect::<Vec<_>>())
        .collect();
    images.sort();
    images.dedup();
    assert_eq!(images.len(), 300);
}

#[test]
fn classes_are_equally_frequent_and_objects_one_to_three() {
    let truths = truths(&shapes("train", 5000));
    let mut counts = [0; 10];
    let mut objects = [0; 4];
    for truth in &truths {
        counts[truth.class.unwrap()] += 1;
        objects[truth.objects.len()] += 1;
        assert_eq!(truth.objects.last().unwrap().class, truth.class.unwrap());
    }
    // 500 each; the standard deviation of such a count is √(5000 · 0.1 · 0.9) = 21.
    assert!(counts.iter().all(|count| (500 - 4 * 21..=500 + 4 * 21).contains(count)), "{counts:?}");
    assert!(objects[0] == 0 && objects[1..].iter().all(|count| *count > 600), "{objects:?}");
}

#[test]
fn the_principal_object_is_large_and_mostly_inside() {
    for size in [32, 80] {
        let data = Shapes::new(ShapesConfig::new("train", 1000, 7).with_size(size)).unwrap();
        for i in 0..data.len() {
            let truth = data.get(i).unwrap().truth;
            let (principal, others) = truth.objects.split_last().unwrap();
            let longer =
                |object: &kiln_core::Object| object.bounding_box.width().max(object.bounding_box.height());
            // The narrowest that a shape of diameter 0.45 can look: the triangle and the crescent, 0.75 of the circle
            // around them at least, less what may hang over the border.
            assert!(longer(principal) > 0.3 * size as f32, "image {i}: {:?}", principal.bounding_box);
            assert!(others.iter().all(|other| longer(other) < 0.6 * 2.0 * 0.42 * size as f32 + 1e-3));
        }
    }
}

#[test]
fn masks_are_disjoint_and_agree_with_the_label_map() {
    for truth in truths(&shapes("train", 500)) {
        let map = truth.label_map.unwrap();
        let mut labels = vec![0; map.labels.len()];
        for object in &truth.objects {
            let mask = object.mask.as_ref().unwrap();
            assert!(mask.area() > 0);
            for (label, _) in labels.iter_mut().zip(&mask.bits).filter(|(_, bit)| **bit) {
                assert_eq!(*label, 0, "masks overlap");
                *label = object.class as u8 + 1;
            }
        }
        assert_eq!(labels, map.labels);
    }
}

#[test]
fn boxes_are_the_hulls_of_the_masks_of_uncovered_objects() {
    // Large images, so that the tips of stars and arrows, thinner than a pixel, are short beside the box.
    let data = Shapes::new(ShapesConfig::new("train", 400, 7).with_size(160)).unwrap();
    let mut seen = [0; 10];
    for truth in truths(&data) {
        let principal = truth.objects.last().unwrap();
        let (said, found) = (principal.bounding_box, hull(principal.mask.as_ref().unwrap()));
        seen[principal.class] += 1;
        // A tip of half angle α is a pixel wide at 1/(2 tan α) from its end: 0.9 pixels at the triangle's 30°, 1.1 at the 25°
        // of the arrow's barbs, 1.5 at the star's 18°; half a pixel more until the first centre is met.
        let class = Shapes::CLASS_NAMES[principal.class];
        let pointed = ["triangle", "star", "crescent", "arrow"].contains(&class);
        let slack = if pointed { 2.0 } else { 1.0 };
        let gaps = [found.x1 - said.x1, found.y1 - said.y1, said.x2 - found.x2, said.y2 - found.y2];
        assert!(gaps.iter().all(|gap| (-0.5..=slack).contains(gap)), "{class}: {said:?}, {found:?}");
    }
    assert!(seen.iter().all(|count| *count > 10), "{seen:?}");
}

#[test]
fn masks_have_the_areas_of_their_shapes() {
    let data = Shapes::new(ShapesConfig::new("train", 600, 7).with_size(96)).unwrap();
    let mut checked = [0; 10];
    for truth in truths(&data) {
        let principal = truth.objects.last().unwrap();
        let b = principal.bounding_box;
        let inside = b.x1 > 0.0 && b.y1 > 0.0 && b.x2 < 96.0 && b.y2 < 96.0;
        // From the keypoints alone: the circle's top and bottom are 2r apart, the square's corners √2·a.
        let [top, bottom] = [principal.keypoints[1], principal.keypoints[2]];
        let across = (top.x - bottom.x).hypot(top.y - bottom.y);
        let area = match Shapes::CLASS_NAMES[principal.class] {
            "circle" => std::f32::consts::PI * (across / 2.0).powi(2),
            "square" => (across / std::f32::consts::SQRT_2).powi(2),
            _ => continue,
        };
        if inside {
            let counted = principal.mask.as_ref().unwrap().area() as f32;
            assert!((counted / area - 1.0).abs() < 0.03, "{counted} pixels, area {area}");
            checked[principal.class] += 1;
        }
    }
    assert!(checked[0] > 10 && checked[1] > 10, "{checked:?}");
}

#[test]
fn keypoints_lie_on_the_box_and_say_what_covers_them() {
    let (mut hidden, mut outside) = (0, 0);
    for truth in truths(&shapes("train", 500)) {
        for (i, object) in truth.objects.iter().enumerate() {
            let [_, top, bottom] = object.keypoints[..] else { panic!("three keypoints") };
            for (point, side) in [(top, object.bounding_box.y1), (bottom, object.bounding_box.y2)] {
                assert!(!point.labelled || (point.y - side).abs() < 1e-3);
                outside += u32::from(!point.labelled);
            }
            for point in object.keypoints.iter().filter(|point| point.labelled && !point.visible) {
                // The pixel of a hidden point is a nearer object's, or borders on it.
                let near =
                    truth.objects[i + 1..].iter().filter_map(|other| other.mask.as_ref()).any(|mask| {
                        let (x, y) = (point.x as usize, point.y as usize);
                        (y.saturating_sub(1)..=y + 1)
                            .flat_map(|y| (x.saturating_sub(1)..=x + 1).map(move |x| (x, y)))
                            .any(|(x, y)| x < 32 && y < 32 && mask.bits[y * 32 + x])
                    });
                assert!(near, "nothing covers {point:?}");
                hidden += 1;
            }
        }
    }
    assert!(hidden > 50 && outside > 50, "{hidden} hidden, {outside} outside");
}

#[test]
fn mean_and_deviation_are_those_of_the_pixels() {
    let data = shapes("train", 2000);
    let (mut sums, mut squares) = ([0.0; 3], [0.0; 3]);
    for i in 0..data.len() {
        for pixel in data.get(i).unwrap().image.pixels() {
            for c in 0..3 {
                let value = f64::from(pixel.0[c]) / 255.0;
                sums[c] += value;
                squares[c] += value * value;
            }
        }
    }
    let count = (2000 * 32 * 32) as f64;
    for c in 0..3 {
        let mean = sums[c] / count;
        let std = (squares[c] / count - mean * mean).sqrt();
        println!("channel {c}: mean {mean:.4}, deviation {std:.4}");
        assert!((mean - f64::from(Shapes::MEAN[c])).abs() < 0.015, "mean {mean}");
        assert!((std - f64::from(Shapes::STD[c])).abs() < 0.015, "deviation {std}");
    }
}

#[test]
fn a_size_that_cannot_be_drawn_is_an_error() {
    let error = Shapes::new(ShapesConfig::new("train", 1, 0).with_size(8)).unwrap_err();
    assert!(error.to_string().contains("8x8"), "{error}");
}

/// Softmax regression on raw pixels by stochastic gradient descent; its accuracy on `test`.
fn linear_accuracy(train: &Shapes, test: &Shapes) -> [f64; 2] {
    const PIXELS: usize = 3 * 32 * 32;
    let read = |data: &Shapes| -> Vec<(Vec<f32>, usize)> {
        let image = |i| {
            let sample = data.get(i).unwrap();
            let pixels = sample.image.into_raw().iter().map(|byte| f32::from(*byte) / 127.5 - 1.0).collect();
            (pixels, sample.truth.class.unwrap())
        };
        (0..data.len()).map(image).collect()
    };
    let (train, test) = (read(train), read(test));
    let mut weights = vec![[0f32; 10]; PIXELS + 1];
    let probabilities = |weights: &[[f32; 10]], pixels: &[f32]| {
        let mut logits = weights[PIXELS];
        for (pixel, row) in pixels.iter().zip(weights) {
            (0..10).for_each(|c| logits[c] += pixel * row[c]);
        }
        let most = logits.iter().copied().fold(f32::MIN, f32::max);
        let exponentials = logits.map(|logit| (logit - most).exp());
        let sum: f32 = exponentials.iter().sum();
        exponentials.map(|e| e / sum)
    };
    for epoch in 0..12 {
        let rate = 0.002 / (1.0 + epoch as f32);
        for (pixels, class) in &train {
            let mut gradient = probabilities(&weights, pixels);
            gradient[*class] -= 1.0;
            for (pixel, row) in pixels.iter().chain([&1.0]).zip(&mut weights) {
                (0..10).for_each(|c| row[c] -= rate * gradient[c] * pixel);
            }
        }
    }
    let accuracy = |data: &[(Vec<f32>, usize)]| {
        let right = data.iter().filter(|(pixels, class)| {
            let p = probabilities(&weights, pixels);
            (0..10).max_by(|a, b| p[*a].total_cmp(&p[*b])) == Some(*class)
        });
        right.count() as f64 / data.len() as f64
    };
    [accuracy(&train), accuracy(&test)]
}

#[test]
fn a_linear_classifier_does_badly() {
    let [on_train, on_test] = linear_accuracy(&shapes("train", 2000), &shapes("test", 1000));
    println!("linear classifier: {on_train:.3} on its training images, {on_test:.3} on others");
    assert!(on_test < 0.4, "a linear classifier reaches {on_test}");
    assert!(on_train > 0.2, "it has not learned at all: {on_train}");
}
