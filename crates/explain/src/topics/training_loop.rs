//! Epoch, iteration, batch.

use std::sync::Arc;

use burn::prelude::*;
use kiln_core::Batches;
use kiln_data::Dataset;
use kiln_nn::Draws;
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};
use kiln_train::{Length, Rule, Trainer};

use super::optimizers::MOMENTUM;
use super::small::{self, Heard, Small};
use super::{Topic, distance, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "loop",
    title: "Epoch, iteration, batch",
    summary: "How many steps an epoch has, what a short last batch does, and why gathered gradients and a resumed run are the same run.",
    explain,
};

/// Images of the runs that are counted.
const ITEMS: usize = 1000;

/// A way to go through the images, and what a run of one epoch told of it.
pub struct Counted {
    /// Images a batch.
    pub batch: usize,
    /// Whether a last batch that is not full is left out.
    pub drop_last: bool,
    /// Batches a step.
    pub accumulate: usize,
    /// Steps an epoch, as the run said when it began.
    pub steps: usize,
    /// Images of each step that was taken.
    pub items: Vec<usize>,
}

/// Runs over 1000 images, by the loop and the loader.
pub fn counted() -> Vec<Counted> {
    let images = small::images("train", ITEMS, 0);
    let ways = [(100, false, 1), (300, false, 1), (300, true, 1), (100, false, 3)];
    let of = |(batch, drop_last, accumulate): (usize, bool, usize)| {
        let train = small::loader(&images, batch, true, drop_last, Device::flex().autodiff());
        let heard = run(&train, 1, 0.01, accumulate).1;
        let items = heard.steps.iter().map(|(items, _)| *items).collect();
        Counted { batch, drop_last, accumulate, steps: heard.steps_per_epoch, items }
    };
    ways.map(of).into()
}

/// A fresh network trained for some epochs by momentum: the mean loss of the first of them, what was heard, and the weights in the end.
fn run(train: &impl Batches, epochs: usize, rate: f64, accumulate: usize) -> (f64, Heard, Vec<f32>) {
    let folder = small::folder();
    let mut trainer = small::trainer(folder.path(), Length::Epochs(epochs), rate, Rule::Sgd(MOMENTUM));
    trainer.recipe.accumulate = accumulate;
    let (fit, heard) = small::fit(&trainer, train, &Vec::new(), None);
    (fit.history[0].train_loss, heard, fit.network.weights())
}

/// Of a network that stays as it is, by the images of a batch: the mean of its batches' mean losses, and the loss that the loop says
/// the epoch had.
pub fn epoch_losses<const N: usize>(batches: [usize; N]) -> [[f64; 2]; N] {
    let images = small::images("train", ITEMS, 0);
    batches.map(|batch| {
        let train = small::loader(&images, batch, true, false, Device::flex().autodiff());
        // A rate that moves no weight of 32 bits.
        let (epoch, heard, _) = run(&train, 1, 1e-30, 1);
        let sum: f64 = heard.steps.iter().map(|(_, loss)| loss).sum();
        [sum / heard.steps.len() as f64, epoch]
    })
}

/// The mean square distance of batches' gradients from that of all images, by the images of a batch: drawn with replacement and without, each measured and by its formula.
pub struct Spread {
    /// Images a batch.
    pub batch: usize,
    /// Measured, and σ² / B.
    pub with: [f64; 2],
    /// Measured on the loader's batches, and σ² / B · (N − B) / (N − 1).
    pub without: [f64; 2],
}

const SPREAD_ITEMS: usize = 64;
const SPREAD_EPOCHS: usize = 200;

