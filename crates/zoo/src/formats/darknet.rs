//! Darknet's `.weights`: three integers of version, the number of images seen, and then nothing but numbers.

use kiln_core::{Error, Result};

use super::{COPY_AGAIN, Contents, Dtype, StoredTensor};
use crate::darknet::ALL;

/// Whether a file begins as Darknet writes it: version 0.1 or 0.2, of a small revision.
pub(super) fn begins_so(head: &[u8]) -> bool {
    version(head).is_some_and(|[major, minor, revision]| {
        major == 0 && (1..=2).contains(&minor) && (0..100).contains(&revision)
    })
}

fn version(head: &[u8]) -> Option<[i32; 3]> {
    let number = |at: usize| Some(i32::from_le_bytes(head.get(4 * at..4 * at + 4)?.try_into().ok()?));
    Some([number(0)?, number(1)?, number(2)?])
}

/// All numbers as one tensor: what they are only the model knows.
pub(super) fn contents(head: &[u8], length: u64) -> Result<Contents> {
    // Since version 0.2 the images seen are 64 bits.
    let start = if head.get(4) == Some(&2) { 20 } else { 16 };
    let numbers = length.checked_sub(start).filter(|bytes| bytes.is_multiple_of(4));
    let Some(numbers) = numbers else {
        let message = format!("{length} bytes are no Darknet header and whole numbers");
        return Err(Error::input(message).hint(COPY_AGAIN));
    };
    let shape = vec![(numbers / 4) as usize];
    let all = StoredTensor::place(ALL.to_string(), Dtype::F32, shape, None, [start, numbers])?;
    Ok(Contents { tensors: vec![all], ..Contents::default() })
}
