//! A turn, a change of size, a shear, a shift and a change of perspective in one, about the image's middle, with the order and the
//! ranges of YOLOv5's `random_perspective`. Pixels are computed from the four around a point; points are continuous, so that a
//! box lies exactly where its pixels do (OpenCV takes a pixel's corner for its centre).

use image::{Rgb, RgbImage};
use kiln_core::BoundingBox;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Motion, warp};
use crate::Sample;

/// A map of `[x, y, 1]`, a row each.
type Matrix = [[f64; 3]; 3];

/// Of an object at least this part of its area remains, and a box has more pixels a side and is less elongated: YOLOv5's
/// `box_candidates`.
const LEAST_PART: f32 = 0.1;
const LEAST_SIDE: f32 = 2.0;
const MOST_ELONGATED: f32 = 100.0;

/// The least that a point's distance from the viewer may become, where 1 is that of the middle.
const NEAREST: f64 = 0.2;

/// How strong a map is, at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranges {
    /// Of a turn, either way, in degrees.
    pub degrees: f64,
    /// Of a shift, either way, in parts of the new image.
    pub translate: f64,
    /// Of the factor to the size, above and below 1.
    pub scale: f64,
    /// Of a shear, either way, in degrees.
    pub shear: f64,
    /// Of the change of a point's distance with each pixel from the middle.
    pub perspective: f64,
}

/// A projective map with nothing left to chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Projective {
    forward: Matrix,
    inverse: Matrix,
    output: [usize; 2],
    /// The factor to the size.
    scale: f64,
}

impl Projective {
    /// A map of an image of height and width `input`, whose middle comes to the middle of one of `output`, shifted.
    pub fn draw(ranges: Ranges, input: [usize; 2], output: [usize; 2], rng: &mut ChaCha8Rng) -> Self {
        let mut either_way = |most: f64| rng.random_range(-most..=most);
        let reach = (input[0] + input[1]) as f64 / 2.0;
        let most = ranges.perspective.min((1.0 - NEAREST) / reach);
        let perspective = [either_way(most), either_way(most)];
        let angle = either_way(ranges.degrees).to_radians();
        let scale = 1.0 + either_way(ranges.scale);
        let shear =
            [either_way(ranges.shear), either_way(ranges.shear)].map(|angle| angle.to_radians().tan());
        let shift = [either_way(ranges.translate), either_way(ranges.translate)];
        let [height, width] = output.map(|side| side as f64);
        let middle = [(0.5 + shift[0]) * width, (0.5 + shift[1]) * height];
        Self::new(perspective, angle, scale, shear, middle, input, output)
    }

