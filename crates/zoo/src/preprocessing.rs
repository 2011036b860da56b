//! What belongs to a weight file beside its numbers.

use serde::{Deserialize, Serialize};

/// How images are prepared for a model's weights, and what its classes are called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// The shorter side is resized to this many pixels first.
    pub resize: usize,
    /// Then a square of this many pixels a side is cut from the centre.
    pub size: usize,
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

/// How new pixels are made of old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// Along lines between neighbours. Files that do not say it were made for this.
    #[default]
    Bilinear,
    /// Along cubic curves.
    Bicubic,
}
