//! SegNet.
//!
//! Vijay Badrinarayanan, Alex Kendall, Roberto Cipolla, *SegNet: a deep convolutional encoder-decoder architecture for image
//! segmentation*, 2015, <https://arxiv.org/abs/1511.00561>.
//!
//! The encoder is VGG-16's, so that its weights (`vgg16_bn`) fit; as in the authors' network pools round sizes up, and what
//! enlarges is told the size before the pool, so that any image will do.

use burn::prelude::*;
use kiln_core::{LabelLogits, Network};
use kiln_nn::{BatchNormConfig, Conv2dConfig, KAIMING_FAN_OUT, Layer, Relu, max_unpool, padded, sequence};
use kiln_vgg::{Depth, convolutions};

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct SegNetConfig {
    /// Classes to tell apart.
    pub num_classes: usize,
    /// All channels inside are divided by this. 1 is as published.
    pub narrower: usize,
}

/// The network of Figure 2: an encoder, and a decoder that knows where the encoder's pools found their maxima.
#[derive(Module, Debug)]
pub struct SegNet {
    features: Vec<Layer>,
    decoder: [Vec<Layer>; 5],
}

impl SegNetConfig {
    /// A network with fresh weights: He's normal initialization.
    pub fn init(&self, device: &Device) -> SegNet {
        let Self { num_classes, narrower } = *self;
        let mut features = convolutions(Depth::D16, true, narrower, device);
        for layer in &mut features {
            if let Layer::MaxPool(pool) = layer {
                pool.ceil_mode = true;
            }
        }
        // The encoder's channels the other way round; the last of a stage has those of the next.
        let stages: [(usize, &[usize]); 5] = [
            (512, &[512, 512, 512]),
            (512, &[512, 512, 256]),
            (256, &[256, 256, 128]),
            (128, &[128, 64]),
            (64, &[64]),
        ];
        let mut decoder = stages.map(|(input, outputs)| {
            let mut input = input / narrower;
            let mut layers = Vec::new();
            for output in outputs.iter().map(|channels| channels / narrower) {
                let conv = Conv2dConfig::new([input, output], [3, 3]).with_padding(padded(1));
                layers.push(Layer::Conv(conv.with_initializer(KAIMING_FAN_OUT).init(device)));
                layers.push(Layer::Norm(BatchNormConfig::new(output).init(device)));
                layers.push(Layer::Relu(Relu::new()));
                input = output;
            }
            layers
        });
        // The scores are the last stage's second convolution.
        let scores = Conv2dConfig::new([64 / narrower, num_classes], [3, 3]).with_padding(padded(1));
        decoder[4].push(Layer::Conv(scores.with_initializer(KAIMING_FAN_OUT).init(device)));
        SegNet { features, decoder }
    }
}

impl Network for SegNet {
    type Output = LabelLogits;

    /// # Shapes
    /// `[batch, 3, height, width]` (360x480 in the paper), of any size, to logits `[batch, num_classes, height, width]`
    fn forward(&self, images: Tensor<4>) -> LabelLogits {
        let mut x = images;
        let mut pools = Vec::new();
        for stage in self.features.split_inclusive(|layer| matches!(layer, Layer::MaxPool(_))) {
            let [convs @ .., Layer::MaxPool(pool)] = stage else { continue };
            x = sequence(convs, x);
            let [.., height, width] = x.dims();
            let (maxima, places) = pool.forward_with_places(x);
            x = maxima;
            pools.push((places, [height, width]));
        }
        for (stage, (places, size)) in self.decoder.iter().zip(pools.into_iter().rev()) {
            x = sequence(stage, max_unpool(x, places, size));
        }
        x.into()
    }
}

#[cfg(test)]
mod tests {
    use kiln_core::learnable_parameters;

    use super::*;

    #[test]
    fn parameters_are_those_of_the_authors_network() {
        let device = Device::flex();
        // VGG-16's convolutions and their normalizations; the decoder's, with biases, and 2 numbers a normalized channel.
        let encoder = 14_714_688 + 8_448;
        let conv = |from: usize, to: usize| to * (9 * from + 1);
        let decoder = 5 * conv(512, 512) + conv(512, 256) + 2 * conv(256, 256) + conv(256, 128);
        let decoder = decoder + conv(128, 128) + conv(128, 64) + conv(64, 64);
        let norms = 2 * (5 * 512 + 3 * 256 + 2 * 128 + 2 * 64);
        for (num_classes, params) in [(11, 29_449_355), (12, 29_449_932), (21, 29_455_125)] {
            assert_eq!(encoder + decoder + norms + conv(64, num_classes), params);
            let network = SegNetConfig { num_classes, narrower: 1 }.init(&device);
            assert_eq!(learnable_parameters(&network), params);
        }
    }

    #[test]
    fn images_of_any_size_get_labels_of_their_size() {
        let device = Device::flex();
        let network = SegNetConfig { num_classes: 3, narrower: 32 }.init(&device);
        // The paper's have odd sides on the way: 45 -> 23, 23 -> 12, 15 -> 8.
        for [height, width] in [[360, 480], [33, 65], [1, 7], [50, 47]] {
            let logits = network.forward(Tensor::zeros([2, 3, height, width], &device)).main;
            assert_eq!(logits.dims(), [2, 3, height, width]);
        }
    }

    #[test]
    fn a_value_comes_back_to_the_place_of_its_maximum() {
        let device = Device::flex();
        // One pixel of one image is bright. What the decoder's first stage gets back of the deepest pool is where its maxima
        // are, and nowhere else.
        let network = SegNetConfig { num_classes: 2, narrower: 64 }.init(&device);
        let Some(Layer::MaxPool(pool)) = network.features.last() else { panic!("a pool is the last layer") };
        let x = Tensor::<4>::from_data([[[[0., 1., 0.], [0., 0., 7.], [3., 0., 0.]]]], &device);
        let (maxima, places) = pool.forward_with_places(x.clone());
        let back = max_unpool(maxima, places, [3, 3]);
        assert!(back.into_data() == x.into_data());
    }
}
