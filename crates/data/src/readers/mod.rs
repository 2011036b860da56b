//! Readers of the layouts in which data sets are published. Each is recognized by its files.

mod boxes;
mod cifar;
mod coco;
mod decode;
mod folder;
mod idx;
mod jpeg;
mod label_maps;
mod label_png;
mod voc;
mod yolo;
mod yolo_names;

pub use boxes::BoxedImages;
pub use cifar::Cifar;
pub(crate) use coco::recognize as coco;
pub use decode::decode_rgb;
pub use folder::{ImageFolder, image_files};
pub use idx::Idx;
pub(crate) use label_maps::CAMVID;
pub use label_maps::LabelledImages;
pub(crate) use label_png::voc_colour;
pub(crate) use voc::recognize as voc;
pub(crate) use yolo::recognize as yolo;

use std::fs;
use std::path::{Path, PathBuf};

use kiln_core::{Error, Result, nearest};

/// The visible entries of a folder, sorted by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |why| Error::unreadable(folder, &why);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        // macOS leaves `._name` and `__MACOSX` in archives.
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with('.') && name != "__MACOSX" {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// The last part of a path, for people.
fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The error of a split that is not there; it lists those that are.
pub(crate) fn no_such_split(split: &str, known: &[&str], root: &Path) -> Error {
    let list = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let hint = match nearest(split, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? It has {list}"),
        None => format!("it has {list}"),
    };
    Error::input(format!("no split `{split}`")).file(root).hint(hint)
}
