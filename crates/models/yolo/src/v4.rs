//! YOLO v4: CSPDarknet-53, a pyramid of pools, and a neck that goes down and up again.
//!
//! Alexey Bochkovskiy, Chien-Yao Wang, Hong-Yuan Mark Liao, *YOLOv4: Optimal Speed and Accuracy of Object Detection*, 2020,
//! <https://arxiv.org/abs/2004.10934>; the neck is Liu et al.'s *Path Aggregation Network*, 2018, with maps laid side by side in
//! place of their sums. Here as in `yolov4.cfg` and `yolov4-tiny.cfg`, whose files' order is the fields'.

use burn::prelude::*;
use kiln_core::{Level, Network, Predictions};
use kiln_nn::{Conv2d, cat_channels, halves, nearest};

use crate::block::{Activation, ConvNorm, output, pool, pyramid, sequence};
use crate::csp::CspDarknet53;
use crate::v3::{TINY_ANCHORS, decoded};

/// Width and height in pixels, the finest level first.
const ANCHORS: [[[f32; 2]; 3]; 3] = [
    [[12.0, 16.0], [19.0, 36.0], [40.0, 28.0]],
    [[36.0, 75.0], [76.0, 55.0], [72.0, 146.0]],
    [[142.0, 110.0], [192.0, 243.0], [459.0, 401.0]],
];
/// How far a centre can lie outside its cell, the finest level first (`scale_x_y`).
const STRETCH: [f64; 3] = [1.2, 1.1, 1.05];

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct YoloV4Config {
    /// Classes to tell apart.
    pub num_classes: usize,
}

/// YOLO v4.
#[derive(Module, Debug)]
pub struct YoloV4 {
    backbone: CspDarknet53,
    before_pools: Vec<ConvNorm>,
    after_pools: Vec<ConvNorm>,
    up4: ConvNorm,
    side4: ConvNorm,
    top4: Vec<ConvNorm>,
    up3: ConvNorm,
    side3: ConvNorm,
    top3: Vec<ConvNorm>,
    head3: (ConvNorm, Conv2d),
    down4: ConvNorm,
    bottom4: Vec<ConvNorm>,
    head4: (ConvNorm, Conv2d),
    down5: ConvNorm,
    bottom5: Vec<ConvNorm>,
    head5: (ConvNorm, Conv2d),
    num_classes: usize,
}

impl YoloV4Config {
    /// A network with fresh weights.
    pub fn init(&self, device: &Device) -> YoloV4 {
        let layer =
            |channels, kernel, stride| ConvNorm::new(channels, kernel, stride, Activation::Leaky, device);
        // So many convolutions, 1x1 and 3x3 in turn, to a width and to twice that.
        let block = |mut input: usize, width: usize, depth: usize| -> Vec<ConvNorm> {
            let one = |index: usize| {
                let (kernel, output) = if index.is_multiple_of(2) { (1, width) } else { (3, 2 * width) };
                let layer = layer([input, output], kernel, 1);
                input = output;
                layer
            };
            (0..depth).map(one).collect()
        };
        let outputs = 3 * (5 + self.num_classes);
        let head = |width: usize| (layer([width, 2 * width], 3, 1), output([2 * width, outputs], device));
        YoloV4 {
            backbone: CspDarknet53::new(device),
            before_pools: block(1024, 512, 3),
            after_pools: block(2048, 512, 3),
            up4: layer([512, 256], 1, 1),
            side4: layer([512, 256], 1, 1),
            top4: block(512, 256, 5),
            up3: layer([256, 128], 1, 1),
            side3: layer([256, 128], 1, 1),
            top3: block(256, 128, 5),
            head3: head(128),
            down4: layer([128, 256], 3, 2),
            bottom4: block(512, 256, 5),
            head4: head(256),
            down5: layer([256, 512], 3, 2),
            bottom5: block(1024, 512, 5),
            head5: head(512),
            num_classes: self.num_classes,
        }
    }
}

impl Network for YoloV4 {
    type Output = Predictions;

