//! How a state dict does not fit a model.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use kiln_core::{Error, nearest};

use crate::Entry;

/// What of a state dict does not fit a model, all of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Misfit {
    /// Weights of the model that are not in the state dict, each with the unused name that it most likely has there.
    pub missing: Vec<(String, Option<String>)>,
    /// Names in the state dict that the model does not have.
    pub unused: Vec<String>,
    /// Name, shape in the state dict, shape in the model.
    pub wrong_shape: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl Misfit {
    /// Compares a model's names and shapes with a state dict's.
    pub(crate) fn of(expected: &BTreeMap<String, Vec<usize>>, found: &BTreeMap<String, Vec<usize>>) -> Self {
        let unused: Vec<_> = found.keys().filter(|name| !expected.contains_key(*name)).collect();
        let guess = |name: &str, shape: &[usize]| {
            let all = || unused.iter().map(|name| name.as_str());
            let alike: Vec<_> = all().filter(|other| found[*other] == shape).collect();
            let only = match alike[..] {
                [one] => Some(one),
                _ => None,
            };
            // All that have another shape are many: the last word (`weight`, `running_mean`) is never another.
            let last = |name: &str| name.rsplit('.').next().map(str::to_string);
            let akin = || all().filter(|other| last(other) == last(name));
            nearest(name, alike.iter().copied())
                .or(only)
                .or_else(|| nearest(name, akin()))
                .map(str::to_string)
        };
        let missing = expected.iter().filter(|(name, _)| !found.contains_key(*name));
        let wrong_shape = expected.iter().filter_map(|(name, shape)| {
            let theirs = found.get(name)?;
            (theirs != shape).then(|| (name.clone(), theirs.clone(), shape.clone()))
        });
        Self {
            missing: missing.map(|(name, shape)| (name.clone(), guess(name, shape))).collect(),
            wrong_shape: wrong_shape.collect(),
            unused: unused.into_iter().cloned().collect(),
        }
    }

    /// Whether all fits.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unused.is_empty() && self.wrong_shape.is_empty()
    }

    /// The error of weights that are to fit a model exactly and do not.
    pub fn refused(&self, entry: &Entry, file: &Path) -> Error {
        let name = &entry.name;
        Error::input(format!("not weights of {name}: {self}")).file(file).hint(format!(
            "`kiln weights inspect {} --model {name}` lists all of it; `--model` names another model",
            file.display()
        ))
    }

    /// All of it, a line a name.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let missing = self.missing.iter().map(|(name, near)| match near {
            Some(near) => format!("missing  {name}  (the file has {near})"),
            None => format!("missing  {name}"),
        });
        let shapes = self.wrong_shape.iter();
        let shapes = shapes
            .map(|(name, found, wanted)| format!("shape    {name}  {found:?}, the model has {wanted:?}"));
        missing.chain(shapes).chain(self.unused.iter().map(|name| format!("unused   {name}")))
    }
}

/// One line: how many of each kind, and the first.
impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some((first, near)) = self.missing.first() {
            let near = near.as_ref().map(|near| format!(", the file has `{near}`")).unwrap_or_default();
            parts.push(format!("{} missing (first `{first}`{near})", self.missing.len()));
        }
        if let Some(first) = self.unused.first() {
            parts.push(format!("{} unused (first `{first}`)", self.unused.len()));
        }
        if let Some((first, found, wanted)) = self.wrong_shape.first() {
            parts.push(format!(
                "{} of another shape (first `{first}`: {found:?}, the model has {wanted:?})",
                self.wrong_shape.len()
            ));
        }
        f.write_str(&parts.join(", "))
    }
}
