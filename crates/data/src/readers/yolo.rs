//! YOLO's text labels: a file an image with a line a box, `class x y width height` in parts of the image, x and y those of the
//! centre. Folders as Ultralytics has them, or lists as Darknet has them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use kiln_core::{BoundingBox, Error, Result};
use rayon::prelude::*;

use super::boxes::{Boxed, BoxedImages, Classes, Mark, MarkFate, Place};
use super::folder::{has_images, image_files, is_image};
use super::yolo_names::{Described, described};
use super::{entries, name_of};

/// Newer Ultralytics lets numbers be this much above 1, for labels that were rounded.
const SLACK: f64 = 0.01;

/// A split and its images, each with the list and the line that name it, if one does.
type Split = (String, Vec<Named>);

/// An image, and the list and the line that name it, if any do.
type Named = (PathBuf, Option<(PathBuf, usize)>);

/// Reads a data set with YOLO's labels; `None` where the folder has none.
///
/// Splits are those that a `*.yaml` (`train:`, `val:`, `test:`) or a `*.data` file (`train =`, `valid =`) names; else the folders
/// `images/<split>` with `labels/<split>`, or `<split>/images` with `<split>/labels`; else the images of `images/` as the one
/// split `all`. The labels of `…/images/a/b.jpg` are `…/labels/a/b.txt`, else `b.txt` beside it; an image without a file has no
/// objects. A line of more numbers is a polygon, and its box counts. A line that stands twice counts once. Class names are
/// those of the `*.yaml`, of the file that `*.data` names, of `*.names` or of `classes.txt`.
///
/// # Errors
/// A line that is no box, with its number; a class beyond the names; an image that is listed and not there, or listed twice.
pub(crate) fn recognize(root: &Path) -> Result<Option<BoxedImages>> {
    let Some(Described { names, splits }) = described(root)? else { return Ok(None) };
    let mut found: Vec<Split> = Vec::new();
    for (split, places) in splits {
        let mut images = Vec::new();
        for place in places {
            match place.is_dir() {
                true => images.extend(image_files(&place)?.into_iter().map(|image| (image, None))),
                false => images.extend(listed(&place, root)?),
            }
        }
        found.push((split, images));
    }
    if found.is_empty() {
        found = folders(root)?;
    }
    if found.is_empty() {
        return Ok(None);
    }
    let (mut splits, mut highest, mut dropped) = (Vec::new(), 0, 0);
    for (split, images) in found {
        let read = |(image, list): Named| -> Result<(Boxed, usize)> {
            if let Some((list, line)) = list.filter(|_| !image.is_file()) {
                let error = Error::input(format!("no image {}", image.display()));
                return Err(error.file(list).place(format!("line {line}")));
            }
            let file = labels_of(&image);
            let marks = match &file {
                Some(file) => labels(file, names.as_deref())?,
                None => Vec::new(),
            };
            let marked = marks.len();
            let mut kept: Vec<Mark> = Vec::with_capacity(marked);
            for mark in marks {
                if !kept.contains(&mark) {
                    kept.push(mark);
                }
            }
            let mut boxed = Boxed { image, annotation: file.map(Into::into), size: None, marks: kept };
            let outside = boxed.drop_outside();
            Ok((boxed, outside))
        };
        let read: Vec<(Boxed, usize)> = images.into_par_iter().map(read).collect::<Result<_>>()?;
        dropped += read.iter().map(|(_, outside)| outside).sum::<usize>();
        let images: Vec<Boxed> = read.into_iter().map(|(boxed, _)| boxed).collect();
        let classes = images.iter().flat_map(|image| &image.marks).map(|mark| mark.class + 1);
        highest = highest.max(classes.max().unwrap_or(0));
        splits.push((split, images.into()));
    }
    let classes = names.map_or(Classes::Numbered(highest), Classes::Named);
    Ok(Some(BoxedImages { root: root.to_path_buf(), classes, splits, dropped }))
}

