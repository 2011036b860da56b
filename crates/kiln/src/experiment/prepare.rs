//! An experiment as meant: complete, checked against its data set, ready to run.

use std::path::PathBuf;

use burn::tensor::Device;
use kiln_core::{Error, Result};
use kiln_data::{Normalization, Roots};
use kiln_tasks::{ClassificationLoss, SemanticSegmentation};
use kiln_train::{Length, OptimizerConfig, Recipe, Saving, ScheduleConfig};
use kiln_zoo::{Entry, Fit, Kind, Model, Preprocessing};
use serde::Serialize;

use super::checks::{check_numbers, check_truths, no_classifier};
use super::data::{data, preprocessing};
use super::detection::{check_frame, detection};
use super::race::Pace;
use super::segmentation::segmentation;
use crate::experiment::{
    DataPlan, DetectionPlan, Images, ModelFile, Racer, SegmentationPlan, Source, TaskName, TrainFile, takes,
};
use crate::goal::Goal;

/// Between white and black: where a data set says nothing of its own.
const MIDDLE: Normalization = Normalization { mean: [0.5; 3], std: [0.25; 3] };
/// Detectors' published weights are made for pixels from 0 to 1.
const UNIT: Normalization = Normalization { mean: [0.0; 3], std: [1.0; 3] };

/// An experiment with nothing left out. As JSON (`resolved.json`) it is an experiment file itself.
#[derive(Debug, Clone, Serialize)]
pub struct Experiment {
    /// What every random number comes from.
    pub seed: u64,
    /// What is learned.
    pub task: TaskName,
    /// What it is learned from.
    pub data: DataPlan,
    /// What learns it.
    pub model: ModelPlan,
    /// How long, and in which portions.
    pub train: TrainPlan,
    /// How gradients become steps.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes.
    pub schedule: ScheduleConfig,
    /// Which boxes of a detector are scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detection: Option<DetectionPlan>,
    /// How labels of pixels are learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segmentation: Option<SegmentationPlan>,
    /// What `kiln race` trains by instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub race: Vec<Racer>,
}

/// `[model]`, complete.
#[derive(Debug, Clone, Serialize)]
pub struct ModelPlan {
    /// A name of the registry.
    pub name: String,
    /// A weight file to begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Takes what fits of it, and leaves all else fresh.
    pub partial: bool,
    /// So many times fewer channels.
    pub narrower: usize,
    /// Computes anew what can be, rather than keep it for the gradients.
    pub save_memory: bool,
}

/// `[train]`, complete.
#[derive(Debug, Clone, Serialize)]
pub struct TrainPlan {
    /// `epochs` or `steps`.
    #[serde(flatten)]
    pub length: Length,
    /// Images a batch.
    pub batch_size: usize,
    /// The learning rate that the schedule starts from.
    pub lr: f64,
    /// Of classifiers, how they are compared with the truth.
    #[serde(flatten)]
    pub classification: Option<ClassificationPlan>,
    /// Leaves out the last batch of an epoch if it is not full.
    pub drop_last: bool,
    /// `accumulate`, `clip`, `sam`, `average`, `freeze`, `early_stop`.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// Steps between two checkpoints within an epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_steps: Option<usize>,
    /// Minutes between two checkpoints within an epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_minutes: Option<f64>,
    /// Checkpoints that are kept.
    pub keep: usize,
}

/// What only classifiers have of `[train]`, complete.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ClassificationPlan {
    /// The share of a target that is spread evenly over all classes.
    pub label_smoothing: f64,
    /// How logits are compared with targets.
    pub loss: ClassificationLoss,
}

impl TrainPlan {
    /// When checkpoints are written.
    pub fn saving(&self) -> Saving {
        let (every_steps, every_minutes) = (self.checkpoint_steps, self.checkpoint_minutes);
        Saving { every_steps, every_minutes, keep: self.keep }
    }
}

/// An experiment with all it needs at hand.
pub struct Prepared {
    /// The experiment.
    pub experiment: Experiment,
    /// Its model's row in the registry.
    pub entry: Entry,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Why its data cannot be read, if it is known but not here.
    pub absence: Option<Error>,
    /// The images learned from.
    pub train: Images,
    /// The images tried.
    pub test: Images,
}

