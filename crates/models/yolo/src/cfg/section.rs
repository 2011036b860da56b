//! The text of a cfg: sections of keys and values, and the line that each stands on.

use std::fmt::Display;
use std::str::FromStr;

use kiln_core::{Error, Result, nearest};

/// The largest of the numbers that count something: products of five of them can still be counted.
const MOST: usize = 1 << 12;
/// The largest side of an image, and the most channels of a map.
pub const WIDEST: usize = 1 << 14;

/// A section and its keys.
#[derive(Debug)]
pub struct Section<'a> {
    /// What stands in brackets.
    pub name: &'a str,
    /// The line it begins on, from 1.
    line: usize,
    values: Vec<Value<'a>>,
}

#[derive(Debug)]
struct Value<'a> {
    key: &'a str,
    text: &'a str,
    line: usize,
}

/// The sections of a text, in order. Lines that begin with `#` or `;` say nothing.
///
/// # Errors
/// A line that is neither a section nor a key with its value, a key before all sections or twice in one.
pub fn sections(text: &str) -> Result<Vec<Section<'_>>> {
    let mut sections: Vec<Section> = Vec::new();
    for (line, text) in (1..).zip(text.lines().map(str::trim)) {
        let error = |message: String| Error::input(message).place(format!("line {line}"));
        if text.is_empty() || text.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.push(Section { name, line, values: Vec::new() });
            continue;
        }
        let Some((key, text)) = text.split_once('=').map(|(key, text)| (key.trim(), text.trim())) else {
            let message = format!("`{}` is neither `[section]` nor `key=value`", shortened(text));
            return Err(error(message));
        };
        let Some(section) = sections.last_mut() else {
            return Err(
                error(format!("`{}` before the first section", shortened(key))).hint("begin with `[net]`")
            );
        };
        if let Some(before) = section.values.iter().find(|value| value.key == key) {
            let before = before.line;
            return Err(error(format!("`{}` is already on line {before}", shortened(key))));
        }
        section.values.push(Value { key, text, line });
    }
    Ok(sections)
}

/// So much of a text as an error has room for.
fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

impl Section<'_> {
    /// An error on the line of a key; on the section's own, where the key is not there.
    pub fn error(&self, key: &str, message: impl Display) -> Error {
        let line = self.find(key).map_or(self.line, |value| value.line);
        Error::input(format!("[{}]: {message}", shortened(self.name))).place(format!("line {line}"))
    }

    fn find(&self, key: &str) -> Option<&Value<'_>> {
        self.values.iter().find(|value| value.key == key)
    }

    fn missing(&self, key: &str) -> Error {
        self.error(key, format!("lacks `{key}`"))
    }

    fn unread(&self, key: &str, text: &str, wanted: impl Display) -> Error {
        self.error(key, format!("`{key}={}`, where {wanted} is expected", shortened(text)))
    }

    /// # Errors
    /// A key that is none of these: what is not known may change what the layer computes.
    pub fn has_only(&self, keys: &[&str]) -> Result<()> {
        let Some(value) = self.values.iter().find(|value| !keys.contains(&value.key)) else { return Ok(()) };
        let error = self.error(value.key, format!("unknown key `{}`", shortened(value.key)));
        Err(match nearest(value.key, keys.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("its keys are {}", keys.join(", "))),
        })
    }

    /// # Errors
    /// A key with another value than the only one that is known here.
    pub fn has_no_other(&self, key: &str, only: &str) -> Result<()> {
        match self.find(key) {
            Some(value) if value.text != only => Err(self.error(
                key,
                format!("`{key}={}` is not known here, only `{key}={only}`", shortened(value.text)),
            )),
            _ => Ok(()),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// It is not there.
    pub fn text(&self, key: &str) -> Result<&str> {
        self.find(key).map(|value| value.text).ok_or_else(|| self.missing(key))
    }

    /// How many, or how large: from 1 on.
    ///
    /// # Errors
    /// It is not there, or no such number.
    pub fn count(&self, key: &str) -> Result<usize> {
        self.within(key, 1..=MOST)?.ok_or_else(|| self.missing(key))
    }

    /// As [`count`](Self::count), or what is meant where it is not there.
    ///
    /// # Errors
    /// No such number.
    pub fn count_or(&self, key: &str, default: usize) -> Result<usize> {
        Ok(self.within(key, 1..=MOST)?.unwrap_or(default))
    }

    /// A side of an image or the channels of a map.
    ///
    /// # Errors
    /// It is not there, or no such number.
    pub fn side(&self, key: &str) -> Result<usize> {
        self.within(key, 1..=WIDEST)?.ok_or_else(|| self.missing(key))
    }

    /// As [`side`](Self::side), or what is meant where it is not there.
    ///
    /// # Errors
    /// No such number.
    pub fn side_or(&self, key: &str, default: usize) -> Result<usize> {
        Ok(self.within(key, 1..=WIDEST)?.unwrap_or(default))
    }

    /// A size that may be nothing, where `default` is meant if it is not there.
    ///
    /// # Errors
    /// No such number.
    pub fn size_or(&self, key: &str, default: usize) -> Result<usize> {
        Ok(self.within(key, 0..=MOST)?.unwrap_or(default))
    }

    /// Yes or no, as 1 or 0; no where it is not there.
    ///
    /// # Errors
    /// Another number.
    pub fn flag(&self, key: &str) -> Result<bool> {
        Ok(self.within(key, 0..=1)? == Some(1))
    }

    fn within(&self, key: &str, range: std::ops::RangeInclusive<usize>) -> Result<Option<usize>> {
        let Some(value) = self.find(key) else { return Ok(None) };
        let number = value.text.parse().ok().filter(|number| range.contains(number));
        let wanted = || format!("a number from {} to {}", range.start(), range.end());
        number.map(Some).ok_or_else(|| self.unread(key, value.text, wanted()))
    }

    /// A number with a point, or what is meant where it is not there.
    ///
    /// # Errors
    /// No number.
    pub fn decimal_or(&self, key: &str, default: f64) -> Result<f64> {
        let Some(value) = self.find(key) else { return Ok(default) };
        let number = value.text.parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| self.unread(key, value.text, "a number"))
    }

    /// Numbers with commas between them; `None` where the key is not there.
    ///
    /// # Errors
    /// Something else.
    pub fn list<T: FromStr>(&self, key: &str) -> Result<Option<Vec<T>>> {
        let Some(value) = self.find(key) else { return Ok(None) };
        // A comma at the end is in published files.
        let texts = value.text.trim_end_matches(',').split(',');
        let numbers = texts.map(|text| text.trim().parse().ok()).collect::<Option<Vec<T>>>();
        numbers.map(Some).ok_or_else(|| self.unread(key, value.text, "a list of numbers"))
    }

    /// As [`list`](Self::list), of a key that must be there.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn listed<T: FromStr>(&self, key: &str) -> Result<Vec<T>> {
        self.list(key)?.ok_or_else(|| self.missing(key))
    }
}
