//! Darknet's cfg files: networks as texts.
//!
//! Joseph Redmon, *Darknet: Open Source Neural Networks in C*, 2013-2016, <https://pjreddie.com/darknet/>, with the layers that Alexey
//! Bochkovskiy's branch added (<https://github.com/AlexeyAB/darknet>) as far as published detectors have them.
//!
//! A cfg is one `[net]`, which says the images' size, and a section a layer, each of which takes what the one before gives. How a
//! network is trained stands there too and is passed over.

mod built;
mod section;

use kiln_core::{Error, Result};

use crate::block::Activation;
use built::Built;
use section::sections;

/// A network of a cfg, checked: every layer finds the maps that it takes, in sizes that fit it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cfg {
    /// Height and width of its images, in pixels.
    pub size: [usize; 2],
    /// Classes it tells apart.
    pub num_classes: usize,
    pub(crate) layers: Vec<Layer>,
}

/// A layer; others are named by their index among all.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Layer {
    Convolution(Convolution),
    MaxPool {
        size: usize,
        stride: usize,
        /// Of both sides together.
        padding: usize,
    },
    /// The mean of each channel.
    AveragePool,
    /// One of so many parts of the channels of each of these layers, side by side.
    Route {
        layers: Vec<usize>,
        groups: usize,
        group: usize,
    },
    /// The sum with an earlier layer.
    Shortcut {
        layer: usize,
        activation: Activation,
    },
    Upsample {
        stride: usize,
    },
    Reorg {
        stride: usize,
    },
    Head(Head),
    /// What only training knows: `[dropout]`, `[cost]`.
    Same,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Convolution {
    pub channels: [usize; 2],
    pub size: usize,
    pub stride: usize,
    pub padding: usize,
    pub groups: usize,
    /// With a normalization in place of a bias.
    pub normalized: bool,
    pub activation: Activation,
}

/// What makes boxes of the map of the convolution before it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Head {
    /// Width and height in pixels.
    pub anchors: Vec<[f32; 2]>,
    /// The side of a cell, in pixels.
    pub stride: usize,
    /// Whether the classes exclude each other: v2's `[region]`.
    pub softmax: bool,
    /// How far a centre can lie outside its cell (`scale_x_y`).
    pub stretch: f64,
}

impl Cfg {
    /// Reads a cfg.
    ///
    /// # Errors
    /// A text that is none, or whose layers are not known here or do not fit each other; the line is named.
    pub fn parse(text: &str) -> Result<Self> {
        let sections = sections(text)?;
        let Some((net, layers)) =
            sections.split_first().filter(|(net, _)| ["net", "network"].contains(&net.name))
        else {
            let error = Error::input("no Darknet cfg: it does not begin with `[net]`");
            return Err(error.place("line 1"));
        };
        let mut built = Built::new(net)?;
        layers.iter().try_for_each(|section| built.add(section))?;
        built.finished()
    }

    /// The same network for so many classes: the convolutions before its heads have other filters.
    pub fn with_classes(&self, num_classes: usize) -> Self {
        let mut cfg = Self { num_classes, ..self.clone() };
        for index in 1..cfg.layers.len() {
            let (before, rest) = cfg.layers.split_at_mut(index);
            if let (Some(Layer::Convolution(convolution)), Layer::Head(head)) = (before.last_mut(), &rest[0])
            {
                convolution.channels[1] = head.anchors.len() * (5 + num_classes);
            }
        }
        cfg
    }

    /// Learnable parameters.
    pub fn parameters(&self) -> usize {
        let each = self.layers.iter().map(|layer| match layer {
            Layer::Convolution(Convolution {
                channels: [input, output], size, groups, normalized, ..
            }) => {
                // A normalization has a factor and a summand.
                output * (input / groups * size * size + 1 + usize::from(*normalized))
            }
            _ => 0,
        });
        each.sum()
    }

    /// The layers that the number of classes belongs to: index, anchors, and whether they are normalized. The first head's first.
    pub fn outputs(&self) -> impl Iterator<Item = (usize, usize, bool)> {
        let pairs = self.layers.windows(2).enumerate();
        pairs.filter_map(|(index, pair)| match pair {
            [Layer::Convolution(convolution), Layer::Head(head)] => {
                Some((index, head.anchors.len(), convolution.normalized))
            }
            _ => None,
        })
    }

    /// The last layer that takes each layer's map from afar, if any does.
    pub(crate) fn last_readers(&self) -> Vec<Option<usize>> {
        let mut last = vec![None; self.layers.len()];
        for (index, layer) in self.layers.iter().enumerate() {
            match layer {
                Layer::Route { layers, .. } => layers.iter().for_each(|layer| last[*layer] = Some(index)),
                Layer::Shortcut { layer, .. } => last[*layer] = Some(index),
                _ => {}
            }
        }
        last
    }
}

#[cfg(test)]
mod tests;
