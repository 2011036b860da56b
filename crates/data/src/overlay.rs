//! An image with its label map over it, and what the colours mean underneath.

use embedded_graphics::Pixel;
use embedded_graphics::mono_font::MonoFont;
use embedded_graphics::mono_font::iso_8859_1::FONT_8X13;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::{Point, PointsIter, Size};
use embedded_graphics::primitives::{Primitive, PrimitiveStyle, Rectangle};
use image::RgbImage;
use kiln_core::{IGNORED, LabelMap};

use crate::canvas::{Canvas, FRAME, INK, fitting, mix, width_of};
use crate::caption::at_a_handy_size;
use crate::readers::{CAMVID, voc_colour};

const FONT: MonoFont<'_> = FONT_8X13;
const GAP: i32 = 12;
/// Side of a square of colour in the legend.
const SWATCH: i32 = 13;
/// From a line of the legend to the next.
const LINE: i32 = 20;
/// How much of a label's colour is mixed into its pixels.
const TINT: f32 = 0.5;
/// Where nothing counts, one diagonal of so many is drawn.
const HATCH: u32 = 4;
const HATCHED: [u8; 3] = [255; 3];
/// What the legend calls pixels that do not count.
const NOT_COUNTED: &str = "not counted";

/// SegNet's colours of CamVid's classes.
const CAMVID_COLOURS: [[u8; 3]; 11] = [
    [128, 128, 128],
    [128, 0, 0],
    [192, 192, 128],
    [128, 64, 128],
    [60, 40, 222],
    [128, 128, 0],
    [192, 128, 128],
    [64, 64, 128],
    [64, 0, 128],
    [64, 64, 0],
    [0, 128, 192],
];

/// The colour of a label: SegNet's where the classes are CamVid's, else PASCAL VOC's, in which a first class `background` is black
/// and any other gets the first colour.
pub fn label_colour(label: u8, names: &[String]) -> [u8; 3] {
    if names.iter().map(String::as_str).eq(CAMVID.lines())
        && let Some(colour) = CAMVID_COLOURS.get(usize::from(label))
    {
        return *colour;
    }
    voc_colour(if has_background(names) { label } else { label.saturating_add(1) })
}

fn has_background(names: &[String]) -> bool {
    names.first().is_some_and(|name| name == "background")
}

/// A copy of `image`, scaled to a handy size, with the colour of its label mixed half into each pixel, and the names of the classes that
/// occur underneath. A background keeps its pixels; what does not count is hatched.
///
/// # Panics
/// If the label map is not of the image's size.
pub fn overlaid(image: &RgbImage, map: &LabelMap, names: &[String]) -> RgbImage {
    let tile = at_a_handy_size(&tinted(image, map, names));
    let entries = legend(map, names);
    let widest = entries.iter().map(|(name, _)| width_of(name, &FONT)).max().unwrap_or(0);
    let width = tile.width() as i32;
    let cell = (SWATCH + GAP / 2 + widest + GAP).min(width);
    let columns = (width / cell.max(1)).max(1);
    let rows = (entries.len() as i32 + columns - 1) / columns;
    let top = 2 * GAP + tile.height() as i32;
    let mut canvas = Canvas::paper(width + 2 * GAP, top + rows * LINE);
    canvas.paste(&tile, GAP, GAP);
    for (i, (name, colour)) in (0..).zip(&entries) {
        let (left, top) = (GAP + i % columns * cell, top + i / columns * LINE);
        let square = Rectangle::new(Point::new(left, top), Size::new(SWATCH as u32, SWATCH as u32));
        let [r, g, b] = *colour;
        canvas.add(square.into_styled(PrimitiveStyle::with_fill(Rgb888::new(r, g, b))));
        if name == NOT_COUNTED {
            let hatched = square.points().filter(|place| (place.x + place.y) % HATCH as i32 == 0);
            hatched.for_each(|place| canvas.add(Pixel(place, INK)));
        }
        canvas.add(square.into_styled(PrimitiveStyle::with_stroke(FRAME, 1)));
        let room = cell - SWATCH - GAP / 2;
        canvas.write(&fitting(name, &FONT, room), &FONT, left + SWATCH + GAP / 2, top);
    }
    canvas.0
}

