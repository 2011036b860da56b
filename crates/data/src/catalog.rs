//! Data sets by name or path, recognized by their files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_core::{Error, Result, nearest};

use crate::manifest::Manifest;
use crate::readers::{Idx, ImageFolder, LabelledImages, no_such_split};
use crate::recognized::{Source, recognize};
use crate::{Dataset, Sample, Shapes, ShapesConfig};

/// The generated data set as its name alone means it.
pub(crate) const SHAPES: &str = "shapes";
const SHAPES_SPLITS: [(&str, usize); 2] = [("train", 20_000), ("test", 2_000)];
const SHAPES_SEED: u64 = 0;

/// Where data sets are looked for.
#[derive(Debug, Clone)]
pub struct Roots {
    /// The folder `datasets/`, whose `<name>/raw` are looked at first.
    pub datasets: PathBuf,
    /// The folder of `$KILN_DATA`, whose `<name>` are looked at next.
    pub data: Option<PathBuf>,
}

impl Roots {
    /// The folders in which a data set of this name may be.
    pub(crate) fn places(&self, name: &str) -> Vec<PathBuf> {
        let fetched = self.datasets.join(name).join("raw");
        std::iter::once(fetched).chain(self.data.iter().map(|data| data.join(name))).collect()
    }
}

/// How a data set lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// MNIST's idx files.
    Idx,
    /// CIFAR's binary files.
    CifarBinary,
    /// Folders of images.
    ImageFolder,
    /// Boxes in COCO's JSON.
    Coco,
    /// Boxes in PASCAL VOC's XML.
    Voc,
    /// Boxes in YOLO's text files.
    Yolo,
    /// Images with label maps beside them.
    LabelMaps,
    /// Nowhere: it is generated.
    Generated,
    /// Nowhere yet: its manifest is all there is of it.
    Absent,
}

impl Layout {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idx => "idx",
            Self::CifarBinary => "CIFAR binary",
            Self::ImageFolder => "folder of images",
            Self::Coco => "COCO JSON",
            Self::Voc => "VOC XML",
            Self::Yolo => "YOLO text",
            Self::LabelMaps => "label maps",
            Self::Generated => "generated",
            Self::Absent => "not here",
        }
    }
}

/// What is subtracted from pixels divided by 255, and what they are divided by then, channel by channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalization {
    /// Subtracted.
    pub mean: [f32; 3],
    /// Divided by.
    pub std: [f32; 3],
}

/// A data set that was found, or of which at least the manifest is known. Its images are not yet read.
#[derive(Debug, Clone)]
pub struct Opened {
    /// As it was asked for, or the name of its folder.
    pub name: String,
    /// How it lies on disk.
    pub layout: Layout,
    /// Where; `None` where it is generated or absent.
    pub root: Option<PathBuf>,
    /// Its splits and their number of images.
    pub splits: Vec<(String, usize)>,
    /// The class names in the order of the labels: from the files, else from the manifest, else numbers.
    pub classes: Vec<String>,
    /// From the manifest, or of `shapes`; `None` where nothing is known.
    pub normalization: Option<Normalization>,
    /// The manifest of its name, if it has one.
    pub manifest: Option<Manifest>,
    source: Source,
}

impl Opened {
    /// The error of a data set of which only the manifest is known.
    pub fn absence(&self) -> Option<&Error> {
        match &self.source {
            Source::Absent(error) => Some(error),
            _ => None,
        }
    }

    /// The split that a name means: the one of that name, or the only one that has a year after it (`train` of COCO's `train2017`).
    fn meant<'a>(&'a self, name: &'a str) -> &'a str {
        let is_year = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
        let dated = |split: &&str| split.strip_prefix(name).is_some_and(is_year);
        let splits = || self.splits.iter().map(|(split, _)| split.as_str());
        let mut all = splits().filter(dated);
        match (splits().any(|split| split == name), all.next(), all.next()) {
            (false, Some(split), None) => split,
            _ => name,
        }
    }

