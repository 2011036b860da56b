//! A task of one's own, trained: how bright is an image? `cargo run --release -p kiln-train --example custom_task`
use std::sync::atomic::AtomicBool;

use burn::nn::{Linear, LinearConfig};
use burn::{prelude::*, tensor::Distribution};
use kiln_core::{Batch, Losses, Network, Result, Score, Task, Truth};
use kiln_train::{Fit, Length, Log, MetricsFiles, OptimizerConfig, Trainer};

#[derive(Module, Debug)]
pub(crate) struct Brightness {
    linear: Linear,
}
impl Network for Brightness {
    type Output = Tensor<2>;
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.linear.forward(images.flatten(1, 3))
    }
}
/// What is said, less the mean of all pixels: the truth may come from `batch.truths` just as well.
fn error(said: Tensor<2>, batch: &Batch) -> Tensor<2> {
    said - batch.images.clone().flatten::<2>(1, 3).mean_dim(1)
}
struct Regression;
impl Task for Regression {
    type Output = Tensor<2>;
    type Score = Near;
    fn loss(&self, said: Tensor<2>, batch: &Batch) -> Losses {
        Losses::new("squared_error", error(said, batch).square().mean())
    }
    fn score(&self) -> Near {
        Near(Vec::new())
    }
}
/// The share of images whose brightness is said to two hundredths.
struct Near(Vec<f32>);
impl Score for Near {
    type Output = Tensor<2>;
    fn update(&mut self, said: Tensor<2>, batch: &Batch) {
        self.0.extend(error(said, batch).abs().into_data().iter::<f32>());
    }
    fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![("near", self.0.iter().filter(|e| **e < 0.02).count() as f64 / self.0.len() as f64)]
    }
}
fn batches(count: usize, device: &Device) -> Vec<Batch> {
    let images = (0..count).map(|_| Tensor::random([8, 3, 4, 4], Distribution::Default, device));
    images.map(|images| Batch { images, truths: vec![Truth::default(); 8], indices: vec![0; 8] }).collect()
}
pub(crate) fn train(run: &str) -> Result<Fit<Brightness>> {
    let (device, training) = (Device::flex(), Device::flex().autodiff());
    let adam: OptimizerConfig = serde_json::from_str(r#"{"name": "adam"}"#).expect("an optimizer");
    let trainer = Trainer::new(run, Length::Epochs(20), 0.01, adam);
    let network = Brightness { linear: LinearConfig::new(48, 1).init(&training) };
    let (mut metrics, mut log) = (MetricsFiles::new(run), Log::open(run)?);
    let (watch, stop) = (&mut [&mut metrics as _, &mut log as _], AtomicBool::new(false));
    trainer.fit(network, &Regression, &batches(64, &training), &batches(8, &device), watch, &stop)
}
fn main() -> Result<()> {
    train("runs/custom-task").map(|fit| println!("{:?}", fit.best()))
}
