//! Many samples as one picture, with labels and, if wanted, what is known of their objects.

use embedded_graphics::mono_font::MonoFont;
use embedded_graphics::mono_font::iso_8859_1::FONT_7X13;
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::Point;
use embedded_graphics::primitives::{Circle, Primitive, PrimitiveStyleBuilder};
use image::{RgbImage, imageops};
use kiln_core::Object;

use crate::Sample;
use crate::boxed::class_colour;
use crate::canvas::{Canvas, fitting, mix, width_of};
use crate::overlay;

const FONT: MonoFont<'_> = FONT_7X13;
/// Between cells, and around the sheet.
const GAP: i32 = 12;
/// Between an image and its label.
const LABEL_GAP: i32 = 4;
/// Images are magnified to at least this side where a whole factor does it, and reduced to at most that.
const READABLE: u32 = 112;
const LARGEST: u32 = 288;
/// How much of a mask's colour is mixed into its pixels.
const TINT: f32 = 0.4;

/// A grid of samples with labels.
///
/// Small images are magnified by a whole factor, pixel by pixel, so that what is seen is what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContactSheet {
    /// Samples a row.
    pub columns: usize,
    /// Whether boxes, masks and keypoints are drawn over the images, in a colour a class (a keypoint that is covered is
    /// hollow), or, where there are no objects, the label map.
    pub overlay: bool,
}

impl ContactSheet {
    /// A sheet of plain images.
    pub fn new(columns: usize) -> Self {
        Self { columns, overlay: false }
    }

    /// Draws what is known of the objects, too.
    pub fn with_overlay(mut self, overlay: bool) -> Self {
        self.overlay = overlay;
        self
    }

    /// The picture of `samples`, each with a label under it, whose lines are cut to its image's width.
    pub fn draw(&self, samples: &[(Sample, String)]) -> RgbImage {
        let tiles: Vec<RgbImage> = samples.iter().map(|(sample, _)| self.tile(sample)).collect();
        let columns = self.columns.clamp(1, samples.len().max(1));
        let cell_width = tiles.iter().map(RgbImage::width).max().unwrap_or(READABLE) as i32;
        let tile_height = tiles.iter().map(RgbImage::height).max().unwrap_or(READABLE) as i32;
        let line_height = FONT.character_size.height as i32;
        // Each row is as high as its longest label needs.
        let lines = |row: &[(Sample, String)]| row.iter().map(|(_, label)| label.lines().count()).max();
        let heights: Vec<i32> = (samples.chunks(columns))
            .map(|row| tile_height + LABEL_GAP + lines(row).unwrap_or(1).max(1) as i32 * line_height)
            .collect();
        let height = heights.iter().map(|height| height + GAP).sum::<i32>();
        let mut sheet = Canvas::paper(GAP + columns as i32 * (cell_width + GAP), GAP + height);
        let mut y = GAP;
        for ((tiles, samples), height) in tiles.chunks(columns).zip(samples.chunks(columns)).zip(heights) {
            for (i, (tile, (_, label))) in tiles.iter().zip(samples).enumerate() {
                let x = GAP + i as i32 * (cell_width + GAP);
                let left = x + (cell_width - tile.width() as i32) / 2;
                sheet.paste(tile, left, y + tile_height - tile.height() as i32);
                for (line, text) in label.lines().enumerate() {
                    let top = y + tile_height + LABEL_GAP + line as i32 * line_height;
                    sheet.label(text, x, top, cell_width);
                }
            }
            y += height + GAP;
        }
        sheet.0
    }

    /// One image at its size on the sheet.
    fn tile(&self, sample: &Sample) -> RgbImage {
        let (width, height) = sample.image.dimensions();
        let side = width.max(height);
        let (new_width, new_height) = if side > LARGEST {
            ((width * LARGEST / side).max(1), (height * LARGEST / side).max(1))
        } else {
            let factor = READABLE.div_ceil(side.max(1));
            (width * factor, height * factor)
        };
        let mut image = sample.image.clone();
        if self.overlay {
            match (&sample.truth.label_map, sample.truth.objects.is_empty()) {
                (Some(map), true) => overlay::tint(&mut image, map, &[]),
                _ => tint(&mut image, &sample.truth.objects),
            }
        }
        let filter =
            if side > LARGEST { imageops::FilterType::Triangle } else { imageops::FilterType::Nearest };
        let mut tile = Canvas(imageops::resize(&image, new_width, new_height, filter));
        if self.overlay {
            let scale = [new_width as f32 / width as f32, new_height as f32 / height as f32];
            for object in &sample.truth.objects {
                tile.outline(object, scale);
            }
        }
        tile.0
    }
}

