//! The options by which a command is told its network.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use kiln_core::{Error, Result};
use kiln_zoo::{Entry, Model, Preprocessing, StateDict, load, load_backbone, load_partial};

use crate::experiment::takes;

/// How images and weights are read.
#[derive(clap::Args)]
pub struct NetworkArgs {
    /// A name of `kiln models`, or a Darknet .cfg
    #[arg(long)]
    pub model: Option<String>,
    /// A weight file: safetensors, .pt, .pth, .weights
    #[arg(long)]
    pub weights: Option<PathBuf>,
    /// Take what fits of the weight file; all else keeps fresh weights
    #[arg(long)]
    partial: bool,
    /// Tell so many classes apart: the weight file's classifier is replaced by a fresh one if it has others
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    num_classes: Option<u32>,
    /// Segmenters: so many times fewer channels than published
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub narrower: Option<u16>,
    /// Mean of red, green and blue (0 to 1), in place of the weight file's
    #[arg(long, value_name = "R,G,B", value_parser = three)]
    pub mean: Option<[f32; 3]>,
    /// Standard deviation of red, green and blue, in place of the weight file's
    #[arg(long, value_name = "R,G,B", value_parser = three)]
    pub std: Option<[f32; 3]>,
    /// Side of the network's input in pixels, in place of the weight file's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16384))]
    pub size: Option<u32>,
}

/// A network with its weights, and what belongs to them.
pub struct Loaded {
    /// Its row in the registry.
    pub entry: Entry,
    /// In evaluation mode.
    pub network: Model,
    /// Classes it tells apart.
    pub classes: usize,
    /// How images are prepared for it.
    pub preprocessing: Preprocessing,
}

impl NetworkArgs {
    /// The network that the options name. Weights that stay fresh are said on standard error.
    ///
    /// # Errors
    /// A model or a weight file that is not there, or that do not fit each other.
    pub fn load(&self, device: &Device) -> Result<Loaded> {
        let (Some(model), Some(file)) = (&self.model, &self.weights) else {
            let error = Error::input("no network is named");
            return Err(error.hint("give `--model` and `--weights`, or a run's folder"));
        };
        let entry = kiln_zoo::find_or_read(model)?;
        let entry = match self.narrower {
            None | Some(1) => entry,
            Some(times) => entry
                .narrowed(times.into())
                .ok_or_else(|| Error::input(format!("{} has one width", entry.name)).place("--narrower"))?,
        };
        let dict = StateDict::read(file)?;
        let mut preprocessing = entry.preprocessing(&dict, file);
        preprocessing.mean = self.mean.unwrap_or(preprocessing.mean);
        preprocessing.std = self.std.unwrap_or(preprocessing.std);
        if let Some(size) = self.size {
            let size = size as usize;
            preprocessing.resize = preprocessing.resize * size / preprocessing.size;
            preprocessing.size = size;
        }
        let found = dict.classes(&entry);
        let wanted = self.num_classes.map(|count| count as usize);
        let classes = wanted.or(found).unwrap_or(entry.num_classes());
        if found.is_some_and(|found| found != classes) {
            // Their names are those of other classes.
            preprocessing.classes.clear();
        }
        takes(&entry, classes, [preprocessing.size; 2], false)?;
        let fill = if self.partial { filled_in_part } else { filled };
        let network = fill(&entry, dict, classes, file, device)?;
        Ok(Loaded { entry, network, classes, preprocessing })
    }
}

/// A model with the weights of a file. Where they tell other classes apart, the classifier stays fresh, and standard error
/// says so.
///
/// # Errors
/// Weights that do not fit.
pub fn filled(entry: &Entry, dict: StateDict, classes: usize, file: &Path, device: &Device) -> Result<Model> {
    let network = entry.model(classes, device);
    match dict.classes(entry) {
        Some(found) if found != classes => {
            let (network, _) = load_backbone(network, entry, dict, file)?;
            let layers = entry.classifier_keys();
            let layer = layers[0].trim_end_matches('.');
            eprintln!(
                "note: {}: `{layer}` tells {found} classes apart; a fresh one for {classes} is in its place",
                file.display()
            );
            Ok(network)
        }
        _ => load(network, entry, dict, file),
    }
}

/// A model with what fits of the weights of a file; all else stays fresh, and standard error says what.
///
/// # Errors
/// Nothing fits.
pub fn filled_in_part(
    entry: &Entry,
    dict: StateDict,
    classes: usize,
    file: &Path,
    device: &Device,
) -> Result<Model> {
    let (network, misfit) = load_partial(entry.model(classes, device), entry, dict, file)?;
    if !misfit.is_empty() {
        eprintln!("note: {}: not all of it fits {}: {misfit}", file.display(), entry.name);
    }
    Ok(network)
}

/// `0.485,0.456,0.406`, or one number for all three.
fn three(text: &str) -> Result<[f32; 3], String> {
    let numbers: Result<Vec<f32>, _> = text.split(',').map(|number| number.trim().parse()).collect();
    match numbers.as_deref() {
        Ok([r, g, b]) => Ok([*r, *g, *b]),
        Ok([grey]) => Ok([*grey; 3]),
        _ => Err("three numbers are wanted, as in 0.485,0.456,0.406".to_string()),
    }
}
