//! The report of a run.

use image::RgbImage;
use kiln_core::Result;
use kiln_tasks::ConfusionMatrix;
use kiln_train::EpochSummary;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::detection_report::object_report;
use crate::evaluation::{Evaluation, Named};
use crate::experiment::{Prepared, Source, class_name};
use crate::label_report::label_report;
use crate::report::{Confusion, EpochRow, Report, SampleCard, Samples, render};
use crate::run::{Histograms, Pulse, RunFolder, Steps};

/// Cards of right and of wrong test images each.
const CARDS: usize = 12;
/// Of images that take more room.
const SCENES: usize = 6;

/// Writes `report.html`.
///
/// # Errors
/// A place that cannot be written; a test image that cannot be read again.
pub fn write_report(
    run: &RunFolder,
    source: &Source,
    prepared: &Prepared,
    history: &[EpochSummary],
    evaluation: &Evaluation,
    tiles: &[(&str, String)],
    environment: Vec<(String, String)>,
) -> Result<()> {
    let experiment = &prepared.experiment;
    let average = history.iter().any(|summary| summary.average.is_some());
    let epochs = history.iter().map(|summary| EpochRow {
        epoch: summary.epoch,
        step: summary.step,
        rate: summary.rate,
        train_loss: summary.train_loss,
        test_loss: summary.test_loss,
        figures: figures(summary, average),
    });
    let figures = evaluation.figures();
    let best =
        figures.iter().map(|(name, value)| (format!("Best {name}"), format!("{:.2} %", value * 100.0)));
    let mut labels = None;
    let (confusion, samples, objects) = match evaluation {
        Evaluation::Classes { score, named } => {
            (confusion(score.confusion(), prepared.classes.clone()), samples(prepared, named)?, None)
        }
        Evaluation::Objects { score, found } => {
            let background = "background".to_string();
            let classes = prepared.classes.iter().cloned().chain([background]).collect();
            let image = |index| Ok(prepared.test.0.get(index)?.image);
            let objects = object_report(score, found, &prepared.classes, CARDS, image)?;
            (confusion(score.confusion(), classes), Samples::default(), Some(objects))
        }
        Evaluation::Labels { score, labelled } => {
            let image = |index| shown(prepared, index);
            labels = Some(label_report(score, labelled, &prepared.classes, SCENES, image)?);
            (confusion(score.confusion(), prepared.classes.clone()), Samples::default(), None)
        }
    };
    let report = Report {
        title: run.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        subtitle: format!("{} on {}", experiment.model.name, experiment.data.name),
        summary: best
            .take(1)
            .chain(tiles.iter().map(|(name, value)| (name.to_string(), value.clone())))
            .collect(),
        epochs: epochs.collect(),
        steps: Steps::read(&run.file("steps.csv"))?,
        times: Pulse::read(&run.file("times.csv"))?,
        confusion: Some(confusion),
        objects,
        labels,
        samples,
        layers: Histograms::layers(&run.file("histograms.jsonl"))?,
        configuration: source.text(),
        resolved: serde_json::to_string_pretty(experiment).unwrap_or_default(),
        environment,
        command: format!("cargo xtask train {}", run.file("resolved.json").display()),
    };
    run.write("report.html", render(&report).as_bytes())
}

/// The figures by which an epoch is good or bad; where some epochs have an average of the weights, the weights' own after them.
fn figures(summary: &EpochSummary, average: bool) -> Vec<(String, f64)> {
    let EpochSummary { figures, average: tried, .. } = summary;
    let counts = tried.as_ref().map_or(figures, |tried| &tried.figures);
    let own = figures.iter().map(|(name, value)| (format!("{name} of the weights"), *value));
    counts.iter().cloned().chain(own.filter(|_| average)).collect()
}

/// A test image as the network is shown it, in colours again.
fn shown(prepared: &Prepared, index: usize) -> Result<RgbImage> {
    let (images, pipeline) = &prepared.test;
    // Test transforms leave nothing to chance.
    let ready = pipeline.prepare(images.get(index)?, &mut ChaCha8Rng::seed_from_u64(0))?;
    Ok(pipeline.picture(&ready.numbers, ready.size))
}

fn confusion(matrix: &ConfusionMatrix, classes: Vec<String>) -> Confusion {
    Confusion { classes, counts: matrix.rows().map(<[u64]>::to_vec).collect() }
}

/// The wrong ones that the network was surest of, and right ones from all over the split.
fn samples(prepared: &Prepared, predictions: &[Named]) -> Result<Samples> {
    let (right, mut wrong): (Vec<&Named>, Vec<&Named>) =
        predictions.iter().partition(|p| p.truth == p.predicted);
    wrong.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let apart = right.len().div_ceil(CARDS).max(1);
    let card = |prediction: &Named| {
        let class = |class| class_name(&prepared.classes, class);
        Ok(SampleCard {
            image: prepared.test.0.get(prediction.index)?.image,
            truth: class(prediction.truth),
            predicted: class(prediction.predicted),
            probability: prediction.probability,
        })
    };
    Ok(Samples {
        right: right.into_iter().step_by(apart).take(CARDS).map(card).collect::<Result<_>>()?,
        wrong: wrong.into_iter().take(CARDS).map(card).collect::<Result<_>>()?,
    })
}
