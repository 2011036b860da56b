//! `kiln data view`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use kiln_core::{Error, Result, Truth};
use kiln_data::{ContactSheet, Dataset, Layout, Opened, Roots, Sample};
use serde_json::json;

use super::augment::{Augmentations, rows};
use super::output::{Output, thousands};
use crate::experiment::class_name;

/// Draw a contact sheet of a data set as a PNG, or of what augmentations do to it
///
/// Example: kiln data view shapes --boxes --out shapes.png
///
/// Example: kiln data view shapes --augment trivial-augment --augment mixup
#[derive(clap::Args)]
pub struct Args {
    /// A name or a path
    data: String,
    /// Which part of it
    #[arg(long)]
    split: Option<String>,
    /// How many images, picked evenly; 40, or with augmentations 3 of each
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=2000))]
    items: Option<u16>,
    /// Images a row
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=100))]
    columns: u16,
    /// Draw boxes, masks and keypoints too; those of a data set of boxes always are
    #[arg(long)]
    boxes: bool,
    /// Show an image as it is and what a transform makes of it: its name, or all of it as in "{ name = 'cutout', size = 16 }";
    /// or `mixup`, `cutmix`; `operations` are those of the policies from weak to strong, `all` is one of each
    #[arg(long, value_name = "WHAT")]
    augment: Vec<String>,
    /// Show what the training transforms and batches of an experiment make of the images
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The file to write
    #[arg(long, default_value = "contact-sheet.png")]
    out: PathBuf,
}

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let Args { data, split, items, columns, boxes, augment, config, out } = args;
    let shown = Augmentations::new(&augment, config.as_deref())?;
    let opened = kiln_data::open(&data, roots)?;
    let split = split.unwrap_or_else(|| opened.splits[0].0.clone());
    let images = opened.split(&split)?;
    let items = usize::from(items.unwrap_or(if shown.is_some() { 3 } else { 40 })).min(images.len());
    let columns = usize::from(columns);
    let samples = match &shown {
        Some(shown) => rows(shown, &images, &opened, items, columns)?,
        None => (0..items).map(|item| as_it_is(&*images, item, items, &opened)).collect::<Result<_>>()?,
    };
    let is_boxed = matches!(opened.layout, Layout::Coco | Layout::Voc | Layout::Yolo);
    let picture = ContactSheet::new(columns).with_overlay(boxes || is_boxed).draw(&samples);
    let part = out.with_extension("png.part");
    let saved = picture.save_with_format(&part, image::ImageFormat::Png);
    let saved = saved.map_err(|why| Error::input(format!("cannot be written: {why}")).file(&out));
    saved.and_then(|()| std::fs::rename(&part, &out).map_err(|why| Error::unwritable(&out, &why)))?;
    let line = format!("{items} of {} images of {data}, {split}: {}", thousands(images.len()), out.display());
    output.answer(&line, json!({"data": data, "split": split, "items": items, "file": out}));
    Ok(ExitCode::SUCCESS)
}

/// Lines under an image.
const MOST_LINES: usize = 4;

/// Number `item` of `items` images picked evenly, with the name of its class.
pub fn as_it_is(
    images: &dyn Dataset,
    item: usize,
    items: usize,
    opened: &Opened,
) -> Result<(Sample, String)> {
    let sample = images.get(item * images.len() / items)?;
    let label = named(&sample.truth, opened);
    Ok((sample, label))
}

/// The name of an image's class; where it has none, how many objects of which classes are in it, a line each.
pub fn named(truth: &Truth, opened: &Opened) -> String {
    if let Some(class) = truth.class {
        return class_name(&opened.classes, class);
    }
    let mut counts = BTreeMap::new();
    for object in &truth.objects {
        *counts.entry(object.class).or_insert(0) += 1;
    }
    let line = |(class, count): (&usize, &usize)| format!("{count} {}", class_name(&opened.classes, *class));
    let lines: Vec<String> = counts.iter().take(MOST_LINES).map(line).collect();
    lines.join("\n") + if counts.len() > MOST_LINES { " .." } else { "" }
}
