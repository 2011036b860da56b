//! The layout rules of ARCHITECTURE.md and STYLE.md, checked on the files as they lie.

mod arrows;
mod files;
mod source;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::cargo::metadata;

/// A place where a rule is broken.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The file, from the root.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// The rule.
    pub rule: &'static str,
    /// What to do.
    pub advice: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file.display(), self.line, self.rule, self.advice)
    }
}

/// Everything that is not as it should be, in the order of the files.
pub fn check(root: &Path) -> Result<Vec<Violation>, String> {
    let tree = files::read(root)?;
    let mut violations = arrows::check(root, &metadata(root)?, &tree);
    violations.extend(text::check(&tree));
    violations.extend(source::check(&tree));
    violations.sort();
    Ok(violations)
}
