//! Where Adam goes wrong.

use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};
use kiln_train::{Adam, AdamW, Rule};

use super::values::minus;
use super::walker::{self, Walker};
use super::{Topic, formula};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "adam-sins",
    title: "Adam's two sins",
    summary: "A line on which Adam walks the wrong way and AMSGrad does not; and how weight decay differs between Adam and AdamW.",
    explain,
};

/// Where Adam, or AMSGrad, is after so many steps on `f(x) = c x` at every third step and `-x` at the others, x from -1 to 1; its beta_1 is 0, its beta_2
/// `1 / (1 + c^2)`, its rate `alpha / sqrt(t)`. Reddi et al. 2018, *On the convergence of Adam and beyond*, Theorem 1. The best x is -1.
pub fn walked(c: f64, alpha: f64, steps: usize, amsgrad: bool) -> Vec<f64> {
    let adam = Adam { betas: [0.0, 1.0 / (1.0 + c * c)], eps: 0.0, amsgrad, ..Adam::default() };
    let mut walker = Walker::new(Rule::Adam(adam), &[0.0]);
    let places = (1..=steps).map(|t| {
        let gradient = if t % 3 == 1 { c } else { -1.0 };
        let x = walker.step(alpha / (t as f64).sqrt(), &[gradient])[0];
        if x.abs() > 1.0 {
            walker.put(&[x.clamp(-1.0, 1.0)]);
        }
        x.clamp(-1.0, 1.0)
    });
    places.collect()
}

/// Where Adam, or AMSGrad, goes from 1 by these gradients, one after the other.
pub fn traced(gradients: &[f64], rate: f64, betas: [f64; 2], amsgrad: bool) -> Vec<f64> {
    walker::traced(Rule::Adam(Adam { betas, amsgrad, ..Adam::default() }), rate, 1.0, gradients)
}

/// What is left of weights of 1 after so many steps of Adam with weight decay, decoupled (AdamW) or as part of the gradient (L2), where the loss has a gradient of
/// `noise` that changes its sign at every step.
pub fn decayed(noise: f64, rate: f64, decay: f64, steps: usize, decoupled: bool) -> f64 {
    let rule = match decoupled {
        true => Rule::AdamW(AdamW { weight_decay: decay, ..AdamW::default() }),
        false => Rule::Adam(Adam { weight_decay: decay, ..Adam::default() }),
    };
    let gradients: Vec<f64> = (1..=steps).map(|t| if t % 2 == 0 { noise } else { -noise }).collect();
    walker::traced(rule, rate, 1.0, &gradients)[steps - 1]
}

