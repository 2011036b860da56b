//! COCO's JSON: `annotations/instances_train2017.json` beside the folder `train2017/`, or one file in each split's folder.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_core::{BoundingBox, Error, Result};
use serde::Deserialize;

use super::boxes::{Boxed, BoxedImages, Classes, Mark, MarkFate, Place};
use super::{entries, name_of};

/// What of a file is read. Boxes are left edge, upper edge, width and height in pixels.
#[derive(Deserialize)]
struct Instances {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: String,
    width: usize,
    height: usize,
}

#[derive(Deserialize)]
struct Annotation {
    id: Option<u64>,
    image_id: u64,
    category_id: u64,
    bbox: [f64; 4],
    #[serde(default)]
    iscrowd: u8,
}

#[derive(Deserialize, PartialEq)]
struct Category {
    id: u64,
    name: String,
}

/// Categories by their ids.
type Categories = BTreeMap<u64, String>;

/// Reads a data set of COCO's layout; `None` where the folder is none.
///
/// A file `instances_<split>.json` in `annotations/` speaks of the images of `<split>/`, `images/<split>/` or `images/`; where
/// none of these is there, the split is left out. A file `_annotations.coco.json` speaks of the images beside it. Ids of
/// categories have gaps; classes are their places in the order of the ids. All splits must have the same.
///
/// # Errors
/// JSON that is no such file, with its line; an annotation of an image or a category that is not listed; an id or a file
/// name that comes twice; a box with a side that is negative or no number.
pub(crate) fn recognize(root: &Path) -> Result<Option<BoxedImages>> {
    let mut categories: Option<(PathBuf, Categories)> = None;
    let (mut splits, mut dropped) = (Vec::new(), 0);
    for (split, file, images) in files(root)? {
        let (boxed, own, outside) = read(&file, &images)?;
        match &categories {
            Some((first, known)) if *known != own => {
                let hint = format!("those of {} are others; all splits need the same", first.display());
                return Err(Error::input("has its own `categories`").file(&file).hint(hint));
            }
            Some(_) => {}
            None => categories = Some((file, own)),
        }
        dropped += outside;
        splits.push((split, boxed.into()));
    }
    Ok(categories.map(|(_, categories)| {
        let classes = Classes::Named(categories.into_values().collect());
        BoxedImages { root: root.to_path_buf(), classes, splits, dropped }
    }))
}

/// Splits, the file of each and the folder of its images.
fn files(root: &Path) -> Result<Vec<(String, PathBuf, PathBuf)>> {
    let mut files = Vec::new();
    let annotations = root.join("annotations");
    if annotations.is_dir() {
        for file in entries(&annotations)? {
            let name = name_of(&file);
            let split = name.strip_prefix("instances_").and_then(|name| name.strip_suffix(".json"));
            let Some(split) = split else { continue };
            let places = [root.join(split), root.join("images").join(split), root.join("images")];
            if let Some(images) = places.into_iter().find(|place| place.is_dir()) {
                files.push((split.to_string(), file, images));
            }
        }
    }
    if files.is_empty() {
        for folder in entries(root)? {
            let file = folder.join("_annotations.coco.json");
            if file.is_file() {
                files.push((name_of(&folder), file, folder));
            }
        }
    }
    Ok(files)
}

fn read(file: &Path, folder: &Path) -> Result<(Vec<Boxed>, Categories, usize)> {
    let bytes = fs::read(file).map_err(|why| Error::unreadable(file, &why))?;
    let instances: Instances = serde_json::from_slice(&bytes).map_err(|why| {
        // serde_json puts the place at the end of the message.
        let message = why.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        let error = Error::input(format!("not COCO's JSON: {message}")).file(file);
        error
            .place(format!("line {}, column {}", why.line(), why.column()))
            .hint("expected `images`, `annotations` with `bbox`, and `categories`")
    })?;
    let wrong = |place: String, message: String| Error::input(message).file(file).place(place);
    let mut categories = Categories::new();
    for Category { id, name } in instances.categories {
        if categories.insert(id, name).is_some() {
            return Err(wrong(format!("category {id}"), "comes twice".to_string()));
        }
    }
    let class: HashMap<u64, usize> = categories.keys().enumerate().map(|(class, id)| (*id, class)).collect();
    let annotation: Arc<Path> = file.into();
    let (mut places, mut names) = (HashMap::new(), HashMap::new());
    let mut images = Vec::with_capacity(instances.images.len());
    for Image { id, file_name, width, height } in instances.images {
        if places.insert(id, images.len()).is_some() {
            return Err(wrong(format!("image {id}"), "comes twice".to_string()));
        }
        if let Some(other) = names.insert(file_name.clone(), id) {
            return Err(wrong(format!("image {id}"), format!("`{file_name}` is image {other} already")));
        }
        images.push(Boxed {
            image: folder.join(file_name),
            annotation: Some(annotation.clone()),
            size: Some([height, width]),
            marks: Vec::new(),
        });
    }
    for (number, Annotation { id, image_id, category_id, bbox, iscrowd }) in
        instances.annotations.into_iter().enumerate()
    {
        let place = || match id {
            Some(id) => format!("annotation {id}"),
            None => format!("annotations[{number}]"),
        };
        let Some(image) = places.get(&image_id) else {
            return Err(wrong(place(), format!("image {image_id} is not in `images`")));
        };
        let Some(class) = class.get(&category_id) else {
            return Err(wrong(place(), format!("category {category_id} is not in `categories`")));
        };
        if !bbox.iter().all(|value| value.is_finite()) || bbox[2] < 0.0 || bbox[3] < 0.0 {
            let error = wrong(place(), format!("a `bbox` of {bbox:?}"));
            return Err(error.hint("expected left edge, upper edge, width and height in pixels"));
        }
        let [x, y, width, height] = bbox;
        let edges = [x, y, x + width, y + height].map(|edge| edge as f32);
        let place = Place::Pixels(BoundingBox::from_xyxy(edges));
        let fate = if iscrowd != 0 { MarkFate::Crowd } else { MarkFate::Sought };
        images[*image].marks.push(Mark { class: *class, place, fate });
    }
    let dropped = images.iter_mut().map(Boxed::drop_outside).sum();
    Ok((images, categories, dropped))
}
