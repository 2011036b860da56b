//! Adam and its kin: averages of the gradient and of its square.

use burn::prelude::*;
use kiln_core::Result;
use serde::{Deserialize, Serialize};

use super::rule::{At, Update, both_below_one, not_negative};

/// The average of the gradients.
const FIRST: &str = "first";
/// The average of their squares.
const SECOND: &str = "second";
/// The largest of these averages.
const LARGEST: &str = "largest";

/// Adam (Kingma and Ba, 2015), <https://arxiv.org/abs/1412.6980>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// Decay of the first and the second moment.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Added to the gradient: `weight_decay` times the weight.
    pub weight_decay: f64,
    /// Divides by the largest second moment so far: AMSGrad (Reddi et al., 2018), <https://arxiv.org/abs/1904.09237>.
    pub amsgrad: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0, amsgrad: false }
    }
}

impl Update for Adam {
    fn check(&self) -> Result<()> {
        check(self.betas, self.eps, self.weight_decay)
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn keeps(&self) -> &'static [&'static str] {
        &[FIRST, SECOND, LARGEST]
    }

    fn step(&self, x: Tensor<1>, g: Tensor<1>, at: At) -> Tensor<1> {
        adam(x, g, self.betas, self.eps, self.amsgrad, [at.decay, 1.0], at)
    }
}

/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019), <https://arxiv.org/abs/1711.05101>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamW {
    /// Decay of the first and the second moment.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Each step shrinks the weight by `weight_decay` times the rate.
    pub weight_decay: f64,
    /// Divides by the largest second moment so far (Reddi et al., 2018).
    pub amsgrad: bool,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01, amsgrad: false }
    }
}

impl Update for AdamW {
    fn check(&self) -> Result<()> {
        check(self.betas, self.eps, self.weight_decay)
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn keeps(&self) -> &'static [&'static str] {
        &[FIRST, SECOND, LARGEST]
    }

    fn step(&self, x: Tensor<1>, g: Tensor<1>, at: At) -> Tensor<1> {
        adam(x, g, self.betas, self.eps, self.amsgrad, [0.0, 1.0 - at.rate * at.decay], at)
    }
}

/// A step of Adam; the decay is a part of the gradient (`l2`) or makes the weight smaller first (`shrink`).
fn adam(
    x: Tensor<1>,
    g: Tensor<1>,
    betas: [f64; 2],
    eps: f64,
    amsgrad: bool,
    [l2, shrink]: [f64; 2],
    at: At,
) -> Tensor<1> {
    if !amsgrad {
        // In one pass.
        let step = kiln_kernels::Adam { rate: at.rate, betas, eps, l2, shrink, steps: at.past.steps };
        let moments = at.past.take(FIRST).zip(at.past.take(SECOND));
        let (x, [m, v]) = kiln_kernels::adam(x, g, moments.map(<[_; 2]>::from), step);
        at.past.keep(FIRST, m);
        at.past.keep(SECOND, v);
        return x;
    }
    let g = if l2 == 0.0 { g } else { at.decayed(g, &x) };
    let [first, second] = betas.map(|beta| at.correction(beta));
    let m = at.past.average(FIRST, betas[0], g.clone());
    let v = at.past.average(SECOND, betas[1], g.square());
    let v = at.past.largest(LARGEST, 1.0, v);
    x * shrink - m / (v.sqrt() / second.sqrt() + eps) * (at.rate / first)
}

/// Adam by the largest gradient in place of the mean square (Kingma and Ba, 2015, Section 7.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adamax {
    /// Decay of the average and of the largest.
    pub betas: [f64; 2],
    /// Added to the size of the gradient.
    pub eps: f64,
    /// Added to the gradient: `weight_decay` times the weight.
    pub weight_decay: f64,
}

impl Default for Adamax {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 }
    }
}

impl Update for Adamax {
    fn check(&self) -> Result<()> {
        check(self.betas, self.eps, self.weight_decay)
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn keeps(&self) -> &'static [&'static str] {
        &[FIRST, LARGEST]
    }

