//! `kiln export`.

use std::path::PathBuf;
use std::process::ExitCode;

use kiln_core::{Error, Result};
use kiln_data::Roots;
use serde_json::json;

use super::output::{Output, thousands, write};
use super::subject::Subject;
use super::summary::{Size, size};
use crate::recorded;

/// Write a model as an ONNX file (opset 17), its weights in it
///
/// It takes `images` of one size, prepared as the metadata `preprocessing` says, and gives `logits`, or `boxes` and `scores`.
/// Example: kiln export resnet18 --weights resnet18.pth resnet18.onnx
#[derive(clap::Args)]
pub struct Args {
    /// A name of `kiln models`, a Darknet .cfg, an experiment's .toml, or a run's folder
    model: String,
    /// The file to write
    #[arg(value_name = "OUT.onnx")]
    out: PathBuf,
    /// A weight file: safetensors, .pt, .pth, .weights; a run has its best weights
    #[arg(long)]
    weights: Option<PathBuf>,
    /// The images: a side, or HEIGHTxWIDTH, or BATCHx3xHEIGHTxWIDTH
    #[arg(long, value_parser = size)]
    input: Option<Size>,
}

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let mut subject = Subject::of(&args.model, args.weights.as_deref(), roots)?;
    subject.sides = args.input.map_or(subject.sides, |size| size.sides);
    let batch = args.input.map_or(1, |size| size.batch);
    let network = subject.network(&kiln_core::device("flex")?)?;
    let [height, width] = subject.sides;
    let graph = recorded::loaded(&network, [batch, 3, height, width])?;
    let preprocessing = serde_json::to_string(&subject.preprocessing());
    let preprocessing = preprocessing.map_err(|why| Error::failure(why.to_string()))?;
    let bytes = graph.onnx(&network, &[("preprocessing", preprocessing)])?;
    let size = bytes.len();
    write(&args.out, bytes)?;
    let outputs: Vec<&str> = graph.outputs.iter().map(|output| output.name.as_str()).collect();
    output.answer(
        &format!("{}: {} from images {batch}x3x{height}x{width}, {} bytes", args.out.display(), outputs.join(" and "), thousands(size)),
        json!({
            "file": args.out, "model": subject.entry.name, "input": graph.images, "outputs": outputs, "bytes": size,
            "nodes": graph.nodes.len(), "opset": 17,
        }),
    );
    Ok(ExitCode::SUCCESS)
}
