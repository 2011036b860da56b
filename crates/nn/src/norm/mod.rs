//! Normalizations: of a layer's values by mean and variance, over one set of them or another.

mod batch;
mod response;

pub use batch::{BatchNorm, BatchNormConfig};
pub use response::{LocalResponseNorm, LocalResponseNormConfig};
