//! A dense conditional random field: labels that follow the edges of the image.
//!
//! Philipp Krähenbühl, Vladlen Koltun, *Efficient inference in fully connected CRFs with Gaussian edge potentials*, 2011,
//! <https://arxiv.org/abs/1210.5644>; behind a network since DeepLab (Chen et al. 2014, Section 3.2).

use burn::prelude::*;
use burn::tensor::activation::softmax;
use rayon::prelude::*;

use super::lattice::Lattice;

/// Every pixel draws every other one towards its own class: strongly if it is near and of a like colour (the appearance kernel), a
/// little if it is very near (the smoothness kernel).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DenseCrf {
    /// What the appearance kernel counts: w1 of Equation 3.
    pub appearance: f32,
    /// How far it reaches, in pixels: its σα.
    pub reach: f32,
    /// What colours are alike to it, in grey levels: its σβ.
    pub colour: f32,
    /// What the smoothness kernel counts: w2.
    pub smoothness: f32,
    /// How far it reaches, in pixels: its σγ.
    pub near: f32,
    /// Rounds of the mean field.
    pub rounds: usize,
}

impl Default for DenseCrf {
    /// DeepLab's smoothness and rounds; of the appearance the lower ends of the ranges that its authors searched (2014, Section 5.1).
    fn default() -> Self {
        Self { appearance: 5.0, reach: 50.0, colour: 3.0, smoothness: 3.0, near: 3.0, rounds: 10 }
    }
}

impl DenseCrf {
    /// The logarithms of the probabilities that the mean field comes to (Algorithm 1), from those of `logits`. Kernels are normalized
    /// by the roots of their sums at both pixels, as in the authors' later code.
    ///
    /// # Shapes
    /// `logits` `[batch, num_classes, height, width]` and `colours` `[batch, 3, height, width]` from 0 to 255, to the shape of `logits`
    ///
    /// # Panics
    /// If batch, height or width differ.
    pub fn refined(&self, logits: Tensor<4>, colours: Tensor<4>) -> Tensor<4> {
        let [batch, num_classes, height, width] = logits.dims();
        assert_eq!(colours.dims(), [batch, 3, height, width], "colours of the images that logits are of");
        let device = logits.device();
        // Pixel after pixel, each with all its numbers.
        let numbers = |x: Tensor<4>| -> Vec<f32> {
            let data = x.permute([0, 2, 3, 1]).into_data().convert::<f32>();
            data.try_into_vec().expect("converted to f32 above")
        };
        let (probabilities, colours) = (numbers(softmax(logits, 1)), numbers(colours));
        let images = probabilities.par_chunks(num_classes * height * width);
        let colours = colours.par_chunks(3 * height * width);
        let refined: Vec<f32> = images
            .zip(colours)
            .flat_map_iter(|(probabilities, colours)| {
                self.mean_field(probabilities, colours, num_classes, width)
            })
            .collect();
        let refined = TensorData::new(refined, [batch, height, width, num_classes]);
        Tensor::<4>::from_data(refined, &device).permute([0, 3, 1, 2]).log()
    }

    fn mean_field(
        &self,
        probabilities: &[f32],
        colours: &[f32],
        num_classes: usize,
        width: usize,
    ) -> Vec<f32> {
        let pixels = probabilities.len() / num_classes;
        let place = |at: usize| [at % width, at / width].map(|place| place as f32);
        let smooth = Lattice::new((0..pixels).map(|at| place(at).map(|place| place / self.near)));
        let alike = Lattice::new((0..pixels).map(|at| {
            let [x, y] = place(at).map(|place| place / self.reach);
            let colour = |channel: usize| colours[3 * at + channel] / self.colour;
            [x, y, colour(0), colour(1), colour(2)]
        }));
        let kernels =
            [(self.smoothness, Kernel::new(smooth, pixels)), (self.appearance, Kernel::new(alike, pixels))];
        let unary: Vec<f32> = probabilities.iter().map(|p| p.max(LEAST).ln()).collect();
        let mut mean = probabilities.to_vec();
        for _ in 0..self.rounds {
            let mut energies = unary.clone();
            for (weight, kernel) in &kernels {
                let drawn = kernel.of(&mean, num_classes);
                energies.iter_mut().zip(drawn).for_each(|(energy, drawn)| *energy += weight * drawn);
            }
            mean = energies;
            mean.chunks_mut(num_classes).for_each(normalize);
        }
        mean.iter_mut().for_each(|p| *p = p.max(LEAST));
        mean
    }
}

/// No probability is taken for less.
const LEAST: f32 = 1e-20;

/// A filter after which, and before which, values are divided by the root of what it makes of ones.
struct Kernel {
    lattice: Lattice,
    scale: Vec<f32>,
}

impl Kernel {
    fn new(lattice: Lattice, pixels: usize) -> Self {
        let scale =
            lattice.filter(&vec![1.0; pixels], 1).iter().map(|sum| (sum + LEAST).sqrt().recip()).collect();
        Self { lattice, scale }
    }

    fn of(&self, values: &[f32], channels: usize) -> Vec<f32> {
        let scaled = |mut values: Vec<f32>| {
            for (values, scale) in values.chunks_mut(channels).zip(&self.scale) {
                values.iter_mut().for_each(|value| *value *= scale);
            }
            values
        };
        scaled(self.lattice.filter(&scaled(values.to_vec()), channels))
    }
}

