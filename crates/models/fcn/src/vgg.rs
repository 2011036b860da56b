//! The paper's networks on VGG-16: FCN-32s, FCN-16s, FCN-8s.

use burn::prelude::*;
use kiln_core::{LabelLogits, Network};
use kiln_nn::{
    Conv2d, Conv2dConfig, ConvTranspose2d, Dropout, DropoutConfig, KAIMING_FAN_IN, Layer, conv_relu, padded,
};
use kiln_vgg::{Depth, convolutions, pools};

use crate::{cropped, scores};

/// Of how fine a map the labels are made: Section 4.2 and Figure 3 of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// FCN-32s: of the last scores alone.
    S32,
    /// FCN-16s: with scores of the fourth pool.
    S16,
    /// FCN-8s: with scores of the third pool too.
    S8,
    /// FCN-8s that is trained at once, not in stages: the pools are scaled by 0.01 and 0.0001 first (Section 4.3 of the
    /// longer form), as what VGG's pools give is that much larger than the scores.
    S8AtOnce,
}

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct FcnVggConfig {
    /// Of how fine a map the labels are made.
    pub version: Version,
    /// Classes to tell apart.
    pub num_classes: usize,
    /// All channels inside are divided by this. 1 is as published.
    pub narrower: usize,
}

/// The network of Figure 3.
#[derive(Module, Debug)]
pub struct FcnVgg {
    features: Vec<Layer>,
    fc6: Conv2d,
    fc7: Conv2d,
    score_fr: Conv2d,
    skips: Vec<Skip>,
    upscore: ConvTranspose2d,
    dropout: Dropout,
    /// Where the image begins in the enlarged scores.
    offset: usize,
}

/// Scores enlarged twofold, and those of a pool.
#[derive(Module, Debug)]
struct Skip {
    upscore: ConvTranspose2d,
    score: Conv2d,
    scale: f64,
    /// Where the enlarged scores begin in the pool's.
    offset: usize,
}

impl FcnVggConfig {
    /// A network with fresh weights: VGG's as its own, then He's normal initialization, scores of zero, and transposed
    /// convolutions that enlarge bilinearly. The authors begin with a trained VGG, whose linear layers are the first two
    /// convolutions here ([`Linear::as_convolution`](kiln_nn::Linear::as_convolution)).
    pub fn init(&self, device: &Device) -> FcnVgg {
        let Self { version, num_classes, narrower } = *self;
        // The scales of the pools, the finest last; stride and offset of the last enlargement.
        let (scales, stride, offset): (&[f64], _, _) = match version {
            Version::S32 => (&[], 32, 19),
            Version::S16 => (&[1.0], 16, 27),
            Version::S8 => (&[1.0, 1.0], 8, 31),
            Version::S8AtOnce => (&[0.01, 0.0001], 8, 31),
        };
        // Of the fourth pool and of the third.
        let pools = [(512 / narrower, 5), (256 / narrower, 9)];
        let skip = |(scale, (channels, offset)): (&f64, (usize, usize))| Skip {
            upscore: ConvTranspose2d::bilinear(num_classes, 4, 2, device),
            score: scores([channels, num_classes], device),
            scale: *scale,
            offset,
        };
        let hidden = 4096 / narrower;
        let conv = |channels, kernel| {
            Conv2dConfig::new(channels, [kernel; 2]).with_initializer(KAIMING_FAN_IN).init(device)
        };
        FcnVgg {
            features: features(narrower, device),
            fc6: conv([512 / narrower, hidden], 7),
            fc7: conv([hidden; 2], 1),
            score_fr: scores([hidden, num_classes], device),
            skips: scales.iter().zip(pools).map(skip).collect(),
            upscore: ConvTranspose2d::bilinear(num_classes, 2 * stride, stride, device),
            dropout: DropoutConfig::new(0.5).init(),
            offset,
        }
    }
}

/// VGG-16's convolutions with a hundred zeros around the images, and pools that round sizes up, as Caffe's.
fn features(narrower: usize, device: &Device) -> Vec<Layer> {
    let mut features = convolutions(Depth::D16, false, narrower, device);
    for layer in &mut features {
        if let Layer::MaxPool(pool) = layer {
            pool.ceil_mode = true;
        }
    }
    if let Some(Layer::Conv(first)) = features.first_mut() {
        first.padding = padded(100);
    }
    features
}

impl Network for FcnVgg {
    type Output = LabelLogits;

    /// # Shapes
    /// `[batch, 3, height, width]`, of any size, to logits `[batch, num_classes, height, width]`
    fn forward(&self, images: Tensor<4>) -> LabelLogits {
        let [.., height, width] = images.dims();
        let [_, _, p3, p4, p5] = pools(&self.features, images);
        let x = self.dropout.forward(conv_relu(&self.fc6, p5));
        let x = self.dropout.forward(conv_relu(&self.fc7, x));
        let x = self.score_fr.forward(x);
        let x = self.skips.iter().zip([p4, p3]).fold(x, |x, (skip, pool)| skip.forward(x, pool));
        cropped(self.upscore.forward(x), self.offset, [height, width]).into()
    }
}

