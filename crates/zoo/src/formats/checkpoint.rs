//! From a checkpoint's nested dictionaries to named tensors at their places in the file.

use std::collections::BTreeMap;

use kiln_core::{Error, Result};

use super::budget::Budget;
use super::pickle::{Items, Pickle, Tensor, Value, damaged};
use super::{COPY_AGAIN, Contents, StoredTensor};

/// Where the bytes of each storage begin in the file, and how many there are.
pub type Storages = BTreeMap<String, [u64; 2]>;

/// Under what the training scripts that people use save the weights beside an optimizer and an epoch.
const WEIGHTS: [&str; 4] = ["state_dict", "model_state_dict", "model", "net"];

/// Dictionaries in dictionaries.
const DEEPEST: usize = 16;

/// The tensors of a pickle.
pub fn contents(pickle: &Pickle, storages: &Storages, budget: &mut Budget) -> Result<Contents> {
    let Value::Dict(root) = pickle.root else {
        return Err(match pickle.root {
            Value::Object(class) | Value::Class(class) => whole_module(pickle.text(class)),
            _ => Error::input("holds no dictionary of tensors").hint("save `model.state_dict()` in PyTorch"),
        });
    };
    let mut walk = Walk { pickle, storages, budget, tensors: Vec::new() };
    walk.dict(root, "", 0)?;
    let mut tensors = walk.tensors;
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = tensors.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(Error::input("the name stands twice").place(format!("`{}`", pair[0].name)));
    }

    let mut weights = String::new();
    for key in WEIGHTS {
        let prefix = format!("{key}.");
        match pickle.get(pickle.root, key) {
            Some(Value::Object(class)) => return Err(whole_module(pickle.text(class))),
            Some(Value::Dict(_)) if tensors.iter().any(|tensor| tensor.name.starts_with(&prefix)) => {
                weights = prefix;
                break;
            }
            _ => {}
        }
    }
    Ok(Contents { tensors, metadata: BTreeMap::new(), weights })
}

fn whole_module(class: &str) -> Error {
    Error::input(format!("holds a whole pickled module (class `{class}`), not a state dict"))
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
    fn dict(&mut self, dict: u32, prefix: &str, depth: usize) -> Result<()> {
        if depth > DEEPEST {
            return Err(
                Error::input(format!("dictionaries in more than {DEEPEST} dictionaries")).hint(COPY_AGAIN)
            );
        }
        let pickle = self.pickle;
        for (key, value) in pickle.dict(dict) {
            // A dictionary may be in many others, and so its names more often than the file is long.
            self.budget.take(prefix.len() as u64 + 32)?;
            let Some(key) = pickle.key(*key) else { continue };
            match value {
                Value::Tensor(tensor) => {
                    let tensor = self.tensor(format!("{prefix}{key}"), &pickle.tensors[*tensor as usize])?;
                    self.tensors.push(tensor);
                }
                Value::Dict(inner) => self.dict(*inner, &format!("{prefix}{key}."), depth + 1)?,
                Value::Object(class) if pickle.text(*class).starts_with("torch._utils._rebuild_") => {
                    let message = format!("a tensor of a kind that is not read (`{}`)", pickle.text(*class));
                    return Err(Error::input(message).place(format!("`{prefix}{key}`")));
                }
                _ => {}
            }
        }
        Ok(())
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
