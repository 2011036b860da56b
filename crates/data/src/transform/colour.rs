//! Changes of colour: pixels change, places do not.
//!
//! Brightness, contrast, saturation and hue are PIL's down to the rounding, since torchvision's `ColorJitter` is made of
//! them: `Image.blend` of the image with another, and the hue of `Image.convert("HSV")`. Compared with Pillow 13 for every
//! factor from 0 to 2 in steps of 0.05 and every turn in steps of 0.02, on 64 noisy images: no value differs.

use std::f64::consts::TAU;
use std::fmt;

use image::{Rgb, RgbImage};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Transform, histogram, hsv};

/// A change of an image's colours, with nothing left to chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Colour {
    /// A blend of black (0) and the image (1), or beyond.
    Brightness(f32),
    /// A blend of the image's mean grey (0) and the image (1), or beyond.
    Contrast(f32),
    /// A blend of the image in grey (0) and the image (1), or beyond.
    Saturation(f32),
    /// A turn of all hues, in parts of the circle.
    Hue(f64),
    /// Factors to hue, saturation and value as OpenCV has them in eight bits.
    Hsv([f64; 3]),
    /// What is added to red, green and blue, where 1 is a channel's full range.
    Shift([f64; 3]),
    /// A blend of the image made smooth (0) and the image (1), or beyond.
    Sharpness(f32),
    /// As many bits of each value are kept.
    Posterize(u32),
    /// Values from this one upwards are inverted.
    Solarize(f64),
    /// Each channel is stretched from black to white.
    AutoContrast,
    /// Each channel's values are spread evenly.
    Equalize,
    /// The negative.
    Invert,
}

impl Colour {
    /// Changes the image.
    pub fn apply(self, image: &mut RgbImage) {
        let mean = |image: &RgbImage| {
            let sum: u64 = image.pixels().map(|pixel| u64::from(grey(pixel.0))).sum();
            (sum as f64 / f64::from(image.width() * image.height()) + 0.5) as u8
        };
        match self {
            Self::Brightness(factor) => change(image, |pixel| blend([0; 3], pixel, factor)),
            Self::Contrast(factor) => {
                let mean = mean(image);
                change(image, |pixel| blend([mean; 3], pixel, factor));
            }
            Self::Saturation(factor) => change(image, |pixel| blend([grey(pixel); 3], pixel, factor)),
            Self::Hue(turn) => {
                let turn = (turn * 255.0) as i32 as u8;
                change(image, |pixel| {
                    let [hue, saturation, value] = to_hsv(pixel);
                    from_hsv([hue.wrapping_add(turn), saturation, value])
                });
            }
            Self::Hsv(factors) => hsv::multiply(image, factors),
            Self::Shift(shift) => {
                let level = |c: usize, byte: u8| (f64::from(byte) + 255.0 * shift[c]).round() as u8;
                change(image, |[r, g, b]| [level(0, r), level(1, g), level(2, b)]);
            }
            Self::Sharpness(factor) => {
                let smoothed = smooth(image);
                for (pixel, smooth) in image.pixels_mut().zip(smoothed.pixels()) {
                    pixel.0 = blend(smooth.0, pixel.0, factor);
                }
            }
            Self::Posterize(bits) => {
                let mask = 0xffu8.checked_shl(8 - bits.min(8)).unwrap_or(0);
                change(image, |pixel| pixel.map(|value| value & mask));
            }
            Self::Solarize(threshold) => {
                let level = |value: u8| if f64::from(value) < threshold { value } else { 255 - value };
                change(image, |pixel| pixel.map(level));
            }
            Self::AutoContrast => histogram::stretch(image),
            Self::Equalize => histogram::equalize(image),
            Self::Invert => change(image, |pixel| pixel.map(|value| 255 - value)),
        }
    }
}

