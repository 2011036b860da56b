//! The part of a transform that moves pixels, drawn for an image of some size.

use kiln_core::{Error, Letterbox, Result};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Framing, Interpolation, Placement, Projective, Ranges, Region, Size, Transform, Warp};

impl Transform {
    /// How pixels are computed, should they be.
    pub fn interpolation(&self) -> Interpolation {
        match self {
            Self::Resize { interpolation, .. }
            | Self::RandomResize { interpolation, .. }
            | Self::RandomResizedCrop { interpolation, .. }
            | Self::RandomScaleCrop { interpolation, .. }
            | Self::Letterbox { interpolation, .. } => *interpolation,
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
            | Self::RandomScaleCrop { size, .. }
            | Self::PadAndCrop { size, .. }
            | Self::Letterbox { size, .. }
            | Self::RandomPerspective { size: Some(size), .. } => size.height_width(),
            Self::Mosaic { size, .. } => [*size; 2],
            _ => input,
        }
    }

    /// Whether every image keeps its size.
    pub fn keeps_size(&self) -> bool {
        match self {
            Self::Resize { .. }
            | Self::RandomResize { .. }
            | Self::CenterCrop { .. }
            | Self::RandomCrop { .. }
            | Self::RandomResizedCrop { .. }
            | Self::RandomScaleCrop { .. }
            | Self::PadAndCrop { .. }
            | Self::Letterbox { .. }
            | Self::Mosaic { .. }
            | Self::RandomPerspective { size: Some(_), .. } => false,
            Self::CopyPaste { .. }
            | Self::HorizontalFlip { .. }
            | Self::VerticalFlip { .. }
            | Self::RandomPerspective { size: None, .. }
            | Self::HsvJitter { .. }
            | Self::Lighting { .. }
            | Self::ColorJitter { .. }
            | Self::AutoAugment { .. }
            | Self::RandAugment { .. }
            | Self::TrivialAugment { .. }
            | Self::RandomErasing { .. }
            | Self::Cutout { .. } => true,
        }
    }

    /// Whether it works on numbers, after all others.
    pub fn erases(&self) -> bool {
        matches!(self, Self::RandomErasing { .. } | Self::Cutout { .. })
    }

    /// Where an image of height and width `input` lies in a frame, for a transform that frames it: a letterbox, or a mosaic that
    /// is none.
    pub fn framing(&self, input: [usize; 2]) -> Option<Letterbox> {
        let (frame, placement, enlarge) = match self {
            Self::Letterbox { size, placement, enlarge, .. } => (size.height_width(), *placement, *enlarge),
            Self::Mosaic { size, .. } => ([*size; 2], Placement::Centred, true),
            _ => return None,
        };
        Some(match enlarge {
            true => Letterbox::new(placement.into(), input, frame),
            false => Letterbox::not_enlarged(placement.into(), input, frame),
        })
    }

    /// Where a `random-scale-crop` puts an image of height and width `input`, all chance taken from `rng`.
    pub(super) fn scaled_crop(&self, input: [usize; 2], rng: &mut ChaCha8Rng) -> Option<Framing> {
        let Self::RandomScaleCrop { size, scale: [low, high], .. } = *self else { return None };
        let factor = rng.random_range(low..=high);
        let (scaled, output) =
            (input.map(|side| ((side as f64 * factor).round() as usize).max(1)), size.height_width());
        let offset =
            [0, 1].map(|axis| -(rng.random_range(0..=scaled[axis].saturating_sub(output[axis])) as i64));
        let scale = [0, 1].map(|axis| scaled[axis] as f64 / input[axis] as f64);
        Some(Framing { input, scaled, output, offset, scale })
    }

    /// The map of a `random-perspective` for an image of height and width `input`, all chance taken from `rng`.
    pub(super) fn projective(&self, input: [usize; 2], rng: &mut ChaCha8Rng) -> Option<Projective> {
        let Self::RandomPerspective { degrees, translate, scale, shear, perspective, .. } = *self else {
            return None;
        };
        let ranges = Ranges { degrees, translate, scale, shear, perspective };
        Some(Projective::draw(ranges, input, self.output_size(input), rng))
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
            Self::Resize { .. } | Self::RandomResize { .. } => Region::whole(input),
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
            // These move no pixel, or do so otherwise.
            _ => Region::whole(input),
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
