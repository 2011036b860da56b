//! How well pixels are labelled: each class's intersection over union, and the worst and the best images.

use std::fmt::Write;

use image::RgbImage;
use image::imageops::thumbnail;

use super::html::{escape, jpeg, percent};

/// What a report shows of a segmenter.
#[derive(Debug, Clone, Default)]
pub struct LabelReport {
    /// In the order of the labels.
    pub classes: Vec<LabelClass>,
    /// The images with the lowest mean intersection over union, the lowest first.
    pub worst: Vec<LabelScene>,
    /// The images with the highest, the highest first.
    pub best: Vec<LabelScene>,
}

/// A class of pixels.
#[derive(Debug, Clone)]
pub struct LabelClass {
    /// What it is called.
    pub name: String,
    /// The colour of its pixels in the pictures.
    pub colour: [u8; 3],
    /// Intersection over union; none if the class is neither there nor predicted.
    pub iou: Option<f64>,
    /// Of the pixels that count, the share that is of this class.
    pub share: f64,
}

/// A test image with the labels that it has, and with those that it was given.
#[derive(Debug, Clone)]
pub struct LabelScene {
    /// The true labels over the image.
    pub truth: RgbImage,
    /// The predicted labels over the image.
    pub predicted: RgbImage,
    /// The mean intersection over union of the classes that are there or predicted.
    pub iou: f64,
}

/// A wider image is reduced to this, so that the page stays small.
const WIDEST: u32 = 360;

/// The classes.
pub fn section(report: &LabelReport) -> String {
    let mut text = String::from(
        "<section>\n<h2>Labels of pixels</h2>\n<div class=\"scroll\">\n<table class=\"classes\">\n<thead><tr><th>class</th>\
         <th>of all pixels</th><th>IoU</th><th></th></tr></thead>\n<tbody>\n",
    );
    for class in &report.classes {
        let [red, green, blue] = class.colour;
        let iou = class.iou.unwrap_or(f64::NAN);
        let _ = writeln!(
            text,
            "<tr><th><i class=\"swatch\" style=\"background:rgb({red},{green},{blue})\"></i>{}</th><td>{}</td><td>{}</td>\
             <td class=\"meter\"><i class=\"bar right\" style=\"width:{:.0}%\"></i></td></tr>",
            escape(&class.name),
            percent(class.share, 1),
            percent(iou, 1),
            if iou.is_finite() { 100.0 * iou } else { 0.0 }
        );
    }
    text.push_str(
        "</tbody>\n</table>\n</div>\n<p class=\"note\">Intersection over union (IoU): of the pixels that are of a class or \
         are taken for it, the share that is both. The mean counts every class alike.</p>\n</section>\n",
    );
    text
}

/// The images.
pub fn images(report: &LabelReport) -> String {
    if report.worst.is_empty() && report.best.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<section>\n<h2>Test images</h2>\n<p>Above the labels that an image has, below those that it was given.</p>\n",
    );
    for (title, scenes) in [("Worst", &report.worst), ("Best", &report.best)] {
        if scenes.is_empty() {
            continue;
        }
        let _ = writeln!(text, "<h3>{title}</h3>\n<ul class=\"scenes\">");
        for scene in scenes {
            let _ = writeln!(
                text,
                "<li>{}{}<p><b>mean IoU {}</b></p></li>",
                picture(&scene.truth, "true labels"),
                picture(&scene.predicted, "predicted labels"),
                percent(scene.iou, 1)
            );
        }
        text.push_str("</ul>\n");
    }
    text.push_str("</section>\n");
    text
}

fn picture(image: &RgbImage, what: &str) -> String {
    let image = match image.width() > WIDEST {
        true => thumbnail(image, WIDEST, (image.height() * WIDEST / image.width()).max(1)),
        false => image.clone(),
    };
    match jpeg(image) {
        Some(address) => format!("<img class=\"labels\" alt=\"{what}\" src=\"{address}\"/>"),
        None => String::new(),
    }
}
