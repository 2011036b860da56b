//! Dropout and its kin: the shapes of their masks, their moments within the bounds of chance, and their limits.

#![allow(clippy::unwrap_used)]

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::{DType, Tolerance};
use kiln_nn::*;

fn device() -> Device {
    Device::flex().autodiff()
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

fn moments(values: &[f64]) -> [f64; 2] {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    [mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count]
}

fn near<const D: usize>(ours: Tensor<D>, expected: &[f64], tolerance: f64) {
    let expected = TensorData::new(expected.to_vec(), ours.dims());
    ours.into_data().convert::<f64>().assert_approx_eq(&expected, Tolerance::<f64>::absolute(tolerance));
}

#[test]
fn standard_and_gaussian_dropout_keep_the_mean_and_have_the_same_variance() {
    let x = Tensor::<2>::ones([400, 1000], &device());
    for p in [0.2, 0.5] {
        let standard = PartDropoutConfig::new(p).init().forward(x.clone(), &mut Draws::new(1));
        let gaussian = GaussianDropoutConfig::new(p).init().forward(x.clone(), &mut Draws::new(2));
        for (name, y) in [("standard", standard), ("gaussian", gaussian)] {
            let [mean, variance] = moments(&values(y));
            // 4e5 draws; five standard deviations of their mean, and of their variance where the fourth moment is at most 9.
            let wanted: f64 = p / (1.0 - p);
            assert!((mean - 1.0).abs() < 5.0 * (wanted / 4e5).sqrt(), "{name} {p}: mean {mean}");
            assert!((variance - wanted).abs() < 5.0 * 3.0 / 4e5f64.sqrt(), "{name} {p}: variance {variance}");
        }
        let kept = values(PartDropoutConfig::new(p).init().forward(x.clone(), &mut Draws::new(1)));
        assert!(kept.iter().all(|one| *one == 0.0 || (one - 1.0 / (1.0 - p)).abs() < 1e-6));
    }
}

#[test]
fn nothing_drops_in_evaluation_and_a_seed_repeats_in_every_precision() {
    let x = Tensor::<4>::ones([2, 3, 8, 8], &Device::flex());
    let drop = PartDropoutConfig::new(0.5).init();
    assert_eq!(drop.forward(x.clone(), &mut Draws::new(1)).into_data(), x.clone().into_data());
    let gaussian = GaussianDropoutConfig::new(0.5).init();
    assert_eq!(gaussian.forward(x.clone(), &mut Draws::new(1)).into_data(), x.clone().into_data());
    let block = DropBlock2dConfig::new(0.5).with_block(3).init();
    assert_eq!(block.forward(x.clone(), &mut Draws::new(1)).into_data(), x.clone().into_data());
    let of = |seed, x: Tensor<4>| values(drop.dropped(x, &mut Draws::new(seed)));
    assert_eq!(of(3, x.clone()), of(3, x.clone().autodiff().cast(DType::F64)));
    assert_ne!(of(3, x.clone()), of(4, x));
    // A device's seed gives a seed.
    let seeded = |seed| {
        let device = Device::flex();
        device.seed(seed);
        Draws::of(&device).below(1 << 30)
    };
    assert_eq!(seeded(5), seeded(5));
    assert_ne!(seeded(5), seeded(6));
}

#[test]
fn parts_are_dropped_together() {
    let x = Tensor::<3>::ones([50, 40, 30], &device());
    let mask = |part| {
        values(PartDropoutConfig::new(0.4).with_part(part).init().forward(x.clone(), &mut Draws::new(9)))
    };
    let at =
        |mask: &[f64], sample: usize, step: usize, feature: usize| mask[(sample * 40 + step) * 30 + feature];
    type First = fn(usize, usize, usize) -> [usize; 3];
    let same = |mask: &[f64], of: First| {
        let all = (0..50).flat_map(|a| (0..40).flat_map(move |b| (0..30).map(move |c| [a, b, c])));
        all.into_iter().all(|[a, b, c]| {
            let [d, e, f] = of(a, b, c);
            at(mask, a, b, c) == at(mask, d, e, f)
        })
    };
    // Independent parts of each kind: 60000, 2000, 50, 1500.
    let rows: [(Part, First, f64); 4] = [
        (Part::Value, |a, b, c| [a, b, c], 60_000.0),
        (Part::Channel, |a, b, _| [a, b, 0], 2000.0),
        (Part::Sample, |a, _, _| [a, 0, 0], 50.0),
        (Part::Feature, |a, _, c| [a, 0, c], 1500.0),
    ];
    for (part, of, count) in rows {
        let mask = mask(part);
        assert!(same(&mask, of), "{part:?}");
        let stays = mask.iter().filter(|one| **one > 0.0).count() as f64 / 60_000.0;
        // Five standard deviations of a share of 0.6.
        assert!((stays - 0.6).abs() < 5.0 * (0.24f64 / count).sqrt(), "{part:?}: {stays}");
        assert!(mask.contains(&0.0) && mask.iter().any(|one| *one > 1.0), "{part:?}");
    }
}

#[test]
fn residual_blocks_survive_as_in_the_paper() {
    // 54 blocks, a network of 110 layers: the expected number is 54 - 55 / 4 = 40.25.
    let expected: f64 = (1..=54).map(|block| survival(block, 54, 0.5)).sum();
    assert!((expected - 40.25).abs() < 1e-12);
    assert_eq!(survival(54, 54, 0.5), 0.5);
}

#[test]
fn drop_block_has_the_papers_rate_and_drops_blocks() {
    // keep 0.9, blocks of 7 in 28 pixels: 0.1 / 49 * 784 / 22^2.
    let layer = DropBlock2dConfig::new(0.1).with_block(7).init();
    assert!((layer.rate([28, 28]) - 0.0033057851).abs() < 1e-10);
    let x = Tensor::<4>::ones([8, 16, 28, 28], &device());
    let y = values(layer.forward(x.clone(), &mut Draws::new(4)));
    // The sum of the factors stays; the share that is dropped is about what was asked for, less where blocks meet.
    let [mean, _] = moments(&y);
    assert!((mean - 1.0).abs() < 1e-5, "{mean}");
    let dropped = y.iter().filter(|one| **one == 0.0).count() as f64 / y.len() as f64;
    assert!((0.08..0.1).contains(&dropped), "{dropped}");
    // Every zero lies in a square of 7 zeros.
    let map = &y[..784];
    let is_zero = |row: usize, column: usize| map[row * 28 + column] == 0.0;
    let whole = |top: usize, left: usize| (0..49).all(|at| is_zero(top + at / 7, left + at % 7));
    for row in 0..28 {
        for column in (0..28).filter(|column| is_zero(row, *column)) {
            let tops = row.saturating_sub(6)..=row.min(21);
            let found =
                tops.flat_map(|top| (column.saturating_sub(6)..=column.min(21)).map(move |left| (top, left)));
            assert!(found.into_iter().any(|(top, left)| whole(top, left)), "{row}, {column}");
        }
    }
    // Blocks of one pixel are standard dropout.
    let single = DropBlock2dConfig::new(0.3).with_block(1).init();
    assert!((single.rate([28, 28]) - 0.3).abs() < 1e-12);
    let y = values(single.forward(x, &mut Draws::new(4)));
    let dropped = y.iter().filter(|one| **one == 0.0).count() as f64 / y.len() as f64;
    // 100352 draws.
    assert!((dropped - 0.3).abs() < 5.0 * (0.21f64 / 100_352.0).sqrt(), "{dropped}");
}

#[test]
fn cutout_is_a_square_that_may_reach_beyond_the_image() {
    let images = Tensor::<4>::ones([300, 2, 12, 10], &Device::flex());
    let masks = values(cutout(images, 6, &mut Draws::new(1)));
    let mut areas = Vec::new();
    for image in masks.chunks(240) {
        assert_eq!(image[..120], image[120..], "both channels");
        let zeros: Vec<[usize; 2]> =
            (0..120).filter(|at| image[*at] == 0.0).map(|at| [at / 10, at % 10]).collect();
        let ends = |side: usize| {
            let along = || zeros.iter().map(|place| place[side]);
            (along().min().unwrap(), along().max().unwrap())
        };
        let ([top, bottom], [left, right]) = (<[usize; 2]>::from(ends(0)), <[usize; 2]>::from(ends(1)));
        let (height, width) = (bottom - top + 1, right - left + 1);
        assert_eq!(zeros.len(), height * width, "a rectangle");
        assert!((3..=6).contains(&height) && (3..=6).contains(&width), "{height} x {width}");
        areas.push(zeros.len());
    }
    // Some whole, some cut off on both sides.
    assert!(areas.contains(&36) && areas.iter().any(|area| *area <= 16));
}

#[test]
fn max_drop_takes_the_largest() {
    let x = Tensor::<4>::from_data([[[[1.0, 4.0], [2.0, 3.0]], [[8.0, 5.0], [6.0, 0.5]]]], &device());
    let all = |among| values(max_drop(x.clone(), 1.0, among, &mut Draws::new(0)));
    assert_eq!(all(Among::Channel), [1.0, 0.0, 2.0, 3.0, 0.0, 5.0, 6.0, 0.5]);
    assert_eq!(all(Among::Pixel), [1.0, 4.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.5]);
    assert_eq!(values(max_drop(x.clone(), 0.0, Among::Pixel, &mut Draws::new(0))), values(x.clone()));
    let x = x.expand([2000, 2, 2, 2]);
    let zeros = values(max_drop(x, 0.3, Among::Channel, &mut Draws::new(1)))
        .iter()
        .filter(|one| **one == 0.0)
        .count();
    // 4000 maxima, 30 % of them: within five times sqrt(4000 * 0.21) = 29.
    assert!((1055..=1345).contains(&zeros), "{zeros}");
}

#[test]
fn max_pooling_dropout_gives_each_rank_its_chance() {
    let layer = MaxPoolDropout2dConfig::new(0.5, [2, 2]).init();
    assert_eq!(layer.chances(), [0.0625, 0.125, 0.25, 0.5]);
    let window = |device: &Device| Tensor::<4>::from_data([[[[5.0, 1.0], [2.0, 6.0]]]], device);
    // 0.0625 * 1 + 0.125 * 2 + 0.25 * 5 + 0.5 * 6
    near(layer.forward(window(&Device::flex()), &mut Draws::new(0)), &[4.5625], 1e-6);
    let drawn = values(layer.forward(window(&device()).expand([500, 200, 2, 2]), &mut Draws::new(3)));
    for (value, chance) in [(0.0, 0.0625), (1.0, 0.0625), (2.0, 0.125), (5.0, 0.25), (6.0, 0.5)] {
        let share = drawn.iter().filter(|one| **one == value).count() as f64 / 1e5;
        assert!((share - chance).abs() < 5.0 * (chance * (1.0 - chance) / 1e5f64).sqrt(), "{value}: {share}");
    }
    // The gradient goes through the sorting: each value gets its rank's chance.
    let x = window(&device()).require_grad();
    let sorted =
        x.clone().reshape([1, 4]).sort(1) * Tensor::from_data([[0.0625, 0.125, 0.25, 0.5]], &device());
    near(x.grad(&sorted.sum().backward()).unwrap(), &[0.25, 0.0625, 0.125, 0.5], 1e-7);
}

fn linear(weight: [[f32; 2]; 3], bias: [f32; 2], device: &Device) -> Linear {
    Linear {
        weight: Param::from_data(TensorData::from(weight), device),
        bias: Some(Param::from_data(TensorData::from(bias), device)),
    }
}

const WEIGHT: [[f32; 2]; 3] = [[0.5, -1.0], [2.0, 0.25], [-1.5, 3.0]];
const BIAS: [f32; 2] = [0.75, -0.5];

#[test]
fn drop_connect_has_the_moments_of_dropped_weights() {
    let config = DropConnectConfig::new(3, 2).with_probability(0.3).with_activation(Activation::Identity);
    let layer = DropConnect { linear: linear(WEIGHT, BIAS, &device()), ..config.init(&device()) };
    let x = || Tensor::<2>::from_data([[1.0, -2.0, 0.5]], &device());
    // 0.7 (0.5 - 4 - 0.75 + 0.75) and 0.7 (-1 - 0.5 + 1.5 - 0.5); 0.21 (0.25 + 16 + 0.5625 + 0.5625) and 0.21 (1 + 0.25 + 2.25 + 0.25).
    let [mean, variance] = layer.moments(x());
    near(mean, &[-2.45, -0.35], 1e-6);
    near(variance, &[3.64875, 0.7875], 1e-6);
    let y = values(layer.forward(x().expand([100_000, 3]), &mut Draws::new(5)));
    for (at, [mean, variance]) in [[-2.45, 3.64875], [-0.35, 0.7875]].into_iter().enumerate() {
        let column: Vec<f64> = y.iter().skip(at).step_by(2).copied().collect();
        let found = moments(&column);
        assert!((found[0] - mean).abs() < 5.0 * (variance / 1e5f64).sqrt(), "{found:?}");
        assert!((found[1] - variance).abs() < 5.0 * 3f64.sqrt() * variance / 1e5f64.sqrt(), "{found:?}");
    }
    // In evaluation the mean of the activation over a normal distribution: of ReLU, m Phi(m / s) + s phi(m / s), for -0.35 and 0.8874
    // -0.35 * 0.346641 + 0.887412 * 0.369089 = 0.206210.
    let layer = DropConnect { activation: Activation::Relu, samples: 200_000, ..layer.valid() };
    let y = values(layer.forward(x().inner(), &mut Draws::new(6)));
    assert!((y[1] - 0.206210).abs() < 0.005, "{y:?}");
}

#[test]
fn standout_keeps_what_has_more_to_say() {
    let config =
        StandoutConfig::new(3, 2).with_alpha(0.5).with_beta(0.25).with_activation(Activation::Identity);
    let layer = Standout { linear: linear(WEIGHT, BIAS, &device()), ..config.init(&device()) };
    // Sums: 0.5 + 2 - 1.5 + 0.75 = 1.75 and -1 + 0.25 + 3 - 0.5 = 1.75, of ones.
    let x = Tensor::<2>::from_data([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]], &device());
    let stays = |sum: f64| 1.0 / (1.0 + (-(0.5 * sum + 0.25)).exp());
    let sums = [1.75, 1.75, -0.75, 2.5];
    let y = layer.valid().forward(x.clone().inner(), &mut Draws::new(0));
    near(y, &sums.map(|sum| sum * stays(sum)), 1e-6);
    let many = x.narrow(0, 1, 1).expand([100_000, 3]);
    let y = values(layer.forward(many, &mut Draws::new(1)));
    for (at, sum) in [-0.75, 2.5].into_iter().enumerate() {
        let share = y.iter().skip(at).step_by(2).filter(|one| **one != 0.0).count() as f64 / 1e5;
        assert!((share - stays(sum)).abs() < 0.008, "{sum}: {share}");
    }
}

