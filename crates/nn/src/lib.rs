//! Every layer that Kiln's models use.
//!
//! Burn's own layers come from here too, so that a model names one source and a faster layer can take a place without
//! a change in the models. Layers keep Burn's names: weight files are matched by them.

mod activation;
mod bias;
mod conv;
mod draws;
mod dropout;
mod image;
mod layer;
mod linear;
mod norm;
mod pool;
mod resize;
mod tap;

pub use activation::{
    Activation, ActivationProperties, ActivationRange, RRelu, RReluConfig, SRelu, SReluConfig, Smoothness,
    Surrogate, glu, maxout, straight_through, surrogate_sign, surrogate_step,
};
pub use bias::constant_bias;
pub use burn::nn::{
    Dropout, DropoutConfig, Identity, Initializer, PRelu, PReluConfig, PaddingConfig2d, Relu,
};
pub use conv::{
    Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig, KAIMING_FAN_IN, KAIMING_FAN_OUT,
    LocallyConnected2d, LocallyConnected2dConfig, SeparableConv2d, SeparableConv2dConfig, conv, conv_norm,
    conv_norm_add_relu, conv_norm_relu, conv_relu, dilated, norm_relu_conv, padded,
};
pub use draws::Draws;
pub use dropout::{
    Among, ConcreteDropout, ConcreteDropoutConfig, Doubt, DropBlock2d, DropBlock2dConfig, DropConnect,
    DropConnectConfig, GaussianDropout, GaussianDropoutConfig, MaxPoolDropout2d, MaxPoolDropout2dConfig,
    Part, PartDropout, PartDropoutConfig, Spread, Standout, StandoutConfig, VariationalLinear,
    VariationalLinearConfig, cutout, doubt, max_drop, monte_carlo, sparse_gain, survival, variational_gain,
    zoneout,
};
pub use image::{Border, Difference, Gradients, Neighbours, grey, image_gradients, laplacian};
pub use kiln_kernels::{
    add, add_relu, cat_channels, global_average, halves, hard_swish, interleave, leaky_relu, mish, relu,
    relu6, sigmoid, silu,
};
pub use layer::{Layer, sequence};
pub use linear::{Linear, LinearConfig};
pub use norm::{
    BatchNorm, BatchNormConfig, GroupNorm, GroupNormConfig, InstanceNorm, InstanceNormConfig, LayerNorm,
    LayerNormConfig, LocalResponseNorm, LocalResponseNormConfig, SwitchNorm, SwitchNormConfig, folded,
    weight_norm,
};
pub use pool::{
    AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, AdaptiveMaxPool2d, AdaptiveMaxPool2dConfig, Align, AvgPool2d,
    AvgPool2dConfig, GatedPool2d, GatedPool2dConfig, GemPool, GemPoolConfig, MaxPool2d, MaxPool2dConfig,
    MixedPool2d, MixedPool2dConfig, RandomMixedPool2d, RandomMixedPool2dConfig, Reduce, Region, Square,
    StochasticPool2d, StochasticPool2dConfig, WindowPool2d, WindowPool2dConfig, crow, global_max, max_pool,
    max_unpool, pyramid_pool, r_mac, r_mac_squares, roi_align, roi_pool, unit_length, windows,
};
pub use resize::{Corners, bilinear, nearest, pixel_shuffle, pixel_unshuffle};
pub use tap::Tap;
