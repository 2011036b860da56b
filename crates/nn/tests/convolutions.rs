//! Kinds of convolutions: worked numbers, and what each of them is in terms of another.

#![allow(clippy::unwrap_used)]

use burn::module::{Module, Param};
use burn::prelude::*;
use burn::tensor::{Distribution, Tolerance};
use kiln_nn::*;

fn device() -> Device {
    Device::flex().autodiff()
}

fn random<const D: usize>(sides: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(sides, Distribution::Normal(0.0, 1.0), device)
}

fn same<const D: usize>(ours: Tensor<D>, expected: Tensor<D>) {
    ours.into_data().assert_approx_eq(&expected.into_data(), Tolerance::<f32>::rel_abs(1e-4, 1e-4));
}

fn exactly<const D: usize>(ours: Tensor<D>, expected: &[f32]) {
    let expected = TensorData::new(expected.to_vec(), ours.dims());
    ours.into_data().assert_eq(&expected, true);
}

fn kernel(config: Conv2dConfig, weight: Tensor<4>) -> Conv2d {
    let device = weight.device();
    Conv2d { weight: Param::from_tensor(weight), bias: None, ..config.init(&device) }
}

fn counted<const D: usize>(sides: [usize; D], device: &Device) -> Tensor<D> {
    let count = sides.iter().product::<usize>() as i64;
    Tensor::<1, Int>::arange(1..count + 1, device).float().reshape(sides)
}

#[test]
fn a_convolution_has_the_worked_gradients() {
    let x = counted([1, 1, 3, 3], &device()).require_grad();
    let mut conv = kernel(
        Conv2dConfig::new([1, 1], [2, 2]),
        Tensor::from_data([[[[1.0, 0.0], [0.0, -1.0]]]], &device()),
    );
    conv.bias = Some(Param::from_tensor(Tensor::zeros([1], &device())));
    let y = conv.forward(x.clone());
    exactly(y.clone(), &[-4.0; 4]);
    let gradients = (y * counted([1, 1, 2, 2], &device())).sum().backward();
    exactly(conv.weight.val().grad(&gradients).unwrap(), &[37.0, 47.0, 67.0, 77.0]);
    exactly(conv.bias.unwrap().val().grad(&gradients).unwrap(), &[10.0]);
    exactly(x.grad(&gradients).unwrap(), &[1.0, 2.0, 0.0, 3.0, 3.0, -2.0, 0.0, -3.0, -4.0]);
}

#[test]
fn one_by_one_is_a_linear_layer_at_every_pixel() {
    let conv = Conv2dConfig::new([5, 7], [1, 1]).init(&Device::flex());
    let x = random([2, 5, 4, 3], &Device::flex());
    let weight = conv.weight.val().reshape([7, 5]).transpose();
    let linear = Linear { weight: Param::from_tensor(weight), bias: conv.bias.clone() };
    same(conv.forward(x.clone()), linear.forward(x.permute([0, 2, 3, 1])).permute([0, 3, 1, 2]));
    // GoogLeNet's reduction, 28x28 pixels, 192 channels to 32 by 5x5: directly, and by way of 16 channels.
    let products = |channels: [usize; 2], side: usize| 28 * 28 * channels[0] * channels[1] * side * side;
    assert_eq!(products([192, 32], 5), 120_422_400);
    let reduced = products([192, 16], 1) + products([16, 32], 5);
    assert_eq!([products([192, 16], 1), reduced], [2_408_448, 12_443_648]);
    assert_eq!(format!("{:.2}", 120_422_400.0 / reduced as f64), "9.68");
}

#[test]
fn two_of_three_are_one_of_five_where_nothing_is_between() {
    // The kernel of both is the one laid over the other, in full; 18 weights a channel pair in place of 25, 27 in place of 49.
    let [first, second] = [random([1, 1, 3, 3], &Device::flex()), random([1, 1, 3, 3], &Device::flex())];
    let three = |weight: &Tensor<4>| kernel(Conv2dConfig::new([1, 1], [3, 3]), weight.clone());
    let full = kernel(Conv2dConfig::new([1, 1], [3, 3]).with_padding(padded(2)), second.clone().flip([2, 3]));
    let five = kernel(Conv2dConfig::new([1, 1], [5, 5]), full.forward(first.clone()));
    let x = random([2, 1, 9, 8], &Device::flex());
    same(three(&second).forward(three(&first).forward(x.clone())), five.forward(x));
    let weights = |side: usize, layers: usize| {
        let conv = conv([4, 4], side, 1).init(&Device::flex());
        layers * conv.num_params()
    };
    assert_eq!([weights(3, 2), weights(5, 1)], [18 * 16, 25 * 16]);
    assert_eq!([weights(3, 3), weights(7, 1)], [27 * 16, 49 * 16]);
}

