//! Experiments: what was typed ([`ExperimentFile`]), where ([`Source`]), and what it means ([`Experiment`]).

mod checks;
mod data;
mod detection;
mod file;
mod prepare;
mod race;
mod segmentation;
mod source;
mod takes;

pub use data::{DataPlan, Images, class_name, pipeline_of};
pub use detection::DetectionPlan;
pub use file::{
    DataFile, DetectionFile, ExperimentFile, ModelFile, Racer, SegmentationFile, TaskName, TrainFile,
};
pub use prepare::{ClassificationPlan, Experiment, ModelPlan, Prepared, TrainPlan};
pub use race::folder_of;
pub use segmentation::SegmentationPlan;
pub use source::Source;
pub(crate) use source::explained;
pub use takes::takes;
