//! Weight files as they lie on the disk: which tensors there are, and where their numbers begin.
//!
//! A file is opened by reading its table of contents; numbers are read tensor by tensor. Nothing in a file is trusted: no
//! allocation is made for a size that the file merely claims, nothing nests on the stack, and what a file may ask for in
//! memory is bounded by its own size ([`Budget`]). Nothing in a pickle is ever run.

mod budget;
mod checkpoint;
mod darknet;
mod dtype;
mod legacy;
mod pickle;
mod safetensors;
mod zip;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use kiln_core::{Error, Result};

pub use dtype::Dtype;

use budget::Budget;

/// What a damaged file calls for.
const COPY_AGAIN: &str = "the file is damaged; fetch it again";

/// How a weight file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON header, then the numbers.
    Safetensors,
    /// What `torch.save` writes since PyTorch 1.6: a zip archive of a pickle and a file of numbers for each storage.
    TorchZip,
    /// What `torch.save` wrote before: five pickles, then the storages.
    TorchLegacy,
    /// A header of versions, then the numbers, without names.
    Darknet,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "safetensors",
            Self::TorchZip => "PyTorch zip archive",
            Self::TorchLegacy => "PyTorch, before 1.6",
            Self::Darknet => "Darknet",
        })
    }
}

/// A tensor in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTensor {
    /// Its full name in the file; the parts of nested dictionaries are joined by dots.
    pub name: String,
    /// The type of its numbers.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
    /// How many numbers to go for the next index of each dimension; `None` where the numbers lie row by row.
    strides: Option<Vec<usize>>,
    /// The byte of the file where its first number begins.
    start: u64,
    /// The bytes from there to the end of its last number.
    length: u64,
}

/// An open weight file.
#[derive(Debug)]
pub struct WeightFile<R> {
    reader: R,
    format: Format,
    contents: Contents,
    budget: Budget,
}

/// What a file's table of contents says.
#[derive(Debug, Default)]
struct Contents {
    tensors: Vec<StoredTensor>,
    metadata: BTreeMap<String, String>,
    /// What the names of the weights begin with, where a checkpoint holds more than weights: `state_dict.`.
    weights: String,
}

impl WeightFile<BufReader<File>> {
    /// Opens a weight file: safetensors, PyTorch's `.pt`, `.pth` and `.th`, or Darknet's `.weights`; the content decides, not the name.
    ///
    /// # Errors
    /// A file that is missing, damaged, or of another kind.
    pub fn open(file: &Path) -> Result<Self> {
        let reader = File::open(file).map_err(|why| Error::unreadable(file, &why))?;
        Self::new(BufReader::with_capacity(1 << 16, reader)).map_err(|error| error.file(file))
    }
}

impl<R: Read + Seek> WeightFile<R> {
    /// Reads the table of contents of a weight file.
    ///
    /// # Errors
    /// A source that cannot be read, is damaged, or is of another kind.
    pub fn new(mut reader: R) -> Result<Self> {
        let length = reader.seek(SeekFrom::End(0)).map_err(unreadable)?;
        reader.rewind().map_err(unreadable)?;
        let mut head = Vec::new();
        reader.by_ref().take(512).read_to_end(&mut head).map_err(unreadable)?;
        reader.rewind().map_err(unreadable)?;

        let format = detect(&head)?;
        let mut budget = Budget::of(length);
        let contents = match format {
            Format::Safetensors => safetensors::contents(&mut reader, length, &mut budget),
            Format::TorchZip => zip::contents(&mut reader, length, &mut budget),
            Format::TorchLegacy => legacy::contents(&mut reader, length, &mut budget),
            Format::Darknet => darknet::contents(&head, length),
        };
        Ok(Self { reader, format, contents: contents.map_err(legible)?, budget })
    }

    /// How the file is laid out.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Every tensor in the file, by name.
    pub fn tensors(&self) -> &[StoredTensor] {
        &self.contents.tensors
    }

    /// What a safetensors file says beside its tensors.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.contents.metadata
    }

    /// Hands over the weights, one by one: name, shape and values of each tensor of floats, with the numbers row by row,
    /// as 32-bit. Where a checkpoint holds more than weights (an optimizer), the rest is left out and the weights' names
    /// are without what they all begin with.
    ///
    /// # Errors
    /// A source that cannot be read; tensors that ask for more memory than their file's size allows.
    pub fn weights(&mut self, mut take: impl FnMut(&str, &[usize], Vec<f32>)) -> Result<()> {
        for tensor in &self.contents.tensors {
            let Some(name) = tensor.name.strip_prefix(&self.contents.weights) else { continue };
            if tensor.dtype.is_float() {
                let values = tensor.values(&mut self.reader, &mut self.budget).map_err(legible)?;
                take(name, &tensor.shape, values);
            }
        }
        Ok(())
    }
}

