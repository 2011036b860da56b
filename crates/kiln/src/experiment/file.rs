//! An experiment as typed: strict, and with what may be left out left out.

use std::path::PathBuf;

use kiln_data::{Batching, OnCorrupt, Transform};
use kiln_tasks::{ClassificationLoss, SegmentationLoss, Suppression};
use kiln_train::{Average, Clip, EarlyStop, Freeze, OptimizerConfig, Sam, ScheduleConfig};
use serde::{Deserialize, Serialize};

/// An experiment file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentFile {
    /// What every random number comes from; 0 if left out.
    pub seed: Option<u64>,
    /// What is learned; what the model is made for if left out.
    pub task: Option<TaskName>,
    /// What it is learned from.
    pub data: DataFile,
    /// What learns it.
    pub model: ModelFile,
    /// How long, and in which portions.
    pub train: TrainFile,
    /// How gradients become steps.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes; not at all if left out.
    pub schedule: Option<ScheduleConfig>,
    /// Which boxes of a detector are scored.
    pub detection: Option<DetectionFile>,
    /// How labels of pixels are learned.
    pub segmentation: Option<SegmentationFile>,
    /// What `kiln race` trains by in place of the optimizer, one after the other.
    pub race: Option<Vec<Racer>>,
}

/// One that takes part in a race.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Racer {
    /// Its name in the picture.
    pub name: String,
    /// Its learning rate.
    pub lr: f64,
    /// How its gradients become steps.
    pub optimizer: OptimizerConfig,
    /// How its learning rate changes; as the experiment says if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleConfig>,
}

/// What is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskName {
    /// A class an image.
    Classification,
    /// A class and a box an object.
    Detection,
    /// A class a pixel.
    Segmentation,
}

/// `[segmentation]` as typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentationFile {
    /// How logits are compared with labels; by cross entropy if left out.
    pub loss: Option<SegmentationLoss>,
    /// What the loss of an auxiliary head counts beside that of the main one; 0.5 if left out.
    pub auxiliary_weight: Option<f64>,
    /// Scores boundaries too, which takes a while; false if left out.
    pub boundaries: Option<bool>,
}

/// `[detection]` as typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectionFile {
    /// The least score of a box; 0.001 if left out.
    pub score: Option<f32>,
    /// What becomes of boxes that overlap better ones of their class; if left out, they are dropped above an IoU of 0.6.
    pub suppression: Option<Suppression>,
    /// At most so many boxes an image; 300 if left out.
    pub max: Option<usize>,
}

/// `[data]` as typed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// A name or a path.
    pub name: String,
    /// The split to learn from; `train` if left out.
    pub train_split: Option<String>,
    /// The split to be tried on; `test`, or `val` where there is no `test`, if left out.
    pub test_split: Option<String>,
    /// Images to learn from, evenly picked; all if left out.
    pub train_items: Option<usize>,
    /// Images to be tried on, evenly picked; all if left out.
    pub test_items: Option<usize>,
    /// Side of the images of `shapes`, in pixels.
    pub image_size: Option<usize>,
    /// What happens to an image before it is learned from.
    pub train_transforms: Option<Vec<Transform>>,
    /// What happens to an image before it is tried.
    pub test_transforms: Option<Vec<Transform>>,
    /// How the batches that are learned from are put together; each image once and as it is if left out.
    pub train_batches: Option<Batching>,
    /// Mean of each channel; the data set's if left out.
    pub mean: Option<[f32; 3]>,
    /// Standard deviation of each channel; the data set's if left out.
    pub std: Option<[f32; 3]>,
    /// Threads that read images; 2 if left out.
    pub workers: Option<usize>,
    /// What to do about an image that cannot be read; it is an error if left out.
    pub on_corrupt: Option<OnCorrupt>,
}

/// `[model]` as typed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// A name of the registry.
    pub name: String,
    /// A weight file to begin with; fresh weights if left out. A classifier for other classes is left fresh.
    pub weights: Option<PathBuf>,
    /// Takes what fits of the weight file, as of a backbone's, and leaves all else fresh; false if left out.
    pub partial: Option<bool>,
    /// Of a segmenter, so many times fewer channels; 1 if left out.
    pub narrower: Option<usize>,
    /// Computes anew what can be, rather than keep it for the gradients (DenseNets can); false if left out.
    pub save_memory: Option<bool>,
}

/// `[train]` as typed: `epochs` or `steps`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainFile {
    /// Passes over the training images.
    pub epochs: Option<usize>,
    /// Steps in all.
    pub steps: Option<usize>,
    /// Images a batch.
    pub batch_size: usize,
    /// The learning rate that the schedule starts from.
    pub lr: f64,
    /// Of classifiers, the share of a target that is spread evenly over all classes; 0 if left out.
    pub label_smoothing: Option<f64>,
    /// Of classifiers, how logits are compared with targets; by cross entropy if left out. A detector's loss is its version's.
    pub loss: Option<ClassificationLoss>,
    /// Leaves out the last batch of an epoch if it is not full; true if left out.
    pub drop_last: Option<bool>,
    /// Batches a step; 1 if left out. Batch normalization sees them one by one.
    pub accumulate: Option<usize>,
    /// Keeps gradients from being too large.
    pub clip: Option<Clip>,
    /// Takes the gradient uphill: sharpness-aware minimization.
    pub sam: Option<Sam>,
    /// An average of the weights beside them.
    pub average: Option<Average>,
    /// Parts that do not learn for a while.
    pub freeze: Option<Vec<Freeze>>,
    /// Ends the run when it gets no better.
    pub early_stop: Option<EarlyStop>,
    /// Steps between two checkpoints; if left out, there is one an epoch.
    pub checkpoint_steps: Option<usize>,
    /// Minutes between two checkpoints; if left out, there is one an epoch.
    pub checkpoint_minutes: Option<f64>,
    /// Checkpoints that are kept; 2 if left out.
    pub keep: Option<usize>,
}
