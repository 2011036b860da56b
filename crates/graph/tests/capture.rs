//! How a module becomes a graph.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod zoo;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::prelude::*;
use kiln_graph::{Graph, Output, Role};
use kiln_nn::Activation;

/// Of Burn's own layers.
#[derive(Module, Debug)]
struct Own {
    conv: Conv2d,
    norm: BatchNorm,
    head: Linear,
}

impl Own {
    fn new(device: &Device) -> Self {
        Self {
            conv: Conv2dConfig::new([3, 4], [3, 3]).init(device),
            norm: BatchNormConfig::new(4).init(device),
            head: LinearConfig::new(4 * 6 * 6, 2).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        self.head.forward(self.norm.forward(self.conv.forward(x)).flatten::<2>(1, 3))
    }
}

fn capture(own: &Own) -> Graph {
    Graph::capture(own, [2, 3, 8, 8], |own, x| vec![Output::new("logits", &own.forward(x))]).unwrap()
}

#[test]
fn a_network_of_ones_own_is_recorded_with_names_and_costs() {
    let graph = capture(&Own::new(&Device::flex()));
    let names: Vec<(&str, &str)> =
        graph.nodes.iter().filter(|node| !node.constant).map(|node| (&*node.name, &*node.kind)).collect();
    let expected = [("conv", "conv2d"), ("norm", "batch_norm"), ("reshape", "reshape"), ("head", "linear")];
    assert_eq!(names, expected);
    // Two images: 4 channels of 6x6 outputs, 3 * 3 * 3 products each; then 144 inputs times 2 outputs.
    assert_eq!(graph.cost().macs, 2 * (4 * 36 * 27 + 144 * 2));
    // Weights and biases, a factor and a summand a channel; means and variances.
    assert_eq!(graph.parameters(Role::Trainable), 4 * 27 + 4 + 4 + 4 + 144 * 2 + 2);
    assert_eq!(graph.parameters(Role::Buffer), 4 + 4);
}

#[test]
fn an_activation_of_several_operations_is_one_node() {
    let build = |device: &Device| Conv2dConfig::new([3, 4], [3, 3]).init(device);
    let rows = [
        (Activation::Silu, "silu"),
        (Activation::HardSwish, "hard_swish"),
        (Activation::Mish, "mish"),
        (Activation::Gelu, "gelu"),
    ];
    for (activation, kind) in rows {
        let run = |conv: &Conv2d, x| vec![Output::new("map", &activation.forward(conv.forward(x)))];
        let graph = Graph::record([1, 3, 8, 8], build, run).unwrap();
        let kinds: Vec<&str> = graph.nodes.iter().map(|node| &*node.kind).collect();
        assert_eq!(kinds, ["conv2d", kind]);
    }
}

#[test]
fn a_grouped_convolution_multiplies_by_the_weights_of_its_group_alone() {
    let build = |device: &Device| Conv2dConfig::new([4, 6], [3, 3]).with_groups(2).init(device);
    let run = |conv: &Conv2d, x: Tensor<4>| {
        let x = Tensor::cat(vec![x.clone(), x.narrow(1, 0, 1)], 1);
        vec![Output::new("map", &conv.forward(x))]
    };
    // 6 channels of 7x5 outputs, 2 * 3 * 3 products each.
    assert_eq!(Graph::record([1, 3, 9, 7], build, run).unwrap().cost().macs, 6 * 35 * 18);
}

#[test]
fn to_be_recorded_does_a_module_no_harm() {
    let device = Device::flex();
    let own = Own::new(&device);
    let before = own.norm.running_var.value().into_data();
    let x = Tensor::random([1, 3, 8, 8], burn::tensor::Distribution::Default, &device);
    let said = own.forward(x.clone()).into_data();
    capture(&own);
    assert_eq!(own.norm.running_var.value().into_data(), before);
    assert_eq!(own.forward(x).into_data(), said);
}

#[test]
fn what_is_frozen_is_said_of_a_module_that_trains() {
    let mut own = Own::new(&Device::flex().autodiff());
    own.conv = own.conv.no_grad();
    let graph = capture(&own);
    let frozen: Vec<&str> = graph
        .weights
        .iter()
        .filter(|weight| weight.role == Role::Frozen)
        .map(|weight| &*weight.name)
        .collect();
    assert_eq!(frozen, ["conv.weight", "conv.bias"]);
}

#[test]
fn an_unknown_operation_is_a_node_and_leaves_the_totals_incomplete() {
    let own = Own::new(&Device::flex());
    let run = |own: &Own, x: Tensor<4>| {
        let x = own.conv.forward(x).cumsum(1);
        vec![Output::new("map", &own.norm.forward(x))]
    };
    let graph = Graph::capture(&own, [1, 3, 8, 8], run).unwrap();
    let unknown: Vec<&str> = graph.nodes.iter().filter(|node| !node.known).map(|node| &*node.kind).collect();
    assert_eq!(unknown, ["cumsum"]);
    let cost = graph.cost();
    assert!(!cost.complete);
    // What is known counts all the same.
    assert_eq!(cost.macs, 4 * 36 * 27);
    // What a number sees is known up to there.
    let known: Vec<bool> = graph.fields().iter().map(Option::is_some).collect();
    assert_eq!(known, [true, false, false]);
}

#[test]
fn an_image_that_shrinks_to_nothing_is_an_error() {
    let record = |side: usize| {
        let build = |device: &Device| Conv2dConfig::new([3, 1], [3, 3]).init(device);
        Graph::record([1, 3, side, side], build, |conv, x| vec![Output::new("map", &conv.forward(x))])
    };
    assert_eq!(record(3).unwrap().cost().macs, 27);
    assert!(record(2).is_err());
}

/// The graph of the model with weights and that of one without are one.
#[test]
fn weights_make_no_difference() {
    let entry = kiln_zoo::find("resnet18").unwrap();
    let fresh = zoo::named("resnet18");
    let model = entry.model(1000, &Device::flex());
    let with = Graph::capture(&model, entry.input(), |model, x| {
        zoo::outputs(&kiln_core::Network::forward(model, x))
    });
    let names = |graph: &Graph| graph.nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>();
    let with = with.unwrap();
    assert_eq!(names(&with), names(&fresh));
    assert_eq!(with.cost(), fresh.cost());
}