/// Of a fresh network, over so many epochs' worth of batches.
pub fn spreads(seed: u64) -> Vec<Spread> {
    let images = small::images("train", SPREAD_ITEMS, seed);
    let products = products(&images, seed);
    // The square of the mean of some vectors, of which all products are known.
    let square = |batch: &[usize]| {
        let sum: f64 = batch.iter().flat_map(|a| batch.iter().map(|b| products[*a][*b])).sum();
        sum / (batch.len() * batch.len()) as f64
    };
    let mean = |batches: &[Vec<usize>]| {
        batches.iter().map(|batch| square(batch)).sum::<f64>() / batches.len() as f64
    };
    let variance = (0..SPREAD_ITEMS).map(|at| products[at][at]).sum::<f64>() / SPREAD_ITEMS as f64;
    let mut draws = Draws::new(seed);
    let of = |batch: usize| {
        let loader = small::loader(&images, batch, true, false, Device::flex());
        let orders = (0..SPREAD_EPOCHS).flat_map(|epoch| loader.epoch(epoch, 0));
        let without: Vec<Vec<usize>> = orders.map(|batch| batch.expect("images in memory").indices).collect();
        let with: Vec<Vec<usize>> =
            without.iter().map(|batch| batch.iter().map(|_| draws.below(SPREAD_ITEMS)).collect()).collect();
        let all = variance / batch as f64;
        let left = (SPREAD_ITEMS - batch) as f64 / (SPREAD_ITEMS - 1) as f64;
        Spread { batch, with: [mean(&with), all], without: [mean(&without), all * left] }
    };
    [1, 2, 4, 8, 16, 32].map(of).into()
}

/// Of each two images: the product of their gradients' distances from the mean gradient.
fn products(images: &Arc<dyn Dataset>, seed: u64) -> Vec<Vec<f64>> {
    let device = Device::flex().autodiff();
    device.seed(seed);
    let network = Small::new();
    let each = small::loader(images, 1, false, false, device);
    let mut gradients: Vec<Vec<f32>> =
        each.epoch(0, 0).map(|batch| network.gradient(&batch.expect("images in memory"))).collect();
    for at in 0..gradients[0].len() {
        let mean = gradients.iter().map(|gradient| gradient[at]).sum::<f32>() / gradients.len() as f32;
        gradients.iter_mut().for_each(|gradient| gradient[at] -= mean);
    }
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum();
    gradients.iter().map(|a| gradients.iter().map(|b| product(a, b)).collect()).collect()
}

/// How far apart two runs' weights are at most, over the size of the largest.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    let largest = |values: &mut dyn Iterator<Item = f32>| {
        f64::from(values.fold(0.0f32, |most, value| most.max(value.abs())))
    };
    largest(&mut a.iter().zip(b).map(|(a, b)| a - b)) / largest(&mut a.iter().copied())
}

/// A run that was done in some way: its steps, its last loss, and its distance from the first.
pub struct Repeated {
    /// How.
    pub name: &'static str,
    /// Steps taken.
    pub steps: usize,
    /// Of the last step.
    pub loss: f64,
    /// Between the weights, over the largest of them.
    pub distance: f64,
}

/// 200 images, three epochs of five steps of 40, in five ways.
pub fn repeated(seed: u64) -> Vec<Repeated> {
    let images = small::images("train", 200, seed);
    let loader = |batch| small::loader(&images, batch, true, false, Device::flex().autodiff());
    let (forty, ten) = (loader(40), loader(10));
    let (_, first, weights) = run(&forty, 3, 0.02, 1);
    let tell = |name, heard: &Heard, other: &[f32]| Repeated {
        name,
        steps: heard.steps.len(),
        loss: heard.steps.last().map_or(f64::NAN, |(_, loss)| *loss),
        distance: apart(&weights, other),
    };
    let mut rows = vec![tell("batches of 40", &first, &weights)];
    let (_, again, other) = run(&forty, 3, 0.02, 1);
    rows.push(tell("once more", &again, &other));

    // Stopped within the second epoch, and resumed from its checkpoint.
    let folder = small::folder();
    let trainer = small::trainer(folder.path(), Length::Epochs(3), 0.02, Rule::Sgd(MOMENTUM));
    let (_, mut heard) = small::fit(&trainer, &forty, &Vec::new(), Some(7));
    let (fit, rest) = small::fit(&Trainer { resume: true, ..trainer }, &forty, &Vec::new(), None);
    heard.steps.extend(rest.steps);
    rows.push(tell("stopped after 7 steps, and resumed", &heard, &fit.network.weights()));

    let (_, gathered, other) = run(&ten, 3, 0.02, 4);
    rows.push(tell("4 gathered batches of 10", &gathered, &other));
    let (_, small_ones, other) = run(&ten, 3, 0.02, 1);
    rows.push(tell("batches of 10", &small_ones, &other));
    rows
}

