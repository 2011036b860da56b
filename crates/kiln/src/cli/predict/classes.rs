//! What a classifier says of images.

use std::path::Path;

use kiln_core::{Error, Result};
use kiln_data::captioned;
use kiln_zoo::{Entry, Output as Said, Preprocessing};
use serde_json::{Value, json};

use super::{Answer, Args, Drawings, Speaker};
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
        let given = [("--classes", !args.classes.is_empty()), ("--results", args.results.is_some())];
        if let Some((option, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
            let message = format!("`{option}` is for detectors, and {} is a classifier", entry.name);
            return Err(Error::input(message));
        }
        Ok(Self { top: args.top.unwrap_or(5).into(), names: preprocessing.classes.clone() })
    }
}

impl Speaker for Namer {
    fn say(
        &mut self,
        said: Said,
        files: &[(usize, &Path)],
        drawings: &mut Option<Drawings>,
    ) -> Result<Vec<Answer>> {
        let Said::Logits(logits) = said else { return Ok(Vec::new()) };
        let ranked = most_probable(logits.main, self.top);
        let answer = |((_, file), guesses): (&(usize, &Path), Vec<kiln_core::ClassProbability>)| {
            let named: Vec<(String, f32)> =
                guesses.iter().map(|g| (class_name(&self.names, g.class), g.probability)).collect();
            let draw = |drawings: &mut Drawings| drawings.add(file, |image| captioned(image, &named));
            let drawing = drawings.as_mut().map(draw).transpose()?;
            let classes: Vec<Value> = (guesses.iter().zip(&named))
                .map(|(guess, (name, probability))| json!({"name": name, "class": guess.class, "probability": probability}))
                .collect();
            let object = json!({"file": file, "classes": classes, "drawing": drawing});
            Ok(Answer { lines: lines(file, &named), object })
        };
        files.iter().zip(ranked).map(answer).collect()
    }
}

fn lines(file: &Path, named: &[(String, f32)]) -> String {
    let line = |(name, probability): &(String, f32)| format!("\n  {:5.1} %  {name}", probability * 100.0);
    format!("{}{}", file.display(), named.iter().map(line).collect::<String>())
}
