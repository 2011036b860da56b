//! What a folder holds, recognized by its files.

use std::path::{Path, PathBuf};

use kiln_core::{Error, Result};

use crate::Layout;
use crate::readers::{self, BoxedImages, Cifar, Idx, ImageFolder, LabelledImages};

/// Where the images of a data set come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Idx(PathBuf),
    Cifar(Cifar),
    Folder(ImageFolder),
    Boxes(Layout, BoxedImages),
    LabelMaps(LabelledImages),
    Shapes,
    Absent(Error),
}

type Recognized = (Source, Vec<(String, usize)>);

/// What a folder holds, and its splits; `None` where that is nothing known.
pub(crate) fn recognize(root: &Path) -> Result<Option<Recognized>> {
    let idx = Idx::splits(root)?;
    if !idx.is_empty() {
        return Ok(Some((Source::Idx(root.to_path_buf()), idx)));
    }
    if let Some(cifar) = Cifar::recognize(root)? {
        let splits = cifar.splits()?;
        return Ok(Some((Source::Cifar(cifar), splits)));
    }
    if let Some(maps) = LabelledImages::recognize(root)? {
        let splits = maps.splits();
        return Ok(Some((Source::LabelMaps(maps), splits)));
    }
    type Reader = fn(&Path) -> Result<Option<BoxedImages>>;
    let boxed: [(Layout, Reader); 3] =
        [(Layout::Coco, readers::coco), (Layout::Voc, readers::voc), (Layout::Yolo, readers::yolo)];
    for (layout, read) in boxed {
        if let Some(boxes) = read(root)? {
            let splits = boxes.splits();
            return Ok(Some((Source::Boxes(layout, boxes), splits)));
        }
    }
    if let Some(maps) = LabelledImages::recognize_voc(root)? {
        let splits = maps.splits();
        return Ok(Some((Source::LabelMaps(maps), splits)));
    }
    if holds_no_classes(root) {
        return Ok(None);
    }
    Ok(ImageFolder::recognize(root)?.map(|folder| {
        let splits = folder.splits();
        (Source::Folder(folder), splits)
    }))
}

/// True where folders of images are not classes: VOC's, YOLO's and CamVid's layouts, and images with masks.
fn holds_no_classes(root: &Path) -> bool {
    let has = |name: &str| root.join(name).is_dir();
    (has("Annotations") && has("JPEGImages"))
        || ((has("labels") || has("masks")) && has("images"))
        || (has("train") && has("trainannot"))
}
