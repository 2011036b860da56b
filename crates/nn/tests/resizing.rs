//! Layers that change the size of maps, against PyTorch's numbers: what they give, and the gradients of what they give.
//!
//! All of it runs on a device with gradients and on one without.

#![allow(clippy::unwrap_used)]

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::Tolerance;
use kiln_nn::{
    ConvTranspose2d, ConvTranspose2dConfig, Corners, LinearConfig, bilinear, max_pool, max_unpool,
    pixel_shuffle, pixel_unshuffle,
};

fn near<const D: usize>(ours: Tensor<D>, expected: &[f32]) {
    let expected = TensorData::new(expected.to_vec(), ours.dims());
    ours.into_data().assert_approx_eq(&expected, Tolerance::<f32>::rel_abs(1e-5, 1e-5));
}

/// `0, 1, 2, …`, of which a loss makes the weights of its values.
fn counted<const D: usize>(dims: [usize; D], modulus: i64, device: &Device) -> Tensor<D> {
    let count = dims.iter().product::<usize>() as i64;
    (Tensor::<1, Int>::arange(0..count, device) % modulus).float().reshape(dims)
}

type Resizing = ([usize; 2], Corners, &'static [f32], [f32; 12]);

/// Size, corners, values, gradient of the sum of `i` times the `i`-th value: of PyTorch 2.15's
/// `interpolate(x, size, mode="bilinear", align_corners=…)`, `x` being the twelve numbers `i ** 1.5` in `[1, 2, 2, 3]`.
#[rustfmt::skip]
const BILINEAR: [Resizing; 8] = [
    ([3, 5], Corners::Centres,
     &[0.0, 0.5, 1.0, 1.91421, 2.82843, 2.59808, 3.54904, 4.5, 5.75219, 7.00438, 5.19615, 6.59808, 8.0, 9.59017, 11.18034, 14.69694, 16.6086, 18.52026, 20.57384, 22.62742, 20.84847, 22.95999, 25.07152, 27.31333, 29.55514, 27.0, 29.31139, 31.62278, 34.05282, 36.48287],
     [4.5, 11.0, 12.0, 19.5, 31.0, 27.0, 38.25, 56.0, 45.75, 53.25, 76.0, 60.75]),
    ([3, 5], Corners::Edges,
     &[0.0, 0.4, 1.0, 2.09706, 2.82843, 2.59808, 3.35885, 4.5, 6.00263, 7.00438, 5.19615, 6.31769, 8.0, 9.9082, 11.18034, 14.69694, 16.22627, 18.52026, 20.98455, 22.62742, 20.84847, 22.53769, 25.07152, 27.76169, 29.55514, 27.0, 28.84911, 31.62278, 34.53883, 36.48287],
     [4.9, 9.9, 12.7, 20.9, 27.9, 28.7, 40.9, 50.4, 48.7, 56.9, 68.4, 64.7]),
    ([4, 2], Corners::Centres,
     &[0.0, 2.82843, 1.73205, 5.6124, 3.4641, 8.39637, 5.19615, 11.18034, 14.69694, 22.62742, 18.79796, 27.2459, 22.89898, 31.86439, 27.0, 36.48287],
     [2.66667, 0.0, 4.66667, 9.33333, 0.0, 11.33333, 18.66667, 0.0, 20.66667, 25.33333, 0.0, 27.33333]),
    ([4, 2], Corners::Edges,
     &[0.25, 2.37132, 1.66178, 4.3748, 4.48534, 8.38177, 5.89711, 10.38526, 15.65277, 21.60063, 18.7785, 25.01743, 25.02996, 31.85104, 28.15569, 35.26785],
     [1.875, 1.75, 3.375, 7.125, 5.25, 8.625, 13.875, 9.75, 15.375, 19.125, 13.25, 20.625]),
    ([1, 1], Corners::Centres,
     &[0.0, 14.69694],
     [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
    ([1, 1], Corners::Edges,
     &[4.5, 25.07152],
     [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.5, 0.0]),
    ([2, 7], Corners::Centres,
     &[0.0, 0.33333, 0.66667, 1.0, 1.60948, 2.21895, 2.82843, 5.19615, 6.13077, 7.06538, 8.0, 9.06011, 10.12023, 11.18034, 14.69694, 15.97138, 17.24582, 18.52026, 19.88931, 21.25836, 22.62742, 27.0, 28.54093, 30.08185, 31.62278, 33.24281, 34.86284, 36.48287],
     [1.33333, 9.0, 10.66667, 15.33333, 30.0, 24.66667, 29.33333, 51.0, 38.66667, 43.33333, 72.0, 52.66667]),
    ([2, 7], Corners::Edges,
     &[0.0, 0.14286, 0.57143, 1.0, 1.78361, 2.56722, 2.82843, 5.19615, 5.5967, 6.79835, 8.0, 9.363, 10.72601, 11.18034, 14.69694, 15.24313, 16.88169, 18.52026, 20.28047, 22.04068, 22.62742, 27.0, 27.6604, 29.64159, 31.62278, 33.70567, 35.78857, 36.48287],
     [1.71429, 7.28571, 12.0, 17.71429, 24.28571, 28.0, 33.71429, 41.28571, 44.0, 49.71429, 58.28571, 60.0]),
];

#[test]
fn bilinear_resizing_is_pytorchs() {
    for device in [Device::flex(), Device::flex().autodiff()] {
        for (size, corners, values, gradient) in BILINEAR {
            let x = counted([1, 2, 2, 3], 12, &device).powf_scalar(1.5);
            let x = if device.is_autodiff() { x.require_grad() } else { x };
            let y = bilinear(x.clone(), size, corners);
            near(y.clone(), values);
            if device.is_autodiff() {
                let weights = counted(y.dims(), 1000, &device);
                near(x.grad(&(y * weights).sum().backward()).unwrap(), &gradient);
            }
        }
    }
}

#[test]
fn bilinear_resizing_keeps_images_apart_and_what_has_the_size_already() {
    let device = Device::flex();
    let x = counted([3, 5, 4, 6], 1000, &device);
    assert!(bilinear(x.clone(), [4, 6], Corners::Edges).into_data() == x.clone().into_data());
    let all = bilinear(x.clone(), [9, 7], Corners::Edges);
    assert_eq!(all.dims(), [3, 5, 9, 7]);
    for image in 0..3 {
        let alone = bilinear(x.clone().narrow(0, image, 1), [9, 7], Corners::Edges);
        assert!(all.clone().narrow(0, image, 1).into_data() == alone.into_data(), "image {image}");
    }
}

#[test]
fn unpooling_puts_values_where_the_maxima_were() {
    for device in [Device::flex(), Device::flex().autodiff()] {
        let x = Tensor::<4>::from_data(
            [[[[3., 1., 4., 1., 5.], [9., 2., 6., 5., 3.], [5., 8., 9., 7., 9.], [3., 2., 3., 8., 4.]]]],
            &device,
        );
        let x = if device.is_autodiff() { x.require_grad() } else { x };
        let pool = max_pool(2, 2).with_ceil_mode(true).init();
        let (y, places) = pool.forward_with_places(x.clone());
        // torch.nn.functional.max_pool2d(x, 2, 2, ceil_mode=True, return_indices=True)
        near(y.clone(), &[9., 6., 5., 8., 9., 9.]);
        let found: Vec<i64> = places.clone().into_data().iter().collect();
        assert_eq!(found, [5, 7, 4, 11, 12, 14]);
        // max_unpool2d(y, indices, 2, 2, output_size=(4, 5)); only the maxima are left.
        let back = max_unpool(y, places.clone(), [4, 5]);
        let maxima = [0., 0., 0., 0., 5., 9., 0., 6., 0., 0., 0., 8., 9., 0., 9., 0., 0., 0., 0., 0.];
        near(back.clone(), &maxima);
        if device.is_autodiff() {
            // The gradient of the sum of i times the i-th value: i at the maxima.
            let gradients = (back * counted([1, 1, 4, 5], 1000, &device)).sum().backward();
            let expected =
                [0., 0., 0., 0., 4., 5., 0., 7., 0., 0., 0., 11., 12., 0., 14., 0., 0., 0., 0., 0.];
            near(x.grad(&gradients).unwrap(), &expected);
        }
        // Other values than the pool's own, and their gradients.
        let other = Tensor::<4>::from_data([[[[1., 2., 3.], [4., 5., 6.]]]], &device);
        let other = if device.is_autodiff() { other.require_grad() } else { other };
        let back = max_unpool(other.clone(), places, [4, 5]);
        let expected = [0., 0., 0., 0., 3., 1., 0., 2., 0., 0., 0., 4., 5., 0., 6., 0., 0., 0., 0., 0.];
        near(back.clone(), &expected);
        if device.is_autodiff() {
            let gradients = (back * counted([1, 1, 4, 5], 1000, &device)).sum().backward();
            near(other.grad(&gradients).unwrap(), &[5., 7., 4., 11., 12., 14.]);
        }
    }
}

#[test]
fn channels_become_squares_of_pixels_and_back() {
    let device = Device::flex().autodiff();
    // torch.nn.functional.pixel_shuffle(arange(16).reshape(1, 8, 1, 2), 2)
    let x = counted([1, 8, 1, 2], 16, &device).require_grad();
    let y = pixel_shuffle(x.clone(), 2);
    assert_eq!(y.dims(), [1, 2, 2, 4]);
    let shuffled = [0., 2., 1., 3., 4., 6., 5., 7., 8., 10., 9., 11., 12., 14., 13., 15.];
    near(y.clone(), &shuffled);
    // Each value's gradient is the weight of the place it went to: the same numbers, as the shuffle of two rows is its
    // own inverse.
    let gradients = (y.clone() * counted([1, 2, 2, 4], 16, &device)).sum().backward();
    near(x.grad(&gradients).unwrap(), &shuffled);
    near(pixel_unshuffle(y, 2), &(0..16).map(|i| i as f32).collect::<Vec<_>>());
    // torch.nn.functional.pixel_unshuffle(arange(16).reshape(1, 2, 2, 4), 2)
    near(pixel_unshuffle(counted([1, 2, 2, 4], 16, &device), 2), &shuffled);
}

#[test]
fn transposed_convolutions_have_the_worked_numbers() {
    let device = Device::flex();
    let x = Tensor::<4>::from_data([[[[1., 2.], [3., 4.]]]], &device);
    let ones = [1.; 9];
    let counted = [1., 2., 3., 4., 5., 6., 7., 8., 9.];
    // By hand: the kernel is added once an input, times its value, `stride` pixels apart.
    let rows: [(_, usize, usize, &[f32]); 3] = [
        (ones, 1, 0, &[1., 3., 3., 2., 4., 10., 10., 6., 4., 10., 10., 6., 3., 7., 7., 4.]),
        (
            ones,
            2,
            0,
            &[
                1., 1., 3., 2., 2., 1., 1., 3., 2., 2., 4., 4., 10., 6., 6., 3., 3., 7., 4., 4., 3., 3., 7.,
                4., 4.,
            ],
        ),
        (counted, 2, 1, &[5., 14., 10., 14., 36., 24., 15., 34., 20.]),
    ];
    for (kernel, stride, padding, expected) in rows {
        let config = ConvTranspose2dConfig::new([1, 1], [3, 3]).with_bias(false);
        let config = config.with_stride([stride; 2]).with_padding([padding; 2]);
        let weight = Param::from_data(TensorData::new(kernel.to_vec(), [1, 1, 3, 3]), &device);
        let layer = ConvTranspose2d { weight, ..config.init(&device) };
        near(layer.forward(x.clone()), expected);
    }
}

struct Row {
    config: ConvTranspose2dConfig,
    sides: [usize; 2],
    y: &'static [f32],
    x: &'static [f32],
    weight: &'static [f32],
    bias: &'static [f32],
}

/// The second row's squares do not overlap, which is computed otherwise.
#[test]
fn transposed_convolutions_and_their_gradients_are_pytorchs() {
    // PyTorch 2.15's conv_transpose2d of x = 0, 1, 2, … - 2, weights 0, 1, 2, … % 5 - 1, biases 0, 1, 2; gradients of the sum of
    // i % 7 times the i-th value.
    #[rustfmt::skip]
    let rows = [
        Row {
            config: ConvTranspose2dConfig::new([2, 2], [3, 3]).with_stride([2, 2]).with_padding([1, 1]).with_padding_out([1, 1]).with_dilation([1, 1]).with_groups(1),
            sides: [2, 2],
            y: &[-4.0, 4.0, 0.0, 7.0, 8.0, 10.0, 11.0, -6.0, 4.0, 10.0, 8.0, 9.0, -4.0, 15.0, -4.0, 2.0, -3.0, -7.0, -1.0, 1.0, 15.0, 24.0, 19.0, 12.0, 1.0, 1.0, 3.0, 9.0, 13.0, 6.0, 16.0, -3.0],
            x: &[26.0, 39.0, 36.0, 39.0, 19.0, 20.0, 22.0, 72.0],
            weight: &[5.0, 6.0, 0.0, 1.0, 1.0, -1.0, 1.0, -14.0, -9.0, 0.0, 1.0, 2.0, 1.0, -3.0, -5.0, 1.0, -11.0, 1.0, 25.0, 46.0, 20.0, 13.0, 25.0, 39.0, 45.0, 46.0, 39.0, 0.0, 29.0, 10.0, 29.0, 53.0, 67.0, 5.0, 25.0, 25.0],
            bias: &[43.0, 47.0],
        },
        Row {
            config: ConvTranspose2dConfig::new([2, 3], [2, 2]).with_stride([2, 2]).with_padding([0, 0]).with_padding_out([0, 0]).with_dilation([1, 1]).with_groups(1),
            sides: [1, 2],
            y: &[2.0, 0.0, 2.0, 2.0, -2.0, -4.0, 2.0, -3.0, -5.0, 3.0, -2.0, 3.0, 1.0, -1.0, 3.0, 3.0, -2.0, -4.0, -1.0, -1.0, 4.0, 2.0, 4.0, 4.0],
            x: &[28.0, 32.0, 43.0, 34.0],
            weight: &[-2.0, -5.0, -14.0, -10.0, -5.0, -8.0, -10.0, -13.0, -8.0, -11.0, -13.0, -2.0, 2.0, 3.0, 6.0, 0.0, 3.0, 4.0, 0.0, 1.0, 4.0, 5.0, 1.0, 2.0],
            bias: &[21.0, 22.0, 23.0],
        },
        Row {
            config: ConvTranspose2dConfig::new([2, 2], [2, 2]).with_stride([1, 1]).with_padding([0, 0]).with_padding_out([0, 0]).with_dilation([2, 2]).with_groups(2),
            sides: [2, 2],
            y: &[2.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, -2.0, -1.0, -4.0, -2.0, 0.0, 1.0, 0.0, 2.0, 7.0, 10.0, -1.0, -2.0, 13.0, 16.0, -3.0, -4.0, 1.0, 1.0, 3.0, 4.0, 1.0, 1.0, 5.0, 6.0],
            x: &[7.0, 9.0, 1.0, 3.0, 7.0, 10.0, 19.0, 1.0],
            weight: &[4.0, -7.0, 2.0, -9.0, 37.0, 37.0, 23.0, 51.0],
            bias: &[43.0, 47.0],
        },
    ];
    let device = Device::flex().autodiff();
    for row in rows {
        let Row { config, sides: [height, width], .. } = row;
        let [input, output] = config.channels;
        let [rows, columns] = config.kernel_size;
        let weight = counted([input, output / config.groups, rows, columns], 5, &device) - 1.0;
        let (weight, bias) =
            (Param::from_tensor(weight), Some(Param::from_tensor(counted([output], 9, &device))));
        let layer = ConvTranspose2d { weight, bias, ..config.init(&device) };
        let x = (counted([1, input, height, width], 1000, &device) - 2.0).require_grad();
        let y = layer.forward(x.clone());
        near(y.clone(), row.y);
        // Without gradients.
        near(layer.clone().valid().forward(x.clone().inner()), row.y);
        let gradients = (y.clone() * counted(y.dims(), 7, &device)).sum().backward();
        near(x.grad(&gradients).unwrap(), row.x);
        near(layer.weight.val().grad(&gradients).unwrap(), row.weight);
        near(layer.bias.unwrap().val().grad(&gradients).unwrap(), row.bias);
    }
}

#[test]
fn fresh_bilinear_kernels_are_those_of_the_authors_of_fcn() {
    let device = Device::flex();
    let rows: [(usize, &[f32]); 4] = [
        (2, &[0.5, 0.5]),
        (3, &[0.5, 1.0, 0.5]),
        (4, &[0.25, 0.75, 0.75, 0.25]),
        // 1/16, 3/16, … 15/16 and back.
        (16, &[1., 3., 5., 7., 9., 11., 13., 15., 15., 13., 11., 9., 7., 5., 3., 1.].map(|x| x / 16.0)),
    ];
    for (kernel, hat) in rows {
        let layer = ConvTranspose2d::bilinear(3, kernel, 2, &device);
        assert!(layer.bias.is_none());
        let product: Vec<f32> = hat.iter().flat_map(|a| hat.iter().map(move |b| a * b)).collect();
        for [from, to] in [[0, 0], [1, 1], [2, 2], [0, 1], [2, 0]] {
            let square = layer.weight.val().narrow(0, from, 1).narrow(1, to, 1);
            match from == to {
                true => near(square, &product),
                false => near(square, &vec![0.0; product.len()]),
            }
        }
    }
}

/// Inside, where every output has all the inputs it needs, so that what is beyond the border does not matter.
#[test]
fn a_fresh_bilinear_transposed_convolution_resizes_bilinearly() {
    let device = Device::flex();
    let x = counted([2, 3, 5, 6], 11, &device);
    for factor in [2, 4, 8] {
        let up = ConvTranspose2d::bilinear(3, 2 * factor, factor, &device).forward(x.clone());
        // The kernel reaches half a factor beyond the edges.
        let [rows, columns] = [5 * factor, 6 * factor];
        let up = up.narrow(2, factor / 2, rows).narrow(3, factor / 2, columns);
        let expected = bilinear(x.clone(), [rows, columns], Corners::Edges);
        let inside =
            |x: Tensor<4>| x.narrow(2, factor, rows - 2 * factor).narrow(3, factor, columns - 2 * factor);
        let tolerance = Tolerance::<f32>::rel_abs(1e-5, 1e-5);
        inside(up).into_data().assert_approx_eq(&inside(expected).into_data(), tolerance);
    }
}

/// The adjoint of a convolution: the product of `conv(x)` with `y` is that of `x` with `transposed(y)`.
#[test]
fn a_transposed_convolution_is_the_convolution_turned_over() {
    let device = Device::flex();
    let rows = [([3, 3], 2, 1), ([2, 2], 2, 0), ([5, 3], 1, 2)];
    for (kernel, stride, padding) in rows {
        let layer = ConvTranspose2dConfig::new([4, 3], kernel).with_bias(false);
        let layer = layer.with_stride([stride; 2]).with_padding([padding; 2]).init(&device);
        let y = counted([2, 4, 5, 6], 13, &device) - 6.0;
        let back = layer.forward(y.clone());
        let x = counted(back.dims(), 17, &device) - 8.0;
        let options = burn::tensor::ops::ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
        let forth = burn::tensor::module::conv2d(x.clone(), layer.weight.val(), None, options);
        assert_eq!(forth.dims(), y.dims());
        let products = [forth * y, back * x].map(|product| product.sum().into_scalar::<f32>());
        assert!((products[0] - products[1]).abs() < 1e-3 * products[0].abs().max(1.0), "{products:?}");
    }
}

#[test]
fn a_linear_layer_is_a_convolution_of_the_whole_map() {
    let device = Device::flex();
    let linear = LinearConfig::new(5 * 3 * 3, 7).init(&device);
    let conv = linear.as_convolution(3);
    let x = counted([2, 5, 4, 3], 19, &device);
    let everywhere = conv.forward(x.clone());
    assert_eq!(everywhere.dims(), [2, 7, 2, 1]);
    for row in 0..2 {
        let square = x.clone().narrow(2, row, 3).flatten::<2>(1, 3);
        let expected = linear.forward(square).into_data();
        let here = everywhere.clone().narrow(2, row, 1).reshape([2, 7]);
        here.into_data().assert_approx_eq(&expected, Tolerance::<f32>::rel_abs(1e-4, 1e-4));
    }
}