/// A few words.
impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Brightness(factor) => write!(f, "brightness {factor:.2}"),
            Self::Contrast(factor) => write!(f, "contrast {factor:.2}"),
            Self::Saturation(factor) => write!(f, "saturation {factor:.2}"),
            Self::Hue(turn) => write!(f, "hue {turn:+.2}"),
            Self::Hsv([hue, saturation, value]) => write!(f, "hsv {hue:.3} {saturation:.2} {value:.2}"),
            Self::Shift(shift) => {
                let [r, g, b] = shift.map(|part| part * 255.0);
                write!(f, "{r:+.0} {g:+.0} {b:+.0}")
            }
            Self::Sharpness(factor) => write!(f, "sharpness {factor:.2}"),
            Self::Posterize(bits) => write!(f, "posterize {bits} bits"),
            Self::Solarize(threshold) => write!(f, "solarize {threshold:.0}"),
            Self::AutoContrast => write!(f, "autocontrast"),
            Self::Equalize => write!(f, "equalize"),
            Self::Invert => write!(f, "invert"),
        }
    }
}

impl Transform {
    /// The changes of colour, in order, all chance taken from `rng`; a geometric transform has none.
    pub fn colours(&self, rng: &mut ChaCha8Rng) -> Vec<Colour> {
        match *self {
            Self::Lighting { std } => vec![Colour::Shift(lighting([(); 3].map(|()| std * normal(rng))))],
            Self::HsvJitter { hue, saturation, value } => {
                let mut factor = |range: f64| 1.0 + rng.random_range(-range..=range);
                vec![Colour::Hsv([factor(hue), factor(saturation), factor(value)])]
            }
            Self::ColorJitter { brightness, contrast, saturation, hue } => {
                let mut factor = |range: f64| {
                    (range > 0.0).then(|| rng.random_range((1.0 - range).max(0.0)..=1.0 + range) as f32)
                };
                let changes = [
                    factor(brightness).map(Colour::Brightness),
                    factor(contrast).map(Colour::Contrast),
                    factor(saturation).map(Colour::Saturation),
                    (hue > 0.0).then(|| Colour::Hue(rng.random_range(-hue..=hue))),
                ];
                let mut changes: Vec<Colour> = changes.into_iter().flatten().collect();
                changes.shuffle(rng);
                changes
            }
            _ => Vec::new(),
        }
    }
}

fn change(image: &mut RgbImage, new: impl Fn([u8; 3]) -> [u8; 3]) {
    image.pixels_mut().for_each(|pixel| pixel.0 = new(pixel.0));
}

/// PIL's `ImageFilter.SMOOTH`: each pixel five times and its eight neighbours once; those on the border stay.
fn smooth(image: &RgbImage) -> RgbImage {
    let (width, height) = image.dimensions();
    RgbImage::from_fn(width, height, |x, y| {
        if x == 0 || y == 0 || x + 1 == width || y + 1 == height {
            return *image.get_pixel(x, y);
        }
        let mut sums = image.get_pixel(x, y).0.map(|value| 4 * u32::from(value));
        for (x, y) in (y - 1..=y + 1).flat_map(|row| (x - 1..=x + 1).map(move |column| (column, row))) {
            for (sum, value) in sums.iter_mut().zip(image.get_pixel(x, y).0) {
                *sum += u32::from(value);
            }
        }
        Rgb(sums.map(|sum| ((2 * sum + 13) / 26) as u8))
    })
}

/// PIL's blend: digits behind the point are cut off, not rounded, and so is what lies beyond black and white.
fn blend(from: [u8; 3], to: [u8; 3], factor: f32) -> [u8; 3] {
    [0, 1, 2].map(|c| {
        let (from, to) = (f32::from(from[c]), f32::from(to[c]));
        (from + factor * (to - from)) as u8
    })
}

/// PIL's grey: 0.299, 0.587 and 0.114 of red, green and blue (ITU-R BT.601), in parts of 65536.
fn grey([r, g, b]: [u8; 3]) -> u8 {
    ((19595 * u32::from(r) + 38470 * u32::from(g) + 7471 * u32::from(b) + 0x8000) >> 16) as u8
}

