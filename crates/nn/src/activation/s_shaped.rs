//! A ReLU of three pieces that learns all of them.

use burn::config::Config;
use burn::module::Param;
use burn::prelude::*;

use crate::Initializer;

/// The settings of an [`SRelu`]: one number for every channel to begin with.
#[derive(Config, Debug)]
pub struct SReluConfig {
    /// Channels.
    pub num_channels: usize,
    /// Where the left piece ends.
    #[config(default = 0.0)]
    pub left: f64,
    /// The left piece's slope.
    #[config(default = 0.2)]
    pub left_slope: f64,
    /// Where the right piece begins.
    #[config(default = 1.0)]
    pub right: f64,
    /// The right piece's slope.
    #[config(default = 1.0)]
    pub right_slope: f64,
}

/// Three straight pieces, whose places and slopes every channel learns for itself. Jin et al. 2016, *Deep learning with S-shaped rectified
/// linear activation units*, equation 2.
#[derive(Module, Debug)]
pub struct SRelu {
    /// Where the left piece ends, `[channels]`.
    pub left: Param<Tensor<1>>,
    /// The left piece's slope, `[channels]`.
    pub left_slope: Param<Tensor<1>>,
    /// Where the right piece begins, `[channels]`.
    pub right: Param<Tensor<1>>,
    /// The right piece's slope, `[channels]`.
    pub right_slope: Param<Tensor<1>>,
}

impl SReluConfig {
    /// The layer.
    pub fn init(&self, device: &Device) -> SRelu {
        let all = |value: f64| Initializer::Constant { value }.init([self.num_channels], device);
        SRelu {
            left: all(self.left),
            left_slope: all(self.left_slope),
            right: all(self.right),
            right_slope: all(self.right_slope),
        }
    }
}

impl SRelu {
    /// # Shapes
    /// `[batch, channels, ..]` to the same
    ///
    /// # Panics
    /// If the channels are not the layer's.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let [channels] = self.left.dims();
        assert_eq!(x.dims()[1], channels, "{:?} values for {channels} channels", x.dims());
        let mut sides = [1; D];
        sides[1] = channels;
        let [left, left_slope, right, right_slope] =
            [&self.left, &self.left_slope, &self.right, &self.right_slope]
                .map(|one| one.val().reshape(sides));
        let (below, above) = (x.clone().lower_equal(left.clone()), x.clone().greater_equal(right.clone()));
        let pieces = [(left, left_slope), (right, right_slope)]
            .map(|(from, slope)| (x.clone() - from.clone()) * slope + from);
        let [low, high] = pieces;
        x.mask_where(below, low).mask_where(above, high)
    }
}
