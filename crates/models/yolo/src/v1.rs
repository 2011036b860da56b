//! YOLO, the first: the image as 7x7 cells, each of which answers for the objects whose centres lie in it.
//!
//! Joseph Redmon, Santosh Divvala, Ross Girshick, Ali Farhadi, *You Only Look Once: Unified, Real-Time Object
//! Detection*, 2015, <https://arxiv.org/abs/1506.02640>.
//!
//! [`Edition::Released`] is the network of Darknet's `yolov1.cfg`: with normalizations, three boxes a cell, and a layer of
//! weights that are a cell's own in place of the first linear one. [`Edition::Tiny`] is `yolov1-tiny.cfg`.

use burn::prelude::*;
use kiln_core::{Level, Network, Predictions, corners, rows};
use kiln_nn::{
    Conv2d, Dropout, DropoutConfig, Initializer, KAIMING_FAN_IN, Linear, LinearConfig, LocallyConnected2d,
    LocallyConnected2dConfig, MaxPool2d, conv, leaky_relu,
};

use crate::block::{Activation, ConvNorm, pool};

/// Cells of a side. Layers that look at the whole image know no other number.
const CELLS: usize = 7;
/// The side of a cell in pixels: images are 448x448.
const STRIDE: usize = 64;

/// Which of the published networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edition {
    /// As the paper draws it: biases in place of normalizations, two boxes a cell.
    Paper,
    /// As it was released.
    Released,
    /// The small one that was released.
    Tiny,
}

/// One layer of a table: kernel, channels and stride of a convolution, or a pool.
type Row = Option<(usize, usize, usize)>;

/// Figure 3 of the paper.
#[rustfmt::skip]
const FIGURE_3: &[Row] = &[
    c(7, 64, 2), P, c(3, 192, 1), P, c(1, 128, 1), c(3, 256, 1), c(1, 256, 1), c(3, 512, 1), P,
    c(1, 256, 1), c(3, 512, 1), c(1, 256, 1), c(3, 512, 1), c(1, 256, 1), c(3, 512, 1), c(1, 256, 1), c(3, 512, 1),
    c(1, 512, 1), c(3, 1024, 1), P, c(1, 512, 1), c(3, 1024, 1), c(1, 512, 1), c(3, 1024, 1),
    c(3, 1024, 1), c(3, 1024, 2), c(3, 1024, 1), c(3, 1024, 1),
];

/// `yolov1-tiny.cfg`.
#[rustfmt::skip]
const TINY: &[Row] = &[
    c(3, 16, 1), P, c(3, 32, 1), P, c(3, 64, 1), P, c(3, 128, 1), P, c(3, 256, 1), P, c(3, 512, 1), P,
    c(3, 1024, 1), c(3, 256, 1),
];

const P: Row = None;

const fn c(kernel: usize, channels: usize, stride: usize) -> Row {
    Some((kernel, channels, stride))
}

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct YoloV1Config {
    /// One of the published networks.
    pub edition: Edition,
    /// Classes to tell apart.
    pub num_classes: usize,
    /// Channels are divided by this, 1 as published.
    pub narrower: usize,
}

/// The first YOLO.
#[derive(Module, Debug)]
pub struct YoloV1 {
    layers: Vec<Layer>,
    local: Option<LocallyConnected2d>,
    hidden: Option<Linear>,
    dropout: Dropout,
    fc: Linear,
    boxes: usize,
    num_classes: usize,
}

#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // There are two dozen.
enum Layer {
    /// With a bias, and leaky.
    Conv(Conv2d),
    ConvNorm(ConvNorm),
    Pool(MaxPool2d),
}

impl YoloV1Config {
    /// A network with fresh weights.
    pub fn init(&self, device: &Device) -> YoloV1 {
        let Self { edition, num_classes, narrower } = *self;
        let (table, boxes) = match edition {
            Edition::Paper => (FIGURE_3, 2),
            Edition::Released => (FIGURE_3, 3),
            Edition::Tiny => (TINY, 2),
        };
        let mut input = 3;
        let layer = |row: &Row| {
            let Some((kernel, channels, stride)) = *row else { return Layer::Pool(pool(2)) };
            let channels = [input, channels / narrower];
            input = channels[1];
            match edition {
                Edition::Paper => {
                    let conv = conv(channels, kernel, stride).with_bias(true);
                    Layer::Conv(conv.with_initializer(KAIMING_FAN_IN).init(device))
                }
                _ => Layer::ConvNorm(ConvNorm::new(channels, kernel, stride, Activation::Leaky, device)),
            }
        };
        let layers = table.iter().map(layer).collect();
        let cells = CELLS * CELLS;
        let outputs = cells * (5 * boxes + num_classes);
        let linear = |input, output| LinearConfig::new(input, output).init(device);
        let (hidden, own) = (4096 / narrower, 256 / narrower);
        let (local, hidden, dropout, inputs) = match edition {
            Edition::Paper => (None, Some(linear(cells * input, hidden)), 0.5, hidden),
            Edition::Released => (Some(local([input, own], device)), None, 0.5, cells * own),
            Edition::Tiny => (None, None, 0.0, cells * input),
        };
        let (dropout, fc) = (DropoutConfig::new(dropout).init(), linear(inputs, outputs));
        YoloV1 { layers, local, hidden, dropout, fc, boxes, num_classes }
    }
}

