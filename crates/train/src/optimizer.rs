//! Optimizers with the semantics and the defaults of PyTorch's `torch.optim`.
//!
//! Burn has its own, but keeps their constants in 32-bit (1 - 0.999ᵗ loses half its digits there) and loads their
//! state to the default device. Here the constants are 64-bit, and a state is named by its parameter's path.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::prelude::*;
use kiln_core::{Error, Result};
use kiln_kernels::{Adam, Sgd};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

/// An optimizer by its name, with PyTorch's options and defaults.
///
/// Weight decay goes to tensors of two or more dimensions only, unless `decay_norms_and_biases` says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Stochastic gradient descent.
    Sgd {
        /// Share of the velocity that is kept each step.
        #[serde(default)]
        momentum: f64,
        /// Looks ahead along the velocity (Sutskever et al., 2013); wants momentum and no dampening.
        #[serde(default)]
        nesterov: bool,
        /// Added to the gradient: `weight_decay` times the weight.
        #[serde(default)]
        weight_decay: f64,
        /// Share of the gradient that is kept out of the velocity.
        #[serde(default)]
        dampening: f64,
        /// Also decays norms and biases.
        #[serde(default)]
        decay_norms_and_biases: bool,
    },
    /// Adam (Kingma and Ba, 2015), <https://arxiv.org/abs/1412.6980>.
    Adam {
        /// Decay of the first and the second moment.
        #[serde(default = "betas")]
        betas: [f64; 2],
        /// Added to the root of the second moment.
        #[serde(default = "eps")]
        eps: f64,
        /// Added to the gradient: `weight_decay` times the weight.
        #[serde(default)]
        weight_decay: f64,
        /// Also decays norms and biases.
        #[serde(default)]
        decay_norms_and_biases: bool,
    },
    /// Adam with decoupled weight decay (Loshchilov and Hutter, 2019), <https://arxiv.org/abs/1711.05101>.
    #[serde(rename = "adamw")]
    AdamW {
        /// Decay of the first and the second moment.
        #[serde(default = "betas")]
        betas: [f64; 2],
        /// Added to the root of the second moment.
        #[serde(default = "eps")]
        eps: f64,
        /// Each step shrinks the weight by `weight_decay` times the rate.
        #[serde(default = "decoupled_decay")]
        weight_decay: f64,
        /// Also decays norms and biases.
        #[serde(default)]
        decay_norms_and_biases: bool,
    },
}

fn betas() -> [f64; 2] {
    [0.9, 0.999]
}

fn eps() -> f64 {
    1e-8
}

fn decoupled_decay() -> f64 {
    0.01
}

impl OptimizerConfig {
    /// The optimizer, with nothing remembered yet.
    ///
    /// # Errors
    /// Options that make no sense, named by their key.
    pub fn init(&self) -> Result<Optimizer> {
        let reject = |key: &str, message: String, hint: &str| {
            Err(Error::input(message).place(format!("optimizer.{key}")).hint(hint))
        };
        let decay = match self {
            Self::Sgd { momentum, nesterov, weight_decay, dampening, .. } => {
                if !(0.0..1.0).contains(momentum) {
                    return reject("momentum", format!("{momentum} is out of range"), "0 up to, but not, 1");
                }
                if !(0.0..1.0).contains(dampening) {
                    return reject(
                        "dampening",
                        format!("{dampening} is out of range"),
                        "0 up to, but not, 1",
                    );
                }
                if *nesterov && (*momentum == 0.0 || *dampening != 0.0) {
                    return reject(
                        "nesterov",
                        "has nothing to look ahead along".into(),
                        "set `momentum` above 0 and `dampening` to 0",
                    );
                }
                weight_decay
            }
            Self::Adam { betas, eps, weight_decay, .. } | Self::AdamW { betas, eps, weight_decay, .. } => {
                if !betas.iter().all(|beta| (0.0..1.0).contains(beta)) {
                    return reject("betas", format!("{betas:?} is out of range"), "both 0 up to, but not, 1");
                }
                if !(eps.is_finite() && *eps >= 0.0) {
                    return reject("eps", format!("{eps} is out of range"), "0 or more, as 1e-8");
                }
                weight_decay
            }
        };
        if !(decay.is_finite() && *decay >= 0.0) {
            return reject("weight_decay", format!("{decay} is out of range"), "0 or more, as 1e-4");
        }
        Ok(Optimizer { config: self.clone(), moments: BTreeMap::new() })
    }

