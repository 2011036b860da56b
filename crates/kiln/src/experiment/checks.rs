//! What of an experiment makes no sense, whatever its model.

use kiln_core::Result;
use kiln_data::{Batching, Layout, Opened};
use kiln_zoo::{Entry, Kind};

use super::{ExperimentFile, Source, TaskName};

/// Makes sure that a data set knows of its images what is learned.
///
/// # Errors
/// It does not.
pub(super) fn check_truths(source: &Source, task: TaskName, opened: &Opened) -> Result<()> {
    let layout = opened.layout;
    let boxes = matches!(layout, Layout::Coco | Layout::Voc | Layout::Yolo);
    let classes = matches!(layout, Layout::Idx | Layout::CifarBinary | Layout::ImageFolder);
    let wrong = |what: &str, hint: &str| {
        Err(source.reject("data.name", format!("`{}` {what}", opened.name)).hint(hint))
    };
    match task {
        TaskName::Classification if boxes => {
            wrong("has boxes, and no class of a whole image", "a detector learns them, as `yolov8n`")
        }
        TaskName::Classification if layout == Layout::LabelMaps => wrong(
            "has a class of every pixel, and none of a whole image",
            "a segmenter learns them, as `unet_bn`",
        ),
        TaskName::Detection if classes || layout == Layout::LabelMaps => wrong(
            "has no boxes for a detector to learn",
            "name a data set in the layout of COCO, VOC or YOLO, or `shapes`",
        ),
        _ => Ok(()),
    }
}

/// Refuses what only classifiers have: the keys of `[train]` that say how logits are compared with classes, and of the ways to mix
/// images those that leave truths of another kind behind.
///
/// # Errors
/// The key that was typed.
pub(super) fn no_classifier(source: &Source, file: &ExperimentFile, entry: &Entry) -> Result<()> {
    let mixes = |alpha: fn(&Batching) -> f64| file.data.train_batches.as_ref().map_or(0.0, alpha) > 0.0;
    let keys = [
        ("train.label_smoothing", file.train.label_smoothing.is_some()),
        ("train.loss", file.train.loss.is_some()),
        // Boxes of two images lie beside each other, label maps do not.
        ("data.train_batches.mixup", entry.kind() == Kind::Segmenter && mixes(|it| it.mixup)),
        ("data.train_batches.cutmix", mixes(|it| it.cutmix)),
    ];
    match keys.into_iter().find(|(_, is_given)| *is_given) {
        Some((key, _)) => {
            let message = format!("is for classifiers, and this is a {}", entry.kind());
            Err(source.reject(key, message).hint("leave it out"))
        }
        None => Ok(()),
    }
}

/// Makes sure that numbers are in their ranges.
///
/// # Errors
/// The key of one that is not.
pub(super) fn check_numbers(source: &Source, file: &ExperimentFile) -> Result<()> {
    let counts = [
        ("train.batch_size", Some(file.train.batch_size)),
        ("train.epochs", file.train.epochs),
        ("train.steps", file.train.steps),
        ("data.train_items", file.data.train_items),
        ("data.test_items", file.data.test_items),
    ];
    if let Some((key, _)) = counts.into_iter().find(|(_, count)| *count == Some(0)) {
        return Err(source.reject(key, "is 0").hint("give 1 or more"));
    }
    for (key, values, lowest) in
        [("data.std", file.data.std, f32::MIN_POSITIVE), ("data.mean", file.data.mean, f32::MIN)]
    {
        if values.is_some_and(|values| values.iter().any(|value| !value.is_finite() || *value < lowest)) {
            return Err(source.reject(key, "is no mean or standard deviation of pixels between 0 and 1"));
        }
    }
    if let Some(share) = file.train.label_smoothing.filter(|share| !(0.0..1.0).contains(share)) {
        return Err(source
            .reject("train.label_smoothing", format!("is {share}"))
            .hint("0 to below 1, as 0.1"));
    }
    Ok(())
}
