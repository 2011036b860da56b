//! `kiln data anchors`.

use std::path::PathBuf;
use std::process::ExitCode;

use kiln_core::{Error, Letterbox, Letterboxing, Result};
use kiln_data::{Anchors, Dataset, Roots};
use rayon::prelude::*;
use serde_json::json;

use super::output::{Output, table, thousands, write};
use crate::report::anchors;
use crate::run::bar;

/// Find anchors for a detector in the boxes of a data set, and draw both
///
/// Example: kiln data anchors shapes --k 5 --size 416
#[derive(clap::Args)]
pub struct Args {
    /// A name or a path
    data: String,
    /// How many
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=100))]
    k: u16,
    /// Which part of it
    #[arg(long)]
    split: Option<String>,
    /// Side of the square that the network sees, in pixels: each image is scaled into it. Left out, boxes are measured in the
    /// pixels of their images
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(1..))]
    size: Option<u16>,
    /// Another seed may find others that fit as well
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The picture
    #[arg(long, value_name = "FILE", default_value = "anchors.svg")]
    out: PathBuf,
}

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let Args { data, k, split, size, seed, out } = args;
    let opened = kiln_data::open(&data, roots)?;
    let split = split.unwrap_or_else(|| opened.splits[0].0.clone());
    let images = opened.split(&split)?;
    let boxes = sizes(&*images, size.map(usize::from))?;
    if boxes.is_empty() {
        let message = format!("no image of {data}, {split}, has an object with a box");
        return Err(Error::input(message).hint("anchors need a data set for detection, as `shapes`"));
    }
    let found = Anchors::fit(&boxes, usize::from(k), seed)?;

    let unit = match size {
        Some(size) => format!("pixels of images scaled into {size} x {size}"),
        None => "pixels of the images".to_string(),
    };
    let fit = format!("mean IoU {:.3}, best possible recall {:.1} %", found.mean_iou, 100.0 * found.recall);
    let title = format!("{k} anchors for {data}, {split}");
    write(&out, anchors(&title, &format!("{fit}; {unit}"), &boxes, &found.sizes))?;

    let rows: Vec<[String; 4]> = (found.sizes.iter().enumerate())
        .map(|(i, [width, height])| {
            let number = (i + 1).to_string();
            [number, format!("{width:.1}"), format!("{height:.1}"), format!("{:.2}", width / height)]
        })
        .collect();
    let lines = format!(
        "{}{fit}\n{} boxes of {} images, {unit}\npicture: {}",
        table(["anchor", "width", "height", "aspect"], &rows),
        thousands(boxes.len()),
        thousands(images.len()),
        out.display()
    );
    let object = json!({
        "data": data, "split": split, "images": images.len(), "boxes": boxes.len(), "size": size,
        "anchors": found.sizes, "mean_iou": found.mean_iou, "recall": found.recall, "picture": out,
    });
    output.answer(&lines, object);
    Ok(ExitCode::SUCCESS)
}

/// Width and height of the boxes of all objects; crowds, difficult objects and boxes without area are left out.
fn sizes(images: &dyn Dataset, side: Option<usize>) -> Result<Vec<[f64; 2]>> {
    let bar = bar(images.len() as u64, "{bar:24} {pos}/{len} images  {eta} left");
    let of_image = |index: usize| {
        let sample = images.get(index)?;
        bar.inc(1);
        let input = [sample.image.height() as usize, sample.image.width() as usize];
        let frame = side.map(|side| Letterbox::new(Letterboxing::Centred, input, [side; 2]));
        let objects = sample.truth.objects.iter().filter(|object| object.is_sought());
        let boxes = objects.map(|object| match frame {
            Some(frame) => frame.into_frame(&object.bounding_box),
            None => object.bounding_box,
        });
        let boxes = boxes.filter(|bounding_box| bounding_box.area() > 0.0);
        Ok(boxes.map(|b| [f64::from(b.width()), f64::from(b.height())]).collect())
    };
    // In the order of the images, whichever is read first.
    let sizes: Vec<Vec<[f64; 2]>> = (0..images.len()).into_par_iter().map(of_image).collect::<Result<_>>()?;
    bar.finish_and_clear();
    Ok(sizes.concat())
}