    /// As the name is written in an experiment.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd { .. } => "sgd",
            Self::Adam { .. } => "adam",
            Self::AdamW { .. } => "adamw",
        }
    }

    fn decays(&self, rank: usize) -> bool {
        let (Self::Sgd { decay_norms_and_biases, .. }
        | Self::Adam { decay_norms_and_biases, .. }
        | Self::AdamW { decay_norms_and_biases, .. }) = self;
        rank >= 2 || *decay_norms_and_biases
    }

    /// One parameter after one step at `rate`; everything is flat.
    fn update(
        &self,
        rate: f64,
        decays: bool,
        x: Tensor<1>,
        grad: Tensor<1>,
        past: &mut Moments,
    ) -> Tensor<1> {
        past.steps += 1;
        let decay = |weight_decay: f64| if decays { weight_decay } else { 0.0 };
        let plain = |betas, eps| Adam { rate, betas, eps, l2: 0.0, shrink: 1.0, steps: past.steps };
        let step = match *self {
            Self::Sgd { momentum, nesterov, weight_decay, dampening, .. } => {
                let step = Sgd { rate, momentum, dampening, nesterov, l2: decay(weight_decay) };
                let (x, velocity) = kiln_kernels::sgd(x, grad, past.first.take(), step);
                past.first = velocity;
                return x;
            }
            Self::Adam { betas, eps, weight_decay, .. } => {
                Adam { l2: decay(weight_decay), ..plain(betas, eps) }
            }
            Self::AdamW { betas, eps, weight_decay, .. } => {
                Adam { shrink: 1.0 - rate * decay(weight_decay), ..plain(betas, eps) }
            }
        };
        let moments = past.first.take().zip(past.second.take());
        let (x, [first, second]) = kiln_kernels::adam(x, grad, moments.map(<[_; 2]>::from), step);
        (past.first, past.second) = (Some(first), Some(second));
        x
    }
}

/// What an optimizer remembers of one parameter, flat.
#[derive(Debug, Clone, Default)]
struct Moments {
    /// Gradients seen.
    steps: u64,
    /// The velocity, or the average of the gradients.
    first: Option<Tensor<1>>,
    /// The average of their squares.
    second: Option<Tensor<1>>,
}

/// An optimizer at work: its options and what it remembers of each parameter.
#[derive(Debug, Clone)]
pub struct Optimizer {
    config: OptimizerConfig,
    moments: BTreeMap<String, Moments>,
}

impl Optimizer {
    /// The module after one step at `rate` along its gradients. Parameters without a gradient stay as they are.
    pub fn step<M: Module>(&mut self, rate: f64, module: M, gradients: GradientsParams) -> M {
        module.map(&mut Step { optimizer: self, rate, gradients, path: Vec::new() })
    }

    /// What is remembered, as a safetensors file.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut tensors: Vec<(String, Vec<u8>, Dtype)> = Vec::new();
        for (path, moments) in &self.moments {
            for (name, moment) in [("first", &moments.first), ("second", &moments.second)] {
                if let Some(moment) = moment {
                    let values = moment.try_to_vec_as::<f32>().map_err(|why| {
                        Error::failure(format!(
                            "the state of `{path}` cannot be read from the device: {why:?}"
                        ))
                    })?;
                    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                    tensors.push((format!("{path}.{name}"), bytes, Dtype::F32));
                }
            }
            tensors.push((format!("{path}.steps"), moments.steps.to_le_bytes().to_vec(), Dtype::U64));
        }
        let views = tensors.iter().map(|(name, bytes, dtype)| {
            let items = bytes.len() * 8 / dtype.bitsize();
            TensorView::new(*dtype, vec![items], bytes).map(|view| (name.as_str(), view))
        });
        let views: Result<Vec<_>, _> = views.collect();
        views
            .and_then(|views| safetensors::serialize(views, None))
            .map_err(|why| Error::failure(format!("the optimizer's state cannot be written: {why}")))
    }

    /// Remembers again what [`Optimizer::to_bytes`] said; `file` is where the bytes come from.
    pub(crate) fn restored(mut self, bytes: &[u8], file: &Path, device: &Device) -> Result<Self> {
        let damaged = |why: &str| Error::input(format!("is no optimizer state: {why}")).file(file);
        let tensors = SafeTensors::deserialize(bytes).map_err(|why| damaged(&why.to_string()))?;
        for (name, view) in tensors.iter() {
            let (path, what) = name.rsplit_once('.').ok_or_else(|| damaged(&format!("it holds `{name}`")))?;
            let moments = self.moments.entry(path.to_string()).or_default();
            match (what, view.dtype()) {
                ("steps", Dtype::U64) => {
                    let bytes =
                        view.data().try_into().map_err(|_| damaged(&format!("`{name}` is no number")))?;
                    moments.steps = u64::from_le_bytes(bytes);
                }
                ("first" | "second", Dtype::F32) => {
                    let values =
                        view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                    let values: Vec<f32> = values.collect();
                    let moment = Some(Tensor::from_data(values.as_slice(), device));
                    match what {
                        "first" => moments.first = moment,
                        _ => moments.second = moment,
                    }
                }
                (_, dtype) => return Err(damaged(&format!("it holds `{name}` of {dtype:?}"))),
            }
        }
        Ok(self)
    }
}

struct Step<'a> {
    optimizer: &'a mut Optimizer,
    rate: f64,
    gradients: GradientsParams,
    path: Vec<String>,
}

impl ModuleMapper for Step<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return param;
        };
        let (id, value, mapper) = param.consume();
        let strategy = value.gradient_checkpointing_strategy();
        let value = value.inner();
        let shape = value.shape();
        let Optimizer { config, moments } = &mut *self.optimizer;
        let past = moments.entry(self.path.join(".")).or_default();
        let value = config
            .update(self.rate, config.decays(D), value.reshape([-1]), gradient.reshape([-1]), past)
            .reshape(shape);
        let mut value = Tensor::from_inner(value);
        if let Some(strategy) = strategy {
            value = value.with_gradient_checkpointing_strategy(strategy);
        }
        Param::from_mapped_value(id, value.require_grad(), mapper)
    }
}
