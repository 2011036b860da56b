//! Files and folders that are whole or not there: written beside their place, then renamed into it.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use kiln_core::{Error, Result};

/// Writes a file under a temporary name in its folder and renames it.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.tmp"));
    let renamed = || fs::rename(&beside, path).map_err(|why| Error::unwritable(path, &why));
    write_synced(&beside, content).and_then(|()| renamed()).inspect_err(|_| {
        // On a full disk every byte counts. That it cannot be removed is no news after this error.
        let _ = fs::remove_file(&beside);
    })
}

/// Writes a file and waits until it is on the disk.
pub(crate) fn write_synced(path: &Path, content: &[u8]) -> Result<()> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|why| Error::unwritable(path, &why))
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|why| Error::unwritable(path, &why))
}

/// Waits until a folder's entries are on the disk.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    // Only Unix lets a folder be opened and synced.
    match cfg!(unix) {
        true => {
            File::open(path).and_then(|folder| folder.sync_all()).map_err(|why| Error::unwritable(path, &why))
        }
        false => Ok(()),
    }
}
