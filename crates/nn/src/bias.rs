//! Biases that begin otherwise than the weights beside them.

use burn::module::Param;
use burn::prelude::*;

use crate::Initializer;

/// `count` biases of one value, for a layer whose paper draws its weights and sets its biases. (Burn's layers have one
/// initializer for both.)
///
/// ```
/// # use burn::prelude::*;
/// use kiln_nn::{Linear, LinearConfig, constant_bias};
///
/// # let device = Device::flex();
/// let linear = Linear { bias: constant_bias(1.0, 4, &device), ..LinearConfig::new(3, 4).init(&device) };
/// ```
pub fn constant_bias(value: f64, count: usize, device: &Device) -> Option<Param<Tensor<1>>> {
    Some(Initializer::Constant { value }.init([count], device))
}
