//! How much of the image an output sees.

use burn::prelude::*;
use burn::tensor::DType;
use kiln_alexnet::AlexNetConfig;
use kiln_core::Network;
use kiln_graph::Side;
use kiln_nn::{Conv2d, Conv2dConfig, padded};
use kiln_resnet::{Depth, ResNetConfig, Version};
use kiln_vgg::{Head, VggConfig};

use super::cost::recorded;
use super::{Topic, formula};
use crate::draw::Drawing;
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "receptive-field",
    title: "Receptive fields",
    summary: "How many pixels an output of a network depends on, layer by layer, and how many of them matter.",
    explain,
};

/// What an output of convolutions of one channel, one after the other, sees along a side, found on their graph.
///
/// # Panics
/// If there is no layer, or the layers leave nothing of 128 pixels.
pub fn chained(layers: &[Conv2dConfig]) -> Side {
    let convs = |device: &Device| layers.iter().map(|layer| layer.init(device)).collect::<Vec<Conv2d>>();
    let graph = recorded([1, 128, 128], convs, |convs, x| convs.iter().fold(x, |x, conv| conv.forward(x)));
    graph.fields().pop().flatten().expect("a layer at least").sides[0]
}

/// What every convolution and pool of a classifier sees of an image of 224 by 224 pixels, by its name.
fn fields<N: Network<Output = Tensor<2>>>(init: impl FnOnce(&Device) -> N) -> Vec<(String, Side)> {
    let graph = recorded([3, 224, 224], init, N::forward);
    let windows = graph.nodes.iter().zip(graph.fields());
    let windows = windows.filter(|(node, _)| ["conv2d", "max_pool2d"].contains(&node.kind.as_str()));
    windows.filter_map(|(node, field)| Some((node.name.clone(), field?.sides[0]))).collect()
}

/// Field, stride and padding in pixels.
fn cells(side: &Side) -> [String; 3] {
    [side.size, side.stride, side.padding()].map(|number| number.to_string())
}

/// How much each pixel counts for the middle output of so many 3x3 convolutions whose weights are all the same: the gradient of it, `2 depth + 1` pixels
/// a side.
pub fn effective(depth: usize) -> Vec<Vec<f64>> {
    let side = 2 * depth + 1;
    let device = Device::flex().autodiff();
    let x = Tensor::<4>::zeros([1, 1, side, side], (&device, DType::F64)).require_grad();
    let conv = Conv2dConfig::new([1, 1], [3, 3]).with_padding(padded(1)).with_bias(false).init(&device);
    let weight = Tensor::<4>::full([1, 1, 3, 3], 1.0 / 9.0, (&device, DType::F64));
    let conv = Conv2d { weight: burn::module::Param::from_tensor(weight), ..conv };
    let y = (0..depth).fold(x.clone(), |y, _| conv.forward(y));
    let gradients = y.narrow(2, depth, 1).narrow(3, depth, 1).sum().backward();
    let flat: Vec<f64> = x.grad(&gradients).expect("an input that is followed").into_data().iter().collect();
    flat.chunks(side).map(<[f64]>::to_vec).collect()
}

/// The standard deviation along one side of what counts.
pub fn deviation(field: &[Vec<f64>]) -> f64 {
    let middle = (field.len() / 2) as f64;
    let rows =
        field.iter().enumerate().map(|(at, row)| (at as f64 - middle).powi(2) * row.iter().sum::<f64>());
    (rows.sum::<f64>() / field.iter().flatten().sum::<f64>()).sqrt()
}