#[test]
fn groups_are_blocks_along_the_diagonal() {
    let grouped = Conv2dConfig::new([6, 4], [3, 3]).with_groups(2).with_bias(false).init(&Device::flex());
    let weight = grouped.weight.val();
    let zeros = Tensor::zeros([2, 3, 3, 3], &Device::flex());
    let blocks = [
        Tensor::cat(vec![weight.clone().narrow(0, 0, 2), zeros.clone()], 1),
        Tensor::cat(vec![zeros, weight.narrow(0, 2, 2)], 1),
    ];
    let dense = kernel(Conv2dConfig::new([6, 4], [3, 3]), Tensor::cat(blocks.to_vec(), 0));
    let x = random([2, 6, 5, 5], &Device::flex());
    same(grouped.forward(x.clone()), dense.forward(x));
    assert_eq!(dense.num_params(), 2 * grouped.num_params());
}

#[test]
fn dilation_is_a_kernel_with_zeros_between() {
    let small = random([2, 3, 3, 3], &Device::flex());
    for dilation in [1, 2, 4] {
        let side = dilation * 2 + 1;
        let wide = Tensor::zeros([2, 3, side, side], &Device::flex());
        let wide = wide.slice_assign(s![.., .., 0..side;dilation, 0..side;dilation], small.clone());
        let x = random([1, 3, 12, 11], &Device::flex());
        let conv = kernel(dilated([3, 2], dilation), small.clone());
        let stuffed = kernel(Conv2dConfig::new([3, 2], [side, side]).with_padding(padded(dilation)), wide);
        let y = conv.forward(x.clone());
        // The padding of d (k - 1) / 2 keeps the size.
        assert_eq!(y.dims()[2..], [12, 11]);
        same(y, stuffed.forward(x));
    }
}

#[test]
fn depthwise_and_pointwise_cost_one_part_in_channels_and_one_in_the_kernel() {
    let separable = SeparableConv2dConfig::new([256, 256], [3, 3]).with_bias(false).init(&Device::flex());
    let dense = Conv2dConfig::new([256, 256], [3, 3]).with_bias(false).init(&Device::flex());
    let ratio = separable.num_params() as f64 / dense.num_params() as f64;
    assert!((ratio - (1.0 / 256.0 + 1.0 / 9.0)).abs() < 1e-12);
    assert_eq!(format!("{ratio:.4}"), "0.1150");
    // It is the convolution whose kernels are products of the two.
    let separable = SeparableConv2dConfig::new([3, 5], [3, 3])
        .with_multiplier(2)
        .with_stride([2, 1])
        .with_padding(padded(1))
        .init(&Device::flex());
    let depthwise = separable.depthwise.weight.val().reshape([1, 3, 2, 9]);
    let pointwise = separable.pointwise.weight.val().reshape([5, 3, 2, 1]);
    let weight = (pointwise * depthwise).sum_dim(2).reshape([5, 3, 3, 3]);
    let config = Conv2dConfig::new([3, 5], [3, 3]).with_stride([2, 1]).with_padding(padded(1));
    let dense = Conv2d { bias: separable.pointwise.bias.clone(), ..kernel(config, weight) };
    let x = random([2, 3, 7, 6], &Device::flex());
    same(separable.forward(x.clone()), dense.forward(x));
}

fn transposed(weight: Tensor<4>, stride: usize, padding: usize) -> ConvTranspose2d {
    let [input, output, rows, columns] = weight.dims();
    let config = ConvTranspose2dConfig::new([input, output], [rows, columns]);
    let config = config.with_stride([stride; 2]).with_padding([padding; 2]).with_bias(false);
    let device = weight.device();
    ConvTranspose2d { weight: Param::from_tensor(weight), ..config.init(&device) }
}

#[test]
fn a_transposed_convolution_gives_the_worked_numbers() {
    let x = counted([1, 1, 2, 2], &Device::flex());
    let ones = || Tensor::ones([1, 1, 3, 3], &Device::flex());
    let y = transposed(ones(), 1, 0).forward(x.clone());
    exactly(y, &[1., 3., 3., 2., 4., 10., 10., 6., 4., 10., 10., 6., 3., 7., 7., 4.]);
    let y = transposed(ones(), 2, 0).forward(x.clone());
    let rows = [
        [1., 1., 3., 2., 2.],
        [1., 1., 3., 2., 2.],
        [4., 4., 10., 6., 6.],
        [3., 3., 7., 4., 4.],
        [3., 3., 7., 4., 4.],
    ];
    exactly(y, rows.as_flattened());
    let y = transposed(counted([1, 1, 3, 3], &Device::flex()), 2, 1).forward(x);
    exactly(y, &[5., 14., 10., 14., 36., 24., 15., 34., 20.]);
}

#[test]
fn a_transposed_convolution_is_the_gradient_of_one_and_its_adjoint() {
    for (stride, padding) in [(1, 0), (2, 1), (3, 2)] {
        let weight = random([4, 3, 3, 3], &device());
        let config = Conv2dConfig::new([3, 4], [3, 3]).with_stride([stride; 2]).with_padding(padded(padding));
        // A size that divides, so that the transposed one has no remainder to guess.
        let side = 2 * stride + 3 + stride - 2 * padding;
        let x = random([2, 3, side, side], &device()).require_grad();
        let y = kernel(config, weight.clone()).forward(x.clone());
        let other = random(y.dims(), &device());
        let back = transposed(weight.inner(), stride, padding).forward(other.clone().inner());
        // <conv(x), other> = <x, conv'(other)>
        let product = (y.clone() * other.clone()).sum();
        let adjoint = (x.clone().inner() * back.clone()).sum().into_scalar::<f32>();
        let size = product.clone().into_scalar::<f32>();
        assert!((size - adjoint).abs() < 1e-3 * (1.0 + size.abs()), "{size} {adjoint}");
        same(x.grad(&product.backward()).unwrap(), back);
    }
}

