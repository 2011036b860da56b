//! Transforms: what a configuration names, drawn at random into plain geometric steps ([`Warp`]), which images and truths
//! follow alike, and changes of colour ([`Colour`]). They do what torchvision's of the same names do to a PIL image, so
//! that published recipes mean the same.

mod colour;
mod pipeline;
mod resample;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod truth_tests;
mod warp;

use kiln_core::{Error, Result};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use colour::Colour;
pub use pipeline::Pipeline;
pub use warp::{Region, Warp};

/// One step from an image as it is read to an image as a network wants it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Transform {
    /// Scales the image.
    Resize {
        /// One number is the shorter side, the aspect is kept; two are height and width.
        size: Size,
        /// How pixels are computed.
        #[serde(default)]
        interpolation: Interpolation,
    },
    /// Scales the image to a random size and keeps its aspect: the "scale jittering" of VGG (Simonyan and Zisserman 2014,
    /// Section 3.1), the "scale augmentation" of ResNet (He et al. 2015, Section 3.4).
    RandomResize {
        /// Smallest and largest shorter side, each as likely as any between.
        size: [usize; 2],
        /// How pixels are computed.
        #[serde(default)]
        interpolation: Interpolation,
    },
    /// Cuts out the middle; what is missing is black.
    CenterCrop {
        /// Of the cut; one number is a square.
        size: Size,
    },
    /// Cuts out a random part, every place as likely.
    RandomCrop {
        /// Of the cut; one number is a square.
        size: Size,
    },
    /// Cuts out a random part of random aspect and scales it (Szegedy et al. 2015, "Going deeper with convolutions").
    RandomResizedCrop {
        /// Of the result; one number is a square.
        size: Size,
        /// Range of the part, in areas of the image.
        #[serde(default = "default_scale")]
        scale: [f64; 2],
        /// Range of the part's width over its height.
        #[serde(default = "default_ratio")]
        ratio: [f64; 2],
        /// How pixels are computed.
        #[serde(default)]
        interpolation: Interpolation,
    },
    /// Adds a black border and cuts out a random part: the augmentation of CIFAR (He et al. 2015, Section 4.2).
    PadAndCrop {
        /// Of the cut; one number is a square.
        size: Size,
        /// Width of the border on each side, in pixels.
        pad: usize,
    },
    /// Mirrors the image, left to right.
    HorizontalFlip {
        /// How often.
        #[serde(default = "default_probability")]
        probability: f64,
    },
    /// Adds one random colour to all pixels, along the principal components of ImageNet's colours (Krizhevsky et al. 2012,
    /// Section 4.1). The numbers of the components are those of fb.resnet.torch; the sum is rounded to grey levels.
    Lighting {
        /// Standard deviation of the share of each component; the paper's is 0.1.
        std: f64,
    },
    /// Changes brightness, contrast, saturation and hue, in random order. A factor is drawn from 1 - x to 1 + x, but never
    /// below 0; 0 leaves the image as it is.
    ColorJitter {
        /// Range of the factor between black (0) and the image (1).
        #[serde(default)]
        brightness: f64,
        /// Range of the factor between the image's mean grey (0) and the image (1).
        #[serde(default)]
        contrast: f64,
        /// Range of the factor between the image in grey (0) and the image (1).
        #[serde(default)]
        saturation: f64,
        /// Hues are turned by at most this part of the circle, either way; 0.5 is all hues.
        #[serde(default)]
        hue: f64,
    },
}

/// No side is longer, in pixels: a slip of the finger must not ask for all memory.
const MOST: usize = 16384;

fn default_scale() -> [f64; 2] {
    [0.08, 1.0]
}

fn default_ratio() -> [f64; 2] {
    [3.0 / 4.0, 4.0 / 3.0]
}

fn default_probability() -> f64 {
    0.5
}

/// A size in pixels, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number of pixels or [height, width] in pixels")]
pub enum Size {
    /// One number.
    Side(usize),
    /// Height and width.
    HeightWidth([usize; 2]),
}

