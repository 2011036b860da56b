//! A state dict into a model and out of it.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::store::{BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter, bridge};
use burn::tensor::TensorData;
use kiln_core::{Error, Result};

use crate::detector::ANCHORS;
use crate::{Entry, Misfit, Preprocessing, StateDict};

/// Fills a model from a weight file that fits it exactly: every name, every shape.
///
/// # Errors
/// Weights that do not fit: what is missing, unused, of another shape, in one line; [`plan`] says all of it.
pub fn load<M: Module>(network: M, entry: &Entry, dict: StateDict, file: &Path) -> Result<M> {
    let dict = dict.laid_out(&network, file)?.renamed(entry).without_anchors(entry, file)?;
    let misfit = Misfit::of(&expected(&network, entry, &dict), &dict.shapes());
    if !misfit.is_empty() {
        return Err(misfit.refused(entry, file));
    }
    fill(network, dict, file)
}

/// What [`load`] would say of a state dict, all of it; a Darknet file's is to be [laid out](StateDict::laid_out) before.
pub fn plan<M: Module>(network: &M, entry: &Entry, dict: &StateDict) -> Misfit {
    let found = dict.shapes().into_iter().map(|(name, shape)| (dict.our_name(&name, entry), shape));
    let found = found.filter(|(name, _)| !name.ends_with(ANCHORS));
    Misfit::of(&expected(network, entry, dict), &found.collect())
}

/// What is wanted of a state dict: all but constants that it leaves out.
fn expected<M: Module>(network: &M, entry: &Entry, dict: &StateDict) -> BTreeMap<String, Vec<usize>> {
    let mut shapes = shapes(network);
    shapes.retain(|name, _| !entry.constants().contains(&name.as_str()) || dict.tensors.contains_key(name));
    shapes
}

/// Fills a model with what fits of a weight file; the rest of the model keeps its fresh weights. Says what did not fit. A segmenter
/// takes of a classifier's file what it stands on.
///
/// # Errors
/// Nothing fits.
pub fn load_partial<M: Module>(
    network: M,
    entry: &Entry,
    dict: StateDict,
    file: &Path,
) -> Result<(M, Misfit)> {
    let dict = dict.of_darknet(&network, true, file)?.renamed(entry);
    let dict = dict.without_anchors(entry, file)?;
    let expected = expected(&network, entry, &dict);
    let mut dict = dict.into_backbone(&expected);
    let misfit = Misfit::of(&expected, &dict.shapes());
    dict.tensors.retain(|name, (shape, _)| expected.get(name) == Some(shape));
    if dict.tensors.is_empty() {
        return Err(misfit.refused(entry, file));
    }
    Ok((fill(network, dict, file)?, misfit))
}

/// Fills a model but for its classifier, which keeps its fresh weights, whatever number of classes it is for. All else
/// must fit exactly. Says which weights are fresh.
///
/// # Errors
/// Weights that do not fit.
pub fn load_backbone<M: Module>(
    network: M,
    entry: &Entry,
    dict: StateDict,
    file: &Path,
) -> Result<(M, Vec<String>)> {
    let layers = entry.classifier_keys();
    let classifies = |name: &str| layers.iter().any(|layer| name.starts_with(&**layer));
    let dict = dict.laid_out(&network, file)?.renamed(entry);
    let mut dict = dict.without_anchors(entry, file)?;
    dict.tensors.retain(|name, _| !classifies(name));
    let all = expected(&network, entry, &dict);
    let (fresh, expected): (BTreeMap<_, _>, _) = all.into_iter().partition(|(name, _)| classifies(name));
    let misfit = Misfit::of(&expected, &dict.shapes());
    if !misfit.is_empty() {
        return Err(misfit.refused(entry, file));
    }
    Ok((fill(network, dict, file)?, fresh.into_keys().collect()))
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
pub fn shapes<M: Module>(network: &M) -> BTreeMap<String, Vec<usize>> {
    let tensors = network.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true);
    tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor.shape.to_vec())).collect()
}

/// Puts tensors into a model, which has them all in the same shapes.
fn fill<M: Module>(mut network: M, dict: StateDict, file: &Path) -> Result<M> {
    let tensors = dict
        .tensors
        .into_iter()
        .map(|(name, (shape, values))| bridge::from_data(TensorData::new(values, shape), name, None));
    let applied = network.apply(tensors.collect(), None, Some(Box::new(PyTorchToBurnAdapter)), true);
    match applied.errors.first() {
        Some(error) => Err(Error::failure(error.to_string()).file(file)),
        None => Ok(network),
    }
}
