//! `[data]` as meant, and the images that it stands for.

use std::sync::Arc;

use kiln_core::Result;
use kiln_data::{
    Batching, Dataset, Interpolation, Layout, Normalization, OnCorrupt, Opened, Pipeline, Placement, Shapes,
    ShapesConfig, Size, Subset, Transform,
};
use kiln_zoo::{Fit, Preprocessing};
use serde::Serialize;

use super::prepare::placed;
use crate::experiment::{DataFile, Source};

/// `[data]`, complete.
#[derive(Debug, Clone, Serialize)]
pub struct DataPlan {
    /// A name or a path.
    pub name: String,
    /// The split that is learned from.
    pub train_split: String,
    /// The split that is tried.
    pub test_split: String,
    /// Images learned from.
    pub train_items: usize,
    /// Images tried.
    pub test_items: usize,
    /// Side of the images of `shapes`, in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<usize>,
    /// What happens to an image before it is learned from.
    pub train_transforms: Vec<Transform>,
    /// What happens to an image before it is tried.
    pub test_transforms: Vec<Transform>,
    /// How the batches that are learned from are put together.
    pub train_batches: Batching,
    /// Mean of each channel.
    pub mean: [f32; 3],
    /// Standard deviation of each channel.
    pub std: [f32; 3],
    /// Threads that read images.
    pub workers: usize,
    /// What to do about an image that cannot be read.
    pub on_corrupt: OnCorrupt,
}

/// A split, and what happens to its images.
pub type Images = (Arc<dyn Dataset>, Pipeline);

