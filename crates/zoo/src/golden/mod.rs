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
//!
//! Darknet's golden files have no `state_dict` but `file_floats`, the numbers of the `.weights` file; keys and outputs are named by
//! the layer's index in the cfg, and the images are `uniform("images")`.

use std::collections::BTreeMap;
use std::path::Path;

use burn::prelude::*;
use kiln_core::{Error, Network, Result, learnable_parameters};
use serde::Deserialize;

use crate::{Entry, Model, StateDict, darknet, find, load};

mod outputs;

use outputs::{PLAIN, labels, outputs};

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
    #[serde(default)]
    state_dict: Vec<(String, Vec<usize>)>,
    file_floats: Option<usize>,
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
        let numbers = uniform("images", self.seed, self.input.iter().product());
        let images: Vec<f32> = match self.file_floats {
            Some(_) => numbers.collect(),
            None => numbers.map(|u| u * 2.0 - 1.0).collect(),
        };
        let images = Tensor::from_data(TensorData::new(images, self.input), device);
        let network = self.filled(entry.model(self.classes(entry), device), entry)?;
        let params = learnable_parameters(&network);
        let outputs = match &network {
            Model::Detector(network) => outputs(network, images, name),
            Model::Classifier(network) => {
                let logits = network.forward(images).main;
                let name = self.outputs.first().map(|output| output.name.clone()).unwrap_or_default();
                vec![(name, logits.dims().to_vec(), logits.into_data())]
            }
            Model::Segmenter(network) => labels(network, images),
        };
        let (max_error, mut disagreement) = self.compare(outputs);
        if params != self.params {
            disagreement = Some(format!("{params} parameters, the reference has {}", self.params));
        }
        Ok(Parity { params, max_error, disagreement })
    }

    /// Classes that the reference tells apart.
    fn classes(&self, entry: &Entry) -> usize {
        let last = format!("{}weight", entry.classifier_keys()[0]);
        let last = self.state_dict.iter().find(|(key, _)| entry.rename(key) == last);
        last.and_then(|(_, shape)| entry.classes_of(*shape.first()?)).unwrap_or(entry.num_classes())
    }

    /// A network that has its weights from a file of this golden's numbers.
    fn filled<M: Module>(&self, network: M, entry: &Entry) -> Result<M> {
        let folder = std::env::temp_dir();
        let file = folder.join(format!("kiln-golden-{}-{}-{}", entry.name, self.seed, std::process::id()));
        let mut dict = StateDict::default();
        match self.file_floats {
            Some(_) => {
                let layers = darknet::layers(&network);
                for (layer, index) in layers.into_iter().zip(self.indices(entry)) {
                    for (name, shape) in layer {
                        let values = self.darknet_weight(index, &name, &shape);
                        dict.tensors.insert(name, (shape, values));
                    }
                }
                dict.write_darknet(&network, &file)?;
            }
            None => {
                for (key, shape) in &self.state_dict {
                    let values = weight(key, shape, self.seed, &self.scales);
                    dict.tensors.insert(key.clone(), (shape.clone(), values));
                }
                dict.write(&file)?;
            }
        }
        let dict = StateDict::read(&file);
        let removed = std::fs::remove_file(&file).map_err(|why| Error::unwritable(&file, &why));
        let dict = dict.and_then(|dict| removed.map(|()| dict))?;
        load(network, entry, dict, &file)
    }

    /// The indices in the cfg of the layers that have weights, in order. Those with a normalization are in the table of scales.
    fn indices(&self, entry: &Entry) -> Vec<usize> {
        let plain = PLAIN.iter().find(|(name, _)| *name == &*entry.name).map_or(&[][..], |(_, plain)| plain);
        let scaled = self.scales.keys().filter_map(|index| index.parse().ok());
        let mut indices: Vec<usize> = scaled.chain(plain.iter().copied()).collect();
        indices.sort_unstable();
        indices
    }

    /// The values of a weight of the layer of that index.
    fn darknet_weight(&self, index: usize, name: &str, shape: &[usize]) -> Vec<f32> {
        let scale = self.scales.get(&index.to_string()).copied().unwrap_or(1.0) as f32;
        let numbers = |array: &str| {
            let count = shape.iter().product();
            uniform(&format!("{index}.{array}"), self.seed, count).collect::<Vec<_>>().into_iter()
        };
        match (name.rsplit('.').next(), shape.len()) {
            (Some("bias"), _) => numbers("biases").map(|u| (u - 0.5) * 0.2).collect(),
            (Some("weight"), 1) => numbers("scales").map(|u| 0.5 + u).collect(),
            (Some("running_mean"), _) => {
                numbers("rolling_mean").map(|u| (u - 0.5) * 0.2 * scale.sqrt()).collect()
            }
            (Some("running_var"), _) => numbers("rolling_variance").map(|u| (0.5 + u) * scale).collect(),
            // The local layer's weights have the places first.
            _ => {
                let fan_in = shape[if shape.len() == 3 { 2 } else { 1 }..].iter().product::<usize>() as f32;
                numbers("weights").map(|u| (u * 2.0 - 1.0) * (6.0 / fan_in).sqrt()).collect()
            }
        }
    }

    /// The largest difference from the reference. Of a Darknet the layers inside are not ours to show.
    fn compare(&self, ours: Vec<Named>) -> (f64, Option<String>) {
        let (mut worst, mut why) = (0.0, None);
        let mut checked = 0;
        for reference in &self.outputs {
            let Some((_, shape, data)) = ours.iter().find(|(name, ..)| *name == reference.name) else {
                if self.file_floats.is_none() {
                    return (f64::INFINITY, Some(format!("no output `{}`", reference.name)));
                }
                continue;
            };
            // A linear layer's outputs are channels of one pixel in Darknet.
            let same = shape.iter().product::<usize>() == reference.shape.iter().product::<usize>();
            if (self.file_floats.is_none() && *shape != reference.shape) || !same {
                let why = format!("`{}` is {shape:?}, the reference's {:?}", reference.name, reference.shape);
                return (f64::INFINITY, Some(why));
            }
            checked += 1;
            let error = reference.error(data.clone());
            if error.is_nan() || error > worst {
                worst = error;
            }
            if error.is_nan() || error > TOLERANCE {
                why = Some(format!("`{}` is off by {error:.1e} of its largest value", reference.name));
            }
        }
        match checked {
            0 => (f64::INFINITY, Some("none of the reference's outputs is ours".to_string())),
            _ => (worst, why),
        }
    }
}

/// An output: its name, its shape, its values.
type Named = (String, Vec<usize>, TensorData);

impl Output {
    /// The largest difference of samples, mean and standard deviation, as a part of the largest absolute value.
    fn error(&self, data: TensorData) -> f64 {
        let values = data.convert::<f64>();
        let values = values.as_slice::<f64>().expect("converted to f64 above");
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        let mut errors = vec![mean - self.mean, variance.sqrt() - self.std];
        for (index, value) in &self.samples {
            errors.push(values.get(*index).map_or(f64::INFINITY, |ours| ours - value));
        }
        let worst = |worst: f64, error: &f64| if error.abs() <= worst { worst } else { error.abs() };
        errors.iter().fold(0.0, worst) / self.absmax
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
