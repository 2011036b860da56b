//! The options by which a command is told how a segmenter is asked.

use kiln_core::{Error, Result};
use kiln_tasks::DenseCrf;
use kiln_zoo::{Entry, Kind};

use super::shown::only_for;
use crate::labelling::{Labelling, Windows};

/// How images are shown to a segmenter, and what becomes of its labels.
#[derive(clap::Args)]
pub struct LabellingArgs {
    /// Segmenters: show every image mirrored too, and average
    #[arg(long)]
    flip: bool,
    /// Segmenters: show every image at these multiples of its size, as 0.75,1,1.25, and average
    #[arg(long, value_name = "FACTOR,…", value_delimiter = ',', value_parser = factor)]
    scales: Vec<f64>,
    /// Segmenters: show every image in square windows of so many pixels a side
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    window: Option<u16>,
    /// Pixels from one window to the next; two thirds of its side if left out
    #[arg(long, value_name = "N", requires = "window", value_parser = clap::value_parser!(u16).range(1..))]
    stride: Option<u16>,
    /// Segmenters: move labels to the image's edges by a dense random field, whose appearance kernel has this weight, reach in pixels
    /// and range of colours
    #[arg(long, value_name = "W,PIXELS,LEVELS", num_args = 0..=1, default_missing_value = "5,50,3", require_equals = true, value_parser = field)]
    crf: Option<DenseCrf>,
}

impl LabellingArgs {
    /// What was asked for.
    ///
    /// # Errors
    /// Something was, and the model is none that labels pixels; windows that leave pixels out.
    pub fn labelling(&self, entry: &Entry) -> Result<Labelling> {
        let given = [
            ("--flip", self.flip),
            ("--scales", !self.scales.is_empty()),
            ("--window", self.window.is_some()),
            ("--crf", self.crf.is_some()),
        ];
        only_for(Kind::Segmenter, entry, &given)?;
        let windows = self.window.map(|side| {
            let stride = self.stride.unwrap_or((side * 2).div_ceil(3));
            Windows { side: side.into(), stride: stride.into() }
        });
        if let Some(Windows { side, stride }) = windows.filter(|windows| windows.stride > windows.side) {
            let message = format!("`--stride` {stride} leaves pixels between windows of {side}");
            return Err(Error::input(message).hint("at most the side of a window"));
        }
        Ok(Labelling { flip: self.flip, scales: self.scales.clone(), windows, field: self.crf })
    }
}

/// A factor of a size.
fn factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.1..=10.0).contains(&factor) => Ok(factor),
        _ => Err("a factor from 0.1 to 10 is wanted".to_string()),
    }
}

/// `5,50,3`
fn field(text: &str) -> Result<DenseCrf, String> {
    let numbers: Result<Vec<f32>, _> = text.split(',').map(|number| number.trim().parse()).collect();
    match numbers.as_deref() {
        Ok([appearance, reach, colour])
            if *appearance >= 0.0
                && *reach > 0.0
                && *colour > 0.0
                && (appearance + reach + colour).is_finite() =>
        {
            Ok(DenseCrf { appearance: *appearance, reach: *reach, colour: *colour, ..DenseCrf::default() })
        }
        _ => Err("a weight, pixels and grey levels are wanted, as in 5,50,3".to_string()),
    }
}
