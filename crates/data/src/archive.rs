//! A `.tar.gz`, unpacked so that nothing lands outside its folder and nothing is left half-unpacked.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;
use kiln_core::{Error, Result};

use crate::fetch::{FileState, sha256_of};

/// The list of what an archive held: a line a file with its SHA-256, its size and its path.
fn list_of(folder: &Path, archive: &str) -> PathBuf {
    folder.join(format!("{archive}.sha256"))
}

/// What was unpacked of an archive, as its list says: path, bytes, SHA-256. `None` where it was not unpacked.
pub fn contents(folder: &Path, archive: &str) -> Result<Option<Vec<(PathBuf, u64, String)>>> {
    let list = list_of(folder, archive);
    let text = match fs::read_to_string(&list) {
        Ok(text) => text,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(Error::unreadable(&list, &why)),
    };
    let row = |(number, line): (usize, &str)| {
        let mut words = line.splitn(3, ' ');
        match (words.next(), words.next().map(str::parse), words.next()) {
            (Some(sha256), Some(Ok(size)), Some(path)) => Ok((PathBuf::from(path), size, sha256.to_string())),
            _ => Err(Error::input("expected a SHA-256, a size and a path")
                .file(&list)
                .place(format!("line {}", number + 1))
                .hint("delete it, and fetch the data set again")),
        }
    };
    text.lines().enumerate().map(row).collect::<Result<_>>().map(Some)
}

/// True where everything that was in the archive is in the folder, unchanged.
pub fn is_unpacked(folder: &Path, archive: &str) -> Result<bool> {
    let Some(contents) = contents(folder, archive)? else { return Ok(false) };
    for (path, size, sha256) in contents {
        if FileState::of(&folder.join(path), size, &sha256)? != FileState::Right {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Unpacks an archive into `folder`, and writes the list of what was in it.
///
/// # Errors
/// An archive that is corrupt, or holds a path out of the folder, a link or a device; a folder that cannot be written.
pub fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    let name = archive.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = Beside::new(folder.join(format!(".{name}.unpacking")))?;
    let files = unpack_into(archive, &beside.0)?;

    let mut list = String::new();
    for path in &files {
        let file = beside.0.join(path);
        let unreadable = |why| Error::unreadable(&file, &why);
        let size = fs::metadata(&file).map_err(unreadable)?.len();
        list += &format!("{} {size} {path}\n", sha256_of(&file).map_err(unreadable)?);
    }
    for entry in fs::read_dir(&beside.0).map_err(|why| Error::unreadable(&beside.0, &why))?.flatten() {
        let place = folder.join(entry.file_name());
        let unwritable = |why| Error::unwritable(&place, &why);
        // A folder of an earlier, broken download is in the way of a rename.
        match fs::symlink_metadata(&place) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&place).map_err(unwritable)?,
            Ok(_) => fs::remove_file(&place).map_err(unwritable)?,
            Err(_) => {}
        }
        fs::rename(entry.path(), &place).map_err(unwritable)?;
    }
    // Last of all: where the list is, all of it is there.
    let (written, place) = (beside.0.join("list"), list_of(folder, &name));
    fs::write(&written, list)
        .and_then(|()| fs::rename(&written, &place))
        .map_err(|why| Error::unwritable(&place, &why))
}

/// A temporary folder that is gone when this is.
struct Beside(PathBuf);

impl Beside {
    fn new(folder: PathBuf) -> Result<Self> {
        // One may be left by a run that was killed.
        let cleared = if folder.exists() { fs::remove_dir_all(&folder) } else { Ok(()) };
        cleared.and_then(|()| fs::create_dir(&folder)).map_err(|why| Error::unwritable(&folder, &why))?;
        Ok(Self(folder))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Nothing can be done about a folder that will not go; it is hidden and named as what it is.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes the files of an archive below `folder`, and returns their paths.
fn unpack_into(archive: &Path, folder: &Path) -> Result<Vec<String>> {
    let corrupt = |why: io::Error| Error::input(format!("corrupt archive: {why}")).file(archive);
    let reader = File::open(archive).map_err(|why| Error::unreadable(archive, &why))?;
    let mut tar = tar::Archive::new(GzDecoder::new(BufReader::new(reader)));
    let mut files = Vec::new();
    for entry in tar.entries().map_err(corrupt)? {
        let mut entry = entry.map_err(corrupt)?;
        let path = entry.path().map_err(corrupt)?.into_owned();
        let refused = |what: &str| {
            let place = format!("`{}`", path.display());
            Err(Error::input(what).file(archive).place(place).hint("nothing was unpacked"))
        };
        let parts: Vec<Component> = path.components().filter(|part| *part != Component::CurDir).collect();
        if !parts.iter().all(|part| matches!(part, Component::Normal(_))) {
            return refused("a path that leads out of the archive");
        }
        let Some(relative) = parts.iter().collect::<PathBuf>().to_str().map(str::to_string) else {
            return refused("a path that is no text");
        };
        if relative.contains('\n') {
            return refused("a path of more than one line");
        }
        let place = folder.join(&relative);
        let unwritable = |why| Error::unwritable(&place, &why);
        match entry.header().entry_type() {
            tar::EntryType::Directory => fs::create_dir_all(&place).map_err(unwritable)?,
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                if let Some(parent) = place.parent() {
                    fs::create_dir_all(parent).map_err(unwritable)?;
                }
                let mut writer = File::create_new(&place).map_err(unwritable)?;
                io::copy(&mut entry, &mut writer).map_err(corrupt)?;
                files.push(relative);
            }
            // `pax` headers of the whole archive say nothing about files.
            tar::EntryType::XGlobalHeader => {}
            _ => return refused("a link or a device"),
        }
    }
    match files.is_empty() {
        true => Err(Error::input("no file in it").file(archive)),
        false => Ok(files),
    }
}
