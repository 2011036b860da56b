//! Image files that nothing is known of: found by name, in folders or by a pattern, and read one by one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use glob::{MatchOptions, glob_with};
use kiln_core::{Error, Result, Truth};
use kiln_data::{Dataset, Sample, decode_rgb, image_files};

/// Images to say something about.
#[derive(Debug, Default)]
pub struct Photographs {
    files: Vec<PathBuf>,
    /// Why a file could not be read.
    unreadable: Mutex<Vec<Error>>,
    /// Height and width of those that were.
    sizes: Mutex<HashMap<usize, [usize; 2]>>,
}

impl Photographs {
    /// The files of `arguments`: a file is itself; a folder is the images in it and in its folders; anything else is a
    /// pattern (`photos/**/*.jpg`).
    ///
    /// # Errors
    /// A path that is not there, a folder without images, a pattern without a match or with a mistake in it.
    pub fn find(arguments: &[PathBuf]) -> Result<Self> {
        let mut files = Vec::new();
        for argument in arguments {
            if argument.is_dir() {
                let found = image_files(argument)?;
                if found.is_empty() {
                    return Err(Error::input("no images in it").file(argument));
                }
                files.extend(found);
            } else if argument.exists() {
                files.push(argument.clone());
            } else {
                files.extend(matches(argument)?);
            }
        }
        Ok(Self { files, ..Self::default() })
    }

    /// The files, in the order in which they were named; those of a folder or a pattern by name.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Height and width of an image that was read.
    pub fn size(&self, index: usize) -> Option<[usize; 2]> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).get(&index).copied()
    }

    /// Why files could not be read, so far, in the order of the files.
    pub fn unreadable(&self) -> Vec<Error> {
        let mut errors = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).clone();
        errors.sort_by_key(|error| {
            self.files.iter().position(|file| Some(file.as_path()) == error.file_named())
        });
        errors
    }
}

/// The files that a pattern matches.
fn matches(pattern: &Path) -> Result<Vec<PathBuf>> {
    let text = pattern.to_str().filter(|text| text.contains(['*', '?', '[']));
    let Some(text) = text else { return Err(Error::input("no such file or folder").file(pattern)) };
    let as_a_shell = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    let found = glob_with(text, as_a_shell).map_err(|why| {
        Error::input(format!("no pattern: {}, character {}", why.msg, why.pos + 1)).file(pattern)
    })?;
    let mut files = Vec::new();
    for path in found {
        let path = path.map_err(|why| Error::unreadable(why.path(), why.error()))?;
        if path.is_file() {
            files.push(path);
        }
    }
    match files.is_empty() {
        true => Err(Error::input("no file matches this pattern").file(pattern)),
        false => Ok(files),
    }
}

impl Dataset for Photographs {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let image = decode_rgb(&self.files[index]).inspect_err(|error| {
            self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).push(error.clone());
        })?;
        let size = [image.height() as usize, image.width() as usize];
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).insert(index, size);
        Ok(Sample { image, truth: Truth::default() })
    }

    fn origin(&self, index: usize) -> String {
        self.files[index].display().to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn files_folders_and_patterns_are_found_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.png", "a.jpg", "notes.txt", "deep/er/c.webp", "deep/d.JPEG", ".hidden.png"] {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, name).unwrap();
        }
        let path = |name: &str| folder.path().join(name);
        let found = |names: &[&str]| {
            let arguments: Vec<PathBuf> = names.iter().map(|name| path(name)).collect();
            let found = Photographs::find(&arguments)?;
            let short = |file: &PathBuf| file.strip_prefix(folder.path()).unwrap().display().to_string();
            Ok::<_, Error>(found.files().iter().map(short).collect::<Vec<_>>())
        };
        assert_eq!(found(&["b.png", "a.jpg"]).unwrap(), ["b.png", "a.jpg"]);
        // Of a folder the images, however deep; a named file is taken for one whatever its name.
        assert_eq!(found(&["."]).unwrap(), ["a.jpg", "b.png", "deep/d.JPEG", "deep/er/c.webp"]);
        assert_eq!(found(&["notes.txt"]).unwrap(), ["notes.txt"]);
        assert_eq!(found(&["*.png", "deep/**/*.*"]).unwrap(), ["b.png", "deep/d.JPEG", "deep/er/c.webp"]);
        let says = |name: &str| found(&[name]).unwrap_err().to_string();
        assert!(says("absent.jpg").ends_with("absent.jpg: no such file or folder"));
        assert!(says("*.tif").ends_with("no file matches this pattern"));
        assert!(says("[a").contains("no pattern"), "{}", says("[a"));
        std::fs::create_dir(path("empty")).unwrap();
        assert!(says("empty").ends_with("no images in it"));
    }
}
