//! Pooling: against plain loops in f64 on shapes drawn at random with a fixed seed, against Burn's stock operations, and
//! against PyTorch's numbers.

use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Device, Distribution, Tensor, TensorData, Tolerance, module};
use kiln_kernels::Isa;
use kiln_kernels::pool::{self, Side, Slide};
use kiln_kernels::{adaptive_avg_pool2d, avg_pool2d, global_average, max_pool2d};

/// Marsaglia's xorshift64.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn between(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() >> 11) as usize % (high - low + 1)
    }

    /// Eighths from -2 to 2: sums are exact, and a window has equal values now and then.
    fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.between(0, 32) as f32 / 8.0 - 2.0).collect()
    }

    fn slide(&mut self) -> Slide {
        let kernel = self.between(1, 4);
        Slide {
            kernel,
            stride: self.between(1, 3),
            padding: (self.between(0, kernel - 1), self.between(0, kernel - 1)),
            dilation: self.between(1, 2),
            ceil: self.next().is_multiple_of(2),
        }
    }
}

/// For each window the inputs along one side, by the definition, and what a mean counts.
fn taps(slide: Slide, size: usize, windows: usize, count_padding: bool) -> Vec<(Vec<usize>, usize)> {
    let window = |window: usize| {
        let places = (0..slide.kernel).map(|tap| window * slide.stride + tap * slide.dilation);
        let (before, after) = slide.padding;
        let inside = places.clone().filter(|place| (before..before + size).contains(place));
        let inside: Vec<usize> = inside.map(|place| place - before).collect();
        let padded = places.filter(|&place| place < before + size + after).count();
        let count = if count_padding { padded } else { inside.len() };
        (inside, count.max(1))
    };
    (0..windows).map(window).collect()
}

#[test]
fn every_instruction_set_pools_as_plain_loops_do() {
    let mut draw = Draw(7);
    let channels = [1, 3, 16, 24, 58, 64, 70, 131];
    for case in 0..if cfg!(miri) { 2 } else { 120 } {
        let channels = if cfg!(miri) { 17 } else { channels[case % channels.len()] };
        let (slides, size) = ([draw.slide(), draw.slide()], [draw.between(4, 11), draw.between(4, 11)]);
        let batch = draw.between(1, 3);
        // With gaps between the taps a mean's count is the kernel's, not the window's: Burn has no such mean.
        let padded = slides.iter().all(|slide| slide.dilation == 1) && case % 2 == 0;
        let sides = [0, 1].map(|i| slides[i].along(size[i], padded));
        let high = taps(slides[0], size[0], sides[0].windows(), padded);
        let wide = taps(slides[1], size[1], sides[1].windows(), padded);
        let x = draw.values(batch * size[0] * size[1] * channels);
        let grad = draw.values(batch * high.len() * wide.len() * channels);

        let mut maxima = vec![f32::NEG_INFINITY; grad.len()];
        let mut means = vec![0.0f64; grad.len()];
        let mut gradients = [vec![0.0f64; x.len()], vec![0.0f64; x.len()]];
        for index in 0..grad.len() {
            let (channel, pixel) = (index % channels, index / channels);
            let (column, row) = (pixel % wide.len(), pixel / wide.len() % high.len());
            let image = pixel / wide.len() / high.len();
            let count = (high[row].1 * wide[column].1) as f64;
            let mut best = None;
            for &r in &high[row].0 {
                for &c in &wide[column].0 {
                    let from = ((image * size[0] + r) * size[1] + c) * channels + channel;
                    if best.is_none_or(|best: usize| x[from] > x[best]) {
                        best = Some(from);
                    }
                    means[index] += f64::from(x[from]) / count;
                    gradients[1][from] += f64::from(grad[index]) / count;
                }
            }
            if let Some(best) = best {
                maxima[index] = x[best];
                gradients[0][best] += f64::from(grad[index]);
            }
        }
        let near = |ours: &[f32], expected: &[f64]| {
            ours.len() == expected.len()
                && ours.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5)
        };
        for &isa in Isa::available() {
            let told = format!("{isa:?} {slides:?} {size:?} {channels} channels");
            let ours = pool::maxima(isa, &sides, batch, channels, &x);
            assert!(ours.values == maxima, "{told}");
            assert!(pool::max(isa, &sides, batch, channels, &x) == maxima, "{told}");
            let gradient = pool::max_gradient(isa, &sides, batch, channels, &ours.taps, &grad);
            assert!(near(&gradient, &gradients[0]), "{told}");
            assert!(near(&pool::mean(isa, &sides, batch, channels, &x), &means), "{told}");
            let gradient = pool::mean_gradient(isa, &sides, batch, channels, &grad);
            assert!(near(&gradient, &gradients[1]), "{told}");
        }
    }
}

