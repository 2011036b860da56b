//! `kiln predict`.

mod classes;
mod drawings;
mod features;
mod labels;
mod objects;
mod photographs;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use image::RgbImage;
use kiln_core::{Batches, Error, Result};
use kiln_data::{Loader, LoaderOptions, OnCorrupt};
use kiln_zoo::{Kind, Output as Said};
use serde_json::{Value, json};

use super::labelling::LabellingArgs;
use super::network::{Loaded, NetworkArgs};
use super::output::Output;
use super::shown::ShownArgs;
use crate::experiment::{Source, pipeline_of};
use crate::run::{RunFolder, bar};
use drawings::Drawings;
use features::Features;
use photographs::Photographs;

/// Say what photographs show
///
/// Example: kiln predict --model resnet18 --weights resnet18.pth photos/ --out drawn
#[derive(clap::Args)]
pub struct Args {
    /// Images: files, folders with all that is in them, quoted patterns as 'photos/**/*.jpg'
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// A run's folder, in place of `--model` and `--weights`: its model with its best weights
    #[arg(long, value_name = "DIR", conflicts_with_all = ["model", "weights"])]
    run: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgs,
    /// Classifiers: classes an image; 5 if left out
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    top: Option<u16>,
    /// Detectors: only objects of these classes, by name or number
    #[arg(long, value_name = "CLASS,…", value_delimiter = ',')]
    classes: Vec<String>,
    #[command(flatten)]
    shown: ShownArgs,
    #[command(flatten)]
    labelling: LabellingArgs,
    /// Draw every image with what it shows into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write what a layer or a module gives into the folder of `--out` as well: .npy, and maps as a picture
    #[arg(long, value_name = "LAYER", requires = "out")]
    features: Option<String>,
    /// Detectors: write what is found into a file, as COCO's list of results
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Images a batch; 32 for classifiers, 8 for detectors and 1 for segmenters if left out
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: Option<u16>,
    /// Where to compute
    #[arg(long, default_value = "flex")]
    device: String,
}

impl Args {
    /// What only classifiers have, and whether it was asked for.
    fn of_classifiers(&self) -> [(&'static str, bool); 1] {
        [("--top", self.top.is_some())]
    }

    /// What only detectors have.
    fn of_detectors(&self) -> [(&'static str, bool); 2] {
        [("--classes", !self.classes.is_empty()), ("--results", self.results.is_some())]
    }
}

/// What is said of one image.
struct Spoken<'a> {
    /// For people, a line a thing.
    lines: Vec<String>,
    /// For machines, an object a thing, and what they are called together.
    things: (&'static str, Vec<Value>),
    /// The image with what is said of it.
    draw: Box<dyn FnOnce(&RgbImage) -> RgbImage + 'a>,
}

/// A kind of model, and what it says of images: of their classes, their objects, their pixels.
trait Speaker {
    /// Of each image of a batch; `indices` are their places among all.
    fn say(&mut self, said: Said, indices: &[usize]) -> Vec<Spoken<'_>>;

    /// Once all is said.
    ///
    /// # Errors
    /// A file that cannot be written.
    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

pub fn run(mut args: Args, output: &Output) -> Result<ExitCode> {
    let photographs = Arc::new(Photographs::find(&args.images)?);
    let mut drawings = args.out.as_deref().map(|out| Drawings::new(out, &photographs)).transpose()?;
    let device = kiln_core::device(&args.device)?;
    if let Some(run) = &args.run {
        let run = RunFolder::open(run)?;
        let model = Source::read(&run.file("resolved.json"))?.typed()?.model;
        args.network.narrower = model.narrower.map(|times| times as u16);
        args.network.model = Some(model.name);
        args.network.weights = Some(run.file("best.safetensors"));
    }
    let Loaded { entry, network, preprocessing, .. } = args.network.load(&device)?;
    let pipeline = pipeline_of(&preprocessing)?;
    let (mut speaker, usual): (Box<dyn Speaker>, u16) = match entry.kind() {
        Kind::Classifier => (Box::new(classes::Namer::new(&args, &entry, &preprocessing)?), 32),
        // Whole images are of many sizes, and a batch is of one.
        Kind::Segmenter => {
            (Box::new(labels::Labeller::new(&args, &entry, &preprocessing, photographs.clone())?), 1)
        }
        Kind::Detector => {
            let sizes = photographs.clone();
            (Box::new(objects::Finder::new(&args, &entry, &preprocessing, &pipeline, sizes)?), 8)
        }
    };
    let labelling = args.labelling.labelling(&entry)?;
    let batch_size = args.batch_size.unwrap_or(usual).into();
    let options = LoaderOptions::in_order(batch_size, OnCorrupt::Skip);
    let loader = Loader::new(photographs.clone(), pipeline.clone(), options, device)?;

    let features = args.features.as_deref().zip(args.out.as_deref());
    let mut features = features.map(|(layer, out)| Features::new(&network, layer, out));
    let bar = bar(photographs.files().len() as u64, "{bar:24} {pos}/{len} images  {per_sec}  {eta} left");
    let (mut read, mut objects) = (0, Vec::new());
    for batch in loader.epoch(0, 0) {
        let batch = batch?;
        let images = features.as_ref().map(|_| batch.images.clone());
        let spoken = speaker.say(labelling.forward(&network, batch.images, &pipeline), &batch.indices);
        let mut drawn: Vec<String> = Vec::new();
        for (index, Spoken { lines, things: (key, things), draw }) in batch.indices.iter().zip(spoken) {
            let file = &photographs.files()[*index];
            let drawing = drawings.as_mut().map(|drawings| drawings.add(file, draw)).transpose()?;
            let stem = drawing.as_ref().and_then(|drawing| drawing.file_stem());
            drawn.extend(stem.map(|stem| stem.to_string_lossy().into_owned()));
            match output.json {
                true => objects.push(json!({"file": file, key: things, "drawing": drawing})),
                false => {
                    let lines: String = lines.iter().map(|line| format!("\n  {line}")).collect();
                    bar.suspend(|| writeln!(std::io::stdout(), "{}{lines}", file.display()))
                        .map_err(|why| Error::failure(format!("standard output: {why}")))?;
                }
            }
            read += 1;
            bar.set_position(*index as u64 + 1);
        }
        if let (Some(features), Some(images)) = (&mut features, images) {
            features.write(images, &drawn)?;
        }
    }
    bar.finish_and_clear();
    speaker.end()?;

    let unreadable = told(&photographs, read)?;
    if output.json {
        let skipped: Vec<Value> = (unreadable.iter())
            .map(|error| json!({"file": error.file_named(), "message": error.message()}))
            .collect();
        output.answer("", json!({"model": entry.name, "images": objects, "skipped": skipped}));
    }
    Ok(ExitCode::SUCCESS)
}

/// What could not be read, said on standard error.
///
/// # Errors
/// Nothing could.
fn told(photographs: &Photographs, read: usize) -> Result<Vec<Error>> {
    let unreadable = photographs.unreadable();
    if let (0, [error]) = (read, unreadable.as_slice()) {
        return Err(error.clone());
    }
    for error in &unreadable {
        eprintln!("skipped {error}");
    }
    match (read, unreadable.len()) {
        (_, 0) => {}
        (0, skipped) => return Err(Error::input(format!("none of the {skipped} images can be read"))),
        (_, skipped) => eprintln!("{skipped} of {} images skipped", photographs.files().len()),
    }
    Ok(unreadable)
}
