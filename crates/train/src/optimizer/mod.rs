//! Optimizers with the semantics and the defaults of PyTorch's `torch.optim`, and some that it does not have.
//!
//! Burn has its own, but keeps their constants in 32-bit (1 - 0.999ᵗ loses half its digits there) and loads their
//! state to the default device. Here the constants are 64-bit, and a state is named by its parameter's path.
//!
//! Every optimizer is a [`Rule`]: its options, and its equation for one parameter. What they share is in
//! [`OptimizerConfig`]: which parameters are decayed, slowed down, frozen.

mod adam;
mod adaptive;
mod config;
mod groups;
mod layerwise;
mod lion;
mod memory;
mod path;
mod rule;
mod sgd;
mod swats;

use std::collections::BTreeMap;

use burn::module::{ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::prelude::*;

pub use adam::{Adam, AdamW, Adamax, NAdam, RAdam};
pub use adaptive::{Adadelta, Adagrad, RmsProp};
pub use config::OptimizerConfig;
pub use groups::{Group, LayerDecay};
pub use layerwise::{Lamb, Lars};
pub use lion::Lion;
pub use rule::Rule;
pub use sgd::Sgd;
pub use swats::Swats;

use crate::Pace;
use groups::Treatment;
use memory::{Memory, Numbers};
use path::Path;
use rule::At;

/// An optimizer at work: its options and what it remembers.
#[derive(Debug, Clone)]
pub struct Optimizer {
    config: OptimizerConfig,
    /// Of each parameter, by its path.
    memory: BTreeMap<String, Memory>,
    /// Of the network as a whole.
    whole: Numbers,
    /// What is special about a parameter; known once the module is.
    treatments: Option<BTreeMap<String, Treatment>>,
}

impl Optimizer {
    fn new(config: OptimizerConfig) -> Self {
        Self { config, memory: BTreeMap::new(), whole: Numbers::default(), treatments: None }
    }

    /// The module after one step along its gradients, at a rate, or as a schedule says. Parameters without a gradient stay as
    /// they are.
    pub fn step<M: Module>(&mut self, pace: impl Into<Pace>, module: M, gradients: GradientsParams) -> M {
        let pace = pace.into();
        if self.treatments.is_none() {
            self.treatments = Some(self.config.treatments(&module));
        }
        let module = module.map(&mut Step { optimizer: self, pace, gradients, path: Path::default() });
        self.config.rule.update().end_step(pace.rate, &mut self.whole);
        module
    }

    /// One parameter, flat, after one step.
    fn update(&mut self, path: String, rank: usize, pace: Pace, x: Tensor<1>, g: Tensor<1>) -> Tensor<1> {
        let Self { config, memory, whole, treatments } = self;
        let treatment = treatments.as_ref().and_then(|all| all.get(&path)).copied().unwrap_or_default();
        if treatment.frozen {
            return x;
        }
        // A norm's is `beta`.
        let is_bias = path.rsplit('.').next().is_some_and(|name| matches!(name, "bias" | "beta"));
        let rate = treatment.rate * if is_bias { pace.biases } else { pace.rate };
        let past = memory.entry(path).or_default();
        past.steps += 1;
        let (rule, full) = (config.rule.update(), rank >= 2 || config.decay_norms_and_biases);
        let usual = if full { rule.weight_decay() } else { 0.0 };
        let decay = treatment.weight_decay.unwrap_or(usual);
        rule.step(x, g, At { rate, pace, decay, full, past, whole })
    }
}

struct Step<'a> {
    optimizer: &'a mut Optimizer,
    pace: Pace,
    gradients: GradientsParams,
    path: Path,
}

impl ModuleMapper for Step<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        self.path.exit(container_type);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return param;
        };
        let (id, value, mapper) = param.consume();
        let strategy = value.gradient_checkpointing_strategy();
        let value = value.inner();
        let shape = value.shape();
        let (path, x, g) = (self.path.joined(), value.reshape([-1]), gradient.reshape([-1]));
        let value = self.optimizer.update(path, D, self.pace, x, g).reshape(shape);
        let mut value = Tensor::from_inner(value);
        if let Some(strategy) = strategy {
            value = value.with_gradient_checkpointing_strategy(strategy);
        }
        Param::from_mapped_value(id, value.require_grad(), mapper)
    }
}