#[test]
fn windows_that_share_out_a_side_are_pytorchs() {
    // 7 inputs, 3 windows: from floor(7 i / 3) to ceil(7 (i + 1) / 3), that is 0..3, 2..5 and 4..7.
    let side = [Side::shared_out(7, 3), Side::shared_out(1, 1)];
    let x = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
    let means = pool::mean(Isa::best(), &side, 1, 1, &x);
    assert_eq!(means, [7.0 / 3.0, 28.0 / 3.0, 112.0 / 3.0]);
    let gradient = pool::mean_gradient(Isa::best(), &side, 1, 1, &[3.0, 30.0, 300.0]);
    assert_eq!(gradient, [1.0, 1.0, 11.0, 10.0, 110.0, 100.0, 100.0]);
}

#[test]
fn nan_wins_and_the_last_of_several() {
    let side = Slide { kernel: 3, stride: 1, padding: (0, 0), dilation: 1, ceil: false };
    let sides = [side.along(3, false), side.along(3, false)];
    let x = [1.0, f32::NAN, 3.0, 4.0, f32::NAN, 6.0, 7.0, 8.0, 9.0];
    for &isa in Isa::available() {
        // In one strip of a channel and in a strip of 16.
        for channels in [1, 16] {
            let x: Vec<f32> = x.iter().flat_map(|value| vec![*value; channels]).collect();
            let ours = pool::maxima(isa, &sides, 1, channels, &x);
            assert!(ours.values.iter().all(|value| value.is_nan()), "{isa:?}");
            assert_eq!(ours.taps, vec![4; channels], "{isa:?}");
            assert!(pool::max(isa, &sides, 1, channels, &x).iter().all(|value| value.is_nan()), "{isa:?}");
        }
    }
}

/// The result and the input's gradient when the result's is 0, 1, 2, … in order.
fn run(x: &Tensor<4>, forward: impl Fn(Tensor<4>) -> Tensor<4>) -> [TensorData; 2] {
    let x = x.clone().autodiff().require_grad();
    let y = forward(x.clone());
    let dims = y.dims();
    let values: Vec<f32> = (0..dims.iter().product::<usize>()).map(|i| (i % 97) as f32).collect();
    let grad = Tensor::<4>::from_data(TensorData::new(values, dims), &y.device());
    let grads = (y.clone() * grad).sum().backward();
    [y.into_data(), x.grad(&grads).expect("a gradient").into_data()]
}

fn assert_near(ours: &[TensorData; 2], expected: &[TensorData; 2]) {
    for (ours, expected) in ours.iter().zip(expected) {
        ours.assert_approx_eq(expected, Tolerance::<f32>::rel_abs(1e-5, 1e-5));
    }
}

/// One tensor in both layouts: planes, and rows of channels.
fn layouts(shape: [usize; 4]) -> [Tensor<4>; 2] {
    let device = Device::flex();
    let [batch, channels, rows, columns] = shape;
    let last = Tensor::<4>::random([batch, rows, columns, channels], Distribution::Default, &device);
    let last = last.permute([0, 3, 1, 2]);
    [Tensor::from_data(last.clone().into_data(), &device), last]
}

#[test]
fn values_and_gradients_are_burns_in_both_layouts() {
    Device::flex().seed(4);
    // Kernel, stride, padding before and after; whether sizes are rounded up.
    let rows = [
        ([3, 3], [2, 2], [(1, 1), (1, 1)], false),
        ([2, 2], [2, 2], [(0, 0), (0, 0)], false),
        ([3, 3], [2, 2], [(0, 0), (0, 0)], true),
        ([3, 2], [1, 3], [(1, 0), (1, 1)], true),
        ([2, 3], [3, 2], [(1, 1), (0, 2)], false),
        ([5, 5], [3, 3], [(0, 0), (0, 0)], false),
    ];
    for (kernel, stride, padding, ceil) in rows {
        for x in layouts([2, 20, 9, 8]) {
            let max = MaxPoolOptions::new(kernel)
                .with_stride(stride)
                .with_padding_pairs(padding)
                .with_ceil_mode(ceil);
            let stock = run(&x, |x| module::max_pool2d(x, max.clone()));
            assert_near(&run(&x, |x| max_pool2d(x, max.clone())), &stock);
            max_pool2d(x.clone(), max).into_data().assert_eq(&stock[0], true);
            for count in [true, false] {
                let mean = AvgPoolOptions::new(kernel)
                    .with_stride(stride)
                    .with_padding_pairs(padding)
                    .with_ceil_mode(ceil)
                    .with_count_include_pad(count);
                let stock = run(&x, |x| module::avg_pool2d(x, mean.clone()));
                assert_near(&run(&x, |x| avg_pool2d(x, mean.clone())), &stock);
            }
        }
    }
    for size in [[1, 1], [3, 4], [9, 8], [11, 2]] {
        for x in layouts([2, 20, 9, 8]) {
            let stock = run(&x, |x| module::adaptive_avg_pool2d(x, size));
            assert_near(&run(&x, |x| adaptive_avg_pool2d(x, size)), &stock);
        }
    }
    for x in layouts([2, 20, 9, 8]) {
        let four = |x: Tensor<2>| x.reshape([2, 20, 1, 1]);
        let stock = run(&x, |x| four(x.mean_dim(3).mean_dim(2).reshape([2, 20])));
        assert_near(&run(&x, |x| four(global_average(x))), &stock);
    }
}

