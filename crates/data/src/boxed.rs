//! An image with the boxes of what is in it.

use embedded_graphics::mono_font::MonoFont;
use embedded_graphics::mono_font::iso_8859_1::{FONT_7X13, FONT_10X20};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{Dimensions, Point, Size};
use embedded_graphics::primitives::{
    Primitive, PrimitiveStyle, PrimitiveStyleBuilder, Rectangle, StrokeAlignment,
};
use image::{RgbImage, imageops};
use kiln_core::BoundingBox;

use crate::canvas::{Canvas, fitting, width_of};

/// A smaller image is magnified by a whole factor, or there would be no room for a word.
const SMALLEST: u32 = 320;
/// Images whose longer side is shorter have the small letters; those whose side is longer have larger ones, as it is longer.
const SMALL_LETTERS: u32 = 480;
const LARGE_LETTERS: u32 = 900;
/// The longer side of an image is so many lines wide.
const LINES: u32 = 360;
/// Left and right of a word, in pixels of its font.
const MARGIN: i32 = 3;

/// A copy of `image` with boxes, each in the colour of its class and with a label on a tag of that colour. A small image is
/// magnified; letters and lines grow with a large one. A box lies over those after it, and all tags lie over all boxes: where
/// there is room, above their boxes or else below, apart from each other and always inside the image.
pub fn boxed(image: &RgbImage, boxes: &[(String, usize, BoundingBox)]) -> RgbImage {
    let side = image.width().max(image.height()).max(1);
    let factor = SMALLEST.div_ceil(side);
    let size = [image.width() * factor, image.height() * factor];
    let mut canvas = Canvas(match factor {
        1 => image.clone(),
        _ => imageops::resize(image, size[0], size[1], imageops::FilterType::Nearest),
    });
    let side = side * factor;
    let line = (side / LINES).max(2);
    let placed: Vec<BoundingBox> = boxes.iter().map(|(.., edges)| edges.scaled([factor as f32; 2])).collect();
    for ((_, class, _), edges) in boxes.iter().zip(&placed).rev() {
        canvas.frame(edges, class_colour(*class), line);
    }
    let mut taken: Vec<Rectangle> = Vec::with_capacity(boxes.len());
    let tags = boxes.iter().zip(&placed).map(|((label, class, _), edges)| {
        let tag = tag(label, class_colour(*class), side, size[0]);
        let place = free_place(edges, &tag, size, &taken);
        taken.push(place);
        (tag, place)
    });
    let tags: Vec<(RgbImage, Rectangle)> = tags.collect();
    for (tag, place) in tags.iter().rev() {
        imageops::replace(&mut canvas.0, tag, place.top_left.x.into(), place.top_left.y.into());
    }
    canvas.0
}

/// A label on its colour, cut to the width of the image.
fn tag(label: &str, colour: Rgb888, side: u32, width: u32) -> RgbImage {
    let font: MonoFont<'_> = if side < SMALL_LETTERS { FONT_7X13 } else { FONT_10X20 };
    let scale = f64::from(side.max(LARGE_LETTERS)) / f64::from(LARGE_LETTERS);
    let room = (f64::from(width) / scale) as i32 - 2 * MARGIN;
    let shown = fitting(label, &font, room.max(font.character_size.width as i32));
    let mut tag =
        Canvas::new(width_of(&shown, &font) + 2 * MARGIN, font.character_size.height as i32, colour);
    // Black or white: what is seen on the colour.
    let light = 299 * u32::from(colour.r()) + 587 * u32::from(colour.g()) + 114 * u32::from(colour.b());
    let ink = if light > 120_000 { Rgb888::BLACK } else { Rgb888::WHITE };
    tag.write_in(&shown, &font, MARGIN, 0, ink);
    if scale == 1.0 {
        return tag.0;
    }
    let [wide, high] = [tag.0.width(), tag.0.height()].map(|length| (f64::from(length) * scale) as u32);
    imageops::resize(&tag.0, wide.min(width), high, imageops::FilterType::CatmullRom)
}

