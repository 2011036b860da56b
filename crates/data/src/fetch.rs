//! Downloads a data set: resumed when broken off, checked, unpacked beside and renamed into place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_core::{Error, Result};
use sha2::{Digest, Sha256};

use crate::archive;
use crate::manifest::{Manifest, ManifestFile};

/// How far a download is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The file is there already, and right.
    Present {
        /// Its name.
        file: String,
    },
    /// Bytes arrive.
    Downloading {
        /// Its name.
        file: String,
        /// Bytes that are here, those of an earlier attempt included.
        done: u64,
        /// Bytes of the whole file.
        total: u64,
    },
    /// The whole file is here and right, and is being unpacked.
    Unpacking {
        /// Its name.
        file: String,
    },
    /// The file is ready to use.
    Ready {
        /// Its name.
        file: String,
    },
}

/// The state of a file that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    /// As it should be.
    Right,
    /// Not there.
    Missing,
    /// Longer or shorter than it should be.
    WrongSize {
        /// Bytes it should have.
        expected: u64,
        /// Bytes it has.
        found: u64,
    },
    /// Of the right size, but other bytes.
    WrongChecksum {
        /// The SHA-256 it should have.
        expected: String,
        /// The SHA-256 it has.
        found: String,
    },
}

impl FileState {
    /// Compares a file with what is known of it.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn of(file: &Path, size: u64, sha256: &str) -> Result<Self> {
        let unreadable = |why: &io::Error| Error::unreadable(file, why);
        let found = match fs::metadata(file) {
            Ok(metadata) => metadata.len(),
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Self::Missing),
            Err(why) => return Err(unreadable(&why)),
        };
        if found != size {
            return Ok(Self::WrongSize { expected: size, found });
        }
        let found = sha256_of(file).map_err(|why| unreadable(&why))?;
        match found == sha256 {
            true => Ok(Self::Right),
            false => Ok(Self::WrongChecksum { expected: sha256.to_string(), found }),
        }
    }

    /// What is wrong, as an error; nothing if nothing is.
    pub fn complaint(&self, file: &Path) -> Option<Error> {
        let error = match self {
            Self::Right => return None,
            Self::Missing => Error::input("no such file"),
            Self::WrongSize { expected, found } => {
                Error::input(format!("expected {expected} bytes, found {found}"))
            }
            Self::WrongChecksum { expected, found } => {
                Error::input(format!("wrong checksum: expected sha256 {expected}, found {found}"))
            }
        };
        Some(error.file(file))
    }
}

