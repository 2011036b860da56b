//! Who is at work in a run's folder: the file `lock`, locked for as long as the process lives. The system unlocks it
//! however the process ends, so that a run that was killed is told from one that goes on.

use std::fs::{File, OpenOptions, TryLockError};
use std::time::Duration;

use kiln_core::{Error, Result};

use super::RunFolder;

const NAME: &str = "lock";
/// Whoever looks whether a folder is locked locks it for a moment.
const TRIES: u32 = 20;

/// Keeps other processes from training in a run's folder for as long as it lives.
pub struct Lock {
    /// Nothing where the file system knows no locks.
    _file: Option<File>,
}

/// Whether a process trains in a run's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// One does.
    Goes,
    /// None does.
    Gone,
    /// The file system does not tell, or whoever trained there took no lock.
    Unknown,
}

impl Lock {
    /// Locks a run's folder.
    ///
    /// # Errors
    /// Another process trains there; a place that cannot be written.
    pub fn take(run: &RunFolder) -> Result<Self> {
        let path = run.file(NAME);
        let file = OpenOptions::new().create(true).write(true).truncate(false).open(&path);
        let file = file.map_err(|why| Error::unwritable(&path, &why))?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: Some(file) }),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
                Err(TryLockError::Error(_)) => {
                    // Without the file nobody takes the run for one that ended.
                    let _ = std::fs::remove_file(&path);
                    return Ok(Self { _file: None });
                }
            }
        }
        let error = Error::input("another process trains in it").file(run.path());
        Err(error.hint("wait for it, or end it with Ctrl-C; `kiln watch` shows how far it is"))
    }
}

impl Life {
    /// Of a run.
    pub fn of(run: &RunFolder) -> Self {
        let Ok(file) = File::open(run.file(NAME)) else { return Self::Unknown };
        match file.try_lock_shared() {
            Ok(()) => Self::Gone,
            Err(TryLockError::WouldBlock) => Self::Goes,
            Err(TryLockError::Error(_)) => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_run_goes_on_while_its_lock_is_held_and_no_second_process_takes_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("resolved.json"), "{}").unwrap();
        let run = RunFolder::open(folder.path()).unwrap();
        assert_eq!(Life::of(&run), Life::Unknown);
        let lock = Lock::take(&run).unwrap();
        assert_eq!(Life::of(&run), Life::Goes);
        let error = Lock::take(&run).err().unwrap().to_string();
        assert!(error.contains("another process trains in it"), "{error}");
        drop(lock);
        assert_eq!(Life::of(&run), Life::Gone);
        Lock::take(&run).unwrap();
    }
}