/// Above a box, below it, inside it at its head or its foot: the first that is inside the image and that no tag has; if none is
/// free, the first that is inside.
fn free_place(
    edges: &BoundingBox,
    tag: &RgbImage,
    [width, height]: [u32; 2],
    taken: &[Rectangle],
) -> Rectangle {
    let (tag_width, tag_height) = (tag.width() as i32, tag.height() as i32);
    let [left, top, _, bottom] = edges.xyxy().map(|edge| edge.round() as i32);
    let left = left.min(width as i32 - tag_width).max(0);
    let most = (height as i32 - tag_height).max(0);
    let at = |y: i32| Rectangle::new(Point::new(left, y), Size::new(tag.width(), tag.height()));
    let places = [top - tag_height, bottom, top, bottom - tag_height];
    let inside: Vec<Rectangle> = places.into_iter().filter(|y| (0..=most).contains(y)).map(at).collect();
    let is_free = |place: &&Rectangle| taken.iter().all(|other| other.intersection(place).is_zero_sized());
    let best = inside.iter().find(is_free).or(inside.first());
    best.copied().unwrap_or_else(|| at(top.clamp(0, most)))
}

/// A bright colour a class; neighbours differ much, since hues are a golden section of the circle apart.
pub fn class_colour(class: usize) -> Rgb888 {
    let hue = (class as f32 * 0.618_034).fract() * 6.0;
    let channel = |shift: f32| {
        let distance = ((hue + shift).rem_euclid(6.0) - 3.0).abs();
        let value = (distance - 1.0).clamp(0.0, 1.0);
        (255.0 * (0.2 + 0.8 * value)) as u8
    };
    Rgb888::new(channel(0.0), channel(4.0), channel(2.0))
}

