//! safetensors: eight bytes of length, a JSON object of that length, then the numbers without a gap.
//!
//! The format: <https://github.com/huggingface/safetensors>. The header is read here and not by the safetensors crate, so
//! that a name that stands twice is found and an error names its tensor.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Seek, SeekFrom};

use kiln_core::{Error, Result};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use super::budget::Budget;
use super::{COPY_AGAIN, Contents, Dtype, StoredTensor, unreadable};

/// The bytes that say how long the header is.
const LENGTH: u64 = 8;

/// Memory that a byte of the header takes at most, as shapes, names and metadata.
const MEMORY: u64 = 12;

/// The table of contents of a file of that length.
pub fn contents(reader: &mut (impl Read + Seek), length: u64, budget: &mut Budget) -> Result<Contents> {
    let mut size = [0; LENGTH as usize];
    reader.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    reader.read_exact(&mut size).map_err(unreadable)?;
    let size = u64::from_le_bytes(size);
    let Some(data) = size.checked_add(LENGTH).filter(|data| *data <= length) else {
        let message = format!("the header is said to have {size} bytes, the file has {length}");
        return Err(Error::input(message).hint(COPY_AGAIN));
    };
    budget.take(size.saturating_mul(MEMORY))?;
    let mut json = vec![0; size as usize];
    reader.read_exact(&mut json).map_err(unreadable)?;
    let header: Header = serde_json::from_slice(&json).map_err(|why| {
        let error = Error::input(why.to_string()).place("its header");
        if why.is_data() { error } else { error.hint(COPY_AGAIN) }
    })?;

    let tensors = placed(header.tensors, data, length)?;
    Ok(Contents { tensors, metadata: header.metadata, weights: String::new() })
}

/// The tensors by name, their bytes after one another from `data` to the file's end.
fn placed(mut infos: Vec<(String, Info)>, data: u64, length: u64) -> Result<Vec<StoredTensor>> {
    infos.sort_by_key(|(_, info)| info.data_offsets);
    let mut tensors = Vec::with_capacity(infos.len());
    let mut at = 0;
    for (name, info) in infos {
        let place = format!("`{name}`");
        let [start, end] = info.data_offsets;
        if start != at || end < start || end > length - data {
            let there = length - data;
            let message = format!(
                "its bytes are said to be {start} to {end}; they must begin at {at} and end by {there}"
            );
            return Err(Error::input(message).place(place).hint(COPY_AGAIN));
        }
        let tensor = StoredTensor::place(name, info.dtype, info.shape, None, [data + start, end - start])?;
        if tensor.length != end - start {
            let (shape, dtype, needed) = (&tensor.shape, info.dtype, tensor.length);
            let message =
                format!("the shape {shape:?} of {dtype} takes {needed} bytes, but {} are there", end - start);
            return Err(Error::input(message).place(place).hint(COPY_AGAIN));
        }
        tensors.push(tensor);
        at = end;
    }
    if at != length - data {
        let message = format!("its tensors take {at} bytes, but {} are there", length - data);
        return Err(Error::input(message).hint(COPY_AGAIN));
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    match tensors.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(Error::input("the name stands twice").place(format!("`{}`", pair[0].name))),
        None => Ok(tensors),
    }
}

#[derive(Default)]
struct Header {
    tensors: Vec<(String, Info)>,
    metadata: BTreeMap<String, String>,
}

#[derive(serde::Deserialize)]
struct Info {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Header, A::Error> {
                let mut header = Header::default();
                while let Some(name) = entries.next_key::<String>()? {
                    if name == "__metadata__" {
                        header.metadata = entries.next_value()?;
                    } else {
                        let info = entries.next_value();
                        let info = info.map_err(|why| A::Error::custom(format!("`{name}`: {why}")))?;
                        header.tensors.push((name, info));
                    }
                }
                Ok(header)
            }
        }

        deserializer.deserialize_map(Entries)
    }
}