/// A copy of `image` with the colour of its label mixed half into each pixel, at its own size and without a legend.
///
/// # Panics
/// If the label map is not of the image's size.
pub fn tinted(image: &RgbImage, map: &LabelMap, names: &[String]) -> RgbImage {
    let mut image = image.clone();
    tint(&mut image, map, names);
    image
}

/// Mixes the colours of labels into an image.
///
/// # Panics
/// If the label map is not of the image's size.
pub(crate) fn tint(image: &mut RgbImage, map: &LabelMap, names: &[String]) {
    let size = [image.width() as usize, image.height() as usize];
    assert_eq!(size, [map.width, map.height], "width and height of an image and of its label map");
    for ((x, y, pixel), label) in image.enumerate_pixels_mut().zip(&map.labels) {
        let colour = match *label {
            IGNORED if (x + y) % HATCH == 0 => HATCHED,
            IGNORED => continue,
            0 if has_background(names) => continue,
            label => label_colour(label, names),
        };
        mix(pixel, colour, TINT);
    }
}

/// The names and colours of the labels that occur, in their order.
fn legend(map: &LabelMap, names: &[String]) -> Vec<(String, [u8; 3])> {
    let mut occurs = [false; 256];
    map.labels.iter().for_each(|label| occurs[usize::from(*label)] = true);
    let labels = (0..=IGNORED).filter(|label| occurs[usize::from(*label)]);
    let entry = |label: u8| match label {
        IGNORED => (NOT_COUNTED.to_string(), HATCHED),
        label => {
            let name = names.get(usize::from(label)).cloned();
            (name.unwrap_or_else(|| label.to_string()), label_colour(label, names))
        }
    };
    labels.map(entry).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use image::Rgb;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn a_label_is_half_its_colour_and_a_background_is_left_as_it_is() {
        // 8 x 2 pixels: background, two classes, and what does not count.
        let image = RgbImage::from_pixel(8, 2, Rgb([100, 200, 50]));
        let labels = [0, 0, 1, 1, 2, 2, IGNORED, IGNORED].repeat(2);
        let map = LabelMap { width: 8, height: 2, labels };
        let drawn = overlaid(&image, &map, &names(&["background", "cat", "dog"]));
        // 8 pixels times 40 are 320; four names of at most 11 letters make three columns of 13 + 6 + 88 + 12 = 119 in 320: two, and
        // so two lines.
        assert_eq!(drawn.dimensions(), (320 + 24, 80 + 24 + 2 * 20));
        let at = |x: u32, y: u32| drawn.get_pixel(12 + 40 * x + 20, 12 + 40 * y + 20).0;
        assert_eq!(at(0, 0), [100, 200, 50]);
        // VOC's class 1 is 128, 0, 0 and class 2 is 0, 128, 0.
        assert_eq!(at(2, 1), [114, 100, 25]);
        assert_eq!(at(5, 0), [50, 164, 25]);
        // The fourth diagonal, x + y = 8, is hatched.
        assert_eq!([at(6, 1), at(7, 1)], [[100, 200, 50], [178, 228, 153]]);
        // The legend's squares.
        let swatch = |i: u32| drawn.get_pixel(12 + i % 2 * 119 + 6, 104 + i / 2 * 20 + 6).0;
        assert_eq!([0, 1, 2, 3].map(swatch), [[0, 0, 0], [128, 0, 0], [0, 128, 0], [255; 3]]);
    }

    #[test]
    fn classes_have_colours_of_their_own() {
        let camvid = names(&CAMVID.lines().collect::<Vec<_>>());
        for (names, count) in
            [(camvid, 11), (names(&["background"]), 255), (names(&["a", "b"]), 254), (vec![], 254)]
        {
            let colours: BTreeSet<_> = (0..count).map(|label| label_colour(label, &names)).collect();
            assert_eq!(colours.len(), usize::from(count), "{names:?}");
        }
        assert_eq!(label_colour(3, &names(&CAMVID.lines().collect::<Vec<_>>())), [128, 64, 128]);
        assert_eq!(label_colour(0, &names(&["cat"])), [128, 0, 0]);
    }
}