impl Canvas {
    /// A box, `line` pixels wide and inside its edges, as far as it is on the canvas.
    pub(crate) fn frame(&mut self, edges: &BoundingBox, colour: Rgb888, line: u32) {
        let last = self.bounding_box().size - Size::new(1, 1);
        let place = |x: f32, y: f32| {
            let inside = |at: f32, last: u32| (at.round() as i32).clamp(0, last as i32);
            Point::new(inside(x, last.width), inside(y, last.height))
        };
        let frame = Rectangle::with_corners(place(edges.x1, edges.y1), place(edges.x2, edges.y2));
        // A dark line around the bright one: seen on every background.
        self.add(frame.offset(1).into_styled(PrimitiveStyle::with_stroke(Rgb888::BLACK, 1)));
        let style = PrimitiveStyleBuilder::new().stroke_color(colour).stroke_width(line);
        self.add(frame.into_styled(style.stroke_alignment(StrokeAlignment::Inside).build()));
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    const GREY: Rgb<u8> = Rgb([90; 3]);

    /// The bounds of the pixels of a colour.
    fn bounds(image: &RgbImage, class: usize) -> Option<BoundingBox> {
        let colour = class_colour(class);
        let colour = Rgb([colour.r(), colour.g(), colour.b()]);
        let pixels = image.enumerate_pixels().filter(|(.., pixel)| **pixel == colour);
        BoundingBox::around(pixels.flat_map(|(x, y, _)| {
            let (x, y) = (x as f32, y as f32);
            [[x, y], [x + 1.0, y + 1.0]]
        }))
    }

    #[test]
    fn a_box_is_drawn_where_it_is_with_its_tag_above() {
        let image = RgbImage::from_pixel(400, 600, GREY);
        let drawn = boxed(&image, &[("cat".into(), 0, BoundingBox::from_xyxy([100.0, 200.0, 300.0, 500.0]))]);
        assert_eq!(drawn.dimensions(), (400, 600));
        // Of a side of 480 or more letters are 20 high. The pixel at the right and lower edge belongs to the box.
        let found = bounds(&drawn, 0).expect("a box");
        assert_eq!(found.xyxy(), [100.0, 180.0, 301.0, 501.0]);
        // Two pixels wide, and nothing is filled.
        assert_eq!(drawn.get_pixel(101, 300), drawn.get_pixel(100, 300));
        assert_eq!(*drawn.get_pixel(102, 300), GREY);
        assert_eq!(*drawn.get_pixel(200, 350), GREY);
    }

    #[test]
    fn a_small_image_is_magnified_and_a_large_one_has_larger_letters_and_lines() {
        let edges = |side: f32| BoundingBox::from_xyxy([0.25 * side, 0.5 * side, 0.75 * side, 0.9 * side]);
        // Side; side of the drawing; how high a tag is; how wide a line is.
        for (side, drawn_side, tag, line) in
            [(100, 400, 13, 2), (320, 320, 13, 2), (900, 900, 20, 2), (3600, 3600, 80, 10)]
        {
            let image = RgbImage::from_pixel(side, side, GREY);
            let drawn = boxed(&image, &[(String::new(), 0, edges(side as f32))]);
            assert_eq!(drawn.width(), drawn_side);
            let found = bounds(&drawn, 0).expect("a box");
            assert_eq!(found.y1, (drawn_side / 2 - tag) as f32, "{side}");
            let middle = drawn_side * 7 / 10;
            let own = drawn.get_pixel(drawn_side / 4, middle);
            let wide =
                (drawn_side / 4..drawn_side).take_while(|x| drawn.get_pixel(*x, middle) == own).count();
            assert_eq!(wide, line, "{side}");
        }
    }

    #[test]
    fn tags_stay_inside_the_image_and_apart_from_each_other() {
        let size = [640, 480];
        let tag = RgbImage::new(100, 20);
        let place = |edges: [f32; 4], taken: &[Rectangle]| {
            let found = free_place(&BoundingBox::from_xyxy(edges), &tag, size, taken);
            [found.top_left.x, found.top_left.y]
        };
        let table = [
            ("above", [50.0, 60.0, 90.0, 90.0], [50, 40]),
            ("below: no room above", [50.0, 10.0, 90.0, 90.0], [50, 90]),
            ("inside: no room above or below", [50.0, 5.0, 90.0, 470.0], [50, 5]),
            ("not beyond the right edge", [600.0, 60.0, 639.0, 90.0], [540, 40]),
            ("a box beyond the image", [-30.0, -20.0, 700.0, 600.0], [0, 0]),
        ];
        for (what, edges, expected) in table {
            assert_eq!(place(edges, &[]), expected, "{what}");
        }
        // The second box has the place below, a third the one inside, a fourth over the first.
        let at = |y: i32| Rectangle::new(Point::new(50, y), Size::new(100, 20));
        let edges = [60.0, 60.0, 200.0, 200.0];
        let taken = [at(40), at(200), at(60), at(180)];
        let found = [1, 2, 3, 4].map(|count| place(edges, &taken[..count])[1]);
        assert_eq!(found, [200, 60, 180, 40]);
    }

    #[test]
    fn a_tag_is_seen_over_every_box() {
        let image = RgbImage::from_pixel(640, 480, GREY);
        let at = |left: f32| BoundingBox::from_xyxy([left, 100.0, left + 300.0, 400.0]);
        let alone = boxed(&image, &[("cat".into(), 0, at(100.0))]);
        // The second one's edge goes through the first one's tag and the edge under it.
        let both = boxed(
            &image,
            &[
                ("cat".into(), 0, at(100.0)),
                ("dog".into(), 3, BoundingBox::from_xyxy([110.0, 20.0, 500.0, 300.0])),
            ],
        );
        let tag = (100..136).flat_map(|x| (80..102).map(move |y| (x, y)));
        assert!(tag.into_iter().all(|(x, y)| alone.get_pixel(x, y) == both.get_pixel(x, y)));
    }

    #[test]
    fn neighbouring_classes_have_different_colours() {
        for class in 0..20 {
            let (a, b) = (class_colour(class), class_colour(class + 1));
            let distance =
                a.r().abs_diff(b.r()) as u32 + a.g().abs_diff(b.g()) as u32 + a.b().abs_diff(b.b()) as u32;
            assert!(distance > 150, "classes {class} and {} look alike", class + 1);
        }
    }
}
