//! Darknet-19 and Darknet-53: the backbones of YOLO v2 and v3, and classifiers in their own right.
//!
//! Joseph Redmon, Ali Farhadi, *YOLO9000: Better, Faster, Stronger*, 2016, <https://arxiv.org/abs/1612.08242>, Table 6, and
//! *YOLOv3: An Incremental Improvement*, 2018, <https://arxiv.org/abs/1804.02767>, Table 1.
//!
//! The fields of every Darknet stand in the order of its file of weights.

use burn::prelude::*;
use kiln_core::Network;
use kiln_nn::{Conv2d, Linear, LinearConfig, global_average};

use crate::block::{Activation, Bottleneck, ConvNorm, alternating, output, pool, sequence};

/// Table 6 of YOLO9000: 3x3 convolutions, every second one 1x1, and a pool after each but the last row.
const DARKNET19: [&[usize]; 6] = [
    &[32],
    &[64],
    &[128, 64, 128],
    &[256, 128, 256],
    &[512, 256, 512, 256, 512],
    &[1024, 512, 1024, 512, 1024],
];

/// The 18 convolutions of Darknet-19 that know no classes.
#[derive(Module, Debug)]
pub struct Darknet19 {
    stages: Vec<Vec<ConvNorm>>,
}

impl Darknet19 {
    /// With fresh weights.
    pub fn new(device: &Device) -> Self {
        let inputs = [3, 32, 64, 128, 256, 512];
        let stages = DARKNET19.iter().zip(inputs);
        Self { stages: stages.map(|(widths, input)| alternating(input, widths, device)).collect() }
    }

    /// # Shapes
    /// `[batch, 3, height, width]` to `c4` `[batch, 512, height / 16, width / 16]` and `c5` `[batch, 1024, height / 32,
    /// width / 32]`
    pub fn features(&self, images: Tensor<4>) -> [Tensor<4>; 2] {
        let (pool, mut x, mut c4) = (pool(2), images, None);
        for (index, stage) in self.stages.iter().enumerate() {
            if index > 0 {
                c4 = Some(x.clone());
                x = pool.forward(x);
            }
            x = sequence(stage, x);
        }
        [c4.expect("Darknet-19 has six stages"), x]
    }
}

/// Table 1 of YOLOv3: after a stem of 32 channels, a convolution of stride 2 to so many, and so many residual blocks.
const DARKNET53: [(usize, usize); 5] = [(64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)];

/// The 52 convolutions of Darknet-53 that know no classes.
#[derive(Module, Debug)]
pub struct Darknet53 {
    stem: ConvNorm,
    stages: Vec<(ConvNorm, Vec<Bottleneck>)>,
}

impl Darknet53 {
    /// With fresh weights.
    pub fn new(device: &Device) -> Self {
        let leaky = Activation::Leaky;
        let stage = |(channels, blocks): (usize, usize)| {
            let block = |_| Bottleneck::new([channels, channels / 2, channels], [1, 3], true, leaky, device);
            (ConvNorm::new([channels / 2, channels], 3, 2, leaky, device), (0..blocks).map(block).collect())
        };
        Self {
            stem: ConvNorm::new([3, 32], 3, 1, leaky, device),
            stages: DARKNET53.into_iter().map(stage).collect(),
        }
    }

    /// # Shapes
    /// `[batch, 3, height, width]` to `c3`, `c4`, `c5` with 256, 512, 1024 channels and sides of 1/8, 1/16, 1/32
    pub fn features(&self, images: Tensor<4>) -> [Tensor<4>; 3] {
        let mut x = self.stem.forward(images);
        let mut levels = Vec::new();
        for (down, blocks) in &self.stages {
            x = blocks.iter().fold(down.forward(x), |x, block| block.forward(x));
            levels.push(x.clone());
        }
        let [_, _, c3, c4, c5] = levels.try_into().expect("Darknet-53 has five stages");
        [c3, c4, c5]
    }
}

/// The convolutions of the small networks of v2 and v3, a pool after each but the last, of which the last keeps the size.
const TINY: [usize; 7] = [16, 32, 64, 128, 256, 512, 1024];

/// The backbone of the small networks of v2 and v3.
#[derive(Module, Debug)]
pub struct DarknetTiny {
    layers: Vec<ConvNorm>,
}

impl DarknetTiny {
    /// With fresh weights.
    pub fn new(device: &Device) -> Self {
        let inputs = [3].into_iter().chain(TINY);
        Self {
            layers: inputs
                .zip(TINY)
                .flat_map(|(input, width)| alternating(input, &[width], device))
                .collect(),
        }
    }

    /// # Shapes
    /// `[batch, 3, height, width]` to `c4` `[batch, 256, height / 16, width / 16]` and `c5` `[batch, 1024, height / 32,
    /// width / 32]`
    pub fn features(&self, images: Tensor<4>) -> [Tensor<4>; 2] {
        let (mut x, mut c4) = (images, None);
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x);
            if index == 4 {
                c4 = Some(x.clone());
            }
            x = match index {
                0..5 => pool(2).forward(x),
                5 => pool(1).forward(x),
                _ => x,
            };
        }
        [c4.expect("there are seven layers"), x]
    }
}

/// Darknet-19 with its classifier: a 1x1 convolution, then the mean over the image.
#[derive(Module, Debug)]
pub struct Darknet19Classifier {
    backbone: Darknet19,
    conv: Conv2d,
}

impl Darknet19Classifier {
    /// With fresh weights.
    pub fn new(num_classes: usize, device: &Device) -> Self {
        Self { backbone: Darknet19::new(device), conv: output([1024, num_classes], device) }
    }
}

impl Network for Darknet19Classifier {
    type Output = Tensor<2>;

    /// # Shapes
    /// `[batch, 3, height, width]` (224 in the paper, then 448) to logits `[batch, num_classes]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [_, c5] = self.backbone.features(images);
        global_average(self.conv.forward(c5))
    }
}

/// Darknet-53 with its classifier.
#[derive(Module, Debug)]
pub struct Darknet53Classifier {
    backbone: Darknet53,
    fc: Linear,
}

impl Darknet53Classifier {
    /// With fresh weights.
    pub fn new(num_classes: usize, device: &Device) -> Self {
        Self { backbone: Darknet53::new(device), fc: LinearConfig::new(1024, num_classes).init(device) }
    }
}

impl Network for Darknet53Classifier {
    type Output = Tensor<2>;

    /// # Shapes
    /// `[batch, 3, height, width]` (256 in the paper) to logits `[batch, num_classes]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [.., c5] = self.backbone.features(images);
        self.fc.forward(global_average(c5))
    }
}
