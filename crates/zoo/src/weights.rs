//! A state dict into a model and out of it, strictly.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::store::{BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter, bridge};
use burn::tensor::TensorData;
use kiln_core::{Error, Result, nearest};

use crate::{Entry, Preprocessing, StateDict};

/// Fills a model from a weight file that fits it exactly: every name, every shape.
///
/// # Errors
/// A file that cannot be read ([`StateDict::read`]) or does not fit: what is missing, unused, of another shape.
pub fn load<M: Module>(network: M, entry: &Entry, mut dict: StateDict, file: &Path) -> Result<M> {
    for (theirs, ours) in entry.aliases() {
        let renamed = |(name, tensor): (String, _)| (name.replace(theirs, ours), tensor);
        dict.tensors = dict.tensors.into_iter().map(renamed).collect();
    }
    let expected = shapes(&network);
    if let Some(misfit) = misfit(&expected, &dict) {
        return Err(Error::input(format!("not weights of {}: {misfit}", entry.name))
            .file(file)
            .hint("name the model that these weights are of with `--model`"));
    }
    let tensors = dict
        .tensors
        .into_iter()
        .map(|(name, (shape, values))| bridge::from_data(TensorData::new(values, shape), name, None));
    let mut network = network;
    let applied = network.apply(tensors.collect(), None, Some(Box::new(PyTorchToBurnAdapter)), true);
    match applied.errors.first() {
        Some(error) => Err(Error::failure(error.to_string()).file(file)),
        None => Ok(network),
    }
}

/// Writes a model's weights as safetensors with PyTorch's names and layout.
///
/// The model must be in evaluation mode (`network.valid()`): one in training has running statistics that are not
/// yet written down.
///
/// # Errors
/// A place that cannot be written.
pub fn save<M: Module>(network: &M, preprocessing: Option<Preprocessing>, file: &Path) -> Result<()> {
    let mut dict = StateDict { preprocessing, ..StateDict::default() };
    for tensor in network.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true) {
        let name = tensor.name.clone();
        let data =
            bridge::into_data(tensor).map_err(|why| Error::failure(format!("`{name}`: {why}")).file(file))?;
        let shape = data.shape().to_vec();
        let values = data.convert::<f32>().try_into_vec::<f32>();
        let values = values.map_err(|why| Error::failure(format!("`{name}`: {why:?}")).file(file))?;
        dict.tensors.insert(name, (shape, values));
    }
    dict.write(file)
}

/// Names and shapes of a model's weights, in PyTorch's layout.
fn shapes<M: Module>(network: &M) -> BTreeMap<String, Vec<usize>> {
    let tensors = network.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true);
    tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor.shape.to_vec())).collect()
}

/// What does not fit, in one line; `None` if all does.
fn misfit(expected: &BTreeMap<String, Vec<usize>>, dict: &StateDict) -> Option<String> {
    let missing: Vec<_> = expected.keys().filter(|name| !dict.tensors.contains_key(*name)).collect();
    let unused: Vec<_> = dict.tensors.keys().filter(|name| !expected.contains_key(*name)).collect();
    let differs = |(name, shape): &(&String, &Vec<usize>)| {
        dict.tensors.get(*name).is_some_and(|(found, _)| found != *shape)
    };
    let other_shape: Vec<_> = expected.iter().filter(differs).collect();
    let mut parts = Vec::new();
    if let Some(first) = missing.first() {
        let near = nearest(first, unused.iter().map(|name| name.as_str()));
        let near = near.map(|near| format!(", the file has `{near}`")).unwrap_or_default();
        parts.push(format!("{} missing (first `{first}`{near})", missing.len()));
    }
    if let Some(first) = unused.first() {
        parts.push(format!("{} unused (first `{first}`)", unused.len()));
    }
    if let Some((name, shape)) = other_shape.first() {
        let found = &dict.tensors[*name].0;
        parts.push(format!(
            "{} of another shape (first `{name}`: {found:?}, the model has {shape:?})",
            other_shape.len()
        ));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
