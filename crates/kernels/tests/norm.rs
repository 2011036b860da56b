//! Every path of the batch normalization against plain loops in f64, on shapes drawn at random with a fixed seed.

use kiln_kernels::norm::{self, Norm, Statistics};
use kiln_kernels::{Isa, Then};

const EPSILON: f64 = 1e-5;

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

/// Rows of channels, and all that a normalization of them is given.
struct Case {
    channels: usize,
    x: Vec<f32>,
    skip: Vec<f32>,
    grad: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

impl Case {
    fn new(rows: usize, channels: usize, draw: &mut Draw) -> Self {
        let [x, skip, grad] = [0; 3].map(|_| draw.values(rows * channels));
        let [gamma, beta] = [0; 2].map(|_| draw.values(channels));
        Self { channels, x, skip, grad, gamma, beta }
    }

    /// A column of `values`, in f64.
    fn column(&self, values: &[f32], channel: usize) -> Vec<f64> {
        values.iter().skip(channel).step_by(self.channels).map(|&value| f64::from(value)).collect()
    }

    fn check(&self) {
        for &isa in Isa::available() {
            let [mean, variance] = norm::statistics(isa, self.channels, &self.x);
            for channel in 0..self.channels {
                let x = self.column(&self.x, channel);
                let expected = x.iter().sum::<f64>() / x.len() as f64;
                close(mean[channel], expected, &format!("mean, {isa:?}"));
                let expected = x.iter().map(|x| (x - expected).powi(2)).sum::<f64>() / x.len() as f64;
                close(variance[channel], expected, &format!("variance, {isa:?}"));
            }
            for then in [Then::Nothing, Then::Relu, Then::AddRelu(&self.skip[..])] {
                for source in [Statistics::OfBatch, Statistics::Given] {
                    self.check_gradients(isa, [&mean, &variance], then, source);
                }
            }
        }
    }

