//! `kiln eval`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use burn::tensor::Device;
use kiln_core::{Error, Result, Score};
use kiln_data::{Dataset, Loader, LoaderOptions, OnCorrupt, Pipeline, Roots};
use kiln_zoo::{Classifier, StateDict};
use serde_json::{Map, json};

use super::network::{Loaded, NetworkArgs};
use super::output::{Output, thousands};
use crate::evaluation::evaluate;
use crate::experiment::{Prepared, Source, pipeline_of};
use crate::run::{RunFolder, bar};

/// Score a trained run, or any weight file on any data set
///
/// Example: kiln eval --model cifar10-resnet20 --weights resnet20.th --data cifar10 --split test
#[derive(clap::Args)]
pub struct Args {
    /// A run's folder: its best weights on its test split
    #[arg(conflicts_with_all = ["model", "weights", "data", "partial", "num_classes", "size"])]
    run: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgs,
    /// A data set: a name or a path
    #[arg(long, required_unless_present = "run")]
    data: Option<String>,
    /// Which part of the data set
    #[arg(long)]
    split: Option<String>,
    /// Images a batch
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: u16,
    /// Where to compute
    #[arg(long, default_value = "flex")]
    device: String,
}

struct Candidate {
    model: String,
    data: String,
    split: String,
    network: Classifier,
    images: Arc<dyn Dataset>,
    pipeline: Pipeline,
    classes: usize,
}

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let device = kiln_core::device(&args.device)?;
    let candidate = match &args.run {
        Some(run) => of_run(run, &args, roots, &device)?,
        None => of_weights(&args, roots, &device)?,
    };
    let options = LoaderOptions::in_order(args.batch_size.into(), OnCorrupt::Error);
    let Candidate { model, data, split, network, images, pipeline, classes } = candidate;
    let bar = bar(images.len() as u64, "{bar:24} {pos}/{len} images  {per_sec}  {eta} left");
    let batches = Loader::new(images, pipeline, options, device)?;
    let evaluation = evaluate(&network, classes, &batches, |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();

    let score = &evaluation.score;
    let (items, figures) = (score.items(), score.figures());
    let right = score.confusion().rows().enumerate().map(|(class, row)| row[class]).sum::<u64>();
    let mut lines = format!(
        "{model} on {data}, {split}: {} of {} right",
        thousands(right as usize),
        thousands(items as usize)
    );
    for (name, value) in &figures {
        lines.push_str(&format!("  {name} {:.2} %", value * 100.0));
    }
    let scores: Map<_, _> = figures.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
    let object = json!({"model": model, "data": data, "split": split, "items": items, "right": right, "scores": scores});
    output.answer(&lines, object);
    Ok(ExitCode::SUCCESS)
}

fn of_run(path: &PathBuf, args: &Args, roots: &Roots, device: &Device) -> Result<Candidate> {
    let run = RunFolder::open(path)?;
    let mut source = Source::read(&run.file("resolved.json"))?;
    if let Some(split) = &args.split {
        source.set(&format!("data.test_split={split}"))?;
        source.unset("data.test_items");
    }
    for (key, value) in [("mean", args.network.mean), ("std", args.network.std)] {
        if let Some([r, g, b]) = value {
            source.set(&format!("data.{key}=[{r:?}, {g:?}, {b:?}]"))?;
        }
    }
    let prepared = Prepared::new(&source, roots)?;
    if let Some(absence) = prepared.absence {
        return Err(absence);
    }
    let file = run.file("best.safetensors");
    let classes = prepared.classes.len();
    let network = prepared.entry.init(classes, device);
    let network = kiln_zoo::load(network, &prepared.entry, StateDict::read(&file)?, &file)?;
    let (images, pipeline) = prepared.test;
    let data = prepared.experiment.data;
    Ok(Candidate {
        model: prepared.entry.name.to_string(),
        data: data.name,
        split: data.test_split,
        network,
        images,
        pipeline,
        classes,
    })
}

fn of_weights(args: &Args, roots: &Roots, device: &Device) -> Result<Candidate> {
    let Some(data) = &args.data else {
        return Err(Error::input("`--model`, `--weights` and `--data` belong together"));
    };
    let Loaded { entry, network, classes, preprocessing } = args.network.load(device)?;
    let opened = kiln_data::open(data, roots)?;
    let has = |name: &&str| opened.splits.iter().any(|(split, _)| split == name);
    let usual = ["test", "val", "all", "train"].into_iter().find(has).unwrap_or("test");
    let split = args.split.clone().unwrap_or_else(|| usual.to_string());
    let images = opened.split(&split)?;
    if classes < opened.classes.len() {
        let message =
            format!("{} tells {classes} classes apart, `{data}` has {}", entry.name, opened.classes.len());
        return Err(Error::input(message).hint("name another data set with `--data`"));
    }
    let (model, data) = (entry.name.to_string(), data.clone());
    Ok(Candidate { model, data, split, network, images, pipeline: pipeline_of(&preprocessing)?, classes })
}
