//! What belongs to a weight file beside its numbers.

use serde::{Deserialize, Serialize};

/// How images are prepared for a model's weights, and what its classes are called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// The shorter side is resized to this many pixels before a crop; else it is [`size`](Self::size).
    pub resize: usize,
    /// The side of the square that the network is shown, in pixels; the shorter side where it is shown whole images.
    pub size: usize,
    /// How an image becomes that square.
    #[serde(default)]
    pub fit: Fit,
    /// How it is resized.
    #[serde(default)]
    pub interpolation: Interpolation,
    /// Subtracted from each channel (red, green, blue; 0 to 1).
    pub mean: [f32; 3],
    /// What each channel is divided by.
    pub std: [f32; 3],
    /// Names of the classes; empty where nobody knows them.
    #[serde(default)]
    pub classes: Vec<String>,
}

/// How an image of any shape becomes what a network is shown: a square, mostly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Resized, then cut from the centre. Files that do not say it were made for this.
    #[default]
    Crop,
    /// Letterboxed in grey as YOLOv5 to v9 have it.
    Letterbox,
    /// Letterboxed in grey, in the upper left corner: YOLOX.
    TopLeftLetterbox,
    /// Letterboxed in grey as Darknet has it.
    DarknetLetterbox,
    /// Stretched.
    Stretch,
    /// Not at all: its shorter side is resized and nothing is cut off, for networks that take any shape.
    Whole,
}

/// How new pixels are made of old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// Along lines between neighbours. Files that do not say it were made for this.
    #[default]
    Bilinear,
    /// Along lines, with no care for what lies between when an image shrinks: OpenCV's and Darknet's.
    #[serde(rename = "bilinear-aliased")]
    BilinearAliased,
    /// Along cubic curves.
    Bicubic,
}
