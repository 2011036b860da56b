//! From a checkpoint's nested dictionaries, and modules among them, to named tensors at their places in the file.

use std::collections::BTreeMap;

use kiln_core::{Error, Result};

use super::budget::Budget;
use super::pickle::{Items, Object, Pickle, Tensor, Value, damaged};
use super::{COPY_AGAIN, Contents, StoredTensor};

/// Where the bytes of each storage begin in the file, and how many there are.
pub type Storages = BTreeMap<String, [u64; 2]>;

/// Under what the training scripts that people use save the weights beside an optimizer and an epoch.
const WEIGHTS: [&str; 4] = ["state_dict", "model_state_dict", "model", "net"];

/// Where YOLOv5's training has the average of its weights, as a whole module: what it uses them for. `model` is beside it.
const AVERAGE: &str = "ema";

/// The attributes of PyTorch's `nn.Module` that its state dict is made of.
const PARTS: [&str; 3] = ["_parameters", "_buffers", "_modules"];

/// Dictionaries in dictionaries, modules in modules.
const DEEPEST: usize = 16;

/// The tensors of a pickle.
pub fn contents(pickle: &Pickle, storages: &Storages, budget: &mut Budget) -> Result<Contents> {
    let mut walk = Walk { pickle, storages, budget, tensors: Vec::new() };
    match pickle.root {
        Value::Dict(root) => walk.dict(root, "", &[], 0)?,
        Value::Object(object) if walk.module(object, "", 0)? => {}
        Value::Object(_) | Value::Class(_) => return Err(no_module(pickle, pickle.root)),
        _ => {
            let error = Error::input("holds no dictionary of tensors");
            return Err(error.hint("save `model.state_dict()` in PyTorch"));
        }
    }
    let mut tensors = walk.tensors;
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = tensors.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(Error::input("the name stands twice").place(format!("`{}`", pair[0].name)));
    }

    let mut weights = String::new();
    for key in [AVERAGE].into_iter().chain(WEIGHTS) {
        let prefix = format!("{key}.");
        let filled = tensors.iter().any(|tensor| tensor.name.starts_with(&prefix));
        match pickle.get(pickle.root, key) {
            // Dictionaries of that name are many things.
            Some(Value::Dict(_)) if key == AVERAGE => {}
            Some(Value::Dict(_) | Value::Object(_)) if filled => {
                weights = prefix;
                break;
            }
            Some(object @ Value::Object(_)) if key != AVERAGE => return Err(no_module(pickle, object)),
            _ => {}
        }
    }
    Ok(Contents { tensors, metadata: BTreeMap::new(), weights })
}

/// The error of an object that is to hold weights and has none.
fn no_module(pickle: &Pickle, object: Value) -> Error {
    let class = pickle.class(object).map_or("?", |class| pickle.text(class));
    Error::input(format!("holds an object of the class `{class}`, which is no module with tensors"))
        .hint("save `model.state_dict()` in PyTorch")
}

/// How many bytes a number has in each storage that a pickle names.
pub fn number_sizes(pickle: &Pickle, budget: &mut Budget) -> Result<BTreeMap<String, u64>> {
    let mut sizes = BTreeMap::new();
    for storage in &pickle.storages {
        let Some(key) = pickle.key(storage.key) else { continue };
        budget.take(2 * key.len() as u64 + 64)?;
        sizes.insert(key, storage.dtype.map_or(1, |dtype| dtype.size()));
    }
    Ok(sizes)
}

struct Walk<'a> {
    pickle: &'a Pickle,
    storages: &'a Storages,
    budget: &'a mut Budget,
    tensors: Vec<StoredTensor>,
}

