//! The operations that AutoAugment, RandAugment and TrivialAugment are made of, and how strong they are.

use std::fmt;

use super::{Affine, Colour, Interpolation, Motion};
use crate::Sample;

/// One operation; its magnitude is given with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Nothing.
    Identity,
    /// A shear along the rows, by the magnitude.
    ShearX,
    /// A shear along the columns, by the magnitude.
    ShearY,
    /// A shift to the right, in pixels.
    TranslateX,
    /// A shift down, in pixels.
    TranslateY,
    /// A turn against the clock, in degrees.
    Rotate,
    /// Brighter by the magnitude; darker below 0.
    Brightness,
    /// More colour, or less.
    Color,
    /// More contrast, or less.
    Contrast,
    /// Sharper, or smoother.
    Sharpness,
    /// As many bits a channel are kept.
    Posterize,
    /// Values from the magnitude upwards are inverted.
    Solarize,
    /// Each channel is stretched from black to white.
    AutoContrast,
    /// Each channel's values are spread evenly.
    Equalize,
    /// The negative.
    Invert,
}

/// How strong operations get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// AutoAugment's and RandAugment's.
    Plain,
    /// TrivialAugment's.
    Wide,
}

impl Operation {
    /// All, in torchvision's order. RandAugment and TrivialAugment draw from all but the last.
    pub const ALL: [Self; 15] = [
        Self::Identity,
        Self::ShearX,
        Self::ShearY,
        Self::TranslateX,
        Self::TranslateY,
        Self::Rotate,
        Self::Brightness,
        Self::Color,
        Self::Contrast,
        Self::Sharpness,
        Self::Posterize,
        Self::Solarize,
        Self::AutoContrast,
        Self::Equalize,
        Self::Invert,
    ];

    /// Whether the magnitude is as often taken negative.
    pub fn is_signed(self) -> bool {
        (Self::ShearX as usize..=Self::Sharpness as usize).contains(&(self as usize))
    }

    /// Whether there is a magnitude at all.
    pub fn is_graded(self) -> bool {
        self.is_signed() || matches!(self, Self::Posterize | Self::Solarize)
    }

    /// The sample after this operation. Where pixels move, truths follow.
    pub fn apply(
        self,
        magnitude: f64,
        interpolation: Interpolation,
        fill: [u8; 3],
        mut sample: Sample,
    ) -> Sample {
        let size = super::warp::size(&sample.image);
        let moved = |sample: Sample, affine: Affine| Sample {
            image: affine.image(&sample.image, interpolation, fill),
            truth: affine.truth(&sample.truth),
        };
        let factor = (1.0 + magnitude) as f32;
        let change = match self {
            Self::Identity => return sample,
            Self::ShearX => return moved(sample, Affine::shear_x(magnitude, size)),
            Self::ShearY => return moved(sample, Affine::shear_y(magnitude, size)),
            Self::TranslateX => return moved(sample, Affine::shift([magnitude as i64, 0], size)),
            Self::TranslateY => return moved(sample, Affine::shift([0, magnitude as i64], size)),
            Self::Rotate => return moved(sample, Affine::turn(magnitude, size)),
            Self::Brightness => Colour::Brightness(factor),
            Self::Color => Colour::Saturation(factor),
            Self::Contrast => Colour::Contrast(factor),
            Self::Sharpness => Colour::Sharpness(factor),
            Self::Posterize => Colour::Posterize(magnitude as u32),
            Self::Solarize => Colour::Solarize(magnitude),
            Self::AutoContrast => Colour::AutoContrast,
            Self::Equalize => Colour::Equalize,
            Self::Invert => Colour::Invert,
        };
        change.apply(&mut sample.image);
        sample
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "identity",
            Self::ShearX => "shear x",
            Self::ShearY => "shear y",
            Self::TranslateX => "translate x",
            Self::TranslateY => "translate y",
            Self::Rotate => "rotate",
            Self::Brightness => "brightness",
            Self::Color => "color",
            Self::Contrast => "contrast",
            Self::Sharpness => "sharpness",
            Self::Posterize => "posterize",
            Self::Solarize => "solarize",
            Self::AutoContrast => "autocontrast",
            Self::Equalize => "equalize",
            Self::Invert => "invert",
        })
    }
}

impl Space {
    /// The magnitude of an operation at `level` of `bins` levels, on an image of height and width `size`; 0 where it has
    /// none.
    pub fn magnitude(
        self,
        operation: Operation,
        level: usize,
        bins: usize,
        [height, width]: [usize; 2],
    ) -> f64 {
        let plain = self == Self::Plain;
        let range = |most: f32| evenly(0.0, most, level, bins);
        match operation {
            Operation::ShearX | Operation::ShearY => range(if plain { 0.3 } else { 0.99 }),
            Operation::TranslateX => range(if plain { (150.0 / 331.0 * width as f64) as f32 } else { 32.0 }),
            Operation::TranslateY => range(if plain { (150.0 / 331.0 * height as f64) as f32 } else { 32.0 }),
            Operation::Rotate => range(if plain { 30.0 } else { 135.0 }),
            Operation::Brightness | Operation::Color | Operation::Contrast | Operation::Sharpness => {
                range(if plain { 0.9 } else { 0.99 })
            }
            Operation::Posterize => {
                let lost = if plain { 4.0 } else { 6.0 };
                let step = ((bins - 1) as f64 / lost) as f32;
                8.0 - f64::from((level as f32 / step).round_ties_even())
            }
            Operation::Solarize => evenly(255.0, 0.0, level, bins),
            Operation::Identity | Operation::AutoContrast | Operation::Equalize | Operation::Invert => 0.0,
        }
    }
}

/// Number `index` of `count` evenly spaced ones, in f32, from the nearer end and rounded once, as `torch.linspace` has them:
/// half of a shift by 32 is 15.999999 so, and moves by 15 pixels.
fn evenly(first: f32, last: f32, index: usize, count: usize) -> f64 {
    let step = (last - first) / (count - 1) as f32;
    let value = match index < count / 2 {
        true => step.mul_add(index as f32, first),
        false => step.mul_add(-((count - 1 - index) as f32), last),
    };
    f64::from(value)
}
