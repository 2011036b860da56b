//! An experiment as meant: complete, checked against its data set, ready to run.

use std::sync::Arc;

use kiln_core::{Error, Result};
use kiln_data::{
    Dataset, Interpolation, Layout, Normalization, OnCorrupt, Pipeline, Roots, Shapes, ShapesConfig, Size,
    Subset, Transform,
};
use kiln_train::{Length, OptimizerConfig, ScheduleConfig, Warmup};
use kiln_zoo::{Entry, Preprocessing};
use serde::Serialize;

use crate::experiment::{Source, TaskName};

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
}

/// `[data]`, complete.
#[derive(Debug, Clone, Serialize)]
pub struct DataPlan {
    /// A name or a path.
    pub name: String,
    /// The split that is learned from.
    pub train_split: String,
    /// The split that is tried.
    pub test_split: String,
    /// Images learned from.
    pub train_items: usize,
    /// Images tried.
    pub test_items: usize,
    /// Side of the images of `shapes`, in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<usize>,
    /// What happens to an image before it is learned from.
    pub train_transforms: Vec<Transform>,
    /// What happens to an image before it is tried.
    pub test_transforms: Vec<Transform>,
    /// Mean of each channel.
    pub mean: [f32; 3],
    /// Standard deviation of each channel.
    pub std: [f32; 3],
    /// Threads that read images.
    pub workers: usize,
    /// What to do about an image that cannot be read.
    pub on_corrupt: OnCorrupt,
}

/// `[model]`, complete.
#[derive(Debug, Clone, Serialize)]
pub struct ModelPlan {
    /// A name of the registry.
    pub name: String,
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
    /// Leaves out the last batch of an epoch if it is not full.
    pub drop_last: bool,
    /// Checkpoints that are kept.
    pub keep: usize,
}

/// An experiment with all it needs at hand.
pub struct Prepared {
    /// The experiment.
    pub experiment: Experiment,
    /// Its model's row in the registry.
    pub entry: &'static Entry,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The images learned from.
    pub train: (Arc<dyn Dataset>, Pipeline),
    /// The images tried.
    pub test: (Arc<dyn Dataset>, Pipeline),
}

/// Between white and black: where a data set says nothing of its own.
const MIDDLE: Normalization = Normalization { mean: [0.5; 3], std: [0.25; 3] };