impl StoredTensor {
    /// Numbers in it.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// A tensor whose numbers must lie within `length` bytes from `start` on; `strides` are counted in numbers.
    fn place(
        name: String,
        dtype: Dtype,
        shape: Vec<usize>,
        strides: Option<Vec<usize>>,
        [start, length]: [u64; 2],
    ) -> Result<Self> {
        /// As PyTorch.
        const DIMENSIONS: usize = 64;

        let place = format!("`{name}`");
        if name.chars().any(char::is_control) {
            return Err(Error::input("control characters in a name").place(place).hint(COPY_AGAIN));
        }
        if shape.len() > DIMENSIONS {
            return Err(Error::input(format!("{} dimensions", shape.len())).place(place).hint(COPY_AGAIN));
        }
        let too_large = || Error::input(format!("a tensor cannot have the shape {shape:?}")).place(&place);
        let count = shape.iter().try_fold(1usize, |all, side| all.checked_mul(*side));
        // Strides of nothing repeat a number as often as they like; the budget sees to that, if the bytes can be counted.
        let count =
            count.filter(|count| count.checked_mul(size_of::<f64>()).is_some()).ok_or_else(too_large)?;
        let strides = strides.filter(|strides| count > 0 && !is_row_by_row(&shape, strides));
        let last = match &strides {
            _ if count == 0 => None,
            None => Some(count - 1),
            Some(strides) => {
                let step = |at: usize, (side, stride): (&usize, &usize)| {
                    (side - 1).checked_mul(*stride).and_then(|step| at.checked_add(step))
                };
                Some(shape.iter().zip(strides).try_fold(0, step).ok_or_else(too_large)?)
            }
        };
        let numbers = last.map_or(Some(0), |last| last.checked_add(1)).ok_or_else(too_large)?;
        let needed = (numbers as u64).checked_mul(dtype.size()).ok_or_else(too_large)?;
        if needed > length {
            let message =
                format!("the shape {shape:?} of {dtype} takes {needed} bytes, but {length} are there");
            return Err(Error::input(message).place(place).hint(COPY_AGAIN));
        }
        Ok(Self { name, dtype, shape, strides, start, length: needed })
    }

    fn values(&self, reader: &mut (impl Read + Seek), budget: &mut Budget) -> Result<Vec<f32>> {
        let at = |error: Error| error.place(format!("`{}`", self.name));
        let broken = |why| at(unreadable(why));
        budget.take(self.count() as u64 * size_of::<f32>() as u64).map_err(at)?;
        reader.seek(SeekFrom::Start(self.start)).map_err(broken)?;
        let mut values = Vec::with_capacity(self.count());
        let Some(strides) = &self.strides else {
            self.dtype.read_floats(reader, self.count(), &mut values).map_err(broken)?;
            return Ok(values);
        };
        let numbers = (self.length / self.dtype.size()) as usize;
        budget.take(numbers as u64 * size_of::<f32>() as u64).map_err(at)?;
        let mut stored = Vec::with_capacity(numbers);
        self.dtype.read_floats(reader, numbers, &mut stored).map_err(broken)?;
        // The index counts up like an odometer: the last dimension turns first.
        let mut index = vec![0; self.shape.len()];
        for _ in 0..self.count() {
            values.push(stored[index.iter().zip(strides).map(|(i, stride)| i * stride).sum::<usize>()]);
            for (i, side) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *side {
                    break;
                }
                *i = 0;
            }
        }
        Ok(values)
    }
}

/// Whether strides are those of numbers that lie row by row; the stride of a dimension of one says nothing.
fn is_row_by_row(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(side, stride)| {
        let fits = *side <= 1 || *stride == expected;
        expected *= side;
        fits
    })
}

/// The layout of a file that begins with these bytes.
fn detect(head: &[u8]) -> Result<Format> {
    // What people have in their hands instead of a weight file.
    const OTHERS: [(usize, &[u8], &str); 7] = [
        (0, b"<", "a web page; the address may be wrong or want a login"),
        (0, b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with `git lfs pull`"),
        (0, b"\x89HDF", "HDF5, as Keras writes it; only PyTorch's files and safetensors are read"),
        (0, b"\x1f\x8b", "compressed by gzip; unpack it"),
        (0, b"\x08", "ONNX; only PyTorch's files and safetensors are read"),
        (0, b"GGUF", "GGUF; only PyTorch's files and safetensors are read"),
        (
            257,
            b"ustar",
            "a tar file, as PyTorch wrote them before 0.1.10; load it in PyTorch and save it again",
        ),
    ];
    let begins = |at: usize, magic: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
    // safetensors: eight bytes of length, then a JSON object.
    if begins(8, b"{") {
        return Ok(Format::Safetensors);
    }
    if begins(0, b"PK\x03\x04") {
        return Ok(Format::TorchZip);
    }
    if legacy::begins_so(head) {
        return Ok(Format::TorchLegacy);
    }
    if darknet::begins_so(head) {
        return Ok(Format::Darknet);
    }
    if head.is_empty() {
        return Err(Error::input("an empty file, no weights").hint(COPY_AGAIN));
    }
    let other = OTHERS.iter().find(|(at, magic, _)| begins(*at, magic)).map(|(_, _, what)| *what);
    let other =
        other.or_else(|| (head[0] == pickle::PROTOCOL).then_some("a bare pickle; save with `torch.save`"));
    let what = other.unwrap_or(
        "of an unknown kind; safetensors, PyTorch state dicts (.pt, .pth) and Darknet's .weights are read",
    );
    Err(Error::input(format!("no weight file that can be read: it is {what}")))
}

/// A read that failed in the middle of a file: a file that ends too early, or what the operating system says.
fn unreadable(why: std::io::Error) -> Error {
    match why.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::input("the file ends too early").hint(COPY_AGAIN),
        _ => Error::input(format!("cannot be read: {why}")),
    }
}

/// The same error in one line of some hundred letters, as names and texts in a file may be anything.
pub(crate) fn legible(error: Error) -> Error {
    const LETTERS: usize = 300;
    let clean = |text: &str| {
        let escaped = text.chars().flat_map(|letter| {
            let control = letter.is_control();
            letter.escape_default().filter(move |_| control).chain((!control).then_some(letter))
        });
        let mut clean: String = escaped.take(LETTERS).collect();
        if text.chars().count() > LETTERS {
            clean.push('…');
        }
        clean
    };
    let mut legible = Error::input(clean(error.message()));
    if let Some(place) = error.place_named() {
        legible = legible.place(clean(place));
    }
    match error.hint_given() {
        Some(hint) => legible.hint(hint),
        None => legible,
    }
}
