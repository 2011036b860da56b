//! A detector that cannot learn four images by heart has a mistake in it: in its network, its assignment or its loss.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use kiln_core::{Batch, Batches, Network, Score, Task};
use kiln_data::{Loader, LoaderOptions, OnCorrupt, Pipeline, Shapes, ShapesConfig};
use kiln_tasks::{DetectionLoss, ObjectDetection, Selection};
use kiln_train::OptimizerConfig;
use serde_json::json;

/// A model of every version, its loss, the side of its images, the rate it learns with and the steps it may take.
const ROWS: [(&str, DetectionLoss, usize, f64, usize); 6] = [
    ("yolov1-tiny", DetectionLoss::YoloV1, 448, 1e-4, 150),
    ("yolov2-tiny", DetectionLoss::YoloV2, 128, 1e-3, 150),
    ("yolov3-tiny", DetectionLoss::YoloV3, 128, 1e-3, 150),
    ("yolov4-tiny", DetectionLoss::YoloV4, 128, 1e-3, 150),
    ("yolov5n", DetectionLoss::YoloV5, 128, 2e-3, 200),
    ("yolov8n", DetectionLoss::YoloV8, 128, 2e-3, 200),
];

/// Steps between two looks at the score.
const LOOK: usize = 10;

#[test]
fn every_version_learns_four_images_by_heart() {
    let only = std::env::var("KILN_DETECTOR").ok();
    let device = Device::flex().autodiff();
    for (name, loss, side, rate, steps) in ROWS {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        device.seed(1);
        let batch = four_images(side, &device);
        let plain = Batch { images: batch.images.clone().inner(), ..batch.clone() };
        let task = ObjectDetection { num_classes: 10, loss, selection: Selection::default() };
        let mut network = kiln_zoo::find(name).unwrap().detector(10, &device).unwrap();
        let adam: OptimizerConfig = serde_json::from_value(json!({"name": "adam"})).unwrap();
        let mut optimizer = adam.init().unwrap();
        let mut course = Vec::new();
        for step in 1..=steps {
            let losses = task.loss(network.forward_train(batch.images.clone()), &batch);
            let value = losses.total().into_scalar::<f32>();
            assert!(value.is_finite(), "{name}: {value} in step {step}");
            let gradients = GradientsParams::from_grads(losses.total().backward(), &network);
            network = optimizer.step(rate, network, gradients);
            if step % LOOK == 0 {
                let mut score = task.score();
                score.update(network.valid().forward(plain.images.clone()), &plain);
                let figures = score.figures();
                let ap50 = figures.iter().find(|(name, _)| *name == "ap50").unwrap().1;
                course.push((step, value, ap50));
                if ap50 > 0.95 {
                    break;
                }
            }
        }
        let (step, value, ap50) = *course.last().unwrap();
        println!("{name}: loss {value:.3}, AP50 {ap50:.3} after {step} steps");
        assert!(ap50 > 0.95, "{name}: {course:?}");
    }
}

fn four_images(side: usize, device: &Device) -> Batch {
    let shapes = Shapes::new(ShapesConfig::new("train", 4, 1).with_size(side)).unwrap();
    let pipeline = Pipeline::new(Vec::new(), [0.0; 3], [1.0; 3]).unwrap();
    let options = LoaderOptions::in_order(4, OnCorrupt::Error);
    let loader = Loader::new(Arc::new(shapes), pipeline, options, device.clone()).unwrap();
    loader.epoch(0, 0).next().unwrap().unwrap()
}
