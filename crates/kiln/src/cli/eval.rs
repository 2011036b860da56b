//! `kiln eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::Device;
use kiln_core::{Error, Result, Score};
use kiln_data::{LoaderOptions, OnCorrupt, Roots};
use kiln_tasks::{ClassificationScore, DetectionScore, SegmentationScore};
use kiln_zoo::{Entry, Kind, Model, StateDict};
use serde_json::{Map, Value, json};

use super::labelling::LabellingArgs;
use super::network::{Loaded, NetworkArgs};
use super::output::{Output, table, thousands, write};
use super::shown::{ShownArgs, only_for};
use crate::coco;
use crate::evaluation::{Evaluation, evaluate};
use crate::experiment::{DetectionPlan, Images, Prepared, Source, class_name, pipeline_of};
use crate::goal::Goal;
use crate::run::{RunFolder, bar};

/// Score a trained run, or any weight file on any data set
///
/// Example: kiln eval --model cifar10-resnet20 --weights resnet20.th --data cifar10 --split test
#[derive(clap::Args)]
pub struct Args {
    /// A run's folder: its best weights on its test split
    #[arg(conflicts_with_all = ["model", "weights", "data", "partial", "num_classes", "size", "narrower"])]
    run: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgs,
    /// A data set: a name or a path
    #[arg(long, required_unless_present = "run")]
    data: Option<String>,
    /// Which part of the data set
    #[arg(long)]
    split: Option<String>,
    #[command(flatten)]
    shown: ShownArgs,
    #[command(flatten)]
    labelling: LabellingArgs,
    /// The average precision of each class too; of a segmenter the intersection over union
    #[arg(long)]
    per_class: bool,
    /// Write what a detector finds into a file, as COCO's list of results
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Images a batch; 100 for classifiers, 8 for detectors and 1 for segmenters if left out
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: Option<u16>,
    /// Where to compute
    #[arg(long, default_value = "flex")]
    device: String,
}

/// What is scored on what.
struct Candidate {
    entry: Entry,
    data: String,
    split: String,
    model: Model,
    goal: Goal,
    images: Images,
    classes: Vec<String>,
}

impl Candidate {
    /// `resnet18 on cifar10, test`
    fn name(&self) -> String {
        format!("{} on {}, {}", self.entry.name, self.data, self.split)
    }
}

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let device = kiln_core::device(&args.device)?;
    let candidate = match &args.run {
        Some(run) => of_run(run, &args, roots, &device)?,
        None => of_weights(&args, roots, &device)?,
    };
    let Candidate { entry, model, goal, images, .. } = &candidate;
    let name = &entry.name;
    let usual = match goal {
        Goal::Classification(_) if args.per_class => {
            return Err(Error::input(format!("`--per-class` is not for {name}, which is a classifier")));
        }
        Goal::Classification(_) => 100,
        Goal::Detection(_) => 8,
        // Whole images are of many sizes, and a batch is of one.
        Goal::Segmentation(_) => 1,
    };
    args.shown.check_none(entry)?;
    let labelling = args.labelling.labelling(entry)?;
    only_for(Kind::Detector, entry, &[("--results", args.results.is_some())])?;
    let batch_size = args.batch_size.unwrap_or(usual);
    let options = LoaderOptions::in_order(batch_size.into(), OnCorrupt::Error);
    let bar = bar(images.0.len() as u64, "{bar:24} {pos}/{len} images  {per_sec}  {eta} left");
    let seen = |done| bar.set_position(done as u64);
    let forward = |batch| labelling.forward(model, batch, &images.1);
    let evaluation = evaluate(forward, goal, images.clone(), options, &device, seen)?;
    bar.finish_and_clear();
    if let (Some(file), Evaluation::Objects { found, .. }) = (&args.results, &evaluation) {
        let images = found.iter().map(|one| (images.0.origin(one.index), one.index, &one.detections[..]));
        write(file, coco::results(images, &candidate.classes))?;
    }
    let items = evaluation.items();
    let (mut lines, mut object) = match &evaluation {
        Evaluation::Classes { score, .. } => of_classes(&candidate, score),
        Evaluation::Objects { score, .. } => of_objects(&candidate, score, items),
        Evaluation::Labels { score, .. } => of_labels(&candidate, score, items),
    };
    let of_each = match &evaluation {
        Evaluation::Classes { .. } => None,
        Evaluation::Objects { score, .. } => Some(("AP", score.precision().summary().per_class().collect())),
        Evaluation::Labels { score, .. } => Some(("IoU", score.iou_of_classes())),
    };
    if let Some((name, figures)) = of_each {
        let (table, figures) = by_class(&candidate, name, figures, args.per_class);
        lines += &table;
        object.insert(format!("per_class_{name}"), figures);
    }
    let Candidate { data, split, .. } = &candidate;
    object.extend([
        ("model".to_string(), json!(name)),
        ("data".to_string(), json!(data)),
        ("split".to_string(), json!(split)),
        ("items".to_string(), json!(items)),
    ]);
    output.answer(&lines, Value::Object(object));
    Ok(ExitCode::SUCCESS)
}