#[test]
fn a_transposed_convolution_is_one_of_a_stretched_image() {
    // stride - 1 zeros between, kernel - 1 - padding around, the kernel turned over.
    let (weight, x) = (random([2, 3, 3, 3], &Device::flex()), random([1, 2, 4, 5], &Device::flex()));
    let stretched =
        Tensor::zeros([1, 2, 7, 9], &Device::flex()).slice_assign(s![.., .., 0..7;2, 0..9;2], x.clone());
    let config = Conv2dConfig::new([2, 3], [3, 3]).with_padding(padded(1));
    let conv = kernel(config, weight.clone().swap_dims(0, 1).flip([2, 3]));
    same(transposed(weight, 2, 1).forward(x), conv.forward(stretched));
}

#[test]
fn bilinear_kernels_have_the_worked_weights() {
    let row = |side: usize| -> Vec<f32> {
        let layer = ConvTranspose2d::bilinear(1, side, side / 2, &Device::flex());
        let weight = layer.weight.val().reshape([side, side]);
        // A row of the outer product, over its own middle weight.
        let middle = weight.clone().narrow(0, side / 2, 1);
        let peak = middle.clone().max().into_scalar::<f32>();
        (middle * (peak.sqrt() / peak)).into_data().iter().collect()
    };
    let near = |ours: Vec<f32>, expected: &[f32]| {
        assert!(
            ours.len() == expected.len() && ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6),
            "{ours:?}"
        );
    };
    near(row(4), &[0.25, 0.75, 0.75, 0.25]);
    near(row(3), &[0.5, 1.0, 0.5]);
    near(row(2), &[0.5, 0.5]);
    let half: Vec<f32> = (0..8).map(|at| 0.0625 + 0.125 * at as f32).collect();
    near(row(16), &half.iter().chain(half.iter().rev()).copied().collect::<Vec<_>>());
}

#[test]
fn a_local_layer_with_one_kernel_everywhere_is_a_convolution() {
    for (stride, padding) in [(1, 1), (2, 0)] {
        let config = Conv2dConfig::new([3, 4], [3, 3]).with_stride([stride; 2]).with_padding(padded(padding));
        let conv = config.init(&device());
        let local = LocallyConnected2d::tied(&conv, [7, 5], padding);
        let x = random([2, 3, 7, 5], &device());
        let (shared, own) = (conv.forward(x.clone()), local.forward(x));
        same(shared.clone(), own.clone());
        // What is shared gets the sum of what all places get.
        let weights = random(shared.dims(), &device());
        let gradients = (shared * weights.clone()).sum().backward();
        let of_places = (own * weights).sum().backward();
        let sum = local.weight.val().grad(&of_places).unwrap().sum_dim(0).reshape([4, 3, 3, 3]);
        same(conv.weight.val().grad(&gradients).unwrap(), sum);
        let bias = local.bias.val().grad(&of_places).unwrap().reshape([4, -1]).sum_dim(1).reshape([4]);
        same(conv.bias.unwrap().val().grad(&gradients).unwrap(), bias);
    }
    // Darknet's [local] in YOLOv1: 256 filters of 3x3 over 7x7 places and 1024 channels, against a convolution of them.
    let [places, filters, fan_in] = [7 * 7, 256, 1024 * 9];
    assert_eq!(places * filters * fan_in + places * filters, 115_618_048);
    assert_eq!(filters * fan_in + filters, 2_359_552);
    let small = LocallyConnected2dConfig::new([2, 3], [4, 4], 3).with_padding(1).init(&Device::flex());
    assert_eq!(small.num_params(), 16 * (3 * 2 * 9) + 16 * 3);
}

#[test]
fn a_convolution_moves_with_its_image() {
    // Around a torus, so that there is no border.
    let conv = Conv2dConfig::new([2, 3], [3, 3]).with_bias(false).init(&Device::flex());
    let around = |x: Tensor<4>| {
        let sides = [x.clone().narrow(2, 7, 1), x.clone(), x.clone().narrow(2, 0, 1)];
        let x = Tensor::cat(sides.to_vec(), 2);
        let sides = [x.clone().narrow(3, 5, 1), x.clone(), x.clone().narrow(3, 0, 1)];
        conv.forward(Tensor::cat(sides.to_vec(), 3))
    };
    let x = random([1, 2, 8, 6], &Device::flex());
    let moved = |x: Tensor<4>| x.roll(&[3, 2], &[2, 3]);
    same(around(moved(x.clone())), moved(around(x)));
}
