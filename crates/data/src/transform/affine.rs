//! A turn, a shear or a shift of an image that keeps its size, number for number as Pillow's `Image.transform` has it: the
//! nearest pixel is found in steps of 1/65536, bilinear and bicubic are cut off, not rounded, and no filter is widened.

use image::{Rgb, RgbImage};

use super::warp::size;
use super::{Interpolation, Motion};

/// An affine map of an image onto one of its own size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Where a point `[x, y]` of the new image comes from: `x' = a x + b y + c`, `y' = d x + e y + f`.
    inverse: [f64; 6],
    /// Height and width of both.
    size: [usize; 2],
}

impl Affine {
    /// A shear along the rows: a row moves to the left by `factor` of its distance from the top.
    pub fn shear_x(factor: f64, size: [usize; 2]) -> Self {
        Self { inverse: [1.0, tangent(factor), 0.0, 0.0, 1.0, 0.0], size }
    }

    /// A shear along the columns: a column moves upwards by `factor` of its distance from the left.
    pub fn shear_y(factor: f64, size: [usize; 2]) -> Self {
        Self { inverse: [1.0, 0.0, 0.0, tangent(factor), 1.0, 0.0], size }
    }

    /// A shift to the right and down, in whole pixels.
    pub fn shift([right, down]: [i64; 2], size: [usize; 2]) -> Self {
        Self { inverse: [1.0, 0.0, -right as f64, 0.0, 1.0, -down as f64], size }
    }

    /// A turn about the middle, in degrees against the clock.
    pub fn turn(degrees: f64, size: [usize; 2]) -> Self {
        let angle = -degrees.rem_euclid(360.0).to_radians();
        // Pillow drops digits, and in decimals: a product with 1e15 would round once too often.
        let rounded = |value: f64| format!("{value:.15}").parse().unwrap_or(value);
        let (cos, sin) = (rounded(angle.cos()), rounded(angle.sin()));
        let [y, x] = size.map(|side| side as f64 / 2.0);
        let inverse = [cos, sin, cos * -x + sin * -y + x, -sin, cos, -sin * -x + cos * -y + y];
        Self { inverse, size }
    }

    /// The image, with `fill` where there was none.
    pub fn image(&self, image: &RgbImage, interpolation: Interpolation, fill: [u8; 3]) -> RgbImage {
        let [height, width] = size(image);
        let mut moved = RgbImage::from_pixel(width as u32, height as u32, Rgb(fill));
        if interpolation == Interpolation::Nearest {
            for (pixel, place) in moved.pixels_mut().zip(self.places([height, width])) {
                if let Some(place) = place {
                    *pixel = *image.get_pixel((place % width) as u32, (place / width) as u32);
                }
            }
            return moved;
        }
        let [a, b, c, d, e, f] = self.inverse;
        for (x, y, pixel) in moved.enumerate_pixels_mut() {
            let (x, y) = (f64::from(x) + 0.5, f64::from(y) + 0.5);
            let (x, y) = (a * x + b * y + c, d * x + e * y + f);
            if (0.0..width as f64).contains(&x) && (0.0..height as f64).contains(&y) {
                pixel.0 = match interpolation {
                    Interpolation::Bicubic => between::<4>(image, x, y, cubic),
                    _ => between::<2>(image, x, y, |[v, w], part| v + (w - v) * part),
                };
            }
        }
        moved
    }
}

/// torchvision goes by way of the angle.
fn tangent(factor: f64) -> f64 {
    factor.atan().to_degrees().to_radians().tan()
}

/// The colour at a point, from `N` x `N` pixels around it. Beyond the sides the nearest pixel counts, beyond the upper end
/// the first row, beyond the lower end the row that was computed last.
fn between<const N: usize>(image: &RgbImage, x: f64, y: f64, line: fn([f64; N], f64) -> f64) -> [u8; 3] {
    let [height, width] = size(image).map(|side| side as i64);
    let (x, y) = (x - 0.5, y - 0.5);
    let (left, top) = (x.floor(), y.floor());
    let (right, down) = (x - left, y - top);
    let first = |start: f64| start as i64 - (N as i64 / 2 - 1);
    let (left, top) = (first(left), first(top));
    [0, 1, 2].map(|channel| {
        let mut rows = [0.0; N];
        for k in 0..N {
            let row = top + k as i64;
            let inside = (0..height).contains(&row);
            if k > 0 && !inside {
                rows[k] = rows[k - 1];
                continue;
            }
            let row = row.clamp(0, height - 1) as u32;
            let value = |i: usize| {
                let column = (left + i as i64).clamp(0, width - 1) as u32;
                f64::from(image.get_pixel(column, row).0[channel])
            };
            rows[k] = line(std::array::from_fn(value), right);
        }
        // Negative values become 0.
        line(rows, down) as u8
    })
}

/// Keys' cubic with a = -1.
fn cubic([v1, v2, v3, v4]: [f64; 4], part: f64) -> f64 {
    let p2 = v3 - v1;
    let p3 = 2.0 * (v1 - v2) + v3 - v4;
    let p4 = -v1 + v2 - v3 + v4;
    v2 + part * (p2 + part * (p3 + part * p4))
}

impl Motion for Affine {
    fn output(&self) -> [usize; 2] {
        self.size
    }

    fn point(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let [a, b, c, d, e, f] = self.inverse;
        let (x, y) = (f64::from(x) - c, f64::from(y) - f);
        let determinant = a * e - b * d;
        [(e * x - b * y) / determinant, (a * y - d * x) / determinant].map(|value| value as f32)
    }

    fn places(&self, [height, width]: [usize; 2]) -> Vec<Option<usize>> {
        let fixed = |value: f64| (value * 65536.0 + 0.5).floor() as i64;
        let [a, b, c, d, e, f] = self.inverse;
        let [right, down] = [[a, d], [b, e]].map(|step| step.map(fixed));
        let start = [c + a * 0.5 + b * 0.5, f + d * 0.5 + e * 0.5].map(fixed);
        let mut places = Vec::with_capacity(height * width);
        for row in 0..height as i64 {
            for column in 0..width as i64 {
                let [x, y] = [0, 1].map(|i| (start[i] + row * down[i] + column * right[i]) >> 16);
                let inside = (0..width as i64).contains(&x) && (0..height as i64).contains(&y);
                places.push(inside.then_some(y as usize * width + x as usize));
            }
        }
        places
    }
}
