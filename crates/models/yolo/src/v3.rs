//! YOLO v3: three levels, from a pyramid, and a logistic classifier for every class.
//!
//! Joseph Redmon, Ali Farhadi, *YOLOv3: An Incremental Improvement*, 2018, <https://arxiv.org/abs/1804.02767>.
//!
//! [`Neck::Pyramid`] is `yolov3.cfg`, [`Neck::Pooled`] `yolov3-spp.cfg`. The fields stand in the order of Darknet's files, so
//! that the coarsest level comes first.

use burn::prelude::*;
use kiln_core::{Level, Network, Predictions, corners, rows};
use kiln_nn::{Conv2d, cat_channels, nearest, sigmoid};

use crate::block::{Activation, ConvNorm, numbers, output, pyramid, sequence};
use crate::darknet::{Darknet53, DarknetTiny};
use crate::v2::sizes;

/// Width and height in pixels, the finest level first; v5's too.
pub const ANCHORS: [[[f32; 2]; 3]; 3] = [
    [[10.0, 13.0], [16.0, 30.0], [33.0, 23.0]],
    [[30.0, 61.0], [62.0, 45.0], [59.0, 119.0]],
    [[116.0, 90.0], [156.0, 198.0], [373.0, 326.0]],
];

/// What stands before the coarsest level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neck {
    /// Five convolutions, as before the others.
    Pyramid,
    /// A pyramid of pools among them.
    Pooled,
}

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct YoloV3Config {
    /// What stands before the coarsest level.
    pub neck: Neck,
    /// Classes to tell apart.
    pub num_classes: usize,
}

/// YOLO v3.
#[derive(Module, Debug)]
pub struct YoloV3 {
    backbone: Darknet53,
    p5: Stage,
    up4: ConvNorm,
    p4: Stage,
    up3: ConvNorm,
    p3: Stage,
    num_classes: usize,
}

/// Five convolutions, of which two levels go on, and the head.
#[derive(Module, Debug)]
struct Stage {
    before: Vec<ConvNorm>,
    after: Vec<ConvNorm>,
    wide: ConvNorm,
    out: Conv2d,
    pooled: bool,
}

impl Stage {
    fn new([input, width]: [usize; 2], outputs: usize, neck: Neck, device: &Device) -> Self {
        let layer = |channels, kernel| ConvNorm::new(channels, kernel, 1, Activation::Leaky, device);
        let narrow = |input| {
            vec![layer([input, width], 1), layer([width, 2 * width], 3), layer([2 * width, width], 1)]
        };
        let pooled = neck == Neck::Pooled;
        let after = match pooled {
            // The fourth convolution takes the pools beside the map and is 1x1; one more 3x3 and 1x1 follow.
            true => narrow(4 * width),
            false => vec![layer([width, 2 * width], 3), layer([2 * width, width], 1)],
        };
        Self {
            before: narrow(input),
            after,
            wide: layer([width, 2 * width], 3),
            out: output([2 * width, outputs], device),
            pooled,
        }
    }

    /// What goes on to the finer level, and the map.
    fn forward(&self, x: Tensor<4>) -> [Tensor<4>; 2] {
        let x = sequence(&self.before, x);
        let x = if self.pooled { pyramid(x, &[13, 9, 5]) } else { x };
        let x = sequence(&self.after, x);
        let map = self.out.forward(self.wide.forward(x.clone()));
        [x, map]
    }
}

impl YoloV3Config {
    /// A network with fresh weights.
    pub fn init(&self, device: &Device) -> YoloV3 {
        let outputs = 3 * (5 + self.num_classes);
        let up = |channels| ConvNorm::new(channels, 1, 1, Activation::Leaky, device);
        YoloV3 {
            backbone: Darknet53::new(device),
            p5: Stage::new([1024, 512], outputs, self.neck, device),
            up4: up([512, 256]),
            p4: Stage::new([256 + 512, 256], outputs, Neck::Pyramid, device),
            up3: up([256, 128]),
            p3: Stage::new([128 + 256, 128], outputs, Neck::Pyramid, device),
            num_classes: self.num_classes,
        }
    }
}

impl Network for YoloV3 {
    type Output = Predictions;

    /// # Shapes
    /// `[batch, 3, height, width]`, sides multiples of 32 (416 in the paper), to predictions on grids of 1/8, 1/16 and 1/32,
    /// three in every cell
    fn forward(&self, images: Tensor<4>) -> Predictions {
        let [c3, c4, c5] = self.backbone.features(images);
        let [x, p5] = self.p5.forward(c5);
        let x = nearest(self.up4.forward(x), 2);
        let [x, p4] = self.p4.forward(cat_channels(vec![x, c4]));
        let x = nearest(self.up3.forward(x), 2);
        let [_, p3] = self.p3.forward(cat_channels(vec![x, c3]));
        let levels = [(p3, 8, ANCHORS[0]), (p4, 16, ANCHORS[1]), (p5, 32, ANCHORS[2])];
        let levels = levels.map(|(map, stride, anchors)| Level { map, stride, anchors: anchors.to_vec() });
        decoded(levels.to_vec(), &[1.0; 3], self.num_classes)
    }
}