/// The SHA-256 of a file in lower-case hexadecimal digits.
pub(crate) fn sha256_of(file: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut reader = File::open(file)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Downloads the files of a data set into a folder, which is made if need be.
///
/// A file is written as `NAME.part` and renamed when its size and SHA-256 are right; what is right already is left
/// alone. A `.part` of an earlier call is continued where the server can (a `Range` request), else begun again. A broken
/// connection is taken up again as long as that brings more bytes. Archives are unpacked, and then give way to a list
/// `NAME.sha256` of what was in them.
///
/// # Errors
/// A data set that cannot be downloaded; a connection that fails, an answer that is no file; a file of the wrong size or checksum (the `.part` is deleted, what
/// was there before stays); an archive with anything in it but files and folders below its root.
pub fn fetch(manifest: &Manifest, into: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    if manifest.files.is_empty() {
        let error = Error::input(format!("`{}` cannot be downloaded", manifest.name));
        return Err(error.hint(manifest.advice()));
    }
    fs::create_dir_all(into).map_err(|why| Error::unwritable(into, &why))?;
    let agent = agent();
    for file in &manifest.files {
        let name = file.name().to_string();
        let whole = into.join(&name);
        if file.unpack && archive::is_unpacked(into, &name)? {
            progress(Progress::Present { file: name });
            continue;
        }
        if FileState::of(&whole, file.size, &file.sha256)? == FileState::Right {
            if !file.unpack {
                progress(Progress::Present { file: name });
                continue;
            }
        } else {
            let part = into.join(format!("{name}.part"));
            download(&agent, file, &part, progress)?;
            if let Some(error) = FileState::of(&part, file.size, &file.sha256)?.complaint(&whole) {
                fs::remove_file(&part).map_err(|why| Error::unwritable(&part, &why))?;
                return Err(
                    error.hint(format!("{} is not what the manifest says; nothing was kept of it", file.url))
                );
            }
            fs::rename(&part, &whole).map_err(|why| Error::unwritable(&whole, &why))?;
        }
        if file.unpack {
            progress(Progress::Unpacking { file: name.clone() });
            archive::unpack(&whole, into)?;
            fs::remove_file(&whole).map_err(|why| Error::unwritable(&whole, &why))?;
        }
        progress(Progress::Ready { file: name });
    }
    Ok(())
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        // A file is wanted as it is, for its checksum.
        .accept_encoding("identity")
        .user_agent(concat!("kiln/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

/// Brings `part` to its full size.
fn download(
    agent: &ureq::Agent,
    file: &ManifestFile,
    part: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let mut best = None;
    loop {
        let broken = match attempt(agent, file, part, progress)? {
            Attempt::Whole => return Ok(()),
            Attempt::Broken(why) => why,
        };
        let now = length(part);
        if best.is_some_and(|best| now <= best) || now == 0 {
            return Err(Error::failure(format!("the download of {} broke off: {broken}", file.url))
                .hint(format!("{now} of {} bytes are kept; call it again to go on", file.size)));
        }
        best = Some(now);
    }
}

enum Attempt {
    /// The server sent to the end, or more than it should have.
    Whole,
    /// The connection ended before.
    Broken(String),
}

fn attempt(
    agent: &ureq::Agent,
    file: &ManifestFile,
    part: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Attempt> {
    let unwritable = |why: io::Error| Error::unwritable(part, &why);
    let mut start = length(part);
    if start == file.size {
        return Ok(Attempt::Whole);
    }
    if start > file.size {
        fs::remove_file(part).map_err(unwritable)?;
        start = 0;
    }
    let mut request = agent.get(&file.url);
    if start > 0 {
        request = request.header("Range", format!("bytes={start}-"));
    }
    let mut response = match request.call() {
        Ok(response) => response,
        // A server that is gone for good after half a file is found out by the next attempt, which brings nothing.
        Err(why) if start > 0 => return Ok(Attempt::Broken(why.to_string())),
        Err(why) => return Err(Error::failure(format!("cannot reach {}: {why}", file.url))),
    };
    let status = response.status().as_u16();
    let goes_on = status == 206 && {
        let range = response.headers().get("content-range").and_then(|range| range.to_str().ok());
        range.is_some_and(|range| range.starts_with(&format!("bytes {start}-")))
    };
    match status {
        200 => start = 0,
        206 if goes_on => {}
        // The part does not fit what the server has: begin again, without a range.
        206 | 416 if start > 0 => {
            fs::remove_file(part).map_err(unwritable)?;
            return attempt(agent, file, part, progress);
        }
        _ => {
            return Err(Error::failure(format!(
                "the server answered {} for {}",
                response.status(),
                file.url
            ))
            .hint("has the file moved? Its address stands in the data set's manifest.toml"));
        }
    }

    let mut options = OpenOptions::new();
    let mut writer = match start {
        0 => options.create(true).write(true).truncate(true).open(part),
        _ => options.append(true).open(part),
    }
    .map_err(unwritable)?;
    // A byte more than expected is enough to know that the file is wrong.
    let mut reader = response.body_mut().as_reader().take(file.size - start + 1);
    let mut done = start;
    let mut buffer = vec![0; 1 << 16];
    loop {
        progress(Progress::Downloading {
            file: file.name().to_string(),
            done: done.min(file.size),
            total: file.size,
        });
        match reader.read(&mut buffer) {
            Ok(0) if done < file.size => return Ok(Attempt::Broken("the connection was closed".to_string())),
            Ok(0) => {
                writer.sync_all().map_err(unwritable)?;
                return Ok(Attempt::Whole);
            }
            Ok(read) => {
                writer.write_all(&buffer[..read]).map_err(unwritable)?;
                done += read as u64;
            }
            Err(why) => return Ok(Attempt::Broken(why.to_string())),
        }
    }
}

fn length(part: &Path) -> u64 {
    fs::metadata(part).map_or(0, |metadata| metadata.len())
}

/// What `fetch` leaves of each file of a manifest, and in which state it is: an archive stands for what was in it.
pub(crate) fn states(manifest: &Manifest, folder: &Path) -> Result<Vec<(PathBuf, FileState)>> {
    let mut states = Vec::new();
    for file in &manifest.files {
        let list = match file.unpack {
            true => archive::contents(folder, file.name())?,
            false => None,
        };
        match list {
            Some(contents) => {
                for (path, size, sha256) in contents {
                    let path = folder.join(path);
                    let state = FileState::of(&path, size, &sha256)?;
                    states.push((path, state));
                }
            }
            None => {
                let path = folder.join(file.name());
                let state = FileState::of(&path, file.size, &file.sha256)?;
                states.push((path, state));
            }
        }
    }
    Ok(states)
}
