//! An optimizer as an experiment says it: the rule, and what goes beside every rule.

use std::collections::BTreeMap;

use burn::prelude::*;
use kiln_core::Result;
use serde::{Deserialize, Deserializer, Serialize};

use super::groups::{self, Group, LayerDecay, Names, Treatment};
use super::{Optimizer, Rule};
use crate::shared_keys::take_out;

/// An optimizer by its name, with its options, and for which parameters they hold.
///
/// Weight decay goes to tensors of two or more dimensions only, unless `decay_norms_and_biases` or a group says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OptimizerConfig {
    /// How a gradient becomes a step.
    #[serde(flatten)]
    pub rule: Rule,
    /// Also decays norms and biases.
    pub decay_norms_and_biases: bool,
    /// Parameters that are treated in another way than the rest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// Smaller rates the nearer a layer is to the images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_decay: Option<LayerDecay>,
}

impl From<Rule> for OptimizerConfig {
    /// The rule for all parameters.
    fn from(rule: Rule) -> Self {
        Self { rule, decay_norms_and_biases: false, groups: Vec::new(), layer_decay: None }
    }
}

/// The keys that every rule has beside its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shared {
    #[serde(default)]
    decay_norms_and_biases: bool,
    #[serde(default)]
    groups: Vec<Group>,
    #[serde(default)]
    layer_decay: Option<LayerDecay>,
}

impl<'de> Deserialize<'de> for OptimizerConfig {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let keys = ["decay_norms_and_biases", "groups", "layer_decay"];
        let (Shared { decay_norms_and_biases, groups, layer_decay }, rule) = take_out(from, &keys)?;
        Ok(Self { rule, decay_norms_and_biases, groups, layer_decay })
    }
}

impl OptimizerConfig {
    /// The optimizer, with nothing remembered yet.
    ///
    /// # Errors
    /// Options that make no sense, named by their key.
    pub fn init(&self) -> Result<Optimizer> {
        self.rule.update().check()?;
        groups::check_options(&self.groups, self.layer_decay)?;
        Ok(Optimizer::new(self.clone()))
    }

    /// As the name is written in an experiment.
    pub fn name(&self) -> &'static str {
        self.rule.name()
    }

    /// Makes sure that the groups fit a network.
    ///
    /// # Errors
    /// A pattern that matches no parameter, a parameter in two groups, a network with nothing left to train.
    pub fn check<M: Module>(&self, network: &M) -> Result<()> {
        groups::check(&self.groups, &Names::of(network).parameters)
    }

    /// The network with its frozen parts frozen: they have no gradients, and their normalizations go by their running
    /// statistics, which stay as they are.
    ///
    /// # Errors
    /// As [`OptimizerConfig::check`].
    pub fn freeze<M: Module>(&self, network: M) -> Result<M> {
        self.check(&network)?;
        match self.groups.iter().any(|group| group.frozen) {
            true => Ok(groups::freeze(&self.groups, network)),
            false => Ok(network),
        }
    }

    /// What is special about parameters, by their paths.
    pub(super) fn treatments<M: Module>(&self, network: &M) -> BTreeMap<String, Treatment> {
        match self.groups.is_empty() && self.layer_decay.is_none() {
            true => BTreeMap::new(),
            false => groups::treatments(&self.groups, self.layer_decay, &Names::of(network).parameters),
        }
    }
}
