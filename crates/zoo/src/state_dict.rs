//! Named tensors, and the files that hold them.

use std::collections::BTreeMap;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use burn::store::pytorch_reader::{DType as TorchType, PytorchReader};
use half::{bf16, f16};
use kiln_core::{Error, Result};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Entry;

/// What belongs to a weight file beside its numbers: how images are prepared, and what its classes are called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// The shorter side is resized to this many pixels first.
    pub resize: usize,
    /// Then a square of this many pixels a side is cut from the centre.
    pub size: usize,
    /// Subtracted from each channel (red, green, blue; 0 to 1).
    pub mean: [f32; 3],
    /// What each channel is divided by.
    pub std: [f32; 3],
    /// Names of the classes; empty where nobody knows them.
    pub classes: Vec<String>,
}

/// Floating-point tensors by name, in PyTorch's layout, as 32-bit numbers.
#[derive(Debug, Clone, Default)]
pub struct StateDict {
    /// Shape and values, row by row.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// What the file says of the images it wants.
    pub preprocessing: Option<Preprocessing>,
}

/// The key of our entry in a safetensors file's metadata.
const METADATA: &str = "kiln";

impl StateDict {
    /// Reads a weight file: safetensors, or PyTorch's `.pt`, `.pth` and `.th`; the content decides, not the name.
    ///
    /// A `state_dict` entry is entered and a `module.` before every name (PyTorch's `DataParallel`) is dropped;
    /// 16- and 64-bit floats become 32-bit; integers (`num_batches_tracked`) are left out.
    ///
    /// # Errors
    /// A file that is missing, truncated, or of another kind.
    pub fn read(file: &Path) -> Result<Self> {
        let unreadable = |why: std::io::Error| Error::unreadable(file, &why);
        let mut head = [0u8; 9];
        let length = std::fs::File::open(file).and_then(|mut f| f.read(&mut head)).map_err(unreadable)?;
        // safetensors: eight bytes of length, then a JSON object. PyTorch: a zip archive or a pickle.
        let dict = if length == 9 && head[8] == b'{' {
            Self::from_safetensors(&std::fs::read(file).map_err(unreadable)?)
        } else {
            Self::from_pytorch(file)
        };
        let dict = dict.map_err(|why| {
            Error::input(format!("no weight file that can be read: {why}"))
                .file(file)
                .hint("safetensors and PyTorch state dicts (.pt, .pth) are read")
        })?;
        if dict.tensors.is_empty() {
            return Err(Error::input("holds no floating-point tensors").file(file));
        }
        Ok(dict.without_wrappers())
    }

    /// Writes a safetensors file, beside and then renamed. The same tensors give the same bytes, which the safetensors
    /// crate does not promise: its metadata is in no order.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let unwritable = |why: &std::io::Error| Error::unwritable(file, why);
        let header = self.header().map_err(|why| unwritable(&why.into()))?;
        let part = file.with_extension("safetensors.part");
        let written = std::fs::File::create(&part).and_then(|part| {
            let mut part = BufWriter::new(part);
            part.write_all(&(header.len() as u64).to_le_bytes())?;
            part.write_all(header.as_bytes())?;
            for value in self.tensors.values().flat_map(|(_, values)| values) {
                part.write_all(&value.to_le_bytes())?;
            }
            part.into_inner()?.sync_all()
        });
        written.and_then(|()| std::fs::rename(&part, file)).map_err(|why| unwritable(&why))
    }

    /// The JSON before the numbers: where each tensor is, and our entry of metadata.
    fn header(&self) -> serde_json::Result<String> {
        // `format` is what PyTorch's loaders ask for.
        let mut metadata = Map::from_iter([("format".to_string(), json!("pt"))]);
        if let Some(preprocessing) = &self.preprocessing {
            metadata.insert(METADATA.to_string(), json!(serde_json::to_string(preprocessing)?));
        }
        let mut header = Map::from_iter([("__metadata__".to_string(), Value::Object(metadata))]);
        let mut end = 0;
        for (name, (shape, values)) in &self.tensors {
            let start = end;
            end += values.len() * size_of::<f32>();
            header
                .insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]}));
        }
        let header = serde_json::to_string(&header)?;
        let aligned = header.len().next_multiple_of(8);
        Ok(format!("{header:aligned$}"))
    }

    /// Classes that these weights of a model tell apart; `None` if its last linear layer is not there.
    pub fn classes(&self, entry: &Entry) -> Option<usize> {
        let alias = |name: &String| {
            entry.aliases().iter().fold(name.clone(), |name, (theirs, ours)| name.replace(theirs, ours))
        };
        let last = self.tensors.iter().find(|(name, _)| alias(name) == entry.classifier_key());
        last.and_then(|(_, (shape, _))| shape.first().copied())
    }

    fn from_safetensors(bytes: &[u8]) -> Result<Self, String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|why| why.to_string())?;
        let file = SafeTensors::deserialize(bytes).map_err(|why| why.to_string())?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let bytes = view.data();
            let values = match view.dtype() {
                Dtype::F32 => numbers(bytes, f32::from_le_bytes),
                Dtype::F16 => numbers(bytes, |b| f16::from_le_bytes(b).to_f32()),
                Dtype::BF16 => numbers(bytes, |b| bf16::from_le_bytes(b).to_f32()),
                Dtype::F64 => numbers(bytes, |b| f64::from_le_bytes(b) as f32),
                _ => continue,
            };
            tensors.insert(name.to_string(), (view.shape().to_vec(), values));
        }
        let entry = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA));
        let preprocessing = entry.map(|json| serde_json::from_str(json)).transpose();
        let preprocessing = preprocessing.map_err(|why| format!("its metadata `{METADATA}`: {why}"))?;
        Ok(Self { tensors, preprocessing })
    }

    fn from_pytorch(file: &Path) -> Result<Self, String> {
        let reader = PytorchReader::new(file).map_err(|why| why.to_string())?;
        let mut tensors = BTreeMap::new();
        for (name, tensor) in reader.into_tensors() {
            let shape = tensor.shape().to_vec();
            let read = || tensor.read().map_err(|why| format!("`{name}`: {why}"));
            let values = match tensor.dtype() {
                TorchType::F32 => numbers(&read()?, f32::from_le_bytes),
                TorchType::F16 => numbers(&read()?, |b| f16::from_le_bytes(b).to_f32()),
                TorchType::BF16 => numbers(&read()?, |b| bf16::from_le_bytes(b).to_f32()),
                TorchType::F64 => numbers(&read()?, |b| f64::from_le_bytes(b) as f32),
                _ => continue,
            };
            if values.len() != shape.iter().product::<usize>() {
                return Err(format!("`{name}`: {} values for the shape {shape:?}", values.len()));
            }
            tensors.insert(name, (shape, values));
        }
        Ok(Self { tensors, preprocessing: None })
    }

    /// Drops what all names begin with and no model has.
    fn without_wrappers(mut self) -> Self {
        for prefix in ["state_dict.", "module."] {
            // A checkpoint may hold an optimizer's tensors beside its `state_dict`; those are not weights.
            let wrapped = self.tensors.keys().filter(|name| name.starts_with(prefix)).count();
            if wrapped == self.tensors.len() || (prefix == "state_dict." && wrapped > 0) {
                let inside =
                    |(name, tensor): (String, _)| Some((name.strip_prefix(prefix)?.to_string(), tensor));
                self.tensors = self.tensors.into_iter().filter_map(inside).collect();
            }
        }
        self
    }
}

fn numbers<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| number(*chunk)).collect()
}