impl Walk<'_> {
    /// A dictionary's tensors, but for those under the keys that are left out.
    fn dict(&mut self, dict: u32, prefix: &str, left_out: &[Value], depth: usize) -> Result<()> {
        if depth > DEEPEST {
            return Err(
                Error::input(format!("dictionaries in more than {DEEPEST} dictionaries")).hint(COPY_AGAIN)
            );
        }
        let pickle = self.pickle;
        for (key, value) in pickle.dict(dict) {
            // A dictionary may be in many others, and so its names more often than the file is long.
            let length = pickle.key_length(*key);
            self.budget.take((prefix.len() + length + 32 + left_out.len() * (length + 1)) as u64)?;
            if left_out.iter().any(|other| pickle.are_one_text(*key, *other)) {
                continue;
            }
            let Some(name) = pickle.key(*key).map(|key| format!("{prefix}{key}")) else { continue };
            match value {
                Value::Tensor(tensor) => {
                    let tensor = self.tensor(name, &pickle.tensors[*tensor as usize])?;
                    self.tensors.push(tensor);
                }
                Value::Dict(inner) => self.dict(*inner, &format!("{name}."), &[], depth + 1)?,
                Value::Object(object) => {
                    let class = pickle.text(pickle.object(*object).class);
                    if class.starts_with("torch._utils._rebuild_") {
                        let message = format!("a tensor of a kind that is not read (`{class}`)");
                        return Err(Error::input(message).place(format!("`{name}`")));
                    }
                    self.module(*object, &format!("{name}."), depth + 1)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The tensors of a module's state dict, under the names that `Module.state_dict` gives them; false if the object is no
    /// module.
    fn module(&mut self, object: u32, prefix: &str, depth: usize) -> Result<bool> {
        let pickle = self.pickle;
        let Object { class, state } = pickle.object(object);
        let Value::Dict(attributes) = state else { return Ok(false) };
        // Many objects may have one state, which is searched for each.
        self.budget.take(8 * pickle.dict(attributes).len() as u64)?;
        let parts = PARTS.map(|part| match pickle.get(state, part) {
            Some(Value::Dict(dict)) => Some(dict),
            _ => None,
        });
        let [Some(parameters), Some(buffers), Some(modules)] = parts else {
            let missing = PARTS.iter().zip(parts).find(|(_, found)| found.is_none()).map(|(part, _)| part);
            return match (missing, parts.iter().any(Option::is_some)) {
                (Some(missing), true) => {
                    let class = pickle.text(class);
                    let error = damaged(format!("a module (class `{class}`) without its `{missing}`"));
                    let place = prefix.trim_end_matches('.');
                    Err(if place.is_empty() { error } else { error.place(format!("`{place}`")) })
                }
                _ => Ok(false),
            };
        };
        // What is not saved with a module is computed anew: tables of positions.
        let left_out = pickle.get(state, "_non_persistent_buffers_set");
        let left_out = left_out.map_or(&[][..], |names| pickle.items(names));
        self.dict(parameters, prefix, &[], depth)?;
        self.dict(buffers, prefix, left_out, depth)?;
        self.dict(modules, prefix, &[], depth)?;
        Ok(true)
    }

    fn tensor(&mut self, name: String, tensor: &Tensor) -> Result<StoredTensor> {
        let pickle = self.pickle;
        let storage = &pickle.storages[tensor.storage as usize];
        let place = format!("`{name}`");
        let damaged = |message: String| damaged(message).place(&place);
        let ranks = u64::from(tensor.shape.len()) + u64::from(tensor.strides.len());
        self.budget.take(2 * name.len() as u64 + 16 * ranks + 256)?;

        let key = pickle.key(storage.key).ok_or_else(|| damaged("its storage has no name".to_string()))?;
        let Some([start, bytes]) = self.storages.get(&key).copied() else {
            return Err(damaged(format!("its storage `{key}` is not in the file")));
        };
        let size = storage.dtype.map_or(1, |dtype| dtype.size());
        let declared = count(storage.count).and_then(|count| (count as u64).checked_mul(size));
        let declared = declared.filter(|declared| *declared <= bytes).ok_or_else(|| {
            let said = said(storage.count);
            damaged(format!("its storage `{key}` is said to have {said} numbers, but has {bytes} bytes"))
        })?;
        let offset = count(tensor.offset).and_then(|offset| (offset as u64).checked_mul(tensor.dtype.size()));
        let offset = offset.filter(|offset| *offset <= declared).ok_or_else(|| {
            let said = said(tensor.offset);
            damaged(format!("it begins at number {said} of its storage `{key}`, which has {declared} bytes"))
        })?;
        let counts =
            |items: Items| pickle.tuple(items).iter().map(|item| count(*item)).collect::<Option<Vec<_>>>();
        let (Some(shape), Some(strides)) = (counts(tensor.shape), counts(tensor.strides)) else {
            return Err(damaged("its shape and strides must be integers from 0 on".to_string()));
        };
        if shape.len() != strides.len() {
            return Err(damaged(format!("{} strides for the shape {shape:?}", strides.len())));
        }
        StoredTensor::place(name, tensor.dtype, shape, Some(strides), [start + offset, declared - offset])
    }
}

/// A size or an index, where the value is one.
fn count(value: Value) -> Option<usize> {
    match value {
        Value::Int(number) => usize::try_from(number).ok(),
        _ => None,
    }
}

/// A value in an error.
fn said(value: Value) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        _ => "an unknown number of".to_string(),
    }
}
