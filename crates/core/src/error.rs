//! The one error type: a line that says which file, where in it, what is wrong and what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// A result whose error is Kiln's.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose fault an error is; it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A wrong call or a bad input file: exit code 2.
    Input,
    /// Something failed while working (a full disk, a loss that is not a number): exit code 1.
    Failure,
}

/// What went wrong, as one line: `file: place: message; hint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    message: String,
    file: Option<PathBuf>,
    place: Option<String>,
    hint: Option<String>,
}

impl Error {
    /// A wrong call or a bad input.
    pub fn input(message: impl Into<String>) -> Self {
        Self { kind: Kind::Input, message: message.into(), file: None, place: None, hint: None }
    }

    /// A failure while working.
    pub fn failure(message: impl Into<String>) -> Self {
        Self { kind: Kind::Failure, ..Self::input(message) }
    }

    /// A file that could not be read, as the operating system says why.
    pub fn unreadable(file: impl AsRef<Path>, why: &std::io::Error) -> Self {
        let message = match why.kind() {
            std::io::ErrorKind::NotFound => "no such file or folder".to_string(),
            _ => format!("cannot be read: {why}"),
        };
        Self::input(message).file(file)
    }

    /// A file or folder that could not be written, as the operating system says why. A full disk is nobody's wrong call.
    pub fn unwritable(file: impl AsRef<Path>, why: &std::io::Error) -> Self {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let message = format!("cannot be written: {why}");
        match why.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => {
                Self::failure(message).file(file).hint("make room; what was written before is whole")
            }
            _ => Self::input(message).file(file),
        }
    }

    /// Names the file.
    pub fn file(mut self, file: impl AsRef<Path>) -> Self {
        self.file = Some(file.as_ref().to_path_buf());
        self
    }

    /// Names the place in the file: a line, a key, a byte.
    pub fn place(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Says what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whose fault it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What is wrong, without the file, the place and the hint.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The file that is named, if any.
    pub fn file_named(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The place that is named, if any.
    pub fn place_named(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// What to do, if anything is known.
    pub fn hint_given(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// The one of `names` that `typed` was most likely meant to be, if any is near enough to be worth suggesting.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(typed, name), name))
        .filter(|(distance, name)| *distance <= 1 + typed.len().max(name.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_file_place_message_and_hint() {
        let error =
            Error::input("unknown key `lrr`").file("a.toml").place("line 3").hint("did you mean `lr`?");
        assert_eq!(error.to_string(), "a.toml: line 3: unknown key `lrr`; did you mean `lr`?");
    }

    #[test]
    fn the_nearest_name_is_suggested_only_when_it_is_near() {
        assert_eq!(nearest("resnt18", ["resnet18", "alexnet"]), Some("resnet18"));
        assert_eq!(nearest("transformer", ["resnet18", "alexnet"]), None);
    }
}
