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
    weight: fn(f64) -> f64,
}

/// A triangle.
pub(super) const BILINEAR: Filter = Filter { reach: 1.0, weight: |x| (1.0 - x.abs()).max(0.0) };

/// Keys' cubic with a = -1/2.
pub(super) const BICUBIC: Filter = Filter {
    reach: 2.0,
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

/// `image` at another height and width, by a filter that is widened when the image shrinks.
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
    let stretch = step.max(1.0);
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
