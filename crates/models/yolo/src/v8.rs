//! YOLO v8: no anchors and no objectness; of every side of a box a distribution over sixteen distances.
//!
//! There is no paper: Glenn Jocher et al., *Ultralytics YOLOv8*, 2023. Written from published facts (layer tables, weight names,
//! equations), not from its source, which has another licence. The distributions are those of Xiang Li et al., *Generalized
//! Focal Loss*, 2020, <https://arxiv.org/abs/2006.04388>, Section 3.

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::activation::softmax;
use kiln_core::{Level, Network, Predictions};
use kiln_nn::{Conv2d, cat_channels, nearest, sigmoid};

use crate::block::{Activation, C2f, ConvNorm, Sppf, output_from};
use crate::v5::{STRIDES, Scale, deepened, scaled};

/// Distances that a side's distribution is over: 0 to 15 cells.
pub const BINS: usize = 16;

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct YoloV8Config {
    /// One of the published sizes.
    pub scale: Scale,
    /// Classes to tell apart.
    pub num_classes: usize,
}

impl YoloV8Config {
    /// What depths and widths are multiplied by, and the most channels before that.
    fn multiples(&self) -> (f64, f64, usize) {
        match self.scale {
            Scale::N => (0.33, 0.25, 1024),
            Scale::S => (0.33, 0.50, 1024),
            Scale::M => (0.67, 0.75, 768),
            Scale::L => (1.00, 1.00, 512),
            Scale::X => (1.00, 1.25, 512),
        }
    }
}

/// YOLO v8.
#[derive(Module, Debug)]
pub struct YoloV8 {
    stem: ConvNorm,
    stages: Vec<(ConvNorm, C2f)>,
    pools: Sppf,
    top4: C2f,
    top3: C2f,
    down4: ConvNorm,
    bottom4: C2f,
    down5: ConvNorm,
    bottom5: C2f,
    head: Head,
}

/// Two branches a level: the sides of the box (`cv2`), and the classes (`cv3`).
#[derive(Module, Debug)]
struct Head {
    cv2: Vec<(ConvNorm, ConvNorm, Conv2d)>,
    cv3: Vec<(ConvNorm, ConvNorm, Conv2d)>,
    dfl: Dfl,
}

/// The mean of a distribution over distances, as a 1x1 convolution by the distances themselves, which nothing learns.
#[derive(Module, Debug)]
struct Dfl {
    conv: Ramp,
}

#[derive(Module, Debug)]
struct Ramp {
    /// `[1, 16, 1, 1]`: 0 to 15.
    weight: Param<Tensor<4>>,
}

impl YoloV8Config {
    /// A network with fresh weights.
    pub fn init(&self, device: &Device) -> YoloV8 {
        let (depth, width, most) = self.multiples();
        let [c1, c2, c3, c4, c5] =
            [64, 128, 256, 512, 1024].map(|channels| scaled(channels.min(most), width));
        let depths = [3, 6, 6, 3].map(|blocks| deepened(blocks, depth));
        let layer = |channels, stride| ConvNorm::new(channels, 3, stride, Activation::Silu, device);
        let stage = |(index, channels): (usize, [usize; 2])| {
            (layer(channels, 2), C2f::new([channels[1]; 2], depths[index], true, device))
        };
        let block = |channels| C2f::new(channels, deepened(3, depth), false, device);
        YoloV8 {
            stem: layer([3, c1], 2),
            stages: [[c1, c2], [c2, c3], [c3, c4], [c4, c5]].into_iter().enumerate().map(stage).collect(),
            pools: Sppf::new(c5, device),
            top4: block([c5 + c4, c4]),
            top3: block([c4 + c3, c3]),
            down4: layer([c3, c3], 2),
            bottom4: block([c3 + c4, c4]),
            down5: layer([c4, c4], 2),
            bottom5: block([c4 + c5, c5]),
            head: Head::new([c3, c4, c5], self.num_classes, device),
        }
    }
}

impl Head {
    fn new(channels: [usize; 3], num_classes: usize, device: &Device) -> Self {
        let sides = (channels[0] / 4).max(4 * BINS);
        let classes = channels[0].max(num_classes.min(100));
        let branch = |input, inside, outputs, bias: f64| {
            let layer = |channels| ConvNorm::new(channels, 3, 1, Activation::Silu, device);
            let last = output_from([inside, outputs], |_| bias, device);
            (layer([input, inside]), layer([inside, inside]), last)
        };
        // Five objects in an image of 640 pixels, of any class.
        let rare = |stride: usize| (5.0 / num_classes as f64 / (640.0 / stride as f64).powi(2)).ln();
        let levels = || channels.into_iter().zip(STRIDES);
        let ramp = Tensor::<1, Int>::arange(0..BINS as i64, &device.clone().without_autodiff()).float();
        let ramp = Param::from_tensor(ramp.reshape([1, BINS, 1, 1])).set_require_grad(false);
        Self {
            cv2: levels().map(|(input, _)| branch(input, sides, 4 * BINS, 1.0)).collect(),
            cv3: levels().map(|(input, stride)| branch(input, classes, num_classes, rare(stride))).collect(),
            dfl: Dfl { conv: Ramp { weight: ramp } },
        }
    }