fn tint(image: &mut RgbImage, objects: &[Object]) {
    for object in objects {
        let colour = class_colour(object.class);
        let colour = [colour.r(), colour.g(), colour.b()];
        let bits = object.mask.iter().flat_map(|mask| &mask.bits);
        for (pixel, _) in image.pixels_mut().zip(bits).filter(|(_, bit)| **bit) {
            mix(pixel, colour, TINT);
        }
    }
}

impl Canvas {
    /// Text centred in `width` pixels from `left`.
    fn label(&mut self, text: &str, left: i32, top: i32, width: i32) {
        let shown = fitting(text, &FONT, width);
        self.write(&shown, &FONT, left + (width - width_of(&shown, &FONT)) / 2, top);
    }

    fn outline(&mut self, object: &Object, [across, down]: [f32; 2]) {
        let place = |x: f32, y: f32| Point::new((x * across).round() as i32, (y * down).round() as i32);
        let (colour, scale) = (class_colour(object.class), [across, down]);
        self.frame(&object.bounding_box.scaled(scale), colour, 2);
        for keypoint in object.keypoints.iter().filter(|keypoint| keypoint.labelled) {
            let style = PrimitiveStyleBuilder::new().stroke_color(Rgb888::BLACK).stroke_width(1);
            let style = if keypoint.visible { style.fill_color(colour) } else { style };
            self.add(Circle::with_center(place(keypoint.x, keypoint.y), 7).into_styled(style.build()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dataset, Shapes, ShapesConfig};

    fn samples(count: usize) -> Vec<(Sample, String)> {
        let shapes = Shapes::new(ShapesConfig::new("train", count, 0)).expect("a good size");
        (0..count).map(|i| (shapes.get(i).expect("generated"), format!("number {i}"))).collect()
    }

    #[test]
    fn every_pixel_of_a_small_image_is_a_square_of_the_sheet() {
        let samples = samples(5);
        let sheet = ContactSheet::new(3).draw(&samples);
        // 32 pixels times 4 are the first to reach 112; three columns and two rows of cells with labels of 13 pixels.
        assert_eq!(sheet.dimensions(), (12 + 3 * (128 + 12), 12 + 2 * (128 + 4 + 13 + 12)));
        for (i, (sample, _)) in samples.iter().enumerate() {
            let (left, top) = (12 + (i as u32 % 3) * 140, 12 + (i as u32 / 3) * 157);
            for (x, y, pixel) in sample.image.enumerate_pixels() {
                assert_eq!(sheet.get_pixel(left + 4 * x, top + 4 * y), pixel);
                assert_eq!(sheet.get_pixel(left + 4 * x + 3, top + 4 * y + 3), pixel);
            }
        }
    }

    #[test]
    fn labels_are_written_and_the_overlay_is_drawn() {
        let mut samples = samples(2);
        let plain = ContactSheet::new(2).draw(&samples);
        let overlaid = ContactSheet::new(2).with_overlay(true).draw(&samples);
        assert_eq!(plain.dimensions(), overlaid.dimensions());
        let differs = |a: &RgbImage, b: &RgbImage, rows: std::ops::Range<u32>| {
            rows.flat_map(|y| (0..a.width()).map(move |x| (x, y)))
                .any(|(x, y)| a.get_pixel(x, y) != b.get_pixel(x, y))
        };
        assert!(differs(&plain, &overlaid, 12..140));
        assert!(!differs(&plain, &overlaid, 144..157));
        samples[0].1 = "a much longer label than there is room for".to_string();
        let relabelled = ContactSheet::new(2).draw(&samples);
        assert!(!differs(&plain, &relabelled, 12..140));
        assert!(differs(&plain, &relabelled, 144..157));
    }

    #[test]
    fn a_row_is_as_high_as_its_longest_label() {
        let mut samples = samples(4);
        samples[1].1 = "three\nlines\nof text".to_string();
        let sheet = ContactSheet::new(2).draw(&samples);
        // Two rows of images of 128 pixels, one with three lines of 13 pixels under it and one with one.
        assert_eq!(sheet.height(), 12 + (128 + 4 + 3 * 13 + 12) + (128 + 4 + 13 + 12));
        let second = 12 + 128 + 4 + 3 * 13 + 12;
        assert_eq!(sheet.get_pixel(12, second), samples[2].0.image.get_pixel(0, 0));
    }
}
