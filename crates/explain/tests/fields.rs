//! What dilated layers see, what separable ones give up, and what dropout does to statistics.

use kiln_explain::topics::depthwise::distance;
use kiln_explain::topics::{paths, variance_shift};

#[test]
fn dilated_layers_have_the_worked_fields() {
    // Rates 1, 2, 4, 8, 16, 1: fields of 3, 7, 15, 31, 63, 65, without holes.
    let rates = [1, 2, 4, 8, 16, 1];
    for (count, field) in [3, 7, 15, 31, 63, 65].into_iter().enumerate() {
        let seen = paths(&rates[..=count], 71);
        let first = 35 - field / 2;
        let within = |at: usize| (first..first + field).contains(&at);
        for (row, list) in seen.iter().enumerate() {
            for (column, paths) in list.iter().enumerate() {
                assert_eq!(*paths > 0.0, within(row) && within(column), "{field}: {row}, {column}");
            }
        }
    }
    // Three of rate 2: 13 pixels wide, of which every second one is seen, in 9^3 paths.
    let seen = paths(&[2, 2, 2], 13);
    assert_eq!(seen.iter().flatten().filter(|paths| **paths > 0.0).count(), 49);
    assert_eq!(seen.iter().flatten().sum::<f64>(), 729.0);
}

#[test]
fn a_separable_layer_of_full_rank_is_the_convolution() {
    // Nine maps span all kernels of nine weights; edges of all directions are mixtures of two.
    assert!(distance(true, 9, 1) < 1e-6);
    assert!(distance(false, 2, 1) < 1e-6);
    // Fewer miss something, one map of two equally strong ones at least a tenth.
    assert!(distance(true, 8, 1) > 0.01 && distance(false, 1, 1) > 0.1);
}

#[test]
fn dropout_before_a_normalization_shifts_its_variance() {
    // v / ((c^2 + v) / q - c^2) with v = 1: q where c is 0; of c = 1 and q = 1/2, 1 / (2 / 0.5 - 1) = 1/3. 100,000 values are
    // good to a hundredth.
    for (mean, keep, expected) in [(0.0, 0.5, 0.5), (0.0, 0.9, 0.9), (1.0, 0.5, 1.0 / 3.0), (1.0, 1.0, 1.0)] {
        let found = variance_shift(mean, keep, 5);
        assert!((found - expected).abs() < 0.02, "{mean}, {keep}: {found}, not {expected}");
    }
}