/// The splits that folders make.
fn folders(root: &Path) -> Result<Vec<Split>> {
    let (images, mut splits) = (root.join("images"), Vec::new());
    let plain = |folder: &Path| -> Result<Vec<_>> {
        Ok(image_files(folder)?.into_iter().map(|image| (image, None)).collect())
    };
    if images.is_dir() && root.join("labels").is_dir() {
        if has_images(&images)? {
            return Ok(vec![("all".to_string(), plain(&images)?)]);
        }
        for folder in entries(&images)?.into_iter().filter(|folder| folder.is_dir()) {
            splits.push((name_of(&folder), plain(&folder)?));
        }
    } else {
        for folder in entries(root)?.into_iter().filter(|folder| folder.join("labels").is_dir()) {
            if folder.join("images").is_dir() {
                splits.push((name_of(&folder), plain(&folder.join("images"))?));
            }
        }
    }
    splits.retain(|(_, images)| !images.is_empty());
    Ok(splits)
}

/// The images that a list names, a line each; a relative path begins at the list's folder or at `root`.
fn listed(list: &Path, root: &Path) -> Result<Vec<Named>> {
    let text = fs::read_to_string(list).map_err(|why| Error::unreadable(list, &why))?;
    let (mut images, mut lines) = (Vec::new(), HashMap::new());
    for (number, line) in (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty()) {
        let place = format!("line {number}");
        if !is_image(Path::new(line)) {
            let error = Error::input(format!("`{line}` is no image's name")).file(list).place(place);
            return Err(error.hint("expected the path of an image a line"));
        }
        if let Some(first) = lines.insert(line, number) {
            return Err(Error::input(format!("`{line}` is in line {first} already")).file(list).place(place));
        }
        let beside = list.parent().unwrap_or(root).join(line);
        let image = if beside.is_file() { beside } else { root.join(line) };
        images.push((image, Some((list.to_path_buf(), number))));
    }
    Ok(images)
}

/// The file of an image's labels, if there is one: in the folder `labels` that mirrors the last `images` (VOC's `JPEGImages`
/// too) of its path, else beside it.
fn labels_of(image: &Path) -> Option<PathBuf> {
    let file = image.with_extension("txt");
    let parts: Vec<_> = file.components().collect();
    let is_images =
        |part: &std::path::Component<'_>| part.as_os_str() == "images" || part.as_os_str() == "JPEGImages";
    let mirrored = parts.iter().rposition(is_images).map(|place| {
        let before: PathBuf = parts[..place].iter().collect();
        let after: PathBuf = parts[place + 1..].iter().collect();
        before.join("labels").join(after)
    });
    mirrored.into_iter().chain([file]).find(|file| file.is_file())
}

fn labels(file: &Path, names: Option<&[String]>) -> Result<Vec<Mark>> {
    let text = fs::read_to_string(file).map_err(|why| Error::unreadable(file, &why))?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            mark(line, names).map_err(|error| error.file(file).place(format!("line {number}")))
        })
        .collect()
}

fn mark(line: &str, names: Option<&[String]>) -> Result<Mark> {
    let expected = "expected `class x y width height`, in parts of the image from 0 to 1";
    let wrong = |message: String| Error::input(message).hint(expected);
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    let class = first.parse::<usize>().map_err(|_| wrong(format!("the class is `{first}`")))?;
    if let Some(names) = names.filter(|names| class >= names.len()) {
        let message = format!("class {class}, of {} classes", names.len());
        return Err(Error::input(message).hint(format!("classes are 0 to {}", names.len().saturating_sub(1))));
    }
    let mut numbers = Vec::with_capacity(4);
    for word in words {
        let number = word.parse::<f64>().map_err(|_| wrong(format!("`{word}` is no number")))?;
        if !(0.0..=1.0 + SLACK).contains(&number) {
            return Err(wrong(format!("{word} is outside the image")));
        }
        numbers.push(number as f32);
    }
    let bounding_box = match numbers[..] {
        [x, y, width, height] => BoundingBox::from_cxcywh([x, y, width, height]),
        ref polygon if polygon.len() >= 6 && polygon.len().is_multiple_of(2) => {
            BoundingBox::around(polygon.chunks_exact(2).map(|point| [point[0], point[1]]))
                .expect("three points or more")
        }
        _ => return Err(wrong(format!("{} numbers after the class", numbers.len()))),
    };
    Ok(Mark { class, place: Place::Parts(bounding_box), fate: MarkFate::Sought })
}
