//! What an optimizer remembers, and how it is saved: exactly.

use std::collections::BTreeMap;
use std::path::Path;

use burn::prelude::*;
use kiln_core::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::Optimizer;

/// What is remembered of one parameter.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    /// Gradients seen.
    pub steps: u64,
    pub numbers: Numbers,
    tensors: BTreeMap<&'static str, Tensor<1>>,
}

impl Memory {
    /// Takes out what is kept under a name.
    pub fn take(&mut self, name: &'static str) -> Option<Tensor<1>> {
        self.tensors.remove(name)
    }

    /// Keeps a tensor under a name, and gives it back.
    pub fn keep(&mut self, name: &'static str, value: Tensor<1>) -> Tensor<1> {
        self.tensors.insert(name, value.clone());
        value
    }

    /// A sum from 0 on: `s ← share · s + value`.
    pub fn sum(&mut self, name: &'static str, share: f64, value: Tensor<1>) -> Tensor<1> {
        let sum = match self.take(name) {
            Some(sum) => sum * share + value,
            None => value,
        };
        self.keep(name, sum)
    }

    /// An exponential average from 0 on: `m ← beta · m + (1 - beta) · value`.
    pub fn average(&mut self, name: &'static str, beta: f64, value: Tensor<1>) -> Tensor<1> {
        self.sum(name, beta, value * (1.0 - beta))
    }

    /// The largest so far, from 0 on: `u ← max(share · u, value)`.
    pub fn largest(&mut self, name: &'static str, share: f64, value: Tensor<1>) -> Tensor<1> {
        let largest = match self.take(name) {
            Some(largest) => (largest * share).max_pair(value),
            None => value,
        };
        self.keep(name, largest)
    }
}

/// Named numbers; one that was never set is 0.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers(BTreeMap<&'static str, f64>);

impl Numbers {
    pub fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    pub fn set(&mut self, name: &'static str, value: f64) {
        self.0.insert(name, value);
    }

    pub fn add(&mut self, name: &'static str, value: f64) {
        self.set(name, self.get(name) + value);
    }

    /// The number, which is 0 afterwards.
    pub fn take(&mut self, name: &str) -> f64 {
        self.0.remove(name).unwrap_or(0.0)
    }
}

impl Optimizer {
    /// What is remembered, as a safetensors file: `<path>.<name>`, and without a path what is of the whole network.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut tensors: Vec<(String, Vec<u8>, Dtype)> = Vec::new();
        let mut numbers = |path: &str, numbers: &Numbers| {
            let bytes = numbers
                .0
                .iter()
                .map(|(name, number)| (format!("{path}.{name}"), number.to_le_bytes().to_vec(), Dtype::F64));
            tensors.extend(bytes);
        };
        numbers("", &self.whole);
        for (path, memory) in &self.memory {
            numbers(path, &memory.numbers);
        }
        for (path, memory) in &self.memory {
            for (name, tensor) in &memory.tensors {
                let values = tensor.try_to_vec_as::<f32>().map_err(|why| {
                    Error::failure(format!("the state of `{path}` cannot be read from the device: {why:?}"))
                })?;
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                tensors.push((format!("{path}.{name}"), bytes, Dtype::F32));
            }
            tensors.push((format!("{path}.{STEPS}"), memory.steps.to_le_bytes().to_vec(), Dtype::U64));
        }
        let views = tensors.iter().map(|(name, bytes, dtype)| {
            let items = bytes.len() * 8 / dtype.bitsize();
            TensorView::new(*dtype, vec![items], bytes).map(|view| (name.as_str(), view))
        });
        let views: Result<Vec<_>, _> = views.collect();
        views
            .and_then(|views| safetensors::serialize(views, None))
            .map_err(|why| Error::failure(format!("the optimizer's state cannot be written: {why}")))
    }

    /// Remembers again what [`Optimizer::to_bytes`] said; `file` is where the bytes come from.
    pub(crate) fn restored(mut self, bytes: &[u8], file: &Path, device: &Device) -> Result<Self> {
        let damaged = |why: &str| Error::input(format!("is no optimizer state: {why}")).file(file);
        let tensors = SafeTensors::deserialize(bytes).map_err(|why| damaged(&why.to_string()))?;
        let keeps = self.config.rule.update().keeps();
        for (name, view) in tensors.iter() {
            let (path, what) = name.rsplit_once('.').ok_or_else(|| damaged(&format!("it holds `{name}`")))?;
            let known = keeps.iter().find(|known| **known == what).copied();
            let word = || view.data().try_into().map_err(|_| damaged(&format!("`{name}` is no number")));
            match (known, view.dtype(), path.is_empty()) {
                (Some(known), Dtype::F64, true) => self.whole.set(known, f64::from_le_bytes(word()?)),
                (Some(known), Dtype::F64, false) => {
                    self.remember(path).numbers.set(known, f64::from_le_bytes(word()?));
                }
                (Some(known), Dtype::F32, false) => {
                    let values =
                        view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                    let values: Vec<f32> = values.collect();
                    self.remember(path).keep(known, Tensor::from_data(values.as_slice(), device));
                }
                (None, Dtype::U64, false) if what == STEPS => {
                    self.remember(path).steps = u64::from_le_bytes(word()?);
                }
                (_, dtype, _) => return Err(damaged(&format!("it holds `{name}` of {dtype:?}"))),
            }
        }
        Ok(self)
    }

    fn remember(&mut self, path: &str) -> &mut Memory {
        self.memory.entry(path.to_string()).or_default()
    }
}

/// The name of a parameter's count of steps.
const STEPS: &str = "steps";
