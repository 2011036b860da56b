//! `kiln lr-find`.

use std::path::PathBuf;
use std::process::ExitCode;

use kiln_core::Result;
use kiln_data::Roots;
use kiln_tasks::Classification;
use kiln_train::RateFinder;
use kiln_zoo::StateDict;
use serde_json::json;

use super::network::filled;
use super::output::{Output, write};
use super::train::{loader, read};
use crate::experiment::Prepared;
use crate::report::rates;
use crate::run::bar;

/// Find a learning rate: train some steps at ever higher rates, and see where the loss falls fastest
///
/// Example: kiln lr-find configs/quickstart.toml
#[derive(clap::Args)]
pub struct Args {
    /// An experiment file; its own rate and schedule do not matter
    config: PathBuf,
    /// Change a value of the experiment: --set optimizer.name=adamw
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where to compute: flex, ndarray, wgpu, wgpu:0, cuda:0, …
    #[arg(long, default_value = "flex")]
    device: String,
    /// The lowest rate
    #[arg(long, default_value_t = 1e-6)]
    from: f64,
    /// The highest rate
    #[arg(long, default_value_t = 10.0)]
    to: f64,
    /// Steps in all
    #[arg(long, default_value_t = 100)]
    steps: usize,
    /// The picture
    #[arg(long, value_name = "FILE", default_value = "lr-find.svg")]
    out: PathBuf,
}

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let source = read(&args.config, &args.set)?;
    let device = kiln_core::device(&args.device)?.autodiff();
    let prepared = Prepared::new(&source, roots)?;
    if let Some(absence) = prepared.absence {
        return Err(absence);
    }
    let first = prepared.train.0.get(0)?;
    prepared.takes(Some([first.image.height() as usize, first.image.width() as usize]))?;
    let experiment = &prepared.experiment;
    let classes = prepared.classes.len();
    let network = match &experiment.model.weights {
        Some(file) => filled(&prepared.entry, StateDict::read(file)?, classes, file, &device)?,
        None => prepared.entry.init(classes, &device),
    };
    let train = loader(&prepared.train, experiment, true, &device)?;
    let task = Classification {
        num_classes: classes,
        label_smoothing: experiment.train.label_smoothing,
        loss: experiment.train.loss,
    };
    let finder = RateFinder { from: args.from, to: args.to, steps: args.steps, seed: experiment.seed };
    let bar = bar(args.steps as u64, "{bar:24} {pos}/{len} steps");
    let sweep =
        finder.find(network, &experiment.optimizer, &task, &train, |step| bar.set_position(step as u64))?;
    bar.finish_and_clear();

    let (steepest, lowest) = (sweep.steepest(), sweep.lowest());
    let title =
        format!("{} on {}, {}", experiment.model.name, experiment.data.name, experiment.optimizer.name());
    let points: Vec<[f64; 3]> =
        sweep.points.iter().map(|tried| [tried.rate, tried.loss, tried.smoothed]).collect();
    write(&args.out, &rates(title, &points, steepest.map(|tried| [tried.rate, tried.smoothed])))?;

    let tried = sweep.points.last().map_or(args.from, |tried| tried.rate);
    let line = match (steepest, lowest) {
        (Some(steepest), Some(lowest)) => format!(
            "suggested: {:.2e}, where the loss falls fastest; lowest at {:.2e}; tried {:.0e} to {tried:.2e} in {} steps",
            steepest.rate,
            lowest.rate,
            args.from,
            sweep.points.len()
        ),
        _ => {
            format!("the loss does not fall between {:.0e} and {tried:.2e}; nothing is suggested", args.from)
        }
    };
    let object = json!({
        "suggestion": steepest.map(|tried| tried.rate),
        "lowest": lowest.map(|tried| tried.rate),
        "points": sweep.points.iter().map(|tried| {
            json!({"rate": tried.rate, "loss": tried.loss, "smoothed": tried.smoothed})
        }).collect::<Vec<_>>(),
        "picture": args.out,
    });
    output.answer(&format!("{line}\npicture: {}", args.out.display()), object);
    Ok(ExitCode::SUCCESS)
}
