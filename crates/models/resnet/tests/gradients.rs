//! The loss reaches every parameter: a network for each kind of block and stem.

use burn::module::{ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::{Distribution, Gradients};
use kiln_core::Network;
use kiln_resnet::{CifarResNetV2Config, CifarV2Depth, Depth, Kind, ResNetConfig, ResNetV2Config, Stem};

/// Counts the parameters whose gradient is missing or zero everywhere.
struct WithoutGradient<'a> {
    gradients: &'a Gradients,
    count: usize,
}

impl ModuleVisitor for WithoutGradient<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad(self.gradients);
        let there = gradient.is_some_and(|gradient| gradient.abs().sum().into_scalar::<f32>() > 0.0);
        self.count += usize::from(param.is_require_grad() && !there);
    }
}

fn without_gradient<N: Network<Output = Tensor<2>>>(network: N, side: usize, device: &Device) -> usize {
    let images = Tensor::random([4, 3, side, side], Distribution::Normal(0.0, 1.0), device);
    let logits = network.forward(images);
    let loss = (logits.clone() * Tensor::random(logits.dims(), Distribution::Default, device)).sum();
    let gradients = loss.backward();
    let mut visitor = WithoutGradient { gradients: &gradients, count: 0 };
    network.visit(&mut visitor);
    visitor.count
}

#[test]
fn every_parameter_receives_a_gradient() {
    let device = Device::flex().autodiff();
    device.seed(0);
    let resnext = Kind::ResNeXt { groups: 32, width: 4 };
    let configs = [
        (ResNetConfig { kind: resnext, ..ResNetConfig::new(Depth::D50, 10) }, 64),
        (ResNetConfig { stem: Stem::Cifar, ..ResNetConfig::new(Depth::D18, 10) }, 16),
    ];
    for (config, side) in configs {
        assert_eq!(without_gradient(config.init(&device), side, &device), 0, "{config:?}");
    }
    for depth in [Depth::D18, Depth::D50] {
        let config = ResNetV2Config { depth, num_classes: 10 };
        assert_eq!(without_gradient(config.init(&device), 64, &device), 0, "{config:?}");
    }
    for depth in [CifarV2Depth::D110, CifarV2Depth::D164] {
        let config = CifarResNetV2Config { depth, num_classes: 10 };
        assert_eq!(without_gradient(config.init(&device), 16, &device), 0, "{config:?}");
    }
}
