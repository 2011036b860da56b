//! Experiments: what was typed ([`ExperimentFile`]), where ([`Source`]), and what it means ([`Experiment`]).

mod data;
mod file;
mod prepare;
mod race;
mod source;
mod takes;

pub use data::{DataPlan, Images, class_name, pipeline_of};
pub use file::{DataFile, ExperimentFile, ModelFile, Racer, TaskName, TrainFile};
pub use prepare::{Experiment, ModelPlan, Prepared, TrainPlan};
pub use race::folder_of;
pub use source::Source;
pub(crate) use source::explained;
pub use takes::takes;
