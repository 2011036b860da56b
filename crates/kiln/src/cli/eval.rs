//! `kiln eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::Device;
use kiln_core::{Error, Result, Score};
use kiln_data::{LoaderOptions, OnCorrupt, Opened, Roots};
use kiln_tasks::{ClassificationScore, DetectionScore, SegmentationScore};
use kiln_zoo::{Entry, Kind, Model, StateDict};
use serde_json::{Map, Value, json};

use super::network::{Loaded, NetworkArgs};
use super::output::{Output, table, thousands, write};
use super::shown::ShownArgs;
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
    /// The average precision of each class too; of a segmenter the intersection over union
    #[arg(long)]
    per_class: bool,
    /// Write what a detector finds into a file, as COCO's list of results
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Images a batch; 100 for classifiers and 8 for detectors if left out
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
    if !matches!(goal, Goal::Detection(_)) {
        args.shown.check_none(entry)?;
        if args.results.is_some() {
            return Err(Error::input(format!(
                "`--results` is for detectors, and {name} is a {}",
                entry.kind()
            )));
        }
    }
    let batch_size = args.batch_size.unwrap_or(usual);
    let options = LoaderOptions::in_order(batch_size.into(), OnCorrupt::Error);
    let bar = bar(images.0.len() as u64, "{bar:24} {pos}/{len} images  {per_sec}  {eta} left");
    let seen = |done| bar.set_position(done as u64);
    let evaluation = evaluate(model, goal, images.clone(), options, &device, seen)?;
    bar.finish_and_clear();
    if let (Some(file), Evaluation::Objects { found, .. }) = (&args.results, &evaluation) {
        let images = found.iter().map(|one| (images.0.origin(one.index), one.index, &one.detections[..]));
        write(file, coco::results(images, &candidate.classes))?;
    }
    let (lines, mut object) = match &evaluation {
        Evaluation::Classes { score, .. } => of_classes(&candidate, score),
        Evaluation::Objects { score, .. } => of_objects(&candidate, score, &evaluation, args.per_class),
        Evaluation::Labels { score, .. } => of_labels(&candidate, score, &evaluation, args.per_class),
    };
    let Candidate { data, split, .. } = &candidate;
    object.extend([
        ("model".to_string(), json!(name)),
        ("data".to_string(), json!(data)),
        ("split".to_string(), json!(split)),
        ("items".to_string(), json!(evaluation.items())),
    ]);
    output.answer(&lines, Value::Object(object));
    Ok(ExitCode::SUCCESS)
}

/// What is said of a classifier.
fn of_classes(of: &Candidate, score: &ClassificationScore) -> (String, Map<String, Value>) {
    let right = score.confusion().rows().enumerate().map(|(class, row)| row[class]).sum::<u64>();
    let mut lines = format!(
        "{} on {}, {}: {} of {} right",
        of.entry.name,
        of.data,
        of.split,
        thousands(right as usize),
        thousands(score.items() as usize)
    );
    let figures = score.figures();
    for (name, value) in &figures {
        lines.push_str(&format!("  {name} {:.2} %", value * 100.0));
    }
    let scores: Map<_, _> = figures.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
    (lines, Map::from_iter([("right".to_string(), json!(right)), ("scores".to_string(), json!(scores))]))
}

/// What is said of a detector.
fn of_objects(
    of: &Candidate,
    score: &DetectionScore,
    evaluation: &Evaluation,
    per_class: bool,
) -> (String, Map<String, Value>) {
    let summary = score.precision().summary();
    let mut lines =
        format!("{} on {}, {}: {} images\n", of.entry.name, of.data, of.split, evaluation.items());
    let mut scores = Map::new();
    for (figure, value) in summary.figures() {
        let value = value.unwrap_or(-1.0);
        lines += &format!(" {figure} = {value:.4}\n");
        scores.insert(figure.name.into(), value.into());
    }
    let classes = || summary.per_class().enumerate();
    let named = |class: usize| class_name(&of.classes, class);
    if per_class {
        let row = |(class, ap): (usize, Option<f64>)| {
            [named(class), ap.map_or("-".to_string(), |ap| format!("{ap:.4}"))]
        };
        lines += &format!("\n{}", table(["class", "AP"], &classes().map(row).collect::<Vec<_>>()));
    }
    let per_class: Map<_, _> = classes().map(|(class, ap)| (named(class), json!(ap))).collect();
    let object = [("scores".to_string(), scores.into()), ("per_class_AP".to_string(), per_class.into())];
    (lines, Map::from_iter(object))
}

/// What is said of a segmenter.
fn of_labels(
    of: &Candidate,
    score: &SegmentationScore,
    evaluation: &Evaluation,
    per_class: bool,
) -> (String, Map<String, Value>) {
    let Candidate { entry, data, split, .. } = of;
    let mut lines = format!("{} on {data}, {split}: {} images", entry.name, evaluation.items());
    let figures = score.figures();
    for (name, value) in &figures {
        lines.push_str(&format!("  {name} {:.2} %", value * 100.0));
    }
    let classes = || score.iou_of_classes().into_iter().enumerate();
    let named = |class: usize| class_name(&of.classes, class);
    if per_class {
        let row = |(class, iou): (usize, Option<f64>)| {
            [named(class), iou.map_or("-".to_string(), |iou| format!("{:.2}", iou * 100.0))]
        };
        lines += &format!("\n\n{}", table(["class", "IoU %"], &classes().map(row).collect::<Vec<_>>()));
    }
    let scores: Map<_, _> = figures.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
    let per_class: Map<_, _> = classes().map(|(class, iou)| (named(class), json!(iou))).collect();
    let object = [("scores".to_string(), scores.into()), ("per_class_IoU".to_string(), per_class.into())];
    (lines, Map::from_iter(object))
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
    let split = args.split.clone().unwrap_or_else(|| usual_split(&opened));
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

fn usual_split(opened: &Opened) -> String {
    let has = |name: &&str| opened.splits.iter().any(|(split, _)| split == name);
    let usual = ["test", "val", "val2017", "all", "train", "train2017"].into_iter().find(has);
    usual.unwrap_or("test").to_string()
}
