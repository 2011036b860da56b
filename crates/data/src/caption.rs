//! An image with what a network says of it underneath.

use embedded_graphics::mono_font::MonoFont;
use embedded_graphics::mono_font::iso_8859_1::FONT_10X20;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::{Point, Size};
use embedded_graphics::primitives::{Primitive, PrimitiveStyle, Rectangle};
use image::{RgbImage, imageops};

use crate::canvas::{Canvas, FRAME, fitting, width_of};

const FONT: MonoFont<'_> = FONT_10X20;
const BAR: Rgb888 = Rgb888::new(44, 110, 168);
const GAP: i32 = 16;
/// From a line to the next.
const LINE: i32 = 38;
const BAR_HEIGHT: u32 = 6;
/// Room for a name and a percentage.
const NARROWEST: i32 = 400;
/// The longer side of an image: smaller ones are magnified by a whole factor, larger ones reduced.
const SMALLEST: u32 = 320;
const LARGEST: u32 = 640;

/// A copy of `image`, scaled to a handy size, over a line for each of `lines`: a name, its probability, and that as a bar.
pub fn captioned(image: &RgbImage, lines: &[(String, f32)]) -> RgbImage {
    let tile = at_a_handy_size(image);
    let width = NARROWEST.max(tile.width() as i32);
    let below = 2 * GAP + tile.height() as i32;
    let mut canvas = Canvas::paper(width + 2 * GAP, below + LINE * lines.len() as i32);
    canvas.paste(&tile, GAP + (width - tile.width() as i32) / 2, GAP);
    for (index, (name, probability)) in lines.iter().enumerate() {
        let top = below + LINE * index as i32;
        let percent = format!("{:.1} %", probability * 100.0);
        let room = width - width_of(&percent, &FONT) - GAP;
        canvas.write(&fitting(name, &FONT, room), &FONT, GAP, top);
        canvas.write(&percent, &FONT, GAP + width - width_of(&percent, &FONT), top);
        let place = Point::new(GAP, top + FONT.character_size.height as i32 + 2);
        let length = (width as f32 * probability.clamp(0.0, 1.0)).round() as u32;
        for (length, colour) in [(width as u32, FRAME), (length, BAR)] {
            let bar = Rectangle::new(place, Size::new(length, BAR_HEIGHT));
            canvas.add(bar.into_styled(PrimitiveStyle::with_fill(colour)));
        }
    }
    canvas.0
}

pub(crate) fn at_a_handy_size(image: &RgbImage) -> RgbImage {
    let (width, height) = image.dimensions();
    let side = width.max(height).max(1);
    if side > LARGEST {
        let scaled = |length: u32| (length * LARGEST / side).max(1);
        return imageops::resize(image, scaled(width), scaled(height), imageops::FilterType::Triangle);
    }
    let factor = SMALLEST.div_ceil(side);
    imageops::resize(image, width * factor, height * factor, imageops::FilterType::Nearest)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_class_is_probable() {
        let image = RgbImage::from_pixel(32, 16, Rgb([200, 30, 30]));
        let lines = [("cat".to_string(), 0.75), ("dog".to_string(), 0.0), ("tea".to_string(), 1.0)];
        let drawn = captioned(&image, &lines);
        // 32 pixels times 10 are the first to reach 320; 400 are the least for the lines, 16 all around.
        assert_eq!(drawn.dimensions(), (400 + 2 * 16, 160 + 2 * 16 + 3 * 38));
        assert_eq!(drawn.get_pixel(16 + 40, 16).0, [200, 30, 30]);
        assert_eq!(drawn.get_pixel(16 + 40 + 319, 16 + 159).0, [200, 30, 30]);
        // The bars begin 22 pixels below their lines' tops, 192, 230 and 268.
        let length = |y: u32| {
            drawn.rows().nth(y as usize).map_or(0, |row| row.filter(|p| p.0 == [44, 110, 168]).count())
        };
        assert_eq!([length(192 + 22), length(230 + 22), length(268 + 22)], [300, 0, 400]);
    }

    #[test]
    fn a_large_image_is_reduced_and_a_long_name_cut() {
        let image = RgbImage::new(3000, 1500);
        let long = [(
            "a name that is much too long for the line on which it has to stand, however wide that is"
                .to_string(),
            0.5,
        )];
        let drawn = captioned(&image, &long);
        assert_eq!(drawn.dimensions(), (640 + 2 * 16, 320 + 2 * 16 + 38));
        let tall = captioned(&RgbImage::new(1, 4000), &[]);
        assert_eq!(tall.dimensions(), (400 + 2 * 16, 640 + 2 * 16));
        // "50.0 %" is 60 pixels wide at the right end of the line; left of it there is a gap.
        let paper = drawn.get_pixel(0, 0);
        let gap = (16 + 640 - 60 - 16)..(16 + 640 - 60);
        assert!(
            gap.flat_map(|x| (352..372).map(move |y| (x, y))).all(|(x, y)| drawn.get_pixel(x, y) == paper)
        );
    }
}
