//! Parts of a network that do not learn for a while.

use burn::module::{Flag, ModuleMapper, ModuleVisitor, Param};
use burn::prelude::*;
use kiln_core::{Error, Result, nearest};
use serde::{Deserialize, Serialize};

use crate::walk::{Path, is_statistic};

/// A part of a network that does not learn for some epochs.
///
/// A frozen part is in evaluation mode: its parameters have no gradient and are not decayed, its batch normalization goes by
/// the running statistics and leaves them as they are, its dropout drops nothing. Gradients flow through it to what is before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// What the paths of its parameters begin with: `layer1` is `layer1.0.conv1.weight` too, and not `layer10.weight`.
    pub path: String,
    /// Epochs done when it freezes.
    #[serde(default)]
    pub from_epoch: usize,
    /// Epochs done when it learns on; never if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_epoch: Option<usize>,
}

impl Freeze {
    fn holds(&self, path: &str) -> bool {
        path.strip_prefix(&self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    fn is_on(&self, epoch: usize) -> bool {
        self.from_epoch <= epoch && self.until_epoch.is_none_or(|until| epoch < until)
    }
}

/// Makes sure that rows say something about a network, and leave it something to learn in each of so many epochs.
///
/// # Errors
/// A row that does not.
pub(crate) fn check<M: Module>(rows: &[Freeze], module: &M, epochs: usize) -> Result<()> {
    let mut paths = Paths::default();
    module.visit(&mut paths);
    let reject = |message: String| Error::input(message).place("train.freeze");
    for Freeze { path, from_epoch, until_epoch } in rows {
        if until_epoch.is_some_and(|until| until <= *from_epoch) {
            let hint = "`until_epoch` comes after `from_epoch`";
            return Err(reject(format!("`{path}` is not frozen for an epoch")).hint(hint));
        }
        let row = Freeze { path: path.clone(), from_epoch: 0, until_epoch: None };
        if !paths.found.iter().any(|path| row.holds(path)) {
            let parts = paths.found.iter().map(|path| path.split('.').next().unwrap_or_default());
            let hint = match nearest(path, parts.clone().chain(paths.found.iter().map(String::as_str))) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let mut parts: Vec<_> = parts.collect();
                    parts.dedup();
                    format!("its parts are {}", parts.join(", "))
                }
            };
            return Err(reject(format!("no parameter's path begins with `{path}`")).hint(hint));
        }
    }
    let learns = |path: &String, epoch| !rows.iter().any(|row| row.is_on(epoch) && row.holds(path));
    let idle = (0..epochs).find(|epoch| !paths.found.iter().any(|path| learns(path, *epoch)));
    match idle {
        None => Ok(()),
        Some(epoch) => Err(reject(format!("nothing is left to learn in epoch {}", epoch + 1))),
    }
}

/// The module with what is frozen in an epoch, counted from 0, frozen, and what was frozen before it learning again.
pub(crate) fn applied<M: Module>(rows: &[Freeze], module: M, epoch: usize) -> M {
    match rows {
        [] => module,
        rows => module.map(&mut Apply { rows, epoch, path: Path::default() }),
    }
}

/// The paths of parameters that can learn.
#[derive(Default)]
struct Paths {
    path: Path,
    found: Vec<String>,
}

impl ModuleVisitor for Paths {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<D>>) {
        let path = self.path.text();
        if !is_statistic(&path) {
            self.found.push(path);
        }
    }
}

struct Apply<'a> {
    rows: &'a [Freeze],
    epoch: usize,
    path: Path,
}

impl Apply<'_> {
    /// Whether what is at the path learns; `None` where no row is about it.
    fn learns(&self) -> Option<bool> {
        let path = self.path.text();
        let mut rows = self.rows.iter().filter(|row| row.holds(&path)).peekable();
        rows.peek()?;
        Some(!rows.any(|row| row.is_on(self.epoch)))
    }
}

impl ModuleMapper for Apply<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.learns() {
            Some(learns) if !is_statistic(&self.path.text()) => param.set_require_grad(learns),
            _ => param,
        }
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        match self.learns() {
            Some(learns) => flag.with_value(learns),
            None => flag,
        }
    }
}
