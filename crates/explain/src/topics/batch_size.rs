//! How large a batch should be.

use burn::prelude::*;
use kiln_core::Batch;
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};
use kiln_train::{Adam, Estimate, GradientNoise, NoiseProbe, Optimizer, OptimizerConfig, Rule, Sgd};

use super::corners::{Corners, Net, TASK, endless, others};
use super::optimizers::MOMENTUM;
use super::small::numbers;
use super::values::minus;
use super::{Topic, formula};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "batch-size",
    title: "Batch size",
    summary: "How noisy a batch's gradient is, how large a batch is worth its examples, and how the rate goes with it.",
    explain,
};

/// The variance of a fresh network's gradient over batches of so many examples, summed over its weights.
pub fn variance(batch: usize, batches: usize, seed: u64) -> f64 {
    let (net, corners) = (Net::new(seed), Corners::new(batch, seed + 1));
    let gradient = |batch| numbers(&net, &net.gradients(&batch), |parameter| parameter.gradient);
    let gradients: Vec<Vec<f32>> = endless(&corners).take(batches).map(gradient).collect();
    let of_weight = |at: usize| {
        let of_batches = || gradients.iter().map(|gradient| f64::from(gradient[at]));
        let mean = of_batches().sum::<f64>() / batches as f64;
        of_batches().map(|one| (one - mean).powi(2)).sum::<f64>()
    };
    (0..gradients[0].len()).map(of_weight).sum::<f64>() / (batches - 1) as f64
}

/// The slope of a line through points, by least squares.
pub fn slope(points: &[[f64; 2]]) -> f64 {
    let count = points.len() as f64;
    let mean = [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f64>() / count);
    let product = |a: usize, b: usize| {
        points.iter().map(|point| (point[a] - mean[a]) * (point[b] - mean[b])).sum::<f64>()
    };
    product(0, 1) / product(0, 0)
}

/// A network after so many steps on batches of a size.
fn learned(rule: &Rule, rate: f64, batch: usize, steps: usize, seed: u64) -> Net {
    let mut optimizer = optimizer(rule);
    endless(&Corners::new(batch, seed)).take(steps).fold(Net::new(seed), |net, batch| {
        let gradients = net.gradients(&batch);
        optimizer.step(rate, net, gradients)
    })
}

fn optimizer(rule: &Rule) -> Optimizer {
    OptimizerConfig::from(rule.clone()).init().expect("options that make sense")
}

/// The training crate's estimate of the noise of a network's gradients after so many steps: groups of 8 batches of 16.
pub fn noise(steps: usize, seed: u64) -> GradientNoise {
    let probe = NoiseProbe { group: 8, groups: 40, seed };
    let rule = Rule::Sgd(Sgd::default());
    let net = learned(&rule, 1.0, 64, steps, seed);
    probe
        .measure(net, &rule.into(), &TASK, &Corners::new(16, seed + 2), |_| ())
        .expect("gradients that are finite")
}

/// The loss that has to be reached.
const TARGET: f64 = 0.4;
/// Of which the best counts.
const RATES: [f64; 4] = [0.2, 0.4, 0.8, 1.6];
/// Runs that are averaged, each with first weights and examples of its own.
const STARTS: u64 = 4;

/// Steps until the loss on `test` is at the target, at most so many.
fn steps_to(batch: usize, rate: f64, seed: u64, most: usize, test: &Batch) -> usize {
    let (mut optimizer, mut net) = (optimizer(&Rule::Sgd(Sgd::default())), Net::new(seed));
    for (step, batch) in (1..).zip(endless(&Corners::new(batch, seed)).take(most)) {
        let gradients = net.gradients(&batch);
        net = optimizer.step(rate, net, gradients);
        if net.valid().loss(test).into_scalar::<f64>() <= TARGET {
            return step;
        }
    }
    most
}

/// What a batch size takes to the target: the best rate, steps and examples.
struct Taken {
    batch: usize,
    rate: f64,
    steps: f64,
}

impl Taken {
    fn examples(&self) -> f64 {
        self.steps * self.batch as f64
    }
}

