//! Every path of the convolution against plain loops in f64, on shapes drawn at random with a fixed seed.

use kiln_kernels::Isa;
use kiln_kernels::conv::{self, Conv};

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

    /// Uniform in -1..1.
    fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
    }
}

struct Case {
    conv: Conv,
    x: Vec<f32>,
    weight: Vec<f32>,
    grad: Vec<f32>,
}

impl Case {
    fn new(conv: Conv, draw: &mut Draw) -> Self {
        let [high, wide] = conv.out().expect("the kernel fits");
        let x = draw.values(conv.batch * conv.channels[0] * conv.size[0] * conv.size[1]);
        let weight = draw.values(conv.channels[1] * conv.channels[0] * conv.kernel[0] * conv.kernel[1]);
        let grad = draw.values(conv.batch * conv.channels[1] * high * wide);
        Self { conv, x, weight, grad }
    }

    fn random(draw: &mut Draw) -> Self {
        loop {
            let pair = |draw: &mut Draw, low, high| [draw.between(low, high), draw.between(low, high)];
            let conv = Conv {
                batch: draw.between(1, 5),
                channels: pair(draw, 1, if cfg!(miri) { 5 } else { 50 }),
                size: pair(draw, 1, if cfg!(miri) { 7 } else { 23 }),
                kernel: pair(draw, 1, 5),
                stride: pair(draw, 1, 3),
                padding: [0, 1].map(|_| (draw.between(0, 2), draw.between(0, 2))),
                dilation: pair(draw, 1, 2),
                groups: 1,
            };
            if conv.out().is_some() {
                return Self::new(conv, draw);
            }
        }
    }

