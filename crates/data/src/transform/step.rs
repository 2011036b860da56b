//! One thing that is done to an image.

use std::fmt;

use kiln_core::Result;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{
    Colour, CopyPaste, Erasure, Framing, Interpolation, Mosaic, Operation, Projective, Space, Transform,
    UpsideDown, Warp, erasure,
};
use crate::Sample;

/// One thing that is done to an image, with nothing left to chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// A part of it, scaled and perhaps mirrored.
    Warp(Warp, Interpolation),
    /// All of it, scaled and placed in a frame of a colour.
    Framing(Framing, Interpolation, [u8; 3]),
    /// It was put in a mosaic, for which others were needed too.
    Mosaic(Mosaic),
    /// Objects of another image were put over it, which was needed too.
    CopyPaste(CopyPaste),
    /// A turn, a change of size, a shear, a shift and a tilt, with the colour where there was no image.
    Projective(Projective, [u8; 3]),
    /// Top to bottom.
    UpsideDown(UpsideDown),
    /// A change of its colours.
    Colour(Colour),
    /// An operation of a policy.
    Operation {
        /// Which.
        operation: Operation,
        /// How strong.
        magnitude: f64,
        /// How pixels are computed where they move.
        interpolation: Interpolation,
        /// The colour where there was no image.
        fill: [u8; 3],
    },
    /// A part of it erased, once it is numbers.
    Erasure(Erasure),
}

impl Step {
    /// The sample after this step; an erasure leaves it as it is, for it comes later, and so does what was made with other
    /// images, for it came before.
    pub fn apply(&self, mut sample: Sample) -> Sample {
        match *self {
            Self::Warp(warp, interpolation) => warp.sample(sample, interpolation),
            Self::Colour(colour) => {
                colour.apply(&mut sample.image);
                sample
            }
            Self::Operation { operation, magnitude, interpolation, fill } => {
                operation.apply(magnitude, interpolation, fill, sample)
            }
            Self::Framing(framing, interpolation, fill) => framing.sample(&sample, interpolation, fill),
            Self::Projective(projective, fill) => projective.sample(&sample, fill),
            Self::UpsideDown(flip) => flip.sample(sample),
            Self::Erasure(_) | Self::Mosaic(_) | Self::CopyPaste(_) => sample,
        }
    }
}

impl Transform {
    /// The steps for an image of height and width `size`, all chance taken from `rng`.
    ///
    /// # Errors
    /// A cut that is larger than the image with its border.
    pub fn steps(&self, size: [usize; 2], rng: &mut ChaCha8Rng) -> Result<Vec<Step>> {
        let drawn = |operation, magnitude, interpolation, fill| Step::Operation {
            operation,
            magnitude,
            interpolation,
            fill,
        };
        Ok(match *self {
            Self::Lighting { .. } | Self::ColorJitter { .. } | Self::HsvJitter { .. } => {
                self.colours(rng).into_iter().map(Step::Colour).collect()
            }
            Self::Letterbox { fill, .. } | Self::Mosaic { fill, .. } => {
                let framing = self.framing(size).map(Framing::from);
                framing
                    .map(|framing| Step::Framing(framing, self.interpolation(), fill))
                    .into_iter()
                    .collect()
            }
            Self::RandomScaleCrop { fill, .. } => {
                let framing = self.scaled_crop(size, rng);
                framing
                    .map(|framing| Step::Framing(framing, self.interpolation(), fill))
                    .into_iter()
                    .collect()
            }
            Self::CopyPaste { .. } => Vec::new(),
            Self::RandomPerspective { fill, .. } => {
                self.projective(size, rng).map(|map| Step::Projective(map, fill)).into_iter().collect()
            }
            Self::VerticalFlip { probability } => {
                let flips = rng.random_bool(probability);
                flips.then_some(Step::UpsideDown(UpsideDown { size })).into_iter().collect()
            }
            Self::AutoAugment { policy, interpolation, fill } => {
                let pair = policy.draw(size, rng);
                pair.into_iter().map(|(name, level)| drawn(name, level, interpolation, fill)).collect()
            }
            Self::RandAugment { operations, magnitude, bins, interpolation, fill } => (0..operations)
                .map(|_| {
                    let name = any_but_invert(rng);
                    let strength = Space::Plain.magnitude(name, magnitude, bins, size);
                    drawn(name, signed(name, strength, rng), interpolation, fill)
                })
                .collect(),
            Self::TrivialAugment { bins, interpolation, fill } => {
                let name = any_but_invert(rng);
                let level = if name.is_graded() { rng.random_range(0..bins) } else { 0 };
                let strength = Space::Wide.magnitude(name, level, bins, size);
                vec![drawn(name, signed(name, strength, rng), interpolation, fill)]
            }
            Self::RandomErasing { probability, scale, ratio, fill } => {
                let part = rng.random_bool(probability).then(|| erasure::part(size, scale, ratio, rng));
                let erased = |region| Step::Erasure(Erasure::new(region, fill, rng));
                part.flatten().map(erased).into_iter().collect()
            }
            Self::Cutout { size: side, count } => {
                let mut hole = || Step::Erasure(Erasure::around_any_place(size, side, rng));
                (0..count).map(|_| hole()).collect()
            }
            _ => vec![Step::Warp(self.resolve(size, rng)?, self.interpolation())],
        })
    }
}

