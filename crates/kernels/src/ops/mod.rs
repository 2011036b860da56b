//! The kernels as operations of Burn's backends: on flex, and with gradients on autodiff over it.

pub mod activation;
pub mod conv;
pub mod join;
pub mod linear;
pub mod norm;
pub mod pool;
pub mod response;
pub mod softmax;
pub mod update;
