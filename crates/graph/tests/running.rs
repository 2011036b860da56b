//! Graphs that are computed.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod zoo;

use std::sync::{Mutex, PoisonError};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::Distribution;
use burn_ir::{AvgPool2dOpIr, ModuleOperationIr, OperationIr};
use kiln_core::Network;
use kiln_graph::{Graph, Weights};
use kiln_zoo::{Model, Output as Said, find};

/// The device's random numbers, of which fresh weights are made, are shared by all threads.
static ALONE: Mutex<()> = Mutex::new(());

fn capture(model: &Model, size: [usize; 4]) -> Graph {
    Graph::capture(model, size, |model, x| zoo::outputs(&model.forward(x))).unwrap()
}

/// A model of every family and its image's side.
const FAMILIES: [(&str, usize); 14] = [
    ("alexnet", 95),
    ("alexnet-2012", 95),
    ("cifar10-vgg11_bn", 32),
    ("googlenet", 64),
    ("resnet18", 64),
    ("resnetv2_50", 64),
    ("cifar10-densenetbc-100-12", 16),
    ("shufflenet_v2_x0_5", 64),
    ("darknet19", 64),
    ("yolov4-tiny", 64),
    ("yolov8n", 64),
    ("deeplabv3_resnet50", 65),
    ("unet", 68),
    ("segnet", 64),
];

#[test]
fn a_graph_gives_what_its_model_gives() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Device::flex();
    device.seed(3);
    for (name, side) in FAMILIES {
        let entry = find(name).unwrap();
        let model = entry.model(entry.num_classes(), &device);
        let images = Tensor::<4>::random([1, 3, side, side], Distribution::Normal(0.0, 1.0), &device);
        let graph = capture(&model, images.dims());
        let given = [(graph.input, images.clone().into_dispatch())];
        let wanted: Vec<_> = graph.outputs.iter().map(|output| output.tensor).collect();
        let ours = graph.run(&Weights::of(&model), given, &wanted, &device).unwrap();
        let near = |ours: TensorData, expected: TensorData| {
            let [ours, expected] = [ours, expected].map(|data| data.try_into_vec::<f32>().unwrap());
            let most = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            let worst = ours.iter().zip(&expected).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
            assert!(worst <= 1e-4 * most, "{name}: {worst} of {most}");
        };
        let mut ours = ours.into_iter();
        match model.forward(images) {
            Said::Logits(said) => {
                near(Tensor::<2>::from_dispatch(ours.next().unwrap()).into_data(), said.main.into_data());
            }
            Said::Labels(said) => {
                near(Tensor::<4>::from_dispatch(ours.next().unwrap()).into_data(), said.main.into_data());
            }
            Said::Predictions(said) => {
                near(Tensor::<3>::from_dispatch(ours.next().unwrap()).into_data(), said.boxes.into_data());
                near(Tensor::<3>::from_dispatch(ours.next().unwrap()).into_data(), said.scores.into_data());
            }
        }
    }
}

/// Every weight the same positive number, such that a layer's outputs are means of its inputs; every normalization does nothing.
struct Positive {
    path: Vec<String>,
}

impl ModuleMapper for Positive {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        let value = match self.path.last().map(String::as_str) {
            Some("gamma" | "running_var") => 1.0,
            Some("beta" | "running_mean" | "bias") => 0.0,
            // Larger than one over the number of inputs: what the border adds is not to vanish.
            _ => 3.0 / shape[1..].iter().product::<usize>() as f64,
        };
        param.map(|tensor| Tensor::full(shape, value, &tensor.device()))
    }
}

/// Means in place of maxima, of which only one input has a gradient.
fn without_maxima(mut graph: Graph) -> Graph {
    for operation in graph.nodes.iter_mut().flat_map(|node| &mut node.operations) {
        if let OperationIr::Module(ModuleOperationIr::MaxPool2d(pool)) = operation {
            assert_eq!(pool.dilation, [1, 1]);
            *operation = OperationIr::Module(ModuleOperationIr::AvgPool2d(AvgPool2dOpIr {
                x: pool.x.clone(),
                kernel_size: pool.kernel_size,
                stride: pool.stride,
                padding: pool.padding,
                count_include_pad: true,
                ceil_mode: pool.ceil_mode,
                out: pool.out.clone(),
            }));
        }
    }
    graph
}

/// Model, side of the image, layer, and places: in a corner, at a side, in the middle.
const PLACES: [(&str, usize, &str, [[usize; 2]; 3]); 10] = [
    ("alexnet", 224, "features", [[0, 0], [4, 12], [6, 6]]),
    ("vgg11", 160, "features", [[0, 0], [4, 9], [5, 5]]),
    ("googlenet", 224, "inception4a", [[0, 0], [13, 6], [7, 7]]),
    ("resnet18", 224, "layer3", [[0, 0], [13, 6], [7, 7]]),
    ("resnet50-v1", 224, "layer2", [[0, 0], [27, 13], [14, 14]]),
    ("densenet121", 224, "features.denseblock2", [[0, 0], [27, 13], [14, 14]]),
    ("shufflenet_v2_x0_5", 224, "stage3", [[0, 0], [13, 6], [7, 7]]),
    ("darknet53", 256, "backbone.stages.2", [[0, 0], [31, 15], [16, 16]]),
    ("yolov5n", 160, "top4", [[0, 0], [9, 4], [5, 5]]),
    ("unet_bn", 128, "up2", [[0, 0], [31, 15], [15, 17]]),
];

