//! `kiln predict`.

use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::{Tensor, TensorData};
use kiln_core::{Network, Result, Truth};
use kiln_data::{Sample, decode_rgb};
use kiln_zoo::StateDict;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::output::Output;
use crate::evaluation::most_probable;
use crate::experiment::{class_name, pipeline_of};

/// Say what images show
///
/// Example: kiln predict --model resnet18 --weights resnet18.pth cat.jpg dog.jpg
#[derive(clap::Args)]
pub struct Args {
    /// A name of `kiln models`
    #[arg(long)]
    model: String,
    /// A weight file: safetensors, .pt, .pth
    #[arg(long)]
    weights: PathBuf,
    /// The images
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Classes an image
    #[arg(long, default_value_t = 5)]
    top: usize,
    /// Where to compute
    #[arg(long, default_value = "flex")]
    device: String,
}

pub fn run(args: Args, output: &Output) -> Result<ExitCode> {
    let entry = kiln_zoo::find(&args.model)?;
    let device = kiln_core::device(&args.device)?;
    let dict = StateDict::read(&args.weights)?;
    let wanted = dict.preprocessing.clone().unwrap_or_else(|| entry.preprocessing());
    let pipeline = pipeline_of(&wanted)?;
    let classes = dict.classes(entry).unwrap_or(entry.num_classes());
    let network = kiln_zoo::load(entry.init(classes, &device), entry, dict, &args.weights)?;
    let images = args.images.iter().map(|file| Ok((file, decode_rgb(file)?))).collect::<Result<Vec<_>>>()?;

    let (mut lines, mut objects) = (String::new(), Vec::new());
    for (file, image) in images {
        let sample = Sample { image, truth: Truth::default() };
        // Nothing in this pipeline is left to chance.
        let image = pipeline.apply(sample, &mut ChaCha8Rng::seed_from_u64(0))?.image;
        let shape = [1, 3, image.height() as usize, image.width() as usize];
        let images = Tensor::from_data(TensorData::new(pipeline.normalize(&image), shape), &device);
        let ranked = most_probable(network.forward(images).main, args.top).remove(0);
        lines.push_str(&format!("{}\n", file.display()));
        let mut named = Vec::<Value>::new();
        for guess in ranked {
            let name = class_name(&wanted.classes, guess.class);
            lines.push_str(&format!("  {:5.1} %  {name}\n", guess.probability * 100.0));
            named.push(json!({"name": name, "class": guess.class, "probability": guess.probability}));
        }
        objects.push(json!({"file": file, "classes": named}));
    }
    output.answer(&lines, json!({"images": objects}));
    Ok(ExitCode::SUCCESS)
}