#[test]
fn zoneout_is_between_standing_still_and_moving_on() {
    let [before, after] = [0.0, 1.0].map(|value| Tensor::<2>::full([500, 200], value, &device()));
    let of =
        |probability, draws: &mut Draws| values(zoneout(before.clone(), after.clone(), probability, draws));
    assert!(of(0.0, &mut Draws::new(1)).iter().all(|one| *one == 1.0));
    assert!(of(1.0, &mut Draws::new(1)).iter().all(|one| *one == 0.0));
    let some = of(0.3, &mut Draws::new(1));
    assert!(some.iter().all(|one| *one == 0.0 || *one == 1.0));
    // 1e5 draws.
    let moved = some.iter().sum::<f64>() / 1e5;
    assert!((moved - 0.7).abs() < 5.0 * (0.21f64 / 1e5).sqrt(), "{moved}");
    let mean = zoneout(before.inner(), after.inner(), 0.3, &mut Draws::new(1));
    assert!(values(mean).iter().all(|one| (one - 0.7).abs() < 1e-6));
}

#[test]
fn variational_noise_costs_what_the_papers_say() {
    let list =
        |of: fn(Tensor<1>) -> Tensor<1>, at: [f64; 3]| values(of(Tensor::from_data(at, &Device::flex())));
    // At alpha = 1: 1.16145124 - 1.50204118 + 0.58629921; at 0.5: -0.5 * 0.69314718 + 0.58072562 - 0.37551030 + 0.07328740.
    let found = list(variational_gain, [0.0, 0.5f64.ln(), 0.1f64.ln()]);
    assert!((found[0] - 0.24570927).abs() < 1e-6 && (found[1] + 0.06807087).abs() < 1e-6, "{found:?}");
    // 0.63576 sigmoid(1.8732) - log(2) / 2 - 0.63576 at alpha = 1. It nears 0 as alpha grows.
    let found = list(sparse_gain, [0.0, 3.0, 30.0]);
    let expected = 0.63576 / (1.0 + (-1.8732f64).exp()) - 2f64.ln() / 2.0 - 0.63576;
    assert!((found[0] - expected).abs() < 1e-6 && found[0] < found[1] && found[2].abs() < 1e-6, "{found:?}");

    let mut layer = VariationalLinearConfig::new(3, 2).init(&device());
    layer.linear = linear(WEIGHT, BIAS, &device());
    // Variances of e^-1 = 0.3679: log alpha = -1 - log(w^2), above 3 for |w| < e^-2 = 0.135: none of them.
    layer.log_variance = Param::from_tensor(Tensor::full([3, 2], -1.0, &device()));
    assert_eq!(layer.sparsity(), 0.0);
    layer.log_variance = Param::from_tensor(Tensor::full([3, 2], 2.0, &device()));
    // Above 3 for |w| < e^-0.5 = 0.607: 0.5 and 0.25 of six.
    assert!((layer.sparsity() - 1.0 / 3.0).abs() < 1e-6);
    layer.log_variance = Param::from_tensor(Tensor::full([3, 2], -1.0, &device()));
    let x = Tensor::<2>::from_data([[1.0, -2.0, 0.5]], &device());
    let y = values(layer.forward(x.clone().expand([100_000, 3]), &mut Draws::new(8)));
    let first: Vec<f64> = y.iter().step_by(2).copied().collect();
    let found = moments(&first);
    // The mean is the layer's, 0.5 - 4 - 0.75 + 0.75; the variance e^-1 (1 + 4 + 0.25).
    let variance = 5.25 * (-1.0f64).exp();
    assert!((found[0] + 3.5).abs() < 5.0 * (variance / 1e5).sqrt(), "{found:?}");
    assert!((found[1] - variance).abs() < 5.0 * 2f64.sqrt() * variance / 1e5f64.sqrt(), "{found:?}");
    near(layer.valid().forward(x.inner(), &mut Draws::new(0)), &[-3.5, -0.5], 1e-6);
    assert!(layer.log_variance.val().grad(&layer.divergence().backward()).is_some());
}

