//! The learning-rate finder (Smith, 2017, Section 3.3), <https://arxiv.org/abs/1506.01186>: some steps, each at a higher rate
//! than the one before it, and what that does to the loss.

use burn::optim::GradientsParams;
use kiln_core::{Batches, Error, Network, Result, Task};

use crate::OptimizerConfig;
use crate::step::{device_of, seed_of};

/// Which rates are tried.
#[derive(Debug, Clone, PartialEq)]
pub struct RateFinder {
    /// The rate of the first step.
    pub from: f64,
    /// The rate of the last one.
    pub to: f64,
    /// Steps; each rate is the same multiple of the one before it.
    pub steps: usize,
    /// What every random number comes from.
    pub seed: u64,
}

/// A rate that was tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TriedRate {
    /// The rate.
    pub rate: f64,
    /// The loss of the batch, before the step.
    pub loss: f64,
    /// The mean of the losses around it.
    pub smoothed: f64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// The rates tried, rising.
    pub points: Vec<TriedRate>,
}

/// The sweep is over when the loss is so many times its lowest: higher rates only make it worse.
const BLOWN_UP: f64 = 4.0;
/// The share of the last average in the average that decides this.
const KEPT: f64 = 0.9;

impl RateFinder {
    /// Tries the rates, or as many of them as the network bears. `watch` hears of every step.
    ///
    /// # Errors
    /// Rates or a number of steps that make no sense; what [`OptimizerConfig::init`] says; a batch that cannot be read.
    pub fn find<N, T>(
        &self,
        network: N,
        optimizer: &OptimizerConfig,
        task: &T,
        train: &impl Batches,
        mut watch: impl FnMut(usize),
    ) -> Result<Sweep>
    where
        N: Network<Output = T::Output>,
        T: Task,
    {
        if !(self.from.is_finite() && self.to.is_finite() && 0.0 < self.from && self.from < self.to) {
            let error = Error::input(format!("{} to {} is no range of rates", self.from, self.to));
            return Err(error.hint("as 1e-6 to 10"));
        }
        if self.steps < 10 || train.steps() == 0 {
            return Err(Error::input(format!("{} steps are no sweep", self.steps)).hint("give 10 or more"));
        }
        let device = device_of(&network);
        device.seed(self.seed);
        let mut rule = optimizer.init()?;
        let mut network = optimizer.freeze(network)?;
        let (mut losses, mut average, mut lowest) = (Vec::new(), 0.0, f64::INFINITY);
        let batches = (0..).flat_map(|epoch| train.epoch(epoch, 0));
        for (step, batch) in batches.take(self.steps).enumerate() {
            let batch = batch?;
            device.seed(seed_of(self.seed, step));
            let loss = task.loss(network.forward_train(batch.images.clone()), &batch).total();
            let value = f64::from(loss.clone().into_scalar::<f32>());
            average = KEPT * average + (1.0 - KEPT) * value;
            let corrected = average / (1.0 - KEPT.powi(step as i32 + 1));
            if corrected.is_nan() || corrected > BLOWN_UP * lowest {
                break;
            }
            lowest = lowest.min(corrected);
            losses.push([self.rate(step), value]);
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = rule.step(self.rate(step), network, gradients);
            watch(step + 1);
        }
        Ok(Sweep::new(&losses))
    }

    /// The rate of a step, counted from 0.
    fn rate(&self, step: usize) -> f64 {
        self.from * (self.to / self.from).powf(step as f64 / (self.steps - 1) as f64)
    }
}

impl Sweep {
    /// Of rates and their losses, in the order of the steps.
    pub fn new(losses: &[[f64; 2]]) -> Self {
        // A twentieth to either side, less near the ends: a one-sided mean would lag behind.
        let reach = losses.len() / 20;
        let point = |(at, [rate, loss]): (usize, &[f64; 2])| {
            let reach = reach.min(at).min(losses.len() - 1 - at);
            let around = &losses[at - reach..=at + reach];
            let smoothed = around.iter().map(|[_, loss]| loss).sum::<f64>() / around.len() as f64;
            TriedRate { rate: *rate, loss: *loss, smoothed }
        };
        Self { points: losses.iter().enumerate().map(point).collect() }
    }

    /// The point at which the smoothed loss is lowest.
    pub fn lowest(&self) -> Option<TriedRate> {
        self.points.iter().copied().min_by(|a, b| a.smoothed.total_cmp(&b.smoothed))
    }

    /// The point before it at which the smoothed loss falls fastest, against the logarithm of the rate. None if it does not
    /// fall at all.
    pub fn steepest(&self) -> Option<TriedRate> {
        let end = self.lowest()?.rate;
        let slopes = self.points.windows(3).filter(|window| window[1].rate < end).map(|window| {
            let slope = (window[2].smoothed - window[0].smoothed) / (window[2].rate / window[0].rate).ln();
            (slope, window[1])
        });
        let (slope, point) = slopes.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
        (slope < 0.0).then_some(point)
    }
}
