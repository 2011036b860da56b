//! What optimizers make of gradients.

use burn::prelude::*;
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};
use kiln_page::text::{percent, short};
use kiln_train::{Adadelta, Adagrad, Adam, AdamW, Adamax, Length, Lion, NAdam, RAdam, RmsProp, Rule, Sgd};

use super::ema::averaged;
use super::surface::{SURFACES, Surface};
use super::values::minus;
use super::walker::{Walker, traced};
use super::{Topic, formula, small};
use crate::draw::Drawing;
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "optimizers",
    title: "Optimizers",
    summary: "From SGD to Lion in one frame: their paths on three surfaces, three steps in numbers, and a race.",
    explain,
};

const STEPS: usize = 300;
const LAST: usize = 30;

/// What three rules have in common, and the rules by their names.
type Kin = (&'static str, [(&'static str, Rule); 3]);

/// Those that are compared.
fn kinds() -> [Kin; 4] {
    [
        (
            "one rate for all",
            [
                ("SGD", Rule::Sgd(Sgd::default())),
                ("momentum", Rule::Sgd(MOMENTUM)),
                ("Nesterov", Rule::Sgd(NESTEROV)),
            ],
        ),
        (
            "a rate for each weight",
            [
                ("Adagrad", Rule::Adagrad(Adagrad::default())),
                ("RMSprop", Rule::RmsProp(RmsProp::default())),
                ("Adadelta", Rule::Adadelta(Adadelta::default())),
            ],
        ),
        (
            "both",
            [
                ("Adam", Rule::Adam(Adam::default())),
                ("AdamW", Rule::AdamW(AdamW::default())),
                ("NAdam", Rule::NAdam(NAdam::default())),
            ],
        ),
        (
            "both, in other ways",
            [
                ("Adamax", Rule::Adamax(Adamax::default())),
                ("RAdam", Rule::RAdam(RAdam::default())),
                ("Lion", Rule::Lion(Lion::default())),
            ],
        ),
    ]
}

const NESTEROV: Sgd = Sgd { nesterov: true, ..MOMENTUM };
pub(super) const MOMENTUM: Sgd = Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0, dampening: 0.0 };

/// Gradients of the traces, whatever the place.
const GRADIENTS: [f64; 3] = [1.0, -0.5, 0.25];

/// A rule's name, its rate, and where it takes three steps from 1.
pub fn traces() -> Vec<(&'static str, f64, Vec<f64>)> {
    let l2 = Adam { weight_decay: 0.01, ..Adam::default() };
    let rows = [
        ("SGD", 0.1, Rule::Sgd(Sgd::default())),
        ("momentum 0.9", 0.1, Rule::Sgd(MOMENTUM)),
        ("Nesterov 0.9", 0.1, Rule::Sgd(NESTEROV)),
        // A mean of gradients that begins at 0 has a tenth of the velocity.
        ("moving mean 0.9", 0.1 * (1.0 - MOMENTUM.momentum), Rule::Sgd(MOMENTUM)),
        ("Adagrad", 0.01, Rule::Adagrad(Adagrad::default())),
        ("RMSprop", 0.01, Rule::RmsProp(RmsProp::default())),
        ("RMSprop, centered", 0.01, Rule::RmsProp(RmsProp { centered: true, ..RmsProp::default() })),
        ("Adadelta", 1.0, Rule::Adadelta(Adadelta::default())),
        ("Adam", 1e-3, Rule::Adam(Adam::default())),
        ("Adam, L2 of 0.01", 1e-3, Rule::Adam(l2)),
        ("AdamW, decay 0.01", 1e-3, Rule::AdamW(AdamW::default())),
        ("Adamax", 2e-3, Rule::Adamax(Adamax::default())),
        ("NAdam", 2e-3, Rule::NAdam(NAdam::default())),
        ("NAdam, constant", 2e-3, Rule::NAdam(NAdam { momentum_decay: 1e9, ..NAdam::default() })),
        ("RAdam", 0.1, Rule::RAdam(RAdam::default())),
        ("Lion", 0.1, Rule::Lion(Lion::default())),
    ];
    rows.map(|(name, rate, rule)| (name, rate, traced(rule, rate, 1.0, &GRADIENTS))).into()
}

/// A walk of so many steps at a rate, from its start on.
fn walk(surface: &Surface, rule: &Rule, rate: f64) -> Vec<[f64; 2]> {
    let mut walker = Walker::new(rule.clone(), &surface.start);
    let mut path = vec![surface.start];
    for at in 0..STEPS {
        let place = walker.step(rate, &(surface.gradient)(path[at]));
        path.push([place[0], place[1]]);
    }
    path
}

