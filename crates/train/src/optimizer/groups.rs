//! Parameters that are treated in another way than the rest.

use std::collections::BTreeMap;

use burn::module::{Flag, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::prelude::*;
use glob::{MatchOptions, Pattern};
use kiln_core::{Error, Result, nearest};
use serde::{Deserialize, Serialize};

use super::path::Path;

/// Some parameters, and what is special about them.
///
/// A pattern is the beginning of a parameter's path, of whole parts: `layer1` is all that is in `layer1`. `*` stands for
/// any part or a piece of one (`layer*`), `**` for any number of parts (`**.bn1`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Patterns, of which one must match; all parameters if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
    /// Patterns, of which none may match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// What the learning rate is multiplied with.
    #[serde(default = "one")]
    pub rate: f64,
    /// Their weight decay, norms and biases included; as for the rest if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// They stay as they are.
    #[serde(default)]
    pub frozen: bool,
}

/// Layer-wise rate decay (Clark et al., 2020; Bao et al., 2022, for images): the last layer learns at the full rate, the one
/// before it at `factor` times that, and so on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerDecay {
    /// What the rate is multiplied with from one layer to the one before it.
    pub factor: f64,
    /// How many parts of a path name a layer: with 1 a ResNet's `layer1` is one layer, with 2 `layer1.0` is.
    #[serde(default = "depth")]
    pub depth: usize,
}

fn one() -> f64 {
    1.0
}

fn depth() -> usize {
    1
}

/// What is special about one parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Treatment {
    pub rate: f64,
    pub weight_decay: Option<f64>,
    pub frozen: bool,
}

impl Default for Treatment {
    fn default() -> Self {
        Self { rate: 1.0, weight_decay: None, frozen: false }
    }
}

impl Group {
    fn holds(&self, path: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, path));
        (self.parameters.is_empty() || any(&self.parameters)) && !any(&self.except)
    }
}

fn compiled(pattern: &str) -> Result<Pattern, glob::PatternError> {
    Pattern::new(&pattern.replace('.', "/"))
}

/// Whether a pattern is the beginning of a path.
fn matches(pattern: &str, path: &str) -> bool {
    let Ok(pattern) = compiled(pattern) else { return false };
    let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
    let path = path.replace('.', "/");
    let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
    ends.into_iter().any(|end| pattern.matches_with(&path[..end], options))
}

/// Makes sure that the options make sense, whatever the network.
pub(super) fn check_options(groups: &[Group], layer_decay: Option<LayerDecay>) -> Result<()> {
    let wrong = |key: &str, message: String| Error::input(message).place(format!("optimizer.{key}"));
    for (index, group) in groups.iter().enumerate() {
        let wrong = |key: &str, message: String| wrong(&format!("groups.{index}.{key}"), message);
        if !(group.rate.is_finite() && group.rate >= 0.0) {
            let error = wrong("rate", format!("{} is no factor of the learning rate", group.rate));
            return Err(error.hint("0 or more, as 0.1"));
        }
        if group.weight_decay.is_some_and(|decay| !(decay.is_finite() && decay >= 0.0)) {
            return Err(wrong("weight_decay", "is out of range".into()).hint("0 or more, as 1e-4"));
        }
        for (key, patterns) in [("parameters", &group.parameters), ("except", &group.except)] {
            for pattern in patterns {
                compiled(pattern)
                    .map_err(|why| wrong(key, format!("`{pattern}` is no pattern: {}", why.msg)))?;
            }
        }
    }
    match layer_decay {
        Some(LayerDecay { factor, .. }) if !(factor > 0.0 && factor <= 1.0) => {
            Err(wrong("layer_decay.factor", format!("{factor} is out of range")).hint("above 0, at most 1"))
        }
        Some(LayerDecay { depth: 0, .. }) => {
            Err(wrong("layer_decay.depth", "0 parts of a path name no layer".into()).hint("give 1 or more"))
        }
        _ => Ok(()),
    }
}

