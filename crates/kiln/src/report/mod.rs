//! The run report: one HTML page with the curves, the confusion matrix, sample predictions and everything needed to
//! repeat the run. It holds its own style, drawings and images, runs no script and loads nothing; its elements are
//! closed, so that an XML parser reads it too.
//!
//! It knows no tensor, no model and no data set: [`Report`] is plain numbers, words and pictures.

mod anchors;
mod confusion;
mod curves;
mod html;
mod labels;
mod layers;
mod live;
#[cfg(test)]
mod object_tests;
mod objects;
mod race;
mod raster;
mod rates;
mod samples;
mod scenes;
#[cfg(test)]
mod tests;
mod times;

use std::fmt::Write;

use image::RgbImage;
use kiln_page::{POLICY, chart, page, scale};

pub use anchors::anchors;
pub use confusion::ClassFigures;
use confusion::Subject;
use html::{escape, fixed, percent};
pub use labels::{LabelClass, LabelReport, LabelScene};
pub use layers::{Layer, Spread};
pub use live::{Live, Mood, live_page, live_parts};
pub use objects::{ClassCurve, ObjectReport};
pub use race::{Race, RaceLine};
pub use rates::{rates, rates_pixels};
pub use scenes::{Fate, Scene, SceneDetection, SceneTruth, Verdict};
pub use times::{PARTS, TimesRow};

/// Everything the page says of a run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The name of the run.
    pub title: String,
    /// The model and the data set.
    pub subtitle: String,
    /// The tiles under the headline as (name, value), the most important one first.
    pub summary: Vec<(String, String)>,
    /// One row an epoch, in order.
    pub epochs: Vec<EpochRow>,
    /// Some or all steps, in order; the page thins them further where it draws them.
    pub steps: Vec<StepRow>,
    /// Where the time went, in order.
    pub times: Vec<TimesRow>,
    /// What was taken for what, if the task is to tell classes apart.
    pub confusion: Option<Confusion>,
    /// How well objects are found, if that is the task; `confusion` then counts objects, and its last class is the background.
    pub objects: Option<ObjectReport>,
    /// How well pixels are labelled, if that is the task; `confusion` then counts pixels.
    pub labels: Option<LabelReport>,
    /// Some test images with what the network said of them.
    pub samples: Samples,
    /// How the numbers of layers were distributed, in the network's order, if that was written down.
    pub layers: Vec<Layer>,
    /// The experiment file, as typed.
    pub configuration: String,
    /// The complete configuration, as JSON.
    pub resolved: String,
    /// Versions, device, machine, as (name, value).
    pub environment: Vec<(String, String)>,
    /// The command that repeats the run.
    pub command: String,
}

/// An epoch's figures.
#[derive(Debug, Clone, Default)]
pub struct EpochRow {
    /// The epochs done, this one counted.
    pub epoch: usize,
    /// The steps done, all epochs counted.
    pub step: usize,
    /// The learning rate of the last step.
    pub rate: f64,
    /// The training loss, averaged over the epoch.
    pub train_loss: f64,
    /// The test loss after the epoch.
    pub test_loss: f64,
    /// Named figures between 0 and 1; more is better, and the first decides which epoch is best.
    pub figures: Vec<(String, f64)>,
}

/// A training step.
#[derive(Debug, Clone, Default)]
pub struct StepRow {
    /// The steps done, this one counted.
    pub step: usize,
    /// The loss of its batch.
    pub loss: f64,
    /// The learning rate it was taken with.
    pub rate: f64,
}

/// What was taken for what.
#[derive(Debug, Clone, Default)]
pub struct Confusion {
    /// The names of the classes.
    pub classes: Vec<String>,
    /// `counts[truth][predicted]`: how many images; or objects, where the last row has what was found and is not there, and the
    /// last column what is there and was not found.
    pub counts: Vec<Vec<u64>>,
}

/// Test images with what the network said of them.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// Those it named rightly.
    pub right: Vec<SampleCard>,
    /// Those it named wrongly.
    pub wrong: Vec<SampleCard>,
}

/// One test image with what the network said of it.
#[derive(Debug, Clone, Default)]
pub struct SampleCard {
    /// The image as a person would see it, of any size; a small one is magnified, a large one reduced.
    pub image: RgbImage,
    /// The class it is.
    pub truth: String,
    /// The class the network named.
    pub predicted: String,
    /// The probability the network gave to the class it named.
    pub probability: f32,
}