/// An epoch's steps as bars, each way a row.
fn bars(ways: &[Counted]) -> Drawing {
    let mut drawing = Drawing::new("The steps of an epoch of 1000 images", [400.0, 52.0 * ways.len() as f64])
        .at_most(600.0);
    let scale = 380.0 / ITEMS as f64;
    for (at, way) in ways.iter().enumerate() {
        let top = 52.0 * at as f64;
        drawing.text(
            [10.0, top + 13.0],
            Anchor::Start,
            "name",
            &format!("{}: {} steps", named(way), way.items.len()),
        );
        let mut left = 10.0;
        for (step, items) in way.items.iter().enumerate() {
            let width = *items as f64 * scale;
            drawing.shade([left, top + 19.0, width - 1.5, 20.0], if step % 2 == 0 { 1 } else { 4 }, 0.5);
            drawing.text([left + width / 2.0, top + 33.0], Anchor::Middle, "name", &items.to_string());
            left += width;
        }
        let rest = 10.0 + 380.0 - left;
        if rest > 1.0 {
            drawing.frame([left, top + 19.0, rest - 1.5, 20.0], "flow dashed");
        }
    }
    drawing
}

fn named(way: &Counted) -> String {
    let last = if way.drop_last { ", the last left out" } else { "" };
    match way.accumulate {
        1 => format!("batches of {}{last}", way.batch),
        gathered => format!("{gathered} batches of {} a step", way.batch),
    }
}