/// Fills in what was left out of `[data]`, checks it, and opens what is learned from and what is tried; `normalization` is how
/// pixels are normalized unless the experiment says it.
///
/// # Errors
/// A split that is not there, or has too few images; a transform that makes no sense.
pub(super) fn data(
    source: &Source,
    file: DataFile,
    opened: &Opened,
    normalization: Normalization,
    seed: u64,
) -> Result<(DataPlan, Images, Images)> {
    let usual = |names: &[&'static str]| opened.first_split(names).unwrap_or(names[0]).to_string();
    let train_split = file.train_split.unwrap_or_else(|| usual(&["train", "all"]));
    let test_split = file.test_split.unwrap_or_else(|| usual(&["test", "val", "all"]));
    let is_generated = opened.layout == Layout::Generated;
    let image_size = is_generated.then(|| file.image_size.unwrap_or(32));
    if file.image_size.is_some() && !is_generated {
        let error = source.reject("data.image_size", format!("`{}` has its own image sizes", file.name));
        return Err(error.hint("use a `resize` transform"));
    }
    let images = |split: &str, key: &str, items: Option<usize>| -> Result<Arc<dyn Dataset>> {
        let all =
            opened.split(split).map_err(|error| placed(source, &format!("data.{key}_split"), &error))?;
        match (image_size, items) {
            (Some(size), items) => {
                let config = ShapesConfig::new(split, items.unwrap_or(all.len()), seed).with_size(size);
                let shapes =
                    Shapes::new(config).map_err(|error| placed(source, "data.image_size", &error))?;
                Ok(Arc::new(shapes))
            }
            (None, None) => Ok(all),
            (None, Some(items)) if items <= all.len() => Ok(Arc::new(Subset::evenly(all, items))),
            (None, Some(items)) => {
                let message = format!("asks for {items} images, `{split}` has {}", all.len());
                Err(source.reject(&format!("data.{key}_items"), message))
            }
        }
    };
    let train = images(&train_split, "train", file.train_items)?;
    let test = images(&test_split, "test", file.test_items)?;
    let Normalization { mean, std } = normalization;
    let plan = DataPlan {
        name: file.name,
        train_split,
        test_split,
        train_items: train.len(),
        test_items: test.len(),
        image_size,
        train_transforms: file.train_transforms.unwrap_or_default(),
        test_transforms: file.test_transforms.unwrap_or_default(),
        train_batches: file.train_batches.unwrap_or_default(),
        mean: file.mean.unwrap_or(mean),
        std: file.std.unwrap_or(std),
        workers: file.workers.unwrap_or(2),
        on_corrupt: file.on_corrupt.unwrap_or_default(),
    };
    let pipeline = |key: &str, transforms: &[Transform]| {
        let pipeline = Pipeline::new(transforms.to_vec(), plan.mean, plan.std);
        pipeline.map_err(|error| placed(source, key, &error))
    };
    let train = (train, pipeline("data.train_transforms", &plan.train_transforms)?);
    let test = (test, pipeline("data.test_transforms", &plan.test_transforms)?);
    Ok((plan, train, test))
}

/// What fills up a letterbox.
const GREY: [u8; 3] = [114; 3];

/// The pipeline that a weight file asks for.
pub fn pipeline_of(wanted: &Preprocessing) -> Result<Pipeline> {
    let interpolation = match wanted.interpolation {
        kiln_zoo::Interpolation::Bilinear => Interpolation::Bilinear,
        kiln_zoo::Interpolation::BilinearAliased => Interpolation::BilinearAliased,
        kiln_zoo::Interpolation::Bicubic => Interpolation::Bicubic,
    };
    let size = Size::HeightWidth([wanted.size; 2]);
    let letterbox =
        |placement| Transform::Letterbox { size, placement, enlarge: true, fill: GREY, interpolation };
    let transforms = match wanted.fit {
        Fit::Crop => {
            let resize = Transform::Resize { size: Size::Side(wanted.resize), interpolation };
            vec![resize, Transform::CenterCrop { size }]
        }
        Fit::Letterbox => vec![letterbox(Placement::Centred)],
        Fit::TopLeftLetterbox => vec![letterbox(Placement::TopLeft)],
        Fit::DarknetLetterbox => vec![letterbox(Placement::Darknet)],
        Fit::Stretch => vec![Transform::Resize { size, interpolation }],
        Fit::Whole => vec![Transform::Resize { size: Size::Side(wanted.size), interpolation }],
    };
    Pipeline::new(transforms, wanted.mean, wanted.std)
}

/// How images are prepared for a network that was tried on images of `[height, width]` by these transforms: what a weight file
/// can say of it. Where none of them scales, others are fitted in the `usual` way.
pub(super) fn preprocessing(
    plan: &DataPlan,
    usual: Fit,
    image_size: [usize; 2],
    classes: &[String],
) -> Preprocessing {
    let transforms = &plan.test_transforms;
    let side = |size: [usize; 2]| size[0].min(size[1]);
    let size = side(transforms.iter().fold(image_size, |size, transform| transform.output_size(size)));
    let scaled = transforms.iter().find_map(|transform| match transform {
        Transform::Resize { size: Size::Side(side), interpolation } => {
            let cuts = transforms.iter().any(|it| matches!(it, Transform::CenterCrop { .. }));
            Some((*side, if cuts { Fit::Crop } else { usual }, *interpolation))
        }
        Transform::Resize { size, interpolation } => {
            // Into a square, and no more: the whole image is in it.
            let stretched = transforms.len() == 1 && size.height_width() == [side(size.height_width()); 2];
            let fit = if stretched { Fit::Stretch } else { Fit::Crop };
            Some((side(size.height_width()), fit, *interpolation))
        }
        Transform::Letterbox { placement, interpolation, .. } => {
            let fit = match placement {
                Placement::Centred => Fit::Letterbox,
                Placement::TopLeft => Fit::TopLeftLetterbox,
                Placement::Darknet => Fit::DarknetLetterbox,
            };
            Some((size, fit, *interpolation))
        }
        _ => None,
    });
    let (resize, fit, interpolation) = scaled.unwrap_or((size, usual, Interpolation::Bilinear));
    Preprocessing {
        resize,
        size,
        fit,
        interpolation: match interpolation {
            Interpolation::Bicubic => kiln_zoo::Interpolation::Bicubic,
            Interpolation::BilinearAliased => kiln_zoo::Interpolation::BilinearAliased,
            // A weight file knows no other kind; nearest is for label maps.
            Interpolation::Bilinear | Interpolation::Nearest => kiln_zoo::Interpolation::Bilinear,
        },
        mean: plan.mean,
        std: plan.std,
        classes: classes.to_vec(),
    }
}

/// The names of a data set's classes, or numbers where it has none.
pub fn class_name(classes: &[String], class: usize) -> String {
    classes.get(class).cloned().unwrap_or_else(|| class.to_string())
}