    /// The result, and from the definition's derivatives the gradients.
    fn check_gradients(
        &self,
        isa: Isa,
        [mean, variance]: [&[f32]; 2],
        then: Then<&[f32]>,
        source: Statistics,
    ) {
        let context = format!("{isa:?} {} channels, {source:?}", self.channels);
        let norm = Norm { gamma: &self.gamma, beta: &self.beta, mean, variance, epsilon: EPSILON };
        let y = norm::normalize(isa, &norm, &self.x, then);
        let mut in_place = self.x.clone();
        norm::normalize_in_place(isa, &norm, &mut in_place, then);
        assert!(y == in_place, "in place, {context}");

        let known = match then {
            Then::Nothing => Then::Nothing,
            Then::Relu => Then::Relu,
            Then::AddRelu(_) => Then::AddRelu(&y[..]),
        };
        let mut grad = self.grad.clone();
        let gradients = norm::gradients(isa, &norm, source, &self.x, &mut grad, known);
        let (dx, skip_grad) = match &gradients.x {
            Some(dx) => (dx, Some(&grad)),
            None => (&grad, None),
        };
        assert_eq!(skip_grad.is_some(), matches!(then, Then::AddRelu(_)));
        for channel in 0..self.channels {
            let [x, skip, outer] =
                [&self.x, &self.skip, &self.grad].map(|values| self.column(values, channel));
            let count = x.len() as f64;
            let deviation = (f64::from(variance[channel]) + EPSILON).sqrt();
            let [gamma, beta] = [self.gamma[channel], self.beta[channel]].map(f64::from);
            let unit: Vec<f64> = x.iter().map(|x| (x - f64::from(mean[channel])) / deviation).collect();
            let before: Vec<f64> = match then {
                Then::AddRelu(_) => {
                    unit.iter().zip(&skip).map(|(unit, skip)| unit * gamma + beta + skip).collect()
                }
                _ => unit.iter().map(|unit| unit * gamma + beta).collect(),
            };
            let rectifies = !matches!(then, Then::Nothing);
            let expected = before.iter().map(|y| if rectifies { y.max(0.0) } else { *y });
            close_all(&self.column(&y, channel), expected, &context);

            // dy = outer where y is positive; dgamma = sum(dy unit), dbeta = sum(dy),
            // dx = gamma / deviation (dy - dbeta / n - unit dgamma / n)
            let dy: Vec<f64> = outer
                .iter()
                .zip(&before)
                .map(|(dy, y)| if rectifies && *y <= 0.0 { 0.0 } else { *dy })
                .collect();
            let dgamma: f64 = dy.iter().zip(&unit).map(|(dy, unit)| dy * unit).sum();
            let dbeta: f64 = dy.iter().sum();
            let share = if source == Statistics::OfBatch { 1.0 / count } else { 0.0 };
            let expected = dy.iter().zip(&unit);
            let expected =
                expected.map(|(dy, unit)| gamma / deviation * (dy - (dbeta + unit * dgamma) * share));
            close_all(&self.column(dx, channel), expected, &format!("input's gradient, {context}"));
            // Sums of as many roundings.
            let root = count.sqrt();
            close(
                gradients.gamma[channel] / root as f32,
                dgamma / root,
                &format!("gamma's gradient, {context}"),
            );
            close(
                gradients.beta[channel] / root as f32,
                dbeta / root,
                &format!("beta's gradient, {context}"),
            );
            if let Some(skip_grad) = skip_grad {
                close_all(
                    &self.column(skip_grad, channel),
                    dy.into_iter(),
                    &format!("other gradient, {context}"),
                );
            }
        }
    }
}

/// Within 1e-5 of the larger of the expected value and one.
fn close(ours: f32, expected: f64, context: &str) {
    assert!(
        (f64::from(ours) - expected).abs() <= 1e-5 * expected.abs().max(1.0),
        "{context}: {ours} for {expected}"
    );
}

fn close_all(ours: &[f64], expected: impl Iterator<Item = f64>, context: &str) {
    let mut count = 0;
    for (ours, expected) in ours.iter().zip(expected) {
        close(*ours as f32, expected, context);
        count += 1;
    }
    assert_eq!(count, ours.len());
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_hundred_random_shapes_agree_with_plain_loops() {
    let mut draw = Draw(0x9E37_79B9_7F4A_7C15);
    for _ in 0..100 {
        let (rows, channels) = (draw.between(2, 60), draw.between(1, 70));
        Case::new(rows, channels, &mut draw).check();
    }
}

#[test]
fn a_few_values_agree_with_plain_loops() {
    let mut draw = Draw(88_172_645_463_325_252);
    for (rows, channels) in [(2, 1), (5, 3), (3, 16), (2, 40)] {
        Case::new(rows, channels, &mut draw).check();
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn many_rows_and_many_channels_agree_with_plain_loops() {
    let mut draw = Draw(777);
    // In several tasks; in long rows of several rows, of one, and of an odd number of floats.
    for (rows, channels) in [(40_000, 3), (3000, 24), (700, 116), (150, 1000), (130, 4099)] {
        Case::new(rows, channels, &mut draw).check();
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn the_result_is_the_same_to_the_bit_on_any_number_of_threads() {
    let case = Case::new(5000, 24, &mut Draw(12_345));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let [mean, variance] = norm::statistics(Isa::best(), case.channels, &case.x);
            let norm = Norm {
                gamma: &case.gamma,
                beta: &case.beta,
                mean: &mean,
                variance: &variance,
                epsilon: EPSILON,
            };
            let mut grad = case.grad.clone();
            let gradients =
                norm::gradients(Isa::best(), &norm, Statistics::OfBatch, &case.x, &mut grad, Then::Relu);
            let all = [&mean, &variance, &grad, &gradients.gamma, &gradients.beta];
            all.map(|values| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>())
        })
    };
    let once = run(1);
    for threads in 2..=4 {
        assert!(run(threads) == once, "{threads} threads");
    }
}

#[test]
fn a_mean_far_from_zero_does_not_spoil_the_variance() {
    // 4096 +- 0.5: the squares differ in the eighth digit, the variance is 1/4.
    let x: Vec<f32> = (0..4096).map(|i| 4096.0 + if i % 2 == 0 { 0.5 } else { -0.5 }).collect();
    for &isa in Isa::available() {
        let [mean, variance] = norm::statistics(isa, 1, &x);
        assert_eq!(mean, [4096.0], "{isa:?}");
        close(variance[0], 0.25, "the variance");
        // The first value far off as well: in units of a half, a sum of 4095 * 8192 - 1 + 0, and of squares of
        // distances from 8192 of 4095 + 8192^2.
        let mut x = x.clone();
        x[0] = 0.0;
        let [mean, variance] = norm::statistics(isa, 1, &x);
        let off = -8193.0 / 4096.0;
        close(mean[0] / 4096.0, (8192.0 + off) / 2.0 / 4096.0, "the mean");
        close(
            variance[0] / 4096.0,
            ((4095.0 + 8192.0 * 8192.0) / 4096.0 - off * off) / 4.0 / 4096.0,
            "the variance",
        );
    }
}
