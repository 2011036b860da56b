//! A chart as pixels, for whoever cannot show SVG: the same places, in the light colours of the style.

use embedded_graphics::mono_font::{MonoFont, iso_8859_1::FONT_10X20};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::{Point, Primitive, RgbColor};
use embedded_graphics::primitives::{Circle, Line, Polyline, PrimitiveStyle};
use image::{RgbImage, imageops};
use kiln_data::{Canvas, width_of};

use super::chart::{BOTTOM, Chart, LEFT, Look, RIGHT, SIZE};
use super::scale::Spelling;

/// Pixels of a unit of the drawing.
const SCALE: f64 = 3.0;
/// Lines are drawn so many times larger, so that they are smooth when they are reduced.
const FINER: f64 = 2.0;
/// Room for the title and a line of text above the chart, in units.
const HEAD: f64 = 40.0;

const PAPER: Rgb888 = Rgb888::new(0xfd, 0xfd, 0xfb);
const INK: Rgb888 = Rgb888::new(0x1c, 0x20, 0x24);
const SOFT: Rgb888 = Rgb888::new(0x5c, 0x64, 0x6c);
const GRID: Rgb888 = Rgb888::new(0xdc, 0xdc, 0xd6);
/// `colour-1` to `colour-6` of the style.
const COLOURS: [Rgb888; 6] = [
    Rgb888::new(0x00, 0x72, 0xb2),
    Rgb888::new(0xd5, 0x5e, 0x00),
    Rgb888::new(0x1c, 0x20, 0x24),
    Rgb888::new(0x00, 0x87, 0x60),
    Rgb888::new(0x8a, 0x4f, 0x8f),
    Rgb888::new(0x8a, 0x6d, 0x00),
];
const FONT: MonoFont<'_> = FONT_10X20;

/// The drawing with its title and a line of text above it.
pub fn pixels(chart: &Chart, caption: &str) -> RgbImage {
    let [width, height] = [SIZE[0], SIZE[1] + HEAD].map(|units| (units * SCALE * FINER) as i32);
    let mut canvas = Canvas::new(width, height, PAPER);
    strokes(chart, &mut canvas);
    let [width, height] = [width, height].map(|side| (f64::from(side) / FINER) as u32);
    let mut canvas = Canvas(imageops::resize(&canvas.0, width, height, imageops::FilterType::Triangle));
    words(chart, &mut canvas, caption);
    canvas.0
}

fn strokes(chart: &Chart, canvas: &mut Canvas) {
    let at = |[x, y]: [f64; 2]| {
        let [x, y] = [x, y + HEAD].map(|unit| (unit * SCALE * FINER).round() as i32);
        Point::new(x, y)
    };
    let style = |colour: Rgb888, units: f64| {
        PrimitiveStyle::with_stroke(colour, (units * SCALE * FINER).round().max(1.0) as u32)
    };
    let (right, floor) = (SIZE[0] - RIGHT, SIZE[1] - BOTTOM);
    let mut line = |from, to, colour, units| {
        canvas.add(Line::new(at(from), at(to)).into_styled(style(colour, units)));
    };
    for tick in &chart.y.ticks {
        let y = chart.place([chart.x.low, *tick])[1];
        line([LEFT, y], [right, y], GRID, 1.0);
    }
    for tick in &chart.x.ticks {
        let x = chart.place([*tick, chart.y.low])[0];
        line([x, floor], [x, floor + 4.0], SOFT, 1.0);
    }
    line([LEFT, floor], [right, floor], SOFT, 1.0);
    for series in &chart.series {
        let colour = COLOURS[(series.colour + 5) % 6];
        let (colour, units) = match series.look {
            Look::Pale => (mixed(colour, PAPER, 0.35), 0.8),
            Look::Line | Look::Dots => (colour, 1.6),
            Look::Bold => (colour, 2.6),
        };
        let finite = |point: &[f64; 2]| point.iter().all(|value| value.is_finite());
        for run in series.points.split(|point| !finite(point)) {
            let corners: Vec<Point> = run.iter().map(|point| at(chart.place(*point))).collect();
            canvas.add(Polyline::new(&in_pieces(&corners)).into_styled(style(colour, units)));
        }
    }
    if let Some(point) = chart.marked {
        let [x, y] = chart.place(point);
        canvas.add(Line::new(at([x, y]), at([x, floor])).into_styled(style(SOFT, 0.7)));
        let ring = Circle::with_center(at([x, y]), (12.0 * SCALE * FINER) as u32);
        canvas.add(ring.into_styled(style(INK, 1.3)));
    }
}