fn any_but_invert(rng: &mut ChaCha8Rng) -> Operation {
    Operation::ALL[rng.random_range(0..Operation::ALL.len() - 1)]
}

fn signed(operation: Operation, magnitude: f64, rng: &mut ChaCha8Rng) -> f64 {
    if operation.is_signed() && rng.random_bool(0.5) { -magnitude } else { magnitude }
}

/// A few words; nothing where nothing changes.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Warp(Warp { region, output, mirrored }, _) => {
                let [height, width] = *output;
                if [region.height, region.width] != *output {
                    write!(f, "{}x{} to {width}x{height}", region.width, region.height)?;
                } else if region.top != 0 || region.left != 0 {
                    write!(f, "from {}, {}", region.left, region.top)?;
                } else if *mirrored {
                    write!(f, "mirrored")?;
                }
                Ok(())
            }
            Self::Framing(Framing { input, scaled, output, .. }, ..) => {
                write!(f, "{}x{} to {}x{}", input[1], input[0], scaled[1], scaled[0])?;
                if scaled != output { write!(f, " in {}x{}", output[1], output[0]) } else { Ok(()) }
            }
            Self::Mosaic(Mosaic { centre, .. }) => write!(f, "mosaic around {}, {}", centre[1], centre[0]),
            Self::CopyPaste(CopyPaste { framing, mirrored, .. }) => {
                let turned = if *mirrored { ", mirrored" } else { "" };
                write!(f, "pasted at {:.2}{turned}", framing.scale[1])
            }
            Self::Projective(projective, _) => write!(f, "scale {:.2}", projective.scale()),
            Self::UpsideDown(_) => write!(f, "upside down"),
            Self::Colour(colour) => write!(f, "{colour}"),
            Self::Operation { operation, magnitude, .. } => match operation {
                Operation::Posterize => write!(f, "posterize {magnitude:.0} bits"),
                Operation::Solarize => write!(f, "solarize {magnitude:.0}"),
                Operation::TranslateX | Operation::TranslateY => {
                    write!(f, "{operation} {:+}", *magnitude as i64)
                }
                // Nothing is 0, not -0.
                Operation::Rotate => write!(f, "rotate {:+.0}", magnitude + 0.0),
                _ if operation.is_graded() => write!(f, "{operation} {:+.2}", magnitude + 0.0),
                _ => write!(f, "{operation}"),
            },
            Self::Erasure(Erasure { region, .. }) => {
                write!(f, "erased {}x{}", region.width, region.height)
            }
        }
    }
}