    /// The map that moves the middle to the origin, changes the perspective, turns (in radians, against the clock as it is
    /// seen) and scales, shears, and moves the origin to `middle`.
    fn new(
        [px, py]: [f64; 2],
        angle: f64,
        scale: f64,
        [sx, sy]: [f64; 2],
        middle: [f64; 2],
        input: [usize; 2],
        output: [usize; 2],
    ) -> Self {
        let moved = |[x, y]: [f64; 2]| [[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]];
        let [height, width] = input.map(|side| side as f64);
        let (sin, cos) = angle.sin_cos();
        let steps = [
            moved([-width / 2.0, -height / 2.0]),
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [px, py, 1.0]],
            [[scale * cos, scale * sin, 0.0], [-scale * sin, scale * cos, 0.0], [0.0, 0.0, 1.0]],
            [[1.0, sx, 0.0], [sy, 1.0, 0.0], [0.0, 0.0, 1.0]],
            moved(middle),
        ];
        let forward = steps.into_iter().reduce(|done, next| product(next, done)).expect("five steps");
        Self { forward, inverse: inverse(forward), output, scale }
    }

    /// The factor to the size.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The whole sample, `fill` where there was no image.
    pub fn sample(&self, sample: &Sample, fill: [u8; 3]) -> Sample {
        Sample { image: self.image(&sample.image, fill), truth: self.truth(&sample.truth) }
    }

    /// The image, `fill` where there was none; a pixel on its edge is mixed with `fill`.
    pub fn image(&self, image: &RgbImage, fill: [u8; 3]) -> RgbImage {
        let [rows, columns] = warp::size(image);
        let [height, width] = self.output;
        let mut moved = RgbImage::from_pixel(width as u32, height as u32, Rgb(fill));
        let (pixels, _) = image.as_raw().as_chunks::<3>();
        let pixel = |x: i64, y: i64| match (0..columns as i64).contains(&x) && (0..rows as i64).contains(&y) {
            true => pixels[y as usize * columns + x as usize],
            false => fill,
        };
        for (x, y, new) in moved.enumerate_pixels_mut() {
            let [x, y] = mapped(&self.inverse, [f64::from(x) + 0.5, f64::from(y) + 0.5]);
            let (x, y) = (x - 0.5, y - 0.5);
            if !(x > -1.0 && y > -1.0 && x < columns as f64 && y < rows as f64) {
                continue;
            }
            let (left, top) = (x.floor(), y.floor());
            let (right, down) = ((x - left) as f32, (y - top) as f32);
            let (left, top) = (left as i64, top as i64);
            let corners =
                [pixel(left, top), pixel(left + 1, top), pixel(left, top + 1), pixel(left + 1, top + 1)];
            new.0 = [0, 1, 2].map(|channel| {
                let [a, b, c, d] = corners.map(|corner| f32::from(corner[channel]));
                let (upper, lower) = (a + (b - a) * right, c + (d - c) * right);
                (upper + (lower - upper) * down).round() as u8
            });
        }
        moved
    }
}

impl Motion for Projective {
    fn output(&self) -> [usize; 2] {
        self.output
    }

    fn point(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        mapped(&self.forward, [f64::from(x), f64::from(y)]).map(|value| value as f32)
    }

    fn places(&self, [height, width]: [usize; 2]) -> Vec<Option<usize>> {
        let [rows, columns] = self.output;
        let place = |i: usize| {
            let centre = [(i % columns) as f64 + 0.5, (i / columns) as f64 + 0.5];
            let [x, y] = mapped(&self.inverse, centre).map(|value| value.floor() as i64);
            let inside = (0..width as i64).contains(&x) && (0..height as i64).contains(&y);
            inside.then_some(y as usize * width + x as usize)
        };
        (0..rows * columns).map(place).collect()
    }

    fn keeps(&self, before: &BoundingBox, after: &BoundingBox) -> bool {
        let (width, height) = (after.width(), after.height());
        let whole = before.area() * (self.scale * self.scale) as f32;
        width > LEAST_SIDE
            && height > LEAST_SIDE
            && (width / height).max(height / width) < MOST_ELONGATED
            && after.area() > LEAST_PART * whole
    }
}

fn product(a: Matrix, b: Matrix) -> Matrix {
    let cell = |row: usize, column: usize| (0..3).map(|k| a[row][k] * b[k][column]).sum();
    [0, 1, 2].map(|row| [0, 1, 2].map(|column| cell(row, column)))
}

/// By the adjugate.
fn inverse(m: Matrix) -> Matrix {
    let minor = |row: usize, column: usize| {
        let (r, c) = ([(row + 1) % 3, (row + 2) % 3], [(column + 1) % 3, (column + 2) % 3]);
        m[r[0]][c[0]] * m[r[1]][c[1]] - m[r[0]][c[1]] * m[r[1]][c[0]]
    };
    let determinant: f64 = (0..3).map(|column| m[0][column] * minor(0, column)).sum();
    [0, 1, 2].map(|row| [0, 1, 2].map(|column| minor(column, row) / determinant))
}

fn mapped(m: &Matrix, [x, y]: [f64; 2]) -> [f64; 2] {
    let [x, y, w] = [0, 1, 2].map(|row| m[row][0] * x + m[row][1] * y + m[row][2]);
    [x / w, y / w]
}
