//! `kiln explain cam`.

use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::{Tensor, TensorData};
use kiln_core::{ClassProbability, Error, Network, Result, Truth};
use kiln_data::{Roots, Sample, decode_rgb};
use kiln_graph::Weights;
use kiln_zoo::{Kind, Output as Said};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::field::layer;
use crate::cli::output::{Output, png, write};
use crate::cli::pictures::over;
use crate::cli::subject::Subject;
use crate::evaluation::most_probable;
use crate::experiment::{class_name, pipeline_of};
use crate::recorded;

/// Draw where in an image a classifier finds what speaks for a class: Grad-CAM (Selvaraju and others 2017)
///
/// Example: kiln explain cam resnet18 photo.jpg --weights resnet18.pth --out cam.png
#[derive(clap::Args)]
pub struct Args {
    /// A classifier of `kiln models`, an experiment's .toml, or a run's folder
    model: String,
    /// The image
    image: PathBuf,
    /// A weight file; left out, a run's best weights, or fresh ones
    #[arg(long)]
    weights: Option<PathBuf>,
    /// The class, by its number; the most probable one, if left out
    #[arg(long, value_name = "N")]
    class: Option<usize>,
    /// A layer or a module, by its path as `kiln summary` has it; the last map, if left out
    #[arg(long)]
    layer: Option<String>,
    /// The picture
    #[arg(long, value_name = "FILE", default_value = "cam.png")]
    out: PathBuf,
}

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let mut subject = Subject::of(&args.model, args.weights.as_deref(), roots)?;
    if subject.entry.kind() != Kind::Classifier {
        let (name, kind) = (&subject.entry.name, subject.entry.kind());
        let error = Error::input(format!("{name} is a {kind}: it has no class of a whole image"));
        return Err(error.hint("`kiln models` lists the classifiers"));
    }
    let preprocessing = subject.preprocessing();
    let pipeline = pipeline_of(&preprocessing)?;
    let sample = Sample { image: decode_rgb(&args.image)?, truth: Truth::default() };
    // Nothing of it is random.
    let ready = pipeline.prepare(sample, &mut ChaCha8Rng::seed_from_u64(0))?;
    subject.sides = ready.size;
    let device = kiln_core::device("flex")?;
    let network = subject.network(&device)?;
    let [height, width] = ready.size;
    let picture = pipeline.picture(&ready.numbers, ready.size);
    let image = Tensor::<4>::from_data(TensorData::new(ready.numbers, [1, 3, height, width]), &device);
    let Said::Logits(said) = network.forward(image.clone()) else {
        unreachable!("all others were refused above")
    };
    let [_, classes] = said.main.dims();
    let ranked = most_probable(said.main, classes).remove(0);
    let class = args.class.unwrap_or(ranked[0].class);
    let Some(ClassProbability { probability, .. }) = ranked.into_iter().find(|one| one.class == class) else {
        let error = Error::input(format!("there are {classes} classes")).place("--class");
        return Err(error.hint("they are counted from 0"));
    };
    let graph = recorded::loaded(&network, [1, 3, height, width])?;
    let node = layer(&graph, args.layer.as_deref())?;
    let heat = graph.class_activation(&Weights::of(&network), image, node, class)?;
    write(&args.out, png(&over(&picture, &heat))?)?;
    let name = class_name(&preprocessing.classes, class);
    output.answer(
        &format!(
            "{}: {name} ({:.1} %), by `{}`\ndrawn: {}",
            args.image.display(),
            100.0 * probability,
            node.name,
            args.out.display()
        ),
        json!({
            "file": args.image, "model": subject.entry.name, "class": class, "name": name, "probability": probability,
            "layer": node.name, "map": [heat.height, heat.width], "picture": args.out,
        }),
    );
    Ok(ExitCode::SUCCESS)
}
