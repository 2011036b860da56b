//! Pools against worked numbers and PyTorch, what they give and the gradients of it.

#![allow(clippy::unwrap_used)]

use burn::prelude::*;
use burn::tensor::{DType, Tolerance};
use kiln_core::BoundingBox;
use kiln_nn::*;

/// The window of the worked numbers.
const WINDOW: [[[[f64; 2]; 2]; 1]; 1] = [[[[1.0, 2.0], [5.0, 6.0]]]];

fn device() -> Device {
    Device::flex().autodiff()
}

fn exact<const D: usize>(data: impl Into<TensorData>, device: &Device) -> Tensor<D> {
    Tensor::from_data(data.into(), (device, DType::F64))
}

fn near<const D: usize>(ours: Tensor<D>, expected: &[f64], tolerance: f64) {
    let expected = TensorData::new(expected.to_vec(), ours.dims());
    ours.into_data().assert_approx_eq(&expected, Tolerance::<f64>::absolute(tolerance));
}

fn reduced(reduce: Reduce) -> WindowPool2d {
    WindowPool2dConfig::new(reduce, [2, 2]).init()
}

/// A test's pool by its name, over the one window.
type Row = (&'static str, fn(Tensor<4>) -> Tensor<4>, f64);

#[test]
fn the_worked_window_gives_the_worked_numbers() {
    // Of [[1, 2], [5, 6]], computed by an independent script.
    let rows: [Row; 10] = [
        ("maximum", |x| max_pool(2, 2).init().forward(x), 6.0),
        ("mean", |x| AvgPool2dConfig::new([2, 2]).init().forward(x), 3.5),
        ("sum", |x| reduced(Reduce::Sum).forward(x), 14.0),
        ("norm of power 2", |x| reduced(Reduce::Norm { p: 2.0 }).forward(x), 8.12403840),
        ("root mean square", |x| reduced(Reduce::PowerAverage { p: 2.0 }).forward(x), 4.06201920),
        ("mixed", |x| reduced(Reduce::Mixed { share: 0.5 }).forward(x), 4.75),
        ("soft", |x| reduced(Reduce::Soft).forward(x), 5.65911374),
        ("log-sum-exp", |x| reduced(Reduce::LogSumExp { r: 1.0 }).forward(x), 4.94511725),
        (
            "stochastic, evaluation",
            |x| StochasticPool2dConfig::new([2, 2]).init().forward(x, &mut Draws::new(0)),
            4.71428571,
        ),
        (
            "random mixed, evaluation",
            |x| RandomMixedPool2dConfig::new([2, 2]).init().forward(x, &mut Draws::new(0)),
            4.75,
        ),
    ];
    for (name, pool, expected) in rows {
        let ours = pool(exact(WINDOW, &Device::flex())).into_scalar::<f64>();
        assert!((ours - expected).abs() < 1e-8, "{name}: {ours}, not {expected}");
    }
    // The learned power is a 32-bit number.
    let layer = GemPoolConfig::new().init(&Device::flex());
    near(layer.forward(Tensor::from_data(WINDOW, &Device::flex())), &[4.43952001], 1e-5);
    let layer = MixedPool2dConfig::new([2, 2]).init(&Device::flex());
    near(layer.forward(Tensor::from_data(WINDOW, &Device::flex())), &[4.75], 1e-6);
    let layer = GatedPool2dConfig::new([2, 2]).init(&Device::flex());
    near(layer.forward(Tensor::from_data(WINDOW, &Device::flex())), &[4.75], 1e-6);
}

#[test]
fn four_windows_of_the_numbers_to_sixteen() {
    let device = Device::flex();
    let x = || Tensor::<1, Int>::arange(1..17, &device).float().reshape([1, 1, 4, 4]);
    near(max_pool(2, 2).init().forward(x()), &[6.0, 8.0, 14.0, 16.0], 0.0);
    near(AvgPool2dConfig::new([2, 2]).init().forward(x()), &[3.5, 5.5, 11.5, 13.5], 0.0);
    near(reduced(Reduce::Sum).forward(x()), &[14.0, 22.0, 46.0, 54.0], 0.0);
}

#[test]
fn gradients_go_where_the_values_came_from() {
    // Pinard's example: gradients [[2, 8], [4, 6]], maxima at the corners named in the comments.
    let x = Tensor::<4>::from_data(
        [[[[9., 1., 0., 1.], [1., 1., 1., 7.], [0., 5., 2., 1.], [1., 2., 6., 0.]]]],
        &device(),
    );
    let gradients = Tensor::<4>::from_data([[[[2.0, 8.0], [4.0, 6.0]]]], &device());
    let of = |pool: &dyn Fn(Tensor<4>) -> Tensor<4>| {
        let x = x.clone().require_grad();
        x.grad(&(pool(x.clone()) * gradients.clone()).sum().backward()).unwrap()
    };
    // Upper left, lower right, upper right, lower left.
    let expected = [2., 0., 0., 0., 0., 0., 0., 8., 0., 4., 0., 0., 0., 0., 6., 0.];
    near(of(&|x| max_pool(2, 2).init().forward(x)), &expected, 0.0);
    near(of(&|x| AdaptiveMaxPool2dConfig::new([2, 2]).init().forward(x)), &expected, 0.0);
    let expected = [0.5, 0.5, 2., 2., 0.5, 0.5, 2., 2., 1., 1., 1.5, 1.5, 1., 1., 1.5, 1.5];
    near(of(&|x| AvgPool2dConfig::new([2, 2]).init().forward(x)), &expected, 0.0);
    near(of(&|x| reduced(Reduce::Sum).forward(x)), &expected.map(|one| 4.0 * one), 0.0);
    // Half of each.
    let x = exact::<4>(WINDOW, &device()).require_grad();
    let y = reduced(Reduce::Mixed { share: 0.5 }).forward(x.clone());
    near(x.grad(&y.sum().backward()).unwrap(), &[0.125, 0.125, 0.125, 0.625], 1e-12);
    // SoftPool's is w (1 + a - y), w being the softmax: y = 5.65911374.
    let y = reduced(Reduce::Soft).forward(x.clone());
    let weights = [1.0f64, 2.0, 5.0, 6.0].map(|a| (a - 6.0).exp());
    let sum: f64 = weights.iter().sum();
    let expected: Vec<f64> =
        weights.iter().zip([1.0, 2.0, 5.0, 6.0]).map(|(w, a)| w / sum * (1.0 + a - 5.65911374)).collect();
    near(x.grad(&y.sum().backward()).unwrap(), &expected, 1e-8);
    // The norm's is (a / y)^(p - 1).
    let y = reduced(Reduce::Norm { p: 3.0 }).forward(x.clone());
    let length = (1.0f64 + 8.0 + 125.0 + 216.0).cbrt();
    let expected = [1.0, 2.0, 5.0, 6.0].map(|a: f64| (a / length).powi(2));
    near(x.grad(&y.sum().backward()).unwrap(), &expected, 1e-12);
    // Windows of zeros: no slope, and a number.
    let zeros = exact::<4>([[[[0.0, 0.0], [0.0, 0.0]]]], &device()).require_grad();
    let y = reduced(Reduce::Norm { p: 2.0 }).forward(zeros.clone());
    near(zeros.grad(&y.sum().backward()).unwrap(), &[0.0; 4], 0.0);
}

#[test]
fn windows_that_overlap_add_their_gradients() {
    // AlexNet's pool, three pixels every two: the middle one is the maximum of both windows.
    let x = Tensor::<4>::from_data([[[[1.0, 2.0, 9.0, 3.0, 4.0]; 3]]], &device()).require_grad();
    let y = max_pool(3, 2).init().forward(x.clone());
    assert_eq!(y.dims(), [1, 1, 1, 2]);
    let gradient = x.grad(&y.sum().backward()).unwrap();
    assert_eq!(gradient.sum().into_scalar::<f32>(), 2.0);
}

/// The images of the rows from PyTorch: `(i % 7) * 1.3 + (i % 11) * 0.37 + 0.1`.
fn images(sides: [usize; 4]) -> Tensor<4> {
    let values = (0..sides.iter().product()).map(|i| (i % 7) as f64 * 1.3 + (i % 11) as f64 * 0.37 + 0.1);
    exact::<4>(TensorData::new(values.collect::<Vec<f64>>(), sides), &device()).require_grad()
}

/// Values, and of the gradient of the sum of `(i + 1) y_i` the sum weighted by `3 j % 11 - 4`, and the plain sum.
fn check<const D: usize>(x: Tensor<4>, y: Tensor<D>, gradient: [f64; 2], values: &[f64]) {
    near(y.clone(), values, 2e-6);
    let counted = |modulus: i64, factor: i64, count: usize| {
        let numbers = (0..count as i64).map(|i| (factor * i % modulus) as f64);
        numbers.collect::<Vec<f64>>()
    };
    let weights: Vec<f64> = counted(i64::MAX, 1, values.len()).iter().map(|i| i + 1.0).collect();
    let weights = exact::<D>(TensorData::new(weights, y.dims()), &device());
    let ours: Vec<f64> = x.grad(&(y * weights).sum().backward()).unwrap().into_data().iter().collect();
    let weighted = ours.iter().zip(counted(11, 3, ours.len())).map(|(one, weight)| one * (weight - 4.0));
    let found = [weighted.sum::<f64>(), ours.iter().sum()];
    for (found, expected) in found.into_iter().zip(gradient) {
        assert!(
            (found - expected).abs() < 2e-6 * (1.0 + expected.abs()),
            "gradient: {found}, not {expected}"
        );
    }
}

#[test]
#[rustfmt::skip]
fn windows_are_pytorchs() {
    // torch.nn.functional.lp_pool2d, adaptive_max_pool2d; SoftPool as its authors write it, avg_pool2d(x e^x) / avg_pool2d(e^x).
    let x = || images([1, 1, 5, 6]);
    let one = x();
    let pool = WindowPool2dConfig::new(Reduce::Norm { p: 3.0 }, [3, 2]).with_strides([2, 1]).init();
    check(one.clone(), pool.forward(one), [83.645207, 86.938994], &[12.693059, 9.265133, 7.947246, 10.740401, 12.287645, 13.956231, 15.505172, 14.343789, 10.369656, 7.620427]);
    let one = x();
    check(one.clone(), reduced(Reduce::Norm { p: 2.0 }).forward(one), [34.189275, 37.836189], &[10.620424, 9.660031, 14.309119, 16.639597, 12.260155, 8.412835]);
    let one = x();
    check(one.clone(), AdaptiveMaxPool2dConfig::new([3, 4]).init().forward(one), [156.0, 78.0], &[10.12, 4.36, 7.7, 8.45, 10.12, 11.23, 7.7, 7.7, 9.56, 11.23, 9.75, 3.99]);
    let one = x();
    let pool = WindowPool2dConfig::new(Reduce::Soft, [2, 3]).init();
    check(one.clone(), pool.forward(one), [21.524701, 10.0], &[10.086809, 7.82785, 10.706231, 5.617306]);
    let one = images([1, 2, 5, 6]);
    check(one.clone(), pyramid_pool(one, &[2, 1]), [39.0, 55.0], &[10.12, 8.45, 11.23, 9.75, 9.0, 10.86, 10.3, 8.63, 11.23, 10.86]);
}

#[test]
fn the_generalized_mean_learns_its_power() {
    // cnnimageretrieval-pytorch's power to begin with, and its least value.
    let GemPoolConfig { p, epsilon } = GemPoolConfig::new();
    assert_eq!([p, epsilon], [3.0, 1e-6]);
    // avg_pool2d(x.clamp(min=1e-6).pow(p), (3, 4)).pow(1 / p), p = 2.5; the gradient of the sum by p.
    let x = Tensor::<4>::from_data(images([1, 2, 3, 4]).into_data().convert::<f32>(), &device());
    let layer = GemPoolConfig::new().with_p(2.5).init(&device());
    let y = layer.forward(x);
    near(y.clone(), &[6.111969, 6.770031], 1e-5);
    near(layer.p.val().grad(&y.sum().backward()).unwrap(), &[1.0945], 1e-4);
}

#[test]
fn a_pyramid_has_the_papers_windows_where_those_are_as_many() {
    // 13 pixels: windows of ceil(13 / n) every floor(13 / n).
    let x = Tensor::<4>::random([1, 2, 13, 13], burn::tensor::Distribution::Default, &Device::flex());
    let levels = [(6, 3, 2), (3, 5, 4), (2, 7, 6), (1, 13, 13)];
    for (n, kernel, stride) in levels {
        let windows = max_pool(kernel, stride).init().forward(x.clone());
        let ours = AdaptiveMaxPool2dConfig::new([n, n]).init().forward(x.clone());
        assert_eq!(ours.into_data(), windows.into_data(), "{n}");
    }
    // 16 + 4 + 1 = 21 and 36 + 9 + 4 + 1 = 50 values a channel.
    assert_eq!(pyramid_pool(x.clone(), &[4, 2, 1]).dims(), [1, 2 * 21]);
    assert_eq!(pyramid_pool(x, &[6, 3, 2, 1]).dims(), [1, 2 * 50]);
}

#[test]
#[rustfmt::skip]
fn regions_are_torchvisions() {
    let region = |image, edges| Region { image, bounding_box: BoundingBox::from_xyxy(edges) };
    let regions = [region(0, [0.0, 1.0, 9.0, 13.0]), region(0, [3.2, -2.0, 20.0, 8.0]), region(1, [5.0, 5.0, 5.5, 5.5])];
    // torchvision.ops.roi_pool(x, …, (2, 3), 0.5)
    let x = images([2, 2, 6, 8]);
    check(x.clone(), roi_pool(x, &regions, [2, 3], 0.5), [1467.0, 588.0], &[9.0, 9.75, 11.23, 10.86, 8.27, 4.37, 6.78, 10.12, 11.6, 6.97, 10.12, 4.55, 7.7, 10.12, 0.0, 11.23, 7.52, 0.0, 7.15, 10.49, 0.0, 11.6, 9.01, 0.0, 6.04, 6.04, 6.04, 6.04, 6.04, 6.04, 6.22, 6.22, 6.22, 6.22, 6.22, 6.22]);
    // torchvision.ops.roi_align(x, …, (2, 2), 0.5, sampling_ratio, aligned)
    type Row = (bool, Option<usize>, [f64; 2], [f64; 24]);
    let rows: [Row; 4] = [
        (false, None, [490.467333, 279.2], [6.42875, 7.4825, 7.909167, 3.441806, 4.799861, 7.47, 7.115417, 4.174306, 6.475639, 2.232247, 6.2702, 3.09148, 6.524233, 4.195083, 6.553738, 2.289247, 5.575, 6.41, 6.6875, 7.268125, 5.755, 6.59, 5.85, 6.685]),
        (false, Some(2), [490.477344, 274.0], [6.42875, 7.203477, 7.850039, 3.256289, 4.732734, 7.8225, 7.1075, 4.111094, 6.673734, 1.645219, 6.264625, 2.625688, 6.542125, 3.236297, 6.565719, 1.952563, 5.575, 6.41, 6.6875, 7.268125, 5.755, 6.59, 5.85, 6.685]),
        (true, None, [-202.7445, 267.066667], [4.89, 7.3575, 8.194722, 4.517431, 4.238889, 6.044583, 6.286667, 6.309306, 3.925853, 2.051869, 7.031553, 2.501244, 3.786278, 3.275467, 6.845671, 2.179631, 4.29625, 4.505, 4.32, 4.52875, 4.47625, 4.685, 4.5, 4.70875]),
        (true, Some(2), [-196.882031, 274.0], [4.99, 7.49707, 8.368867, 4.354063, 4.033867, 5.875, 6.225, 6.250078, 5.803953, 3.223031, 7.085516, 1.906313, 5.659625, 4.582766, 7.111891, 1.660531, 4.29625, 4.505, 4.32, 4.52875, 4.47625, 4.685, 4.5, 4.70875]),
    ];
    for (aligned, points, gradient, values) in rows {
        let x = images([2, 2, 6, 8]);
        check(x.clone(), roi_align(x, &regions, [2, 2], Align { scale: 0.5, points, aligned }), gradient, &values);
    }
}

#[test]
fn crow_weighs_places_and_channels() {
    // X_0 = [[1, 0], [2, 3]], X_1 = [[0, 4], [0, 0]]; computed by an independent script: the sums by place weights 3.85608558 and
    // 3.41829605, times log(1 / 0.75) and log(1 / 0.25).
    let x = || exact::<4>([[[[1.0, 0.0], [2.0, 3.0]], [[0.0, 4.0], [0.0, 0.0]]]], &Device::flex());
    near(crow(x()), &[1.10932669, 4.73876454], 1e-7);
    near(crow(x()) / exact([[0.28768207, 1.38629436]], &Device::flex()), &[3.85608558, 3.41829605], 1e-7);
    // A channel that sees nothing, and a map that sees nothing at all, give zeros and gradients that are numbers.
    let x = Tensor::cat(vec![x(), x().zeros_like()], 0).autodiff().require_grad();
    let y = crow(x.clone());
    near(y.clone(), &[1.10932669, 4.73876454, 0.0, 0.0], 1e-7);
    let gradient = x.grad(&y.sum().backward()).unwrap();
    assert!(gradient.into_data().iter::<f64>().all(f64::is_finite));
}

#[test]
fn regional_maxima_have_the_released_codes_squares() {
    let count = |sides: [usize; 2]| r_mac_squares(sides, 3).len();
    assert_eq!([count([7, 7]), count([14, 14]), count([24, 32]), count([32, 24])], [14, 14, 20, 20]);
    let sides = |sides| -> Vec<usize> { r_mac_squares(sides, 3).iter().map(|square| square.side).collect() };
    assert_eq!(sides([14, 14]), [vec![14], vec![9; 4], vec![7; 9]].concat());
    assert_eq!(sides([24, 32]), [vec![24; 2], vec![16; 6], vec![12; 12]].concat());
    let at = |square: Square| (square.top, square.left, square.side);
    let found: Vec<_> = r_mac_squares([7, 7], 2).into_iter().map(at).collect();
    assert_eq!(found, [(0, 0, 7), (0, 0, 4), (0, 3, 4), (3, 0, 4), (3, 3, 4)]);
    let smallest: Vec<_> = r_mac_squares([7, 7], 3).into_iter().skip(5).map(at).collect();
    let expected: Vec<_> =
        [0, 2, 4].into_iter().flat_map(|top| [0, 2, 4].map(|left| (top, left, 3))).collect();
    assert_eq!(smallest, expected);
    // The sums of the unit vectors of cnnimageretrieval-pytorch's regions, without the whole map that it adds once more.
    let x = images([1, 3, 7, 7]);
    check(x.clone(), r_mac(x, 3), [0.019607, 0.001217], &[0.578086, 0.586449, 0.567357]);
    let x = images([1, 3, 9, 5]);
    check(x.clone(), r_mac(x, 3), [-0.000894, 0.000465], &[0.580248, 0.576478, 0.575313]);
}

#[test]
fn stochastic_pooling_draws_in_proportion() {
    let pool = StochasticPool2dConfig::new([2, 2]).init();
    let x = Tensor::<4>::from_data(WINDOW, &device()).expand([1000, 100, 2, 2]);
    let drawn = pool.forward(x.clone(), &mut Draws::new(7));
    assert_eq!(drawn.clone().into_data(), pool.forward(x, &mut Draws::new(7)).into_data());
    let drawn: Vec<f32> = drawn.into_data().iter().collect();
    // 1e5 draws: a share p is met within five standard deviations, 5 sqrt(p (1 - p) / 1e5) < 0.008.
    for value in [1.0f32, 2.0, 5.0, 6.0] {
        let share = drawn.iter().filter(|one| **one == value).count() as f32 / 1e5;
        assert!((share - value / 14.0).abs() < 0.008, "{value}: {share}");
    }
    assert!(drawn.iter().all(|one| [1.0, 2.0, 5.0, 6.0].contains(one)));
    // The gradient goes to the one that was drawn; a window of zeros gives zero.
    let x =
        Tensor::<4>::from_data([[[[1.0, 2.0, 0.0, 0.0], [5.0, 6.0, 0.0, 0.0]]]], &device()).require_grad();
    let y = pool.forward(x.clone(), &mut Draws::new(1));
    let picked = y.to_data().iter::<f32>().collect::<Vec<_>>();
    assert_eq!(picked[1], 0.0);
    let gradient = x.grad(&y.narrow(3, 0, 1).sum().backward()).unwrap();
    let expected = [1.0f32, 2.0, 0.0, 0.0, 5.0, 6.0, 0.0, 0.0].map(|one| f64::from(one == picked[0]));
    near(gradient, &expected, 0.0);
}

#[test]
fn random_mixing_is_all_maxima_or_all_means() {
    let pool = RandomMixedPool2dConfig::new([2, 2]).init();
    let mut draws = Draws::new(2);
    let x = Tensor::<4>::from_data(WINDOW, &device());
    let drawn: Vec<f32> = (0..200).map(|_| pool.forward(x.clone(), &mut draws).into_scalar()).collect();
    let maxima = drawn.iter().filter(|one| **one == 6.0).count();
    assert_eq!(drawn.iter().filter(|one| **one == 3.5).count(), 200 - maxima);
    // 100 of 200, within five standard deviations of sqrt(200 / 4) = 7.1.
    assert!((65..=135).contains(&maxima), "{maxima}");
}
