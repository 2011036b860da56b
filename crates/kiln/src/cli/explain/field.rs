//! `kiln explain field`.

use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::{Distribution, Tensor};
use kiln_core::{Error, Result};
use kiln_data::Roots;
use kiln_graph::{Graph, Node, Weights};
use serde_json::json;

use crate::cli::output::{Output, png, write};
use crate::cli::pictures::framed;
use crate::cli::subject::Subject;
use crate::cli::summary::{Size, size};
use crate::recorded;

/// Draw what one number of a layer sees of an image: all that it can, as a frame, and how much of it matters, measured
///
/// Gradients go back through the model itself, from all channels at one place to the pixels of images of noise, and their sizes are
/// averaged (Luo and others 2016). Example: kiln explain field resnet18 --weights resnet18.pth --layer layer3
#[derive(clap::Args)]
pub struct Args {
    /// A name of `kiln models`, a Darknet .cfg, an experiment's .toml, or a run's folder
    model: String,
    /// A weight file; left out, a run's best weights, or fresh ones
    #[arg(long)]
    weights: Option<PathBuf>,
    /// A layer or a module, by its path as `kiln summary` has it; the last map, if left out
    #[arg(long)]
    layer: Option<String>,
    /// Where in the layer's map; in its middle, if left out
    #[arg(long, value_name = "ROW,COLUMN", value_delimiter = ',', num_args = 1)]
    at: Vec<usize>,
    /// The images: a side, or HEIGHTxWIDTH
    #[arg(long, value_parser = size)]
    input: Option<Size>,
    /// Images to average over
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    images: u16,
    /// The picture
    #[arg(long, value_name = "FILE", default_value = "field.png")]
    out: PathBuf,
}

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let mut subject = Subject::of(&args.model, args.weights.as_deref(), roots)?;
    subject.sides = args.input.map_or(subject.sides, |size| size.sides);
    let device = kiln_core::device("flex")?;
    device.seed(0);
    let network = subject.network(&device)?;
    let [height, width] = subject.sides;
    let graph = recorded::loaded(&network, [1, 3, height, width])?;
    let node = layer(&graph, args.layer.as_deref())?;
    let [_, _, rows, columns] = node.shape() else {
        return Err(Error::input(format!("`{}` gives no map", node.name)).place("--layer"));
    };
    let place = match args.at.as_slice() {
        [] => [rows / 2, columns / 2],
        [row, column] if row < rows && column < columns => [*row, *column],
        _ => {
            let error = Error::input(format!("no place of a map of {rows}x{columns}")).place("--at");
            return Err(error.hint("rows and columns are counted from 0"));
        }
    };
    let (Some(field), Some(seen)) = (graph.field(node), graph.sees(node, place)) else {
        return Err(Error::input(format!("what `{}` sees is not known", node.name)).place("--layer"));
    };

    let weights = Weights::of(&network);
    let mut total: Option<kiln_graph::Heat> = None;
    for _ in 0..args.images {
        let image = Tensor::<4>::random([1, 3, height, width], Distribution::Normal(0.0, 1.0), &device);
        let heat = graph.effective_field(&weights, image, node, place)?;
        total = Some(match total {
            Some(mut sum) => {
                sum.values.iter_mut().zip(heat.values).for_each(|(sum, value)| *sum += value);
                sum
            }
            None => heat,
        });
    }
    let Some(mut heat) = total else { return Err(Error::input("no image").place("--images")) };
    let most = heat.values.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    heat.values.iter_mut().for_each(|value| *value /= most);
    let spread = heat.spread();
    let ends = seen.clone().map(|range| [*range.start(), *range.end()]);
    write(&args.out, png(&framed(&heat, ends))?)?;

    let [first, second] = field.sides;
    let lines = format!(
        "{}, {}: row {}, column {} of {rows}x{columns}\n\
         can see   {} x {} pixels, of this image rows {} to {} and columns {} to {}\n\
         looks at  a standard deviation of {:.1} x {:.1} pixels around its centre, {:.0} % of what is evenly seen\n\
         drawn: {}",
        subject.entry.name,
        node.name,
        place[0],
        place[1],
        first.size,
        second.size,
        ends[0][0],
        ends[0][1],
        ends[1][0],
        ends[1][1],
        spread[0],
        spread[1],
        // An evenly seen side of n pixels has a standard deviation of n / sqrt(12).
        100.0 * spread[0] * 12f64.sqrt() / (ends[0][1] - ends[0][0] + 1) as f64,
        args.out.display()
    );
    let object = json!({
        "model": subject.entry.name, "layer": node.name, "map": [rows, columns], "at": place,
        "field": [first.size, second.size], "aligned": field.aligned, "rows": ends[0], "columns": ends[1],
        "spread": spread, "images": args.images, "picture": args.out,
    });
    output.answer(&lines, object);
    Ok(ExitCode::SUCCESS)
}

/// The layer that is asked for, or the last map.
///
/// # Errors
/// There is none.
pub fn layer<'a>(graph: &'a Graph, named: Option<&str>) -> Result<&'a Node> {
    match named {
        None => graph.last_map().ok_or_else(|| Error::input("the model gives no map")),
        Some(name) => graph.find(name).ok_or_else(|| {
            let names = graph.nodes.iter().filter(|node| !node.constant).map(|node| node.name.as_str());
            let error = Error::input(format!("no layer `{name}`")).place("--layer");
            error.hint(match kiln_core::nearest(name, names) {
                Some(near) => format!("is it `{near}`? `kiln summary --depth 9` lists them"),
                None => "`kiln summary --depth 9` lists them".to_string(),
            })
        }),
    }
}