    fn step(&self, x: Tensor<1>, g: Tensor<1>, at: At) -> Tensor<1> {
        let g = at.decayed(g, &x);
        let m = at.past.average(FIRST, self.betas[0], g.clone());
        let u = at.past.largest(LARGEST, self.betas[1], g.abs() + self.eps);
        x - m / u * (at.rate / at.correction(self.betas[0]))
    }
}

/// Adam with Nesterov's look ahead (Dozat, 2016), <https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NAdam {
    /// Decay of the first and the second moment.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Added to the gradient: `weight_decay` times the weight.
    pub weight_decay: f64,
    /// How fast the momentum rises to the first beta.
    pub momentum_decay: f64,
}

impl Default for NAdam {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0, momentum_decay: 4e-3 }
    }
}

impl Update for NAdam {
    fn check(&self) -> Result<()> {
        not_negative("momentum_decay", self.momentum_decay, "4e-3")?;
        check(self.betas, self.eps, self.weight_decay)
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn keeps(&self) -> &'static [&'static str] {
        &[FIRST, SECOND, "missing"]
    }

    fn step(&self, x: Tensor<1>, g: Tensor<1>, at: At) -> Tensor<1> {
        let mu = |t: u64| self.betas[0] * (1.0 - 0.5 * 0.96f64.powf(t as f64 * self.momentum_decay));
        let (mu, next) = (mu(at.past.steps), mu(at.past.steps + 1));
        // What the average has by now, 1 - mu_1 · mu_2 · …; kept as such since numbers begin at 0.
        let gained = 1.0 - (1.0 - at.past.numbers.get("missing")) * mu;
        at.past.numbers.set("missing", gained);

        let g = at.decayed(g, &x);
        let m = at.past.average(FIRST, self.betas[0], g.clone());
        let v = at.past.average(SECOND, self.betas[1], g.clone().square());
        let root = (v / at.correction(self.betas[1])).sqrt() + self.eps;
        let along = g * ((1.0 - mu) / gained) + m * (next / (1.0 - (1.0 - gained) * next));
        x - along / root * at.rate
    }
}

/// Adam that waits until its second moment is reliable (Liu et al., 2020), <https://arxiv.org/abs/1908.03265>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RAdam {
    /// Decay of the first and the second moment.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Added to the gradient: `weight_decay` times the weight.
    pub weight_decay: f64,
}

impl Default for RAdam {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 }
    }
}

impl Update for RAdam {
    fn check(&self) -> Result<()> {
        check(self.betas, self.eps, self.weight_decay)
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn keeps(&self) -> &'static [&'static str] {
        &[FIRST, SECOND]
    }

    fn step(&self, x: Tensor<1>, g: Tensor<1>, at: At) -> Tensor<1> {
        let g = at.decayed(g, &x);
        let [first, second] = self.betas.map(|beta| at.correction(beta));
        let m = at.past.average(FIRST, self.betas[0], g.clone()) / first;
        let v = at.past.average(SECOND, self.betas[1], g.square());
        // Section 3.3: how many gradients the second moment is worth, at last and by now.
        let last = 2.0 / (1.0 - self.betas[1]) - 1.0;
        let now = last - 2.0 * at.past.steps as f64 * (1.0 - second) / second;
        if now <= 5.0 {
            return x - m * at.rate;
        }
        let share = |length: f64| (length - 4.0) * (length - 2.0) / length;
        let rectified = (share(now) / share(last)).sqrt();
        x - m / (v.sqrt() + self.eps) * (second.sqrt() * rectified * at.rate)
    }
}

fn check(betas: [f64; 2], eps: f64, weight_decay: f64) -> Result<()> {
    both_below_one("betas", betas)?;
    not_negative("eps", eps, "1e-8")?;
    not_negative("weight_decay", weight_decay, "1e-4")
}
