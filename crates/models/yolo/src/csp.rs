//! CSPDarknet-53: Darknet-53, of whose stages one half goes past the residual blocks; YOLO v4's backbone, and a classifier.
//!
//! Chien-Yao Wang et al., *CSPNet: A New Backbone that can Enhance Learning Capability of CNN*, 2019,
//! <https://arxiv.org/abs/1911.11929>; as YOLOv4 has it (Bochkovskiy et al. 2020, Section 3.4).

use burn::prelude::*;
use kiln_core::Network;
use kiln_nn::{Linear, LinearConfig, cat_channels, global_average};

use crate::block::{Activation, Bottleneck, ConvNorm};

/// Channels and residual blocks of the stages.
const STAGES: [(usize, usize); 5] = [(64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)];

/// The backbone.
#[derive(Module, Debug)]
pub struct CspDarknet53 {
    stem: ConvNorm,
    stages: Vec<Stage>,
}

#[derive(Module, Debug)]
struct Stage {
    down: ConvNorm,
    past: ConvNorm,
    enter: ConvNorm,
    blocks: Vec<Bottleneck>,
    leave: ConvNorm,
    merge: ConvNorm,
}

impl Stage {
    fn new(channels: usize, blocks: usize, device: &Device) -> Self {
        let layer =
            |channels, kernel, stride| ConvNorm::new(channels, kernel, stride, Activation::Mish, device);
        // The first stage is not split: both ways have all its channels.
        let half = if blocks == 1 { channels } else { channels / 2 };
        let inside = channels / 2;
        let block = |_| Bottleneck::new([half, inside, half], [1, 3], true, Activation::Mish, device);
        Self {
            down: layer([channels / 2, channels], 3, 2),
            past: layer([channels, half], 1, 1),
            enter: layer([channels, half], 1, 1),
            blocks: (0..blocks).map(block).collect(),
            leave: layer([half, half], 1, 1),
            merge: layer([2 * half, channels], 1, 1),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.down.forward(x);
        let past = self.past.forward(x.clone());
        let x = self.blocks.iter().fold(self.enter.forward(x), |x, block| block.forward(x));
        self.merge.forward(cat_channels(vec![self.leave.forward(x), past]))
    }
}

impl CspDarknet53 {
    /// With fresh weights.
    pub fn new(device: &Device) -> Self {
        Self {
            stem: ConvNorm::new([3, 32], 3, 1, Activation::Mish, device),
            stages: STAGES.map(|(channels, blocks)| Stage::new(channels, blocks, device)).to_vec(),
        }
    }

    /// # Shapes
    /// `[batch, 3, height, width]` to `c3`, `c4`, `c5` with 256, 512, 1024 channels and sides of 1/8, 1/16, 1/32
    pub fn features(&self, images: Tensor<4>) -> [Tensor<4>; 3] {
        let mut x = self.stem.forward(images);
        let mut levels = Vec::new();
        for stage in &self.stages {
            x = stage.forward(x);
            levels.push(x.clone());
        }
        let [_, _, c3, c4, c5] = levels.try_into().expect("CSPDarknet-53 has five stages");
        [c3, c4, c5]
    }
}

/// CSPDarknet-53 with its classifier.
#[derive(Module, Debug)]
pub struct CspDarknet53Classifier {
    backbone: CspDarknet53,
    fc: Linear,
}

impl CspDarknet53Classifier {
    /// With fresh weights.
    pub fn new(num_classes: usize, device: &Device) -> Self {
        Self { backbone: CspDarknet53::new(device), fc: LinearConfig::new(1024, num_classes).init(device) }
    }
}

impl Network for CspDarknet53Classifier {
    type Output = Tensor<2>;

    /// # Shapes
    /// `[batch, 3, height, width]` (256 as published) to logits `[batch, num_classes]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [.., c5] = self.backbone.features(images);
        self.fc.forward(global_average(c5))
    }
}
