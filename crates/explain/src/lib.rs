//! Concepts of deep learning as code that runs.
//!
//! A topic is a function of a seed that computes, and tells in numbers and pictures what came of it; its page, its text on a terminal and its
//! JSON are made of that.

mod draw;
pub mod gradcheck;
mod page;
mod render;
mod terminal;
pub mod topics;

pub use draw::{Anchor, Drawing};
pub use page::{Experiment, Figure, Formula, Page, Picture, Table};
pub use render::{html, index, mathml};
pub use terminal::{text, value};
