//! Transforms in a row, then numbers for a network.

use image::RgbImage;
use kiln_core::{Error, Result};
use rand_chacha::ChaCha8Rng;

use super::{Size, Transform, warp};
use crate::Sample;

/// What becomes of an image between a data set and a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    transforms: Vec<Transform>,
    /// What each byte of each channel becomes.
    normalized: [Vec<f32>; 3],
}

impl Pipeline {
    /// These transforms in order, and a normalization with the mean and standard deviation of each channel (of values
    /// between 0 and 1).
    ///
    /// # Errors
    /// A parameter that makes no sense, and the place of its transform: `transforms[1]`.
    pub fn new(transforms: Vec<Transform>, mean: [f32; 3], std: [f32; 3]) -> Result<Self> {
        for (i, transform) in transforms.iter().enumerate() {
            transform.check().map_err(|error| error.place(format!("transforms[{i}]")))?;
        }
        if let Some(bad) = mean.iter().find(|value| !value.is_finite()) {
            return Err(Error::input(format!("a mean of {bad}")).place("mean").hint("three numbers, 0 to 1"));
        }
        if let Some(bad) = std.iter().find(|value| !(value.is_finite() && **value > 0.0)) {
            return Err(Error::input(format!("a standard deviation of {bad}"))
                .place("std")
                .hint("three numbers above 0"));
        }
        let normalized = [0, 1, 2]
            .map(|c| (0..=255).map(|byte: u8| (f32::from(byte) / 255.0 - mean[c]) / std[c]).collect());
        Ok(Self { transforms, normalized })
    }

    /// The transforms in order.
    pub fn transforms(&self) -> &[Transform] {
        &self.transforms
    }

    /// Height and width that an image of height and width `input` ends with; the smallest where they are random.
    pub fn output_size(&self, input: [usize; 2]) -> [usize; 2] {
        self.transforms.iter().fold(input, |size, transform| transform.output_size(size))
    }

    /// Height and width that every image ends with, whatever its own; `None` where they differ with the image.
    pub fn fixed_output_size(&self) -> Option<[usize; 2]> {
        self.transforms.iter().fold(None, |fixed, transform| match transform {
            Transform::RandomResize { .. } => None,
            Transform::Resize { size: Size::Side(_), .. }
            | Transform::HorizontalFlip { .. }
            | Transform::Lighting { .. }
            | Transform::ColorJitter { .. } => fixed.map(|size| transform.output_size(size)),
            _ => Some(transform.output_size([1, 1])),
        })
    }

    /// The sample after all transforms; equal states of `rng` give equal samples.
    ///
    /// # Errors
    /// A cut that is larger than its image.
    pub fn apply(&self, mut sample: Sample, rng: &mut ChaCha8Rng) -> Result<Sample> {
        for (i, transform) in self.transforms.iter().enumerate() {
            let warp = transform
                .resolve(warp::size(&sample.image), rng)
                .map_err(|error| error.place(format!("transforms[{i}]")))?;
            sample = warp.sample(sample, transform.interpolation());
            transform.colours(rng).iter().for_each(|change| change.apply(&mut sample.image));
        }
        Ok(sample)
    }

    /// The numbers of an image, `[3, height, width]`: `(value / 255 - mean) / std`.
    pub fn normalize(&self, image: &RgbImage) -> Vec<f32> {
        let mut numbers = Vec::with_capacity(image.as_raw().len());
        for (c, values) in self.normalized.iter().enumerate() {
            numbers.extend(image.as_raw().chunks_exact(3).map(|pixel| values[usize::from(pixel[c])]));
        }
        numbers
    }
}
