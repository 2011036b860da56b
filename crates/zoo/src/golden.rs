//! Golden files: what a reference implementation answers when its weights are numbers that anyone can recompute.
//!
//! A file is one JSON object: `model` (`library/name`), `seed`, `input` (the shape of the images), `params`,
//! `state_dict` (`[[key, shape], …]`), `scales` (a positive number for each normalization, which keeps the signal of the
//! order of one) and `outputs` (a row a tensor: `name`, `shape`, `mean`, `std`, `absmax`, `samples` of `[flat index,
//! value]`), computed in 64-bit in evaluation mode.
//!
//! `uniform(key, seed, n)` are `n` numbers in `[0, 1)` from the splitmix64 generator, seeded by the FNV-1a hash of the
//! key. The images are `uniform("images") * 2 - 1`; the weights are made of them as [`weight`] says. They are written to a
//! safetensors file and come in through the same door as any other weight file, so that names, shapes and layouts are
//! checked too. An output agrees when every sample, the mean and the standard deviation are within `1e-4 * absmax`.

use std::collections::BTreeMap;
use std::path::Path;

use burn::prelude::*;
use kiln_core::{Error, Network, Result, learnable_parameters};
use serde::Deserialize;

use crate::{StateDict, find, load};

/// How far from the reference an output may be, as a part of its largest absolute value.
const TOLERANCE: f64 = 1e-4;

/// A golden file.
#[derive(Debug, Clone, Deserialize)]
pub struct Golden {
    /// `library/name` of the reference.
    pub model: String,
    seed: u64,
    input: [usize; 4],
    params: usize,
    state_dict: Vec<(String, Vec<usize>)>,
    scales: BTreeMap<String, f64>,
    outputs: Vec<Output>,
}

#[derive(Debug, Clone, Deserialize)]
struct Output {
    name: String,
    shape: Vec<usize>,
    mean: f64,
    std: f64,
    absmax: f64,
    samples: Vec<(usize, f64)>,
}

/// How a model of ours compares with a golden file.
#[derive(Debug, Clone, PartialEq)]
pub struct Parity {
    /// Learnable parameters of our model.
    pub params: usize,
    /// The largest difference, as a part of the output's largest absolute value.
    pub max_error: f64,
    /// Why it does not agree; `None` if it does.
    pub disagreement: Option<String>,
}

impl Golden {
    /// Reads a golden file.
    ///
    /// # Errors
    /// A file that is missing or is none.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).map_err(|why| Error::unreadable(file, &why))?;
        serde_json::from_str(&text).map_err(|why| Error::input(format!("no golden file: {why}")).file(file))
    }

    /// Fills the model of that name with the file's numbers, runs it on its images, and compares.
    ///
    /// # Errors
    /// A model that is not in the registry, weights that do not fit it, a temporary file that cannot be written.
    pub fn check(&self, device: &Device) -> Result<Parity> {
        let name = self.model.rsplit('/').next().unwrap_or(&self.model);
        let entry = find(name)?;
        let last = format!("{}weight", entry.classifier_keys()[0]);
        let classes = self.state_dict.iter().find(|(key, _)| *key == last);
        let classes = classes.and_then(|(_, shape)| shape.first().copied()).unwrap_or(entry.num_classes());

        let mut dict = StateDict::default();
        for (key, shape) in &self.state_dict {
            dict.tensors.insert(key.clone(), (shape.clone(), weight(key, shape, self.seed, &self.scales)));
        }
        let folder = std::env::temp_dir();
        let file =
            folder.join(format!("kiln-golden-{name}-{}-{}.safetensors", self.seed, std::process::id()));
        dict.write(&file)?;
        let dict = StateDict::read(&file);
        std::fs::remove_file(&file).map_err(|why| Error::unwritable(&file, &why))?;
        let network = load(entry.init(classes, device), entry, dict?, &file)?;

        let numbers = uniform("images", self.seed, self.input.iter().product());
        let images = numbers.map(|u| u * 2.0 - 1.0).collect::<Vec<f32>>();
        let output = network.forward(Tensor::from_data(TensorData::new(images, self.input), device));
        let params = learnable_parameters(&network);
        let (max_error, mut disagreement) = self.compare(output.main);
        if params != self.params {
            disagreement = Some(format!("{params} parameters, the reference has {}", self.params));
        }
        Ok(Parity { params, max_error, disagreement })
    }

    fn compare(&self, output: Tensor<2>) -> (f64, Option<String>) {
        let [reference] = self.outputs.as_slice() else {
            return (f64::INFINITY, Some(format!("one output, the reference has {}", self.outputs.len())));
        };
        let shape = output.dims();
        if shape.as_slice() != reference.shape {
            return (
                f64::INFINITY,
                Some(format!("output {shape:?}, the reference has {:?}", reference.shape)),
            );
        }
        let values = output.into_data().convert::<f64>();
        let values = values.as_slice::<f64>().expect("converted to f64 above");
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        let mut errors = vec![mean - reference.mean, variance.sqrt() - reference.std];
        for (index, value) in &reference.samples {
            errors.push(values.get(*index).map_or(f64::INFINITY, |ours| ours - value));
        }
        let worst = |worst: f64, error: &f64| if error.abs() <= worst { worst } else { error.abs() };
        let max_error = errors.iter().fold(0.0, worst) / reference.absmax;
        let agrees = max_error <= TOLERANCE;
        let text = || format!("`{}` is off by {max_error:.1e} of its largest value", reference.name);
        (max_error, (!agrees).then(text))
    }
}

/// The values of an entry of the state dict. For `P.running_var` and `P.running_mean` the table of scales holds `P`.
fn weight(key: &str, shape: &[usize], seed: u64, scales: &BTreeMap<String, f64>) -> Vec<f32> {
    let (prefix, kind) = key.rsplit_once('.').unwrap_or(("", key));
    let scale = scales.get(prefix).copied().unwrap_or(1.0) as f32;
    let numbers = uniform(key, seed, shape.iter().product());
    if kind == "running_var" {
        numbers.map(|u| (0.5 + u) * scale).collect()
    } else if kind == "running_mean" {
        numbers.map(|u| (u - 0.5) * 0.2 * scale.sqrt()).collect()
    } else if shape.len() >= 2 {
        let fan_in = shape[1..].iter().product::<usize>() as f32;
        let bound = (6.0 / fan_in).sqrt();
        numbers.map(|u| (u * 2.0 - 1.0) * bound).collect()
    } else if kind.ends_with("weight") {
        numbers.map(|u| 0.5 + u).collect()
    } else {
        numbers.map(|u| (u - 0.5) * 0.2).collect()
    }
}

fn uniform(key: &str, seed: u64, count: usize) -> impl Iterator<Item = f32> {
    const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;
    let hash = key.bytes().fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let base = hash.wrapping_add(seed.wrapping_mul(GOLDEN_RATIO));
    (0..count as u64).map(move |index| {
        let z = base.wrapping_add(index).wrapping_add(GOLDEN_RATIO);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let z = z ^ (z >> 31);
        (z >> 40) as f32 / (1u64 << 24) as f32
    })
}
