//! `kiln predict`.

mod drawings;
mod photographs;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use kiln_core::{Batches, ClassProbability, Error, Network, Result};
use kiln_data::{Loader, LoaderOptions, OnCorrupt};
use serde_json::{Value, json};

use super::network::{Loaded, NetworkArgs};
use super::output::Output;
use crate::evaluation::most_probable;
use crate::experiment::{Source, class_name, pipeline_of};
use crate::run::{RunFolder, bar};
use drawings::Drawings;
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
    /// Classes an image
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// Draw every image with its classes into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Images a batch
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: u16,
    /// Where to compute
    #[arg(long, default_value = "flex")]
    device: String,
}

pub fn run(mut args: Args, output: &Output) -> Result<ExitCode> {
    let photographs = Arc::new(Photographs::find(&args.images)?);
    let mut drawings = args.out.as_deref().map(|out| Drawings::new(out, &photographs)).transpose()?;
    let device = kiln_core::device(&args.device)?;
    if let Some(run) = &args.run {
        let run = RunFolder::open(run)?;
        args.network.model = Some(Source::read(&run.file("resolved.json"))?.typed()?.model.name);
        args.network.weights = Some(run.file("best.safetensors"));
    }
    let Loaded { entry, network, preprocessing, .. } = args.network.load(&device)?;
    let options = LoaderOptions::in_order(args.batch_size.into(), OnCorrupt::Skip);
    let loader = Loader::new(photographs.clone(), pipeline_of(&preprocessing)?, options, device)?;

    let bar = bar(photographs.files().len() as u64, "{bar:24} {pos}/{len} images  {per_sec}  {eta} left");
    let (mut read, mut objects) = (0, Vec::new());
    for batch in loader.epoch(0, 0) {
        let batch = batch?;
        let ranked = most_probable(network.forward(batch.images).main, args.top.into());
        for (index, guesses) in batch.indices.into_iter().zip(ranked) {
            let file = &photographs.files()[index];
            let named: Vec<(String, f32)> = guesses
                .iter()
                .map(|g| (class_name(&preprocessing.classes, g.class), g.probability))
                .collect();
            let drawing = drawings.as_mut().map(|drawings| drawings.add(file, &named)).transpose()?;
            match output.json {
                true => objects.push(object(file, &guesses, &named, drawing.as_deref())),
                false => bar
                    .suspend(|| writeln!(std::io::stdout(), "{}", lines(file, &named)))
                    .map_err(|why| Error::failure(format!("standard output: {why}")))?,
            }
            read += 1;
            bar.set_position(index as u64 + 1);
        }
    }
    bar.finish_and_clear();

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

fn object(
    file: &Path,
    guesses: &[ClassProbability],
    named: &[(String, f32)],
    drawing: Option<&Path>,
) -> Value {
    let classes: Vec<Value> = (guesses.iter().zip(named))
        .map(|(guess, (name, probability))| json!({"name": name, "class": guess.class, "probability": probability}))
        .collect();
    json!({"file": file, "classes": classes, "drawing": drawing})
}

fn lines(file: &Path, named: &[(String, f32)]) -> String {
    let line = |(name, probability): &(String, f32)| format!("\n  {:5.1} %  {name}", probability * 100.0);
    format!("{}{}", file.display(), named.iter().map(line).collect::<String>())
}
