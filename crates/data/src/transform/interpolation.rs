//! How a scaled image's pixels are computed.

use serde::{Deserialize, Serialize};

/// How a scaled image's pixels are computed. Bilinear and bicubic widen their filter when they shrink an image
/// ("antialias"), as PIL does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// The pixel that covers the centre.
    Nearest,
    /// A triangle filter.
    #[default]
    Bilinear,
    /// Between the four pixels around a point, however much the image shrinks: OpenCV's, by which YOLOv5 to v9 see their images.
    BilinearAliased,
    /// Keys' cubic with a = -0.5.
    Bicubic,
}