impl Size {
    /// Height and width, where one number is a square.
    pub fn height_width(self) -> [usize; 2] {
        match self {
            Self::Side(side) => [side; 2],
            Self::HeightWidth(size) => size,
        }
    }
}

/// How a scaled image's pixels are computed. Bilinear and bicubic widen their filter when they shrink an image
/// ("antialias"), as PIL does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// The pixel that covers the centre.
    Nearest,
    /// A triangle filter.
    #[default]
    Bilinear,
    /// Keys' cubic with a = -0.5.
    Bicubic,
}

impl Transform {
    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// The parameter that does not, and what would.
    pub fn check(&self) -> Result<()> {
        let wrong = |message: String, hint: &str| Err(Error::input(message).hint(hint));
        if let Self::Resize { size, .. }
        | Self::CenterCrop { size }
        | Self::RandomCrop { size }
        | Self::RandomResizedCrop { size, .. }
        | Self::PadAndCrop { size, .. } = self
            && size.height_width().iter().any(|side| !(1..=MOST).contains(side))
        {
            let [height, width] = size.height_width();
            return wrong(format!("`size` is {height} x {width}"), "sides from 1 to 16384 pixels");
        }
        match self {
            Self::RandomResize { size: [low, high], .. } if !(1 <= *low && low <= high && *high <= MOST) => {
                wrong(format!("`size` is [{low}, {high}]"), "the range of the shorter side, as in [256, 480]")
            }
            Self::PadAndCrop { pad, .. } if *pad > MOST => {
                wrong(format!("`pad` is {pad}"), "at most 16384 pixels")
            }
            Self::RandomResizedCrop { scale: [low, high], .. }
                if !(0.0 < *low && low <= high && *high <= 1.0) =>
            {
                wrong(format!("`scale` is [{low}, {high}]"), "parts of the area, as in [0.08, 1.0]")
            }
            Self::RandomResizedCrop { ratio: [low, high], .. }
                if !(0.0 < *low && low <= high && high.is_finite()) =>
            {
                wrong(format!("`ratio` is [{low}, {high}]"), "width over height, as in [0.75, 1.3333]")
            }
            Self::HorizontalFlip { probability } if !(0.0..=1.0).contains(probability) => {
                wrong(format!("`probability` is {probability}"), "a number from 0 to 1")
            }
            Self::Lighting { std } if !(std.is_finite() && *std >= 0.0) => {
                wrong(format!("`std` is {std}"), "0 or more, as 0.1")
            }
            Self::ColorJitter { brightness, contrast, saturation, hue } => {
                let ranges = [("brightness", brightness), ("contrast", contrast), ("saturation", saturation)];
                match ranges.iter().find(|(_, range)| !(range.is_finite() && **range >= 0.0)) {
                    Some((name, range)) => wrong(format!("`{name}` is {range}"), "0 or more, as 0.4"),
                    None if !(0.0..=0.5).contains(hue) => {
                        wrong(format!("`hue` is {hue}"), "a part of the circle, from 0 to 0.5")
                    }
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// How pixels are computed, should they be.
    pub fn interpolation(&self) -> Interpolation {
        match self {
            Self::Resize { interpolation, .. }
            | Self::RandomResize { interpolation, .. }
            | Self::RandomResizedCrop { interpolation, .. } => *interpolation,
            _ => Interpolation::default(),
        }
    }

    /// Height and width of the result for an image of height and width `input`; the smallest where they are random.
    pub fn output_size(&self, input: [usize; 2]) -> [usize; 2] {
        match self {
            Self::Resize { size: Size::Side(side), .. } | Self::RandomResize { size: [side, _], .. } => {
                shorter_side_to(*side, input)
            }
            Self::Resize { size, .. }
            | Self::CenterCrop { size }
            | Self::RandomCrop { size }
            | Self::RandomResizedCrop { size, .. }
            | Self::PadAndCrop { size, .. } => size.height_width(),
            Self::HorizontalFlip { .. } | Self::Lighting { .. } | Self::ColorJitter { .. } => input,
        }
    }

    /// The geometric step for an image of height and width `input`, all chance taken from `rng`.
    ///
    /// # Errors
    /// A cut that is larger than the image with its border.
    pub fn resolve(&self, input: [usize; 2], rng: &mut ChaCha8Rng) -> Result<Warp> {
        let [height, width] = input;
        let output = match self {
            Self::RandomResize { size: [low, high], .. } => {
                shorter_side_to(rng.random_range(*low..=*high), input)
            }
            _ => self.output_size(input),
        };
        let region = match self {
            Self::Resize { .. }
            | Self::RandomResize { .. }
            | Self::Lighting { .. }
            | Self::ColorJitter { .. } => Region::whole(input),
            Self::CenterCrop { .. } => {
                let middle = |image: usize, cut: usize| {
                    if cut > image {
                        -((cut - image) as i64 / 2)
                    } else {
                        // Python's rounding, which torchvision uses: halves go to the even number.
                        ((image - cut) as f64 / 2.0).round_ties_even() as i64
                    }
                };
                Region {
                    top: middle(height, output[0]),
                    left: middle(width, output[1]),
                    height: output[0],
                    width: output[1],
                }
            }
            Self::RandomResizedCrop { scale, ratio, .. } => random_part(input, *scale, *ratio, rng),
            Self::RandomCrop { .. } => random_place(input, output, 0, rng)?,
            Self::PadAndCrop { pad, .. } => random_place(input, output, *pad, rng)?,
            Self::HorizontalFlip { probability } => {
                let mirrored = rng.random_bool(*probability);
                return Ok(Warp { region: Region::whole(input), output, mirrored });
            }
        };
        Ok(Warp { region, output, mirrored: false })
    }
}

/// torchvision's `Resize(side)`: the longer side is rounded down.
fn shorter_side_to(side: usize, [height, width]: [usize; 2]) -> [usize; 2] {
    let longer = |long: usize, short: usize| (side * long / short).max(1);
    if width <= height { [longer(height, width), side] } else { [side, longer(width, height)] }
}

/// Any place of a cut of height and width `output`, with a border of `pad` around the image.
fn random_place(
    [height, width]: [usize; 2],
    output: [usize; 2],
    pad: usize,
    rng: &mut ChaCha8Rng,
) -> Result<Region> {
    let [h, w] = output;
    if h > height + 2 * pad || w > width + 2 * pad {
        let message =
            format!("a cut of {h} x {w} from an image of {height} x {width} with a border of {pad}");
        return Err(Error::input(message).hint("`pad-and-crop` with a larger `pad`, or `resize` first"));
    }
    let mut start =
        |image: usize, cut: usize| rng.random_range(0..=image + 2 * pad - cut) as i64 - pad as i64;
    let top = start(height, h);
    Ok(Region { top, left: start(width, w), height: h, width: w })
}

/// torchvision's sampling: ten tries, then the largest part in the middle whose aspect is allowed.
fn random_part(
    [height, width]: [usize; 2],
    scale: [f64; 2],
    ratio: [f64; 2],
    rng: &mut ChaCha8Rng,
) -> Region {
    let area = (height * width) as f64;
    for _ in 0..10 {
        let part = area * rng.random_range(scale[0]..=scale[1]);
        let aspect = rng.random_range(ratio[0].ln()..=ratio[1].ln()).exp();
        let w = (part * aspect).sqrt().round_ties_even() as usize;
        let h = (part / aspect).sqrt().round_ties_even() as usize;
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let top = rng.random_range(0..=height - h) as i64;
            return Region { top, left: rng.random_range(0..=width - w) as i64, height: h, width: w };
        }
    }
    let aspect = width as f64 / height as f64;
    let rounded = |v: f64, most: usize| (v.round_ties_even() as usize).clamp(1, most);
    let [h, w] = if aspect < ratio[0] {
        [rounded(width as f64 / ratio[0], height), width]
    } else if aspect > ratio[1] {
        [height, rounded(height as f64 * ratio[1], width)]
    } else {
        [height, width]
    };
    Region { top: ((height - h) / 2) as i64, left: ((width - w) / 2) as i64, height: h, width: w }
}
