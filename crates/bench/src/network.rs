//! Whole networks: which are compared, a training step, a forward pass.

use burn::module::{ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::prelude::*;
use burn::tensor::Distribution;
use kiln_core::{Batch, Logits, Network, Result, Task, Truth, learnable_parameters};
use kiln_tasks::Classification;
use kiln_train::{Optimizer, OptimizerConfig, Rule, Sgd};
use kiln_zoo::{Classifier, find};

use crate::stack::{self, Stack};

/// The name of the network that only this comparison has.
const STACK: &str = "unet-stack";

/// A network at work on images of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// A name of the registry, or [`STACK`].
    pub model: &'static str,
    /// Images at once.
    pub batch: usize,
    /// Rows and columns of an image.
    pub side: usize,
}

/// What is trained.
pub const TRAINED: [Workload; 7] = [
    on("cifar10-resnet18", 32, 32),
    on("cifar10-resnet20", 128, 32),
    on("resnet50", 4, 224),
    on("vgg11", 16, 64),
    on("shufflenet_v2_x1_0", 16, 96),
    on("densenet121", 8, 64),
    on(STACK, 4, 128),
];

/// What is only evaluated: single photographs.
pub const SINGLE: [Workload; 6] = [
    on("resnet18", 1, 224),
    on("resnet50", 1, 224),
    on("densenet121", 1, 224),
    on("googlenet", 1, 224),
    on("shufflenet_v2_x1_0", 1, 224),
    on("vgg11", 1, 224),
];

const fn on(model: &'static str, batch: usize, side: usize) -> Workload {
    Workload { model, batch, side }
}

impl Workload {
    /// The name of its row.
    pub fn name(&self) -> String {
        let Self { model, batch, side } = self;
        format!("{model} {batch}x{side}x{side}")
    }

    /// Random images.
    fn images(&self, device: &Device) -> Tensor<4> {
        Tensor::random([self.batch, 3, self.side, self.side], Distribution::Normal(0.0, 1.0), device)
    }

    /// Classes that the network tells apart.
    ///
    /// # Errors
    /// A model that the registry does not know.
    pub fn num_classes(&self) -> Result<usize> {
        match self.model {
            STACK => Ok(stack::CLASSES),
            model => Ok(find(model)?.num_classes()),
        }
    }

    /// The network with fresh weights, which are drawn when they are first asked for.
    ///
    /// # Errors
    /// A model that the registry does not know.
    pub fn network(&self, device: &Device) -> Result<Net> {
        match self.model {
            STACK => Ok(Net::Stack(Stack::new(device))),
            model => Ok(Net::Zoo(find(model)?.init(self.num_classes()?, device))),
        }
    }
}

/// Every network of the comparison as one type.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // There is one of it, not thousands.
pub enum Net {
    /// One of the registry.
    Zoo(Classifier),
    /// The one that only this comparison has.
    Stack(Stack),
}

impl Network for Net {
    type Output = Logits;

    fn forward(&self, images: Tensor<4>) -> Logits {
        match self {
            Self::Zoo(network) => network.forward(images),
            Self::Stack(network) => network.forward(images).into(),
        }
    }

    fn forward_train(&self, images: Tensor<4>) -> Logits {
        match self {
            Self::Zoo(network) => network.forward_train(images),
            Self::Stack(_) => self.forward(images),
        }
    }
}

/// Draws the weights of a network.
struct Draw;

impl ModuleVisitor for Draw {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        param.val();
    }
}

/// A network that learns one batch again and again.
pub struct Training {
    /// `None` only while a step is at work on it.
    network: Option<Net>,
    optimizer: Optimizer,
    task: Classification,
    batch: Batch,
    loss: f32,
}

impl Training {
    /// Ready for the first step.
    ///
    /// # Errors
    /// A model that the registry does not know.
    pub fn new(work: Workload) -> Result<Self> {
        let device = Device::flex().autodiff();
        device.seed(0);
        let network = work.network(&device)?;
        network.visit(&mut Draw);
        let images = work.images(&device);
        let num_classes = work.num_classes()?;
        let truths = (0..work.batch).map(|i| Truth { class: Some(i % num_classes), ..Truth::default() });
        let sgd = Sgd { momentum: 0.9, weight_decay: 1e-4, ..Sgd::default() };
        let sgd = OptimizerConfig { decay_norms_and_biases: true, ..Rule::Sgd(sgd).into() };
        Ok(Self {
            network: Some(network),
            optimizer: sgd.init()?,
            task: Classification::new(num_classes),
            batch: Batch { images, truths: truths.collect(), indices: (0..work.batch).collect() },
            loss: 0.0,
        })
    }

    /// Learnable parameters.
    pub fn parameters(&self) -> usize {
        self.network.as_ref().map_or(0, learnable_parameters)
    }

    /// A step as the training loop takes it.
    pub fn step(&mut self) {
        let Some(network) = self.network.take() else { return };
        let losses = self.task.loss(network.forward_train(self.batch.images.clone()), &self.batch);
        self.loss = losses.total().into_scalar();
        let gradients = GradientsParams::from_grads(losses.total().backward(), &network);
        self.network = Some(self.optimizer.step(0.001, network, gradients));
    }

    /// Whether the last loss is a number.
    pub fn is_finite(&self) -> bool {
        self.loss.is_finite()
    }
}

/// A network that answers for one batch again and again.
pub struct Evaluation {
    network: Net,
    images: Tensor<4>,
    logits: Option<Tensor<2>>,
}

impl Evaluation {
    /// Ready for the first pass.
    ///
    /// # Errors
    /// A model that the registry does not know.
    pub fn new(work: Workload) -> Result<Self> {
        let device = Device::flex();
        device.seed(0);
        let network = work.network(&device)?;
        network.visit(&mut Draw);
        let images = work.images(&device);
        Ok(Self { network, images, logits: None })
    }

    /// Learnable parameters.
    pub fn parameters(&self) -> usize {
        learnable_parameters(&self.network)
    }

    /// A forward pass.
    pub fn step(&mut self) {
        self.logits = Some(self.network.forward(self.images.clone()).main);
    }

    /// Whether the last logits are numbers.
    pub fn is_finite(&self) -> bool {
        let sum = |logits: &Tensor<2>| logits.clone().abs().sum().into_scalar::<f32>();
        self.logits.as_ref().is_some_and(|logits| sum(logits).is_finite())
    }
}
