//! Filtered scaling, number for number as Pillow does it: across first, then down, each pass with weights of 22 bits and
//! a result of eight. What lies beyond black and white is cut off after each pass, so their order shows. (Pillow 13 does
//! the cheaper pass first, which differs only where one side grows and the other shrinks; published models were trained
//! before.)

use std::borrow::Cow;
use std::ops::Range;

use image::RgbImage;

use super::warp::size;

/// A filter: how much a pixel weighs by its distance from the centre.
#[derive(Clone, Copy)]
pub(super) struct Filter {
    /// Beyond this distance pixels weigh nothing.
    reach: f64,
    /// It becomes as wide as a new pixel where the image shrinks.
    widens: bool,
    weight: fn(f64) -> f64,
}

/// A triangle.
pub(super) const BILINEAR: Filter = Filter { reach: 1.0, widens: true, weight: |x| (1.0 - x.abs()).max(0.0) };

/// A triangle between the nearest pixels, however much the image shrinks.
pub(super) const BILINEAR_ALIASED: Filter = Filter { widens: false, ..BILINEAR };

/// Keys' cubic with a = -1/2.
pub(super) const BICUBIC: Filter = Filter {
    reach: 2.0,
    widens: true,
    weight: |x| match x.abs() {
        x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5,
        _ => 0.0,
    },
};

/// Bits of a weight after the point: with eight of a pixel, two remain for the sum of a filter that overshoots.
const BITS: u32 = 22;

/// What a sum begins with, so that cutting off its bits rounds it.
const HALF: i32 = 1 << (BITS - 1);

/// `image` at another height and width, by a filter.
pub(super) fn scaled(image: &RgbImage, [height, width]: [usize; 2], filter: Filter) -> RgbImage {
    let [rows, columns] = size(image);
    let mut pixels = Cow::Borrowed(image.as_raw());
    if width != columns {
        pixels = Cow::Owned(across(&pixels, columns, &taps(columns, width, filter)));
    }
    if height != rows {
        pixels = Cow::Owned(down(&pixels, width, &taps(rows, height, filter)));
    }
    RgbImage::from_raw(width as u32, height as u32, pixels.into_owned())
        .expect("both passes make three bytes a pixel")
}

/// The old pixels that a new one is made of, and their weights.
struct Taps {
    pixels: Range<usize>,
    weights: Vec<i32>,
}

/// The taps of each of `new` pixels made of `old` ones.
fn taps(old: usize, new: usize, filter: Filter) -> Vec<Taps> {
    let step = old as f64 / new as f64;
    let stretch = if filter.widens { step.max(1.0) } else { 1.0 };
    let reach = filter.reach * stretch;
    let one = |index: usize| {
        let centre = (index as f64 + 0.5) * step;
        // Both ends are rounded, and a negative one becomes 0.
        let pixels = (centre - reach + 0.5) as usize..((centre + reach + 0.5) as usize).min(old);
        let weight = |pixel: usize| (filter.weight)((pixel as f64 - centre + 0.5) / stretch);
        let weights: Vec<f64> = pixels.clone().map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: &f64| (weight / sum * f64::from(1 << BITS)).round() as i32;
        Taps { pixels, weights: weights.iter().map(fixed).collect() }
    };
    (0..new).map(one).collect()
}

/// Every row of `width` pixels at another width, a pixel for each of `taps`.
fn across(pixels: &[u8], width: usize, taps: &[Taps]) -> Vec<u8> {
    let (pixels, _) = pixels.as_chunks::<3>();
    let mut scaled = Vec::with_capacity(3 * taps.len() * (pixels.len() / width));
    for row in pixels.chunks_exact(width) {
        for taps in taps {
            let mut sums = [HALF; 3];
            for (pixel, weight) in row[taps.pixels.clone()].iter().zip(&taps.weights) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(*value) * weight;
                }
            }
            scaled.extend(sums.map(byte));
        }
    }
    scaled
}

/// A row for each of `taps`, made of rows of `width` pixels.
fn down(pixels: &[u8], width: usize, taps: &[Taps]) -> Vec<u8> {
    let line = 3 * width;
    let mut scaled = Vec::with_capacity(line * taps.len());
    let mut sums = vec![0; line];
    for taps in taps {
        sums.fill(HALF);
        let rows = pixels[line * taps.pixels.start..line * taps.pixels.end].chunks_exact(line);
        for (row, weight) in rows.zip(&taps.weights) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i32::from(*value) * weight;
            }
        }
        scaled.extend(sums.iter().copied().map(byte));
    }
    scaled
}

/// A weighed sum, cut off at black and white.
fn byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Height and width, and the values row by row: OpenCV 5.0, `cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)`
    /// of a grey image of 5 x 7 whose value is `(37 y² + 91 x + 13 x y) % 256`.
    const OPENCV: [([usize; 2], &[u8]); 4] = [
        ([2, 3], &[95, 74, 96, 166, 222, 148]),
        (
            [3, 7],
            &[
                12, 108, 203, 42, 137, 148, 72, 148, 9, 126, 243, 104, 221, 82, 79, 218, 100, 239, 122, 89,
                143,
            ],
        ),
        ([4, 2], &[120, 164, 119, 124, 124, 186, 192, 71]),
        (
            [9, 10],
            &[
                0, 50, 114, 177, 75, 49, 113, 176, 125, 34, 12, 65, 131, 198, 99, 76, 138, 145, 114, 72, 33,
                89, 161, 233, 138, 120, 181, 93, 95, 136, 86, 84, 110, 187, 171, 158, 154, 131, 121, 119,
                148, 72, 38, 120, 202, 194, 110, 192, 158, 82, 109, 114, 114, 102, 182, 179, 100, 186, 158,
                86, 77, 149, 177, 90, 170, 172, 96, 168, 151, 98, 79, 155, 188, 106, 190, 198, 120, 98, 114,
                143, 80, 158, 195, 115, 203, 213, 134, 55, 91, 170,
            ],
        ),
    ];

    #[test]
    fn without_antialias_it_is_opencvs_to_a_grey_level() {
        let image =
            RgbImage::from_fn(7, 5, |x, y| image::Rgb([((37 * y * y + 91 * x + 13 * x * y) % 256) as u8; 3]));
        for (output, expected) in OPENCV {
            let found = scaled(&image, output, BILINEAR_ALIASED);
            let grey: Vec<u8> = found.pixels().map(|pixel| pixel.0[0]).collect();
            let near = grey.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) <= 1);
            assert!(grey.len() == expected.len() && near, "{output:?}: {grey:?}");
        }
    }
}
