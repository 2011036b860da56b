//! A folder of images: `split/class/image.jpg`, or `class/image.jpg` as the one split `all`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_core::{Error, Result, Truth};

use crate::readers::{decode_rgb, entries, name_of, no_such_split};
use crate::{Dataset, Sample};

const EXTENSIONS: [&str; 13] =
    ["jpg", "jpeg", "jpe", "png", "bmp", "gif", "webp", "tif", "tiff", "ppm", "pgm", "pbm", "pnm"];

/// Folders within a class folder are searched this deep, so that a link to a folder above cannot trap us.
const DEPTH: usize = 8;

/// Files and their classes.
type Images = Arc<[(PathBuf, usize)]>;

/// The images of a folder, listed and not yet read.
#[derive(Debug, Clone)]
pub struct ImageFolder {
    root: PathBuf,
    classes: Vec<String>,
    splits: Vec<(String, Images)>,
}

impl ImageFolder {
    /// Lists the images of a folder; `None` without any where they are looked for.
    ///
    /// A folder that holds images is a class; one that holds only classes is a split. Where there are splits, loose
    /// class folders beside them do not count. Classes are those of all splits, sorted.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn recognize(root: &Path) -> Result<Option<Self>> {
        let mut plain = Vec::new();
        let mut nested = Vec::new();
        for folder in folders(root)? {
            if has_images(&folder)? {
                plain.push((name_of(&folder), images(&folder, DEPTH)?));
                continue;
            }
            let mut classes = Vec::new();
            for class in folders(&folder)? {
                let images = images(&class, DEPTH)?;
                if !images.is_empty() {
                    classes.push((name_of(&class), images));
                }
            }
            if !classes.is_empty() {
                nested.push((name_of(&folder), classes));
            }
        }
        if nested.is_empty() && !plain.is_empty() {
            nested.push(("all".to_string(), plain));
        }
        if nested.is_empty() {
            return Ok(None);
        }

        let names: BTreeSet<&String> =
            nested.iter().flat_map(|(_, classes)| classes).map(|(name, _)| name).collect();
        let classes: Vec<String> = names.into_iter().cloned().collect();
        let number = |name: &String| {
            classes.binary_search(name).unwrap_or_else(|_| unreachable!("`{name}` was listed"))
        };
        let splits = nested
            .iter()
            .map(|(split, folders)| {
                let images = folders.iter().flat_map(|(class, images)| {
                    let class = number(class);
                    images.iter().map(move |image| (image.clone(), class))
                });
                (split.clone(), images.collect())
            })
            .collect();
        Ok(Some(Self { root: root.to_path_buf(), classes, splits }))
    }

    /// The splits and their number of images.
    pub fn splits(&self) -> Vec<(String, usize)> {
        self.splits.iter().map(|(name, images)| (name.clone(), images.len())).collect()
    }

    /// The names of the class folders, sorted.
    pub fn class_names(&self) -> &[String] {
        &self.classes
    }

    /// A split; its images are read when they are asked for.
    ///
    /// # Errors
    /// A split that is not there.
    pub fn open(&self, split: &str) -> Result<impl Dataset + use<>> {
        let known: Vec<&str> = self.splits.iter().map(|(name, _)| name.as_str()).collect();
        match self.splits.iter().find(|(name, _)| name == split) {
            Some((_, images)) => Ok(FolderSplit { root: self.root.clone(), images: images.clone() }),
            None => Err(no_such_split(split, &known, &self.root)),
        }
    }

    /// The error of a folder without images where they are looked for.
    pub fn nothing_found(root: &Path) -> Error {
        Error::input("no images in it").file(root).hint(
            "expected split/class/image.jpg or class/image.jpg, MNIST's idx files, CIFAR's binary files, boxes in COCO's, \
             VOC's or YOLO's layout, or label maps in CamVid's, VOC's or two folders, images and masks",
        )
    }
}

#[derive(Debug)]
struct FolderSplit {
    root: PathBuf,
    images: Images,
}

impl Dataset for FolderSplit {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let (file, class) = &self.images[index];
        Ok(Sample { image: decode_rgb(file)?, truth: Truth { class: Some(*class), ..Truth::default() } })
    }

    fn origin(&self, index: usize) -> String {
        let (file, _) = &self.images[index];
        file.strip_prefix(&self.root).unwrap_or(file).display().to_string()
    }
}

fn folders(root: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(root)?.into_iter().filter(|path| path.is_dir()).collect())
}

pub(super) fn is_image(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

pub(super) fn has_images(folder: &Path) -> Result<bool> {
    Ok(entries(folder)?.iter().any(|path| is_image(path) && path.is_file()))
}

/// The image files in a folder and in the folders in it, by the extensions of their names; sorted by path.
///
/// # Errors
/// A folder that cannot be read.
pub fn image_files(folder: &Path) -> Result<Vec<PathBuf>> {
    images(folder, DEPTH)
}

/// The images of a class folder and of the folders in it.
fn images(folder: &Path, depth: usize) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in entries(folder)? {
        // Only what has no image's name is asked whether it is a folder: asking takes long for a million images.
        if is_image(&path) {
            found.push(path);
        } else if depth > 0 && path.is_dir() {
            found.extend(images(&path, depth - 1)?);
        }
    }
    Ok(found)
}
