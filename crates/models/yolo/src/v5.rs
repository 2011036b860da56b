//! YOLO v5, of version 6.0 and later.
//!
//! There is no paper: Glenn Jocher, *YOLOv5*, 2020, <https://doi.org/10.5281/zenodo.3908559>. Written from published facts (layer
//! tables, weight names, equations), not from its source, which has another licence.

use burn::prelude::*;
use kiln_core::{Level, Network, Predictions, corners, rows};
use kiln_nn::{Conv2d, Conv2dConfig, cat_channels, nearest, padded, sigmoid};

use crate::block::{Activation, C3, ConvNorm, Sppf, numbers, output_from};
use crate::v2::sizes;
use crate::v3::{ANCHORS, class_rows};

pub(crate) const STRIDES: [usize; 3] = [8, 16, 32];

/// The published sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Nano.
    N,
    /// Small.
    S,
    /// Medium.
    M,
    /// Large.
    L,
    /// Extra large.
    X,
}

impl Scale {
    /// What the depth of every part and the width of every layer are multiplied by.
    fn multiples(self) -> (f64, f64) {
        match self {
            Self::N => (0.33, 0.25),
            Self::S => (0.33, 0.50),
            Self::M => (0.67, 0.75),
            Self::L => (1.00, 1.00),
            Self::X => (1.33, 1.25),
        }
    }
}

/// A multiple of a width, rounded up to one of 8.
pub(crate) fn scaled(width: usize, by: f64) -> usize {
    (width as f64 * by / 8.0).ceil() as usize * 8
}

/// A multiple of a depth, at least 1.
pub(crate) fn deepened(depth: usize, by: f64) -> usize {
    ((depth as f64 * by).round() as usize).max(1)
}

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct YoloV5Config {
    /// One of the published sizes.
    pub scale: Scale,
    /// Classes to tell apart.
    pub num_classes: usize,
}

/// YOLO v5.
#[derive(Module, Debug)]
pub struct YoloV5 {
    stem: ConvNorm,
    stages: Vec<(ConvNorm, C3)>,
    pools: Sppf,
    up4: ConvNorm,
    top4: C3,
    up3: ConvNorm,
    top3: C3,
    down4: ConvNorm,
    bottom4: C3,
    down5: ConvNorm,
    bottom5: C3,
    head: Vec<Conv2d>,
    num_classes: usize,
}

impl YoloV5Config {
    /// A network with fresh weights.
    pub fn init(&self, device: &Device) -> YoloV5 {
        let (depth, width) = self.scale.multiples();
        let [c1, c2, c3, c4, c5] = [64, 128, 256, 512, 1024].map(|channels| scaled(channels, width));
        let depths = [3, 6, 9, 3].map(|blocks| deepened(blocks, depth));
        let layer =
            |channels, kernel, stride| ConvNorm::new(channels, kernel, stride, Activation::Silu, device);
        let stage = |(index, channels): (usize, [usize; 2])| {
            (layer(channels, 3, 2), C3::new([channels[1]; 2], depths[index], true, device))
        };
        let block = |channels| C3::new(channels, deepened(3, depth), false, device);
        let stem =
            Conv2dConfig::new([3, c1], [6, 6]).with_stride([2, 2]).with_padding(padded(2)).with_bias(false);
        let numbers = 5 + self.num_classes;
        let last = |(channels, stride): (usize, usize)| {
            // Eight objects in an image of 640 pixels, of any class.
            let rare = (8.0 / (640.0 / stride as f64).powi(2)).ln();
            let class = (0.6 / (self.num_classes as f64 - 0.99999)).ln();
            let bias = |output: usize| match output % numbers {
                0..4 => 0.0,
                4 => rare,
                _ => class,
            };
            output_from([channels, 3 * numbers], bias, device)
        };
        YoloV5 {
            stem: ConvNorm::of(stem, Activation::Silu, device),
            stages: [[c1, c2], [c2, c3], [c3, c4], [c4, c5]].into_iter().enumerate().map(stage).collect(),
            pools: Sppf::new(c5, device),
            up4: layer([c5, c4], 1, 1),
            top4: block([2 * c4, c4]),
            up3: layer([c4, c3], 1, 1),
            top3: block([2 * c3, c3]),
            down4: layer([c3, c3], 3, 2),
            bottom4: block([2 * c3, c4]),
            down5: layer([c4, c4], 3, 2),
            bottom5: block([2 * c4, c5]),
            head: [c3, c4, c5].into_iter().zip(STRIDES).map(last).collect(),
            num_classes: self.num_classes,
        }
    }
}

