//! Images with label maps beside them: CamVid's layout, PASCAL VOC's, and pairs of folders.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_core::{Error, IGNORED, LabelMap, Result, Truth};
use rayon::prelude::*;

use super::folder::{has_images, is_image};
use super::label_png::labels_of;
use super::{decode_rgb, entries, name_of, no_such_split, voc};
use crate::{Dataset, Sample};

/// CamVid's eleven classes as SegNet groups its 32 (Badrinarayanan et al. 2015).
pub(crate) const CAMVID: &str = include_str!("../../../../datasets/camvid/classes.txt");

/// PASCAL VOC's classes, before which label maps have the background.
const VOC: &str = include_str!("../../../../datasets/voc/classes.txt");

/// The images of a data set with label maps, listed and not yet read.
///
/// A label is the class, 255 is [`IGNORED`]; in CamVid's layout the first number that is no class is, too.
#[derive(Debug, Clone)]
pub struct LabelledImages {
    root: PathBuf,
    form: Form,
    names: Option<Vec<String>>,
    splits: Vec<(String, Arc<[Pair]>)>,
}

/// Where images and their label maps lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `<split>/a.jpg`, `<split>annot/a.png` and, in `<split>.txt`, a name a line.
    CamVid,
    /// `JPEGImages/a.jpg`, `SegmentationClass/a.png` and, in `ImageSets/Segmentation/<split>.txt`, a name a line.
    Voc,
    /// `images/<split>/a.jpg` and `masks/<split>/a.png` or `annotations/<split>/a.png`.
    Folders,
}

/// An image and its label map.
#[derive(Debug, Clone)]
struct Pair {
    image: PathBuf,
    labels: PathBuf,
}

impl LabelledImages {
    /// Lists images and label maps in CamVid's layout, or in two folders `images` and `masks` (or `annotations`) with the same splits
    /// or without any; `None` where the folder has neither.
    ///
    /// Where there is a list of CamVid's, its lines are names, or the paths of an image and a label map (SegNet's), of which only the
    /// names count. Class names are those of `classes.txt`, a line each; else CamVid's layout has CamVid's.
    ///
    /// # Errors
    /// An image without a label map; a listed name without an image, or listed twice.
    pub(crate) fn recognize(root: &Path) -> Result<Option<Self>> {
        let camvid = camvid(root)?;
        let (form, splits) =
            if camvid.is_empty() { (Form::Folders, folders(root)?) } else { (Form::CamVid, camvid) };
        let names = || (form == Form::CamVid).then(|| CAMVID.lines().map(String::from).collect());
        Ok(match splits.is_empty() {
            true => None,
            false => {
                let names = written_names(root)?.or_else(names);
                Some(Self { root: root.to_path_buf(), form, names, splits })
            }
        })
    }

    /// Lists images and label maps in VOC's layout; `None` where the folder is none. Without lists there is one split, `all`, of the
    /// images with a label map. Class names are those of `classes.txt`, else VOC's.
    ///
    /// # Errors
    /// A listed name without an image or a label map, or listed twice.
    pub(crate) fn recognize_voc(root: &Path) -> Result<Option<Self>> {
        let (images, labels) = (root.join("JPEGImages"), root.join("SegmentationClass"));
        if !(images.is_dir() && labels.is_dir()) {
            return Ok(None);
        }
        let (images, labels) = (by_stem(&images)?, by_stem(&labels)?);
        let mut splits = Vec::new();
        for (split, list, names) in voc::lists(root, "Segmentation")? {
            let pair = |(name, place): &(String, String)| {
                let missing = |what: &str| {
                    Error::input(format!("`{name}` is not in {what}")).file(&list).place(place.clone())
                };
                let image = images.get(name).ok_or_else(|| missing("JPEGImages"))?.clone();
                let labels = labels.get(name).ok_or_else(|| missing("SegmentationClass"))?.clone();
                Ok(Pair { image, labels })
            };
            splits.push((split, names.iter().map(pair).collect::<Result<_>>()?));
        }
        if splits.is_empty() {
            let mut pairs: Vec<Pair> = (labels.into_iter())
                .filter_map(|(name, labels)| Some(Pair { image: images.get(&name)?.clone(), labels }))
                .collect();
            pairs.sort_by(|a, b| a.image.cmp(&b.image));
            splits.push(("all".to_string(), pairs.into()));
        }
        let names = written_names(root)?
            .unwrap_or_else(|| ["background"].into_iter().chain(VOC.lines()).map(String::from).collect());
        Ok(Some(Self { root: root.to_path_buf(), form: Form::Voc, names: Some(names), splits }))
    }

