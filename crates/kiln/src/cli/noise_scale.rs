//! `kiln noise-scale`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use kiln_core::{Error, Result};
use kiln_data::Roots;
use kiln_train::{Estimate, GradientNoise, NoiseProbe};
use kiln_zoo::{Model, StateDict};
use serde_json::{Value, json};

use super::opening::{Chosen, Opening};
use super::output::{Output, thousands};
use crate::run::{RunFolder, bar};

/// Measure the gradient noise scale (McCandlish et al. 2018): how large a batch pays
///
/// Of the weights that an experiment begins with, or that a run ended with. Weights stay as they are; it takes as long as so many
/// training steps. Augmentation and dropout are drawn as in training. Batch normalization goes by each batch, as in training, so
/// that the noise is that of batches of train.batch_size; running statistics play no part. Example: kiln noise-scale --run
/// runs/quickstart-…
#[derive(clap::Args)]
pub struct Args {
    /// An experiment file; its own rate and schedule do not matter
    #[arg(required_unless_present = "run", conflicts_with = "run")]
    config: Option<PathBuf>,
    /// A run's folder: its last weights on its own data
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    #[command(flatten)]
    chosen: Chosen,
    /// Batches whose gradients are compared
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(4..))]
    batches: u32,
}

/// Groups of batches, as many as the batches allow: each is a large batch, and their differences tell the error.
const GROUPS: usize = 10;

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let run = args.run.as_ref().map(RunFolder::open).transpose()?;
    let config = match (&run, &args.config) {
        (Some(run), _) => run.file("resolved.json"),
        (None, Some(config)) => config.clone(),
        (None, None) => return Err(Error::input("neither an experiment nor a run is named")),
    };
    let opening = args.chosen.open(args.chosen.read(&config)?, roots)?;
    opening.image_size()?;
    let network = match &run {
        Some(run) => ended_with(run, &opening)?,
        None => opening.network()?,
    };
    let plan = &opening.prepared.experiment;
    let batches = args.batches as usize;
    let groups = GROUPS.min(batches / 2);
    let probe = NoiseProbe { group: batches / groups, groups, seed: plan.seed };
    let bar = bar((probe.group * groups) as u64, "{bar:24} {pos}/{len} batches  {eta} left");
    let (task, train) = (opening.prepared.goal(&network), opening.train_loader()?);
    let watch = |done| bar.set_position(done as u64);
    let noise = probe.measure(network, &plan.optimizer, &task, &train, watch)?;
    bar.finish_and_clear();

    let of = match &run {
        Some(run) => format!("the last weights of {}", run.path().display()),
        None => format!("{} as {} begins", plan.model.name, config.display()),
    };
    let step = plan.train.batch_size * plan.train.recipe.accumulate;
    let measured =
        format!("{of}: {} groups of {} batches of {} images", groups, probe.group, plan.train.batch_size);
    output.answer(&format!("{measured}\n{}", told(&noise, step, batches)), object(&noise, step, &probe));
    Ok(ExitCode::SUCCESS)
}

/// The network with the weights of a run's last epoch.
fn ended_with(run: &RunFolder, opening: &Opening) -> Result<Model> {
    let file = run.file("last.safetensors");
    if !file.exists() {
        let error = Error::input("there are no weights: the run has not finished an epoch").file(&file);
        return Err(error.hint("go on with it, or measure the experiment itself"));
    }
    let weights = StateDict::read(&file)?;
    kiln_zoo::load(opening.fresh(), &opening.prepared.entry, weights, Path::new(&file))
}

/// The share of the steps that is left with twice the batch: steps go with 1 + B_noise / B (Equation 2.10).
fn left_by_doubling(scale: f64, step: usize) -> f64 {
    let ratio = scale / step as f64;
    (1.0 + ratio / 2.0) / (1.0 + ratio)
}

/// What was measured, for people.
fn told(noise: &GradientNoise, step: usize, batches: usize) -> String {
    let shown = |Estimate { value, error }: Estimate| format!("{} ± {}", figures(value), figures(error));
    let parts = format!("|G|² {}, tr(Σ) {}", shown(noise.signal()), shown(noise.noise()));
    let Some(scale) = noise.scale() else {
        return format!(
            "{parts}\nthe gradient drowns in its noise: |G|² is not told from 0; give more than {batches} `--batches`, or larger ones"
        );
    };
    let images = |value: f64| match value < 10.0 {
        true => format!("{value:.1}"),
        false => thousands(value.round() as usize),
    };
    format!(
        "gradient noise scale: {} ± {} images; {parts}\nthat is about the critical batch: far below it twice the batch nearly halves \
         the steps, far above it saves none; twice this experiment's {} images a step would need {:.0} % of the steps",
        images(scale.value),
        images(scale.error),
        thousands(step),
        100.0 * left_by_doubling(scale.value, step)
    )
}

/// Three figures of a number.
fn figures(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_string(),
        size if (1e-3..1e6).contains(&size) => {
            let digits = (2.0 - size.log10().floor()).max(0.0) as usize;
            format!("{value:.digits$}")
        }
        _ => format!("{value:.2e}"),
    }
}

/// What was measured, for machines.
fn object(noise: &GradientNoise, step: usize, probe: &NoiseProbe) -> Value {
    let estimate = |Estimate { value, error }: Estimate| json!({"value": value, "error": error});
    let scale = noise.scale();
    json!({
        "noise_scale": scale.map(estimate), "signal": estimate(noise.signal()), "noise": estimate(noise.noise()),
        "images_a_step": step, "batches": probe.group * probe.groups, "groups": probe.groups,
        "steps_left_by_doubling": scale.map(|scale| left_by_doubling(scale.value, step)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_figures() {
        assert_eq!(
            [0.0, 12.345, -0.012345, 1234.5, 2e-7].map(figures),
            ["0", "12.3", "-0.0123", "1234", "2.00e-7"]
        );
    }

    #[test]
    fn doubling_halves_the_steps_below_the_critical_batch_and_saves_none_above() {
        // 1 + 1 / 2 of 1 + 1 at the critical batch itself.
        assert_eq!(left_by_doubling(64.0, 64), 0.75);
        assert!((left_by_doubling(1e6, 1) - 0.5).abs() < 1e-5);
        assert!((left_by_doubling(1.0, 1_000_000) - 1.0).abs() < 1e-5);
    }
}
