//! The options by which a command is told which boxes of a detector it shows.

use kiln_core::{Error, Result};
use kiln_tasks::{Selection, Suppression};
use kiln_zoo::{Entry, Kind};

/// Which boxes of a detector count.
#[derive(clap::Args)]
pub struct ShownArgs {
    /// Detectors: the least score of a box
    #[arg(long, value_name = "SHARE", value_parser = share)]
    score: Option<f64>,
    /// Detectors: drop boxes that overlap a better one of their class by a larger IoU
    #[arg(long, value_name = "SHARE", value_parser = share)]
    iou: Option<f64>,
    /// Detectors: boxes an image at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max: Option<u32>,
}

impl ShownArgs {
    /// What is shown where `usual` is, unless the options say otherwise.
    pub fn selection(&self, usual: Selection) -> Selection {
        Selection {
            least: self.score.map_or(usual.least, |least| least as f32),
            suppression: self.iou.map_or(usual.suppression, |threshold| Suppression::Greedy { threshold }),
            most: self.max.map_or(usual.most, |most| most as usize),
            ..usual
        }
    }

    /// Makes sure that nothing was asked for which only detectors have.
    ///
    /// # Errors
    /// The option that was.
    pub fn check_none(&self, entry: &Entry) -> Result<()> {
        let given =
            [("--score", self.score.is_some()), ("--iou", self.iou.is_some()), ("--max", self.max.is_some())];
        only_for(Kind::Detector, entry, &given)
    }
}

/// Makes sure that no option was given which only another kind of model has; with each, whether it was.
///
/// # Errors
/// The option that was.
pub fn only_for(kind: Kind, entry: &Entry, options: &[(&str, bool)]) -> Result<()> {
    match options.iter().find(|(_, is_given)| *is_given && entry.kind() != kind) {
        Some((option, _)) => {
            let (name, other) = (&entry.name, entry.kind());
            Err(Error::input(format!("`{option}` is for {kind}s, and {name} is a {other}")))
        }
        None => Ok(()),
    }
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a number from 0 to 1 is wanted".to_string()),
    }
}