/// PIL's hue, saturation and value, where 255 is the whole circle.
fn to_hsv(pixel @ [r, g, b]: [u8; 3]) -> [u8; 3] {
    let (least, most) = (r.min(g).min(b), r.max(g).max(b));
    if least == most {
        return [0, 0, most];
    }
    let range = f32::from(most - least);
    let [rc, gc, bc] = pixel.map(|value| f32::from(most - value) / range);
    let sixths = if r == most {
        bc - gc
    } else if g == most {
        (2.0 + f64::from(rc) - f64::from(bc)) as f32
    } else {
        (4.0 + f64::from(gc) - f64::from(rc)) as f32
    };
    let hue = ((f64::from(sixths) / 6.0 + 1.0) % 1.0) as f32;
    let saturation = range / f32::from(most);
    [(f64::from(hue) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, most]
}

/// PIL's way back.
fn from_hsv([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    let sixths = f64::from(hue) * 6.0 / 255.0;
    let part = (sixths - sixths.floor()) as f32;
    let saturation = (f64::from(saturation) / 255.0) as f32;
    let less = |share: f64| (f64::from(value) * (1.0 - share)).round() as u8;
    let p = less(f64::from(saturation));
    let q = less(f64::from(saturation * part));
    let t = less(f64::from(saturation) * (1.0 - f64::from(part)));
    match sixths as u8 % 6 {
        0 => [value, t, p],
        1 => [q, value, p],
        2 => [p, value, t],
        3 => [p, q, value],
        4 => [t, p, value],
        _ => [value, p, q],
    }
}

/// The colour that these shares of ImageNet's three principal components make. Eigenvalues and eigenvectors (a column each)
/// of its pixels between 0 and 1, as in fb.resnet.torch, `datasets/imagenet.lua`.
fn lighting(shares: [f64; 3]) -> [f64; 3] {
    const VALUES: [f64; 3] = [0.2175, 0.0188, 0.0045];
    const VECTORS: [[f64; 3]; 3] =
        [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]];
    VECTORS.map(|row| (0..3).map(|i| row[i] * VALUES[i] * shares[i]).sum())
}

/// A number of mean 0 and deviation 1 (Box and Muller).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let [a, b]: [f64; 2] = rng.random();
    (-2.0 * (1.0 - a).ln()).sqrt() * (TAU * b).cos()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand::SeedableRng;

    use super::*;

    fn rng(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    /// Four pixels.
    fn image() -> RgbImage {
        RgbImage::from_raw(2, 2, vec![200, 100, 50, 10, 20, 250, 255, 0, 128, 90, 90, 90]).unwrap()
    }

    #[test]
    fn changes_of_colour_are_pils() {
        // torchvision 0.29's adjust_brightness, adjust_contrast, adjust_saturation and adjust_hue on Pillow 13.
        let table: [(Colour, [u8; 12]); 8] = [
            (Colour::Brightness(0.6), [120, 60, 30, 6, 12, 150, 153, 0, 76, 54, 54, 54]),
            (Colour::Brightness(1.4), [255, 140, 70, 14, 28, 255, 255, 0, 179, 126, 126, 126]),
            (Colour::Contrast(0.6), [154, 94, 64, 40, 46, 184, 187, 34, 111, 88, 88, 88]),
            (Colour::Contrast(1.4), [245, 105, 35, 0, 0, 255, 255, 0, 144, 91, 91, 91]),
            (Colour::Saturation(0.6), [169, 109, 79, 23, 29, 167, 189, 36, 113, 90, 90, 90]),
            (Colour::Saturation(1.4), [230, 90, 20, 0, 10, 255, 255, 0, 142, 90, 90, 90]),
            (Colour::Hue(0.1), [200, 188, 50, 140, 11, 250, 255, 12, 0, 90, 90, 90]),
            (Colour::Hue(-0.3), [135, 50, 200, 11, 250, 50, 0, 78, 255, 90, 90, 90]),
        ];
        for (change, expected) in table {
            let mut image = image();
            change.apply(&mut image);
            assert_eq!(image.into_raw(), expected, "{change:?}");
        }
    }

    #[test]
    fn contrast_is_about_the_mean_grey() {
        // Greys 124, 43, 91, 90 by 0.299 r + 0.587 g + 0.114 b: 348 / 4 = 87.
        let mut image = image();
        Colour::Contrast(0.0).apply(&mut image);
        assert_eq!(image.into_raw(), [87; 12]);
    }

    #[test]
    fn lighting_follows_the_components_of_imagenets_colours() {
        // The first: 0.2175 · (-0.5675, -0.5808, -0.5836) · 255 = (-31.5, -32.2, -32.4). Second and third together:
        // (0.7192 · 0.0188 + 0.4009 · 0.0045) · 255 = 3.9, likewise -1.0 and -2.8.
        for (shares, expected) in
            [([1.0, 0.0, 0.0], [69, 68, 68]), ([0.0, 1.0, 1.0], [104, 99, 97]), ([9.0, 0.0, 0.0], [0; 3])]
        {
            let mut image = RgbImage::from_pixel(1, 1, Rgb([100; 3]));
            Colour::Shift(lighting(shares)).apply(&mut image);
            assert_eq!(image.into_raw(), expected, "{shares:?}");
        }
        // Components are at right angles and of length 1, so the product of two colours is that of their shares.
        let unit = [1.0 / 0.2175, 1.0 / 0.0188, 1.0 / 0.0045];
        for (i, a) in unit.into_iter().enumerate() {
            for (k, b) in unit.into_iter().enumerate() {
                let [mut left, mut right] = [[0.0; 3]; 2];
                (left[i], right[k]) = (a, b);
                let product: f64 = (0..3).map(|c| lighting(left)[c] * lighting(right)[c]).sum();
                assert!((product - f64::from(i == k)).abs() < 1e-3, "{i}, {k}: {product}");
            }
        }
    }

    #[test]
    fn lighting_has_its_standard_deviation() {
        // Var(red) = 0.1² · Σ (0.2175 · 0.5675)² + (0.0188 · 0.7192)² + (0.0045 · 0.4009)² = 0.1² · 0.0154217.
        let transform = Transform::Lighting { std: 0.1 };
        let mut rng = rng(1);
        let reds: Vec<f64> = (0..20000)
            .map(|_| match transform.colours(&mut rng)[..] {
                [Colour::Shift([red, ..])] => red,
                _ => panic!("one shift"),
            })
            .collect();
        let mean = reds.iter().sum::<f64>() / 20000.0;
        let variance = reds.iter().map(|red| red * red).sum::<f64>() / 20000.0;
        // The mean's deviation is 0.01242 / √20000 = 9e-5; the variance's 1 %.
        assert!(mean.abs() < 4e-4, "{mean}");
        assert!((variance / 1.54217e-4 - 1.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn jitter_draws_what_it_is_asked_for_in_every_order() {
        let jitter = Transform::ColorJitter { brightness: 0.4, contrast: 1.5, saturation: 0.0, hue: 0.1 };
        let mut rng = rng(2);
        let mut orders = std::collections::BTreeMap::new();
        for _ in 0..6000 {
            let changes = jitter.colours(&mut rng);
            let letters = changes.iter().map(|change| match *change {
                Colour::Brightness(factor) if (0.6..=1.4).contains(&factor) => 'b',
                // 1 - 1.5 is below 0.
                Colour::Contrast(factor) if (0.0..=2.5).contains(&factor) => 'c',
                Colour::Hue(turn) if (-0.1..=0.1).contains(&turn) => 'h',
                other => panic!("{other:?}"),
            });
            *orders.entry(letters.collect::<String>()).or_insert(0) += 1;
        }
        // Three changes have 6 orders: 1000 each, of deviation 29.
        assert_eq!(orders.len(), 6, "{orders:?}");
        assert!(orders.iter().all(|(_, count)| (850..1150).contains(count)), "{orders:?}");
    }

    #[test]
    fn equal_seeds_change_colours_alike() {
        let jitter = Transform::ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 };
        assert_eq!(jitter.colours(&mut rng(7)), jitter.colours(&mut rng(7)));
        assert_ne!(jitter.colours(&mut rng(7)), jitter.colours(&mut rng(8)));
    }
}