    /// The splits and their number of images.
    pub fn splits(&self) -> Vec<(String, usize)> {
        self.splits.iter().map(|(name, pairs)| (name.clone(), pairs.len())).collect()
    }

    /// The names of the classes, where they are known.
    pub fn class_names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// Number of classes, where they have no names: the highest label and one. Every label map is read for it.
    ///
    /// # Errors
    /// A label map that cannot be read.
    pub fn count_classes(&self) -> Result<usize> {
        let pairs = self.splits.iter().flat_map(|(_, pairs)| pairs.iter()).collect::<Vec<_>>();
        let highest = |pair: &&Pair| {
            let labels = labels_of(&pair.labels)?.labels;
            Ok(labels
                .into_iter()
                .filter(|label| *label != IGNORED)
                .max()
                .map_or(0, |label| usize::from(label) + 1))
        };
        pairs.par_iter().map(highest).try_reduce(|| 0, |a, b| Ok(a.max(b)))
    }

    /// A split of `num_classes` classes; its images are read when they are asked for.
    ///
    /// # Errors
    /// A split that is not there.
    pub fn open(&self, split: &str, num_classes: usize) -> Result<impl Dataset + use<>> {
        let known: Vec<&str> = self.splits.iter().map(|(name, _)| name.as_str()).collect();
        let void = (self.form == Form::CamVid).then_some(num_classes);
        match self.splits.iter().find(|(name, _)| name == split) {
            Some((_, pairs)) => {
                let (root, pairs) = (self.root.clone(), pairs.clone());
                Ok(LabelledSplit { root, pairs, num_classes, void })
            }
            None => Err(no_such_split(split, &known, &self.root)),
        }
    }
}

#[derive(Debug)]
struct LabelledSplit {
    root: PathBuf,
    pairs: Arc<[Pair]>,
    num_classes: usize,
    /// The label of what does not count, beside 255.
    void: Option<usize>,
}

impl LabelledSplit {
    fn labels(&self, file: &Path, [width, height]: [usize; 2], image: &Path) -> Result<LabelMap> {
        let mut map = labels_of(file)?;
        if [map.width, map.height] != [width, height] {
            let message = format!("is {}x{}, its image is {width}x{height}", map.width, map.height);
            return Err(Error::input(message).file(file).hint(format!("the image is {}", image.display())));
        }
        for (pixel, label) in map.labels.iter_mut().enumerate() {
            let class = usize::from(*label);
            if self.void == Some(class) {
                *label = IGNORED;
            } else if class >= self.num_classes && *label != IGNORED {
                let place = format!("pixel {}, {}", pixel % width, pixel / width);
                let error = Error::input(format!("class {class}, of {} classes", self.num_classes));
                let last = self.num_classes.saturating_sub(1);
                let void = self.void.map_or(String::new(), |void| format!("{void} and "));
                let hint = format!("classes are 0 to {last}; {void}{IGNORED} is what does not count");
                return Err(error.file(file).place(place).hint(hint));
            }
        }
        Ok(map)
    }
}

impl Dataset for LabelledSplit {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let Pair { image: file, labels } = &self.pairs[index];
        let image = decode_rgb(file)?;
        let label_map = self.labels(labels, [image.width() as usize, image.height() as usize], file)?;
        Ok(Sample { image, truth: Truth { label_map: Some(label_map), ..Truth::default() } })
    }

    fn origin(&self, index: usize) -> String {
        let file = &self.pairs[index].image;
        file.strip_prefix(&self.root).unwrap_or(file).display().to_string()
    }
}

type Splits = Vec<(String, Arc<[Pair]>)>;

