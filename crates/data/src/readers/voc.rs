//! PASCAL VOC's XML (Everingham et al. 2010, "The PASCAL visual object classes challenge"): `JPEGImages/`, `Annotations/` with
//! a file an image, and `ImageSets/Main/` with a list of names a split.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use kiln_core::{BoundingBox, Error, Result};
use rayon::prelude::*;
use roxmltree::{Document, Node};

use super::boxes::{Boxed, BoxedImages, Classes, Mark, MarkFate, Place};
use super::folder::is_image;
use super::{entries, name_of};

/// An annotation, its classes still names.
struct Annotation {
    size: Option<[usize; 2]>,
    objects: Vec<(String, BoundingBox, bool)>,
}

/// Reads a data set of VOC's layout; `None` where the folder is none.
///
/// VOC counts pixels from 1 and its boxes include the last one: `xmin = 1, xmax = 10` are the ten pixels whose edges are 0
/// and 10, so the left and upper edges are one less than what is written and the others are as written. Classes are the names of all splits, sorted. Without lists in
/// `ImageSets/Main` there is one split, `all`; lists of one class (two columns) do not count.
///
/// # Errors
/// XML that is no annotation, with the place; a listed name without an image or an annotation; a name listed twice; edges that
/// are no numbers or the wrong way round.
pub(crate) fn recognize(root: &Path) -> Result<Option<BoxedImages>> {
    let (annotations, folder) = (root.join("Annotations"), root.join("JPEGImages"));
    if !(annotations.is_dir() && folder.is_dir()) {
        return Ok(None);
    }
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let files = entries(&folder)?.into_iter().filter(|file| is_image(file));
    let images: HashMap<String, PathBuf> = files.filter_map(|file| Some((stem(&file)?, file))).collect();
    let mut lists = lists(root, "Main")?;
    if lists.is_empty() {
        let mut names: Vec<(String, String)> =
            images.keys().map(|name| (name.clone(), String::new())).collect();
        names.sort();
        lists.push(("all".to_string(), annotations.clone(), names));
    }
    let listed: BTreeSet<&String> =
        lists.iter().flat_map(|(_, _, names)| names).map(|(name, _)| name).collect();
    let read = |name: &String| {
        let file = annotations.join(format!("{name}.xml"));
        Ok((name.clone(), if file.is_file() { Some(annotation(&file)?) } else { None }))
    };
    let known: HashMap<String, Option<Annotation>> =
        listed.into_par_iter().map(read).collect::<Result<_>>()?;
    let names = known.values().flatten().flat_map(|annotation| &annotation.objects).map(|(name, ..)| name);
    let classes: Vec<String> = names.collect::<BTreeSet<_>>().into_iter().cloned().collect();

    let (mut splits, mut dropped) = (Vec::new(), 0);
    for (split, list, names) in &lists {
        let mut boxed = Vec::with_capacity(names.len());
        for (name, place) in names {
            let file = annotations.join(format!("{name}.xml"));
            let missing = |what: String| {
                let error = Error::input(what).file(list);
                if place.is_empty() { error } else { error.place(place.clone()) }
            };
            let Some(image) = images.get(name) else {
                return Err(missing(format!("`{name}` is not in JPEGImages")));
            };
            let Some(Some(Annotation { size, objects })) = known.get(name) else {
                return Err(missing(format!("`{name}` has no annotation {}", file.display())));
            };
            let mark = |(name, bounding_box, difficult): &(String, BoundingBox, bool)| {
                let class = classes.binary_search(name);
                let class = class.unwrap_or_else(|_| unreachable!("`{name}` was listed"));
                let fate = if *difficult { MarkFate::Difficult } else { MarkFate::Sought };
                Mark { class, place: Place::Pixels(*bounding_box), fate }
            };
            let marks = objects.iter().map(mark).collect();
            let mut image = Boxed { image: image.clone(), annotation: Some(file.into()), size: *size, marks };
            dropped += image.drop_outside();
            boxed.push(image);
        }
        splits.push((split.clone(), boxed.into()));
    }
    Ok(Some(BoxedImages { root: root.to_path_buf(), classes: Classes::Named(classes), splits, dropped }))
}

