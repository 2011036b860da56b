//! Darknet's order of weights. Its files have no names: after the header stand the numbers of one layer after the other, of each
//! the biases, of a normalization then scales, means and variances, and the weights last. So they can be read for a model only,
//! whose fields stand in the order of its cfg.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use burn::module::Module;
use burn::store::{BurnToPyTorchAdapter, ModuleSnapshot};
use kiln_core::{Error, Result};

use crate::StateDict;
use crate::state_dict::written;

/// The name of all numbers of a Darknet file, as long as nobody knows what they are.
pub(crate) const ALL: &str = "darknet";

/// Names and shapes of a model's weights in the order of a Darknet file, a row a layer.
pub(crate) fn layers<M: Module>(network: &M) -> Vec<Vec<(String, Vec<usize>)>> {
    let tensors = network.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true);
    let mut layers: Vec<Vec<(String, Vec<usize>)>> = Vec::new();
    for tensor in tensors {
        let entry = (tensor.name.clone(), tensor.shape.to_vec());
        match entry.1.len() {
            1 => layers.last_mut().expect("a layer begins with its weights").push(entry),
            _ => layers.push(vec![entry]),
        }
    }
    let place = |(name, shape): &(String, Vec<usize>)| match name.rsplit('.').next() {
        Some("bias") => 0,
        Some("weight") if shape.len() == 1 => 1,
        Some("running_mean") => 2,
        Some("running_var") => 3,
        _ => 4,
    };
    layers.iter_mut().for_each(|layer| layer.sort_by_key(place));
    layers
}

impl StateDict {
    /// A Darknet file's numbers by the names of a model's weights; any other state dict as it is.
    ///
    /// # Errors
    /// A file that holds more or fewer numbers than the model.
    pub fn laid_out<M: Module>(self, network: &M, file: &Path) -> Result<Self> {
        self.of_darknet(network, false, file)
    }

    /// The numbers of a Darknet file by the names of a model's weights. A file that ends after some layer gives those before,
    /// if `cut_off` says so: weights of backbones are published like that.
    ///
    /// # Errors
    /// A file that holds more or fewer numbers than the model.
    pub(crate) fn of_darknet<M: Module>(mut self, network: &M, cut_off: bool, file: &Path) -> Result<Self> {
        let Some((_, numbers)) = self.tensors.remove(ALL) else { return Ok(self) };
        let (mut rest, mut tensors, layers) = (numbers.as_slice(), BTreeMap::new(), layers(network));
        let count = |shape: &[usize]| shape.iter().product::<usize>();
        let wanted: usize = layers.iter().flatten().map(|(_, shape)| count(shape)).sum();
        for layer in layers {
            if cut_off && rest.is_empty() {
                break;
            }
            for (name, shape) in layer {
                let Some((values, after)) = rest.split_at_checked(count(&shape)) else {
                    return Err(misfit(numbers.len(), wanted, file));
                };
                tensors.insert(name, (shape, values.to_vec()));
                rest = after;
            }
        }
        match rest {
            [] => Ok(Self { tensors, ..self }),
            _ => Err(misfit(numbers.len(), wanted, file)),
        }
    }

    /// Writes a Darknet file, beside and then renamed, with the header of today (version 0.2: the images seen as 64 bits).
    ///
    /// # Errors
    /// A weight of the model that is not there; a place that cannot be written.
    pub fn write_darknet<M: Module>(&self, network: &M, file: &Path) -> Result<()> {
        let mut bytes: Vec<u8> = [0i32, 2, 5].into_iter().flat_map(i32::to_le_bytes).collect();
        bytes.extend(0u64.to_le_bytes());
        for (name, shape) in layers(network).into_iter().flatten() {
            let found = self.tensors.get(&name).filter(|(theirs, _)| *theirs == shape);
            let missing = || Error::input(format!("no `{name}` of the shape {shape:?}")).file(file);
            let (_, values) = found.ok_or_else(missing)?;
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        written(file, "weights.part", |part| part.write_all(&bytes))
    }
}

fn misfit(found: usize, wanted: usize, file: &Path) -> Error {
    let error = Error::input(format!("{found} numbers after the header, where the model has {wanted}"));
    error
        .file(file)
        .hint("a Darknet file fits one cfg and one number of classes; `--partial` takes a backbone's")
}