fn explain(_seed: u64) -> Page {
    let steps = 30_000;
    let [adam, amsgrad] = [false, true].map(|amsgrad| walked(3.0, 0.1, steps, amsgrad));
    let mut table = Table::new(
        "Where they are on the line from −1 to 1, of which −1 is best",
        &["step", "Adam", "AMSGrad"],
    );
    for at in [1, 10, 100, 1000, 10_000, steps] {
        table.row(at.to_string(), [&adam, &amsgrad].map(|places| minus(format!("{:.6}", places[at - 1]))));
    }
    let line = |name: &str, colour, places: &[f64]| Series {
        name: name.into(),
        colour,
        look: Look::Line,
        points: (0..300).map(|at| [at as f64 * 100.0, places[at * 100]]).collect(),
    };
    let chart = Chart {
        title: "Where Adam and AMSGrad walk".into(),
        x_name: "steps",
        x: Scale::counts(steps as f64),
        y: Scale::around(&[-1.0, 1.0]),
        spelling: Spelling::Number,
        series: vec![line("Adam", 2, &adam), line("AMSGrad", 1, &amsgrad)],
        marked: None,
    };
    let mut second = Table::new(
        "Gradients 10, 0.1, 0.1, 0.1 from x = 1, rate 0.1, both betas 0.9: Adam forgets the large one, AMSGrad does not",
        &["step", "Adam", "AMSGrad"],
    );
    let [short, long] = [false, true].map(|amsgrad| traced(&[10.0, 0.1, 0.1, 0.1], 0.1, [0.9, 0.9], amsgrad));
    for (at, (adam, amsgrad)) in short.iter().zip(&long).enumerate() {
        second.row((at + 1).to_string(), [adam, amsgrad].map(|x| format!("{x:.8}")));
    }
    let mut decay = Table::new(
        "A weight of 1 after 1000 steps of rate 0.001 and decay 0.1, its gradients being noise of a size: L2 within Adam is divided by that size, AdamW's decay is not",
        &["noise", "Adam with L2", "AdamW"],
    );
    let mut left = Vec::new();
    for noise in [0.1, 1.0, 10.0] {
        let [l2, decoupled] = [false, true].map(|decoupled| decayed(noise, 1e-3, 0.1, 1000, decoupled));
        decay.row(noise.to_string(), [l2, decoupled].map(|x| format!("{x:.4}")));
        left.push([l2, decoupled]);
    }
    Page {
        idea: [
            "Adam divides each step by the root of a moving mean of squared gradients, which forgets: after a rare large gradient the steps soon grow again.",
            "On a line where one gradient of three is large and right and two are small and wrong, it therefore walks the wrong way for ever; AMSGrad keeps the largest mean.",
            "And weight decay that is added to the gradient is divided too, so that weights with large gradients hardly decay; AdamW takes it out of the division.",
        ],
        formulas: vec![
            formula(r"m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t", "m_t = β₁ m_(t−1) + (1 − β₁) g_t"),
            formula(r"v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2", "v_t = β₂ v_(t−1) + (1 − β₂) g_t²"),
            formula(r"\text{Adam: } \theta \leftarrow \theta - \eta \frac{\hat{m}_t}{\sqrt{\hat{v}_t} + \varepsilon}", "Adam: θ ← θ − η m̂_t / (√v̂_t + ε)"),
            formula(r"\text{AMSGrad: } v^{\max}_t = \max(v^{\max}_{t-1}, v_t)", "AMSGrad: v_t is replaced by the largest so far"),
            formula(r"\text{AdamW: } \theta \leftarrow (1 - \eta \lambda) \theta - \eta \frac{\hat{m}_t}{\sqrt{\hat{v}_t} + \varepsilon}", "AdamW: θ ← (1 − ηλ) θ − η m̂_t / (√v̂_t + ε)"),
        ],
        figures: vec![Figure {
            name: "walk".into(),
            caption: "f(x) = 3x at every third step and −x at the others: over three steps it rises by 1 a unit, so −1 is best. Adam goes to +1.".into(),
            picture: Picture::Chart(Box::new(chart)),
        }],
        tables: vec![table, second],
        experiment: Experiment {
            question: "Do L2 and decay differ in Adam?".into(),
            method: "A weight whose gradients are nothing but noise, once with L2 in its gradient, once with decoupled decay.".into(),
            result: format!(
                "AdamW leaves {:.4} of it whatever the noise, nearly (1 − 0.0001)^1000 = {:.4}; with L2 {:.4} is left at noise 0.1 and {:.4} at noise 10.",
                left[1][1],
                (1.0f64 - 1e-4).powi(1000),
                left[0][0],
                left[2][0]
            ),
            figures: Vec::new(),
            tables: vec![decay],
        },
        code: vec!["crates/explain/src/topics/adam_sins.rs: walked, traced, decayed", "crates/train/src/optimizer/adam.rs: Adam"],
        tests: vec!["crates/explain/tests/worked.rs: adam_walks_the_wrong_way_and_amsgrad_does_not"],
        sources: vec![
            ["Reddi, Kale, Kumar 2018, On the convergence of Adam and beyond", "https://arxiv.org/abs/1904.09237"],
            ["Loshchilov and Hutter 2019, Decoupled weight decay regularization", "https://arxiv.org/abs/1711.05101"],
        ],
    }
}
