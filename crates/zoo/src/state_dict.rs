//! Named tensors, and the files that hold them.

use std::collections::BTreeMap;
use std::io::{BufWriter, Read, Seek, Write};
use std::path::Path;

use kiln_core::{Error, Result};
use serde_json::{Map, Value, json};

use crate::formats::legible;
use crate::{Entry, Preprocessing, WeightFile};

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

/// What PyTorch's `DataParallel` and `torch.compile` put before every name.
const WRAPPERS: [&str; 3] = ["state_dict.", "module.", "_orig_mod."];

/// Writes a file, beside and then renamed.
///
/// # Errors
/// A place that cannot be written.
pub(crate) fn written(
    file: &Path,
    extension: &str,
    write: impl FnOnce(&mut BufWriter<std::fs::File>) -> std::io::Result<()>,
) -> Result<()> {
    let part = file.with_extension(extension);
    let written = std::fs::File::create(&part).and_then(|out| {
        let mut out = BufWriter::new(out);
        write(&mut out)?;
        out.into_inner()?.sync_all()
    });
    written.and_then(|()| std::fs::rename(&part, file)).map_err(|why| {
        // On a full disk every byte counts. That it cannot be removed is no news after this error.
        let _ = std::fs::remove_file(&part);
        Error::unwritable(file, &why)
    })
}

impl StateDict {
    /// Reads a weight file: safetensors, PyTorch's `.pt`, `.pth` and `.th`, or Darknet's `.weights`; the content decides, not
    /// the name. What a Darknet file's numbers are is known when they are loaded into a model.
    ///
    /// A checkpoint's `state_dict` or `model` is entered, and what `DataParallel` and `torch.compile` put before every
    /// name is dropped; 16- and 64-bit floats become 32-bit; integers (`num_batches_tracked`) are left out. Of a whole
    /// module that was pickled the tensors of its state dict are read, and nothing else; of two (YOLOv5's `ema` and `model`)
    /// the average.
    ///
    /// # Errors
    /// A file that is missing, damaged, or of another kind.
    pub fn read(file: &Path) -> Result<Self> {
        let opened = WeightFile::open(file)?;
        Self::of(opened).map_err(|error| error.file(file))
    }

    /// Takes the weights from an open file, as [`read`](Self::read).
    ///
    /// # Errors
    /// A source that cannot be read, or whose weights make no state dict.
    pub fn of(mut file: WeightFile<impl Read + Seek>) -> Result<Self> {
        let preprocessing = file.metadata().get(METADATA).map(|json| serde_json::from_str(json)).transpose();
        let preprocessing = preprocessing.map_err(|why: serde_json::Error| {
            legible(Error::input(why.to_string()).place(format!("its metadata `{METADATA}`")))
        })?;
        let mut dict = Self { tensors: BTreeMap::new(), preprocessing };
        file.weights(|name, shape, values| {
            dict.tensors.insert(name.to_string(), (shape.to_vec(), values));
        })?;
        if dict.tensors.is_empty() {
            return Err(Error::input("holds no floating-point tensors"));
        }
        while let Some(wrapper) =
            WRAPPERS.iter().find(|wrapper| dict.tensors.keys().all(|name| name.starts_with(*wrapper)))
        {
            let unwrapped = |(name, tensor): (String, _)| (name[wrapper.len()..].to_string(), tensor);
            dict.tensors = dict.tensors.into_iter().map(unwrapped).collect();
        }
        Ok(dict)
    }

    /// Writes a safetensors file, beside and then renamed. The same tensors give the same bytes, which the safetensors
    /// crate does not promise: its metadata is in no order.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let header = self.header().map_err(|why| Error::unwritable(file, &why.into()))?;
        written(file, "safetensors.part", |part| {
            part.write_all(&(header.len() as u64).to_le_bytes())?;
            part.write_all(header.as_bytes())?;
            let mut values = self.tensors.values().flat_map(|(_, values)| values);
            values.try_for_each(|value| part.write_all(&value.to_le_bytes()))
        })
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
        let mut header = serde_json::to_string(&header)?;
        while !header.len().is_multiple_of(8) {
            header.push(' ');
        }
        Ok(header)
    }

    /// The same tensors under the model's own names.
    pub fn renamed(mut self, entry: &Entry) -> Self {
        let names: Vec<String> = self.tensors.keys().cloned().collect();
        for name in names {
            let ours = self.our_name(&name, entry);
            if let Some(tensor) = self.tensors.remove(&name) {
                self.tensors.insert(ours, tensor);
            }
        }
        self
    }

    /// The model's own name of a tensor; if there is a tensor under that name too, it keeps its name.
    pub(crate) fn our_name(&self, name: &str, entry: &Entry) -> String {
        let ours = entry.rename(name);
        if self.tensors.contains_key(&ours) { name.to_string() } else { ours }
    }

    /// A classifier's weights under the names that they have where a segmenter stands on it, as far as that has them: a ResNet's as
    /// `backbone.`, VGG's linear layers as the convolutions `fc6` and `fc7` with the same numbers.
    pub(crate) fn into_backbone(mut self, expected: &BTreeMap<String, Vec<usize>>) -> Self {
        let count = |shape: &[usize]| shape.iter().product::<usize>();
        let strange: Vec<String> =
            self.tensors.keys().filter(|name| !expected.contains_key(*name)).cloned().collect();
        for name in strange {
            let names = [
                format!("backbone.{name}"),
                name.replace("classifier.0.", "fc6."),
                name.replace("classifier.3.", "fc7."),
            ];
            let ours = names.into_iter().find_map(|ours| expected.get(&ours).map(|shape| (ours, shape)));
            let Some((ours, shape)) = ours.filter(|(ours, _)| !self.tensors.contains_key(ours)) else {
                continue;
            };
            if self.tensors.get(&name).is_some_and(|(theirs, _)| count(theirs) == count(shape))
                && let Some((_, values)) = self.tensors.remove(&name)
            {
                self.tensors.insert(ours, (shape.clone(), values));
            }
        }
        self
    }

    pub(crate) fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.tensors.iter().map(|(name, (shape, _))| (name.clone(), shape.clone())).collect()
    }

    /// Classes that these weights of a model tell apart; `None` if its last linear layer is not there.
    pub fn classes(&self, entry: &Entry) -> Option<usize> {
        let last = format!("{}weight", entry.classifier_keys().first()?);
        let last = self.tensors.iter().find(|(name, _)| entry.rename(name) == last);
        last.and_then(|(_, (shape, _))| entry.classes_of(*shape.first()?))
    }
}
