//! The worked numbers of the literature that are no layer's.

#![allow(clippy::unwrap_used)]

use kiln_explain::topics::adam_sins::{decayed, traced, walked};
use kiln_explain::topics::cnn_backprop::{backward, correlate, worked};
use kiln_explain::topics::ema::{averaged, half_life};
use kiln_explain::topics::linear_regions::{deep_regions, most_regions, straight_until};
use kiln_explain::topics::receptive_field::{chained, deviation, effective};
use kiln_explain::topics::{ThreeLayers, WORKED};
use kiln_graph::Side;
use kiln_nn::{Activation, Conv2dConfig, dilated, padded};

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

#[test]
fn a_convolution_by_hand_has_the_worked_gradients() {
    let [x, kernel, dy] = worked();
    assert_eq!(correlate(&x, &kernel), [[-4.0, -4.0], [-4.0, -4.0]]);
    let (dk, db, dx) = backward(&x, &kernel, &dy);
    assert_eq!(dk, [[37.0, 47.0], [67.0, 77.0]]);
    assert_eq!(db, 10.0);
    assert_eq!(dx, [[1.0, 2.0, 0.0], [3.0, 3.0, -2.0], [0.0, -3.0, -4.0]]);
}

/// A convolution of one channel.
fn window(kernel: usize, stride: usize, padding: usize) -> Conv2dConfig {
    Conv2dConfig::new([1, 1], [kernel; 2]).with_stride([stride; 2]).with_padding(padded(padding))
}

#[test]
fn fields_grow_by_the_formula() {
    // Dilations of 1, 2, 4, and on to 8, 16, 1.
    let layers = [1, 2, 4, 8, 16, 1].map(|dilation| dilated([1, 1], dilation));
    let sizes = [1, 2, 3, 4, 5, 6].map(|end| chained(&layers[..end]).size);
    assert_eq!(sizes, [3.0, 7.0, 15.0, 31.0, 63.0, 65.0]);
    // Two of 3x3 with stride 2 and padding 1: fields of 3 and 7, strides of 2 and 4.
    let two = vec![window(3, 2, 1); 2];
    assert_eq!(chained(&two[..1]), Side { size: 3.0, stride: 2.0, center: 0.0 });
    assert_eq!(chained(&two), Side { size: 7.0, stride: 4.0, center: 0.0 });
    // Inception-ResNet-v2's first and third output are centred at pixels 37 and 101: (3039 - 1) / 2 - 1482 = 37, and two strides on.
    let field = Side { size: 3039.0, stride: 32.0, center: 37.0 };
    assert_eq!((field.padding(), field.center + 2.0 * field.stride), (1482.0, 101.0));
    // Three of 3x3.
    let three = vec![window(3, 1, 1); 3];
    assert_eq!([1, 2, 3].map(|end| chained(&three[..end]).size), [3.0, 5.0, 7.0]);
    // The effective field: sqrt(2 n / 3).
    for (depth, expected) in [(5, 1.8257), (10, 2.5820), (20, 3.6515), (40, 5.1640)] {
        near(deviation(&effective(depth)), expected, 5e-5);
    }
}

