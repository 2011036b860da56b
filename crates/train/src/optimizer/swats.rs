//! Adam first, then stochastic gradient descent.

use burn::prelude::*;
use kiln_core::Result;
use serde::{Deserialize, Serialize};

use super::memory::Numbers;
use super::rule::{At, Update, both_below_one, not_negative};

/// SWATS (Keskar and Socher, 2017, Algorithm 1), <https://arxiv.org/abs/1712.07628>: begins as Adam, and goes on as SGD once
/// the rate at which SGD would have gone as far along Adam's steps has settled.
///
/// That rate is one for the whole network, and so is the switch. Not in the paper: a schedule that changes the rate of
/// Adam goes on to change SGD's in the same proportion; a rate below 0 is not switched to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Swats {
    /// Decay of the first and the second moment; the second is also that of the rate's average.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub eps: f64,
    /// How near the rate must be to its average. In 32-bit arithmetic the paper's 1e-9 is met by chance; 1e-5 is common.
    pub tolerance: f64,
    /// Added to the gradient: `weight_decay` times the weight.
    pub weight_decay: f64,
}

impl Default for Swats {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-9, tolerance: 1e-9, weight_decay: 0.0 }
    }
}

/// What is remembered of the network: steps taken, the average rate λ, and after the switch SGD's rate Λ for each unit of
/// the schedule's.
const STEPS: &str = "adam_steps";
const AVERAGE: &str = "average";
const SGD_RATE: &str = "sgd_rate";
/// Sums over the parameters of one step: `p · p` and `p · g` of Adam's step p.
const SQUARE: &str = "step_square";
const SLOPE: &str = "step_slope";

impl Update for Swats {
    fn check(&self) -> Result<()> {
        both_below_one("betas", self.betas)?;
        not_negative("eps", self.eps, "1e-9")?;
        not_negative("tolerance", self.tolerance, "1e-9")?;
        not_negative("weight_decay", self.weight_decay, "1e-4")
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn keeps(&self) -> &'static [&'static str] {
        &["first", "second", "velocity", STEPS, AVERAGE, SGD_RATE]
    }

    fn step(&self, x: Tensor<1>, g: Tensor<1>, at: At) -> Tensor<1> {
        let g = at.decayed(g, &x);
        let sgd_rate = at.whole.get(SGD_RATE);
        if sgd_rate > 0.0 {
            at.past.take("first");
            at.past.take("second");
            let v = at.past.sum("velocity", self.betas[0], g);
            return x - v * ((1.0 - self.betas[0]) * sgd_rate * at.rate);
        }
        let [first, second] = self.betas.map(|beta| at.correction(beta));
        let m = at.past.average("first", self.betas[0], g.clone());
        let v = at.past.average("second", self.betas[1], g.clone().square());
        let p = m / (v.sqrt() + self.eps) * (-at.rate * second.sqrt() / first);
        at.whole.add(SQUARE, p.clone().square().sum().into_scalar::<f64>());
        at.whole.add(SLOPE, (p.clone() * g).sum().into_scalar::<f64>());
        x + p
    }

    fn end_step(&self, rate: f64, whole: &mut Numbers) {
        let (square, slope) = (whole.take(SQUARE), whole.take(SLOPE));
        if whole.get(SGD_RATE) > 0.0 {
            return;
        }
        whole.add(STEPS, 1.0);
        if slope == 0.0 {
            return;
        }
        let (steps, beta) = (whole.get(STEPS), self.betas[1]);
        // γ, and its average λ, which lacks something for having begun at 0.
        let as_far = -square / slope;
        let average = beta * whole.get(AVERAGE) + (1.0 - beta) * as_far;
        whole.set(AVERAGE, average);
        let average = average / (1.0 - beta.powf(steps));
        if steps > 1.0 && (average - as_far).abs() < self.tolerance && average > 0.0 {
            whole.set(SGD_RATE, average / rate);
        }
    }
}
