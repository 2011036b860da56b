//! A segmenter that cannot learn four images by heart has a mistake in it.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use std::sync::Arc;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use image::imageops::{FilterType, crop_imm, resize};
use image::{GrayImage, RgbImage};
use kiln_core::{Batch, Batches, LabelMap, Network, Score, Task, Truth};
use kiln_data::{Dataset, Loader, LoaderOptions, OnCorrupt, Pipeline, Roots, Sample};
use kiln_tasks::SemanticSegmentation;
use kiln_train::OptimizerConfig;
use serde_json::json;

/// A segmenter of every kind, by what its channels are divided, the side that the images are enlarged to, so that what is narrow in them
/// is wide enough for the finest map that the network makes its labels of, the rate it learns with and the steps it may take.
const ROWS: [(&str, usize, u32, f64, usize); 12] = [
    ("unet", 8, 40, 5e-3, 400),
    ("unet_bn", 4, 64, 3e-3, 200),
    ("segnet", 4, 64, 2e-3, 200),
    ("fcn8s_vgg16", 16, 96, 2e-3, 400),
    ("fcn16s_vgg16", 16, 128, 2e-3, 400),
    ("fcn32s_vgg16", 16, 160, 2e-3, 400),
    ("fcn_resnet50", 8, 128, 3e-3, 300),
    ("deeplabv1_vgg16", 8, 192, 1e-3, 500),
    ("deeplabv2_resnet101", 8, 128, 2e-3, 300),
    ("deeplabv3_resnet50", 8, 160, 3e-3, 500),
    ("deeplabv3plus_resnet18", 4, 128, 3e-3, 400),
    ("pspnet_resnet50", 8, 128, 3e-3, 300),
];

/// Steps between two looks at the score.
const LOOK: usize = 10;
/// Images of CamVid's training split, and where in each a square begins, column and row, of which each of five or six classes has a
/// sixteenth or more.
const PARTS: [(usize, u32, u32); 4] = [(90, 176, 136), (195, 432, 192), (285, 272, 168), (330, 416, 184)];
/// Of these squares, in pixels.
const SIDE: u32 = 40;

#[test]
fn a_segmenter_of_every_kind_learns_four_images_of_camvid_by_heart() {
    let Some(data) = kiln::shared_data() else { return };
    let only = std::env::var("KILN_SEGMENTER").ok();
    let device = Device::flex().autodiff();
    for (name, narrower, side, rate, steps) in ROWS {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        device.seed(1);
        let images = Enlarged::new(&data, side);
        let batch = images.batch(&device);
        let plain = Batch { images: batch.images.clone().inner(), ..batch.clone() };
        let task = SemanticSegmentation::new(11);
        let mut network = kiln_zoo::find(name).unwrap().narrowed(narrower).unwrap().model(11, &device);
        let adam: OptimizerConfig = serde_json::from_value(json!({"name": "adam"})).unwrap();
        let mut optimizer = adam.init().unwrap();
        let mut course = Vec::new();
        let began = std::time::Instant::now();
        for step in 1..=steps {
            let kiln_zoo::Output::Labels(logits) = network.forward_train(batch.images.clone()) else {
                panic!("{name}")
            };
            let losses = task.loss(logits, &batch);
            let gradients = GradientsParams::from_grads(losses.total().backward(), &network);
            network = optimizer.step(rate, network, gradients);
            if step % LOOK == 0 {
                let mut score = task.score();
                let kiln_zoo::Output::Labels(logits) = network.valid().forward(plain.images.clone()) else {
                    panic!("{name}")
                };
                score.update(logits, &plain);
                course.push((step, losses.total().into_scalar::<f32>(), score.mean_iou()));
                if score.mean_iou() > 0.95 {
                    break;
                }
            }
        }
        let (step, loss, iou) = *course.last().unwrap();
        println!(
            "{name}: loss {loss:.3}, mean IoU {iou:.3} after {step} steps, {:.0} s",
            began.elapsed().as_secs_f64()
        );
        assert!(iou > 0.95, "{name}: {course:?}");
    }
}

/// The parts, enlarged to a side.
struct Enlarged {
    images: Arc<dyn Dataset>,
    side: u32,
}

impl Enlarged {
    fn new(data: &std::path::Path, side: u32) -> Self {
        let roots = Roots { datasets: data.to_path_buf(), data: None };
        let camvid = kiln_data::open(data.join("camvid").to_str().unwrap(), &roots).unwrap();
        Self { images: camvid.split("train").unwrap(), side }
    }

    fn batch(self, device: &Device) -> Batch {
        let pipeline = Pipeline::new(Vec::new(), [0.41, 0.42, 0.43], [0.31; 3]).unwrap();
        let options = LoaderOptions::in_order(PARTS.len(), OnCorrupt::Error);
        Loader::new(Arc::new(self), pipeline, options, device.clone())
            .unwrap()
            .epoch(0, 0)
            .next()
            .unwrap()
            .unwrap()
    }
}

impl Dataset for Enlarged {
    fn len(&self) -> usize {
        PARTS.len()
    }

    fn get(&self, index: usize) -> kiln_core::Result<Sample> {
        let Sample { image, truth, .. } = self.images.get(PARTS[index].0)?;
        let (_, x, y) = PARTS[index];
        let image: RgbImage =
            resize(&*crop_imm(&image, x, y, SIDE, SIDE), self.side, self.side, FilterType::Triangle);
        let LabelMap { width, height, labels } = truth.label_map.unwrap();
        let labels = GrayImage::from_raw(width as u32, height as u32, labels).unwrap();
        let labels = resize(&*crop_imm(&labels, x, y, SIDE, SIDE), self.side, self.side, FilterType::Nearest)
            .into_raw();
        let side = self.side as usize;
        let label_map = Some(LabelMap { width: side, height: side, labels });
        Ok(Sample { image, truth: Truth { label_map, ..Truth::default() } })
    }

    fn origin(&self, index: usize) -> String {
        self.images.origin(PARTS[index].0)
    }
}