/// The splits of CamVid's layout: folders beside which there is one whose name ends in `annot`.
fn camvid(root: &Path) -> Result<Splits> {
    let mut splits = Vec::new();
    for folder in entries(root)?.into_iter().filter(|folder| folder.is_dir()) {
        let split = name_of(&folder);
        let labels = root.join(format!("{split}annot"));
        if !labels.is_dir() {
            continue;
        }
        let list = root.join(format!("{split}.txt"));
        let pairs = if list.is_file() { listed(&list, &folder, &labels)? } else { paired(&folder, &labels)? };
        if !pairs.is_empty() {
            splits.push((split, pairs.into()));
        }
    }
    Ok(splits)
}

/// The splits of two folders: those in both, else all images as the split `all`.
fn folders(root: &Path) -> Result<Splits> {
    let images = root.join("images");
    let labels =
        ["masks", "annotations"].map(|name| root.join(name)).into_iter().find(|folder| folder.is_dir());
    let (true, Some(labels)) = (images.is_dir(), labels) else { return Ok(Vec::new()) };
    if has_images(&images)? && has_images(&labels)? {
        return Ok(vec![("all".to_string(), paired(&images, &labels)?.into())]);
    }
    let mut splits = Vec::new();
    for folder in entries(&images)?.into_iter().filter(|folder| folder.is_dir()) {
        let split = name_of(&folder);
        let labels = labels.join(&split);
        if labels.is_dir() && has_images(&folder)? {
            splits.push((split, paired(&folder, &labels)?.into()));
        }
    }
    Ok(splits)
}

/// Every image of a folder with the label map of its name in another.
fn paired(images: &Path, labels: &Path) -> Result<Vec<Pair>> {
    let maps = by_stem(labels)?;
    let images = entries(images)?.into_iter().filter(|file| is_image(file));
    let pair = |image: PathBuf| match maps.get(&stem(&image)) {
        Some(labels) => Ok(Pair { image, labels: labels.clone() }),
        None => {
            let expected = labels.join(format!("{}.png", stem(&image)));
            Err(Error::input("no label map").file(image).hint(format!("expected {}", expected.display())))
        }
    };
    images.map(pair).collect()
}

/// The images that a list names, with their label maps.
fn listed(list: &Path, images: &Path, labels: &Path) -> Result<Vec<Pair>> {
    let text = fs::read_to_string(list).map_err(|why| Error::unreadable(list, &why))?;
    let (in_images, in_labels) = (by_stem(images)?, by_stem(labels)?);
    let (mut pairs, mut seen) = (Vec::new(), HashSet::new());
    for (number, line) in (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty()) {
        let wrong = |message: String| Err(Error::input(message).file(list).place(format!("line {number}")));
        let mut names = line.split_whitespace().map(|word| {
            let name = name_of(Path::new(word));
            // A name may have points in it: only an image's ending is cut off.
            if is_image(Path::new(&name)) { stem(Path::new(&name)) } else { name }
        });
        let image = names.next().unwrap_or_default();
        let map = names.next().unwrap_or_else(|| image.clone());
        let (Some(found), Some(found_map)) = (in_images.get(&image), in_labels.get(&map)) else {
            let missing = if in_images.contains_key(&image) { (&map, labels) } else { (&image, images) };
            return wrong(format!("`{}` is not in {}", missing.0, missing.1.display()));
        };
        if !seen.insert(image.clone()) {
            return wrong(format!("`{image}` is in the list already"));
        }
        pairs.push(Pair { image: found.clone(), labels: found_map.clone() });
    }
    Ok(pairs)
}

/// The images of a folder by their names without what follows the last point.
fn by_stem(folder: &Path) -> Result<HashMap<String, PathBuf>> {
    let files = entries(folder)?.into_iter().filter(|file| is_image(file));
    Ok(files.map(|file| (stem(&file), file)).collect())
}

fn stem(file: &Path) -> String {
    file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The class names that `classes.txt` in the folder has, a line each.
fn written_names(root: &Path) -> Result<Option<Vec<String>>> {
    let file = root.join("classes.txt");
    if !file.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&file).map_err(|why| Error::unreadable(&file, &why))?;
    let names: Vec<String> =
        text.lines().map(str::trim).filter(|name| !name.is_empty()).map(String::from).collect();
    match names.len() {
        1..=255 => Ok(Some(names)),
        count => Err(Error::input(format!("{count} class names")).file(file).hint("1 to 255, a line each")),
    }
}