impl Prepared {
    /// Fills in what was left out and checks what was typed against the data set.
    ///
    /// # Errors
    /// What [`Source::typed`] says; a data set, a split or a model that is not there; a value that makes no sense.
    pub fn new(source: &Source, roots: &Roots) -> Result<Self> {
        let file = source.typed()?;
        let seed = file.seed.unwrap_or(0);
        let at = |key: &str, error: Error| {
            let placed = source.reject(key, error.message());
            let placed = match error.file_named() {
                Some(named) => source.reject(key, format!("{}: {}", named.display(), error.message())),
                None => placed,
            };
            match error.hint_given() {
                Some(hint) => placed.hint(hint),
                None => placed,
            }
        };
        let entry = kiln_zoo::find(&file.model.name).map_err(|error| at("model.name", error))?;

        for (key, value) in [
            ("train.batch_size", Some(file.train.batch_size)),
            ("train.epochs", file.train.epochs),
            ("train.steps", file.train.steps),
            ("train.keep", file.train.keep),
            ("data.train_items", file.data.train_items),
            ("data.test_items", file.data.test_items),
        ] {
            if value == Some(0) {
                return Err(source.reject(key, "is 0").hint("give 1 or more"));
            }
        }
        let length = match (file.train.epochs, file.train.steps) {
            (Some(epochs), None) => Length::Epochs(epochs),
            (None, Some(steps)) => Length::Steps(steps),
            (Some(_), Some(_)) => {
                return Err(source.reject("train.steps", "stands beside `epochs`").hint("give one of them"));
            }
            (None, None) => {
                return Err(source
                    .reject("train", "has neither `epochs` nor `steps`")
                    .hint("write `epochs = 10`"));
            }
        };
        for (key, values) in [("data.std", file.data.std), ("data.mean", file.data.mean)] {
            let lowest = if key == "data.std" { f32::MIN_POSITIVE } else { f32::MIN };
            if values.is_some_and(|values| values.iter().any(|v| !v.is_finite() || *v < lowest)) {
                return Err(source.reject(key, "is no mean or standard deviation of pixels between 0 and 1"));
            }
        }
        file.optimizer.init().map_err(|error| at("optimizer", error))?;

        let opened = kiln_data::open(&file.data.name, roots).map_err(|error| at("data.name", error))?;
        let splits: Vec<&str> = opened.splits.iter().map(|(name, _)| name.as_str()).collect();
        let otherwise = |names: &[&'static str]| {
            names.iter().find(|name| splits.contains(name)).unwrap_or(&names[0]).to_string()
        };
        let train_split = file.data.train_split.unwrap_or_else(|| otherwise(&["train", "all"]));
        let test_split = file.data.test_split.unwrap_or_else(|| otherwise(&["test", "val", "all"]));
        let is_shapes = opened.layout == Layout::Generated;
        if file.data.image_size.is_some() && !is_shapes {
            let message = format!("`{}` has its own image sizes", file.data.name);
            return Err(source.reject("data.image_size", message).hint("use a `resize` transform"));
        }
        let images = |split: &str, key: &str, items: Option<usize>| -> Result<Arc<dyn Dataset>> {
            if is_shapes {
                let default =
                    opened.split(split).map_err(|error| at(&format!("data.{key}_split"), error))?.len();
                let config = ShapesConfig::new(split, items.unwrap_or(default), seed);
                let config = config.with_size(file.data.image_size.unwrap_or(32));
                let shapes = Shapes::new(config).map_err(|error| at("data.image_size", error))?;
                return Ok(Arc::new(shapes));
            }
            let all = opened.split(split).map_err(|error| at(&format!("data.{key}_split"), error))?;
            let all_items = all.len();
            match items {
                None => Ok(all),
                Some(items) if items <= all_items => Ok(Arc::new(Subset::evenly(all, items))),
                Some(items) => {
                    let message = format!("asks for {items} images, `{split}` has {all_items}");
                    Err(source.reject(&format!("data.{key}_items"), message))
                }
            }
        };
        let train = images(&train_split, "train", file.data.train_items)?;
        let test = images(&test_split, "test", file.data.test_items)?;

        let Normalization { mean, std } = opened.normalization.unwrap_or(MIDDLE);
        let data = DataPlan {
            name: file.data.name,
            train_split,
            test_split,
            train_items: train.len(),
            test_items: test.len(),
            image_size: is_shapes.then(|| file.data.image_size.unwrap_or(32)),
            train_transforms: file.data.train_transforms.unwrap_or_default(),
            test_transforms: file.data.test_transforms.unwrap_or_default(),
            mean: file.data.mean.unwrap_or(mean),
            std: file.data.std.unwrap_or(std),
            workers: file.data.workers.unwrap_or(2),
            on_corrupt: file.data.on_corrupt.unwrap_or_default(),
        };
        let pipeline = |key: &str, transforms: &[Transform]| {
            Pipeline::new(transforms.to_vec(), data.mean, data.std).map_err(|error| at(key, error))
        };
        let train = (train, pipeline("data.train_transforms", &data.train_transforms)?);
        let test = (test, pipeline("data.test_transforms", &data.test_transforms)?);

        let train_plan = TrainPlan {
            length,
            batch_size: file.train.batch_size,
            lr: file.train.lr,
            drop_last: file.train.drop_last.unwrap_or(true),
            keep: file.train.keep.unwrap_or(2),
        };
        if train_plan.drop_last && data.train_items < train_plan.batch_size {
            let message = format!(
                "is {}, but there are {} images to learn from",
                train_plan.batch_size, data.train_items
            );
            return Err(source
                .reject("train.batch_size", message)
                .hint("make it smaller, or set `drop_last = false`"));
        }
        let schedule = file.schedule.unwrap_or(ScheduleConfig::Constant { warmup: Warmup::default() });
        // Steps do not matter for the check.
        schedule.resolve(train_plan.lr, 100, 1000).map_err(|error| {
            let key = error.place_named().filter(|place| !place.contains("learning") && *place != "lr");
            let key = key.map_or("train.lr".to_string(), |key| format!("schedule.{key}"));
            at(&key, error)
        })?;
        let classes = opened.classes;
        let experiment = Experiment {
            seed,
            task: file.task.unwrap_or(TaskName::Classification),
            data,
            model: ModelPlan { name: file.model.name },
            train: train_plan,
            optimizer: file.optimizer,
            schedule,
        };
        Ok(Self { experiment, entry, classes, train, test })
    }

    /// How images are prepared for the network that this experiment trains.
    pub fn preprocessing(&self, image_size: [usize; 2]) -> Preprocessing {
        let DataPlan { test_transforms, mean, std, .. } = &self.experiment.data;
        let side = |size: [usize; 2]| size[0].min(size[1]);
        let size = test_transforms.iter().fold(image_size, |size, transform| transform.output_size(size));
        let resize = test_transforms.iter().find_map(|transform| match transform {
            Transform::Resize { size, .. } => Some(side(size.height_width())),
            _ => None,
        });
        Preprocessing {
            resize: resize.unwrap_or(side(size)),
            size: side(size),
            mean: *mean,
            std: *std,
            classes: self.classes.clone(),
        }
    }
}

/// The pipeline that a weight file asks for.
pub fn pipeline_of(wanted: &Preprocessing) -> Result<Pipeline> {
    let resize =
        Transform::Resize { size: Size::Side(wanted.resize), interpolation: Interpolation::Bilinear };
    let crop = Transform::CenterCrop { size: Size::Side(wanted.size) };
    Pipeline::new(vec![resize, crop], wanted.mean, wanted.std)
}

/// The names of a data set's classes, or numbers where it has none.
pub fn class_name(classes: &[String], class: usize) -> String {
    classes.get(class).cloned().unwrap_or_else(|| class.to_string())
}
