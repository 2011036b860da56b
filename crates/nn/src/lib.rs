//! Every layer that Kiln's models use.
//!
//! Burn's own layers come from here too, so that a model names one source and a faster layer can take a place without
//! a change in the models. Layers keep Burn's names: weight files are matched by them.

mod bias;
mod conv;
mod conv2d;
mod layer;
mod norm;
mod recompute;

pub use bias::constant_bias;
pub use burn::nn::pool::{
    AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig,
};
pub use burn::nn::{
    Dropout, DropoutConfig, Initializer, Linear, LinearConfig, LocalResponseNorm, LocalResponseNormConfig,
    PaddingConfig2d, Relu,
};
pub use conv::{KAIMING_FAN_IN, KAIMING_FAN_OUT, conv, global_average, max_pool, padded};
pub use conv2d::{Conv2d, Conv2dConfig};
pub use kiln_kernels::relu;
pub use layer::Layer;
pub use norm::{BatchNorm, BatchNormConfig};
pub use recompute::norm_relu_conv;
