//! A file of records, as TensorFlow frames them (`tensorflow/core/lib/io/record_writer.h`).

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kiln_core::{Error, Result};

use super::proto::{Record, What};
use crate::files::make_folder;

/// What event files begin with. TensorBoard reads those of a folder in the order of their names, so a time follows.
const PREFIX: &str = "events.out.tfevents.";

/// No record waits longer for the disk than this and the step after it.
const PATIENCE: Duration = Duration::from_secs(2);

/// An event file that is being written.
#[derive(Debug)]
pub(super) struct EventFile {
    path: PathBuf,
    file: BufWriter<File>,
    flushed: Instant,
}

impl EventFile {
    /// A new file in a run folder, which comes after those already there.
    ///
    /// # Errors
    /// A folder that cannot be read or written.
    pub fn create(run: &Path) -> Result<Self> {
        make_folder(run)?;
        let names = fs::read_dir(run).map_err(|why| Error::unreadable(run, &why))?.flatten();
        let times = names.filter_map(|entry| {
            entry.file_name().to_str()?.strip_prefix(PREFIX)?.split('.').next()?.parse::<u64>().ok()
        });
        let after = times.max().map_or(0, |last| last + 1);
        let path = run.join(format!("{PREFIX}{:010}.kiln", after.max(now() as u64)));
        let file = File::create_new(&path).map_err(|why| Error::unwritable(&path, &why))?;
        let mut file = Self { path, file: BufWriter::with_capacity(1 << 16, file), flushed: Instant::now() };
        file.write(0, What::Version)?;
        Ok(file)
    }

    /// Writes a record, with the time; flushes if the last time was a while ago.
    pub fn write(&mut self, step: usize, what: What) -> Result<()> {
        let frame = frame(&Record { time: now(), step, what }.bytes());
        self.file.write_all(&frame).map_err(|why| Error::unwritable(&self.path, &why))?;
        match self.flushed.elapsed() >= PATIENCE {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Shows readers all that was written.
    pub fn flush(&mut self) -> Result<()> {
        self.flushed = Instant::now();
        self.file.flush().map_err(|why| Error::unwritable(&self.path, &why))
    }

    /// Waits until all that was written is on the disk.
    pub fn sync(&mut self) -> Result<()> {
        self.flush()?;
        self.file.get_ref().sync_data().map_err(|why| Error::unwritable(&self.path, &why))
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The length in 8 bytes, its checksum, the bytes, their checksum.
fn frame(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    [&length[..], &masked(&length).to_le_bytes(), bytes, &masked(bytes).to_le_bytes()].concat()
}

/// CRC-32C, turned and shifted (`tensorflow/core/lib/hash/crc32c.h`), since a checksum of what holds its own checksum says little.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        let rising: Vec<u8> = (0..32).collect();
        let falling: Vec<u8> = (0..32).rev().collect();
        // Appendix B.4, its bytes in the order of a little-endian number.
        let rows: [(&[u8], [u8; 4]); 4] = [
            (&[0; 32], [0xaa, 0x36, 0x91, 0x8a]),
            (&[0xff; 32], [0x43, 0xab, 0xa8, 0x62]),
            (&rising, [0x4e, 0x79, 0xdd, 0x46]),
            (&falling, [0x5c, 0xdb, 0x3f, 0x11]),
        ];
        for (bytes, sum) in rows {
            let sum = u32::from_le_bytes(sum);
            assert_eq!(crc32c::crc32c(bytes), sum);
            // ((crc >> 15) | (crc << 17)) + 0xa282ead8, in 32 bits.
            let turned = u64::from(sum >> 15) | (u64::from(sum) << 17) & 0xffff_ffff;
            assert_eq!(u64::from(masked(bytes)), (turned + 0xa282_ead8) & 0xffff_ffff);
        }
    }

    #[test]
    fn a_frame_is_length_checksum_bytes_checksum() {
        let frame = frame(&[0; 32]);
        assert_eq!(frame.len(), 8 + 4 + 32 + 4);
        assert_eq!(frame[..8], [32, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(frame[12..44], [0; 32]);
        // 0x8a9136aa >> 15 is 0x11522; << 17 is 0x6d540000; their sum with 0xa282ead8 is 0x0fd7fffa (and a carry).
        assert_eq!(frame[44..], 0x0fd7_fffau32.to_le_bytes());
    }

    #[test]
    fn a_file_of_the_same_second_comes_after_those_before_it() {
        let run = tempfile::tempdir().expect("a folder");
        let names: Vec<PathBuf> =
            (0..4).map(|_| EventFile::create(run.path()).expect("a file").path.clone()).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }
}
