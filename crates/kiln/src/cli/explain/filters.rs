//! `kiln explain filters`.

use std::path::PathBuf;
use std::process::ExitCode;

use kiln_core::{Error, Result};
use kiln_data::Roots;
use serde_json::json;

use crate::cli::output::{Output, png, write};
use crate::cli::pictures::filters;
use crate::cli::subject::Subject;
use crate::recorded;

/// Draw the filters of a convolution: of the first one, which are of colours, if no other is named
///
/// Example: kiln explain filters alexnet --weights alexnet.pth
#[derive(clap::Args)]
pub struct Args {
    /// A name of `kiln models`, a Darknet .cfg, an experiment's .toml, or a run's folder
    model: String,
    /// A weight file; left out, a run's best weights, or fresh ones
    #[arg(long)]
    weights: Option<PathBuf>,
    /// A convolution, by its path as `kiln summary` has it
    #[arg(long)]
    layer: Option<String>,
    /// The picture
    #[arg(long, value_name = "FILE", default_value = "filters.png")]
    out: PathBuf,
}

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let subject = Subject::of(&args.model, args.weights.as_deref(), roots)?;
    let network = subject.network(&kiln_core::device("flex")?)?;
    let [height, width] = subject.sides;
    let graph = recorded::loaded(&network, [1, 3, height, width])?;
    let node = match &args.layer {
        Some(name) => super::field::layer(&graph, Some(name))?,
        None => {
            let first = graph.nodes.iter().find(|node| node.kind == "conv2d");
            first.ok_or_else(|| Error::input("the model has no convolution"))?
        }
    };
    let weight = node.weights.iter().map(|at| &graph.weights[*at]).find(|weight| weight.shape.len() == 4);
    let weight =
        weight.ok_or_else(|| Error::input(format!("`{}` is no convolution", node.name)).place("--layer"))?;
    let values = graph.weight(&network, weight)?;
    let shape: [usize; 4] = std::array::from_fn(|side| weight.shape[side]);
    write(&args.out, png(&filters(&values, shape))?)?;
    output.answer(
        &format!(
            "{}: {} filters of {}x{}x{}\ndrawn: {}",
            weight.name,
            shape[0],
            shape[1],
            shape[2],
            shape[3],
            args.out.display()
        ),
        json!({"model": subject.entry.name, "weight": weight.name, "shape": shape, "picture": args.out}),
    );
    Ok(ExitCode::SUCCESS)
}