/// torch 2.15.0: `x = ((arange(30) * 7) % 11).reshape(1, 1, 5, 6)`; `y = max_pool2d(x, 3, 2, 1, ceil_mode=True)` or
/// `avg_pool2d(…)` with and without `count_include_pad`; `y.backward((arange(12.) + 1).reshape(y.shape))`.
#[test]
fn padding_and_rounding_up_are_pytorchs() {
    let values: Vec<f32> = (0..30).map(|i| (i * 7 % 11) as f32).collect();
    let check = |forward: &dyn Fn(Tensor<4>) -> Tensor<4>, expected: [&[f32]; 2]| {
        let device = Device::flex().autodiff();
        let x = Tensor::<4>::from_data(TensorData::new(values.clone(), [1, 1, 5, 6]), &device).require_grad();
        let y = forward(x.clone());
        let grad = TensorData::new((1..13).map(|i| i as f32).collect::<Vec<_>>(), [1, 1, 3, 4]);
        let grads = (y.clone() * Tensor::from_data(grad, &device)).sum().backward();
        let dx = x.grad(&grads).expect("a gradient").into_data();
        for (ours, expected) in [y.into_data(), dx].into_iter().zip(expected) {
            let expected = TensorData::new(expected.to_vec(), ours.shape().clone());
            ours.assert_approx_eq(&expected, Tolerance::<f32>::rel_abs(1e-6, 1e-6));
        }
    };
    let max = MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]).with_ceil_mode(true);
    check(
        &|x| max_pool2d(x, max.clone()),
        [
            &[9., 10., 10., 2., 9., 10., 9., 9., 10., 10., 9., 7.],
            &[
                0., 0., 0., 5., 0., 4., 6., 0., 0., 0., 0., 0., 0., 0., 6., 0., 0., 15., 0., 0., 0., 0., 0.,
                12., 0., 19., 0., 0., 11., 0.,
            ],
        ],
    );
    let mean = AvgPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]).with_ceil_mode(true);
    check(
        &|x| avg_pool2d(x, mean.clone()),
        [
            &[
                2.333333, 3.777778, 3.333333, 0.333333, 3.333333, 5.111111, 4.444445, 2.666667, 2.111111,
                3.444444, 3.0, 2.0,
            ],
            &[
                0.111111, 0.333333, 0.222222, 0.555556, 0.333333, 1.0, 0.666667, 1.555556, 0.888889, 2.0,
                1.111111, 3.111111, 0.555556, 1.222222, 0.666667, 1.444444, 0.777778, 2.111111, 1.555556,
                3.333333, 1.777778, 3.777778, 2.0, 5.333333, 1.0, 2.111111, 1.111111, 2.333333, 1.222222,
                3.222222,
            ],
        ],
    );
    let mean = mean.with_count_include_pad(false);
    check(
        &|x| avg_pool2d(x, mean.clone()),
        [
            &[5.25, 5.666667, 5.0, 1.0, 5.0, 5.111111, 4.444445, 5.333333, 4.75, 5.166667, 4.5, 6.0],
            &[
                0.25, 0.583333, 0.333333, 0.833333, 0.5, 2.5, 1.083333, 2.083333, 1.0, 2.277778, 1.277778,
                5.944445, 0.833333, 1.5, 0.666667, 1.444444, 0.777778, 3.444445, 3.083333, 5.416667,
                2.333333, 4.944445, 2.611111, 11.277779, 2.25, 3.916667, 1.666667, 3.5, 1.833333, 7.833333,
            ],
        ],
    );
}

#[test]
fn the_global_average_is_the_mean_of_each_channel() {
    let x = Tensor::<4>::from_data([[[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [0.0, 4.0]]]], &Device::flex());
    // (1 + 2 + 3 + 6) / 4 = 3 and 4 / 4 = 1.
    global_average(x).into_data().assert_eq(&TensorData::from([[3.0f32, 1.0]]), true);
}

#[test]
fn a_window_of_more_places_than_a_byte_counts_is_burns() {
    let [x, _] = layouts([1, 2, 20, 20]);
    let options = MaxPoolOptions::new([17, 16]);
    let stock = run(&x, |x| module::max_pool2d(x, options.clone()));
    assert_near(&run(&x, |x| max_pool2d(x, options.clone())), &stock);
}
