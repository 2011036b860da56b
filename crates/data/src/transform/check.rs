//! Whether the numbers of a transform make sense.

use kiln_core::{Error, Result};

use super::{MOST, Transform};

/// No image is worked on more often.
const MOST_OPERATIONS: usize = 100;

/// More strengths of an operation could not be told from another.
const MOST_BINS: usize = 1000;

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
        | Self::RandomScaleCrop { size, .. }
        | Self::PadAndCrop { size, .. }
        | Self::Letterbox { size, .. }
        | Self::RandomPerspective { size: Some(size), .. } = self
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
            Self::RandomScaleCrop { scale: [low, high], .. }
                if !(0.01 <= *low && low <= high && *high <= 10.0) =>
            {
                wrong(format!("`scale` is [{low}, {high}]"), "factors from 0.01 to 10, as in [0.5, 2.0]")
            }
            Self::RandomResizedCrop { ratio: [low, high], .. }
                if !(0.0 < *low && low <= high && high.is_finite()) =>
            {
                wrong(format!("`ratio` is [{low}, {high}]"), "width over height, as in [0.75, 1.3333]")
            }
            Self::HorizontalFlip { probability }
            | Self::VerticalFlip { probability }
            | Self::Mosaic { probability, .. }
            | Self::CopyPaste { probability, .. }
            | Self::RandomErasing { probability, .. }
                if !(0.0..=1.0).contains(probability) =>
            {
                wrong(format!("`probability` is {probability}"), "a number from 0 to 1")
            }
            Self::RandomErasing { scale: [low, high], .. }
                if !(0.0 <= *low && low <= high && *high <= 1.0) =>
            {
                wrong(format!("`scale` is [{low}, {high}]"), "parts of the area, as in [0.02, 0.33]")
            }
            Self::RandomErasing { ratio: [low, high], .. }
                if !(0.0 < *low && low <= high && high.is_finite()) =>
            {
                wrong(format!("`ratio` is [{low}, {high}]"), "height over width, as in [0.3, 3.3]")
            }
            Self::CopyPaste { scale: [low, high], .. } if !(0.0 < *low && low <= high && *high <= 10.0) => {
                wrong(format!("`scale` is [{low}, {high}]"), "factors up to 10, as in [0.8, 1.25]")
            }
            Self::CopyPaste { least_visible, .. } => in_ranges(&[("least_visible", least_visible, 1.0)]),
            Self::Mosaic { size, .. } if !(2..=MOST / 2).contains(size) => {
                wrong(format!("`size` is {size}"), "a side from 2 to 8192 pixels, as 640")
            }
            Self::Cutout { size, .. } if !(1..=MOST).contains(size) => {
                wrong(format!("`size` is {size}"), "a side from 1 to 16384 pixels")
            }
            Self::Cutout { count, .. } if !(1..=MOST_OPERATIONS).contains(count) => {
                wrong(format!("`count` is {count}"), "1 to 100")
            }
            Self::RandAugment { operations, .. } if !(1..=MOST_OPERATIONS).contains(operations) => {
                wrong(format!("`operations` is {operations}"), "1 to 100, as 2")
            }
            Self::RandAugment { bins, .. } | Self::TrivialAugment { bins, .. }
                if !(2..=MOST_BINS).contains(bins) =>
            {
                wrong(format!("`bins` is {bins}"), "2 to 1000, as 31")
            }
            Self::RandAugment { magnitude, bins, .. } if magnitude >= bins => {
                wrong(format!("`magnitude` is {magnitude}, of {bins} `bins`"), "0 to one less than `bins`")
            }
            Self::Lighting { std } if !(std.is_finite() && *std >= 0.0) => {
                wrong(format!("`std` is {std}"), "0 or more, as 0.1")
            }
            Self::RandomPerspective { degrees, translate, scale, shear, perspective, .. } => {
                let ranges = [
                    ("degrees", degrees, 180.0),
                    ("translate", translate, 0.9),
                    ("scale", scale, 0.9),
                    ("shear", shear, 60.0),
                    ("perspective", perspective, 0.01),
                ];
                in_ranges(&ranges)
            }
            Self::HsvJitter { hue, saturation, value } => {
                in_ranges(&[("hue", hue, 1.0), ("saturation", saturation, 1.0), ("value", value, 1.0)])
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
}

/// Whether each of some numbers is from 0 to the most it may be.
fn in_ranges(ranges: &[(&str, &f64, f64)]) -> Result<()> {
    match ranges.iter().find(|(_, value, most)| !(0.0..=*most).contains(*value)) {
        Some((name, value, most)) => {
            Err(Error::input(format!("`{name}` is {value}")).hint(format!("a number from 0 to {most}")))
        }
        None => Ok(()),
    }
}
