//! Maps of other sizes.

mod bilinear;
mod nearest;
mod shuffle;

pub use bilinear::{Corners, bilinear};
pub use nearest::nearest;
pub use shuffle::{pixel_shuffle, pixel_unshuffle};
