//! Words, numbers and pictures as the page writes them.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, RgbImage};
pub use kiln_page::text::{escape, fixed, grouped, percent, short, shorten};

/// The picture as a `data:` address that holds it as PNG; none if it has no pixels.
pub fn png(image: impl Into<DynamicImage>) -> Option<String> {
    let image: DynamicImage = image.into();
    let mut bytes = Cursor::new(Vec::new());
    if image.width() == 0 || image.height() == 0 {
        return None;
    }
    image.write_to(&mut bytes, ImageFormat::Png).ok()?;
    Some(format!("data:image/png;base64,{}", STANDARD.encode(bytes.into_inner())))
}

/// The photograph as a `data:` address that holds it as JPEG, a tenth of what it takes as PNG; none if it has no pixels.
pub fn jpeg(image: RgbImage) -> Option<String> {
    const QUALITY: u8 = 88;
    let mut bytes = Vec::new();
    if image.width() == 0 || image.height() == 0 {
        return None;
    }
    image.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, QUALITY)).ok()?;
    Some(format!("data:image/jpeg;base64,{}", STANDARD.encode(bytes)))
}
