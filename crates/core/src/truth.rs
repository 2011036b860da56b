//! What is known of an image: its class, its objects, the label of every pixel. A data set fills what it has.

use crate::BoundingBox;

/// The label of pixels that no loss and no score counts.
pub const IGNORED: u8 = 255;

/// What is known of one image.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Truth {
    /// The class of the whole image.
    pub class: Option<usize>,
    /// The classes of an image that is mixed of several, each with its share; the shares sum to 1. Empty for all others.
    pub mixture: Vec<(usize, f32)>,
    /// The objects in it, the nearest to the viewer last.
    pub objects: Vec<Object>,
    /// The class of every pixel.
    pub label_map: Option<LabelMap>,
}

/// One object of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Its class.
    pub class: usize,
    /// The box around it, in pixels.
    pub bounding_box: BoundingBox,
    /// Its visible pixels.
    pub mask: Option<Mask>,
    /// Its keypoints, in the data set's order.
    pub keypoints: Vec<Keypoint>,
    /// A region of many objects, which no prediction is blamed for (COCO's `iscrowd`).
    pub crowd: bool,
    /// One that can hardly be told: nobody has to find it, and no prediction is blamed for it (VOC's `difficult`).
    pub difficult: bool,
}

impl Object {
    /// Whether it is to be learned and to be found.
    pub fn is_sought(&self) -> bool {
        !(self.crowd || self.difficult)
    }
}

/// A point of an object, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Keypoint {
    /// To the right.
    pub x: f32,
    /// Down.
    pub y: f32,
    /// False where the point is marked but covered by another object.
    pub visible: bool,
    /// False where nobody marked the point, or where it has left the image; `x` and `y` mean nothing then.
    pub labelled: bool,
}

/// A region of an image, a bit a pixel, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` bits.
    pub bits: Vec<bool>,
}

impl Mask {
    /// Number of pixels in the region.
    pub fn area(&self) -> usize {
        self.bits.iter().filter(|bit| **bit).count()
    }
}

/// A class a pixel, row by row; [`IGNORED`] where it does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelMap {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` classes.
    pub labels: Vec<u8>,
}
