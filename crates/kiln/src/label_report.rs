//! What a report shows of a segmenter, from its score and from what it said of each image.

use image::RgbImage;
use kiln_core::{LabelMap, Result};
use kiln_data::{label_colour, tinted};
use kiln_tasks::SegmentationScore;

use crate::evaluation::Labelled;
use crate::experiment::class_name;
use crate::report::{LabelClass, LabelReport, LabelScene};

/// The report of a score and of what was said of each image, with `count` of the worst and of the best images at most, read by
/// `image`, which gives each as the network is shown it.
///
/// # Errors
/// What `image` says.
pub fn label_report(
    score: &SegmentationScore,
    labelled: &[Labelled],
    names: &[String],
    count: usize,
    image: impl Fn(usize) -> Result<RgbImage>,
) -> Result<LabelReport> {
    let (actual, all) = (score.confusion().actual(), score.confusion().total().max(1) as f64);
    let class = |(class, (iou, pixels)): (usize, (Option<f64>, &u64))| LabelClass {
        name: class_name(names, class),
        colour: label_colour(class as u8, names),
        iou,
        share: *pixels as f64 / all,
    };
    let classes = score.iou_of_classes().into_iter().zip(&actual).enumerate().map(class).collect();
    let mut order: Vec<&Labelled> = labelled.iter().collect();
    order.sort_by(|a, b| a.iou.total_cmp(&b.iou));
    // No image is among the worst and among the best.
    let count = count.min(order.len() / 2);
    let scene = |one: &&Labelled| {
        let image = image(one.index)?;
        let over = |map: &LabelMap| tinted(&image, map, names);
        Ok(LabelScene { truth: over(&one.truth), predicted: over(&one.predicted), iou: one.iou })
    };
    let worst = order.iter().take(count).map(scene).collect::<Result<_>>()?;
    let best = order.iter().rev().take(count).map(scene).collect::<Result<_>>()?;
    Ok(LabelReport { classes, worst, best })
}
