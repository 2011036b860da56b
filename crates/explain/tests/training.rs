//! What the topics about training say, beside arithmetic.

#![allow(clippy::unwrap_used)]

use std::sync::{Mutex, PoisonError};

use kiln_explain::topics::{SURFACES, batch_size, optimizers, training_loop};

/// The device's random numbers, of which fresh weights are made, are shared by all threads.
static ALONE: Mutex<()> = Mutex::new(());

fn near(ours: f64, expected: f64, tolerance: f64) {
    assert!((ours - expected).abs() <= tolerance, "{ours}, not {expected}");
}

#[test]
fn three_steps_are_the_worked_ones() {
    // From 1 by the gradients 1, -0.5, 0.25, computed by an independent script.
    let expected = [
        ("SGD", [0.9, 0.95, 0.925]),
        ("momentum 0.9", [0.9, 0.86, 0.799]),
        ("Nesterov 0.9", [0.81, 0.824, 0.7441]),
        ("moving mean 0.9", [0.99, 0.986, 0.9799]),
        ("Adagrad", [0.99, 0.994472136, 0.9922899571]),
        ("RMSprop", [0.90000001, 0.9449013315, 0.9228909139]),
        ("RMSprop, centered", [0.8994962286, 0.9444410843, 0.9223844249]),
        ("Adadelta", [0.9968377382, 0.9989228680, 0.9977697929]),
        ("Adam", [0.999, 0.9987336630, 0.9983932338]),
        ("Adam, L2 of 0.01", [0.999, 0.9987221497, 0.9983686630]),
        ("AdamW, decay 0.01", [0.99899, 0.9987136731, 0.9983632568]),
        ("Adamax", [0.998, 0.9975785259, 0.9971274397]),
        ("NAdam", [0.9978870965, 0.9987093159, 0.9981652015]),
        ("NAdam, constant", [0.9970526316, 0.9973823588, 0.9966204417]),
        // Fewer than five gradients: averages 0.1, 0.04, 0.061 over 0.1, 0.19, 0.271, that is 1, 0.2105263, 0.2250923.
        ("RAdam", [0.9, 0.8789473684, 0.8564381433]),
        // The signs of 0.1, 0.9 * 0.01 - 0.05 and 0.9 * 0.0049 + 0.025.
        ("Lion", [0.9, 1.0, 0.9]),
    ];
    let traces = optimizers::traces();
    assert_eq!(traces.len(), expected.len());
    for ((name, _, ours), (expected_name, expected)) in traces.iter().zip(expected) {
        assert_eq!(*name, expected_name);
        ours.iter().zip(expected).for_each(|(ours, expected)| near(*ours, expected, 6e-11));
    }
}

#[test]
fn surfaces_have_the_slopes_that_their_values_have() {
    for surface in &SURFACES {
        for place in [surface.start, [0.3, -0.7], [-1.1, 1.6]] {
            for axis in 0..2 {
                let at = |step: f64| {
                    let mut place = place;
                    place[axis] += step;
                    (surface.value)(place)
                };
                let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
                near((surface.gradient)(place)[axis], difference, 1e-6 * difference.abs().max(1.0));
            }
        }
    }
    // Their lowest places: (1, 1); y of sqrt 2, where -2 + 4/4 is -1; the middle.
    let lowest = [[1.0, 1.0], [0.0, 2f64.sqrt()], [0.0, 0.0]];
    for ((surface, place), expected) in SURFACES.iter().zip(lowest).zip([0.0, -1.0, 0.0]) {
        near((surface.value)(place), expected, 1e-14);
    }
}

#[test]
fn an_epoch_has_the_steps_of_the_formula() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // 1000 / 100; 1000 / 300 rounded up, or down; 10 batches in threes.
    let expected: [(usize, &[usize]); 4] =
        [(10, &[100; 10]), (4, &[300, 300, 300, 100]), (3, &[300; 3]), (4, &[300, 300, 300, 100])];
    let counted = training_loop::counted();
    assert_eq!(counted.len(), expected.len());
    for (way, (steps, items)) in counted.iter().zip(expected) {
        assert_eq!((way.steps, &way.items[..]), (steps, items));
    }
}

#[test]
fn a_short_batch_counts_by_its_images() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let [[whole, _], rest @ ..] = training_loop::epoch_losses([1000, 100, 300, 333]);
    for ((batch, even), [of_batches, of_images]) in [(100, true), (300, false), (333, false)].iter().zip(rest)
    {
        near(of_images, whole, 1e-5);
        // The mean of means is that of all images only where batches are even.
        assert_eq!((of_batches - whole).abs() < 1e-5, *even, "{batch}: {of_batches}, {whole}");
    }
}

#[test]
fn batches_vary_by_the_formulas() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for spread in training_loop::spreads(0) {
        for [measured, formula] in [spread.with, spread.without] {
            near(measured / formula, 1.0, 0.15);
        }
    }
}

#[test]
fn gathered_and_resumed_runs_are_the_run() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runs = training_loop::repeated(0);
    assert_eq!(runs.iter().map(|run| run.steps).collect::<Vec<_>>(), [15, 15, 15, 15, 60]);
    assert_eq!([runs[1].distance, runs[2].distance], [0.0, 0.0]);
    assert!(runs[3].distance < 1e-5, "{}", runs[3].distance);
    assert!(runs[4].distance > 1e-3, "{}", runs[4].distance);
}

#[test]
fn gradients_vary_as_one_over_the_batch() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let points = [1, 4, 16, 64].map(|batch| [(batch as f64).ln(), batch_size::variance(batch, 200, 0).ln()]);
    near(batch_size::slope(&points), -1.0, 0.05);
    // The estimator's tr(Σ) is the variance of single examples.
    let noise = batch_size::noise(0, 0).noise();
    near(noise.value, points[0][1].exp(), 3.0 * noise.error);
}

#[test]
fn steps_and_examples_trade_as_the_equation_says() {
    // S = 20 + 240 / B: 140, 50, 27.5 steps, 280, 400, 880 examples. (140 / 20 - 1)(280 / 240 - 1) = 6 / 6; 1.5 * 2/3; 0.375 * 8/3.
    let points = [[2.0, 140.0], [8.0, 50.0], [32.0, 27.5]];
    let [steps, examples] = batch_size::fewest(&points);
    near(steps, 20.0, 1e-9);
    near(examples, 240.0, 1e-9);
    for [batch, taken] in points {
        near((taken / steps - 1.0) * (batch * taken / examples - 1.0), 1.0, 1e-9);
    }
    // A line through three points of y = 3 - 2 x.
    near(batch_size::slope(&[[0.0, 3.0], [1.0, 1.0], [4.0, -5.0]]), -2.0, 1e-12);
}