    /// The first of these names that means a split, as the data set calls it.
    pub fn first_split<'a>(&'a self, names: &[&'a str]) -> Option<&'a str> {
        let is_there = |name: &&str| self.splits.iter().any(|(split, _)| split == name);
        names.iter().map(|name| self.meant(name)).find(is_there)
    }

    /// A split, ready to be read; where the data set is absent, its length is known and every image is an error.
    ///
    /// # Errors
    /// A split that is not there (the hint lists those that are); a file with a mistake in it, which is named.
    pub fn split(&self, name: &str) -> Result<Arc<dyn Dataset>> {
        let (name, num_classes) = (self.meant(name), self.classes.len());
        Ok(match &self.source {
            Source::Idx(root) => Arc::new(Idx::open(root, name, num_classes)?),
            Source::Cifar(cifar) => Arc::new(cifar.open(name, num_classes)?),
            Source::Folder(folder) => Arc::new(folder.open(name)?),
            Source::Boxes(_, boxes) => Arc::new(boxes.open(name)?),
            Source::LabelMaps(maps) => Arc::new(maps.open(name, num_classes)?),
            Source::Shapes => {
                let known = SHAPES_SPLITS.map(|(name, _)| name);
                let split = SHAPES_SPLITS.iter().find(|(known, _)| *known == name);
                let (_, items) = split.ok_or_else(|| no_such_split(name, &known, Path::new(SHAPES)))?;
                Arc::new(Shapes::new(ShapesConfig::new(name, *items, SHAPES_SEED))?)
            }
            Source::Absent(error) => {
                let known: Vec<&str> = self.splits.iter().map(|(name, _)| name.as_str()).collect();
                let split = self.splits.iter().find(|(known, _)| known == name);
                let (_, items) = split.ok_or_else(|| no_such_split(name, &known, Path::new(&self.name)))?;
                Arc::new(AbsentSplit { name: name.to_string(), items: *items, error: error.clone() })
            }
        })
    }

    /// Boxes that were dropped since nothing of them is inside their images.
    pub fn dropped_boxes(&self) -> usize {
        match &self.source {
            Source::Boxes(_, boxes) => boxes.dropped(),
            _ => 0,
        }
    }

    /// The names of the classes of label maps in the order of the labels: a background before the classes, where there is one; `None`
    /// where images have no label maps. Of a data set that is absent they are its manifest's classes, for what they may be.
    pub fn label_classes(&self) -> Option<Vec<String>> {
        match &self.source {
            Source::LabelMaps(_) | Source::Absent(_) => Some(self.classes.clone()),
            Source::Shapes => Some(Shapes::LABEL_NAMES.map(String::from).to_vec()),
            Source::Idx(_) | Source::Cifar(_) | Source::Folder(_) | Source::Boxes(..) => None,
        }
    }

    /// The data set as one of label maps, whose classes are [`Opened::label_classes`]: itself, or, of a folder of VOC's with boxes too,
    /// the images and splits that have label maps.
    ///
    /// # Errors
    /// A data set without label maps; a file of the others with a mistake in it, which is named.
    pub fn labelled(self) -> Result<Self> {
        if let (Source::Boxes(Layout::Voc, _), Some(root)) = (&self.source, &self.root)
            && let Some(maps) = LabelledImages::recognize_voc(root)?
        {
            let classes = maps.class_names().map_or_else(Vec::new, <[String]>::to_vec);
            let (layout, splits) = (Layout::LabelMaps, maps.splits());
            return Ok(Self { layout, splits, classes, source: Source::LabelMaps(maps), ..self });
        }
        match self.label_classes() {
            Some(classes) => Ok(Self { classes, ..self }),
            None => {
                let message = format!("`{}` has no label maps: {}", self.name, self.layout.name());
                let error = Error::input(message)
                    .hint("`shapes`, `camvid`, or a folder in CamVid's or VOC's layout has");
                Err(match self.root {
                    Some(root) => error.file(root),
                    None => error,
                })
            }
        }
    }

    /// Images of all splits.
    pub fn items(&self) -> usize {
        self.splits.iter().map(|(_, items)| items).sum()
    }

    /// The generated `shapes`.
    pub(crate) fn shapes() -> Self {
        Self {
            name: SHAPES.to_string(),
            layout: Layout::Generated,
            root: None,
            splits: SHAPES_SPLITS.map(|(name, items)| (name.to_string(), items)).to_vec(),
            classes: Shapes::CLASS_NAMES.map(String::from).to_vec(),
            normalization: Some(Normalization { mean: Shapes::MEAN, std: Shapes::STD }),
            manifest: None,
            source: Source::Shapes,
        }
    }

    /// What a manifest says of a data set that is not here.
    fn absent(manifest: Manifest) -> Self {
        let error = Error::input(format!("data set `{}` is not here", manifest.name)).hint(manifest.advice());
        Self {
            name: manifest.name.clone(),
            layout: Layout::Absent,
            root: None,
            splits: manifest.splits.iter().map(|split| (split.name.clone(), split.items)).collect(),
            classes: manifest.classes.clone(),
            normalization: Some(Normalization { mean: manifest.mean, std: manifest.std }),
            manifest: Some(manifest),
            source: Source::Absent(error),
        }
    }

    /// The data set in a folder; `None` where the folder holds none that is known.
    pub(crate) fn at(name: &str, root: &Path, datasets: &Path) -> Result<Option<Self>> {
        let Some((source, splits)) = recognize(root)? else { return Ok(None) };
        let manifest = Manifest::find(name, datasets)?;
        let from_files = match &source {
            Source::Cifar(cifar) => cifar.class_names()?,
            Source::Folder(folder) => Some(folder.class_names().to_vec()),
            Source::Boxes(_, boxes) => boxes.class_names().map(<[String]>::to_vec),
            Source::LabelMaps(maps) => maps.class_names().map(<[String]>::to_vec),
            Source::Idx(_) | Source::Shapes | Source::Absent(_) => None,
        };
        // A folder that only happens to be called `cifar10` is not described by CIFAR-10's manifest.
        let manifest = manifest.filter(|manifest| match &from_files {
            Some(names) => names.len() == manifest.classes.len(),
            None => true,
        });
        let numbers = match &source {
            Source::Cifar(cifar) => cifar.published_classes(),
            Source::Boxes(_, boxes) => boxes.num_classes(),
            // They are counted in the files, which takes its time.
            Source::LabelMaps(maps) if from_files.is_none() && manifest.is_none() => maps.count_classes()?,
            _ => 10,
        };
        let classes = match (from_files, &manifest) {
            (Some(names), Some(manifest)) => names.iter().map(|name| manifest.class_of(name)).collect(),
            (Some(names), None) => names,
            (None, Some(manifest)) => manifest.classes.clone(),
            (None, None) => (0..numbers).map(|number| number.to_string()).collect(),
        };
        let layout = match &source {
            Source::Idx(_) => Layout::Idx,
            Source::Cifar(_) => Layout::CifarBinary,
            Source::Folder(_) => Layout::ImageFolder,
            Source::Boxes(layout, _) => *layout,
            Source::LabelMaps(_) => Layout::LabelMaps,
            Source::Shapes => Layout::Generated,
            Source::Absent(_) => Layout::Absent,
        };
        let normalization = manifest.as_ref().map(|m| Normalization { mean: m.mean, std: m.std });
        let (name, root) = (name.to_string(), Some(root.to_path_buf()));
        Ok(Some(Self { name, layout, root, splits, classes, normalization, manifest, source }))
    }
}

/// A split of which only the length is known.
struct AbsentSplit {
    name: String,
    items: usize,
    error: Error,
}

impl Dataset for AbsentSplit {
    fn len(&self) -> usize {
        self.items
    }

