//! Normalizations: of a layer's values by mean and variance, over one set of them or another.

mod batch;
mod image;
mod response;
mod switch;
mod weight;

pub use batch::{BatchNorm, BatchNormConfig};
pub use image::{GroupNorm, GroupNormConfig, InstanceNorm, InstanceNormConfig, LayerNorm, LayerNormConfig};
pub use response::{LocalResponseNorm, LocalResponseNormConfig};
pub use switch::{SwitchNorm, SwitchNormConfig};
pub use weight::{folded, weight_norm};