impl Network for YoloV5 {
    type Output = Predictions;

    /// # Shapes
    /// `[batch, 3, height, width]`, sides multiples of 32 (640 as published), to predictions on grids of 1/8, 1/16 and 1/32,
    /// three in every cell
    fn forward(&self, images: Tensor<4>) -> Predictions {
        let mut x = self.stem.forward(images);
        let mut levels = Vec::new();
        for (down, block) in &self.stages {
            x = block.forward(down.forward(x));
            levels.push(x.clone());
        }
        let [_, c3, c4, c5] = levels.try_into().expect("there are four stages");

        let x5 = self.up4.forward(self.pools.forward(c5));
        let x4 = self.top4.forward(cat_channels(vec![nearest(x5.clone(), 2), c4]));
        let x4 = self.up3.forward(x4);
        let p3 = self.top3.forward(cat_channels(vec![nearest(x4.clone(), 2), c3]));
        let p4 = self.bottom4.forward(cat_channels(vec![self.down4.forward(p3.clone()), x4]));
        let p5 = self.bottom5.forward(cat_channels(vec![self.down5.forward(p4.clone()), x5]));

        let maps = self.head.iter().zip([p3, p4, p5]).map(|(head, x)| head.forward(x));
        let levels = maps.zip(STRIDES).zip(ANCHORS);
        let levels = levels.map(|((map, stride), anchors)| Level { map, stride, anchors: anchors.to_vec() });
        decoded(levels.collect(), self.num_classes)
    }
}

/// What the maps mean: a centre up to half a cell outside its own, `2 σ(t) - 1/2`, and at most four times an anchor's size,
/// `(2 σ(t))²`.
fn decoded(levels: Vec<Level>, num_classes: usize) -> Predictions {
    let each = levels.iter().map(|level| {
        let maps = sigmoid(level.by_anchor());
        let [x, y, w, h, o] = numbers(&maps);
        let [anchor_width, anchor_height] = sizes(level);
        let [column, row] = level.cells();
        let centre = |s: Tensor<4>, cell| (s * 2.0 - 0.5 + cell) * level.stride as f64;
        let size = |s: Tensor<4>, anchor| s.clone() * s * 4.0 * anchor;
        let boxes =
            corners([centre(x, column), centre(y, row), size(w, anchor_width), size(h, anchor_height)]);
        (boxes, class_rows(maps, num_classes) * rows([o]))
    });
    let (boxes, scores) = each.unzip::<_, _, Vec<_>, Vec<_>>();
    Predictions { levels, boxes: Tensor::cat(boxes, 1), scores: Tensor::cat(scores, 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_where_the_equations_put_it() {
        // t = (0.2, -0.3, 0.1, 0.4) in cell (6, 4), stride 16, anchor (62, 45):
        // 16 (2 σ(0.2) - 0.5 + 6) = 105.594688, 69.617843, 62 (2 σ(0.1))² = 68.349581, 64.516844.
        let mut map = vec![0.0f32; 18 * 8 * 8];
        for (channel, value) in [0.2, -0.3, 0.1, 0.4].into_iter().enumerate() {
            map[((6 + channel) * 8 + 4) * 8 + 6] = value;
        }
        let map = Tensor::from_data(TensorData::new(map, [1, 18, 8, 8]), &Device::flex());
        let level = Level { map, stride: 16, anchors: ANCHORS[1].to_vec() };
        let boxes = decoded(vec![level], 1).boxes;
        let edges = boxes.narrow(1, 64 + 4 * 8 + 6, 1).into_data().try_to_vec::<f32>().expect("f32");
        let (x, y, w, h) = (105.594_688, 69.617_843, 68.349_581, 64.516_844);
        for (edge, expected) in edges.iter().zip([x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0]) {
            assert!((f64::from(*edge) - expected).abs() < 1e-4, "{edges:?}");
        }
    }
}
