//! An image to draw on, and the look that all drawings share.

use std::convert::Infallible;

use embedded_graphics::Pixel;
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{DrawTarget, Drawable, OriginDimensions, Point, Size};
use embedded_graphics::primitives::{Primitive, PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};
use image::{Rgb, RgbImage, imageops};

/// What drawings are on.
pub const PAPER: Rgb888 = Rgb888::new(250, 250, 247);
pub(crate) const FRAME: Rgb888 = Rgb888::new(206, 206, 200);
/// What they are written in.
pub const INK: Rgb888 = Rgb888::new(52, 52, 56);

/// An image that `embedded-graphics` draws on.
pub struct Canvas(pub RgbImage);

impl Canvas {
    /// All of one colour.
    pub fn new(width: i32, height: i32, paper: Rgb888) -> Self {
        Self(RgbImage::from_pixel(width as u32, height as u32, Rgb([paper.r(), paper.g(), paper.b()])))
    }

    /// In the colour that all drawings share.
    pub(crate) fn paper(width: i32, height: i32) -> Self {
        Self::new(width, height, PAPER)
    }

    /// Drawing on an image cannot fail.
    pub fn add(&mut self, drawing: impl Drawable<Color = Rgb888>) {
        let Ok(_) = drawing.draw(self);
    }

    /// An image in a thin frame.
    pub(crate) fn paste(&mut self, tile: &RgbImage, left: i32, top: i32) {
        let frame =
            Rectangle::new(Point::new(left - 1, top - 1), Size::new(tile.width() + 2, tile.height() + 2));
        self.add(frame.into_styled(PrimitiveStyle::with_stroke(FRAME, 1)));
        imageops::replace(&mut self.0, tile, i64::from(left), i64::from(top));
    }

    pub(crate) fn write(&mut self, text: &str, font: &MonoFont<'_>, left: i32, top: i32) {
        self.write_in(text, font, left, top, INK);
    }

    /// A line of text, its upper left corner at a place.
    pub fn write_in(&mut self, text: &str, font: &MonoFont<'_>, left: i32, top: i32, colour: Rgb888) {
        let style = MonoTextStyle::new(font, colour);
        self.add(Text::with_baseline(text, Point::new(left, top), style, Baseline::Top));
    }
}

/// Mixes so much of a colour into a pixel.
pub fn mix(pixel: &mut Rgb<u8>, colour: [u8; 3], share: f32) {
    pixel.0 = std::array::from_fn(|c| {
        let (old, new) = (f32::from(pixel.0[c]), f32::from(colour[c]));
        (old + share * (new - old)).round() as u8
    });
}

/// Pixels that a text is wide.
pub fn width_of(text: &str, font: &MonoFont<'_>) -> i32 {
    text.chars().count() as i32 * font.character_size.width as i32
}

/// As much of a text as there is room for in `width` pixels.
pub(crate) fn fitting(text: &str, font: &MonoFont<'_>, width: i32) -> String {
    let fits = (width / font.character_size.width as i32).max(0) as usize;
    if text.chars().count() > fits && fits > 2 {
        return text.chars().take(fits - 2).chain("..".chars()).collect();
    }
    text.chars().take(fits).collect()
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(place, colour) in pixels {
            let (Ok(x), Ok(y)) = (u32::try_from(place.x), u32::try_from(place.y)) else { continue };
            if let Some(pixel) = self.0.get_pixel_mut_checked(x, y) {
                *pixel = Rgb([colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}