impl Skip {
    fn forward(&self, x: Tensor<4>, pool: Tensor<4>) -> Tensor<4> {
        let x = self.upscore.forward(x);
        let [.., height, width] = x.dims();
        let pool = if self.scale == 1.0 { pool } else { pool * self.scale };
        x + cropped(self.score.forward(pool), self.offset, [height, width])
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::tensor::{Distribution, Tolerance};
    use kiln_core::learnable_parameters;
    use kiln_nn::{LinearConfig, relu, sequence};

    use super::*;

    const VERSIONS: [Version; 4] = [Version::S32, Version::S16, Version::S8, Version::S8AtOnce];

    #[test]
    fn parameters_are_those_of_the_authors_networks() {
        let device = Device::flex();
        // VGG-16 of configuration D without its last layer has 138,357,544 - 4,097,000 = 134,260,544, and a score of 4,096
        // channels 21 * 4,097 = 86,037. A pool's score has 21 * (512 + 1) or 21 * (256 + 1), an enlargement 21 * 21 * k * k.
        let (base, pool4, pool3) = (134_260_544 + 86_037, 21 * 513, 21 * 257);
        assert_eq!([base, base + pool4, base + pool4 + pool3], [134_346_581, 134_357_354, 134_362_751]);
        let up = |kernel: usize| 21 * 21 * kernel * kernel;
        let rows = [base + up(64), base + pool4 + up(4) + up(32), base + pool4 + pool3 + 2 * up(4) + up(16)];
        assert_eq!(rows, [136_152_917, 134_815_994, 134_489_759]);
        for (version, params) in VERSIONS.into_iter().zip([rows[0], rows[1], rows[2], rows[2]]) {
            let network = FcnVggConfig { version, num_classes: 21, narrower: 1 }.init(&device);
            assert_eq!(learnable_parameters(&network), params, "{version:?}");
        }
    }

    /// A pixel of a map lies at `scale * x + shift` of its input: `Map(scale, shift)`. As Caffe's coord_map.py has it.
    #[derive(Clone, Copy)]
    struct Map(f64, f64);

    impl Map {
        fn conv(self, kernel: f64, padding: f64) -> Self {
            self.then(1.0, (kernel - 1.0) / 2.0 - padding)
        }
        fn pool(self) -> Self {
            self.then(2.0, 0.5)
        }
        /// The other way round: `x` of the input lies at `stride * x + (kernel - 1) / 2` of the output.
        fn up(self, kernel: f64, stride: f64) -> Self {
            self.then(1.0 / stride, -(kernel - 1.0) / 2.0 / stride)
        }
        fn then(self, scale: f64, shift: f64) -> Self {
            Self(self.0 * scale, self.0 * shift + self.1)
        }
    }

    #[test]
    fn offsets_put_scores_over_the_pixels_they_are_of() {
        let device = Device::flex();
        let images = Map(1.0, 0.0);
        let p3 = images.conv(3.0, 100.0).pool().pool().pool();
        let p4 = p3.pool();
        let scores = p4.pool().conv(7.0, 0.0);
        // Offset of a map in another of the same scale: where its first pixel lies there.
        let within = |map: Map, other: Map| (map.1 - other.1) / other.0;
        let twice = scores.up(4.0, 2.0);
        let fourfold = Map(twice.0, twice.1).up(4.0, 2.0);
        let offsets = [within(twice, p4), within(fourfold, p3)];
        let finals = [scores.up(64.0, 32.0), twice.up(32.0, 16.0), fourfold.up(16.0, 8.0)];
        assert_eq!(offsets, [5.0, 9.0]);
        assert_eq!(finals.map(|map| (map.0, -map.1)), [(1.0, 19.0), (1.0, 27.0), (1.0, 31.0)]);
        for (version, offset) in VERSIONS.into_iter().zip([19, 27, 31, 31]) {
            let network = FcnVggConfig { version, num_classes: 2, narrower: 64 }.init(&device);
            assert_eq!(network.offset, offset);
            let skips: Vec<usize> = network.skips.iter().map(|skip| skip.offset).collect();
            assert_eq!(skips, [5, 9][..skips.len()], "{version:?}");
        }
    }

    #[test]
    fn an_image_of_500_pixels_has_the_sizes_of_the_authors_network() {
        let device = Device::flex();
        let network = FcnVggConfig { version: Version::S8, num_classes: 3, narrower: 64 }.init(&device);
        let pools = pools(&network.features, Tensor::zeros([1, 3, 500, 500], &device));
        assert_eq!(pools.each_ref().map(|x| x.dims()[2]), [349, 175, 88, 44, 22]);
        let [.., p5] = pools;
        let x = network.score_fr.forward(network.fc7.forward(network.fc6.forward(p5)));
        assert_eq!(x.dims(), [1, 3, 16, 16]);
        // 34 of the fourth pool's 44, 70 of the third's 88.
        let x = network.skips[0].upscore.forward(x);
        assert_eq!(x.dims(), [1, 3, 34, 34]);
        let x = network.skips[1].upscore.forward(x);
        assert_eq!(x.dims(), [1, 3, 70, 70]);
        assert_eq!(network.upscore.forward(x).dims(), [1, 3, 568, 568]);
    }

    /// Where every score is a line over the image's places, the labels are that line: so the offsets are right for images
    /// too, not only on paper.
    #[test]
    fn scores_come_back_to_the_place_they_are_of() {
        let device = Device::flex();
        for (version, stride) in VERSIONS.into_iter().zip([32.0, 16.0, 8.0, 8.0]) {
            let network = FcnVggConfig { version, num_classes: 1, narrower: 64 }.init(&device);
            // The map that the last enlargement gets, of an image of 64 pixels, and the place of its pixels in the image:
            // an enlargement puts pixel i at stride * i + (2 * stride - 1) / 2 of its output.
            let count = (64.0 / stride) as usize + 8;
            let place = |pixel: f64| stride * pixel + stride - 0.5 - network.offset as f64;
            let line: Vec<f32> = (0..count).map(|pixel| place(pixel as f64) as f32).collect();
            let line = Tensor::<1>::from_floats(line.as_slice(), &device).reshape([1, 1, 1, count]);
            let up = network.upscore.forward(line.expand([1, 1, count, count]));
            let labels = cropped(up, network.offset, [64, 64]);
            // Inside, beyond the reach of the border's missing neighbours.
            let inside: Vec<f32> = labels.narrow(2, 32, 1).flatten::<1>(0, 3).into_data().iter().collect();
            for (x, value) in inside.into_iter().enumerate().skip(14) {
                assert!((value - x as f32).abs() < 1e-3, "{version:?} {x}: {value}");
            }
        }
    }

    #[test]
    fn linear_layers_as_convolutions_say_the_same() {
        let device = Device::flex();
        device.seed(1);
        let narrower = 8;
        let features = convolutions(Depth::D16, false, narrower, &device);
        let linear = |from: usize, to: usize| LinearConfig::new(from, to).init(&device);
        let (fc6, fc7, fc8) = (linear(512 / narrower * 49, 96), linear(96, 80), linear(80, 21));
        let images = Tensor::random([2, 3, 224, 224], Distribution::Normal(0.0, 1.0), &device);
        let x = sequence(&features, images);
        let hidden = relu(fc7.forward(relu(fc6.forward(x.clone().flatten::<2>(1, 3)))));
        let classes = fc8.forward(hidden);
        let everywhere = conv_relu(&fc7.as_convolution(1), conv_relu(&fc6.as_convolution(7), x));
        let everywhere = fc8.as_convolution(1).forward(everywhere);
        assert_eq!(everywhere.dims(), [2, 21, 1, 1]);
        let tolerance = Tolerance::<f32>::rel_abs(1e-4, 1e-4);
        everywhere.flatten::<2>(1, 3).into_data().assert_approx_eq(&classes.into_data(), tolerance);
    }

    #[test]
    fn at_once_is_the_same_network_with_smaller_pools() {
        let device = Device::flex();
        device.seed(2);
        let config = |version| FcnVggConfig { version, num_classes: 3, narrower: 32 };
        let mut network = config(Version::S8).init(&device);
        let weights = |dims: [usize; 4]| Tensor::random(dims, Distribution::Normal(0.0, 1.0), &device);
        for conv in network.skips.iter_mut().map(|skip| &mut skip.score) {
            conv.weight = Param::from_tensor(weights(conv.weight.dims()));
        }
        let mut at_once = config(Version::S8AtOnce).init(&device);
        at_once = at_once.load_record(network.clone().into_record());
        let images = Tensor::random([1, 3, 40, 40], Distribution::Default, &device);
        let [staged, small] = [network.forward(images.clone()).main, at_once.forward(images.clone()).main];
        assert!((staged - small.clone()).abs().max().into_scalar::<f32>() > 1e-3);
        // The scores' weights that much smaller say the same.
        for (skip, scale) in network.skips.iter_mut().zip([0.01, 0.0001]) {
            skip.score.weight = Param::from_tensor(skip.score.weight.val() * scale);
        }
        let scaled = network.forward(images).main;
        small.into_data().assert_approx_eq(&scaled.into_data(), Tolerance::<f32>::rel_abs(1e-3, 1e-6));
    }
}