    /// # Shapes
    /// `[batch, 3, height, width]`, sides multiples of 32 (608 as published), to predictions on grids of 1/8, 1/16 and 1/32,
    /// three in every cell
    fn forward(&self, images: Tensor<4>) -> Predictions {
        let [c3, c4, c5] = self.backbone.features(images);
        let x5 = sequence(&self.before_pools, c5);
        let x5 = sequence(&self.after_pools, pyramid(x5, &[13, 9, 5]));

        let up = nearest(self.up4.forward(x5.clone()), 2);
        let x4 = sequence(&self.top4, cat_channels(vec![self.side4.forward(c4), up]));
        let up = nearest(self.up3.forward(x4.clone()), 2);
        let x3 = sequence(&self.top3, cat_channels(vec![self.side3.forward(c3), up]));

        let x4 = sequence(&self.bottom4, cat_channels(vec![self.down4.forward(x3.clone()), x4]));
        let x5 = sequence(&self.bottom5, cat_channels(vec![self.down5.forward(x4.clone()), x5]));

        let map = |(wide, out): &(ConvNorm, Conv2d), x| out.forward(wide.forward(x));
        let maps = [map(&self.head3, x3), map(&self.head4, x4), map(&self.head5, x5)];
        let levels = maps.into_iter().zip([8, 16, 32]).zip(ANCHORS);
        let levels = levels.map(|((map, stride), anchors)| Level { map, stride, anchors: anchors.to_vec() });
        decoded(levels.collect(), &STRETCH, self.num_classes)
    }
}

/// `yolov4-tiny.cfg`.
#[derive(Module, Debug)]
pub struct YoloV4Tiny {
    stem: (ConvNorm, ConvNorm),
    stages: Vec<TinyStage>,
    deep: ConvNorm,
    reduce: ConvNorm,
    head5: (ConvNorm, Conv2d),
    up4: ConvNorm,
    head4: (ConvNorm, Conv2d),
    num_classes: usize,
}

/// The second half of the channels goes through two convolutions, whose outputs are joined, and then beside all of them.
#[derive(Module, Debug)]
struct TinyStage {
    enter: ConvNorm,
    first: ConvNorm,
    second: ConvNorm,
    merge: ConvNorm,
}

impl TinyStage {
    fn new(channels: usize, device: &Device) -> Self {
        let layer = |channels, kernel| ConvNorm::new(channels, kernel, 1, Activation::Leaky, device);
        let half = channels / 2;
        Self {
            enter: layer([channels, channels], 3),
            first: layer([half, half], 3),
            second: layer([half, half], 3),
            merge: layer([channels, channels], 1),
        }
    }

    /// What goes on, with twice the channels and half the size, and the last map before it.
    fn forward(&self, x: Tensor<4>) -> [Tensor<4>; 2] {
        let x = self.enter.forward(x);
        let [_, half] = halves(x.clone());
        let first = self.first.forward(half);
        let second = self.second.forward(first.clone());
        let merged = self.merge.forward(cat_channels(vec![second, first]));
        [pool(2).forward(cat_channels(vec![x, merged.clone()])), merged]
    }
}

impl YoloV4Config {
    /// The small network with fresh weights.
    pub fn init_tiny(&self, device: &Device) -> YoloV4Tiny {
        let layer =
            |channels, kernel, stride| ConvNorm::new(channels, kernel, stride, Activation::Leaky, device);
        let outputs = 3 * (5 + self.num_classes);
        YoloV4Tiny {
            stem: (layer([3, 32], 3, 2), layer([32, 64], 3, 2)),
            stages: [64, 128, 256].map(|channels| TinyStage::new(channels, device)).to_vec(),
            deep: layer([512, 512], 3, 1),
            reduce: layer([512, 256], 1, 1),
            head5: (layer([256, 512], 3, 1), output([512, outputs], device)),
            up4: layer([256, 128], 1, 1),
            head4: (layer([128 + 256, 256], 3, 1), output([256, outputs], device)),
            num_classes: self.num_classes,
        }
    }
}

impl Network for YoloV4Tiny {
    type Output = Predictions;

    /// # Shapes
    /// `[batch, 3, height, width]`, sides multiples of 32, to predictions on grids of 1/16 and 1/32, three in every cell
    fn forward(&self, images: Tensor<4>) -> Predictions {
        let (mut x, mut c4) = (self.stem.1.forward(self.stem.0.forward(images)), None);
        for stage in &self.stages {
            let [next, merged] = stage.forward(x);
            (x, c4) = (next, Some(merged));
        }
        let x = self.reduce.forward(self.deep.forward(x));
        let p5 = self.head5.1.forward(self.head5.0.forward(x.clone()));
        let x = nearest(self.up4.forward(x), 2);
        let x = cat_channels(vec![x, c4.expect("there are three stages")]);
        let p4 = self.head4.1.forward(self.head4.0.forward(x));
        // The finer level's anchors begin with the second, as the authors have it.
        let [small, large] = [&TINY_ANCHORS[1..4], &TINY_ANCHORS[3..]];
        let levels = [(p4, 16, small), (p5, 32, large)].map(|(map, stride, anchors)| Level {
            map,
            stride,
            anchors: anchors.to_vec(),
        });
        decoded(levels.to_vec(), &[1.05; 2], self.num_classes)
    }
}
