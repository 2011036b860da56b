//! Concepts of deep learning as code that runs.

pub mod gradcheck;