fn words(chart: &Chart, canvas: &mut Canvas, caption: &str) {
    let half = FONT.character_size.height as i32 / 2;
    let pixel = |unit: f64| (unit * SCALE).round() as i32;
    let mut write = |text: &str, left: i32, top: i32, colour| {
        // The font has no letters beyond Latin-1.
        let text = text.replace('\u{2013}', "-").replace('\u{a0}', " ");
        canvas.write_in(&text, &FONT, left, top, colour);
    };
    write(&chart.title, pixel(12.0), pixel(6.0), INK);
    write(caption, pixel(12.0), pixel(6.0) + 30, SOFT);
    for (tick, name) in chart.y.ticks.iter().zip(chart.y.names(chart.spelling)) {
        let y = pixel(chart.place([chart.x.low, *tick])[1] + HEAD);
        write(&name, pixel(LEFT - 6.0) - width_of(&name, &FONT), y - half, SOFT);
    }
    for (tick, name) in chart.x.ticks.iter().zip(chart.x.names(Spelling::Number)) {
        let x = pixel(chart.place([*tick, chart.y.low])[0]);
        let top = pixel(SIZE[1] - BOTTOM + 6.0 + HEAD);
        write(&name, x - width_of(&name, &FONT) / 2, top, SOFT);
    }
    let middle = pixel((LEFT + SIZE[0] - RIGHT) / 2.0);
    let top = pixel(SIZE[1] - 14.0 + HEAD);
    write(chart.x_name, middle - width_of(chart.x_name, &FONT) / 2, top, SOFT);
}

/// The same line with more points: thick lines of thousands of pixels are too long for the arithmetic of `embedded-graphics`,
/// and one without a corner it draws a pixel wide.
fn in_pieces(corners: &[Point]) -> Vec<Point> {
    const LONGEST: i32 = 200;
    let piece = |pair: &[Point]| {
        let (from, to) = (pair[0], pair[1]);
        let far = (to - from).abs();
        let pieces = (far.x.max(far.y) / LONGEST + 1).max(2);
        (0..pieces).map(move |index| from + (to - from) * index / pieces).collect::<Vec<_>>()
    };
    corners.windows(2).flat_map(piece).chain(corners.last().copied()).collect()
}

/// So much of the one colour, the rest of the other.
fn mixed(one: Rgb888, other: Rgb888, share: f64) -> Rgb888 {
    let mix = |a: u8, b: u8| (f64::from(a) * share + f64::from(b) * (1.0 - share)).round() as u8;
    Rgb888::new(mix(one.r(), other.r()), mix(one.g(), other.g()), mix(one.b(), other.b()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::chart::Series;
    use crate::report::scale::Scale;

    #[test]
    fn the_ring_is_where_the_point_is_and_the_line_goes_there() {
        let points = vec![[0.0, 0.0], [10.0, 10.0]];
        let chart = Chart {
            title: "a".into(),
            x_name: "x",
            x: Scale::counts(10.0),
            y: Scale::around(&[0.0, 10.0]),
            spelling: Spelling::Number,
            series: vec![Series { name: "line".into(), colour: 1, look: Look::Line, points }],
            marked: Some([5.0, 5.0]),
        };
        let image = pixels(&chart, "b");
        assert_eq!(image.dimensions(), (1200, 870));
        let [x, y] = chart.place([5.0, 5.0]).map(|unit| unit * SCALE);
        let at =
            |right: f64, down: f64| image.get_pixel((x + right) as u32, (y + down + HEAD * SCALE) as u32).0;
        // The ring is 6 units around it, in ink; the line goes through the middle, from the lower left.
        assert_eq!(at(0.0, -6.0 * SCALE), [0x1c, 0x20, 0x24]);
        assert_eq!(at(-6.0 * SCALE, 0.0), [0x1c, 0x20, 0x24]);
        let [lower, other] = [chart.place([3.0, 3.0]), chart.place([3.0, 7.0])];
        // Lines are smooth: their colour is in the middle.
        let bluest = |[x, y]: [f64; 2]| {
            let near = |right: i32, down: i32| {
                let [x, y] = [(x * SCALE) as i32 + right, ((y + HEAD) * SCALE) as i32 + down];
                let [red, _, blue] = image.get_pixel(x as u32, y as u32).0;
                i32::from(blue) - i32::from(red)
            };
            (-3..=3).flat_map(|right| (-3..=3).map(move |down| (right, down))).map(|(r, d)| near(r, d)).max()
        };
        assert!(bluest(lower) > Some(150), "{:?}", bluest(lower));
        assert!(bluest(other) < Some(10), "{:?}", bluest(other));
    }
}
