//! The worked numbers of the literature that are no layer's.

#![allow(clippy::unwrap_used)]

use kiln_explain::topics::{ThreeLayers, WORKED};

fn near(ours: f64, expected: f64, tolerance: f64) {
    assert!((ours - expected).abs() < tolerance, "{ours}, not {expected}");
}

fn all_near<'a>(ours: impl IntoIterator<Item = &'a f64>, expected: &[f64], tolerance: f64) {
    let ours: Vec<f64> = ours.into_iter().copied().collect();
    assert_eq!(ours.len(), expected.len());
    ours.iter().zip(expected).for_each(|(ours, expected)| near(*ours, *expected, tolerance));
}

#[test]
fn three_layers_have_the_worked_numbers() {
    // M. Mazur, reproduced by an independent script.
    let [x, target] = WORKED;
    let mut network = ThreeLayers::worked();
    let passed = network.pass(&x, &target);
    all_near(&passed.hidden, &[0.5932699921, 0.5968843783], 1e-10);
    all_near(&passed.output, &[0.7513650696, 0.7729284653], 1e-10);
    near(passed.loss, 0.29837110876, 1e-11);
    all_near(&passed.deltas[0], &[0.1384985616, -0.0380982365], 1e-10);
    all_near(&passed.deltas[1], &[0.00877135469, 0.00995425471], 1e-11);
    let of_output = [0.08216704056, 0.08266762785, -0.02260254048, -0.02274024222];
    all_near(passed.gradients[0].iter().flatten(), &of_output, 1e-11);
    let of_hidden = [0.000438567734, 0.000877135469, 0.000497712735, 0.000995425471];
    all_near(passed.gradients[1].iter().flatten(), &of_hidden, 1e-12);
    for (hand, tensors) in passed.gradients.iter().zip(network.differentiated(&x, &target)) {
        all_near(hand.iter().flatten(), &tensors.concat(), 1e-15);
    }

    network.step(&passed, 0.5, false);
    let hidden = [0.14978071613, 0.19956143227, 0.24975114363, 0.29950228727];
    all_near(network.hidden.iter().flatten(), &hidden, 1e-11);
    let output = [0.35891647972, 0.40866618608, 0.51130127024, 0.56137012111];
    all_near(network.output.iter().flatten(), &output, 1e-11);
    near(network.pass(&x, &target).loss, 0.29102777369, 1e-11);

    for _ in 1..10_000 {
        let passed = network.pass(&x, &target);
        network.step(&passed, 0.5, false);
    }
    let passed = network.pass(&x, &target);
    near(passed.loss, 3.510187783e-5, 1e-14);
    all_near(&passed.output, &[0.0159136204, 0.9840642735], 1e-10);
}
