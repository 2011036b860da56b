//! A PNG whose pixels are classes: grey, where the value is the class; with a palette, where the index is; or in VOC's colours.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use kiln_core::{Error, LabelMap, Result};
use png::{BitDepth, ColorType, Decoder, Limits, Transformations};

use super::decode::{MAX_BYTES, MAX_SIDE};

/// The colour of a class in PASCAL VOC's map, which spreads the bits of the number over the channels; 255, the border of objects,
/// is a light grey.
pub(crate) fn voc_colour(class: u8) -> [u8; 3] {
    [0, 1, 2].map(|channel| (0..3).map(|j| bit(class, 3 * j + channel) << (7 - j)).sum())
}

/// The class that has a colour in VOC's map.
fn voc_class(colour: [u8; 3]) -> Option<u8> {
    let class = (0..8).map(|i| bit(colour[usize::from(i) % 3], 7 - i / 3) << i).sum();
    (voc_colour(class) == colour).then_some(class)
}

fn bit(number: u8, place: u8) -> u8 {
    number.checked_shr(place.into()).unwrap_or(0) & 1
}

/// Reads the labels of an image as they are written: 0 to 255.
///
/// Of a palette only the numbers count, whatever its colours. Pixels of fewer than eight bits are numbers as they are.
///
/// # Errors
/// A file that is no PNG; one of 16 bits or with alpha; one of colours that are not VOC's.
pub(super) fn labels_of(file: &Path) -> Result<LabelMap> {
    let wrong = |message: String| {
        Error::input(message)
            .file(file)
            .hint("expected a PNG with a class a pixel: grey of at most 8 bits, or a palette")
    };
    let bytes = fs::read(file).map_err(|why| Error::unreadable(file, &why))?;
    if !bytes.starts_with(b"\x89PNG") {
        return Err(wrong("no PNG".to_string()));
    }
    let corrupt = |why: png::DecodingError| {
        let why = why.to_string().lines().collect::<Vec<_>>().join(" ");
        Error::input(format!("not a readable PNG: {why}")).file(file)
    };
    let limits = Limits { bytes: MAX_BYTES as usize };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(corrupt)?;
    let info = reader.info();
    let (kind, depth) = (info.color_type, info.bit_depth);
    let [width, height] = [info.width, info.height];
    if width.max(height) > MAX_SIDE {
        return Err(wrong(format!("{width}x{height} pixels, over {MAX_SIDE}")));
    }
    let [width, height] = [width as usize, height as usize];
    match (kind, depth) {
        (_, BitDepth::Sixteen) => return Err(wrong("a PNG of 16 bits".to_string())),
        (ColorType::GrayscaleAlpha | ColorType::Rgba, _) => {
            return Err(wrong("a PNG with alpha".to_string()));
        }
        (ColorType::Grayscale | ColorType::Indexed | ColorType::Rgb, _) => {}
    }
    let size =
        reader.output_buffer_size().ok_or_else(|| wrong("more pixels than fit into memory".to_string()))?;
    let mut bytes = vec![0; size];
    let line = reader.next_frame(&mut bytes).map_err(corrupt)?.line_size;
    let rows = bytes.chunks_exact(line.max(1)).take(height);
    let labels = match kind {
        ColorType::Rgb => {
            let mut labels = Vec::with_capacity(width * height);
            for (y, row) in rows.enumerate() {
                for (x, colour) in row.as_chunks::<3>().0.iter().enumerate() {
                    labels.push(voc_class(*colour).ok_or_else(|| {
                        let [r, g, b] = colour;
                        wrong(format!("a colour image with {r}, {g}, {b}, which is none of VOC's colours"))
                            .place(format!("pixel {x}, {y}"))
                    })?);
                }
            }
            labels
        }
        _ => rows.flat_map(|row| unpacked(row, depth as usize, width)).collect(),
    };
    Ok(LabelMap { width, height, labels })
}