#[test]
fn concrete_dropout_learns_its_probability() {
    let layer = ConcreteDropoutConfig::new().with_probability(0.3).init(&device());
    // -0.3 log 0.3 - 0.7 log 0.7
    near(layer.entropy(), &[0.610_864_3], 1e-6);
    let x = Tensor::<2>::ones([500, 200], &device());
    let y = layer.forward(x.clone(), &mut Draws::new(2));
    let list = values(y.clone());
    // Nearly standard dropout: a half is passed where the logistic noise is below -logit, with probability 0.7.
    let stays = list.iter().filter(|one| **one > 0.5 / 0.7).count() as f64 / 1e5;
    assert!((stays - 0.7).abs() < 5.0 * (0.21f64 / 1e5).sqrt(), "{stays}");
    let soft = list.iter().filter(|one| (0.01..0.99).contains(&(**one * 0.7))).count() as f64 / 1e5;
    assert!(soft < 0.25, "{soft}");
    assert!(layer.logit.val().grad(&y.square().mean().backward()).is_some());
    let plain = layer.valid().forward(x.clone().inner(), &mut Draws::new(2));
    assert_eq!(plain.into_data(), x.inner().into_data());
}

#[test]
fn many_passes_say_how_sure_a_network_is() {
    let drop = PartDropoutConfig::new(0.5).init();
    // Without gradients, and yet it drops.
    let x = Tensor::<2>::from_data([[1.0, 2.0]], &Device::flex());
    let spread = monte_carlo(4000, &mut Draws::new(1), |draws| drop.dropped(x.clone(), draws).sum_dim(1));
    // The mean is 3; the variance (1 + 4) p / (1 - p) = 5: within five standard deviations sqrt(5 / 4000) and, of two coins, 4 / sqrt 4000.
    assert!((spread.mean.into_scalar::<f64>() - 3.0).abs() < 0.18);
    assert!((spread.variance.into_scalar::<f64>() - 5.0).abs() < 0.32);
    // Two passes that contradict each other: all doubt is theirs. Two that agree on a half each: none of it.
    let said = Tensor::<3>::from_data([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]], &Device::flex());
    let found = doubt(said);
    near(found.entropy, &[2f64.ln(), 2f64.ln()], 1e-6);
    near(found.disagreement, &[2f64.ln(), 0.0], 1e-6);
}
