//! Dropout: noise in training that keeps units from relying on each other, and what has grown out of it.
//!
//! A probability is that of being dropped (as in PyTorch and Burn; in papers and in TensorFlow 1 it often is that of staying). Layers drop where Burn's does, on
//! a device with gradients. They take their random numbers from [`Draws`](crate::Draws), so that a run can be repeated whatever else draws.

mod learned;
mod monte_carlo;
mod parts;
mod regions;
mod weights;

pub use learned::{
    ConcreteDropout, ConcreteDropoutConfig, VariationalLinear, VariationalLinearConfig, sparse_gain,
    variational_gain,
};
pub use monte_carlo::{Doubt, Spread, doubt, monte_carlo};
pub use parts::{
    GaussianDropout, GaussianDropoutConfig, Part, PartDropout, PartDropoutConfig, survival, zoneout,
};
pub use regions::{
    Among, DropBlock2d, DropBlock2dConfig, MaxPoolDropout2d, MaxPoolDropout2dConfig, cutout, max_drop,
};
pub use weights::{DropConnect, DropConnectConfig, Standout, StandoutConfig};
