//! An image file to eight-bit RGB, as torchvision's `ImageFolder` (PIL's `convert("RGB")`) has it.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageFormat, ImageReader, Limits, RgbImage};
use kiln_core::{Error, Result};

use super::jpeg;

/// The largest side and the most memory that a file may ask for.
pub(super) const MAX_SIDE: u32 = 1 << 15;
pub(super) const MAX_BYTES: u64 = 1 << 30;

/// Reads an image as eight-bit RGB, whatever its extension says it is.
///
/// Grey becomes three equal channels, alpha is dropped, palette and CMYK images are looked up and converted; an
/// orientation in the EXIF data is not applied. Of 16 bits the upper eight stay (PIL does so for colour; 16-bit grey it
/// clips at 255 instead, which makes most such images white, and is not followed). Of an animation it is the first frame.
///
/// # Errors
/// A file that cannot be read or decoded; a JPEG whose data end before its image does; sides over 32768 pixels.
pub fn decode_rgb(file: &Path) -> Result<RgbImage> {
    let bytes = fs::read(file).map_err(|why| Error::unreadable(file, &why))?;
    let corrupt = |why: String| Error::input(format!("not a readable image: {why}")).file(file);
    if bytes.is_empty() {
        return Err(corrupt("the file is empty".to_string()));
    }
    let mut reader = ImageReader::new(Cursor::new(&bytes))
        .with_guessed_format()
        .map_err(|why| Error::unreadable(file, &why))?;
    let format =
        reader.format().ok_or_else(|| corrupt("its first bytes are of no known format".to_string()))?;
    if format == ImageFormat::Jpeg {
        return jpeg::decode(&bytes).map_err(corrupt);
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let image =
        reader.decode().map_err(|why| corrupt(why.to_string().lines().collect::<Vec<_>>().join(" ")))?;
    Ok(to_rgb(image))
}

fn to_rgb(image: DynamicImage) -> RgbImage {
    let (width, height) = (image.width(), image.height());
    let upper = |value: u16| (value >> 8) as u8;
    let repeated = |grey: Vec<u8>| grey.into_iter().flat_map(|value| [value; 3]).collect::<Vec<u8>>();
    let pixels = match &image {
        DynamicImage::ImageLuma16(grey) => repeated(grey.pixels().map(|p| upper(p.0[0])).collect()),
        DynamicImage::ImageLumaA16(grey) => repeated(grey.pixels().map(|p| upper(p.0[0])).collect()),
        DynamicImage::ImageRgb16(rgb) => rgb.pixels().flat_map(|p| p.0.map(upper)).collect(),
        DynamicImage::ImageRgba16(rgba) => {
            rgba.pixels().flat_map(|p| [upper(p.0[0]), upper(p.0[1]), upper(p.0[2])]).collect()
        }
        _ => return image.into_rgb8(),
    };
    RgbImage::from_raw(width, height, pixels).unwrap_or_else(|| unreachable!("three bytes a pixel"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use image::{ImageBuffer, Luma, LumaA, Rgb, Rgba};

    use super::*;

    fn written(image: DynamicImage, name: &str) -> RgbImage {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        image.save(&file).unwrap();
        decode_rgb(&file).unwrap()
    }

    #[test]
    fn grey_alpha_and_16_bit_images_become_rgb8() {
        let grey = DynamicImage::ImageLuma8(ImageBuffer::from_pixel(2, 2, Luma([77])));
        let grey_alpha = DynamicImage::ImageLumaA8(ImageBuffer::from_pixel(2, 2, LumaA([77, 3])));
        let alpha = DynamicImage::ImageRgba8(ImageBuffer::from_pixel(2, 2, Rgba([1, 2, 3, 0])));
        // 0x1234 keeps its upper byte 0x12 = 18, 0xffff gives 255, 0x00ff gives 0.
        let deep = DynamicImage::ImageRgb16(ImageBuffer::from_pixel(2, 2, Rgb([0x1234, 0xffff, 0x00ff])));
        let deep_alpha =
            DynamicImage::ImageRgba16(ImageBuffer::from_pixel(2, 2, Rgba([0x1234, 0xffff, 0x00ff, 9])));
        let deep_grey = DynamicImage::ImageLuma16(ImageBuffer::from_pixel(2, 2, Luma([0x1234])));
        let rows = [
            (grey, [77; 3]),
            (grey_alpha, [77; 3]),
            (alpha, [1, 2, 3]),
            (deep, [18, 255, 0]),
            (deep_alpha, [18, 255, 0]),
            (deep_grey, [18; 3]),
        ];
        for (image, expected) in rows {
            let kind = image.color();
            let rgb = written(image, "a.png");
            assert_eq!(rgb.dimensions(), (2, 2), "{kind:?}");
            assert!(rgb.pixels().all(|pixel| pixel.0 == expected), "{kind:?}");
        }
    }

    #[test]
    fn the_content_decides_the_format_not_the_extension() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jpg");
        let image = DynamicImage::ImageRgb8(ImageBuffer::from_pixel(2, 2, Rgb([1, 2, 3])));
        image.save_with_format(&file, ImageFormat::Png).unwrap();
        assert_eq!(decode_rgb(&file).unwrap().get_pixel(0, 0).0, [1, 2, 3]);
    }

    #[test]
    fn a_jpeg_cut_off_anywhere_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jpg");
        let image = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * y) as u8, (x * 3) as u8, (y * 5) as u8]));
        image.save(&file).unwrap();
        let whole = fs::read(&file).unwrap();
        assert!(decode_rgb(&file).is_ok());
        for length in (0..whole.len() - 1).step_by(37) {
            // With an end put on, libjpeg would warn, and make the rest grey.
            for end in [&[][..], &[0xff, 0xd9]] {
                fs::write(&file, [&whole[..length], end].concat()).unwrap();
                let error = decode_rgb(&file).expect_err("a part of a JPEG");
                assert_eq!(error.file_named(), Some(file.as_path()), "{length} bytes: {error}");
                assert!(!error.to_string().contains('\n'));
            }
        }
    }
}
