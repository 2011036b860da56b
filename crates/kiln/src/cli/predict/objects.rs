//! What a detector finds in images.

use std::path::PathBuf;
use std::sync::Arc;

use kiln_core::{Detection, Error, Result, nearest};
use kiln_data::{Pipeline, boxed};
use kiln_tasks::{Selection, Suppression};
use kiln_zoo::{Entry, Kind, Output as Said, Preprocessing};
use serde_json::json;

use super::photographs::Photographs;
use super::{Args, Speaker, Spoken};
use crate::cli::output::write;
use crate::cli::shown::only_for;
use crate::coco;
use crate::experiment::class_name;

/// What people are shown: YOLOv5's usual choice.
const USUAL: Selection = Selection {
    least: 0.25,
    suppression: Suppression::Greedy { threshold: 0.45 },
    most: 300,
    several: false,
};

/// Finds objects.
pub struct Finder {
    selection: Selection,
    /// Only these; all if there are none.
    classes: Vec<usize>,
    names: Vec<String>,
    pipeline: Pipeline,
    photographs: Arc<Photographs>,
    /// Where all is written, and all.
    results: Option<PathBuf>,
    found: Vec<(usize, Vec<Detection>)>,
}

impl Finder {
    /// As the options say.
    ///
    /// # Errors
    /// An option that only classifiers have; a class that is not known.
    pub fn new(
        args: &Args,
        entry: &Entry,
        preprocessing: &Preprocessing,
        pipeline: &Pipeline,
        photographs: Arc<Photographs>,
    ) -> Result<Self> {
        only_for(Kind::Classifier, entry, &args.of_classifiers())?;
        let names = preprocessing.classes.clone();
        let classes = args.classes.iter().map(|class| known(class, &names)).collect::<Result<_>>()?;
        Ok(Self {
            selection: args.shown.selection(USUAL),
            classes,
            names,
            pipeline: pipeline.clone(),
            photographs,
            results: args.results.clone(),
            found: Vec::new(),
        })
    }
}

/// A class by its name or its number.
fn known(class: &str, names: &[String]) -> Result<usize> {
    let by_name = names.iter().position(|name| name == class);
    let by_number = || class.parse().ok().filter(|number| names.is_empty() || *number < names.len());
    by_name.or_else(by_number).ok_or_else(|| {
        let error = Error::input(format!("the model knows no class `{class}`")).place("--classes");
        match nearest(class, names.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("classes are named as the predictions are, or numbered from 0"),
        }
    })
}

impl Speaker for Finder {
    fn say(&mut self, said: Said, indices: &[usize]) -> Vec<Spoken<'_>> {
        let Said::Predictions(predictions) = said else { return Vec::new() };
        let mut all = Vec::with_capacity(indices.len());
        for (index, mut detections) in indices.iter().zip(self.selection.of(&predictions)) {
            detections.retain(|one| self.classes.is_empty() || self.classes.contains(&one.class));
            let size = self.photographs.size(*index).unwrap_or([1, 1]);
            if let Some(frame) = self.pipeline.frame(size) {
                for one in &mut detections {
                    one.bounding_box = frame.out_of_frame(&one.bounding_box);
                }
            }
            all.push(spoken(&detections, &self.names));
            if self.results.is_some() {
                self.found.push((*index, detections));
            }
        }
        all
    }

    fn end(&mut self) -> Result<()> {
        let Some(file) = &self.results else { return Ok(()) };
        let name = |index: usize| self.photographs.files()[index].display().to_string();
        let images = self.found.iter().map(|(index, found)| (name(*index), *index, &found[..]));
        write(file, coco::results(images, &self.names))
    }
}

/// What is said of an image in which this was found.
fn spoken(detections: &[Detection], names: &[String]) -> Spoken<'static> {
    let name = |one: &Detection| class_name(names, one.class);
    let line = |one: &Detection| {
        let [x1, y1, x2, y2] = one.bounding_box.xyxy();
        format!("{:5.1} %  {}  {x1:.0} {y1:.0} {x2:.0} {y2:.0}", one.score * 100.0, name(one))
    };
    let object = |one: &Detection| json!({"name": name(one), "class": one.class, "score": one.score, "box": one.bounding_box.xyxy()});
    let label = |one: &Detection| format!("{} {:.0} %", name(one), one.score * 100.0);
    let boxes: Vec<_> = detections.iter().map(|one| (label(one), one.class, one.bounding_box)).collect();
    Spoken {
        lines: match detections.is_empty() {
            true => vec!["nothing".to_string()],
            false => detections.iter().map(line).collect(),
        },
        things: ("objects", detections.iter().map(object).collect()),
        draw: Box::new(move |image| boxed(image, &boxes)),
    }
}