    /// Calls `each` with the indices of output, input and weight of every product of the convolution.
    fn products(&self, mut each: impl FnMut(usize, usize, usize)) {
        let Conv { batch, channels: [input, output], size, kernel, stride, padding, dilation, .. } =
            self.conv;
        let out = self.conv.out().expect("the kernel fits");
        for n in 0..batch {
            for m in 0..output {
                for y in 0..out[0] {
                    for x in 0..out[1] {
                        for c in 0..input {
                            for i in 0..kernel[0] {
                                for j in 0..kernel[1] {
                                    let row = (y * stride[0] + i * dilation[0]).wrapping_sub(padding[0].0);
                                    let column = (x * stride[1] + j * dilation[1]).wrapping_sub(padding[1].0);
                                    if row < size[0] && column < size[1] {
                                        each(
                                            ((n * out[0] + y) * out[1] + x) * output + m,
                                            ((n * size[0] + row) * size[1] + column) * input + c,
                                            ((m * input + c) * kernel[0] + i) * kernel[1] + j,
                                        );
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn check(&self) {
        let product = |a: f32, b: f32| f64::from(a) * f64::from(b);
        let (mut y, mut dx, mut dw) =
            (vec![0.0; self.grad.len()], vec![0.0; self.x.len()], vec![0.0; self.weight.len()]);
        self.products(|o, i, w| {
            y[o] += product(self.x[i], self.weight[w]);
            dx[i] += product(self.grad[o], self.weight[w]);
            dw[w] += product(self.grad[o], self.x[i]);
        });
        for &isa in Isa::available() {
            let context = format!("{isa:?} {:?}", self.conv);
            close(
                &conv::forward(isa, &self.conv, &self.x, &self.weight, None),
                &y,
                &format!("output, {context}"),
            );
            let ours = conv::input_gradient(isa, &self.conv, &self.weight, &self.grad);
            close(&ours, &dx, &format!("input gradient, {context}"));
            let ours = conv::weight_gradient(isa, &self.conv, &self.x, &self.grad);
            close(&ours, &dw, &format!("weight gradient, {context}"));
        }
    }
}

/// Within 1e-5 of the largest value.
fn close(ours: &[f32], expected: &[f64], context: &str) {
    assert_eq!(ours.len(), expected.len(), "{context}");
    let scale = expected.iter().fold(1.0, |most: f64, value| most.max(value.abs()));
    for (index, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        let error = (f64::from(*ours) - expected).abs();
        assert!(error <= 1e-5 * scale, "{context}: {ours} for {expected} at {index}");
    }
}

fn conv(batch: usize, channels: [usize; 2], side: usize, kernel: usize, stride: usize, pad: usize) -> Conv {
    Conv {
        batch,
        channels,
        size: [side; 2],
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [(pad, pad); 2],
        dilation: [1; 2],
        groups: 1,
    }
}

#[test]
fn three_hundred_random_shapes_agree_with_plain_loops() {
    let mut draw = Draw(0x9E37_79B9_7F4A_7C15);
    for _ in 0..if cfg!(miri) { 10 } else { 300 } {
        Case::random(&mut draw).check();
    }
}

#[test]
#[cfg_attr(miri, ignore = "large")]
fn the_shapes_of_the_networks_agree_with_plain_loops() {
    let mut draw = Draw(88_172_645_463_325_252);
    let rows = [
        conv(3, [3, 16], 32, 3, 1, 1),
        conv(9, [16, 32], 32, 3, 2, 1),
        conv(20, [8, 8], 8, 3, 1, 1),
        conv(5, [16, 32], 32, 1, 2, 0),
        conv(2, [3, 64], 64, 7, 2, 3),
        conv(2, [40, 24], 7, 1, 1, 0),
        // AlexNet at 64 x 64.
        conv(8, [3, 64], 64, 11, 4, 2),
        conv(8, [64, 192], 7, 5, 1, 2),
        conv(8, [192, 384], 3, 3, 1, 1),
        // Larger than one padded copy: in bands of rows, with padding at the first and last alone.
        conv(1, [24, 5], 90, 3, 1, 1),
        conv(2, [20, 5], 101, 5, 2, 2),
        // Kernel and padding beyond the input; more padding than the kernel reaches.
        conv(2, [3, 4], 2, 5, 1, 2),
        conv(2, [3, 4], 5, 1, 1, 2),
        conv(2, [3, 4], 5, 2, 3, 2),
    ];
    for row in rows {
        Case::new(row, &mut draw).check();
    }
}

#[test]
#[cfg_attr(miri, ignore = "large")]
fn three_by_three_kernels_of_many_channels_agree_with_plain_loops() {
    let mut draw = Draw(0x2545_F491_4F6C_DD1D);
    for _ in 0..12 {
        let conv = Conv {
            batch: draw.between(6, 9),
            channels: [draw.between(16, 70), draw.between(16, 70)],
            size: [draw.between(8, 18), draw.between(8, 18)],
            kernel: [3; 2],
            stride: [1; 2],
            padding: [0, 1].map(|_| (draw.between(0, 2), draw.between(0, 2))),
            dilation: [1; 2],
            groups: 1,
        };
        Case::new(conv, &mut draw).check();
    }
}

#[test]
#[cfg_attr(miri, ignore = "large")]
fn a_bias_is_added_to_every_output() {
    let mut draw = Draw(4242);
    let rows = [
        conv(2, [5, 20], 9, 3, 2, 1),
        conv(2, [17, 33], 6, 1, 1, 0),
        conv(8, [16, 40], 12, 3, 1, 1),
        conv(1, [3, 7], 12, 5, 1, 2),
        Conv { groups: 6, ..conv(2, [6, 6], 7, 3, 1, 1) },
        Conv { groups: 2, ..conv(2, [6, 10], 7, 3, 1, 1) },
    ];
    for conv in rows {
        let [x, weight] = [conv.batch * conv.channels[0] * conv.size[0] * conv.size[1], {
            conv.channels[1] * conv.channels[0] / conv.groups * conv.kernel[0] * conv.kernel[1]
        }]
        .map(|len| draw.values(len));
        let bias = draw.values(conv.channels[1]);
        for &isa in Isa::available() {
            let without = conv::forward(isa, &conv, &x, &weight, None);
            let with = conv::forward(isa, &conv, &x, &weight, Some(&bias));
            for (row, expected) in with.chunks(bias.len()).zip(without.chunks(bias.len())) {
                for ((with, without), bias) in row.iter().zip(expected).zip(&bias) {
                    assert!((with - (without + bias)).abs() < 1e-4, "{isa:?} {conv:?}");
                }
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "large")]
fn gradients_agree_with_finite_differences() {
    let mut draw = Draw(12_345);
    for _ in 0..5 {
        let mut case = Case::random(&mut draw);
        // L = sum(grad * y) is linear in each weight and input, so a difference of any size is exact but for rounding.
        let loss = |case: &Case| -> f64 {
            let y = conv::forward(Isa::best(), &case.conv, &case.x, &case.weight, None);
            y.iter().zip(&case.grad).map(|(y, grad)| f64::from(*y) * f64::from(*grad)).sum()
        };
        let dx = conv::input_gradient(Isa::best(), &case.conv, &case.weight, &case.grad);
        let dw = conv::weight_gradient(Isa::best(), &case.conv, &case.x, &case.grad);
        let scale = 1.0 + case.grad.len() as f64;
        for _ in 0..10 {
            let at = draw.between(0, case.x.len() - 1);
            let old = loss(&case);
            case.x[at] += 1.0;
            let difference = loss(&case) - old;
            case.x[at] -= 1.0;
            assert!((difference - f64::from(dx[at])).abs() < 1e-6 * scale, "{:?}", case.conv);

            let at = draw.between(0, case.weight.len() - 1);
            case.weight[at] += 1.0;
            let difference = loss(&case) - old;
            case.weight[at] -= 1.0;
            assert!((difference - f64::from(dw[at])).abs() < 1e-6 * scale, "{:?}", case.conv);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "large")]
fn the_result_is_the_same_to_the_bit_on_any_number_of_threads() {
    let mut draw = Draw(777);
    let case = Case::new(conv(13, [16, 24], 12, 3, 1, 1), &mut draw);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let y = conv::forward(Isa::best(), &case.conv, &case.x, &case.weight, None);
            let dx = conv::input_gradient(Isa::best(), &case.conv, &case.weight, &case.grad);
            let dw = conv::weight_gradient(Isa::best(), &case.conv, &case.x, &case.grad);
            [y, dx, dw].map(|values| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>())
        })
    };
    let once = run(1);
    for threads in [1, 2, 3, 4] {
        assert!(run(threads) == once, "{threads} threads");
    }
}
