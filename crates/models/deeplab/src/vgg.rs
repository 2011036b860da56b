//! DeepLab v1 and v2 on VGG-16.

use burn::prelude::*;
use kiln_core::{LabelLogits, Network};
use kiln_nn::{
    Conv2d, Conv2dConfig, Corners, Dropout, DropoutConfig, Initializer, KAIMING_FAN_IN, Layer, bilinear,
    conv_relu, dilated, padded, sequence,
};
use kiln_vgg::{Depth, convolutions};

/// The dilations of the branches behind VGG's convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rates {
    /// v1: one branch, with a large field of view.
    LargeFov,
    /// v2: four, of small rates.
    AsppS,
    /// v2: four, of large rates.
    AsppL,
}

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct DeepLabVggConfig {
    /// The dilations of the branches.
    pub rates: Rates,
    /// Classes to tell apart.
    pub num_classes: usize,
    /// All channels inside are divided by this. 1 is as published.
    pub narrower: usize,
}

/// VGG-16's convolutions at 1/8 of the images' sides, and branches to scores, which are added.
#[derive(Module, Debug)]
pub struct DeepLabVgg {
    features: Vec<Layer>,
    branches: Vec<Branch>,
    dropout: Dropout,
}

/// What VGG's linear layers have become.
#[derive(Module, Debug)]
struct Branch {
    fc6: Conv2d,
    fc7: Conv2d,
    fc8: Conv2d,
}

impl DeepLabVggConfig {
    /// A network with fresh weights: VGG's as its own, then He's normal initialization, scores normal with standard
    /// deviation 0.01.
    pub fn init(&self, device: &Device) -> DeepLabVgg {
        let Self { rates, num_classes, narrower } = *self;
        let rates: &[usize] = match rates {
            Rates::LargeFov => &[12],
            Rates::AsppS => &[2, 4, 8, 12],
            Rates::AsppL => &[6, 12, 18, 24],
        };
        let [input, hidden] = [512 / narrower, 1024 / narrower];
        let point = |channels| Conv2dConfig::new(channels, [1, 1]);
        let normal = Initializer::Normal { mean: 0.0, std: 0.01 };
        let branch = |rate: &usize| Branch {
            fc6: dilated([input, hidden], *rate)
                .with_bias(true)
                .with_initializer(KAIMING_FAN_IN)
                .init(device),
            fc7: point([hidden; 2]).with_initializer(KAIMING_FAN_IN).init(device),
            fc8: point([hidden, num_classes]).with_initializer(normal.clone()).init(device),
        };
        DeepLabVgg {
            features: features(narrower, device),
            branches: rates.iter().map(branch).collect(),
            dropout: DropoutConfig::new(0.5).init(),
        }
    }
}

/// VGG-16's convolutions with pools of 3x3, the last two of which keep the size; what comes between these is dilated.
fn features(narrower: usize, device: &Device) -> Vec<Layer> {
    let mut features = convolutions(Depth::D16, false, narrower, device);
    let mut pools = 0;
    for layer in &mut features {
        match layer {
            Layer::MaxPool(pool) => {
                pools += 1;
                (pool.kernel_size, pool.padding) = ([3, 3], padded(1));
                pool.stride = if pools > 3 { [1, 1] } else { [2, 2] };
            }
            Layer::Conv(conv) if pools == 4 => (conv.dilation, conv.padding) = ([2, 2], padded(2)),
            _ => {}
        }
    }
    features
}

impl Network for DeepLabVgg {
    type Output = LabelLogits;

    /// # Shapes
    /// `[batch, 3, height, width]` (321 pixels a side in the papers, `8 n + 1` best) to logits
    /// `[batch, num_classes, height, width]`
    fn forward(&self, images: Tensor<4>) -> LabelLogits {
        let [.., height, width] = images.dims();
        let x = sequence(&self.features, images);
        let [first, rest @ ..] = &self.branches[..] else { panic!("a network without a branch") };
        let first = self.branch(first, x.clone());
        let scores = rest.iter().fold(first, |sum, branch| sum + self.branch(branch, x.clone()));
        bilinear(scores, [height, width], Corners::Centres).into()
    }
}

impl DeepLabVgg {
    fn branch(&self, branch: &Branch, x: Tensor<4>) -> Tensor<4> {
        let x = self.dropout.forward(conv_relu(&branch.fc6, x));
        let x = self.dropout.forward(conv_relu(&branch.fc7, x));
        branch.fc8.forward(x)
    }
}

#[cfg(test)]
mod tests {
    use kiln_core::learnable_parameters;

    use super::*;

    #[test]
    fn parameters_are_those_of_vgg_and_its_branches() {
        let device = Device::flex();
        // VGG-16's convolutions; the three layers of a branch. The paper says 20.5 million for the first.
        let convs = 14_714_688;
        let branch = 1024 * (512 * 9 + 1) + 1024 * (1024 + 1) + 21 * (1024 + 1);
        assert_eq!([convs + branch, convs + 4 * branch], [20_505_429, 37_877_652]);
        let rows = [(Rates::LargeFov, 20_505_429), (Rates::AsppS, 37_877_652), (Rates::AsppL, 37_877_652)];
        for (rates, params) in rows {
            let network = DeepLabVggConfig { rates, num_classes: 21, narrower: 1 }.init(&device);
            assert_eq!(learnable_parameters(&network), params, "{rates:?}");
        }
    }

    #[test]
    fn an_image_of_321_pixels_has_the_papers_sizes() {
        let device = Device::flex();
        let network = DeepLabVggConfig { rates: Rates::LargeFov, num_classes: 3, narrower: 64 }.init(&device);
        // 321 -> 161 -> 81 -> 41, and no further.
        let pools = kiln_vgg::pools(&network.features, Tensor::zeros([1, 3, 321, 321], &device));
        assert_eq!(pools.map(|x| x.dims()[2]), [161, 81, 41, 41, 41]);
        for [height, width] in [[321, 65], [40, 33], [1, 50]] {
            let logits = network.forward(Tensor::zeros([1, 3, height, width], &device)).main;
            assert_eq!(logits.dims(), [1, 3, height, width]);
        }
    }
}
