//! YOLO v2: priors in place of sizes from nothing, no layer that looks at the whole image, and so images of any size.
//!
//! Joseph Redmon, Ali Farhadi, *YOLO9000: Better, Faster, Stronger*, 2016, <https://arxiv.org/abs/1612.08242>.

use burn::prelude::*;
use burn::tensor::activation::softmax;
use kiln_core::{Level, Network, Predictions, corners, rows};
use kiln_nn::{Conv2d, cat_channels, sigmoid};

use crate::block::{Activation, ConvNorm, numbers, output, sequence};
use crate::darknet::{Darknet19, DarknetTiny};

/// The side of a cell in pixels.
const STRIDE: usize = 32;

/// Sizes of boxes in cells, as k-means found them, and what they were published for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priors {
    /// Pascal VOC.
    Voc,
    /// COCO; the small network's too.
    Coco,
    /// Pascal VOC, of the small network.
    TinyVoc,
}

impl Priors {
    /// Width and height in pixels.
    pub fn anchors(self) -> Vec<[f32; 2]> {
        let cells = match self {
            Self::Voc => [
                [1.3221, 1.73145],
                [3.19275, 4.00944],
                [5.05587, 8.09892],
                [9.47112, 4.84053],
                [11.2364, 10.0071],
            ],
            Self::Coco => [
                [0.57273, 0.677385],
                [1.87446, 2.06253],
                [3.33843, 5.47434],
                [7.88282, 3.52778],
                [9.77052, 9.16828],
            ],
            Self::TinyVoc => [[1.08, 1.19], [3.42, 4.41], [6.63, 11.38], [9.42, 5.11], [16.62, 10.52]],
        };
        cells.map(|size| size.map(|side| side * STRIDE as f32)).to_vec()
    }

    /// The last map as the one level.
    fn level(self, map: Tensor<4>) -> Level {
        Level { map, stride: STRIDE, anchors: self.anchors() }
    }
}

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct YoloV2Config {
    /// Sizes of boxes.
    pub priors: Priors,
    /// Classes to tell apart.
    pub num_classes: usize,
}

/// YOLO v2: Darknet-19, and a finer map that is folded and laid beside its last one.
#[derive(Module, Debug)]
pub struct YoloV2 {
    backbone: Darknet19,
    deep: Vec<ConvNorm>,
    passthrough: ConvNorm,
    joined: ConvNorm,
    out: Conv2d,
    #[module(skip)]
    priors: Priors,
    num_classes: usize,
}

impl YoloV2Config {
    /// A network with fresh weights.
    pub fn init(&self, device: &Device) -> YoloV2 {
        let layer = |channels, kernel| ConvNorm::new(channels, kernel, 1, Activation::Leaky, device);
        YoloV2 {
            backbone: Darknet19::new(device),
            deep: vec![layer([1024, 1024], 3), layer([1024, 1024], 3)],
            passthrough: layer([512, 64], 1),
            joined: layer([64 * 4 + 1024, 1024], 3),
            out: output([1024, 5 * (5 + self.num_classes)], device),
            priors: self.priors,
            num_classes: self.num_classes,
        }
    }
}

impl Network for YoloV2 {
    type Output = Predictions;

    /// # Shapes
    /// `[batch, 3, height, width]`, sides multiples of 32 (416 in the paper), to `5 * height / 32 * width / 32` predictions
    fn forward(&self, images: Tensor<4>) -> Predictions {
        let [c4, c5] = self.backbone.features(images);
        let deep = sequence(&self.deep, c5);
        let fine = reorg(self.passthrough.forward(c4), 2);
        let x = self.joined.forward(cat_channels(vec![fine, deep]));
        decoded(self.priors.level(self.out.forward(x)), self.num_classes)
    }
}

/// What the last map means (Section 2, equations): `b_x = σ(t_x) + c_x`, `b_w = p_w exp(t_w)`, the confidence `σ(t_o)`, and of
/// the classes the softmax.
pub(crate) fn decoded(level: Level, num_classes: usize) -> Predictions {
    let stride = level.stride as f64;
    let maps = level.by_anchor();
    let [batch, anchors, _, height, width] = maps.dims();
    let [x, y, w, h, o] = numbers(&maps);
    let [prior_width, prior_height] = sizes(&level);
    let [column, row] = level.cells();
    let boxes = corners([
        (sigmoid(x) + column) * stride,
        (sigmoid(y) + row) * stride,
        w.exp() * prior_width,
        h.exp() * prior_height,
    ]);
    let classes = softmax(maps.narrow(2, 5, num_classes), 2).permute([0, 1, 3, 4, 2]);
    let classes = classes.reshape([batch, anchors * height * width, num_classes]);
    Predictions { levels: vec![level], boxes, scores: classes * rows([sigmoid(o)]) }
}