    /// Of every level the sides' distributions and, behind them, the classes.
    fn maps(&self, levels: [Tensor<4>; 3]) -> Vec<Tensor<4>> {
        let through = |(a, b, c): &(ConvNorm, ConvNorm, Conv2d), x| c.forward(b.forward(a.forward(x)));
        let level = |(index, x): (usize, Tensor<4>)| {
            let sides = through(&self.cv2[index], x.clone());
            cat_channels(vec![sides, through(&self.cv3[index], x)])
        };
        levels.into_iter().enumerate().map(level).collect()
    }

    /// Boxes by their corners: from the middle of its cell, a side is as far as its distribution's mean.
    fn boxes(&self, level: &Level) -> Tensor<3> {
        let ([rows, columns], batch) = (level.grid(), level.map.dims()[0]);
        let predictions = rows * columns;
        let logits = level.map.clone().narrow(1, 0, 4 * BINS).reshape([batch, 4, BINS, predictions]);
        let ramp = self.dfl.conv.weight.val().reshape([1, 1, BINS, 1]);
        let distance = (softmax(logits, 2) * ramp).sum_dim(2).reshape([batch, 4, predictions]);
        let middle = level.cells().map(|cells| (cells + 0.5).reshape([1, 1, predictions]));
        let middle = Tensor::cat(middle.to_vec(), 1);
        let (before, after) = (distance.clone().narrow(1, 0, 2), distance.narrow(1, 2, 2));
        let corners = Tensor::cat(vec![middle.clone() - before, middle + after], 1);
        corners.swap_dims(1, 2) * level.stride as f64
    }
}

impl YoloV8 {
    /// What the head sees.
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` to `p3`, `p4`, `p5` with sides of 1/8, 1/16, 1/32
    pub fn features(&self, images: Tensor<4>) -> [Tensor<4>; 3] {
        let mut x = self.stem.forward(images);
        let mut levels = Vec::new();
        for (down, block) in &self.stages {
            x = block.forward(down.forward(x));
            levels.push(x.clone());
        }
        let [_, c3, c4, c5] = levels.try_into().expect("there are four stages");

        let x5 = self.pools.forward(c5);
        let x4 = self.top4.forward(cat_channels(vec![nearest(x5.clone(), 2), c4]));
        let p3 = self.top3.forward(cat_channels(vec![nearest(x4.clone(), 2), c3]));
        let p4 = self.bottom4.forward(cat_channels(vec![self.down4.forward(p3.clone()), x4]));
        let p5 = self.bottom5.forward(cat_channels(vec![self.down5.forward(p4.clone()), x5]));
        [p3, p4, p5]
    }
}

impl Network for YoloV8 {
    type Output = Predictions;

    /// # Shapes
    /// `[batch, 3, height, width]`, sides multiples of 32 (640 as published), to predictions on grids of 1/8, 1/16 and 1/32,
    /// one in every cell; a map has `4 * 16` channels of sides (left, upper, right, lower) and then the classes
    fn forward(&self, images: Tensor<4>) -> Predictions {
        let maps = self.head.maps(self.features(images)).into_iter().zip(STRIDES);
        let levels: Vec<_> = maps.map(|(map, stride)| Level { map, stride, anchors: Vec::new() }).collect();
        let boxes = levels.iter().map(|level| self.head.boxes(level)).collect();
        let scores = levels.iter().map(|level| sigmoid(classes(level))).collect();
        Predictions { levels, boxes: Tensor::cat(boxes, 1), scores: Tensor::cat(scores, 1) }
    }
}

/// What a level says of the classes, a row a prediction.
fn classes(level: &Level) -> Tensor<3> {
    let [batch, channels, rows, columns] = level.map.dims();
    let num_classes = channels - 4 * BINS;
    let maps = level.map.clone().narrow(1, 4 * BINS, num_classes);
    maps.reshape([batch, num_classes, rows * columns]).swap_dims(1, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_the_mean_of_its_distribution() {
        // Logits of 0 but 2 for a distance of 3 and 3 for one of 4:
        // (3 e^2 + 4 e^3 + 113) / (e^2 + e^3 + 14) = 5.1961767503, 113 being the sum of 0 to 15 without 3 and 4.
        let device = Device::flex();
        let head = Head::new([8, 8, 8], 2, &device);
        let mut map = vec![0.0f32; 66 * 4];
        for side in 0..4 {
            map[(16 * side + 3) * 4 + 1] = 2.0;
            map[(16 * side + 4) * 4 + 1] = 3.0;
        }
        let map = Tensor::from_data(TensorData::new(map, [1, 66, 2, 2]), &device);
        let boxes = head.boxes(&Level { map, stride: 8, anchors: Vec::new() });
        let edges = boxes.narrow(1, 1, 1).into_data().try_to_vec::<f32>().expect("f32");
        let distance = 5.196_176_750_3;
        // Of the cell to the right in the upper row the middle is (1.5, 0.5).
        let expected =
            [1.5 - distance, 0.5 - distance, 1.5 + distance, 0.5 + distance].map(|cells| 8.0 * cells);
        for (edge, expected) in edges.iter().zip(expected) {
            assert!((f64::from(*edge) - expected).abs() < 1e-4, "{edges:?}");
        }
    }
}
