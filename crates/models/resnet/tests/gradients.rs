//! The loss reaches every parameter: a network for each kind of block and stem.

use std::fmt::Debug;

use burn::prelude::*;
use burn::tensor::Distribution;
use kiln_core::{Network, without_gradient};
use kiln_resnet::{CifarResNetV2Config, CifarV2Depth, Depth, Kind, ResNetConfig, ResNetV2Config, Stem};

fn check<N: Network<Output = Tensor<2>>>(network: N, side: usize, device: &Device, name: impl Debug) {
    let images = Tensor::random([4, 3, side, side], Distribution::Normal(0.0, 1.0), device);
    let logits = network.forward(images);
    let loss = (logits.clone() * Tensor::random(logits.dims(), Distribution::Default, device)).sum();
    assert_eq!(without_gradient(&network, &loss.backward()), Vec::<String>::new(), "{name:?}");
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
        check(config.init(&device), side, &device, config);
    }
    for depth in [Depth::D18, Depth::D50] {
        let config = ResNetV2Config { depth, num_classes: 10 };
        check(config.init(&device), 64, &device, config);
    }
    for depth in [CifarV2Depth::D110, CifarV2Depth::D164] {
        let config = CifarResNetV2Config { depth, num_classes: 10 };
        check(config.init(&device), 16, &device, config);
    }
}
