//! Experiments: what was typed ([`ExperimentFile`]), where ([`Source`]), and what it means ([`Experiment`]).

mod file;
mod prepare;
mod race;
mod source;
mod takes;

pub use file::{DataFile, ExperimentFile, ModelFile, Racer, TaskName, TrainFile};
pub use prepare::{DataPlan, Experiment, Images, ModelPlan, Prepared, TrainPlan, class_name, pipeline_of};
pub use race::folder_of;
pub use source::Source;
pub use takes::takes;
