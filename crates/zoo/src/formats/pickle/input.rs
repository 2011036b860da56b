//! The bytes of a pickle.

use std::io::{self, BufRead, Read};

use kiln_core::Result;

use super::damaged;
use crate::formats::unreadable;

/// Bytes with a count of how many were read.
pub struct Input<R> {
    reader: R,
    position: u64,
}

impl<R: BufRead> Input<R> {
    /// Counts from here on.
    pub fn new(reader: R) -> Self {
        Self { reader, position: 0 }
    }

    /// Bytes that were read.
    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(unreadable)?;
        self.position += N as u64;
        Ok(bytes)
    }

    pub fn byte(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A length, in one, four or eight bytes.
    pub fn length<const N: usize>(&mut self) -> Result<u64> {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(&self.array::<N>()?);
        Ok(u64::from_le_bytes(bytes))
    }

    pub fn skip(&mut self, length: u64) -> Result<()> {
        let skipped =
            io::copy(&mut self.reader.by_ref().take(length), &mut io::sink()).map_err(unreadable)?;
        self.position += skipped;
        if skipped < length { Err(unreadable(io::ErrorKind::UnexpectedEof.into())) } else { Ok(()) }
    }

    /// That many bytes; memory is taken as they come.
    pub fn bytes(&mut self, length: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader.by_ref().take(length).read_to_end(&mut bytes).map_err(unreadable)?;
        self.position += bytes.len() as u64;
        if (bytes.len() as u64) < length {
            return Err(unreadable(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(bytes)
    }

    /// The bytes before the next end of line.
    pub fn line(&mut self) -> Result<Vec<u8>> {
        const LONGEST: u64 = 1 << 12;
        let mut bytes = Vec::new();
        self.reader.by_ref().take(LONGEST).read_until(b'\n', &mut bytes).map_err(unreadable)?;
        self.position += bytes.len() as u64;
        match bytes.pop() {
            Some(b'\n') => Ok(bytes),
            _ => Err(damaged("a name that does not end")),
        }
    }
}
