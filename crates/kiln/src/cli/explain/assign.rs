//! `kiln explain assign`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use burn::tensor::{Tensor, TensorData};
use kiln_core::{Error, Network, Result};
use kiln_data::Roots;
use kiln_tasks::{Assignment, DetectionLoss, assignments, learned};
use kiln_zoo::{Model, StateDict};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::panels::{Grid, Panels, Shown};
use crate::cli::network::filled;
use crate::cli::output::{Output, png, table, write};
use crate::experiment::{class_name, pipeline_of, takes};
use crate::goal::loss_of;

/// Draw which cells and anchors of a detector learn which object of an image, level by level
///
/// Example: kiln explain assign --model yolov3 --data shapes --index 3
#[derive(clap::Args)]
pub struct Args {
    /// A detector of `kiln models`, or a Darknet cfg
    #[arg(long)]
    model: String,
    /// A weight file, for versions that choose by what they predict; left out, its weights are fresh
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// A name or a path
    #[arg(long)]
    data: String,
    /// Which part of it
    #[arg(long)]
    split: Option<String>,
    /// Which image of it
    #[arg(long, default_value_t = 0)]
    index: usize,
    /// Side of the network's input in pixels, in place of its usual one
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=16384))]
    size: Option<u32>,
    /// The picture
    #[arg(long, value_name = "FILE", default_value = "assign.png")]
    out: PathBuf,
}

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let Args { model, weights, data, split, index, size, out } = args;
    let entry = kiln_zoo::find_or_read(&model)?;
    if entry.kind() != kiln_zoo::Kind::Detector {
        let error =
            Error::input(format!("{model} is a {}: it learns no boxes", entry.kind())).place("--model");
        return Err(error.hint("`kiln models` lists the detectors"));
    }
    let opened = kiln_data::open(&data, roots)?;
    let split = split.unwrap_or_else(|| opened.splits[0].0.clone());
    let images = opened.split(&split)?;
    if index >= images.len() {
        let error = Error::input(format!("{data}, {split}, has {} images", images.len())).place("--index");
        return Err(error.hint("images are counted from 0"));
    }

    let device = kiln_core::device("flex")?;
    let classes = opened.classes.len();
    let dict = weights.as_deref().map(StateDict::read).transpose()?;
    let file = weights.as_deref().unwrap_or(Path::new(""));
    let mut preprocessing = entry.preprocessing(&dict.clone().unwrap_or_default(), file);
    preprocessing.size = size.map_or(preprocessing.size, |size| size as usize);
    takes(&entry, classes, [preprocessing.size; 2], false)?;
    let fresh = dict.is_none();
    let network = match dict {
        Some(dict) => filled(&entry, dict, classes, file, &device)?,
        None => entry.model(classes, &device),
    };
    let Model::Detector(detector) = network else { unreachable!("all others were refused above") };
    let loss = loss_of(&detector);
    let by_predictions = matches!(loss, DetectionLoss::YoloV1 | DetectionLoss::YoloV8);
    if fresh && by_predictions {
        eprintln!("note: {model} chooses by what it predicts, and its weights are fresh; give `--weights`");
    }

    let pipeline = pipeline_of(&preprocessing)?;
    // Nothing of it is random.
    let ready = pipeline.prepare(images.get(index)?, &mut ChaCha8Rng::seed_from_u64(0))?;
    let picture = pipeline.picture(&ready.numbers, ready.size);
    let [height, width] = ready.size;
    let pixels = Tensor::<4>::from_data(TensorData::new(ready.numbers, [1, 3, height, width]), &device);
    let predictions = detector.forward(pixels);
    let found = assignments(loss, &predictions, std::slice::from_ref(&ready.truth)).remove(0);

    let grids: Vec<Grid> = predictions.levels.iter().map(Grid::of).collect();
    let shown: Vec<Shown> = learned(&ready.truth)
        .map(|(at, object)| Shown {
            name: class_name(&opened.classes, object.class),
            bounding_box: object.bounding_box,
            places: found.iter().filter(|one| one.object == at).map(|one: &Assignment| one.place).collect(),
        })
        .collect();
    let origin = images.origin(index);
    let title = format!("{model}: {} objects of {origin}, {width} x {height} pixels", shown.len());
    let note = if fresh && by_predictions { " (fresh weights)" } else { "" };
    let panels = Panels { title: format!("{title}{note}"), image: picture, grids, objects: shown };
    write(&out, png(&panels.draw())?)?;

    let Panels { grids, objects, .. } = &panels;
    let rows: Vec<[String; 4]> = (objects.iter().zip(1..))
        .map(|(object, number)| {
            let [_, _, width, height] = object.bounding_box.xywh();
            let counts = object.counts(grids.len()).map(|count| count.to_string());
            [
                number.to_string(),
                object.name.clone(),
                format!("{width:.0} x {height:.0}"),
                counts.collect::<Vec<_>>().join(" + "),
            ]
        })
        .collect();
    let strides: Vec<String> = grids.iter().map(|grid| grid.stride.to_string()).collect();
    let lines = format!(
        "{title}\n{}predictions that learn it, by the strides {}\npicture: {}",
        table(["object", "class", "size", "predictions"], &rows),
        strides.join(", "),
        out.display()
    );
    let levels: Vec<Value> = grids
        .iter()
        .map(|grid| json!({"stride": grid.stride, "grid": grid.cells, "anchors": grid.anchors}))
        .collect();
    let listed: Vec<Value> = objects
        .iter()
        .map(|object| {
            let place = |place: &kiln_tasks::Place| {
                json!({"level": place.level, "anchor": place.anchor, "row": place.row, "column": place.column})
            };
            let places: Vec<Value> = object.places.iter().map(place).collect();
            json!({"name": object.name, "box": object.bounding_box.xyxy(), "predictions": places})
        })
        .collect();
    let answer = json!({
        "model": model, "data": data, "split": split, "image": origin, "size": [height, width],
        "fresh": fresh, "levels": levels, "objects": listed, "picture": out,
    });
    output.answer(&lines, answer);
    Ok(ExitCode::SUCCESS)
}
