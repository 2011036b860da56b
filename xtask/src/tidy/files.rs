//! The files of the project.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// A text file of the project.
#[derive(Debug)]
pub struct File {
    /// Its path from the root.
    pub path: PathBuf,
    /// What stands in it.
    pub text: String,
}

impl File {
    /// Whether the name ends in `.extension`.
    pub fn is(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|own| own == extension)
    }

    /// Whether a folder of this name is above it.
    pub fn below(&self, folder: &str) -> bool {
        self.path
            .parent()
            .is_some_and(|parent| parent.components().any(|part| part == Component::Normal(folder.as_ref())))
    }

    /// The line of the first text that satisfies `wanted`, counted from 1; 1 if there is none.
    pub fn line_of(&self, wanted: impl Fn(&str) -> bool) -> usize {
        self.text.lines().position(wanted).map_or(1, |line| line + 1)
    }
}

/// Reads all source files, manifests, configurations and pages, sorted by path.
pub fn read(root: &Path) -> Result<Vec<File>, String> {
    let mut files = Vec::new();
    walk(root, Path::new(""), &mut files)?;
    files.sort_by(|a: &File, b| a.path.cmp(&b.path));
    Ok(files)
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<File>) -> Result<(), String> {
    let here = root.join(folder);
    let failed = |why: std::io::Error| format!("{}: {why}", here.display());
    for entry in fs::read_dir(&here).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (name, kind) = (entry.file_name(), entry.file_type().map_err(failed)?);
        let (name, path) = (name.to_string_lossy().into_owned(), folder.join(&name));
        if kind.is_dir() {
            // What cargo builds, downloaded data and what runs write is not ours to keep tidy.
            let hidden = name.starts_with('.') && ![".ci", ".cargo"].contains(&name.as_str());
            let built = entry.path().join("CACHEDIR.TAG").exists();
            if !hidden && !built && !["raw", "runs", "target"].contains(&name.as_str()) {
                walk(root, &path, files)?;
            }
        } else if kind.is_file() && is_text(&path) {
            let text =
                fs::read_to_string(entry.path()).map_err(|why| format!("{}: {why}", path.display()))?;
            files.push(File { path, text });
        }
    }
    Ok(())
}

fn is_text(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let licence = path.to_string_lossy().starts_with("LICENSE");
    licence || path.starts_with(".ci") || matches!(extension, Some("rs" | "toml" | "md" | "css" | "lock"))
}
