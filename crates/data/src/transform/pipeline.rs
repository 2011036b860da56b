//! Transforms in a row, then numbers for a network.

use burn::tensor::Tensor;
use image::{Rgb, RgbImage};
use kiln_core::{Error, Letterbox, Result, Truth};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{CopyPaste, Interpolation, Mosaic, Size, Step, Transform, warp};
use crate::Sample;

/// What becomes of an image between a data set and a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    transforms: Vec<Transform>,
    /// What each byte of each channel becomes.
    normalized: [Vec<f32>; 3],
}

/// Any other image of the same data set, for a mosaic or to paste objects of.
pub type Partner<'a> = &'a dyn Fn(&mut ChaCha8Rng) -> Result<Sample>;

/// An image ready for a batch.
#[derive(Debug, Clone)]
pub struct Ready {
    /// `[3, height, width]`, normalized.
    pub numbers: Vec<f32>,
    /// Height and width.
    pub size: [usize; 2],
    /// What is known of it.
    pub truth: Truth,
    /// What was done to it.
    pub steps: Vec<Step>,
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
            if i > 0 && transforms[i - 1].erases() && !transform.erases() {
                return Err(Error::input("an image is erased only once it is numbers")
                    .place(format!("transforms[{}]", i - 1))
                    .hint("put `random-erasing` and `cutout` after all others"));
            }
        }
        if let Some(late) = transforms.iter().skip(1).position(|it| matches!(it, Transform::Mosaic { .. })) {
            let error = Error::input("a mosaic is made of images as they are");
            return Err(error
                .place(format!("transforms[{}]", late + 1))
                .hint("put `mosaic` before all others"));
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
            Transform::Resize { size: Size::Side(_), .. } => fixed.map(|size| transform.output_size(size)),
            _ if transform.keeps_size() => fixed,
            _ => Some(transform.output_size([1, 1])),
        })
    }

    /// The sample after all transforms but erasures; equal states of `rng` give equal samples.
    ///
    /// # Errors
    /// A cut that is larger than its image.
    pub fn apply(&self, sample: Sample, rng: &mut ChaCha8Rng) -> Result<Sample> {
        self.run(sample, None, rng).map(|(sample, _)| sample)
    }

    /// The sample after all transforms, as numbers; equal states of `rng` give equal numbers. A mosaic is made of the image alone, and
    /// what is pasted is its own.
    ///
    /// # Errors
    /// A cut that is larger than its image.
    pub fn prepare(&self, sample: Sample, rng: &mut ChaCha8Rng) -> Result<Ready> {
        self.ready(sample, None, rng)
    }

    /// As [`Pipeline::prepare`], but a mosaic is made of `partner`'s images too, and what is pasted is theirs.
    ///
    /// # Errors
    /// A cut that is larger than its image; what `partner` says.
    pub fn prepare_with(&self, sample: Sample, partner: Partner<'_>, rng: &mut ChaCha8Rng) -> Result<Ready> {
        self.ready(sample, Some(partner), rng)
    }

    fn ready(&self, sample: Sample, partner: Option<Partner<'_>>, rng: &mut ChaCha8Rng) -> Result<Ready> {
        let (Sample { image, truth }, steps) = self.run(sample, partner, rng)?;
        let size = warp::size(&image);
        let mut numbers = self.normalize(&image);
        for step in &steps {
            if let Step::Erasure(erasure) = step {
                erasure.apply(&mut numbers, size);
            }
        }
        Ok(Ready { numbers, size, truth, steps })
    }

    fn run(
        &self,
        mut sample: Sample,
        partner: Option<Partner<'_>>,
        rng: &mut ChaCha8Rng,
    ) -> Result<(Sample, Vec<Step>)> {
        let mut done = Vec::new();
        for (i, transform) in self.transforms.iter().enumerate() {
            if let Transform::Mosaic { size, probability, fill } = *transform
                && rng.random_bool(probability)
            {
                let mosaic = Mosaic::draw(size, rng);
                let mut other = || partner.map_or_else(|| Ok(sample.clone()), |partner| partner(rng));
                let others = [other()?, other()?, other()?];
                let [second, third, fourth] = others;
                sample = mosaic.sample(&[sample, second, third, fourth], transform.interpolation(), fill);
                done.push(Step::Mosaic(mosaic));
                continue;
            }
            if let Transform::CopyPaste { probability, scale, least_visible } = *transform
                && rng.random_bool(probability)
            {
                let other = partner.map_or_else(|| Ok(sample.clone()), |partner| partner(rng))?;
                let (size, input) = (warp::size(&sample.image), warp::size(&other.image));
                let paste = CopyPaste::draw(size, input, scale, least_visible, rng);
                sample = paste.sample(sample, &other, transform.interpolation());
                done.push(Step::CopyPaste(paste));
                continue;
            }
            let steps = transform.steps(warp::size(&sample.image), rng);
            let steps = steps.map_err(|error| error.place(format!("transforms[{i}]")))?;
            sample = steps.iter().fold(sample, |sample, step| step.apply(sample));
            done.extend(steps);
        }
        Ok((sample, done))
    }

    /// This pipeline with squares of `side` pixels at its end: the last transform that scales gives them where no other
    /// changes the size after it, and where there is none they are scaled from what the others leave.
    pub fn with_side(&self, side: usize) -> Self {
        let mut pipeline = self.clone();
        let square = Size::HeightWidth([side; 2]);
        match pipeline.transforms.iter_mut().rfind(|transform| !transform.keeps_size()) {
            Some(
                Transform::RandomResizedCrop { size, .. }
                | Transform::RandomScaleCrop { size, .. }
                | Transform::Resize { size, .. }
                | Transform::Letterbox { size, .. },
            ) => *size = square,
            _ => {
                let first = pipeline.transforms.iter().position(Transform::erases);
                let resize = Transform::Resize { size: square, interpolation: Interpolation::default() };
                pipeline.transforms.insert(first.unwrap_or(pipeline.transforms.len()), resize);
            }
        }
        pipeline
    }

    /// This pipeline with a letterbox in place of every mosaic, and nothing pasted.
    pub fn of_whole_images(&self) -> Self {
        let mut pipeline = self.clone();
        for transform in &mut pipeline.transforms {
            if let Transform::Mosaic { probability, .. } | Transform::CopyPaste { probability, .. } =
                transform
            {
                *probability = 0.0;
            }
        }
        pipeline
    }

    /// Where an image of height and width `input` lies among the pixels that a network is shown, so that its boxes can be brought
    /// back ([`Letterbox::out_of_frame`]); `None` where the transforms are more than one `letterbox` or `resize`.
    pub fn frame(&self, input: [usize; 2]) -> Option<Letterbox> {
        match self.transforms.as_slice() {
            [] => Some(stretched(input, input)),
            [transform @ Transform::Letterbox { .. }] => transform.framing(input),
            [resize @ Transform::Resize { .. }] => Some(stretched(input, resize.output_size(input))),
            _ => None,
        }
    }

    /// The numbers of an image, `[3, height, width]`: `(value / 255 - mean) / std`.
    pub fn normalize(&self, image: &RgbImage) -> Vec<f32> {
        let mut numbers = Vec::with_capacity(image.as_raw().len());
        for (c, values) in self.normalized.iter().enumerate() {
            numbers.extend(image.as_raw().chunks_exact(3).map(|pixel| values[usize::from(pixel[c])]));
        }
        numbers
    }

    /// The colours of a batch's pixels, 0 to 255: what [`Pipeline::normalize`] did, undone.
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` to the same
    pub fn colours(&self, images: Tensor<4>) -> Tensor<4> {
        let ends = |of: fn(&[f32]) -> f32| {
            let values = [0, 1, 2].map(|c| of(&self.normalized[c]));
            Tensor::<1>::from_floats(values, &images.device()).reshape([1, 3, 1, 1])
        };
        let (black, range) = (ends(|values| values[0]), ends(|values| values[255] - values[0]));
        (images.clone() - black) / range * 255.0
    }

    /// The picture of an image's numbers, as near as bytes come: what [`Pipeline::normalize`] did, undone.
    pub fn picture(&self, numbers: &[f32], [height, width]: [usize; 2]) -> RgbImage {
        RgbImage::from_fn(width as u32, height as u32, |x, y| {
            let place = y as usize * width + x as usize;
            Rgb([0, 1, 2].map(|c| {
                let (black, white) = (self.normalized[c][0], self.normalized[c][255]);
                let level = (numbers[c * height * width + place] - black) / (white - black);
                (255.0 * level).round() as u8
            }))
        })
    }
}

/// An image that fills its frame.
fn stretched(input: [usize; 2], output: [usize; 2]) -> Letterbox {
    let scale = [0, 1].map(|i| output[i] as f64 / input[i] as f64);
    Letterbox { input, scaled: output, output, offset: [0, 0], scale }
}
