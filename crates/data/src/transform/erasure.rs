//! Parts of an image that are erased, once it is numbers: zero is the mean colour then.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::Region;

/// What is put where something is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filling {
    /// The mean colour: zeros.
    #[default]
    Mean,
    /// Each number anew, of mean 0 and deviation 1.
    Noise,
}

/// A part that is erased, with nothing left to chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erasure {
    /// The part; inside the image.
    pub region: Region,
    /// What the noise put there comes from; `None` for the mean colour.
    pub noise: Option<u64>,
}

impl Erasure {
    /// A part with a filling.
    pub fn new(region: Region, fill: Filling, rng: &mut ChaCha8Rng) -> Self {
        Self { region, noise: (fill == Filling::Noise).then(|| rng.random()) }
    }

    /// A square of the mean colour whose centre is anywhere in an image of height and width `size`, as far as it is in the
    /// image. As in the authors' code (uoguelph-mlrg/Cutout), half a side is rounded down.
    pub fn around_any_place(size: [usize; 2], side: usize, rng: &mut ChaCha8Rng) -> Self {
        let half = side / 2;
        let mut range = |length: usize| {
            let centre: usize = rng.random_range(0..length);
            (centre.saturating_sub(half), (centre + half).min(length))
        };
        let ((top, bottom), (left, right)) = (range(size[0]), range(size[1]));
        let region = Region { top: top as i64, left: left as i64, height: bottom - top, width: right - left };
        Self { region, noise: None }
    }

    /// Puts it in the numbers `[3, height, width]` of an image.
    pub fn apply(&self, numbers: &mut [f32], [height, width]: [usize; 2]) {
        let Region { top, left, height: rows, width: columns } = self.region;
        let (top, left) = (top as usize, left as usize);
        let mut noise = self.noise.map(ChaCha8Rng::seed_from_u64);
        for channel in numbers.chunks_exact_mut(height * width) {
            for row in channel.chunks_exact_mut(width).skip(top).take(rows) {
                for number in &mut row[left..left + columns] {
                    *number = noise.as_mut().map_or(0.0, |rng| StandardNormal.sample(rng));
                }
            }
        }
    }
}

/// torchvision's part to erase: ten tries of one that is smaller than the image in both directions, or none.
pub(super) fn part(
    [height, width]: [usize; 2],
    scale: [f64; 2],
    ratio: [f64; 2],
    rng: &mut ChaCha8Rng,
) -> Option<Region> {
    let area = (height * width) as f64;
    for _ in 0..10 {
        let part = area * rng.random_range(scale[0]..=scale[1]);
        let aspect = rng.random_range(ratio[0].ln()..=ratio[1].ln()).exp();
        let h = (part * aspect).sqrt().round_ties_even() as usize;
        let w = (part / aspect).sqrt().round_ties_even() as usize;
        if h < height && w < width {
            let top = rng.random_range(0..=height - h) as i64;
            return Some(Region { top, left: rng.random_range(0..=width - w) as i64, height: h, width: w });
        }
    }
    None
}
