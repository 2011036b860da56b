//! Points of two classes and a small network that tells them apart.

use burn::optim::GradientsParams;
use burn::prelude::*;
use kiln_core::{Batch, Batches, Logits, Network, Result, Task, Truth};
use kiln_nn::{Draws, Linear, LinearConfig};
use kiln_tasks::{Classification, ClassificationLoss};
use kiln_train::parameters;

/// Three numbers to two classes by sixteen units.
#[derive(Module, Debug)]
pub(super) struct Net {
    linear1: Linear,
    linear2: Linear,
}

impl Net {
    /// With fresh weights of a seed.
    pub fn new(seed: u64) -> Self {
        let device = Device::flex().autodiff();
        device.seed(seed);
        let net = Self {
            linear1: LinearConfig::new(3, 16).init(&device),
            linear2: LinearConfig::new(16, 2).init(&device),
        };
        // What is not drawn yet.
        parameters(&net, &GradientsParams::new(), |_| ());
        net
    }

    pub fn loss(&self, batch: &Batch) -> Tensor<1> {
        TASK.loss(self.forward(batch.images.clone()), batch).total()
    }

    pub fn gradients(&self, batch: &Batch) -> GradientsParams {
        GradientsParams::from_grads(self.loss(batch).backward(), self)
    }
}

impl Network for Net {
    type Output = Logits;

    /// `[batch, 3, 1, 1]` to `[batch, 2]`.
    fn forward(&self, images: Tensor<4>) -> Logits {
        let x = self.linear1.forward(images.flatten::<2>(1, 3)).tanh();
        self.linear2.forward(x).into()
    }
}

pub(super) const TASK: Classification =
    Classification { num_classes: 2, label_smoothing: 0.0, loss: ClassificationLoss::CrossEntropy {} };

/// Points around the four corners of a square, two opposite ones a class, without end: pixels of two numbers and a 1.
pub(super) struct Corners {
    batch: usize,
    seed: u64,
    device: Device,
}

impl Corners {
    pub fn new(batch: usize, seed: u64) -> Self {
        Self { batch, seed, device: Device::flex().autodiff() }
    }

    fn drawn(&self, draws: &mut Draws) -> Batch {
        let noise = draws.normal::<2, 1>([self.batch, 2], &Tensor::zeros([1], &Device::flex()));
        let noise: Vec<f32> = noise.into_data().iter().collect();
        let (mut pixels, mut truths) = (Vec::new(), Vec::new());
        for pair in noise.chunks_exact(2) {
            let corner = draws.below(4);
            let at = |on: bool, noise: f32| if on { 1.0 + 0.7 * noise } else { -1.0 + 0.7 * noise };
            pixels.extend([at(corner % 2 == 1, pair[0]), at(corner / 2 == 1, pair[1]), 1.0]);
            truths.push(Truth { class: Some(usize::from(corner == 1 || corner == 2)), ..Truth::default() });
        }
        let data = TensorData::new(pixels, [self.batch, 3, 1, 1]);
        Batch { images: Tensor::from_data(data, &self.device), truths, indices: (0..self.batch).collect() }
    }
}

impl Batches for Corners {
    fn items(&self) -> usize {
        self.batch * self.steps()
    }

    fn steps(&self) -> usize {
        64
    }

    fn epoch(&self, epoch: usize, first: usize) -> impl Iterator<Item = Result<Batch>> {
        let draws = move |step: usize| Draws::new((self.seed << 32) + (epoch * self.steps() + step) as u64);
        (first..self.steps()).map(move |step| Ok(self.drawn(&mut draws(step))))
    }
}

/// One batch after the other.
pub(super) fn endless(corners: &Corners) -> impl Iterator<Item = Batch> {
    (0..).flat_map(|epoch| corners.epoch(epoch, 0)).map(|batch| batch.expect("nothing is read"))
}

/// Examples that nothing is learned from.
pub(super) fn others(seed: u64) -> Batch {
    let corners = Corners { device: Device::flex(), ..Corners::new(512, seed) };
    corners.drawn(&mut Draws::new(seed + 99))
}