fn explain(seed: u64) -> Page {
    let ways = counted();
    let mut counts = Table::new(
        "The steps of an epoch of 1000 images by the formula, and as the loop's events tell them; and the images of the last",
        &["batches", "formula", "steps", "last"],
    );
    for way in &ways {
        let batches = if way.drop_last { ITEMS / way.batch } else { ITEMS.div_ceil(way.batch) };
        let steps = batches.div_ceil(way.accumulate);
        counts.row(
            named(way),
            [steps, way.items.len(), way.items[way.items.len() - 1]].map(|count| count.to_string()),
        );
    }
    const SOME: [usize; 3] = [100, 300, 333];
    let [[_, whole], rest @ ..] = epoch_losses([ITEMS, SOME[0], SOME[1], SOME[2]]);
    let mut losses = Table::new(
        &format!(
            "The loss of a network that stays as it is, over 1000 images: the mean of its batches' means, and their means weighed by images, as the loop has it. All in one batch it is {whole:.6}"
        ),
        &["batches of", "last", "mean of means", "by images"],
    );
    for (batch, found) in SOME.iter().zip(rest) {
        let last = (ITEMS - 1) % batch + 1;
        let found = found.map(|loss| format!("{loss:.6}"));
        losses.row(batch.to_string(), [last.to_string()].into_iter().chain(found));
    }

    let spreads = spreads(seed);
    let mut variances = Table::new(
        &format!(
            "The mean square distance of a batch's gradient from that of all {SPREAD_ITEMS} images, of a fresh network: drawn with replacement, and without, as the loader does"
        ),
        &["batch", "with", "formula", "without", "formula"],
    );
    for Spread { batch, with, without } in &spreads {
        variances
            .row(batch.to_string(), [with, without].into_iter().flatten().map(|value| format!("{value:.4}")));
    }
    let line = |name: &str, colour, look, value: fn(&Spread) -> f64| Series {
        name: name.into(),
        colour,
        look,
        points: spreads.iter().map(|spread| [spread.batch as f64, value(spread)]).collect(),
    };
    let heights: Vec<f64> =
        spreads.iter().flat_map(|spread| [spread.with, spread.without].concat()).collect();
    let chart = Chart {
        title: "Variance of gradients by batch size".into(),
        x_name: "images a batch",
        x: Scale { low: 1.0, high: 32.0, ticks: vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0], log: true },
        y: Scale::around(&heights),
        spelling: Spelling::Number,
        series: vec![
            line("σ² / B", 3, Look::Pale, |spread| spread.with[1]),
            line("with replacement", 2, Look::Dots, |spread| spread.with[0]),
            line("without: the loader's batches", 1, Look::Dots, |spread| spread.without[0]),
        ],
        marked: None,
    };

    let repeated = repeated(seed);
    let mut runs = Table::new(
        "Three epochs of 200 images; the distance is the largest between two weights, over the largest weight",
        &["run", "steps", "last loss", "distance"],
    );
    for Repeated { name, steps, loss, distance: apart } in &repeated {
        runs.row(*name, [steps.to_string(), format!("{loss:.6}"), distance(*apart as f32)]);
    }
    let off = |at: usize| distance(repeated[at].distance as f32);
    Page {
        idea: [
            "A batch is what one step learns from, a step (iteration) is forward, backward and an update of the weights, and an epoch is one pass over all images.",
            "Where the images do not fill the last batch, it is shorter or left out, and a mean over the epoch has to count images, not batches.",
            "Gradients of several batches can be gathered for one update, which is then that of the large batch.",
        ],
        formulas: vec![
            formula(r"\text{steps an epoch} = \left\lceil \frac{N}{B} \right\rceil \text{ or } \left\lfloor \frac{N}{B} \right\rfloor", "steps an epoch = ⌈N / B⌉, or ⌊N / B⌋ if a last batch that is not full is left out"),
            formula(r"\text{updates} = \left\lceil \frac{\text{batches}}{A} \right\rceil, \quad g = \sum_{i=1}^{A} \frac{B_i}{\sum_j B_j} g_i", "of A gathered batches: updates = ⌈batches / A⌉, g = Σ B_i g_i / Σ B_j"),
            formula(r"\text{Var}(\hat{g}) = \frac{\sigma^2}{B} \text{ with replacement}", "Var(ĝ) = σ² / B, drawn with replacement"),
            formula(r"\text{Var}(\hat{g}) = \frac{\sigma^2}{B} \cdot \frac{N - B}{N - 1} \text{ without}", "Var(ĝ) = σ² / B · (N − B) / (N − 1), drawn without"),
        ],
        figures: vec![
            Figure {
                name: "steps".into(),
                caption: "An epoch of 1000 images: each bar is a step, with its images. Dashed: images that this epoch leaves out.".into(),
                picture: Picture::Drawing(bars(&ways)),
            },
            Figure {
                name: "variance".into(),
                caption: format!(
                    "How far a batch's gradient is from that of all {SPREAD_ITEMS} images, mean square, over {SPREAD_EPOCHS} epochs of batches; both scales are logarithmic. An epoch takes each image once, so a large part of the images says nearly what all of them say."
                ),
                picture: Picture::Chart(Box::new(chart)),
            },
        ],
        tables: vec![counts, losses, variances],
        experiment: Experiment {
            question: "When are two runs the same run?".into(),
            method: "A network of two convolutions and a linear layer learns from 200 images by momentum; its loop shuffles them anew every epoch, in an order that depends on seed and epoch alone. The same run is done again, is stopped within an epoch and resumed \
                     from its checkpoint, and is done in smaller batches, gathered and not.".into(),
            result: format!(
                "Done again and resumed it is the same to the bit (distances {} and {}). Gathered batches give the large batch's run to rounding ({}), as no layer here mixes images; batch normalization would still see the small batches. Small batches that are not \
                 gathered are another run, of {} steps.",
                off(1), off(2), off(3), repeated[4].steps
            ),
            figures: Vec::new(),
            tables: vec![runs],
        },
        code: vec![
            "crates/train/src/fit.rs: Trainer::fit",
            "crates/train/src/step.rs: Learner",
            "crates/data/src/loader.rs: Loader",
            "crates/explain/src/topics/training_loop.rs: counted, spreads, repeated",
        ],
        tests: vec![
            "crates/explain/tests/training.rs: an_epoch_has_the_steps_of_the_formula",
            "crates/explain/tests/training.rs: a_short_batch_counts_by_its_images",
            "crates/explain/tests/training.rs: gathered_and_resumed_runs_are_the_run",
            "crates/train/tests/fit.rs: steps_are_counted",
        ],
        sources: vec![["Bottou, Curtis, Nocedal 2018, Optimization methods for large-scale machine learning", "https://arxiv.org/abs/1606.04838"]],
    }
}
