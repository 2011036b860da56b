//! PyTorch's zip archive: `NAME/data.pkl` is a pickle whose tensors name their storages, `NAME/data/KEY` are the storages'
//! bytes, stored and not compressed, and `NAME/byteorder` says `little` or `big`.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Seek, SeekFrom};

use kiln_core::{Error, Result};
use zip::{CompressionMethod, ZipArchive};

use super::budget::Budget;
use super::checkpoint::{self, Storages};
use super::pickle::{self, Input};
use super::{COPY_AGAIN, Contents, unreadable};

/// The table of contents of an archive of that length.
pub fn contents(reader: &mut (impl Read + Seek), length: u64, budget: &mut Budget) -> Result<Contents> {
    let entries = entries(reader, length, budget)?;
    // The archive's name is the file's when it was saved, or `archive`.
    let pickle = entries.keys().filter(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
    let Some(pickle) = pickle.min_by_key(|name| name.len()) else {
        let message = "a zip archive without `data.pkl`, so not one that PyTorch wrote";
        return Err(Error::input(message).hint("safetensors and PyTorch state dicts (.pt, .pth) are read"));
    };
    let root = pickle.strip_suffix("data.pkl").unwrap_or_default();
    let within = |name: &str| entries.get(&format!("{root}{name}")).copied();
    if let Some([start, size]) = within("byteorder") {
        let mut order = String::new();
        reader.seek(SeekFrom::Start(start)).map_err(unreadable)?;
        reader.by_ref().take(size.min(16)).read_to_string(&mut order).map_err(unreadable)?;
        if order != "little" {
            let message = format!("its numbers are in {order:?} byte order, not in little");
            return Err(Error::input(message).hint("save it again on a little-endian machine"));
        }
    }

    let [start, size] = entries[pickle];
    reader.seek(SeekFrom::Start(start)).map_err(unreadable)?;
    let mut input = Input::new(BufReader::new(reader.by_ref().take(size)));
    let pickle = pickle::read(&mut input, budget).map_err(in_pickle)?;
    let data = format!("{root}data/");
    let storages: Storages = (entries.iter())
        .filter_map(|(name, place)| Some((name.strip_prefix(&data)?.to_string(), *place)))
        .collect();
    checkpoint::contents(&pickle, &storages, budget)
}

fn in_pickle(error: Error) -> Error {
    let place = error.place_named().map(|place| format!("data.pkl, {place}"));
    error.place(place.unwrap_or_else(|| "data.pkl".to_string()))
}

/// The archive's files by name: the byte where each begins, and how many it has.
fn entries(
    reader: &mut (impl Read + Seek),
    length: u64,
    budget: &mut Budget,
) -> Result<BTreeMap<String, [u64; 2]>> {
    let broken = |why: zip::result::ZipError| {
        Error::input(format!("a zip archive that cannot be read ({why})")).hint(COPY_AGAIN)
    };
    let mut archive = ZipArchive::new(reader).map_err(broken)?;
    if archive.file_names().flatten().any(|name| name.ends_with("constants.pkl")) {
        let message = "holds a TorchScript program, not a state dict";
        return Err(Error::input(message).hint("save `model.state_dict()` in PyTorch"));
    }
    let mut entries = BTreeMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(broken)?;
        let name = entry.name().map_err(broken)?.into_owned();
        let place = format!("`{name}`");
        let damaged = |message: &str| Error::input(message).place(&place).hint(COPY_AGAIN);
        if entry.encrypted() || entry.compression() != CompressionMethod::Stored {
            let message = "is compressed, which `torch.save` does not do";
            return Err(Error::input(message).place(place).hint("load it in PyTorch and save it again"));
        }
        let start = entry.data_start().ok_or_else(|| damaged("has no beginning"))?;
        let size = entry.size();
        if start.checked_add(size).is_none_or(|end| end > length) {
            return Err(damaged(&format!("is said to have {size} bytes, more than the file")));
        }
        budget.take(2 * name.len() as u64 + 128)?;
        entries.insert(name, [start, size]);
    }
    Ok(entries)
}
