//! Convolutions of several groups against plain loops in f64, on shapes drawn at random with a fixed seed.

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

    /// Any settings for groups of `group` input and output channels.
    fn conv(&mut self, group: [usize; 2], groups: usize) -> Conv {
        loop {
            let pair = |draw: &mut Self, low, high| [draw.between(low, high), draw.between(low, high)];
            let conv = Conv {
                batch: self.between(1, 4),
                channels: group.map(|channels| channels * groups),
                size: pair(self, 1, 19),
                kernel: pair(self, 1, 5),
                stride: pair(self, 1, 3),
                padding: [0, 1].map(|_| (self.between(0, 2), self.between(0, 2))),
                dilation: pair(self, 1, 2),
                groups,
            };
            if conv.out().is_some() {
                return conv;
            }
        }
    }
}

struct Case {
    conv: Conv,
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    grad: Vec<f32>,
}

impl Case {
    fn new(conv: Conv, draw: &mut Draw) -> Self {
        let [high, wide] = conv.out().expect("the kernel fits");
        let [input, output] = conv.channels;
        Self {
            conv,
            x: draw.values(conv.batch * conv.size[0] * conv.size[1] * input),
            weight: draw.values(output * (input / conv.groups) * conv.kernel[0] * conv.kernel[1]),
            bias: draw.values(output),
            grad: draw.values(conv.batch * high * wide * output),
        }
    }

    /// Calls `each` with the indices of output, input and weight of every product of the convolution.
    fn products(&self, mut each: impl FnMut(usize, usize, usize)) {
        let Conv { batch, channels: [input, output], size, kernel, stride, padding, dilation, groups } =
            self.conv;
        let out = self.conv.out().expect("the kernel fits");
        let depth = input / groups;
        for n in 0..batch {
            for y in 0..out[0] {
                for x in 0..out[1] {
                    for i in 0..kernel[0] {
                        for j in 0..kernel[1] {
                            let row = (y * stride[0] + i * dilation[0]).wrapping_sub(padding[0].0);
                            let column = (x * stride[1] + j * dilation[1]).wrapping_sub(padding[1].0);
                            if row < size[0] && column < size[1] {
                                for m in 0..output {
                                    for c in 0..depth {
                                        each(
                                            ((n * out[0] + y) * out[1] + x) * output + m,
                                            ((n * size[0] + row) * size[1] + column) * input
                                                + m / (output / groups) * depth
                                                + c,
                                            ((m * depth + c) * kernel[0] + i) * kernel[1] + j,
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
        let output = self.conv.channels[1];
        let mut y: Vec<f64> = (0..self.grad.len()).map(|at| f64::from(self.bias[at % output])).collect();
        let (mut dx, mut dw) = (vec![0.0; self.x.len()], vec![0.0; self.weight.len()]);
        self.products(|o, i, w| {
            y[o] += product(self.x[i], self.weight[w]);
            dx[i] += product(self.grad[o], self.weight[w]);
            dw[w] += product(self.grad[o], self.x[i]);
        });
        for &isa in Isa::available() {
            let context = format!("{isa:?} {:?}", self.conv);
            let ours = conv::forward(isa, &self.conv, &self.x, &self.weight, Some(&self.bias));
            close(&ours, &y, &format!("output, {context}"));
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

fn conv(batch: usize, channels: usize, groups: usize, side: usize, kernel: usize, stride: usize) -> Conv {
    Conv {
        batch,
        channels: [channels; 2],
        size: [side; 2],
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [(kernel / 2, kernel / 2); 2],
        dilation: [1; 2],
        groups,
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn two_hundred_random_depthwise_shapes_agree_with_plain_loops() {
    let mut draw = Draw(0x9E37_79B9_7F4A_7C15);
    for _ in 0..200 {
        let channels = draw.between(2, 70);
        Case::new(draw.conv([1, 1], channels), &mut draw).check();
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn two_hundred_random_grouped_shapes_agree_with_plain_loops() {
    let mut draw = Draw(0xD1B5_4A32_D192_ED03);
    for round in 0..200 {
        // Every fourth of many channels a group; a fourth of few inputs or few outputs.
        let (input, output) = match round % 4 {
            0 => (draw.between(16, 20), draw.between(16, 20)),
            1 => (1, draw.between(2, 20)),
            _ => (draw.between(1, 9), draw.between(1, 9)),
        };
        let groups = draw.between(2, 9);
        Case::new(draw.conv([input, output], groups), &mut draw).check();
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn the_shapes_of_the_networks_agree_with_plain_loops() {
    let mut draw = Draw(88_172_645_463_325_252);
    let rows = [
        // ShuffleNet V2.
        conv(3, 24, 24, 24, 3, 2),
        conv(3, 58, 58, 24, 3, 2),
        conv(3, 116, 116, 12, 3, 1),
        conv(3, 232, 232, 6, 3, 1),
        conv(3, 464, 464, 3, 3, 1),
        // MobileNet V2, EfficientNet, ConvNeXt: also in bands of rows.
        conv(1, 32, 32, 112, 3, 1),
        conv(1, 96, 96, 112, 3, 2),
        conv(1, 40, 40, 56, 5, 2),
        conv(1, 16, 16, 56, 7, 1),
        // ResNeXt-50 of 32 groups.
        conv(1, 128, 32, 28, 3, 1),
        conv(1, 256, 32, 28, 3, 2),
        conv(1, 512, 32, 7, 3, 1),
        conv(2, 128, 4, 7, 3, 2),
        // Groups across vectors; of more channels than a vector, or fewer out than in.
        conv(2, 60, 10, 9, 3, 1),
        conv(2, 27, 9, 9, 3, 2),
        Conv { channels: [64, 16], ..conv(2, 64, 8, 9, 3, 1) },
        Conv { channels: [16, 64], ..conv(2, 64, 2, 9, 5, 2) },
        // Kernel and padding beyond the input; strides beyond it.
        Conv { stride: [4, 5], ..conv(2, 20, 20, 3, 5, 1) },
        Conv { padding: [(3, 0), (0, 4)], ..conv(2, 20, 10, 4, 1, 1) },
        Conv { dilation: [6, 6], padding: [(6, 6); 2], ..conv(1, 24, 24, 20, 3, 1) },
    ];
    for row in rows {
        Case::new(row, &mut draw).check();
    }
}

#[test]
fn small_shapes_agree_with_plain_loops() {
    let mut draw = Draw(4_242);
    // Depthwise; with fewer channels than a vector; groups within, of and across vectors.
    let rows = [
        conv(1, 18, 18, 3, 3, 1),
        conv(1, 3, 3, 4, 3, 2),
        conv(1, 8, 4, 3, 3, 1),
        conv(1, 8, 2, 3, 3, 2),
        Conv { channels: [6, 9], ..conv(1, 6, 3, 2, 2, 1) },
    ];
    for row in rows {
        Case::new(row, &mut draw).check();
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn the_result_is_the_same_to_the_bit_on_any_number_of_threads() {
    let mut draw = Draw(777);
    for case in [conv(13, 58, 58, 24, 3, 2), conv(5, 64, 16, 20, 3, 1), conv(5, 64, 2, 20, 3, 1)] {
        let case = Case::new(case, &mut draw);
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
        for threads in [2, 3, 4] {
            assert!(run(threads) == once, "{threads} threads");
        }
    }
}
