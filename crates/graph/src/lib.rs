//! What the graph of a network says of it.
//!
//! A network is run on Burn's capture device, which records operations and their shapes in place of computing them.
//! So a network of any kind answers, no layer is listed by hand, and no number is spent.

mod capture;
mod cost;
mod draw;
mod field;
mod graph;
mod look;
mod memory;
mod name;
mod node;
mod onnx;
mod run;
mod summary;

pub use cost::Cost;
pub use field::{Field, Pixels, Side};
pub use graph::{Graph, Node, Output, Role, Weight};
pub use look::Heat;
pub use memory::Memory;
pub use run::{Value, Weights};
pub use summary::Row;
