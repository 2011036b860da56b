//! Kiln's front: experiment files, the command line, the run folder and its report.
//!
//! The only crate that knows all the others: data, networks, tasks and the training loop meet here.

pub mod batch_size;
pub mod cli;
pub mod coco;
pub mod detection_report;
pub mod evaluation;
pub mod experiment;
pub mod goal;
pub mod label_report;
pub mod labelling;
pub mod machine;
pub mod recorded;
pub mod report;
pub mod run;
pub mod watch;