fn taken(seed: u64) -> Vec<Taken> {
    let test = others(seed);
    let of = |batch: usize| {
        let mut best = Taken { batch, rate: 0.0, steps: f64::INFINITY };
        for rate in RATES {
            // One that takes twice as long as another is none to be finished.
            let most = if best.steps.is_finite() { 2 * best.steps as usize } else { 2000 };
            let steps =
                (0..STARTS).map(|at| steps_to(batch, rate, seed + 10 * at, most, &test)).sum::<usize>();
            let steps = steps as f64 / STARTS as f64;
            if steps < best.steps {
                best = Taken { batch, rate, steps };
            }
        }
        best
    };
    [2, 4, 8, 16, 32, 64, 128].map(of).into()
}

/// The fewest steps and the fewest examples of `S = S_min + E_min / B`, the relative errors squared being least.
pub fn fewest(points: &[[f64; 2]]) -> [f64; 2] {
    // Of [batch, steps]: (S_min + E_min / B) / S = 1.
    let rows = points.iter().map(|[batch, steps]| [1.0 / steps, 1.0 / (batch * steps)]);
    let [mut aa, mut ab, mut bb, mut a, mut b] = [0.0; 5];
    for [x, y] in rows {
        (aa, ab, bb, a, b) = (aa + x * x, ab + x * y, bb + y * y, a + x, b + y);
    }
    let whole = aa * bb - ab * ab;
    [(a * bb - b * ab) / whole, (aa * b - ab * a) / whole]
}

/// How the rate goes with the batch, and the power of the batch's size that it goes with.
const SCALINGS: [(&str, f64); 3] = [("the same", 0.0), ("root", 0.5), ("linear", 1.0)];
/// The batch that rates are chosen at, and those that they are scaled to.
const BATCHES: [usize; 3] = [8, 32, 128];
const EXAMPLES: usize = 2048;

/// The loss on `test` after [`EXAMPLES`].
fn ended(rule: &Rule, rate: f64, batch: usize, seed: u64, test: &Batch) -> f64 {
    let of = |seed: u64| {
        let net = learned(rule, rate, batch, EXAMPLES / batch, seed);
        net.valid().loss(test).into_scalar::<f64>()
    };
    (0..STARTS).map(|at| of(seed + 10 * at)).sum::<f64>() / STARTS as f64
}

/// A rule at the rate that is best for the smallest batch, its loss there, and the losses of larger ones by the scalings.
struct Scaled {
    name: &'static str,
    rate: f64,
    loss: f64,
    larger: [[f64; 3]; 2],
}

fn scaled(seed: u64) -> Vec<Scaled> {
    let test = others(seed);
    let rules = [
        ("SGD", Rule::Sgd(Sgd::default()), [0.1, 0.2, 0.4]),
        ("momentum", Rule::Sgd(MOMENTUM), [0.01, 0.02, 0.04]),
        ("Adam", Rule::Adam(Adam::default()), [0.005, 0.01, 0.02]),
    ];
    let of = |(name, rule, rates): (&'static str, Rule, [f64; 3])| {
        let losses = rates.map(|rate| (rate, ended(&rule, rate, BATCHES[0], seed, &test)));
        let (rate, loss) = losses.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).expect("three rates");
        let larger = [BATCHES[1], BATCHES[2]].map(|batch| {
            let ratio = batch as f64 / BATCHES[0] as f64;
            SCALINGS.map(|(_, power)| ended(&rule, rate * ratio.powf(power), batch, seed, &test))
        });
        Scaled { name, rate, loss, larger }
    };
    rules.map(of).into()
}

/// The table of the scalings, and in words which is best where.
fn scalings(seed: u64) -> (Table, String) {
    let mut table = Table::new(
        &format!(
            "The loss on other examples after {EXAMPLES}, the rate being the best of three for batches of {}",
            BATCHES[0]
        ),
        &["", "batch", SCALINGS[0].0, SCALINGS[1].0, SCALINGS[2].0],
    );
    let mut words = Vec::new();
    for Scaled { name, rate, loss, larger } in scaled(seed) {
        table.row(
            format!("{name}, {rate}"),
            [BATCHES[0].to_string(), format!("{loss:.3}"), "–".into(), "–".into()],
        );
        let mut best = format!("{name} {loss:.3} at {}", BATCHES[0]);
        for (batch, losses) in BATCHES[1..].iter().zip(larger) {
            table.row(name, [batch.to_string()].into_iter().chain(losses.map(|loss| format!("{loss:.3}"))));
            let least = (0..3).min_by(|a, b| losses[*a].total_cmp(&losses[*b])).expect("three scalings");
            best += &format!(", {:.3} at {batch} ({})", losses[least], SCALINGS[least].0);
        }
        words.push(best);
    }
    (table, words.join("; "))
}

