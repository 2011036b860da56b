//! `kiln eval`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use kiln_core::{Error, Result, Score};
use kiln_data::{Dataset, Loader, LoaderOptions, OnCorrupt, Pipeline, Roots};
use kiln_zoo::{Classifier, Entry, StateDict};
use serde_json::{Map, json};

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
    #[arg(conflicts_with_all = ["model", "weights", "data"])]
    run: Option<PathBuf>,
    /// A name of `kiln models`
    #[arg(long, required_unless_present = "run")]
    model: Option<String>,
    /// A weight file: safetensors, .pt, .pth
    #[arg(long, required_unless_present = "run")]
    weights: Option<PathBuf>,
    /// A data set: a name or a path
    #[arg(long, required_unless_present = "run")]
    data: Option<String>,
    /// Which part of the data set
    #[arg(long)]
    split: Option<String>,
    /// Mean of red, green and blue (0 to 1), in place of the weight file's
    #[arg(long, value_name = "R,G,B", value_parser = three)]
    mean: Option<[f32; 3]>,
    /// Standard deviation of red, green and blue, in place of the weight file's
    #[arg(long, value_name = "R,G,B", value_parser = three)]
    std: Option<[f32; 3]>,
    /// Side of the network's input in pixels, in place of the weight file's
    #[arg(long)]
    size: Option<usize>,
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
    let options = LoaderOptions {
        batch_size: args.batch_size.into(),
        seed: 0,
        shuffle: false,
        drop_last: false,
        workers: 2,
        on_corrupt: OnCorrupt::Error,
    };
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

fn of_run(path: &PathBuf, args: &Args, roots: &Roots, device: &burn::tensor::Device) -> Result<Candidate> {
    let run = RunFolder::open(path)?;
    let mut source = Source::read(&run.file("resolved.json"))?;
    if let Some(split) = &args.split {
        source.set(&format!("data.test_split={split}"))?;
        source.unset("data.test_items");
    }
    for (key, value) in [("mean", args.mean), ("std", args.std)] {
        if let Some([r, g, b]) = value {
            source.set(&format!("data.{key}=[{r:?}, {g:?}, {b:?}]"))?;
        }
    }
    if args.size.is_some() {
        return Err(Error::input("a run has its own image size").hint("leave out `--size`"));
    }
    let prepared = Prepared::new(&source, roots)?;
    let file = run.file("best.safetensors");
    let classes = prepared.classes.len();
    let network = filled(prepared.entry, classes, StateDict::read(&file)?, &file, device)?;
    let (images, pipeline) = prepared.test;
    let data = prepared.experiment.data;
    Ok(Candidate {
        model: prepared.entry.name.into(),
        data: data.name,
        split: data.test_split,
        network,
        images,
        pipeline,
        classes,
    })
}

fn of_weights(args: &Args, roots: &Roots, device: &burn::tensor::Device) -> Result<Candidate> {
    let (Some(model), Some(weights), Some(data)) = (&args.model, &args.weights, &args.data) else {
        return Err(Error::input("`--model`, `--weights` and `--data` belong together"));
    };
    let entry = kiln_zoo::find(model)?;
    let dict = StateDict::read(weights)?;
    let opened = kiln_data::open(data, roots)?;
    let has = |name: &&str| opened.splits.iter().any(|(split, _)| split == name);
    let usual = ["test", "val", "all", "train"].into_iter().find(has).unwrap_or("test");
    let split = args.split.clone().unwrap_or_else(|| usual.to_string());
    let images = opened.split(&split)?;
    let mut wanted = dict.preprocessing.clone().unwrap_or_else(|| entry.preprocessing());
    wanted.mean = args.mean.unwrap_or(wanted.mean);
    wanted.std = args.std.unwrap_or(wanted.std);
    if let Some(size) = args.size {
        wanted.resize = wanted.resize * size / wanted.size;
        wanted.size = size;
    }
    let classes = dict.classes(entry).unwrap_or(entry.num_classes());
    if classes < opened.classes.len() {
        let message = format!("tells {classes} classes apart, `{data}` has {}", opened.classes.len());
        return Err(Error::input(message).file(weights));
    }
    let network = filled(entry, classes, dict, weights, device)?;
    let (model, data) = (entry.name.to_string(), data.clone());
    Ok(Candidate { model, data, split, network, images, pipeline: pipeline_of(&wanted)?, classes })
}

fn filled(
    entry: &Entry,
    classes: usize,
    dict: StateDict,
    file: &std::path::Path,
    device: &burn::tensor::Device,
) -> Result<Classifier> {
    kiln_zoo::load(entry.init(classes, device), entry, dict, file)
}

/// `0.485,0.456,0.406`, or one number for all three.
fn three(text: &str) -> Result<[f32; 3], String> {
    let numbers: Result<Vec<f32>, _> = text.split(',').map(|number| number.trim().parse()).collect();
    match numbers.as_deref() {
        Ok([r, g, b]) => Ok([*r, *g, *b]),
        Ok([grey]) => Ok([*grey; 3]),
        _ => Err("three numbers are wanted, as in 0.485,0.456,0.406".to_string()),
    }
}
