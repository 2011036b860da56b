//! AlexNet.
//!
//! Alex Krizhevsky, *One weird trick for parallelizing convolutional neural networks*, 2014,
//! <https://arxiv.org/abs/1404.5997>, Section 5: the one-tower form of the network of Krizhevsky, Sutskever and Hinton,
//! *ImageNet classification with deep convolutional neural networks*, 2012.
//!
//! As torchvision has it, from where its weights come: 256 channels in the fourth convolution, an average pool to 6x6
//! before the classifier, so that other input sizes work, and dropout before (not after) the first two linear layers.

use burn::prelude::*;
use kiln_core::Network;
use kiln_nn::{
    AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, Conv2dConfig, Dropout, DropoutConfig, Layer, Linear,
    LinearConfig, Relu, max_pool, padded,
};

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct AlexNetConfig {
    /// Classes to tell apart.
    pub num_classes: usize,
    /// Probability with which a unit is dropped before each of the first two linear layers.
    pub dropout: f64,
}

impl AlexNetConfig {
    /// The published network for `num_classes` classes.
    pub fn new(num_classes: usize) -> Self {
        Self { num_classes, dropout: 0.5 }
    }
}

/// The network: five convolutions, three linear layers.
#[derive(Module, Debug)]
pub struct AlexNet {
    features: Vec<Layer>,
    avgpool: AdaptiveAvgPool2d,
    classifier: (Dropout, Linear, Relu, Dropout, Linear, Relu, Linear),
}

impl AlexNetConfig {
    /// A network with fresh weights.
    pub fn init(&self, device: &Device) -> AlexNet {
        let conv = |channels, kernel, stride, padding| {
            let config = Conv2dConfig::new(channels, [kernel; 2]);
            Layer::Conv(config.with_stride([stride; 2]).with_padding(padded(padding)).init(device))
        };
        let relu = || Layer::Relu(Relu::new());
        let pool = || Layer::MaxPool(max_pool(3, 2).init());
        let dropout = || DropoutConfig::new(self.dropout).init();
        let linear = |channels: [usize; 2]| LinearConfig::new(channels[0], channels[1]).init(device);
        AlexNet {
            features: vec![
                conv([3, 64], 11, 4, 2),
                relu(),
                pool(),
                conv([64, 192], 5, 1, 2),
                relu(),
                pool(),
                conv([192, 384], 3, 1, 1),
                relu(),
                conv([384, 256], 3, 1, 1),
                relu(),
                conv([256, 256], 3, 1, 1),
                relu(),
                pool(),
            ],
            avgpool: AdaptiveAvgPool2dConfig::new([6, 6]).init(),
            classifier: (
                dropout(),
                linear([256 * 6 * 6, 4096]),
                Relu::new(),
                dropout(),
                linear([4096, 4096]),
                Relu::new(),
                linear([4096, self.num_classes]),
            ),
        }
    }
}

impl Network for AlexNet {
    type Output = Tensor<2>;

    /// # Shapes
    /// `[batch, 3, height, width]`, at least 63 pixels a side (224 in the paper), to logits `[batch, num_classes]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let (drop6, fc6, relu6, drop7, fc7, relu7, fc8) = &self.classifier;
        let x = self.features.iter().fold(images, |x, layer| layer.forward(x));
        let x = self.avgpool.forward(x).flatten(1, 3);
        let x = relu6.forward(fc6.forward(drop6.forward(x)));
        let x = relu7.forward(fc7.forward(drop7.forward(x)));
        fc8.forward(x)
    }
}

#[cfg(test)]
mod tests {
    use kiln_core::learnable_parameters;

    use super::*;

    #[test]
    fn parameters_and_output_are_the_published_ones() {
        let device = Device::flex();
        let network = AlexNetConfig::new(1000).init(&device);
        // torchvision.models.alexnet: 61,100,840.
        assert_eq!(learnable_parameters(&network), 61_100_840);
        assert_eq!(network.forward(Tensor::zeros([1, 3, 224, 224], &device)).dims(), [1, 1000]);
        // The smallest side the three pools leave a pixel of: 63 -> 15 -> 7 -> 3 -> 1.
        assert_eq!(network.forward(Tensor::zeros([1, 3, 63, 63], &device)).dims(), [1, 1000]);
    }
}
