//! The entries of COCO's files, as each kind of score reads them.

use kiln_core::{Error, Result};
use kiln_tasks::average_precision::{Actual, Predicted, Runs, TruePose, XywhBox};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::segmentation::Segmentation;

/// An image of a truth.
#[derive(Deserialize)]
pub struct Image {
    /// Its number.
    pub id: i64,
    /// Pixels; needed for polygons alone.
    width: Option<usize>,
    /// Pixels; needed for polygons alone.
    height: Option<usize>,
}

impl Image {
    fn size(&self) -> Option<[usize; 2]> {
        self.height.zip(self.width).map(|(height, width)| [height, width])
    }
}

/// An entry of a file, of which a score takes a `T`.
pub trait Entry<T>: DeserializeOwned + Send {
    /// The image's and the class's numbers.
    fn ids(&self) -> [i64; 2];

    /// What is compared.
    ///
    /// # Errors
    /// What does not fit together.
    fn of_class(self, class: usize, image: &Image) -> Result<T>;
}

/// An object by its box.
#[derive(Deserialize)]
pub struct BoxObject {
    image_id: i64,
    category_id: i64,
    bbox: XywhBox,
    /// That of the mask; the box's where it is missing.
    area: Option<f64>,
    #[serde(default)]
    iscrowd: u8,
}

impl Entry<Actual<XywhBox>> for BoxObject {
    fn ids(&self) -> [i64; 2] {
        [self.image_id, self.category_id]
    }

    fn of_class(self, class: usize, _image: &Image) -> Result<Actual<XywhBox>> {
        let area = self.area.unwrap_or(area(&self.bbox));
        Ok(Actual { class, area, crowd: self.iscrowd != 0, ignored: false, shape: self.bbox })
    }
}

/// A predicted box.
#[derive(Deserialize)]
pub struct BoxPrediction {
    image_id: i64,
    category_id: i64,
    bbox: XywhBox,
    score: f64,
}

impl Entry<Predicted<XywhBox>> for BoxPrediction {
    fn ids(&self) -> [i64; 2] {
        [self.image_id, self.category_id]
    }

    fn of_class(self, class: usize, _image: &Image) -> Result<Predicted<XywhBox>> {
        Ok(Predicted { class, score: self.score, area: area(&self.bbox), shape: self.bbox })
    }
}

/// An object by its mask.
#[derive(Deserialize)]
pub struct MaskObject {
    image_id: i64,
    category_id: i64,
    segmentation: Segmentation,
    /// The mask's own where it is missing.
    area: Option<f64>,
    #[serde(default)]
    iscrowd: u8,
}

impl Entry<Actual<Runs>> for MaskObject {
    fn ids(&self) -> [i64; 2] {
        [self.image_id, self.category_id]
    }

    fn of_class(self, class: usize, image: &Image) -> Result<Actual<Runs>> {
        let shape = self.segmentation.runs(image.size())?;
        let area = self.area.unwrap_or(shape.area() as f64);
        Ok(Actual { class, area, crowd: self.iscrowd != 0, ignored: false, shape })
    }
}

/// A predicted mask.
#[derive(Deserialize)]
pub struct MaskPrediction {
    image_id: i64,
    category_id: i64,
    segmentation: Segmentation,
    /// Where there is one, it is its area that counts, as in pycocotools.
    bbox: Option<XywhBox>,
    score: f64,
}

impl Entry<Predicted<Runs>> for MaskPrediction {
    fn ids(&self) -> [i64; 2] {
        [self.image_id, self.category_id]
    }

    fn of_class(self, class: usize, image: &Image) -> Result<Predicted<Runs>> {
        let shape = self.segmentation.runs(image.size())?;
        let area = self.bbox.as_ref().map_or(shape.area() as f64, area);
        Ok(Predicted { class, score: self.score, area, shape })
    }
}

/// Points of a person, each `x, y, v`; `v` is 0 where it is not marked.
const POINTS: usize = 17;

/// An object by its keypoints.
#[derive(Deserialize)]
pub struct PoseObject {
    image_id: i64,
    category_id: i64,
    keypoints: Vec<f64>,
    num_keypoints: Option<usize>,
    bbox: XywhBox,
    /// That of the mask; the box's where it is missing.
    area: Option<f64>,
    #[serde(default)]
    iscrowd: u8,
}

impl Entry<Actual<TruePose>> for PoseObject {
    fn ids(&self) -> [i64; 2] {
        [self.image_id, self.category_id]
    }

    fn of_class(self, class: usize, _image: &Image) -> Result<Actual<TruePose>> {
        let points = triples(&self.keypoints)?.map(|[x, y, v]| (v > 0.0).then_some([x, y]));
        let points: Vec<_> = points.collect();
        let marked = self.num_keypoints.unwrap_or(points.iter().flatten().count());
        let area = self.area.unwrap_or(area(&self.bbox));
        let shape = TruePose { points, bounds: self.bbox, area };
        Ok(Actual { class, area, crowd: self.iscrowd != 0, ignored: marked == 0, shape })
    }
}

/// Predicted keypoints.
#[derive(Deserialize)]
pub struct PosePrediction {
    image_id: i64,
    category_id: i64,
    keypoints: Vec<f64>,
    /// Where there is one, it is its area that counts, as in pycocotools; else that of the box around all points.
    bbox: Option<XywhBox>,
    score: f64,
}

impl Entry<Predicted<Vec<[f64; 2]>>> for PosePrediction {
    fn ids(&self) -> [i64; 2] {
        [self.image_id, self.category_id]
    }

    fn of_class(self, class: usize, _image: &Image) -> Result<Predicted<Vec<[f64; 2]>>> {
        let shape: Vec<[f64; 2]> = triples(&self.keypoints)?.map(|[x, y, _]| [x, y]).collect();
        let extent = |axis: usize| {
            let along = || shape.iter().map(|point| point[axis]);
            along().fold(f64::MIN, f64::max) - along().fold(f64::MAX, f64::min)
        };
        let area = self.bbox.as_ref().map_or_else(|| extent(0) * extent(1), area);
        Ok(Predicted { class, score: self.score, area, shape })
    }
}

fn area(bbox: &XywhBox) -> f64 {
    bbox[2] * bbox[3]
}

fn triples(keypoints: &[f64]) -> Result<impl Iterator<Item = [f64; 3]>> {
    let (triples, rest) = keypoints.as_chunks::<3>();
    match (triples.len(), rest) {
        (POINTS, []) => Ok(triples.iter().copied()),
        _ => Err(Error::input(format!("`keypoints` has {} numbers", keypoints.len()))
            .hint("it takes 51, x, y and v of COCO's 17 points of a person")),
    }
}
