//! A model that a command is about, however it is named.

use std::path::{Path, PathBuf};

use burn::prelude::*;
use kiln_core::Result;
use kiln_data::Roots;
use kiln_graph::Graph;
use kiln_zoo::{Entry, Fit, Model, Preprocessing, StateDict};

use super::network::filled;
use crate::experiment::{Prepared, Source, takes};
use crate::recorded;
use crate::run::RunFolder;

/// A model, the images that it is made for, and its weights, if there are any.
pub struct Subject {
    /// Its row in the registry.
    pub entry: Entry,
    /// Classes it tells apart.
    pub classes: usize,
    /// Height and width of the images.
    pub sides: [usize; 2],
    weights: Option<(StateDict, PathBuf)>,
}

impl Subject {
    /// What a name of the registry, a cfg, an experiment file or a run's folder stands for; a run has its best weights.
    ///
    /// # Errors
    /// It stands for nothing; a weight file that cannot be read.
    pub fn of(named: &str, weights: Option<&Path>, roots: &Roots) -> Result<Self> {
        let path = Path::new(named);
        let (mut subject, weights) = if path.is_dir() {
            let run = RunFolder::open(path)?;
            let best = Some(run.file("best.safetensors")).filter(|best| best.exists());
            let source = Source::read(&run.file("resolved.json"))?;
            (Self::of_experiment(Prepared::new(&source, roots)?), weights.map(Path::to_path_buf).or(best))
        } else if path.extension().is_some_and(|extension| extension == "toml" || extension == "json") {
            (Self::of_experiment(Prepared::new(&Source::read(path)?, roots)?), weights.map(Path::to_path_buf))
        } else {
            let entry = kiln_zoo::find_or_read(named)?;
            let [_, _, height, width] = entry.input();
            let subject = Self { classes: entry.num_classes(), sides: [height, width], entry, weights: None };
            (subject, weights.map(Path::to_path_buf))
        };
        if let Some(file) = weights {
            let dict = StateDict::read(&file)?;
            subject.classes = dict.classes(&subject.entry).unwrap_or(subject.classes);
            subject.weights = Some((dict, file));
            let preprocessing = subject.preprocessing();
            if preprocessing.fit != Fit::Whole {
                subject.sides = [preprocessing.size; 2];
            }
        }
        Ok(subject)
    }

    fn of_experiment(prepared: Prepared) -> Self {
        let [_, _, height, width] = prepared.entry.input();
        let (_, pipeline) = &prepared.test;
        let sides = pipeline.fixed_output_size().unwrap_or([height, width]);
        Self { classes: prepared.classes.len(), sides, entry: prepared.entry, weights: None }
    }

    /// How images are prepared for it.
    pub fn preprocessing(&self) -> Preprocessing {
        match &self.weights {
            Some((dict, file)) => self.entry.preprocessing(dict, file),
            None => self.entry.preprocessing(&StateDict::default(), Path::new("")),
        }
    }

    /// The graph of the model, as no weight changes it.
    ///
    /// # Errors
    /// It takes no such images.
    pub fn graph(&self, batch: usize) -> Result<Graph> {
        takes(&self.entry, self.classes, self.sides, false)?;
        let [height, width] = self.sides;
        recorded::fresh(&self.entry, self.classes, [batch, 3, height, width], false)
    }

    /// The model with its weights; if it has none, fresh ones, and standard error says so.
    ///
    /// # Errors
    /// Weights that do not fit; images that it does not take.
    pub fn network(&self, device: &Device) -> Result<Model> {
        takes(&self.entry, self.classes, self.sides, false)?;
        match &self.weights {
            Some((dict, file)) => filled(&self.entry, dict.clone(), self.classes, file, device),
            None => {
                eprintln!("note: the weights of {} are fresh; give `--weights`", self.entry.name);
                Ok(self.entry.model(self.classes, device))
            }
        }
    }
}