fn log_chart(title: &str, x_name: &'static str, [x, y]: [Vec<f64>; 2], series: Vec<Series>) -> Chart {
    let (x, y) = (Scale::sizes(&x), Scale::sizes(&y));
    Chart { title: title.into(), x_name, x, y, spelling: Spelling::Number, series, marked: None }
}

fn explain(seed: u64) -> Page {
    let sizes = [1, 2, 4, 8, 16, 32, 64, 128, 256];
    let variances = sizes.map(|batch| [batch as f64, variance(batch, 300, seed)]);
    let found = slope(&variances.map(|point| point.map(f64::ln)));
    let mut by_size = Table::new(
        &format!(
            "The variance of a fresh network's gradient, summed over its weights, from 300 batches each; the slope of the logarithms is {}",
            minus(format!("{found:.3}"))
        ),
        &["batch", "variance", "times the batch"],
    );
    for [batch, variance] in variances {
        by_size.row(batch.to_string(), [format!("{variance:.5}"), format!("{:.3}", variance * batch)]);
    }
    let first = variances[0][1];
    let series = vec![
        Series {
            name: "1 / B".into(),
            colour: 3,
            look: Look::Pale,
            points: variances.map(|[batch, _]| [batch, first / batch]).into(),
        },
        Series { name: "measured".into(), colour: 1, look: Look::Dots, points: variances.into() },
    ];
    let spread = log_chart(
        "Variance of gradients by batch size",
        "examples a batch",
        [variances.map(|point| point[0]).into(), variances.map(|point| point[1]).into()],
        series,
    );

    let mut scales = Table::new(
        "The gradient's noise while the network learns, by the training crate's estimator (Equations A.1 and A.2 of the paper), with standard errors",
        &["steps", "|G|²", "tr Σ", "B_simple"],
    );
    let told =
        |one: Estimate, decimals: usize| format!("{:.decimals$} ± {:.decimals$}", one.value, one.error);
    for steps in [0, 10, 20, 40] {
        let noise = noise(steps, seed);
        let scale = noise.scale().map_or("–".into(), |scale| told(scale, 1));
        scales.row(steps.to_string(), [told(noise.signal(), 3), told(noise.noise(), 2), scale]);
    }

    let taken = taken(seed);
    let points: Vec<[f64; 2]> = taken.iter().map(|one| [one.batch as f64, one.steps]).collect();
    let [least_steps, least_examples] = fewest(&points);
    let mut trade = Table::new(
        &format!(
            "Steps and examples until the loss on other examples is {TARGET}, means of {STARTS} runs at the best rate; the curve has at least {least_steps:.1} steps and {least_examples:.0} examples"
        ),
        &["batch", "rate", "steps", "examples", "steps by the curve"],
    );
    for one in &taken {
        let by_curve = least_steps + least_examples / one.batch as f64;
        trade.row(
            one.batch.to_string(),
            [
                one.rate.to_string(),
                format!("{:.1}", one.steps),
                format!("{:.0}", one.examples()),
                format!("{by_curve:.1}"),
            ],
        );
    }
    let curve = (0..=60).map(|at| {
        let batch = 2f64.powf(1.0 + 0.1 * f64::from(at));
        let steps = least_steps + least_examples / batch;
        [steps, steps * batch]
    });
    let curve: Vec<[f64; 2]> = curve.collect();
    let measured: Vec<[f64; 2]> = taken.iter().map(|one| [one.steps, one.examples()]).collect();
    let both = [0, 1].map(|axis| curve.iter().chain(&measured).map(|point| point[axis]).collect());
    let series = vec![
        Series {
            name: "(S / S_min − 1)(E / E_min − 1) = 1".into(),
            colour: 3,
            look: Look::Line,
            points: curve,
        },
        // A gap after each makes it a dot.
        Series {
            name: "measured".into(),
            colour: 2,
            look: Look::Dots,
            points: measured.into_iter().flat_map(|point| [point, [f64::NAN; 2]]).collect(),
        },
    ];
    let bargain = log_chart("Examples by steps to the same loss", "steps", both, series);
    let (scaling, words) = scalings(seed);
    Page {
        idea: [
            "A batch's gradient is the right one and noise, whose variance falls as one over the batch's size, so four times the examples halve the error.",
            "As long as noise dominates, a batch of twice the size does the same in half the steps; once it does not, more examples a batch gain little.",
            "Where the one passes into the other, the noise scale says: the gradient's variance over its squared length.",
        ],
        formulas: vec![
            formula(r"\text{Var}(\hat{g}) = \frac{\Sigma}{B}", "Var(ĝ) = Σ / B"),
            formula(r"B_\text{simple} = \frac{\text{tr}(\Sigma)}{|G|^2}", "B_simple = tr(Σ) / |G|²"),
            formula(r"|G|^2 \approx \frac{B_b |G_b|^2 - B_s |G_s|^2}{B_b - B_s}", "|G|² ≈ (B_b |G_b|² − B_s |G_s|²) / (B_b − B_s), of a big and a small batch"),
            formula(r"\text{tr}(\Sigma) \approx \frac{|G_s|^2 - |G_b|^2}{1 / B_s - 1 / B_b}", "tr(Σ) ≈ (|G_s|² − |G_b|²) / (1 / B_s − 1 / B_b)"),
            formula(r"\left( \frac{S}{S_\text{min}} - 1 \right) \left( \frac{E}{E_\text{min}} - 1 \right) = 1", "(S / S_min − 1)(E / E_min − 1) = 1, of steps S and examples E; with E = B S this is S = S_min + E_min / B"),
        ],
        figures: vec![
            Figure {
                name: "variance".into(),
                caption: "The variance of the gradient by the examples in a batch, both scales logarithmic: a line that falls by one decade a decade.".into(),
                picture: Picture::Chart(Box::new(spread)),
            },
            Figure {
                name: "trade".into(),
                caption: format!(
                    "What it takes to a loss of {TARGET}: examples (upwards) by steps, from batches of 2 (right) to 128 (left). Few steps cost many examples. The bend is at a batch of E_min / S_min = {:.0}; the noise scales of the table below are a rough guide to it.",
                    least_examples / least_steps
                ),
                picture: Picture::Chart(Box::new(bargain)),
            },
        ],
        tables: vec![by_size, scales, trade],
        experiment: Experiment {
            question: "How does the rate go with the batch?".into(),
            method: format!(
                "{EXAMPLES} examples in batches of 8, 32 and 128, so in 256, 64 and 16 steps: at the rate that is best for 8, at that times the root of the batch's growth, and at that times its growth. Two classes around the corners of a square, three to sixteen to two units, {STARTS} runs each; rates and target were chosen so that the runs are short."
            ),
            result: format!(
                "The best of the three: {words}. Near the noise scale a rate that grows with the batch makes up for the steps that are missing, and one that stays does not; far above it something is lost, and for plain SGD the linear rate may be larger than the loss's curvature \
                 allows. On ImageNet the linear rule held for SGD up to batches of 8192, with a warm-up (Goyal et al.); for Adam and its kin theory has the root (Malladi et al.), which runs as short as these cannot tell."
            ),
            figures: Vec::new(),
            tables: vec![scaling],
        },
        code: vec!["crates/train/src/noise.rs: NoiseProbe, Moments", "crates/explain/src/topics/batch_size.rs: variance, noise, fewest"],
        tests: vec![
            "crates/explain/tests/training.rs: gradients_vary_as_one_over_the_batch",
            "crates/explain/tests/training.rs: steps_and_examples_trade_as_the_equation_says",
            "crates/train/tests/noise.rs: two_batches_by_hand",
        ],
        sources: vec![
            ["McCandlish, Kaplan, Amodei 2018, An empirical model of large-batch training", "https://arxiv.org/abs/1812.06162"],
            ["Goyal et al. 2017, Accurate, large minibatch SGD: training ImageNet in 1 hour", "https://arxiv.org/abs/1706.02677"],
            ["Malladi et al. 2022, On the SDEs and scaling rules for adaptive gradient algorithms", "https://arxiv.org/abs/2205.10287"],
            ["Masters and Luschi 2018, Revisiting small batch training for deep neural networks", "https://arxiv.org/abs/1804.07612"],
            ["Smith et al. 2018, Don't decay the learning rate, increase the batch size", "https://arxiv.org/abs/1711.00489"],
        ],
    }
}
