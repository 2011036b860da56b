//! A mean that forgets.

use burn::prelude::*;
use burn::tensor::DType;
use kiln_nn::Draws;
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};
use kiln_train::{Average, Place, Rule, RunningStatistics, Sgd};

use super::walker::{Point, Walker};
use super::{Topic, formula};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "ema",
    title: "Exponential moving average",
    summary: "A mean that forgets, its correction at the start, how long it remembers, and why averaged weights are better.",
    explain,
};

/// The average after each value, raw and corrected for its start at zero: of a network whose one weight is that value.
pub fn averaged(values: &[f64], beta: f64) -> Vec<[f64; 2]> {
    let (mut average, mut pairs) = (moving(beta).init(&Point::new(&[0.0])), Vec::new());
    for (value, t) in values.iter().zip(1..) {
        average = average.update(&Point::new(&[*value]), Place::default(), 1);
        let corrected = average.network.place()[0];
        pairs.push([corrected * (1.0 - beta.powi(t)), corrected]);
    }
    pairs
}

fn moving(decay: f64) -> Average {
    Average::Ema { decay, ramp_steps: 0, every_steps: 1, statistics: RunningStatistics::Average }
}

/// After so many steps half of what was there is forgotten.
pub fn half_life(beta: f64) -> f64 {
    0.5f64.ln() / beta.ln()
}

fn normal(count: usize, draws: &mut Draws) -> Vec<f64> {
    let like = Tensor::<1>::zeros([1], (&Device::flex(), DType::F64));
    draws.normal::<1, 1>([count], &like).into_data().iter().collect()
}

fn explain(seed: u64) -> Page {
    let mut table =
        Table::new("The values 1, 2, 3, 4 with β = 0.9: raw, and corrected", &["value", "raw", "corrected"]);
    for (value, [raw, corrected]) in [1.0, 2.0, 3.0, 4.0].iter().zip(averaged(&[1.0, 2.0, 3.0, 4.0], 0.9)) {
        table.row(format!("{value}"), [format!("{raw:.4}"), format!("{corrected:.6}")]);
    }
    let mut memory = Table::new("How long it remembers", &["β", "window 1 / (1 − β)", "half-life"]);
    for beta in [0.5, 0.9, 0.99, 0.999, 0.9999] {
        memory
            .row(beta.to_string(), [format!("{:.0}", 1.0 / (1.0 - beta)), format!("{:.1}", half_life(beta))]);
    }
    let mut draws = Draws::new(seed);
    let noise = normal(200, &mut draws);
    let values: Vec<f64> =
        noise.iter().enumerate().map(|(at, noise)| (at as f64 / 30.0).sin() + 0.4 * noise).collect();
    let series = |name: &str, colour, look, list: &[f64]| Series {
        name: name.into(),
        colour,
        look,
        points: list.iter().enumerate().map(|(at, y)| [at as f64, *y]).collect(),
    };
    let corrected = |beta: f64| averaged(&values, beta).iter().map(|pair| pair[1]).collect::<Vec<_>>();
    let raw: Vec<f64> = averaged(&values, 0.98).iter().map(|pair| pair[0]).collect();
    let chart = Chart {
        title: "Noisy values and their averages".into(),
        x_name: "steps",
        x: Scale::counts(200.0),
        y: Scale::around(&values),
        spelling: Spelling::Number,
        series: vec![
            series("values", 3, Look::Pale, &values),
            series("β = 0.9", 1, Look::Line, &corrected(0.9)),
            series("β = 0.98", 2, Look::Line, &corrected(0.98)),
            series("β = 0.98, not corrected", 5, Look::Line, &raw),
        ],
        marked: None,
    };

    // Stochastic descent on 50 parabolas (1/2 curvature w^2) with noise in the gradient.
    let curvatures: Vec<f64> = (0..50).map(|at| 0.05 * 1.06f64.powi(at)).collect();
    let mut walker = Walker::new(Rule::Sgd(Sgd::default()), &[3.0; 50]);
    let (beta, steps, rate) = (0.995, 3000, 0.3);
    let mut average = moving(beta).init(&walker.point);
    let loss =
        |weights: &[f64]| -> f64 { weights.iter().zip(&curvatures).map(|(w, c)| 0.5 * c * w * w).sum() };
    let (mut weights, mut last, mut of_mean) = (walker.point.place(), 0.0, 0.0);
    for step in 1..=steps {
        let noise = normal(50, &mut draws);
        let gradient: Vec<f64> =
            weights.iter().zip(&curvatures).zip(&noise).map(|((w, c), noise)| c * w + noise).collect();
        weights = walker.step(rate, &gradient);
        average = average.update(&walker.point, Place::default(), 1);
        if step > steps - 500 {
            last += loss(&weights) / 500.0;
            of_mean += loss(&average.network.place()) / 500.0;
        }
    }
    let mut losses = Table::new("The loss over the last 500 of 3000 steps", &["weights", "loss"]);
    losses.row("as they are", [format!("{last:.4}")]);
    losses.row("averaged, β = 0.995", [format!("{of_mean:.4}")]);
    Page {
        idea: [
            "An exponential moving average takes a small part of each new value and keeps the rest of what it was, so a value counts less the longer ago it was.",
            "It starts at zero and is too small at first; dividing by 1 − βᵗ, the sum of all weights so far, corrects that.",
            "Of noisy things it shows the middle: of losses for the eye, of gradients in Adam, of weights for a network that is better than the last one.",
        ],
        formulas: vec![
            formula(r"v_t = \beta v_{t-1} + (1 - \beta) x_t, \quad \hat{v}_t = \frac{v_t}{1 - \beta^t}", "v_t = β v_(t−1) + (1 − β) x_t,  v̂_t = v_t / (1 − βᵗ)"),
            formula(r"\text{half-life} = \frac{\ln 0.5}{\ln \beta}", "half-life = ln 0.5 / ln β"),
        ],
        figures: vec![Figure {
            name: "averages".into(),
            caption: "A wave with noise: the longer the memory, the smoother and the later; without the correction the start is pulled to zero.".into(),
            picture: Picture::Chart(Box::new(chart)),
        }],
        tables: vec![table, memory],
        experiment: Experiment {
            question: "Are averaged weights better?".into(),
            method: "Fifty weights, each on its own parabola, go down by gradients with noise of deviation 1, at a rate of 0.3.".into(),
            result: format!(
                "The weights keep jumping around the minimum and lose {last:.3} there, their average {of_mean:.3}, {:.0} times less: the noise of many steps cancels.",
                last / of_mean
            ),
            figures: Vec::new(),
            tables: vec![losses],
        },
        code: vec!["crates/train/src/average.rs: Average, Averaged", "crates/explain/src/topics/ema.rs: averaged"],
        tests: vec!["crates/explain/tests/worked.rs: moving_averages_have_the_worked_numbers"],
        sources: vec![["Polyak and Juditsky 1992, Acceleration of stochastic approximation by averaging", "https://doi.org/10.1137/0330046"]],
    }
}
