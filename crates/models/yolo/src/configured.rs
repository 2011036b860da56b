//! The network that a cfg describes.
//!
//! Its layers are numbered as in the cfg, and so are their weights: `layers.3.conv.weight`.

use burn::prelude::*;
use kiln_core::{Level, Network, Predictions};
use kiln_nn::{
    BatchNorm, BatchNormConfig, Conv2d, KAIMING_FAN_IN, add, cat_channels, conv, conv_norm, global_average,
    nearest, padded,
};

use crate::block::{Activation, darknet_pool};
use crate::cfg::{self, Cfg, Head, Layer};
use crate::v2::{self, reorg};
use crate::v3;

/// A detector by its cfg.
#[derive(Module, Debug)]
pub struct Configured {
    /// The convolutions; nothing else has weights.
    layers: Vec<Option<Convolution>>,
    #[module(skip)]
    cfg: Cfg,
}

/// A convolution with a bias or a normalization.
#[derive(Module, Debug)]
struct Convolution {
    conv: Conv2d,
    bn: Option<BatchNorm>,
    #[module(skip)]
    activation: Activation,
}

impl Cfg {
    /// The network with fresh weights.
    pub fn init(&self, device: &Device) -> Configured {
        let layer = |layer: &Layer| match layer {
            Layer::Convolution(convolution) => Some(Convolution::new(*convolution, device)),
            _ => None,
        };
        Configured { layers: self.layers.iter().map(layer).collect(), cfg: self.clone() }
    }
}

impl Convolution {
    fn new(layer: cfg::Convolution, device: &Device) -> Self {
        let cfg::Convolution { channels, size, stride, padding, groups, normalized, activation } = layer;
        let conv = conv(channels, size, stride).with_padding(padded(padding)).with_groups(groups);
        Self {
            conv: conv.with_bias(!normalized).with_initializer(KAIMING_FAN_IN).init(device),
            bn: normalized.then(|| BatchNormConfig::new(channels[1]).init(device)),
            activation,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = match &self.bn {
            Some(bn) => conv_norm(&self.conv, bn, x),
            None => self.conv.forward(x),
        };
        self.activation.forward(x)
    }
}

impl Configured {
    /// Of which version its heads are, and so its loss: 2 if classes exclude each other, 4 if centres may lie outside their cells,
    /// else 3.
    pub fn version(&self) -> usize {
        let heads = self.cfg.layers.iter().filter_map(|layer| match layer {
            Layer::Head(head) => Some(head),
            _ => None,
        });
        let version = |head: &Head| match head.softmax {
            true => 2,
            false if head.stretch > 1.0 => 4,
            false => 3,
        };
        heads.map(version).max().unwrap_or(3)
    }
}

impl Network for Configured {
    type Output = Predictions;

    /// # Shapes
    /// `[batch, 3, height, width]`, of the cfg's size or another that its layers divide as well, to a level for each `[region]`
    /// or `[yolo]`, the finest first
    fn forward(&self, images: Tensor<4>) -> Predictions {
        let last = self.cfg.last_readers();
        let (mut x, mut said) = (images, Vec::new());
        // What layers further on take.
        let mut kept: Vec<Option<Tensor<4>>> = vec![None; last.len()];
        for (index, (layer, weights)) in self.cfg.layers.iter().zip(&self.layers).enumerate() {
            let earlier = |layer: usize| kept[layer].clone().expect("kept as long as a layer takes it");
            x = match (layer, weights) {
                (_, Some(convolution)) => convolution.forward(x),
                (Layer::MaxPool { size, stride, padding }, _) => {
                    darknet_pool(*size, *stride, *padding).forward(x)
                }
                (Layer::AveragePool, _) => {
                    let [batch, channels, ..] = x.dims();
                    global_average(x).reshape([batch, channels, 1, 1])
                }
                (Layer::Route { layers, groups, group }, _) => {
                    let part = |layer: &usize| {
                        let map = earlier(*layer);
                        let channels = map.dims()[1] / groups;
                        if *groups == 1 { map } else { map.narrow(1, group * channels, channels) }
                    };
                    match layers[..] {
                        [one] => part(&one),
                        _ => cat_channels(layers.iter().map(part).collect()),
                    }
                }
                (Layer::Shortcut { layer, activation }, _) => activation.forward(add(x, earlier(*layer))),
                (Layer::Upsample { stride }, _) => nearest(x, *stride),
                (Layer::Reorg { stride }, _) => reorg(x, *stride),
                (Layer::Head(head), _) => {
                    said.push(decoded(head, x.clone(), self.cfg.num_classes));
                    x
                }
                (Layer::Convolution(_) | Layer::Same, None) => x,
            };
            if last[index].is_some() {
                kept[index] = Some(x.clone());
            }
            kept.iter_mut()
                .zip(&last)
                .filter(|(_, last)| **last == Some(index))
                .for_each(|(map, _)| *map = None);
        }
        said.sort_by_key(|predictions| predictions.levels[0].stride);
        let boxes = said.iter().map(|predictions| predictions.boxes.clone()).collect();
        let scores = said.iter().map(|predictions| predictions.scores.clone()).collect();
        Predictions {
            boxes: Tensor::cat(boxes, 1),
            scores: Tensor::cat(scores, 1),
            levels: said.into_iter().flat_map(|predictions| predictions.levels).collect(),
        }
    }
}

/// What a head makes of the map before it.
fn decoded(head: &Head, map: Tensor<4>, num_classes: usize) -> Predictions {
    let level = Level { map, stride: head.stride, anchors: head.anchors.clone() };
    match head.softmax {
        true => v2::decoded(level, num_classes),
        false => v3::decoded(vec![level], &[head.stretch], num_classes),
    }
}