impl YoloV1 {
    /// The numbers that the last layer gives: of every cell the classes, then of every cell how sure each of its boxes is, then
    /// their places and sizes, as in Darknet.
    ///
    /// # Shapes
    /// `[batch, 3, 448, 448]` to `[batch, 49 * (num_classes + 5 * boxes)]`
    pub fn raw(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.layers.iter().fold(images, |x, layer| match layer {
            Layer::Conv(conv) => leaky_relu(conv.forward(x), 0.1),
            Layer::ConvNorm(conv) => conv.forward(x),
            Layer::Pool(pool) => pool.forward(x),
        });
        let x = match &self.local {
            Some(local) => leaky_relu(local.forward(x), 0.1),
            None => x,
        };
        let x = x.flatten(1, 3);
        let x = match &self.hidden {
            Some(hidden) => leaky_relu(hidden.forward(x), 0.1),
            None => x,
        };
        self.fc.forward(self.dropout.forward(x))
    }

    /// The numbers as a map: of every cell the classes, then x, y, the roots of width and height, and the confidence of each
    /// box. x and y are parts of the cell, width and height parts of the image.
    ///
    /// # Shapes
    /// As [`Self::raw`] gives them to `[batch, num_classes + 5 * boxes, 7, 7]`
    fn map(&self, raw: Tensor<2>) -> Tensor<4> {
        let (batch, cells) = (raw.dims()[0], CELLS * CELLS);
        let part = |from: usize, each: usize| {
            let values = raw.clone().narrow(1, cells * from, cells * each);
            values.reshape([batch, cells, each]).swap_dims(1, 2).reshape([batch, each, CELLS, CELLS])
        };
        let Self { boxes, num_classes, .. } = *self;
        let (classes, confidences) = (part(0, num_classes), part(num_classes, boxes));
        let places = part(num_classes + boxes, 4 * boxes);
        let each = (0..boxes).flat_map(|index| {
            [places.clone().narrow(1, 4 * index, 4), confidences.clone().narrow(1, index, 1)]
        });
        Tensor::cat([classes].into_iter().chain(each).collect(), 1)
    }
}

impl Network for YoloV1 {
    type Output = Predictions;

    /// # Shapes
    /// `[batch, 3, 448, 448]` to 98 predictions an image (147 of the released edition)
    fn forward(&self, images: Tensor<4>) -> Predictions {
        let map = self.map(self.raw(images));
        let Self { boxes, num_classes, .. } = *self;
        let batch = map.dims()[0];
        let level = Level { map: map.clone(), stride: STRIDE, anchors: Vec::new() };
        let side = (CELLS * STRIDE) as f64;
        let [column, row] = level.cells();
        let classes = map.clone().narrow(1, 0, num_classes);
        let predictions = map.narrow(1, num_classes, 5 * boxes).reshape([batch, boxes, 5, CELLS, CELLS]);
        let [x, y, w, h, confidence] =
            [0, 1, 2, 3, 4].map(|index| predictions.clone().narrow(2, index, 1).squeeze_dim::<4>(2));
        let boxes_of_image = corners([
            (x + column) * STRIDE as f64,
            (y + row) * STRIDE as f64,
            w.clone() * w * side,
            h.clone() * h * side,
        ]);
        // What a cell says of the classes holds for each of its boxes.
        let classes = classes.reshape([batch, 1, num_classes, CELLS * CELLS]).repeat_dim(1, boxes);
        let classes = classes.swap_dims(2, 3).reshape([batch, boxes * CELLS * CELLS, num_classes]);
        let scores = (classes * rows([confidence])).clamp(0.0, 1.0);
        Predictions { levels: vec![level], boxes: boxes_of_image, scores }
    }
}

/// A 3x3 convolution that has other weights in each of the 7x7 places.
fn local(channels: [usize; 2], device: &Device) -> LocallyConnected2d {
    // Darknet's: uniform, of variance 2 / (3 fan-in).
    let bound = (2.0 / (9 * channels[0]) as f64).sqrt();
    let uniform = Initializer::Uniform { min: -bound, max: bound };
    let config = LocallyConnected2dConfig::new(channels, [CELLS; 2], 3).with_padding(1);
    config.with_initializer(uniform).init(device)
}