/// The page, complete.
pub fn render(report: &Report) -> String {
    let mut body = String::with_capacity(1 << 18);
    body.push_str(&headline(report));
    body.push_str(&curves::section(&report.epochs, &report.steps));
    body.push_str(&epochs_table(&report.epochs));
    body.push_str(&times::section(&report.times));
    report.objects.iter().for_each(|objects| body.push_str(&objects::section(objects)));
    report.labels.iter().for_each(|labels| body.push_str(&labels::section(labels)));
    if let Some(confusion) = &report.confusion {
        let subject = match (&report.objects, &report.labels) {
            (Some(_), _) => Subject::Objects,
            (None, Some(_)) => Subject::Pixels,
            (None, None) => Subject::Images,
        };
        body.push_str(&confusion::section(confusion, subject));
    }
    body.push_str(&samples::section(&report.samples));
    report.objects.iter().for_each(|objects| body.push_str(&objects::images(objects)));
    report.labels.iter().for_each(|labels| body.push_str(&labels::images(labels)));
    body.push_str(&layers::section(&report.layers));
    body.push_str(&repeat(report));
    page(&report.title, POLICY, "", &body)
}

/// The title and the tiles.
fn headline(report: &Report) -> String {
    let mut text = format!("<header>\n<h1>{}</h1>\n", escape(&report.title));
    if !report.subtitle.is_empty() {
        let _ = writeln!(text, "<p class=\"subtitle\">{}</p>", escape(&report.subtitle));
    }
    if !report.summary.is_empty() {
        text.push_str("<dl class=\"tiles\">\n");
        for (name, value) in &report.summary {
            let _ = writeln!(text, "<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value));
        }
        text.push_str("</dl>\n");
    }
    text.push_str("</header>\n");
    text
}

/// The numbers behind the curves, folded away.
fn epochs_table(epochs: &[EpochRow]) -> String {
    let Some(last) = epochs.last() else { return String::new() };
    let best = curves::best(epochs).map(|(row, _)| row);
    let mut text = String::from(
        "<details>\n<summary>The numbers of every epoch</summary>\n<div class=\"scroll\">\n<table>\n<thead><tr>\
         <th>epoch</th><th>step</th><th>rate</th><th>train loss</th><th>test loss</th>",
    );
    for (name, _) in &last.figures {
        let _ = write!(text, "<th>{}</th>", escape(name));
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    for (row, epoch) in epochs.iter().enumerate() {
        let class = if best == Some(row) { " class=\"best\"" } else { "" };
        let _ = write!(
            text,
            "<tr{class}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
            epoch.epoch,
            epoch.step,
            html::short(epoch.rate),
            fixed(epoch.train_loss, 4),
            fixed(epoch.test_loss, 4)
        );
        for (name, _) in &last.figures {
            let figure = epoch.figures.iter().find(|(other, _)| other == name);
            let _ = write!(text, "<td>{}</td>", percent(figure.map_or(f64::NAN, |(_, value)| *value), 2));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody>\n</table>\n</div>\n</details>\n");
    text
}

/// What is needed to repeat the run.
fn repeat(report: &Report) -> String {
    let mut text = String::from("<section>\n<h2>To repeat it</h2>\n");
    if !report.command.is_empty() {
        let _ = writeln!(text, "<pre class=\"command\"><code>{}</code></pre>", escape(&report.command));
    }
    if !report.environment.is_empty() {
        text.push_str("<dl class=\"environment\">\n");
        for (name, value) in &report.environment {
            let _ = writeln!(text, "<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value));
        }
        text.push_str("</dl>\n");
    }
    if !report.configuration.trim().is_empty() {
        let _ = writeln!(
            text,
            "<h3>The experiment, as typed</h3>\n<pre><code>{}</code></pre>",
            toml(&report.configuration)
        );
    }
    if !report.resolved.trim().is_empty() {
        let _ = writeln!(
            text,
            "<details>\n<summary>The complete configuration</summary>\n<pre><code>{}</code></pre>\n</details>",
            escape(report.resolved.trim_end())
        );
    }
    text.push_str("</section>\n");
    text
}

/// The experiment file with its comments set back and its table headers set off.
fn toml(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| {
        let start = line.trim_start();
        match start.chars().next() {
            Some('#') => format!("<span class=\"comment\">{}</span>", escape(line)),
            Some('[') => format!("<b>{}</b>", escape(line)),
            _ => escape(line),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}