    fn get(&self, _: usize) -> Result<Sample> {
        Err(self.error.clone())
    }

    fn origin(&self, index: usize) -> String {
        format!("image {index} of {}", self.name)
    }
}

/// Finds a data set: the generated `shapes`; a folder, if there is one of that path; else a name, looked for in the
/// [`Roots`].
///
/// # Errors
/// A path that is not there; a folder in which nothing is recognized; a name that is not known (the hint has the nearest)
/// or whose files are not here (the hint says how to get them); a file with a mistake in its header.
pub fn open(name_or_path: &str, roots: &Roots) -> Result<Opened> {
    let opened = describe(name_or_path, roots)?;
    opened.absence().cloned().map_or(Ok(opened), Err)
}

/// As [`open`], but a name whose files are not here is no error: its splits, classes and numbers are those of its
/// manifest, and [`Opened::absence`] says what is missing.
///
/// # Errors
/// As [`open`], but for that.
pub fn describe(name_or_path: &str, roots: &Roots) -> Result<Opened> {
    if name_or_path == SHAPES {
        return Ok(Opened::shapes());
    }
    if let Some((name, root)) = folder_at(name_or_path)? {
        return Opened::at(&name, &root, &roots.datasets)?.ok_or_else(|| ImageFolder::nothing_found(&root));
    }
    let name = name_or_path;
    let places = roots.places(name);
    for root in places.iter().filter(|root| !name.is_empty() && root.is_dir()) {
        if let Some(opened) = Opened::at(name, root, &roots.datasets)? {
            return Ok(opened);
        }
    }
    let manifest = Some(name).filter(|name| !name.is_empty());
    let manifest = manifest.map(|name| Manifest::find(name, &roots.datasets)).transpose()?.flatten();
    if let Some(manifest) = manifest {
        return Ok(Opened::absent(manifest));
    }
    if let Some(root) = places.iter().find(|root| !name.is_empty() && root.is_dir()) {
        return Err(ImageFolder::nothing_found(root));
    }
    let known = names(roots);
    Err(Error::input(format!("no data set `{name}`")).hint(
        match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`? `kiln data list` shows what is known"),
            None => {
                format!(
                    "known are {}; a path to a folder does as well",
                    known.into_iter().collect::<Vec<_>>().join(", ")
                )
            }
        },
    ))
}

/// The folder that a path leads to, and the name that it gives the data set; `None` where the text is no path.
pub(crate) fn folder_at(text: &str) -> Result<Option<(String, PathBuf)>> {
    let path = Path::new(text);
    let is_path = text.contains(['/', std::path::MAIN_SEPARATOR]);
    if !path.is_dir() {
        return match (path.is_file(), is_path) {
            (true, _) => Err(Error::input("a file, where a folder is expected").file(path)),
            (false, true) => Err(Error::input("no such folder").file(path)),
            (false, false) => Ok(None),
        };
    }
    // `.` has no name of its own.
    let absolute = fs::canonicalize(path).map_err(|why| Error::unreadable(path, &why))?;
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let raw = path.join("raw");
    if path.join("manifest.toml").is_file() && raw.is_dir() {
        return Ok(Some((name(&absolute).unwrap_or_default(), raw)));
    }
    let named = match name(&absolute) {
        Some(raw) if raw == "raw" => absolute.parent().and_then(name),
        other => other,
    };
    Ok(Some((named.unwrap_or_default(), path.to_path_buf())))
}

/// Every name that is worth a try: `shapes`, those with a manifest, the folders of the roots.
pub(crate) fn names(roots: &Roots) -> BTreeSet<String> {
    let folders = |root: &Path| fs::read_dir(root).into_iter().flatten().flatten().collect::<Vec<_>>();
    let fetched = folders(&roots.datasets).into_iter().filter(|entry| entry.path().join("raw").is_dir());
    let given = roots.data.iter().flat_map(|data| folders(data)).filter(|entry| entry.path().is_dir());
    let on_disk = fetched.chain(given).map(|entry| entry.file_name().to_string_lossy().into_owned());
    let on_disk = on_disk.filter(|name| !name.starts_with('.'));
    on_disk.chain(Manifest::names(&roots.datasets)).chain([SHAPES.to_string()]).collect()
}
