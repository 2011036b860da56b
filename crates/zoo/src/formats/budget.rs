//! What a file may ask for in memory.

use kiln_core::{Error, Result};

use super::COPY_AGAIN;

/// Bytes of memory for each byte of the file. Half of them is what honest files need: 16-bit numbers as 32-bit double,
/// and a detection head that is shared by five levels is in the state dict five times.
const PER_BYTE: u64 = 16;

/// What small files get on top: their table of contents is larger than their numbers. A pickle's stack and the buffers of
/// the readers are not counted; they take less than three megabytes.
const AT_LEAST: u64 = 1 << 20;

/// The memory that is left of what a file's size allows. A file of a kilobyte can claim a tensor of a terabyte, repeat one
/// storage a million times, or hold a dictionary of itself; all of them end here.
#[derive(Debug)]
pub struct Budget {
    left: u64,
}

impl Budget {
    /// The budget of a file of that many bytes.
    pub fn of(length: u64) -> Self {
        Self { left: length.saturating_mul(PER_BYTE).saturating_add(AT_LEAST) }
    }

    /// Asks for memory.
    ///
    /// # Errors
    /// There is not that much left.
    pub fn take(&mut self, bytes: u64) -> Result<()> {
        let left = self.left.checked_sub(bytes).ok_or_else(|| {
            Error::input(format!("it asks for more than {PER_BYTE} times the file's size in memory"))
                .hint(COPY_AGAIN)
        });
        self.left = left?;
        Ok(())
    }
}
