//! `kiln lr-find`.

use std::path::PathBuf;
use std::process::ExitCode;

use kiln_core::{Error, Result};
use kiln_data::Roots;
use kiln_train::RateFinder;
use serde_json::json;

use super::opening::Chosen;
use super::output::{Output, png, write};
use crate::report::{rates, rates_pixels};
use crate::run::bar;

/// Find a learning rate: train some steps at ever higher rates, and see where the loss falls fastest
///
/// Example: kiln lr-find configs/quickstart.toml
#[derive(clap::Args)]
pub struct Args {
    /// An experiment file; its own rate and schedule do not matter
    config: PathBuf,
    #[command(flatten)]
    chosen: Chosen,
    /// The lowest rate
    #[arg(long, default_value_t = 1e-6)]
    from: f64,
    /// The highest rate
    #[arg(long, default_value_t = 10.0)]
    to: f64,
    /// Steps in all
    #[arg(long, default_value_t = 100)]
    steps: usize,
    /// The picture: .png or .svg
    #[arg(long, value_name = "FILE", default_value = "lr-find.png")]
    out: PathBuf,
}

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let is_svg = match args.out.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => true,
        Some("png") => false,
        _ => {
            return Err(Error::input("is no picture's name")
                .file(&args.out)
                .hint("end it in `.png` or `.svg`"));
        }
    };
    let opening = args.chosen.open(args.chosen.read(&args.config)?, roots)?;
    opening.image_size()?;
    let experiment = &opening.prepared.experiment;
    let (network, train) = (opening.network()?, opening.train_loader()?);
    let task = opening.prepared.goal(&network);
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
    let suggestion = steepest.map(|tried| [tried.rate, tried.smoothed]);
    match is_svg {
        true => write(&args.out, rates(title, &points, suggestion))?,
        false => write(&args.out, png(&rates_pixels(title, &points, suggestion))?)?,
    }

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
