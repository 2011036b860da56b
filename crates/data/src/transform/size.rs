//! A size in pixels, as typed.

use serde::{Deserialize, Serialize};

/// A size in pixels, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number of pixels or [height, width] in pixels")]
pub enum Size {
    /// One number.
    Side(usize),
    /// Height and width.
    HeightWidth([usize; 2]),
}

impl Size {
    /// Height and width, where one number is a square.
    pub fn height_width(self) -> [usize; 2] {
        match self {
            Self::Side(side) => [side; 2],
            Self::HeightWidth(size) => size,
        }
    }
}