/// What is said of a classifier.
fn of_classes(of: &Candidate, score: &ClassificationScore) -> (String, Map<String, Value>) {
    let right: u64 = score.confusion().right().iter().sum();
    let counted = format!("{} of {} right", thousands(right as usize), thousands(score.items() as usize));
    let (figures, mut object) = told(&score.figures());
    object.insert("right".to_string(), json!(right));
    (format!("{}: {counted}{figures}", of.name()), object)
}

/// What is said of a detector: COCO's figures.
fn of_objects(of: &Candidate, score: &DetectionScore, items: usize) -> (String, Map<String, Value>) {
    let summary = score.precision().summary();
    let mut lines = format!("{}: {items} images\n", of.name());
    let mut scores = Map::new();
    for (figure, value) in summary.figures() {
        let value = value.unwrap_or(-1.0);
        lines += &format!(" {figure} = {value:.4}\n");
        scores.insert(figure.name.into(), value.into());
    }
    (lines, Map::from_iter([("scores".to_string(), scores.into())]))
}

/// What is said of a segmenter.
fn of_labels(of: &Candidate, score: &SegmentationScore, items: usize) -> (String, Map<String, Value>) {
    let (figures, object) = told(&score.figures());
    (format!("{}: {items} images{figures}\n", of.name()), object)
}

/// Figures in percent, and as they are.
fn told(figures: &[(&str, f64)]) -> (String, Map<String, Value>) {
    let shown = figures.iter().map(|(name, value)| format!("  {name} {:.2} %", value * 100.0)).collect();
    let scores: Map<_, _> = figures.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
    (shown, Map::from_iter([("scores".to_string(), scores.into())]))
}

/// A figure of each class: as a table if it is asked for, and for machines.
fn by_class(of: &Candidate, name: &str, figures: Vec<Option<f64>>, shown: bool) -> (String, Value) {
    let rows = || figures.iter().enumerate().map(|(class, figure)| (class_name(&of.classes, class), *figure));
    let row = |(class, figure): (String, Option<f64>)| {
        [class, figure.map_or("-".to_string(), |figure| format!("{figure:.4}"))]
    };
    let table = match shown {
        true => format!("\n{}", table(["class", name], &rows().map(row).collect::<Vec<_>>())),
        false => String::new(),
    };
    (table, rows().map(|(class, figure)| (class, json!(figure))).collect::<Map<_, _>>().into())
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
    let model = prepared.entry.model(prepared.classes.len(), device);
    let model = kiln_zoo::load(model, &prepared.entry, StateDict::read(&file)?, &file)?;
    let selection = args.shown.selection(prepared.experiment.detection.unwrap_or_default().into());
    let data = &prepared.experiment.data;
    Ok(Candidate {
        data: data.name.clone(),
        split: data.test_split.clone(),
        goal: Goal::of(&model, prepared.classes.len(), selection),
        model,
        entry: prepared.entry,
        images: prepared.test,
        classes: prepared.classes,
    })
}

fn of_weights(args: &Args, roots: &Roots, device: &Device) -> Result<Candidate> {
    let Some(data) = &args.data else {
        return Err(Error::input("`--model`, `--weights` and `--data` belong together"));
    };
    let Loaded { entry, network, classes, preprocessing } = args.network.load(device)?;
    let opened = kiln_data::open(data, roots)?;
    let opened = if entry.kind() == Kind::Segmenter { opened.labelled()? } else { opened };
    let usual = || opened.first_split(&["test", "val", "all", "train"]).unwrap_or("test").to_string();
    let split = args.split.clone().unwrap_or_else(usual);
    let images = opened.split(&split)?;
    if classes < opened.classes.len() {
        let message =
            format!("{} tells {classes} classes apart, `{data}` has {}", entry.name, opened.classes.len());
        return Err(Error::input(message).hint("name another data set with `--data`"));
    }
    let selection = args.shown.selection(DetectionPlan::default().into());
    Ok(Candidate {
        data: data.clone(),
        split,
        goal: Goal::of(&network, classes, selection),
        model: network,
        images: (images, pipeline_of(&preprocessing)?),
        classes: if preprocessing.classes.is_empty() { opened.classes } else { preprocessing.classes },
        entry,
    })
}