/// Widths and heights of a level's anchors.
///
/// # Shapes
/// Two of `[1, anchors, 1, 1]`
pub(crate) fn sizes(level: &Level) -> [Tensor<4>; 2] {
    let side = |side: usize| {
        let sides: Vec<f32> = level.anchors.iter().map(|size| size[side]).collect();
        let data = TensorData::new(sides, [1, level.anchors.len(), 1, 1]);
        Tensor::from_data(data, (&level.map.device(), level.map.dtype()))
    };
    [side(0), side(1)]
}

/// Darknet's `reorg`: pixels of a window become channels, but the map is read as if it had `stride²` times fewer channels and
/// as many times more pixels, which no drawing shows and published weights want.
///
/// # Shapes
/// `[batch, channels, height, width]` to `[batch, channels * stride², height / stride, width / stride]`
pub(crate) fn reorg(x: Tensor<4>, stride: usize) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let square = stride * stride;
    // [batch, channel, row, row in window, column, column in window]
    let apart = x.reshape([batch, channels / square, height, stride, width, stride]);
    apart.permute([0, 3, 5, 1, 2, 4]).reshape([batch, channels * square, height / stride, width / stride])
}

/// `yolov2-tiny.cfg`, and `yolov2-tiny-voc.cfg`.
#[derive(Module, Debug)]
pub struct YoloV2Tiny {
    backbone: DarknetTiny,
    deep: ConvNorm,
    out: Conv2d,
    #[module(skip)]
    priors: Priors,
    num_classes: usize,
}

impl YoloV2Config {
    /// The small network with fresh weights; COCO's is half as wide before its last layer.
    pub fn init_tiny(&self, device: &Device) -> YoloV2Tiny {
        let wide = if self.priors == Priors::Coco { 512 } else { 1024 };
        YoloV2Tiny {
            backbone: DarknetTiny::new(device),
            deep: ConvNorm::new([1024, wide], 3, 1, Activation::Leaky, device),
            out: output([wide, 5 * (5 + self.num_classes)], device),
            priors: self.priors,
            num_classes: self.num_classes,
        }
    }
}

impl Network for YoloV2Tiny {
    type Output = Predictions;

    /// # Shapes
    /// As [`YoloV2`]'s.
    fn forward(&self, images: Tensor<4>) -> Predictions {
        let [_, x] = self.backbone.features(images);
        let x = self.deep.forward(x);
        decoded(self.priors.level(self.out.forward(x)), self.num_classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reorg_is_darknets_and_no_space_to_depth() {
        // Darknet's `reorg_cpu` on (4, 2, 2), stride 2, of 0 to 15.
        let x = Tensor::<1, Int>::arange(0..16, &Device::flex()).float().reshape([1, 4, 2, 2]);
        let values = reorg(x, 2).into_data().try_to_vec::<f32>().expect("f32");
        assert_eq!(values, [0., 2., 8., 10., 1., 3., 9., 11., 4., 6., 12., 14., 5., 7., 13., 15.]);
    }

    #[test]
    fn a_box_is_where_the_equations_put_it() {
        // t = (0.2, -0.3, 0.1, 0.4) in cell (6, 4) with the prior (3.33843, 5.47434): in cells, by the equations,
        // σ(0.2) + 6 = 6.54983400, σ(-0.3) + 4 = 4.42555748, 3.33843 e^0.1 = 3.68953575, 5.47434 e^0.4 = 8.16675562.
        let device = Device::flex();
        let mut map = vec![0.0f32; 5 * 6 * 13 * 13];
        for (channel, value) in [0.2, -0.3, 0.1, 0.4, 1.0].into_iter().enumerate() {
            map[((2 * 6 + channel) * 13 + 4) * 13 + 6] = value;
        }
        let map = Tensor::from_data(TensorData::new(map, [1, 30, 13, 13]), &device);
        let predictions = decoded(Priors::Coco.level(map), 1);
        let at = (2 * 13 + 4) * 13 + 6;
        let edges = predictions.boxes.narrow(1, at, 1).into_data().try_to_vec::<f32>().expect("f32");
        let (x, y, w, h) = (6.549834, 4.4255576, 3.6895356, 8.166756);
        let expected = [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0].map(|cells: f32| 32.0 * cells);
        for (edge, expected) in edges.iter().zip(expected) {
            assert!((edge - expected).abs() < 1e-3, "{edges:?}, {expected:?}");
        }
        // One class has all of the softmax; σ(1) = 0.7310586.
        let score = predictions.scores.narrow(1, at, 1).into_scalar::<f32>();
        assert!((score - 0.731_058_6).abs() < 1e-6);
    }
}