#[test]
fn the_pixels_with_a_gradient_are_those_that_are_seen() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Device::flex();
    for (name, side, layer, places) in PLACES {
        let model = find(name).unwrap().model(10, &device).map(&mut Positive { path: Vec::new() });
        let size = [1, 3, side, side];
        let graph = without_maxima(capture(&model, size));
        let node = graph.find(layer).unwrap();
        let weights = Weights::of(&model);
        for place in places {
            let heat = graph.effective_field(&weights, Tensor::ones(size, &device), node, place).unwrap();
            let lit = |row: usize, column: usize| heat.values[row * side + column] > 0.0;
            let rows: Vec<usize> =
                (0..side).filter(|row| (0..side).any(|column| lit(*row, column))).collect();
            let columns: Vec<usize> =
                (0..side).filter(|column| (0..side).any(|row| lit(row, *column))).collect();
            let found = [rows, columns].map(|lit| lit[0]..=lit[lit.len() - 1]);
            assert_eq!(graph.sees(node, place), Some(found), "{name}: {layer} at {place:?}");
        }
    }
}

/// Luo et al. 2016; concepts.md 3.3: `n` convolutions of 3x3 equal weights see a field of `2n + 1` pixels, of which they use what
/// has a standard deviation of `sqrt(2n / 3)`.
#[test]
fn the_effective_field_of_equal_weights_is_as_wide_as_published() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    use burn::nn::PaddingConfig2d;
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    #[derive(Module, Debug)]
    struct Stack {
        layers: Vec<Conv2d>,
    }
    let device = Device::flex();
    for (count, spread) in [(5, 1.8257), (10, 2.5820), (20, 3.6515)] {
        let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
        let layer = Conv2dConfig::new([3, 3], [3, 3]).with_padding(padding).with_bias(false).init(&device);
        let stack = Stack { layers: vec![layer; count] }.map(&mut Positive { path: Vec::new() });
        let size = [1, 3, 61, 61];
        let run = |stack: &Stack, x: Tensor<4>| {
            vec![kiln_graph::Output::new("map", &stack.layers.iter().fold(x, |x, layer| layer.forward(x)))]
        };
        let graph = Graph::capture(&stack, size, run).unwrap();
        let node = graph.nodes.last().unwrap();
        assert_eq!(graph.fields().last().unwrap().unwrap().sides[0].size, (2 * count + 1) as f64);
        let images = Tensor::ones(size, &device);
        let heat = graph.effective_field(&Weights::of(&stack), images, node, [30, 30]).unwrap();
        for side in heat.spread() {
            assert!((side - spread).abs() < 1e-3, "{count}: {side}");
        }
    }
}

#[test]
fn every_kind_of_classifier_has_a_map_that_speaks_for_a_class() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Device::flex();
    device.seed(11);
    for (name, side) in FAMILIES {
        let entry = find(name).unwrap();
        if entry.kind() != kiln_zoo::Kind::Classifier {
            continue;
        }
        let model = entry.model(entry.num_classes(), &device);
        let image = Tensor::<4>::random([1, 3, side, side], Distribution::Normal(0.0, 1.0), &device);
        let graph = capture(&model, image.dims());
        let node = graph.last_map().unwrap();
        let weights = Weights::of(&model);
        // Evidence for one class or another there is.
        let lit = (0..entry.num_classes()).any(|class| {
            let heat = graph.class_activation(&weights, image.clone(), node, class).unwrap();
            assert_eq!([heat.height, heat.width], node.shape()[2..], "{name}");
            heat.values.contains(&1.0)
        });
        assert!(lit, "{name}");
    }
}

/// Finds the one matrix of a network.
struct Linear {
    weight: Option<Tensor<2>>,
}

impl ModuleVisitor for Linear {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if D == 2 {
            self.weight = Some(param.val().reshape([512, 10]));
        }
    }
}

/// With a global average and one linear layer behind the map, a channel's weight is the class's weight of it over the number of
/// places: Grad-CAM is CAM there (Selvaraju et al. 2017, Section 3.1).
#[test]
fn grad_cam_of_a_residual_network_is_the_class_activation_map() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Device::flex();
    device.seed(5);
    let model = find("resnet18").unwrap().model(10, &device);
    let image = Tensor::<4>::random([1, 3, 96, 96], Distribution::Normal(0.0, 1.0), &device);
    let graph = capture(&model, image.dims());
    let weights = Weights::of(&model);
    let node = graph.last_map().unwrap();
    assert_eq!(node.name, graph.find("layer4").unwrap().name);
    // Of the class that it is taken for: there is something that speaks for it.
    let Said::Logits(said) = model.forward(image.clone()) else { panic!("no classifier") };
    let class = said.main.argmax(1).into_scalar::<i64>() as usize;
    let heat = graph.class_activation(&weights, image.clone(), node, class).unwrap();
    let map =
        graph.run(&weights, [(graph.input, image.into_dispatch())], &[node.output.id], &device).unwrap();
    let map = Tensor::<4>::from_dispatch(map[0].clone());
    let mut linear = Linear { weight: None };
    model.visit(&mut linear);
    let fc = linear.weight.unwrap();
    let of_class = fc.narrow(1, class, 1).reshape([1, 512, 1, 1]);
    let expected = (map * of_class).sum_dim(1).clamp_min(0.0);
    let expected = expected.into_data().try_into_vec::<f32>().unwrap();
    let most = expected.iter().copied().fold(0.0, f32::max);
    for (ours, expected) in heat.values.iter().zip(expected) {
        assert!((ours - expected / most).abs() < 1e-4, "{ours} {}", expected / most);
    }
}