#[test]
fn published_networks_see_what_is_published() {
    // The table of google-research/receptive_field: field, stride and padding of TF-Slim's networks, here along the branches that see
    // most. Of an even number of pixels TensorFlow's `SAME` puts less in front: nothing before 3 pixels every 2, 2 before 7.
    let pass = |kernel, stride| window(kernel, stride, 0);
    let same = |kernel: usize, count| vec![window(kernel, 1, kernel / 2); count];
    let resnet = |units: [usize; 4]| {
        let stem = vec![window(7, 2, 3), pass(3, 2)];
        // The last unit of a block has its stride, with padding on both sides.
        let block = |(at, count): (usize, usize)| {
            [same(3, count - 1), vec![window(3, if at < 3 { 2 } else { 1 }, 1)]].concat()
        };
        [stem, units.into_iter().enumerate().flat_map(block).collect()].concat()
    };
    let shrink = |kernel| [same(kernel, 1), vec![pass(3, 2)]].concat();
    let stem = vec![pass(3, 2), pass(3, 1), window(3, 1, 1), pass(3, 2)];
    let vgg = [2, 2, 3, 3, 3].map(|convolutions| [same(3, convolutions), vec![pass(2, 2)]].concat());
    let mobile = [2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1].map(|stride| window(3, stride, 2 - stride));
    #[rustfmt::skip]
    let rows = [
        ("alexnet_v2", [vec![pass(11, 4), pass(3, 2)], same(5, 1), vec![pass(3, 2)], same(3, 3), vec![pass(3, 2)]].concat(), 195, 64),
        ("vgg_16", vgg.concat(), 212, 90),
        ("inception_v2", [vec![window(7, 2, 2), pass(3, 2)], shrink(3), same(3, 4), shrink(3), same(3, 8), shrink(3), same(3, 4)].concat(), 699, 318),
        ("inception_v3", [stem.clone(), vec![pass(3, 1), pass(3, 2)], same(3, 6), shrink(3), same(7, 8), shrink(7), same(3, 4)].concat(), 1311, 618),
        ("inception_v4", [stem.clone(), same(7, 1), vec![pass(3, 1), pass(3, 2)], same(3, 8), shrink(3), same(7, 14), shrink(7), same(3, 6)].concat(), 2071, 998),
        ("inception_resnet_v2", [stem, vec![pass(3, 1), pass(3, 2)], same(5, 1), same(3, 20), shrink(3), same(7, 20), shrink(3), same(3, 10)].concat(), 3039, 1482),
        ("mobilenet_v1", mobile.to_vec(), 315, 126),
        ("resnet_v1_50", resnet([3, 4, 6, 3]), 483, 239),
        ("resnet_v1_101", resnet([3, 4, 23, 3]), 1027, 511),
        ("resnet_v1_152", resnet([3, 8, 36, 3]), 1507, 751),
        ("resnet_v1_200", resnet([3, 24, 36, 3]), 1763, 879),
    ];
    for (name, layers, size, padding) in rows {
        let side = chained(&layers);
        assert_eq!([side.size, side.stride, side.padding()], [size, 32, padding].map(f64::from), "{name}");
    }
}

#[test]
fn regions_are_as_many_as_the_theorems_say() {
    assert_eq!(most_regions(3, 2), 7);
    assert_eq!((1..6).map(|units| most_regions(units, 1)).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    assert_eq!(deep_regions(&[2, 2], 1), 6);
    // The sigmoid is within 0.01 of 1/2 + x/4 up to about 0.79, the hyperbolic tangent within 0.01 of x up to about 0.31.
    near(straight_until(Activation::Sigmoid, 0.01), 0.79, 0.01);
    near(straight_until(Activation::Tanh, 0.01), 0.31, 0.01);
    assert!(straight_until(Activation::Identity, 0.01).is_infinite());
}

#[test]
fn adam_walks_the_wrong_way_and_amsgrad_does_not() {
    // C = 3, alpha = 0.1, 30 000 steps.
    let last = |amsgrad| *walked(3.0, 0.1, 30_000, amsgrad).last().unwrap();
    near(last(false), 1.0, 5e-5);
    near(last(true), -0.999597, 5e-7);
    let gradients = [10.0, 0.1, 0.1, 0.1];
    all_near(&traced(&gradients, 0.1, [0.9; 2], false), &[0.9, 0.83041443, 0.77446747, 0.72672349], 1e-8);
    all_near(&traced(&gradients, 0.1, [0.9; 2], true), &[0.9, 0.83398166, 0.78362350, 0.74285139], 1e-8);
    // Decay that is decoupled is the same for every size of the gradients, whose noise moves the weight by less than two steps of 0.001; L2 is not.
    let [low, high] = [0.1, 10.0].map(|noise| decayed(noise, 1e-3, 0.1, 1000, true));
    near(low, high, 1e-6);
    near(low, (1.0f64 - 1e-4).powi(1000), 2e-3);
    // Without a gradient nothing else moves it.
    near(decayed(0.0, 1e-3, 0.1, 1000, true), (1.0f64 - 1e-4).powi(1000), 1e-12);
    let [low, high] = [0.1, 10.0].map(|noise| decayed(noise, 1e-3, 0.1, 1000, false));
    assert!(high - low > 0.4);
}

#[test]
fn moving_averages_have_the_worked_numbers() {
    let found = averaged(&[1.0, 2.0, 3.0, 4.0], 0.9);
    all_near(found.iter().map(|pair| &pair[0]), &[0.1, 0.29, 0.561, 0.9049], 1e-12);
    all_near(found.iter().map(|pair| &pair[1]), &[1.0, 1.526316, 2.070111, 2.631288], 5e-7);
    // Half of what was is left after a half-life.
    near(0.9f64.powf(half_life(0.9)), 0.5, 1e-12);
}