/// Energies to probabilities.
fn normalize(energies: &mut [f32]) {
    let most = energies.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    energies.iter_mut().for_each(|energy| *energy = (*energy - most).exp());
    let sum: f32 = energies.iter().sum();
    energies.iter_mut().for_each(|energy| *energy /= sum);
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;

    /// The same with every pair of pixels, in f64: Equations 2 to 4 and Algorithm 1.
    fn by_pairs(crf: &DenseCrf, unary: &[f64], colours: &[f64], classes: usize, width: usize) -> Vec<f64> {
        let pixels = unary.len() / classes;
        let kernel = |distance: &dyn Fn(usize, usize) -> f64| {
            let all: Vec<f64> = (0..pixels * pixels)
                .map(|pair| (-0.5 * distance(pair / pixels, pair % pixels)).exp())
                .collect();
            let sums: Vec<f64> = all.chunks(pixels).map(|row| row.iter().sum()).collect();
            let scaled = |(pair, k): (usize, &f64)| k / (sums[pair / pixels] * sums[pair % pixels]).sqrt();
            all.iter().enumerate().map(scaled).collect::<Vec<f64>>()
        };
        let place = |i: usize| [(i % width) as f64, (i / width) as f64];
        let squared =
            |a: &[f64], b: &[f64], by: f64| a.iter().zip(b).map(|(a, b)| ((a - b) / by).powi(2)).sum::<f64>();
        let smooth = kernel(&|i, j| squared(&place(i), &place(j), crf.near.into()));
        let alike = kernel(&|i, j| {
            squared(&place(i), &place(j), crf.reach.into())
                + squared(&colours[3 * i..3 * i + 3], &colours[3 * j..3 * j + 3], crf.colour.into())
        });
        let normalized = |energies: &[f64]| {
            let sum: f64 = energies.iter().map(|e| e.exp()).sum();
            energies.iter().map(|e| e.exp() / sum).collect::<Vec<f64>>()
        };
        let mut mean: Vec<f64> = unary.chunks(classes).flat_map(normalized).collect();
        for _ in 0..crf.rounds {
            let energy = |i: usize, class: usize| {
                let drawn = |j: usize| {
                    let pair = i * pixels + j;
                    f64::from(crf.smoothness) * smooth[pair] + f64::from(crf.appearance) * alike[pair]
                };
                unary[i * classes + class]
                    + (0..pixels).map(|j| drawn(j) * mean[j * classes + class]).sum::<f64>()
            };
            let energies: Vec<f64> =
                (0..pixels * classes).map(|at| energy(at / classes, at % classes)).collect();
            mean = energies.chunks(classes).flat_map(normalized).collect();
        }
        mean
    }

    /// Left dark, right bright, with a little noise; of the right class more often than not.
    fn noisy(height: usize, width: usize, device: &Device) -> (Tensor<4>, Tensor<4>) {
        device.seed(11);
        let right =
            Tensor::<1, Int>::arange(0..width as i64, device).greater_equal_elem(width as i64 / 2).float();
        let right = right.reshape([1, 1, 1, width]).expand([1, 1, height, width]);
        let noise = |deviation| {
            Tensor::<4>::random([1, 3, height, width], Distribution::Normal(0.0, deviation), device)
        };
        let colours = (right.clone() * 60.0 + 90.0).expand([1, 3, height, width]) + noise(2.0);
        let logits = Tensor::cat(
            vec![right.clone() * -1.0 + 0.5, right - 0.5, Tensor::full([1, 1, height, width], -3.0, device)],
            1,
        );
        (logits + noise(1.0), colours)
    }

    #[test]
    fn the_mean_field_is_that_of_all_pairs_of_pixels() {
        let device = Device::flex();
        let [height, width, classes] = [20, 24, 3];
        let (logits, colours) = noisy(height, width, &device);
        let crf =
            DenseCrf { appearance: 2.0, reach: 6.0, colour: 20.0, smoothness: 1.0, near: 2.0, rounds: 5 };
        let numbers = |x: Tensor<4>| {
            let data = x.permute([0, 2, 3, 1]).into_data().convert::<f64>();
            data.try_into_vec::<f64>().unwrap_or_default()
        };
        let exact = by_pairs(&crf, &numbers(logits.clone()), &numbers(colours.clone()), classes, width);
        let ours = numbers(crf.refined(logits, colours).exp());
        let differences: Vec<f64> = ours.iter().zip(&exact).map(|(a, b)| (a - b).abs()).collect();
        let mean = differences.iter().sum::<f64>() / differences.len() as f64;
        assert!(mean < 0.02, "{mean}");
        let best = |probabilities: &[f64]| {
            (0..classes)
                .fold(0, |best, class| if probabilities[class] > probabilities[best] { class } else { best })
        };
        let pairs = ours.chunks(classes).zip(exact.chunks(classes));
        let agree = pairs.filter(|(a, b)| best(a) == best(b)).count();
        assert!(agree * 100 >= 99 * height * width, "{agree} of {}", height * width);
    }

    #[test]
    fn labels_follow_the_edge_of_the_image() {
        let device = Device::flex();
        let [height, width] = [40, 60];
        let (logits, colours) = noisy(height, width, &device);
        let wrong = |logits: Tensor<4>| {
            let labels =
                logits.argmax(1).into_data().convert::<i64>().try_into_vec::<i64>().unwrap_or_default();
            labels
                .iter()
                .enumerate()
                .filter(|(at, label)| **label != i64::from(at % width >= width / 2))
                .count()
        };
        // A pixel that is noise in both stays as it is.
        let [before, after] = [wrong(logits.clone()), wrong(DenseCrf::default().refined(logits, colours))];
        assert!(before > 200 && after <= 2, "{before} to {after}");
    }
}