impl Prepared {
    /// Fills in what was left out and checks what was typed against the data set.
    ///
    /// # Errors
    /// What [`Source::typed`] says; a data set, a split or a model that is not there; a value that makes no sense.
    pub fn new(source: &Source, roots: &Roots) -> Result<Self> {
        let file = source.typed()?;
        check_numbers(source, &file)?;
        let seed = file.seed.unwrap_or(0);
        let entry = entry(source, &file.model)?;
        let task = task(source, file.task, &entry)?;
        if task != TaskName::Classification {
            no_classifier(source, &file, &entry)?;
        }
        let detection = match task {
            TaskName::Detection => Some(detection(source, &file)?),
            TaskName::Classification | TaskName::Segmentation => None,
        };
        let opened = kiln_data::describe(&file.data.name, roots)
            .map_err(|error| placed(source, "data.name", &error))?;
        check_truths(source, task, &opened)?;
        let opened = match task {
            TaskName::Segmentation => {
                opened.labelled().map_err(|error| placed(source, "data.name", &error))?
            }
            TaskName::Classification | TaskName::Detection => opened,
        };
        let segmentation = match task {
            TaskName::Segmentation => Some(segmentation(source, &file, opened.classes.len())?),
            TaskName::Classification | TaskName::Detection => None,
        };
        let train = TrainPlan {
            length: length(source, &file.train)?,
            batch_size: file.train.batch_size,
            lr: file.train.lr,
            classification: (task == TaskName::Classification).then(|| ClassificationPlan {
                label_smoothing: file.train.label_smoothing.unwrap_or(0.0),
                loss: file.train.loss.unwrap_or_default(),
            }),
            drop_last: file.train.drop_last.unwrap_or(true),
            recipe: Recipe {
                accumulate: file.train.accumulate.unwrap_or(1),
                clip: file.train.clip,
                sam: file.train.sam,
                average: file.train.average,
                freeze: file.train.freeze.unwrap_or_default(),
                early_stop: file.train.early_stop,
            },
            checkpoint_steps: file.train.checkpoint_steps,
            checkpoint_minutes: file.train.checkpoint_minutes,
            keep: file.train.keep.unwrap_or(2),
        };
        let schedule = file.schedule.unwrap_or_default();

        let usual = match task {
            TaskName::Classification | TaskName::Segmentation => opened.normalization.unwrap_or(MIDDLE),
            TaskName::Detection => UNIT,
        };
        let (data, train_images, test_images) = data(source, file.data, &opened, usual, seed)?;
        if task == TaskName::Detection {
            check_frame(source, &test_images.1)?;
        }
        data.train_batches.check(train.batch_size).map_err(|error| {
            placed(source, &format!("data.train_batches.{}", error.place_named().unwrap_or_default()), &error)
        })?;
        if let Some(plan) = train.classification {
            plan.loss.check().map_err(|error| placed(source, "train.loss", &error))?;
        }
        if train.drop_last && data.train_items < train.batch_size {
            let message =
                format!("is {}, but there are {} images to learn from", train.batch_size, data.train_items);
            let error = source.reject("train.batch_size", message);
            return Err(error.hint("make it smaller, or set `drop_last = false`"));
        }
        let batches = match train.drop_last {
            true => data.train_items / train.batch_size,
            false => data.train_items.div_ceil(train.batch_size),
        };
        let steps_per_epoch = batches.div_ceil(train.recipe.accumulate.max(1));
        let steps = match train.length {
            Length::Epochs(epochs) => epochs * steps_per_epoch,
            Length::Steps(steps) => steps,
        };
        let epochs = steps.div_ceil(steps_per_epoch);
        train.recipe.check(epochs).and_then(|()| train.saving().check()).map_err(|error| {
            let key = error.place_named().unwrap_or("train").to_string();
            placed(source, &key, &error)
        })?;
        let network = entry.model(opened.classes.len(), &Device::flex());
        let parts = train.recipe.check_parts(&network, epochs);
        parts.map_err(|error| placed(source, "train.freeze", &error))?;
        let pace = Pace { batches: steps_per_epoch, steps };
        pace.check(&file.optimizer, &schedule, train.lr, &network).map_err(|error| {
            match error.place_named() {
                Some("learning_rate") | None => placed(source, "train.lr", &error),
                Some(key) => placed(source, key, &error),
            }
        })?;
        let race = file.race.unwrap_or_default();
        pace.check_race(&race, &schedule, &network).map_err(|error| placed(source, "race", &error))?;
        let experiment = Experiment {
            seed,
            task,
            data,
            model: ModelPlan {
                name: file.model.name,
                weights: file.model.weights,
                partial: file.model.partial.unwrap_or(false),
                narrower: file.model.narrower.unwrap_or(1),
                save_memory: file.model.save_memory.unwrap_or(false),
            },
            train,
            optimizer: file.optimizer,
            schedule,
            detection,
            segmentation,
            race,
        };
        let absence = opened.absence().cloned();
        let (classes, train, test) = (opened.classes, train_images, test_images);
        let prepared = Self { experiment, entry, classes, absence, train, test };
        let size = prepared.experiment.data.image_size.map(|side| [side; 2]);
        prepared.takes(size).map_err(|error| placed(source, "model.name", &error))?;
        Ok(prepared)
    }

