//! The gradient noise scale (McCandlish, Kaplan, Amodei et al., *An Empirical Model of Large-Batch Training*, 2018,
//! <https://arxiv.org/abs/1812.06162>, Section 2.2 and Appendix A.1): how large a batch must be for its gradient to be more signal
//! than noise.

use burn::optim::GradientsParams;
use kiln_core::{Batches, Error, Network, Result, Task};

use crate::OptimizerConfig;
use crate::clip::norm;
use crate::step::{added, device_of, seed_of};
use crate::walk::{each, mapped_gradients};

/// How the noise is measured: weights stay as they are, and gradients of batches are compared with those of groups of batches.
///
/// Everything is as in training, so that the noise is what a step meets: augmentation and dropout are drawn, and batch
/// normalization goes by each batch. Gradients of a network with batch normalization are no mean of those of single images, so
/// that the noise is that of batches of this size; it says less of batches of a few images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoiseProbe {
    /// Batches in a group: the large batch.
    pub group: usize,
    /// Groups.
    pub groups: usize,
    /// What every random number comes from.
    pub seed: u64,
}

/// What one group of batches says.
///
/// Both are estimates without bias, of the source that the images are drawn from. Either may be negative by chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// |G|², of the gradient G that an endless batch would have.
    pub signal: f64,
    /// tr(Σ), where Σ is the covariance of the gradients of single images.
    pub noise: f64,
}

impl Moments {
    /// Of gradients of small batches, each by its images and its squared length, and of the squared length of the gradient
    /// of all their images together: Equations A.1 and A.2, for small batches that need not be of one size.
    ///
    /// E|g|² = |G|² + tr(Σ)/B of a batch of B images; the small ones and the large one are two such equations.
    pub fn of(small: &[(usize, f64)], large: f64) -> Self {
        let mean = |of: fn(&(usize, f64)) -> f64| small.iter().map(of).sum::<f64>() / small.len() as f64;
        let per_small = mean(|(images, _)| 1.0 / *images as f64);
        let per_large = 1.0 / small.iter().map(|(images, _)| *images as f64).sum::<f64>();
        let noise = (mean(|(_, squared)| *squared) - large) / (per_small - per_large);
        Self { signal: large - noise * per_large, noise }
    }
}

/// A value, and the standard error that it may be off by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientNoise {
    /// Group by group.
    pub groups: Vec<Moments>,
}

impl GradientNoise {
    /// |G|².
    pub fn signal(&self) -> Estimate {
        self.jackknife(|moments| moments.signal)
    }

    /// tr(Σ).
    pub fn noise(&self) -> Estimate {
        self.jackknife(|moments| moments.noise)
    }

    /// B_simple = tr(Σ) / |G|², in images; the means are taken before they are divided, as the quotients of single groups
    /// are far from it. `None` where |G|² is not told from 0 by two standard errors: it takes more batches.
    pub fn scale(&self) -> Option<Estimate> {
        let signal = self.signal();
        (signal.value > 2.0 * signal.error)
            .then(|| self.jackknife(|moments| moments.noise.max(0.0) / moments.signal))
    }

    /// A function of the mean over all groups, with the error that leaving out one group after the other shows (Tukey's
    /// jackknife).
    fn jackknife(&self, of: impl Fn(Moments) -> f64) -> Estimate {
        let count = self.groups.len() as f64;
        let sum = |of: fn(&Moments) -> f64| self.groups.iter().map(of).sum::<f64>();
        let (signal, noise) = (sum(|group| group.signal), sum(|group| group.noise));
        let value = of(Moments { signal: signal / count, noise: noise / count });
        let without = |group: &Moments| {
            let signal = (signal - group.signal) / (count - 1.0);
            of(Moments { signal, noise: (noise - group.noise) / (count - 1.0) })
        };
        let without: Vec<f64> = self.groups.iter().map(without).collect();
        let mean = without.iter().sum::<f64>() / count;
        let spread = without.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        Estimate { value, error: (spread * (count - 1.0) / count).sqrt() }
    }
}

impl NoiseProbe {
    /// Measures the noise of a network's gradients, those of the parameters that `optimizer` lets learn. `watch` hears of
    /// every batch.
    ///
    /// # Errors
    /// Fewer than two batches in a group, or two groups; a batch that cannot be read; a gradient that is not finite.
    pub fn measure<N, T>(
        &self,
        network: N,
        optimizer: &OptimizerConfig,
        task: &T,
        train: &impl Batches,
        mut watch: impl FnMut(usize),
    ) -> Result<GradientNoise>
    where
        N: Network<Output = T::Output>,
        T: Task,
    {
        if self.group < 2 || self.groups < 2 || train.steps() == 0 {
            let error = Error::input(format!("{} groups of {} batches say nothing", self.groups, self.group));
            return Err(error.hint("give two or more of each"));
        }
        let device = device_of(&network);
        device.seed(self.seed);
        // Draws what is not drawn yet: the weights that a run of this seed begins with.
        each(&network, |_, _| ());
        let network = optimizer.freeze(network)?;
        let mut batches = (0..).flat_map(|epoch| train.epoch(epoch, 0)).enumerate();
        let mut groups = Vec::new();
        for _ in 0..self.groups {
            let (mut small, mut sum) = (Vec::new(), GradientsParams::new());
            for (number, batch) in batches.by_ref().take(self.group) {
                let batch = batch?;
                device.seed(seed_of(self.seed, number));
                let loss = task.loss(network.forward_train(batch.images.clone()), &batch).total();
                let gradients = GradientsParams::from_grads(loss.backward(), &network);
                let (length, gradients) = norm(&network, gradients);
                if !length.is_finite() {
                    let error = Error::failure(format!("the gradient of batch {} is not finite", number + 1));
                    return Err(
                        error.hint("these weights have blown up, or the data has numbers that are none")
                    );
                }
                let images = batch.images.dims()[0];
                small.push((images, length * length));
                let weighed = mapped_gradients(&network, gradients, |_, gradient| gradient * images as f64);
                sum = added(&network, sum, weighed);
                watch(number + 1);
            }
            let images: usize = small.iter().map(|(images, _)| images).sum();
            let length = norm(&network, sum).0 / images as f64;
            groups.push(Moments::of(&small, length * length));
        }
        Ok(GradientNoise { groups })
    }
}
