//! What a classifier says of images.

use kiln_core::Result;
use kiln_data::captioned;
use kiln_zoo::{Entry, Kind, Output as Said, Preprocessing};
use serde_json::json;

use super::{Args, Speaker, Spoken};
use crate::cli::shown::only_for;
use crate::evaluation::most_probable;
use crate::experiment::class_name;

/// Names the most probable classes.
pub struct Namer {
    top: usize,
    names: Vec<String>,
}

impl Namer {
    /// As the options say.
    ///
    /// # Errors
    /// An option that only detectors have.
    pub fn new(args: &Args, entry: &Entry, preprocessing: &Preprocessing) -> Result<Self> {
        args.shown.check_none(entry)?;
        only_for(Kind::Detector, entry, &args.of_detectors())?;
        Ok(Self { top: args.top.unwrap_or(5).into(), names: preprocessing.classes.clone() })
    }
}

impl Speaker for Namer {
    fn say(&mut self, said: Said, _: &[usize]) -> Vec<Spoken<'_>> {
        let Said::Logits(logits) = said else { return Vec::new() };
        let spoken = |guesses: Vec<kiln_core::ClassProbability>| {
            let named: Vec<(String, f32)> =
                guesses.iter().map(|g| (class_name(&self.names, g.class), g.probability)).collect();
            let line = |(name, probability): &(String, f32)| format!("{:5.1} %  {name}", probability * 100.0);
            let classes = (guesses.iter().zip(&named))
                .map(|(guess, (name, probability))| json!({"name": name, "class": guess.class, "probability": probability}))
                .collect();
            Spoken {
                lines: named.iter().map(line).collect(),
                things: ("classes", classes),
                draw: Box::new(move |image| captioned(image, &named)),
            }
        };
        most_probable(logits.main, self.top).into_iter().map(spoken).collect()
    }
}
