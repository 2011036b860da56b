//! `histograms.jsonl`: every so many steps, how the numbers of weights, gradients and activations are distributed; and the same for
//! TensorBoard.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use burn::module::{Module, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use kiln_core::{Error, Result};
use kiln_nn::Tap;
use kiln_train::{Event, Histogram, Observer, Parameter, TensorBoard, parameters};
use serde::{Deserialize, Serialize};

use crate::report::{Layer, Spread};

/// What numbers are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Of {
    /// A parameter, before the step.
    Weights,
    /// What the optimizer is given for a parameter.
    Gradients,
    /// What a layer gives in the step's forward pass, for the first of its batches.
    Activations,
}

/// A line of `histograms.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which step of the run.
    pub step: usize,
    /// What the numbers are of.
    pub of: Of,
    /// A parameter's path (`layer1.0.conv1.weight`) or, for activations, a layer's (`layer1.0.conv1`).
    pub name: String,
    /// How they are distributed.
    #[serde(flatten)]
    pub histogram: Histogram,
}

/// Watches a run for TensorBoard, and looks into it at the first step and every so many, if it is told to.
///
/// A run that goes on drops the lines of steps that it will take again.
pub struct Histograms {
    path: PathBuf,
    every: Option<NonZeroUsize>,
    board: TensorBoard,
    file: Option<BufWriter<File>>,
    /// Steps taken.
    done: usize,
    /// Open while a step is taken that is looked into.
    tap: Option<Tap>,
    activations: Rc<RefCell<HashMap<ParamId, Histogram>>>,
}

impl Histograms {
    /// Of the run whose `histograms.jsonl` is at `path`.
    pub fn new(path: PathBuf, every: Option<NonZeroUsize>, board: TensorBoard) -> Self {
        Self { path, every, board, file: None, done: 0, tap: None, activations: Rc::default() }
    }

    /// The rows of a `histograms.jsonl`; none if there is no such file.
    ///
    /// # Errors
    /// A file that cannot be read or holds something else.
    pub fn read(path: &Path) -> Result<Vec<Row>> {
        Ok(Self::lines(path)?.into_iter().map(|(_, row)| row).collect())
    }

    /// The rows as they stand in the file, and what they say.
    fn lines(path: &Path) -> Result<Vec<(String, Row)>> {
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text = std::fs::read_to_string(path).map_err(|why| Error::unreadable(path, &why))?;
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        let row = |(number, line): (usize, &str)| match serde_json::from_str(line) {
            Ok(row) => Ok((line.to_string(), row)),
            Err(why) => {
                let error = Error::input(format!("is no histogram: {why}")).file(path);
                Err(error.place(format!("line {}", number + 1)))
            }
        };
        complete.lines().enumerate().map(row).collect()
    }