/// What the maps mean: as in v2, and of every class a logistic. `stretch` is v4's: `x = stretch σ(t) - (stretch - 1) / 2`, so
/// that a centre can lie on the edge of its cell.
pub(crate) fn decoded(levels: Vec<Level>, stretch: &[f64], num_classes: usize) -> Predictions {
    let each = levels.iter().zip(stretch).map(|(level, stretch)| {
        let maps = level.by_anchor();
        let [x, y, w, h, o] = numbers(&maps);
        let [prior_width, prior_height] = sizes(level);
        let [column, row] = level.cells();
        let centre = |t, cell| (sigmoid(t) * *stretch - (stretch - 1.0) / 2.0 + cell) * level.stride as f64;
        let boxes =
            corners([centre(x, column), centre(y, row), w.exp() * prior_width, h.exp() * prior_height]);
        let classes = sigmoid(class_rows(maps, num_classes));
        (boxes, classes * rows([sigmoid(o)]))
    });
    let (boxes, scores) = each.unzip::<_, _, Vec<_>, Vec<_>>();
    Predictions { levels, boxes: Tensor::cat(boxes, 1), scores: Tensor::cat(scores, 1) }
}

/// What the maps say of the classes, a row a prediction.
///
/// # Shapes
/// `[batch, anchors, 5 + num_classes, rows, columns]` to `[batch, predictions, num_classes]`
pub(crate) fn class_rows(maps: Tensor<5>, num_classes: usize) -> Tensor<3> {
    let [batch, anchors, _, height, width] = maps.dims();
    let classes = maps.narrow(2, 5, num_classes).permute([0, 1, 3, 4, 2]);
    classes.reshape([batch, anchors * height * width, num_classes])
}

/// Anchors of the small network and of v4's.
pub(crate) const TINY_ANCHORS: [[f32; 2]; 6] =
    [[10.0, 14.0], [23.0, 27.0], [37.0, 58.0], [81.0, 82.0], [135.0, 169.0], [344.0, 319.0]];

/// `yolov3-tiny.cfg`: two levels, pools in place of residual blocks.
#[derive(Module, Debug)]
pub struct YoloV3Tiny {
    backbone: DarknetTiny,
    reduce: ConvNorm,
    wide5: ConvNorm,
    out5: Conv2d,
    up4: ConvNorm,
    wide4: ConvNorm,
    out4: Conv2d,
    num_classes: usize,
}

impl YoloV3Config {
    /// The small network with fresh weights; `neck` is not its matter.
    pub fn init_tiny(&self, device: &Device) -> YoloV3Tiny {
        let layer = |channels, kernel| ConvNorm::new(channels, kernel, 1, Activation::Leaky, device);
        let outputs = 3 * (5 + self.num_classes);
        YoloV3Tiny {
            backbone: DarknetTiny::new(device),
            reduce: layer([1024, 256], 1),
            wide5: layer([256, 512], 3),
            out5: output([512, outputs], device),
            up4: layer([256, 128], 1),
            wide4: layer([128 + 256, 256], 3),
            out4: output([256, outputs], device),
            num_classes: self.num_classes,
        }
    }
}

impl Network for YoloV3Tiny {
    type Output = Predictions;

    /// # Shapes
    /// `[batch, 3, height, width]`, sides multiples of 32, to predictions on grids of 1/16 and 1/32, three in every cell
    fn forward(&self, images: Tensor<4>) -> Predictions {
        let [c4, x] = self.backbone.features(images);
        let x = self.reduce.forward(x);
        let p5 = self.out5.forward(self.wide5.forward(x.clone()));
        let x = nearest(self.up4.forward(x), 2);
        let x = cat_channels(vec![x, c4]);
        let p4 = self.out4.forward(self.wide4.forward(x));
        let [small, large] = [&TINY_ANCHORS[..3], &TINY_ANCHORS[3..]];
        let levels = [(p4, 16, small), (p5, 32, large)].map(|(map, stride, anchors)| Level {
            map,
            stride,
            anchors: anchors.to_vec(),
        });
        decoded(levels.to_vec(), &[1.0; 2], self.num_classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_centre_can_lie_on_the_edge_of_its_cell_only_if_it_is_stretched() {
        // t = (0.2, -0.3, 0.1, 0.4) in cell (6, 4), stride 16, anchor (62, 45). Plain: 16 (σ(0.2) + 6) = 104.797344,
        // 70.808920, 62 e^0.1 = 68.520597, 45 e^0.4 = 67.132111; stretched by 1.1: 104.877078, 70.689812.
        let device = Device::flex();
        for (stretch, x, y) in [(1.0, 104.797_344, 70.808_92), (1.1, 104.877_078, 70.689_812)] {
            let mut map = vec![0.0f32; 18 * 8 * 8];
            for (channel, value) in [0.2, -0.3, 0.1, 0.4].into_iter().enumerate() {
                map[((6 + channel) * 8 + 4) * 8 + 6] = value;
            }
            let map = Tensor::from_data(TensorData::new(map, [1, 18, 8, 8]), &device);
            let level = Level { map, stride: 16, anchors: ANCHORS[1].to_vec() };
            let predictions = decoded(vec![level], &[stretch], 1);
            let edges =
                predictions.boxes.narrow(1, 64 + 4 * 8 + 6, 1).into_data().try_to_vec::<f32>().expect("f32");
            let (w, h) = (68.520_597, 67.132_111);
            let expected: [f64; 4] = [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0];
            for (edge, expected) in edges.iter().zip(expected) {
                assert!((f64::from(*edge) - expected).abs() < 1e-4, "{edges:?}, {expected:?}");
            }
        }
    }
}