/// The value that a walk is at in the end: the mean of its last steps, as some never rest.
fn end(surface: &Surface, path: &[[f64; 2]]) -> f64 {
    let last = &path[path.len() - LAST..];
    let mean = last.iter().map(|place| (surface.value)(*place)).sum::<f64>() / LAST as f64;
    if mean.is_finite() { mean } else { f64::INFINITY }
}

/// The rate whose walk ends lowest, and the walk.
fn best_walk(surface: &Surface, rule: &Rule) -> (f64, Vec<[f64; 2]>) {
    let walks = RATES.map(|rate| (rate, walk(surface, rule, rate)));
    let lowest = walks.into_iter().min_by(|(_, a), (_, b)| end(surface, a).total_cmp(&end(surface, b)));
    lowest.expect("a rate at least")
}

const RATES: [f64; 8] = [3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0];

/// Images that are learned from, and others.
const IMAGES: [usize; 2] = [600, 200];
const BATCH: usize = 20;
const EPOCHS: usize = 2;

/// Who runs, and the rates of which the best counts.
fn runners() -> [(&'static str, Rule, [f64; 3]); 6] {
    [
        ("SGD", Rule::Sgd(Sgd::default()), [0.03, 0.1, 0.3]),
        ("momentum", Rule::Sgd(MOMENTUM), [0.003, 0.01, 0.03]),
        ("Adagrad", Rule::Adagrad(Adagrad::default()), [0.003, 0.01, 0.03]),
        ("RMSprop", Rule::RmsProp(RmsProp::default()), [3e-4, 1e-3, 3e-3]),
        ("Adam", Rule::Adam(Adam::default()), [1e-3, 3e-3, 0.01]),
        ("Lion", Rule::Lion(Lion::default()), [1e-4, 3e-4, 1e-3]),
    ]
}

/// How a runner did at its best rate.
struct Raced {
    name: &'static str,
    rate: f64,
    /// Of each step, smoothed.
    losses: Vec<f64>,
    /// Loss and accuracy on the other images.
    test: [f64; 2],
}

impl Raced {
    fn end(&self) -> f64 {
        self.losses.last().copied().unwrap_or(f64::NAN)
    }
}

fn race(seed: u64) -> Vec<Raced> {
    let [learned, others] =
        [("train", IMAGES[0]), ("test", IMAGES[1])].map(|(split, items)| small::images(split, items, seed));
    let train = small::loader(&learned, BATCH, true, false, Device::flex().autodiff());
    let test = small::loader(&others, 100, false, false, Device::flex());
    let run = |name, rule: &Rule, rate: f64| {
        let folder = small::folder();
        let mut trainer = small::trainer(folder.path(), Length::Epochs(EPOCHS), rate, rule.clone());
        trainer.seed = seed;
        let (fit, heard) = small::fit(&trainer, &train, &test, None);
        let last = fit.last().expect("epochs");
        let losses: Vec<f64> = heard.steps.iter().map(|(_, loss)| *loss).collect();
        let losses = averaged(&losses, 0.9).iter().map(|pair| pair[1]).collect();
        Raced { name, rate, losses, test: [last.test_loss, last.figures[0].1] }
    };
    let best = |(name, rule, rates): (&'static str, Rule, [f64; 3])| {
        let runs = rates.map(|rate| run(name, &rule, rate));
        runs.into_iter().min_by(|a, b| a.end().total_cmp(&b.end())).expect("three rates")
    };
    runners().map(best).into()
}

/// Its table and its chart.
fn told(raced: &[Raced]) -> (Table, Chart) {
    let steps = raced[0].losses.len();
    let mut results = Table::new(
        &format!(
            "After {steps} steps: the smoothed loss, and loss and accuracy on {} other images",
            IMAGES[1]
        ),
        &["", "rate", "loss", "test loss", "right"],
    );
    for one @ Raced { name, rate, test: [loss, right], .. } in raced {
        let end = one.end();
        results.row(*name, [rate.to_string(), format!("{end:.3}"), format!("{loss:.3}"), percent(*right, 1)]);
    }
    let lines = raced.iter().zip(1..).map(|(raced, colour)| Series {
        name: raced.name.into(),
        colour,
        look: Look::Line,
        points: raced.losses.iter().zip(1..).map(|(loss, step)| [f64::from(step), *loss]).collect(),
    });
    let heights: Vec<f64> = raced.iter().flat_map(|raced| raced.losses.clone()).collect();
    let chart = Chart {
        title: "Loss of a small network by steps".into(),
        x_name: "steps",
        x: Scale::counts(steps as f64),
        y: Scale::around(&heights),
        spelling: Spelling::Number,
        series: lines.collect(),
        marked: None,
    };
    (results, chart)
}

fn explain(seed: u64) -> Page {
    let mut three = Table::new(
        "From θ = 1 by the gradients 1, −0.5, 0.25, whatever θ is: the places after each of three steps. A moving mean of gradients at the rate 0.1 is momentum at 0.01. NAdam's momentum rises from step to step towards 0.9, or is 0.9 from the beginning",
        &["", "rate", "θ₁", "θ₂", "θ₃"],
    );
    for (name, rate, places) in traces() {
        let places = places.into_iter().map(|place| format!("{place:.10}"));
        three.row(name, [short(rate)].into_iter().chain(places));
    }
    let mut ends = Table::new(
        &format!(
            "The value in the end, a mean over the last {LAST} of {STEPS} steps, each at its best rate; the saddle's lowest is −1, the others' 0"
        ),
        &["", "valley", "saddle", "waves"],
    );
    let mut values: Vec<(&str, [f64; 3])> = Vec::new();
    let mut panels: [Vec<(String, Drawing)>; 3] = Default::default();
    for (kind, rules) in kinds() {
        let walks =
            rules.map(|(name, rule)| (name, SURFACES.each_ref().map(|surface| best_walk(surface, &rule))));
        for (at, surface) in SURFACES.iter().enumerate() {
            let paths = walks
                .each_ref()
                .map(|(name, walks)| (format!("{name}, {}", walks[at].0), walks[at].1.clone()));
            let title = format!("Paths on the {}: {kind}", surface.name);
            panels[at].push((kind.to_string(), surface.picture(title, &paths)));
        }
        for (name, walks) in walks {
            let value = |at: usize| end(&SURFACES[at], &walks[at].1);
            values.push((name, [0, 1, 2].map(value)));
        }
    }
    for (name, values) in &values {
        ends.row(*name, values.map(|value| minus(short(value))));
    }
    let captions = [
        "A narrow valley, (1 − x)² + 100 (y − x²)² (Rosenbrock): from the ring at (−1.2, 1) to the dots. The lowest place is (1, 1). Slopes at the start are over 200: rules that divide by nothing need small rates, RAdam too, whose first five steps are those of momentum.",
        "A saddle, x² − y² + y⁴/4, from (1.2, 0.001), a thousandth off the line that leads into it. The lowest places are at y = ±√2. Most of those that divide by the size of the gradients leave the line at once.",
        "A bowl with waves, x² + y² + 2 − cos 2πx − cos 2πy, from (−1.7, 1.3). The lowest place is the middle; other rings are local minima, where most stay.",
    ];
    let figures = SURFACES.iter().zip(panels).zip(captions).map(|((surface, panels), caption)| Figure {
        name: surface.name.into(),
        caption: format!("{caption} {STEPS} steps each; beside a name its rate, the one of {} from 0.0003 to 1 that ends lowest, chosen on the picture's own surface.", RATES.len()),
        picture: Picture::Small(panels),
    });
    let figures = figures.collect();

    let raced = race(seed);
    let (results, chart) = told(&raced);
    let by_loss = |a: &&Raced, b: &&Raced| a.end().total_cmp(&b.end());
    let [first, last] =
        [raced.iter().min_by(by_loss), raced.iter().max_by(by_loss)].map(|one| one.expect("runners"));
    Page {
        idea: [
            "All of them walk against a mean of the gradients; what they differ in is which mean, and by what each weight's step is divided.",
            "Momentum keeps a velocity, which carries along valleys and over small hills; Adagrad, RMSprop and Adadelta divide by the root of squared gradients, so that every weight has a rate of its own; Adam and its kin do both.",
            "None is best everywhere, and a rate that suits one is wrong for another.",
        ],
        formulas: vec![
            formula(
                r"\theta_{t+1} = \theta_t - \eta \frac{m_t}{\sqrt{V_t}}",
                "in one frame: θ ← θ − η m_t / √V_t, of gradients g_t",
            ),
            formula(r"\text{SGD: } m_t = g_t, \; V_t = 1", "SGD: m_t = g_t, V_t = 1"),
            formula(r"\text{momentum: } m_t = \mu m_{t-1} + g_t", "momentum: m_t = μ m_(t−1) + g_t"),
            formula(
                r"\text{Nesterov: } g_t + \mu m_t \text{ in its place}",
                "Nesterov: g_t + μ m_t in its place (a change of variables of the look ahead)",
            ),
            formula(r"\text{Adagrad: } V_t = V_{t-1} + g_t^2", "Adagrad: V_t = V_(t−1) + g_t²"),
            formula(
                r"\text{RMSprop: } V_t = \alpha V_{t-1} + (1 - \alpha) g_t^2",
                "RMSprop: V_t = α V_(t−1) + (1 − α) g_t²",
            ),
            formula(
                r"\text{Adadelta: } \Delta_t = \frac{\sqrt{U_{t-1} + \varepsilon}}{\sqrt{V_t + \varepsilon}} g_t",
                "Adadelta: Δ_t = √(U_(t−1) + ε) / √(V_t + ε) g_t, V as in RMSprop",
            ),
            formula(r"U_t = \rho U_{t-1} + (1 - \rho) \Delta_t^2", "U_t = ρ U_(t−1) + (1 − ρ) Δ_t²"),
            formula(
                r"\text{Adam: } m_t = \frac{1 - \beta_1}{1 - \beta_1^t} \sum_{i=1}^{t} \beta_1^{t-i} g_i",
                "Adam: m_t is the moving mean of g over 1 − β₁ᵗ",
            ),
            formula(
                r"V_t = \frac{1 - \beta_2}{1 - \beta_2^t} \sum_{i=1}^{t} \beta_2^{t-i} g_i^2",
                "V_t is that of g² over 1 − β₂ᵗ",
            ),
            formula(
                r"\text{Lion: } \operatorname{sign}(\beta_1 m_{t-1} + (1 - \beta_1) g_t)",
                "Lion: sign(β₁ m_(t−1) + (1 − β₁) g_t), where m_t is a moving mean with β₂",
            ),
        ],
        figures,
        tables: vec![three, ends],
        experiment: Experiment {
            question: "Which is fastest on a small network?".into(),
            method: format!(
                "Two convolutions and a linear layer learn to name {} generated images of 24 by 24 pixels, {EPOCHS} times in batches of {BATCH}, from the same first weights by the training loop itself. Of three rates for each the one with the lowest last loss counts; which three was chosen beforehand, around what is usual.",
                IMAGES[0]
            ),
            result: format!(
                "{} ends lowest, at {:.3}, and {} highest, at {:.3}. So short a race says how fast they begin, and not which network is best in the end.",
                first.name,
                first.end(),
                last.name,
                last.end()
            ),
            figures: vec![Figure {
                name: "race".into(),
                caption: "The loss of each step, smoothed by a moving average (β = 0.9, corrected).".into(),
                picture: Picture::Chart(Box::new(chart)),
            }],
            tables: vec![results],
        },
        code: vec![
            "crates/train/src/optimizer: Rule, Optimizer",
            "crates/explain/src/topics/surface.rs: SURFACES",
            "crates/explain/src/topics/walker.rs: Walker",
        ],
        tests: vec![
            "crates/explain/tests/training.rs: three_steps_are_the_worked_ones",
            "crates/train/tests/optimizers.rs: every_row_of_pytorchs_traces_is_met",
        ],
        sources: vec![
            [
                "Polyak 1964, Some methods of speeding up the convergence of iteration methods",
                "https://doi.org/10.1016/0041-5553(64)90137-5",
            ],
            [
                "Sutskever et al. 2013, On the importance of initialization and momentum in deep learning",
                "https://proceedings.mlr.press/v28/sutskever13.html",
            ],
            [
                "Duchi, Hazan, Singer 2011, Adaptive subgradient methods",
                "https://jmlr.org/papers/v12/duchi11a.html",
            ],
            ["Zeiler 2012, ADADELTA: an adaptive learning rate method", "https://arxiv.org/abs/1212.5701"],
            [
                "Kingma and Ba 2015, Adam: a method for stochastic optimization",
                "https://arxiv.org/abs/1412.6980",
            ],
            [
                "Dozat 2016, Incorporating Nesterov momentum into Adam",
                "https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ",
            ],
            [
                "Liu et al. 2020, On the variance of the adaptive learning rate and beyond",
                "https://arxiv.org/abs/1908.03265",
            ],
            [
                "Chen et al. 2023, Symbolic discovery of optimization algorithms",
                "https://arxiv.org/abs/2302.06675",
            ],
            [
                "Ruder 2016, An overview of gradient descent optimization algorithms",
                "https://arxiv.org/abs/1609.04747",
            ],
        ],
    }
}