/// Makes sure that groups fit a network whose parameters are `names`.
pub(super) fn check(groups: &[Group], names: &[String]) -> Result<()> {
    let wrong = |index: usize, key: &str, message: String| {
        Error::input(message).place(format!("optimizer.groups.{index}{key}"))
    };
    for (index, group) in groups.iter().enumerate() {
        for (key, patterns) in [(".parameters", &group.parameters), (".except", &group.except)] {
            let idle = patterns.iter().find(|pattern| !names.iter().any(|name| matches(pattern, name)));
            if let Some(pattern) = idle {
                let tops = tops(names);
                let hint = match nearest(pattern, tops.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the network has {}", tops.join(", ")),
                };
                return Err(wrong(
                    index,
                    key,
                    format!("`{pattern}` matches none of the network's parameters"),
                )
                .hint(hint));
            }
        }
        if !names.iter().any(|name| group.holds(name)) {
            return Err(wrong(index, "", "the group holds no parameter".into()).hint("`except` takes all"));
        }
    }
    for name in names {
        let mut holders = (0..groups.len()).filter(|index| groups[*index].holds(name));
        if let (Some(first), Some(second)) = (holders.next(), holders.next()) {
            let message = format!("`{name}` is in this group and in group {first} (counted from 0)");
            return Err(wrong(second, "", message).hint("leave it out of one of them with `except`"));
        }
    }
    let frozen = |name: &String| groups.iter().any(|group| group.frozen && group.holds(name));
    match !names.is_empty() && names.iter().all(frozen) {
        true => Err(Error::input("all parameters are frozen: there is nothing to train")
            .place("optimizer.groups")
            .hint("leave some out with `except`")),
        false => Ok(()),
    }
}

/// The first parts of paths, each once.
fn tops(names: &[String]) -> Vec<&str> {
    let mut tops: Vec<&str> = names.iter().filter_map(|name| name.split('.').next()).collect();
    tops.dedup();
    tops
}

/// What is special about the parameters whose paths are `names`, in the order of the network.
pub(super) fn treatments(
    groups: &[Group],
    layer_decay: Option<LayerDecay>,
    names: &[String],
) -> BTreeMap<String, Treatment> {
    let depth = layer_decay.map_or(1, |decay| decay.depth);
    let mut layers: Vec<Vec<&str>> = Vec::new();
    for name in names {
        let layer = layer_of(name, depth);
        if !layers.contains(&layer) {
            layers.push(layer);
        }
    }
    let treatment = |name: &String| {
        let group = groups.iter().find(|group| group.holds(name));
        let group = group.map_or_else(Treatment::default, |group| Treatment {
            rate: group.rate,
            weight_decay: group.weight_decay,
            frozen: group.frozen,
        });
        let layer = layers.iter().position(|layer| *layer == layer_of(name, depth)).unwrap_or_default();
        let above = (layers.len() - 1 - layer) as i32;
        let decay = layer_decay.map_or(1.0, |decay| decay.factor.powi(above));
        (name.clone(), Treatment { rate: group.rate * decay, ..group })
    };
    names.iter().map(treatment).collect()
}

/// The parts of a path that name its layer; the last part is the parameter's own name.
fn layer_of(name: &str, depth: usize) -> Vec<&str> {
    let parts: Vec<&str> = name.split('.').collect();
    parts[..depth.min(parts.len().saturating_sub(1))].to_vec()
}

/// Freezes what the groups say; a normalization's switch is among what a group holds.
pub(super) fn freeze<M: Module>(groups: &[Group], network: M) -> M {
    let names = Names::of(&network);
    let frozen = |path: &String| groups.iter().any(|group| group.frozen && group.holds(path));
    let ids = names.all.iter().filter(|(path, _)| frozen(path)).map(|(_, id)| *id);
    let ids: Vec<ParamId> = ids.collect();
    network.freeze_group(ParamGroup::from_ids(ids))
}

/// The paths of a network's parameters, in its order.
#[derive(Default)]
pub(super) struct Names {
    path: Path,
    /// What is learned.
    pub parameters: Vec<String>,
    /// That, and the switches.
    all: Vec<(String, ParamId)>,
}

impl Names {
    pub fn of<M: Module>(network: &M) -> Self {
        let mut names = Self::default();
        network.visit(&mut names);
        names
    }
}

impl ModuleVisitor for Names {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        self.path.exit(container_type);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !self.path.last().starts_with("running_") {
            self.parameters.push(self.path.joined());
            self.all.push((self.path.joined(), param.id));
        }
    }

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        self.all.push((self.path.joined(), flag.id));
    }
}
