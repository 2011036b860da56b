//! Every layer that Kiln's models use.
//!
//! Burn's own layers come from here too, so that a model names one source and a faster layer can take a place without
//! a change in the models. Layers keep Burn's names: weight files are matched by them.

mod bias;
mod bilinear;
mod conv;
mod conv2d;
mod conv_norm;
mod conv_transpose2d;
mod layer;
mod linear;
mod norm;
mod padding;
mod pool;
mod recompute;
mod response_norm;
mod shuffle;
mod tap;
mod unpool;
mod upsample;

pub use bias::constant_bias;
pub use bilinear::{Corners, bilinear};
pub use burn::nn::{Dropout, DropoutConfig, Identity, Initializer, PaddingConfig2d, Relu};
pub use conv::{KAIMING_FAN_IN, KAIMING_FAN_OUT, conv, dilated, padded};
pub use conv_norm::{conv_norm, conv_norm_add_relu, conv_norm_relu, conv_relu};
pub use conv_transpose2d::{ConvTranspose2d, ConvTranspose2dConfig};
pub use conv2d::{Conv2d, Conv2dConfig};
pub use kiln_kernels::{
    add, add_relu, cat_channels, global_average, halves, hard_swish, interleave, leaky_relu, mish, relu,
    relu6, sigmoid, silu,
};
pub use layer::{Layer, sequence};
pub use linear::{Linear, LinearConfig};
pub use norm::{BatchNorm, BatchNormConfig};
pub use pool::{
    AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig,
    max_pool,
};
pub use recompute::norm_relu_conv;
pub use response_norm::{LocalResponseNorm, LocalResponseNormConfig};
pub use shuffle::{pixel_shuffle, pixel_unshuffle};
pub use tap::Tap;
pub use unpool::max_unpool;
pub use upsample::nearest;