/// A split, the file that lists it, and its names with their places in the file.
pub(super) type List = (String, PathBuf, Vec<(String, String)>);

/// The lists in a folder of `ImageSets/`.
pub(super) fn lists(root: &Path, kind: &str) -> Result<Vec<List>> {
    let folder = root.join("ImageSets").join(kind);
    let mut lists = Vec::new();
    if !folder.is_dir() {
        return Ok(lists);
    }
    for file in entries(&folder)? {
        let name = name_of(&file);
        let Some(split) = name.strip_suffix(".txt") else { continue };
        let text = fs::read_to_string(&file).map_err(|why| Error::unreadable(&file, &why))?;
        if text.lines().any(|line| line.split_whitespace().count() > 1) {
            continue;
        }
        let (mut names, mut lines) = (Vec::new(), HashMap::new());
        for (number, name) in (1..).zip(text.lines().map(str::trim)).filter(|(_, name)| !name.is_empty()) {
            if let Some(first) = lines.insert(name, number) {
                let message = format!("`{name}` is in line {first} already");
                return Err(Error::input(message).file(&file).place(format!("line {number}")));
            }
            names.push((name.to_string(), format!("line {number}")));
        }
        if !names.is_empty() {
            lists.push((split.to_string(), file, names));
        }
    }
    Ok(lists)
}

fn annotation(file: &Path) -> Result<Annotation> {
    let text = fs::read_to_string(file).map_err(|why| Error::unreadable(file, &why))?;
    let document = Document::parse(&text)
        .map_err(|why| Error::input(format!("not readable as XML: {why}")).file(file))?;
    let root = document.root_element();
    let line = |node: Node<'_, '_>| format!("line {}", document.text_pos_at(node.range().start).row);
    if !root.has_tag_name("annotation") {
        let message = format!("a `{}`, where an `annotation` is expected", root.tag_name().name());
        return Err(Error::input(message).file(file).place(line(root)));
    }
    let number = |node: Node<'_, '_>, key: &str| {
        let found = child(node, key);
        let text = found.and_then(|node| node.text()).unwrap_or_default().trim();
        let value = text.parse::<f32>().ok().filter(|value| value.is_finite());
        value.ok_or_else(|| {
            let message = match found {
                Some(_) => format!("`{key}` is `{text}`"),
                None => format!("no `{key}` in `{}`", node.tag_name().name()),
            };
            let error = Error::input(message).file(file).place(line(found.unwrap_or(node)));
            error.hint("expected a number of pixels")
        })
    };
    // Some tools leave the size out, or write zeros.
    let size = match child(root, "size") {
        Some(size) => Some([number(size, "height")? as usize, number(size, "width")? as usize]),
        None => None,
    };
    let size = size.filter(|size| !size.contains(&0));
    let mut objects = Vec::new();
    for object in root.children().filter(|node| node.has_tag_name("object")) {
        let missing =
            |what: &str| Error::input(format!("an object without `{what}`")).file(file).place(line(object));
        let name = child(object, "name").and_then(|node| node.text()).map(str::trim);
        let name = name.filter(|name| !name.is_empty()).ok_or_else(|| missing("name"))?;
        let edges = child(object, "bndbox").ok_or_else(|| missing("bndbox"))?;
        let [x1, y1, x2, y2] = ["xmin", "ymin", "xmax", "ymax"].map(|key| number(edges, key));
        let [x1, y1, x2, y2] = [x1?, y1?, x2?, y2?];
        if x2 < x1 || y2 < y1 {
            let message = format!("a box from {x1}, {y1} to {x2}, {y2}");
            let error = Error::input(message).file(file).place(line(edges));
            return Err(error.hint("expected `xmin` at most `xmax` and `ymin` at most `ymax`"));
        }
        let difficult = child(object, "difficult").and_then(|node| node.text());
        let bounding_box = BoundingBox { x1: x1 - 1.0, y1: y1 - 1.0, x2, y2 };
        objects.push((name.to_string(), bounding_box, difficult.is_some_and(|text| text.trim() == "1")));
    }
    Ok(Annotation { size, objects })
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.has_tag_name(name))
}
