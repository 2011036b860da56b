//! What `torch.save` wrote before PyTorch 1.6: five pickles (a magic number, a version, the machine, the object, the keys
//! of its storages), then for each key the count of its numbers in eight bytes and the numbers.

use std::io::{BufReader, Read, Seek, SeekFrom};

use kiln_core::{Error, Result};

use super::budget::Budget;
use super::checkpoint::{self, Storages};
use super::pickle::{self, Input, Value};
use super::{COPY_AGAIN, Contents, unreadable};

/// The number in the first pickle: 0x1950a86a20f9469cfc6c.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// The one version there ever was.
const VERSION: i64 = 1001;

/// Whether a file begins like one of these.
pub fn begins_so(head: &[u8]) -> bool {
    // Before it stands the pickle's protocol, and from protocol 4 on a frame.
    head.first() == Some(&pickle::PROTOCOL) && head.windows(MAGIC.len()).take(16).any(|part| part == MAGIC)
}

/// The table of contents of a file of that length.
pub fn contents(reader: &mut (impl Read + Seek), length: u64, budget: &mut Budget) -> Result<Contents> {
    let mut input = Input::new(BufReader::new(reader.by_ref()));
    let _magic = pickle::read(&mut input, budget)?;
    let version = pickle::read(&mut input, budget)?;
    if !matches!(version.root, Value::Int(VERSION)) {
        return Err(Error::input(format!("a PyTorch file of an unknown version, not {VERSION}")));
    }
    let machine = pickle::read(&mut input, budget)?;
    if matches!(machine.get(machine.root, "little_endian"), Some(Value::Bool(false))) {
        let message = "its numbers are in big-endian byte order";
        return Err(Error::input(message).hint("save it again on a little-endian machine"));
    }
    let object = pickle::read(&mut input, budget)?;
    let keys = pickle::read(&mut input, budget)?;
    let mut at = input.position();

    // Only the tensors that use a storage say how large its numbers are.
    let sizes = checkpoint::number_sizes(&object, budget)?;
    let mut storages = Storages::new();
    for key in keys.items(keys.root) {
        let key = keys.key(*key).ok_or_else(|| Error::input("the keys of its storages are no texts"))?;
        let place = format!("storage `{key}`");
        let damaged = |message: String| Error::input(message).place(&place).hint(COPY_AGAIN);
        let size = sizes.get(&key).ok_or_else(|| damaged("no tensor says what it holds".to_string()))?;
        reader.seek(SeekFrom::Start(at)).map_err(unreadable)?;
        let mut count = [0; 8];
        reader.read_exact(&mut count).map_err(|why| unreadable(why).place(&place))?;
        at += count.len() as u64;
        let count = u64::from_le_bytes(count);
        let Some(bytes) = count.checked_mul(*size).filter(|bytes| *bytes <= length - at) else {
            let left = length - at;
            return Err(damaged(format!(
                "is said to have {count} numbers, but the file has {left} bytes left"
            )));
        };
        budget.take(2 * key.len() as u64 + 128)?;
        storages.insert(key, [at, bytes]);
        at += bytes;
    }
    checkpoint::contents(&object, &storages, budget)
}
