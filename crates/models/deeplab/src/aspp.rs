//! The pyramid of dilated convolutions of v3 and v3+ (Section 3.3 of v3's paper), as torchvision has it.

use burn::prelude::*;
use kiln_nn::{
    BatchNorm, BatchNormConfig, Conv2d, Dropout, DropoutConfig, Identity, cat_channels, conv, conv_norm_relu,
    dilated, global_average,
};

/// By how much the ResNet makes images smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStride {
    /// To 1/16, with rates 6, 12 and 18.
    S16,
    /// To 1/8, with rates 12, 24 and 36: finer, and slower.
    S8,
}

impl OutputStride {
    /// How many of the ResNet's last stages are dilated, and the pyramid's rates.
    pub(crate) fn dilated(self) -> (usize, [usize; 3]) {
        match self {
            Self::S16 => (1, [6, 12, 18]),
            Self::S8 => (2, [12, 24, 36]),
        }
    }
}

/// A 1x1 convolution, three dilated ones and the image's mean, side by side, and a 1x1 convolution of them all. The mean's place
/// in the numbering is that of torchvision's pool.
#[derive(Module, Debug)]
pub struct Aspp {
    convs: (Branch, Branch, Branch, Branch, (Identity, Conv2d, BatchNorm)),
    project: (Conv2d, BatchNorm),
    dropout: Dropout,
}

type Branch = (Conv2d, BatchNorm);

impl Aspp {
    /// `channels` are the input's and the output's.
    pub fn new(channels: [usize; 2], rates: [usize; 3], device: &Device) -> Self {
        let [_, output] = channels;
        let norm = || BatchNormConfig::new(output).init(device);
        let branch = |rate| (dilated(channels, rate).init(device), norm());
        let [first, second, third] = rates.map(branch);
        let point = |channels| conv(channels, 1, 1).init(device);
        Self {
            convs: (
                (point(channels), norm()),
                first,
                second,
                third,
                (Identity::new(), point(channels), norm()),
            ),
            project: (point([5 * output, output]), norm()),
            dropout: DropoutConfig::new(0.5).init(),
        }
    }

    /// # Shapes
    /// `[batch, in channels, height, width]` to `[batch, out channels, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (point, first, second, third, (_, conv, norm)) = &self.convs;
        let [batch, channels, height, width] = x.dims();
        let mean = global_average(x.clone()).reshape([batch, channels, 1, 1]);
        let mean = conv_norm_relu(conv, norm, mean);
        let [_, output, ..] = mean.dims();
        let mut parts: Vec<Tensor<4>> = [point, first, second, third]
            .into_iter()
            .map(|(conv, norm)| conv_norm_relu(conv, norm, x.clone()))
            .collect();
        parts.push(mean.expand([batch, output, height, width]));
        let (conv, norm) = &self.project;
        self.dropout.forward(conv_norm_relu(conv, norm, cat_channels(parts)))
    }
}
