//! The registry of models, and weights in and out.
//!
//! A model is found by its name ([`find`]) or its cfg ([`find_or_read`]), built ([`Entry::init`]) and filled from a file ([`load`]); what belongs to
//! a weight file (input size, mean, std, class names) travels with it ([`Preprocessing`]).

mod class_names;
mod classifier;
mod darknet;
mod detector;
mod entry;
mod formats;
mod golden;
mod known;
mod misfit;
mod model;
mod preprocessing;
mod registry;
mod segmenter;
mod state_dict;
mod weights;

pub use classifier::Classifier;
pub use detector::Detector;
pub use entry::{Entry, Kind, Published};
pub use formats::{Dtype, Format, StoredTensor, WeightFile};
pub use golden::{Golden, Parity};
pub use misfit::Misfit;
pub use model::{Model, Output};
pub use preprocessing::{Fit, Interpolation, Preprocessing};
pub use registry::{REGISTRY, find, find_or_read};
pub use segmenter::Segmenter;
pub use state_dict::StateDict;
pub use weights::{load, load_backbone, load_partial, plan, save, shapes};