    /// The same, for the report: a layer's weight with its activations, its other parameters after it.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn layers(path: &Path) -> Result<Vec<Layer>> {
        let rows = Self::read(path)?;
        let mut layers: Vec<Layer> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for Row { of, name, .. } in &rows {
            if *of == Of::Weights && !places.contains_key(name.as_str()) {
                let first = layer_of(layers.last().map_or("", |layer| &layer.parameter)) != layer_of(name);
                places.insert(name, layers.len());
                places.entry(layer_of(name)).or_insert(layers.len());
                layers.push(Layer { parameter: name.clone(), first, ..Layer::default() });
            }
        }
        for Row { step, of, name, histogram } in &rows {
            let Some(layer) = places.get(name.as_str()).map(|place| &mut layers[*place]) else { continue };
            let Histogram { count, zeros, nan, infinite, quantiles, .. } = histogram;
            let spreads = match of {
                Of::Weights => &mut layer.weights,
                Of::Gradients => &mut layer.gradients,
                Of::Activations => &mut layer.activations,
            };
            spreads.push(Spread {
                step: *step,
                quantiles: *quantiles,
                zeros: *zeros as f64 / (*count).max(1) as f64,
                broken: nan + infinite > 0,
            });
        }
        Ok(layers)
    }

    /// The rows up to step `done`, written beside and renamed: until then the old file is whole.
    fn begin(&mut self, done: usize) -> std::io::Result<BufWriter<File>> {
        let kept =
            if done == 0 { Vec::new() } else { Self::lines(&self.path).map_err(std::io::Error::other)? };
        let beside = self.path.with_extension("jsonl.part");
        let mut file = BufWriter::new(File::create(&beside)?);
        // As they stand: a number that is read and written again may be another in its last digit.
        for (line, _) in kept.iter().filter(|(_, row)| row.step <= done) {
            writeln!(file, "{line}")?;
        }
        synced(&mut file)?;
        std::fs::rename(beside, &self.path)?;
        Ok(file)
    }

    /// Listens to the layers of the step after those that are done, if it is one that is looked into.
    fn listen(&mut self) {
        self.tap = None;
        let next = self.done + 1;
        if self.every.is_some_and(|every| next == 1 || next.is_multiple_of(every.get())) {
            self.activations.borrow_mut().clear();
            let activations = Rc::clone(&self.activations);
            // A step of several passes shows a layer more than once: the first pass counts.
            self.tap = Some(Tap::open(move |id, x| {
                activations.borrow_mut().entry(id).or_insert_with(|| histogram(x));
            }));
        }
    }

    /// Writes down a step that was listened to.
    fn look<N: Module>(&mut self, step: usize, network: &N, gradients: &GradientsParams) -> Result<()> {
        let (mut weights, mut learned, mut given) = (Vec::new(), Vec::new(), Vec::new());
        let row = |of, name: &str, histogram| Row { step, of, name: name.to_string(), histogram };
        let mut activations = self.activations.borrow_mut();
        parameters(network, gradients, |Parameter { path, id, value, gradient }| {
            weights.push(row(Of::Weights, path, histogram(value)));
            learned.extend(gradient.map(|gradient| row(Of::Gradients, path, histogram(gradient))));
            given.extend(activations.remove(&id).map(|x| row(Of::Activations, layer_of(path), x)));
        });
        drop(activations);
        let rows: Vec<Row> = weights.into_iter().chain(learned).chain(given).collect();
        if let Some(file) = &mut self.file {
            let written = rows.iter().try_for_each(|row| line(file, row)).and_then(|()| file.flush());
            written.map_err(|why| Error::unwritable(&self.path, &why))?;
        }
        let tag = |row: &Row| match row.of {
            Of::Weights => format!("weights/{}", row.name),
            Of::Gradients => format!("gradients/{}", row.name),
            Of::Activations => format!("activations/{}", row.name),
        };
        self.board.histograms(step, rows.iter().map(|row| (tag(row), &row.histogram)))
    }
}

/// The path of the layer that a parameter is in.
pub(crate) fn layer_of(parameter: &str) -> &str {
    parameter.rsplit_once('.').map_or(parameter, |(layer, _)| layer)
}

fn histogram(values: Tensor<1>) -> Histogram {
    // The tensor is of this very type.
    Histogram::of(&values.into_data().iter::<f32>().collect::<Vec<_>>())
}

fn line(file: &mut BufWriter<File>, row: &Row) -> std::io::Result<()> {
    serde_json::to_writer(&mut *file, row)?;
    file.write_all(b"\n")
}

fn synced(file: &mut BufWriter<File>) -> std::io::Result<()> {
    file.flush()?;
    file.get_ref().sync_data()
}

impl<N: Module> Observer<N> for Histograms {
    fn notify(&mut self, event: &Event<N>) -> Result<()> {
        self.board.notify(event)?;
        let written = match event {
            Event::RunStarted { resumed, .. } => {
                self.done = resumed.map_or(0, |place| place.global_step);
                match self.every {
                    Some(_) => self.begin(self.done).map(|file| self.file = Some(file)),
                    None => Ok(()),
                }
            }
            Event::EpochStarted { .. } => {
                self.listen();
                Ok(())
            }
            Event::Learned { global_step, network, gradients } if self.tap.take().is_some() => {
                return self.look(*global_step, *network, gradients);
            }
            Event::Step { step, steps, global_step, .. } => {
                self.done = *global_step;
                // After the last step of an epoch the network is tried, which is nothing to listen to.
                if step < steps {
                    self.listen();
                }
                Ok(())
            }
            // A run that goes on from the checkpoint must find its steps.
            Event::Checkpointing { .. } => self.file.as_mut().map_or(Ok(()), synced),
            _ => Ok(()),
        };
        written.map_err(|why| Error::unwritable(&self.path, &why))
    }
}
