//! Images with boxes: what the readers of detection data sets hand over, whatever their files look like.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::RgbImage;
use kiln_core::{BoundingBox, Error, Object, Result, Truth};

use super::{decode_rgb, no_such_split};
use crate::{Dataset, Sample};

/// The images of a detection data set with their boxes, listed; the boxes are read, the images are not yet.
///
/// A box that reaches beyond its image is clipped to it. One of which nothing is left (it lies outside, or has no width or no
/// height) is dropped and counted. An image without boxes stays.
#[derive(Debug, Clone)]
pub struct BoxedImages {
    pub(super) root: PathBuf,
    pub(super) classes: Classes,
    pub(super) splits: Vec<(String, Arc<[Boxed]>)>,
    /// Boxes of which nothing is left, as far as that is known without the images.
    pub(super) dropped: usize,
}

/// What is known of the classes.
#[derive(Debug, Clone)]
pub(super) enum Classes {
    /// Their names in the order of the labels.
    Named(Vec<String>),
    /// Only how many there are at least.
    Numbered(usize),
}

/// An image and the boxes in it.
#[derive(Debug, Clone)]
pub(super) struct Boxed {
    pub image: PathBuf,
    /// The file that speaks of it.
    pub annotation: Option<Arc<Path>>,
    /// Height and width that the annotation says it has.
    pub size: Option<[usize; 2]>,
    pub marks: Vec<Mark>,
}

/// A box as it was marked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark {
    pub class: usize,
    pub place: Place,
    pub fate: MarkFate,
}

/// Who has to find what a box is around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MarkFate {
    Sought,
    Crowd,
    Difficult,
}

/// Where a box lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place {
    /// In pixels.
    Pixels(BoundingBox),
    /// In parts of the image.
    Parts(BoundingBox),
}

impl Place {
    /// The part of it inside an image of this height and width; `None` where there is none.
    pub fn inside(self, [height, width]: [usize; 2]) -> Option<BoundingBox> {
        let (height, width) = (height as f32, width as f32);
        let clipped = match self {
            Self::Pixels(bounding_box) => bounding_box.clipped(width, height),
            Self::Parts(bounding_box) => bounding_box.scaled([width, height]).clipped(width, height),
        };
        (clipped.area() > 0.0).then_some(clipped)
    }
}

impl Boxed {
    /// Drops the boxes of which nothing is left, where the size is known or does not matter; says how many.
    pub fn drop_outside(&mut self) -> usize {
        let (before, size) = (self.marks.len(), self.size);
        self.marks.retain(|mark| match (mark.place, size) {
            (Place::Parts(_), _) => mark.place.inside([1, 1]).is_some(),
            (Place::Pixels(_), Some(size)) => mark.place.inside(size).is_some(),
            (Place::Pixels(bounding_box), None) => bounding_box.area() > 0.0,
        });
        before - self.marks.len()
    }

    fn truth(&self, image: &RgbImage) -> Result<Truth> {
        let size = [image.height() as usize, image.width() as usize];
        if let Some([height, width]) = self.size.filter(|said| *said != size) {
            let message = format!("is {}x{}, its boxes are for {width}x{height}", size[1], size[0]);
            let error = Error::input(message).file(&self.image);
            return Err(match &self.annotation {
                Some(annotation) => error.hint(format!("{} says so", annotation.display())),
                None => error,
            });
        }
        let object = |mark: &Mark| {
            Some(Object {
                class: mark.class,
                bounding_box: mark.place.inside(size)?,
                mask: None,
                keypoints: Vec::new(),
                crowd: mark.fate == MarkFate::Crowd,
                difficult: mark.fate == MarkFate::Difficult,
            })
        };
        Ok(Truth { objects: self.marks.iter().filter_map(object).collect(), ..Truth::default() })
    }
}

impl BoxedImages {
    /// The splits and their number of images.
    pub fn splits(&self) -> Vec<(String, usize)> {
        self.splits.iter().map(|(name, images)| (name.clone(), images.len())).collect()
    }

    /// The names of the classes, where the files have them.
    pub fn class_names(&self) -> Option<&[String]> {
        match &self.classes {
            Classes::Named(names) => Some(names),
            Classes::Numbered(_) => None,
        }
    }

    /// Number of classes; the highest that was met and one, where they have no names.
    pub fn num_classes(&self) -> usize {
        match &self.classes {
            Classes::Named(names) => names.len(),
            Classes::Numbered(count) => *count,
        }
    }

    /// Boxes that were dropped since nothing is left of them, in all splits.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// A split; its images are read when they are asked for.
    ///
    /// # Errors
    /// A split that is not there.
    pub fn open(&self, split: &str) -> Result<impl Dataset + use<>> {
        let known: Vec<&str> = self.splits.iter().map(|(name, _)| name.as_str()).collect();
        match self.splits.iter().find(|(name, _)| name == split) {
            Some((_, images)) => Ok(BoxedSplit { root: self.root.clone(), images: images.clone() }),
            None => Err(no_such_split(split, &known, &self.root)),
        }
    }
}

#[derive(Debug)]
struct BoxedSplit {
    root: PathBuf,
    images: Arc<[Boxed]>,
}

impl Dataset for BoxedSplit {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let boxed = &self.images[index];
        let image = decode_rgb(&boxed.image).map_err(|error| match &boxed.annotation {
            Some(annotation) if !boxed.image.exists() => {
                error.hint(format!("{} names it", annotation.display()))
            }
            _ => error,
        })?;
        let truth = boxed.truth(&image)?;
        Ok(Sample { image, truth })
    }

    fn origin(&self, index: usize) -> String {
        let file = &self.images[index].image;
        file.strip_prefix(&self.root).unwrap_or(file).display().to_string()
    }
}