    /// What a model of this experiment learns.
    pub fn goal(&self, model: &Model) -> Goal {
        let Experiment { train, detection, segmentation, .. } = &self.experiment;
        let mut goal = Goal::of(model, self.classes.len(), detection.unwrap_or_default().into());
        if let (Goal::Classification(task), Some(plan)) = (&mut goal, train.classification) {
            (task.label_smoothing, task.loss) = (plan.label_smoothing, plan.loss);
        }
        if let (Goal::Segmentation(task), Some(plan)) = (&mut goal, segmentation) {
            let SegmentationPlan { loss, auxiliary_weight, boundaries } = plan.clone();
            *task = SemanticSegmentation { loss, auxiliary_weight, boundaries, ..*task };
        }
        goal
    }

    /// Whether the network takes what the transforms leave of images of `[height, width]`, as far as that is known.
    ///
    /// # Errors
    /// It does not.
    pub fn takes(&self, size: Option<[usize; 2]>) -> Result<()> {
        let sides = &self.experiment.data.train_batches.sizes;
        for ((_, pipeline), trains) in [(&self.train, true), (&self.test, false)] {
            let size = size.map(|size| pipeline.output_size(size)).or(pipeline.fixed_output_size());
            let sizes = match trains && !sides.is_empty() {
                true => sides.iter().map(|side| [*side; 2]).collect(),
                false => Vec::from_iter(size),
            };
            sizes.into_iter().try_for_each(|size| takes(&self.entry, self.classes.len(), size, trains))?;
        }
        Ok(())
    }

    /// How images are prepared for the network that this experiment trains.
    pub fn preprocessing(&self, image_size: [usize; 2]) -> Preprocessing {
        let usual = match self.experiment.task {
            TaskName::Classification => Fit::Crop,
            TaskName::Detection => Fit::Letterbox,
            TaskName::Segmentation => Fit::Whole,
        };
        preprocessing(&self.experiment.data, usual, image_size, &self.classes)
    }
}

fn entry(source: &Source, model: &ModelFile) -> Result<Entry> {
    let entry = kiln_zoo::find_or_read(&model.name).map_err(|error| placed(source, "model.name", &error))?;
    let entry = match model.narrower {
        None | Some(1) => entry,
        Some(0) => return Err(source.reject("model.narrower", "is 0").hint("2 halves the channels")),
        Some(times) => entry.narrowed(times).ok_or_else(|| {
            let error = source.reject("model.narrower", format!("{} has one width", entry.name));
            error.hint("segmenters have others")
        })?,
    };
    match model.save_memory {
        Some(true) => entry.saving_memory().ok_or_else(|| {
            let error = source.reject("model.save_memory", format!("{} keeps all that it needs", entry.name));
            error.hint("DenseNets can save memory")
        }),
        _ => Ok(entry),
    }
}

/// What a model is made for, if nothing else was asked for.
fn task(source: &Source, typed: Option<TaskName>, entry: &Entry) -> Result<TaskName> {
    let task = match entry.kind() {
        Kind::Classifier => TaskName::Classification,
        Kind::Detector => TaskName::Detection,
        Kind::Segmenter => TaskName::Segmentation,
    };
    match typed {
        Some(other) if other != task => Err(source
            .reject("task", format!("{} is a {}", entry.name, entry.kind()))
            .hint("name another model, or leave `task` out")),
        _ => Ok(task),
    }
}

/// An error from below, at the key that caused it.
pub(super) fn placed(source: &Source, key: &str, error: &Error) -> Error {
    let message = match error.file_named() {
        Some(file) => format!("{}: {}", file.display(), error.message()),
        None => error.message().to_string(),
    };
    let rejected = source.reject(key, message);
    error.hint_given().map_or(rejected.clone(), |hint| rejected.hint(hint))
}

fn length(source: &Source, train: &TrainFile) -> Result<Length> {
    match (train.epochs, train.steps) {
        (Some(epochs), None) => Ok(Length::Epochs(epochs)),
        (None, Some(steps)) => Ok(Length::Steps(steps)),
        (Some(_), Some(_)) => {
            Err(source.reject("train.steps", "stands beside `epochs`").hint("give one of them"))
        }
        (None, None) => {
            Err(source.reject("train", "has neither `epochs` nor `steps`").hint("write `epochs = 10`"))
        }
    }
}