/// The numbers of a row that are packed into bytes, the first in the upper bits.
fn unpacked(row: &[u8], bits: usize, width: usize) -> impl Iterator<Item = u8> {
    let mask = (0xff_u16 >> (8 - bits)) as u8;
    (0..width).map(move |x| (row[x * bits / 8] >> (8 - bits - x * bits % 8)) & mask)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn written(
        folder: &Path,
        kind: ColorType,
        depth: BitDepth,
        size: [u32; 2],
        bytes: &[u8],
    ) -> Result<LabelMap> {
        let file = folder.join("a.png");
        let mut encoder = png::Encoder::new(fs::File::create(&file).unwrap(), size[0], size[1]);
        encoder.set_color(kind);
        encoder.set_depth(depth);
        if kind == ColorType::Indexed {
            // All of one colour: it is not looked at.
            encoder.set_palette(vec![7; 3 * 256]);
        }
        encoder.write_header().unwrap().write_image_data(bytes).unwrap();
        labels_of(&file)
    }

    #[test]
    fn vocs_colours_are_the_published_ones() {
        // The devkit's `VOClabelcolormap`: background, aeroplane, bicycle, bird, bottle, ... , tv/monitor, border.
        let rows = [
            (0, [0, 0, 0]),
            (1, [128, 0, 0]),
            (2, [0, 128, 0]),
            (3, [128, 128, 0]),
            (4, [0, 0, 128]),
            (8, [64, 0, 0]),
            (15, [192, 128, 128]),
            (20, [0, 64, 128]),
            (255, [224, 224, 192]),
        ];
        for (class, colour) in rows {
            assert_eq!(voc_colour(class), colour, "{class}");
        }
        assert!((0..=255).all(|class| voc_class(voc_colour(class)) == Some(class)));
        assert_eq!([[1, 0, 0], [128, 128, 129]].map(voc_class), [None, None]);
    }

    #[test]
    fn a_pixel_is_a_number_whatever_its_colour() {
        let folder = tempfile::tempdir().unwrap();
        let grey = |depth, bytes: &[u8]| written(folder.path(), ColorType::Grayscale, depth, [3, 2], bytes);
        let indexed = |depth, bytes: &[u8]| written(folder.path(), ColorType::Indexed, depth, [3, 2], bytes);
        let bytes = [0, 1, 11, 255, 4, 20];
        let rows = [
            (grey(BitDepth::Eight, &bytes), bytes),
            (indexed(BitDepth::Eight, &bytes), bytes),
            // Rows of 3 x 4, 3 x 2 and 3 x 1 bits, each filled up to whole bytes.
            (indexed(BitDepth::Four, &[0x12, 0x30, 0xf0, 0x40]), [1, 2, 3, 15, 0, 4]),
            (grey(BitDepth::Two, &[0b0110_1100, 0b1100_0100]), [1, 2, 3, 3, 0, 1]),
            (grey(BitDepth::One, &[0b1010_0000, 0b0110_0000]), [1, 0, 1, 0, 1, 1]),
            (
                written(
                    folder.path(),
                    ColorType::Rgb,
                    BitDepth::Eight,
                    [3, 2],
                    [0, 1, 20, 255, 2, 3].map(voc_colour).as_flattened(),
                ),
                [0, 1, 20, 255, 2, 3],
            ),
        ];
        for (i, (map, labels)) in rows.into_iter().enumerate() {
            let map = map.unwrap();
            assert_eq!((map.width, map.height, &map.labels[..]), (3, 2, &labels[..]), "row {i}");
        }
    }

    #[test]
    fn what_is_no_label_map_is_one_line_that_says_what_is_expected() {
        let folder = tempfile::tempdir().unwrap();
        let of = |kind, depth, bytes: &[u8]| written(folder.path(), kind, depth, [2, 1], bytes);
        let eight = BitDepth::Eight;
        let rows = [
            (
                of(ColorType::Rgb, eight, &[0, 0, 0, 9, 8, 7]),
                "pixel 1, 0: a colour image with 9, 8, 7, which is none of VOC's colours",
            ),
            (of(ColorType::Rgba, eight, &[0; 8]), "a PNG with alpha"),
            (of(ColorType::GrayscaleAlpha, eight, &[0; 4]), "a PNG with alpha"),
            (of(ColorType::Grayscale, BitDepth::Sixteen, &[0; 4]), "a PNG of 16 bits"),
        ];
        for (found, expected) in rows {
            let line = found.unwrap_err().to_string();
            let is_told = line.contains(expected) && line.contains("expected a PNG with a class a pixel");
            assert!(is_told && line.lines().count() == 1, "{line}\n{expected}");
        }
        let file = folder.path().join("a.png");
        let whole = {
            written(folder.path(), ColorType::Grayscale, eight, [2, 2], &[0; 4]).unwrap();
            fs::read(&file).unwrap()
        };
        for length in 0..whole.len() - 12 {
            fs::write(&file, &whole[..length]).unwrap();
            let error = labels_of(&file).expect_err("a part of a PNG");
            assert_eq!(error.file_named(), Some(file.as_path()), "{length} bytes: {error}");
        }
    }
}
