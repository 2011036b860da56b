//! The registry of models, and weights in and out.
//!
//! A model is found by its name ([`find`]), built ([`Entry::init`]) and filled from a file ([`load`]); what belongs to
//! a weight file (input size, mean, std, class names) travels with it ([`Preprocessing`]).

mod classifier;
mod golden;
mod registry;
mod state_dict;
mod weights;

pub use classifier::Classifier;
pub use golden::{Golden, Parity};
pub use registry::{Entry, Family, REGISTRY, find};
pub use state_dict::{Preprocessing, StateDict};
pub use weights::{load, save};
