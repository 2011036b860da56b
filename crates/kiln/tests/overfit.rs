//! A network that cannot learn eight images by heart has a mistake in it.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use kiln_core::{Batch, Batches, Network, Task};
use kiln_data::{Loader, LoaderOptions, OnCorrupt, Pipeline, Shapes, ShapesConfig};
use kiln_tasks::Classification;
use kiln_train::OptimizerConfig;
use serde_json::json;

/// A model of every family and kind of block, the side of its images, the rate it learns with and the steps it may take: a
/// third is enough for most. AlexNet, which has no normalization, jumps; PyTorch's is at 1.1 after 60.
const ROWS: [(&str, usize, f64, usize); 11] = [
    ("alexnet", 64, 3e-4, 150),
    ("cifar10-vgg11_bn", 32, 1e-3, 60),
    ("googlenet", 64, 1e-3, 60),
    ("resnet18", 64, 1e-3, 60),
    ("resnext50_32x4d", 32, 1e-3, 60),
    ("resnetv2_50", 32, 1e-3, 60),
    ("cifar10-resnet20", 32, 3e-3, 60),
    ("cifar10-resnetv2-110", 32, 3e-3, 60),
    ("densenet121", 32, 1e-3, 60),
    ("cifar10-densenetbc-100-12", 32, 3e-3, 60),
    ("cifar10-shufflenet_v2_x0_5", 32, 3e-3, 60),
];

/// The loss of a network that knows nothing of ten classes is ln 10 = 2.3.
const LEARNT: f32 = 0.05;

#[test]
fn a_model_of_every_family_learns_eight_images_by_heart() {
    let device = Device::flex().autodiff();
    let task = Classification::new(10);
    for (name, side, rate, steps) in ROWS {
        device.seed(1);
        let batch = eight_images(side, &device);
        let mut network = kiln_zoo::find(name).unwrap().init(10, &device);
        let adam: OptimizerConfig = serde_json::from_value(json!({"name": "adam"})).unwrap();
        let mut optimizer = adam.init().unwrap();
        let mut course = Vec::new();
        while course.len() < steps && !course.last().is_some_and(|loss| *loss < LEARNT) {
            let loss = task.loss(network.forward_train(batch.images.clone()), &batch);
            let known = match name {
                // Half of AlexNet's values are dropped while it trains; what it knows shows without.
                "alexnet" => task.loss(network.valid().forward(batch.images.clone().inner()), &batch),
                _ => loss.clone(),
            };
            course.push(known.parts()[0].1.clone().into_scalar::<f32>());
            let gradients = GradientsParams::from_grads(loss.total().backward(), &network);
            network = optimizer.step(rate, network, gradients);
        }
        let last = *course.last().unwrap();
        println!("{name}: {:.2} to {last:.3} in {} steps", course[0], course.len());
        assert!(last < LEARNT, "{name}: {course:?}");
    }
}

fn eight_images(side: usize, device: &Device) -> Batch {
    let shapes = Shapes::new(ShapesConfig::new("train", 8, 1).with_size(side)).unwrap();
    let pipeline = Pipeline::new(Vec::new(), [0.5; 3], [0.25; 3]).unwrap();
    let options = LoaderOptions::in_order(8, OnCorrupt::Error);
    let loader = Loader::new(Arc::new(shapes), pipeline, options, device.clone()).unwrap();
    loader.epoch(0, 0).next().unwrap().unwrap()
}