fn explain(_seed: u64) -> Page {
    let vgg16 =
        VggConfig { depth: kiln_vgg::Depth::D16, batch_norm: false, head: Head::ImageNet, num_classes: 1000 };
    let vgg16 = fields(|device| vgg16.init(device));
    let mut layers = Table::new(
        "VGG-16, layer by layer: the pixels a side that an output sees (r), those from one output to the next (S), and those of padding in front (P)",
        &["layer", "field", "stride", "padding"],
    );
    vgg16.iter().for_each(|(name, side)| layers.row(name.clone(), cells(side)));
    let mut networks = Table::new(
        "The last map of networks, found on their graphs",
        &["network", "field", "stride", "padding"],
    );
    let alexnet = AlexNetConfig { version: kiln_alexnet::Version::Paper, ..AlexNetConfig::new(1000) };
    let resnet = |depth, version| {
        fields(|device| ResNetConfig { version, ..ResNetConfig::new(depth, 1000) }.init(device))
    };
    for (name, fields) in [
        ("AlexNet (the paper's)", fields(|device| alexnet.init(device))),
        ("VGG-16", vgg16),
        ("ResNet-50, stride on 1x1 (the paper's)", resnet(Depth::D50, Version::V1)),
        ("ResNet-50, stride on 3x3 (torchvision's)", resnet(Depth::D50, Version::V15)),
        ("ResNet-101, stride on 3x3", resnet(Depth::D101, Version::V15)),
    ] {
        if let Some((_, side)) = fields.last() {
            networks.row(name, cells(side));
        }
    }
    let depths = [5, 10, 20, 40];
    let mut effective_table = Table::new(
        "3x3 convolutions with equal weights, one after the other: the field, and the standard deviation of what counts in it, as measured by the gradient and as √(2n/3) says, and the ratio of the first to the second",
        &["convolutions", "field", "measured", "√(2n/3)", "ratio"],
    );
    let mut shares = Vec::new();
    for depth in depths {
        let found = effective(depth);
        let (size, measured) = (2 * depth + 1, deviation(&found));
        let predicted = (2.0 * depth as f64 / 3.0).sqrt();
        shares.push(size as f64 / measured);
        effective_table.row(
            depth.to_string(),
            [
                size.to_string(),
                format!("{measured:.4}"),
                format!("{predicted:.4}"),
                format!("{:.1}", size as f64 / measured),
            ],
        );
    }
    let small = |depth: usize| {
        let found = effective(depth);
        let side = found.len() as f64;
        let mut drawing =
            Drawing::new(format!("What counts after {depth} convolutions"), [164.0, 164.0]).at_most(220.0);
        drawing.grid([2.0, 2.0], 160.0 / side, &found, None);
        (format!("{depth} convolutions, {side} pixels"), drawing)
    };
    Page {
        idea: [
            "An output of a convolution sees as many pixels as its kernel has places, and an output of the layer behind it sees as many of these windows.",
            "So each layer widens the field by its dilation times (kernel − 1) times the product of all strides before it.",
            "Not all of the field counts alike: the pixels in its middle reach the output by many more paths than those at its edge.",
        ],
        formulas: vec![
            formula(r"r_l = r_{l-1} + d_l (k_l - 1) \prod_{i<l} s_i", "r_l = r_(l−1) + d_l (k_l − 1) · Π_(i<l) s_i"),
            formula(r"S = \prod_l s_l, \quad P = \sum_l p_l \prod_{i<l} s_i", "S = Π s_l,  P = Σ p_l Π_(i<l) s_i"),
            formula(r"\text{centre}(u) = u S - P + \frac{r - 1}{2}", "centre(u) = u S − P + (r − 1)/2"),
        ],
        figures: vec![Figure {
            name: "effective".into(),
            caption: "What counts for an output of 3x3 convolutions with equal weights: the whole square is the field, and the fuller a pixel, the more it counts. The deeper, the smaller the part that matters.".into(),
            picture: Picture::Small([3, 5, 10, 20].map(small).into()),
        }],
        tables: vec![layers, networks],
        experiment: Experiment {
            question: "How much of its field does an output use?".into(),
            method: "A gradient of 1 goes back from the middle output of n convolutions of 3x3 with equal weights and nothing between them; how much of it arrives at a pixel is how much the pixel counts.".into(),
            result: format!(
                "The field grows like n, the part that counts only like √n: the field is {:.1} standard deviations wide after {} convolutions and {:.1} after {}. The measured deviations \
                 are those of a sum of n independent steps of −1, 0 or 1, each as likely as the others. Weights that have learned, and what is between the layers, change this.",
                shares[0], depths[0], shares[3], depths[3]
            ),
            figures: Vec::new(),
            tables: vec![effective_table],
        },
        code: vec!["crates/graph/src/field/mod.rs: Graph::fields", "crates/explain/src/topics/receptive_field.rs: chained, effective"],
        tests: vec![
            "crates/graph/tests/fields.rs: receptive_fields_are_the_published_ones",
            "crates/explain/tests/worked.rs: fields_grow_by_the_formula",
        ],
        sources: vec![
            ["Araujo, Norris, Sim 2019, Computing receptive fields of convolutional neural networks", "https://distill.pub/2019/computing-receptive-fields/"],
            ["Luo et al. 2016, Understanding the effective receptive field", "https://arxiv.org/abs/1701.04128"],
        ],
    }
}
