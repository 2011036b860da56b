//! Where an experiment was typed, so that an error can say in which line.

use std::path::{Path, PathBuf};

use kiln_core::{Error, Result, nearest};
use serde_path_to_error::Segment;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use crate::experiment::ExperimentFile;

/// An experiment file with what `--set` changes in it.
#[derive(Debug, Clone)]
pub struct Source {
    path: PathBuf,
    text: String,
    table: Table,
    overrides: Vec<(Vec<String>, String)>,
}

impl Source {
    /// Reads a file: TOML, or the `resolved.json` of a run.
    ///
    /// # Errors
    /// A file that is missing or is neither.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|why| {
            Error::unreadable(path, &why)
                .hint("experiments are in `configs/`, as in `configs/quickstart.toml`")
        })?;
        Self::parse(path, text)
    }

    /// The experiment of a text that stands, or would stand, at `path`.
    ///
    /// # Errors
    /// Text that is neither TOML nor, for a path ending in `.json`, JSON.
    pub fn parse(path: &Path, text: String) -> Result<Self> {
        let table = if path.extension().is_some_and(|extension| extension == "json") {
            let parsed = serde_json::from_str::<Table>(&text);
            parsed.map_err(|why| Error::input(format!("no JSON object: {why}")).file(path))?
        } else {
            text.parse::<Table>().map_err(|why| {
                let line = why.span().map(|span| format!("line {}", line_of(&text, span.start)));
                let message = why.message().lines().next().unwrap_or_default().to_string();
                Error::input(format!("not TOML: {message}")).file(path).place(line.unwrap_or_default())
            })?
        };
        Ok(Self { path: path.to_path_buf(), text, table, overrides: Vec::new() })
    }

    /// Applies `key=value`, as `--set` takes it: the key with dots, the value as in TOML, quotes left out or not.
    ///
    /// # Errors
    /// No `=`, or a key that goes through something that is no table.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let (key, value) = assignment.split_once('=').ok_or_else(|| {
            Error::input(format!("`{assignment}` is no assignment"))
                .place("--set")
                .hint("write `--set train.epochs=3`")
        })?;
        let keys: Vec<String> = key.trim().split('.').map(str::to_string).collect();
        let typed = format!("value = {value}").parse::<Table>();
        let value = match typed {
            Ok(mut table) if table.len() == 1 => table.remove("value"),
            _ => None,
        };
        let value = value.unwrap_or_else(|| Value::String(assignment[key.len() + 1..].trim().to_string()));
        let (last, tables) = keys.split_last().expect("`split` gives at least one part");
        let mut table = &mut self.table;
        for name in tables {
            let inner = table.entry(name.clone()).or_insert_with(|| Value::Table(Table::new()));
            table = inner.as_table_mut().ok_or_else(|| {
                Error::input(format!("`{name}` is no table")).place(format!("--set {assignment}"))
            })?;
        }
        table.insert(last.clone(), value);
        self.overrides.push((keys, format!("--set {assignment}")));
        Ok(())
    }

    /// Leaves a key out, as if it had not been typed; `data.test_items`.
    pub fn unset(&mut self, key: &str) {
        let mut keys: Vec<&str> = key.split('.').collect();
        let last = keys.pop().unwrap_or_default();
        let table =
            keys.into_iter().try_fold(&mut self.table, |table, key| table.get_mut(key)?.as_table_mut());
        if let Some(table) = table {
            table.remove(last);
        }
    }

    /// What was typed, strictly.
    ///
    /// # Errors
    /// An unknown key, a wrong type, a missing key: file, line, key, and the nearest right one.
    pub fn typed(&self) -> Result<ExperimentFile> {
        parsed(&self.table).map_err(|(path, message)| {
            let key = culprit(&self.table, path, &message);
            explained(&message, key.last().map(String::as_str)).file(&self.path).place(self.place(&key))
        })
    }

    /// An error about the value of a key, which is given with dots.
    pub fn reject(&self, key: &str, message: impl Into<String>) -> Error {
        let keys: Vec<String> = key.split('.').map(str::to_string).collect();
        Error::input(message).file(&self.path).place(self.place(&keys))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text as typed, with a line for each `--set`.
    pub fn text(&self) -> String {
        let sets = self.overrides.iter().map(|(_, assignment)| format!("# {assignment}\n"));
        format!("{}{}", self.text, sets.collect::<String>())
    }

    /// `line 12, `train.lr``, or the `--set` that gave the value.
    fn place(&self, keys: &[String]) -> String {
        if let Some((_, assignment)) =
            self.overrides.iter().rev().find(|(set, _)| set.starts_with(keys) && !keys.is_empty())
        {
            return assignment.clone();
        }
        let name = format!("`{}`", keys.join("."));
        let Ok(document) = DeTable::parse(&self.text) else {
            return name;
        };
        let mut table = Some(document.get_ref());
        let mut start = None;
        for key in keys {
            let found = table.and_then(|table| table.iter().find(|(name, _)| name.get_ref() == key));
            // A key that was left out: its table is the place.
            let Some((name, value)) = found else { break };
            start = Some(name.span().start);
            table = match value.get_ref() {
                DeValue::Table(inner) => Some(inner),
                _ => None,
            };
        }
        match (start, keys.is_empty()) {
            (_, true) => "the whole file".to_string(),
            (Some(start), _) => format!("line {}, {name}", line_of(&self.text, start)),
            (None, _) => name,
        }
    }
}

fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|byte| *byte == b'\n').count() + 1
}

/// What a table means, or the path that serde followed before it met a mistake, and what it says of it.
fn parsed(table: &Table) -> Result<ExperimentFile, (Vec<String>, String)> {
    serde_path_to_error::deserialize(table.clone()).map_err(|error| {
        let segments = error.path().iter().map_while(|segment| match segment {
            Segment::Map { key } => Some(key.clone()),
            _ => None,
        });
        (segments.collect(), error.inner().message().to_string())
    })
}

/// The key that a message is about. serde loses its way in tagged enums, at the table whose `name` is the tag; the rest
/// of the way is found by what the message quotes.
fn culprit(table: &Table, mut path: Vec<String>, message: &str) -> Vec<String> {
    let quoted = message.split('`').nth(1).unwrap_or_default();
    let is_it = |key: &str, value: &Value| match value {
        _ if message.starts_with("missing field") => false,
        _ if message.starts_with("unknown field") => key == quoted,
        Value::String(text) if message.starts_with("unknown variant") => text == quoted,
        Value::String(text) => message.contains(&format!("string {text:?}")),
        Value::Integer(number) => message.contains(&format!("integer `{number}`")),
        Value::Float(number) => message.contains(&format!("floating point `{number}`")),
        Value::Boolean(truth) => message.contains(&format!("boolean `{truth}`")),
        Value::Array(_) => {
            message.starts_with("invalid type: sequence") || message.starts_with("invalid length")
        }
        Value::Table(_) => message.starts_with("invalid type: map"),
        Value::Datetime(_) => false,
    };
    fn search(table: &Table, path: &mut Vec<String>, is_it: &impl Fn(&str, &Value) -> bool) -> bool {
        table.iter().any(|(key, value)| {
            path.push(key.clone());
            let found = is_it(key, value) || value.as_table().is_some_and(|inner| search(inner, path, is_it));
            if !found {
                path.pop();
            }
            found
        })
    }
    let inner = path.iter().try_fold(table, |table, key| table.get(key).and_then(Value::as_table));
    if let Some(inner) = inner {
        search(inner, &mut path, &is_it);
    }
    path
}

/// serde's words in ours.
pub(crate) fn explained(message: &str, key: Option<&str>) -> Error {
    let message = message.lines().next().unwrap_or_default();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let near = |typed: &str, names: &[&str]| match nearest(typed, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", names.join(", ")),
    };
    match quoted.as_slice() {
        [typed, names @ ..] if message.starts_with("unknown field") => {
            Error::input(format!("unknown key `{typed}`")).hint(near(typed, names))
        }
        [typed, names @ ..] if message.starts_with("unknown variant") => {
            Error::input(format!("`{typed}` is not known here")).hint(near(typed, names))
        }
        [name, ..] if message.starts_with("missing field") => {
            Error::input(format!("the key `{name}` is missing"))
        }
        _ => {
            let words = [
                ("f64", "a number"),
                ("f32", "a number"),
                ("usize", "a whole number"),
                ("u64", "a whole number"),
            ];
            let rust = message.rsplit("expected ").next().unwrap_or_default();
            let plain = words.iter().find(|(word, _)| *word == rust).map_or(rust, |(_, plain)| plain);
            let found = message.split(", expected").next().unwrap_or(message);
            let found = found.trim_start_matches("invalid type: ").trim_start_matches("invalid value: ");
            match key {
                Some(key) => Error::input(format!("`{key}` is the {found}, expected {plain}")),
                None => Error::input(message.to_string()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GOOD: &str = "\
seed = 1
[data]
name = 'shapes'
train_transforms = [{ name = 'pad-and-crop', size = 32, pad = 4 }]
[model]
name = 'cifar10-resnet20'
[train]
epochs = 2
batch_size = 8
lr = 0.1
[optimizer]
name = 'sgd'
momentum = 0.9
";

    fn says(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from));
        let source = Source::parse(Path::new("a.toml"), GOOD.replace(from, to));
        source.and_then(|source| source.typed()).unwrap_err().to_string()
    }

    #[test]
    fn the_example_is_good() {
        let file = Source::parse(Path::new("a.toml"), GOOD.to_string()).unwrap().typed().unwrap();
        assert_eq!((file.seed, file.train.epochs, file.train.lr), (Some(1), Some(2), 0.1));
    }

    #[test]
    fn an_error_names_file_line_key_and_the_nearest_right_key() {
        let rows = [
            (
                "batch_size = 8",
                "batchsize = 8",
                "a.toml: line 9, `train.batchsize`: unknown key `batchsize`; did you mean `batch_size`?",
            ),
            (
                "lr = 0.1",
                "lr = 'fast'",
                "a.toml: line 10, `train.lr`: `lr` is the string \"fast\", expected a number",
            ),
            (
                "epochs = 2",
                "epochs = 2.5",
                "a.toml: line 8, `train.epochs`: `epochs` is the floating point `2.5`, expected a whole number",
            ),
            (
                "momentum = 0.9",
                "momentun = 0.9",
                "a.toml: line 13, `optimizer.momentun`: unknown key `momentun`; did you mean `momentum`?",
            ),
            (
                "momentum = 0.9",
                "momentum = true",
                "a.toml: line 13, `optimizer.momentum`: `momentum` is the boolean `true`, expected a number",
            ),
            (
                "'sgd'",
                "'sdg'",
                "a.toml: line 12, `optimizer.name`: `sdg` is not known here; did you mean `sgd`?",
            ),
            (
                "[train]",
                "[training]",
                "a.toml: line 7, `training`: unknown key `training`; did you mean `train`?",
            ),
            ("lr = 0.1\n", "", "a.toml: line 7, `train`: the key `lr` is missing"),
            (
                "pad = 4",
                "padd = 4",
                "a.toml: line 4, `data.train_transforms`: unknown key `padd`; did you mean `pad`?",
            ),
            (
                "lr = 0.1",
                "lr = ",
                "a.toml: line 10: not TOML: string values must be quoted, expected literal string",
            ),
        ];
        for (from, to, line) in rows {
            assert_eq!(says(from, to), line);
        }
    }

    #[test]
    fn set_takes_the_same_path_as_the_file() {
        let mut source = Source::parse(Path::new("a.toml"), GOOD.to_string()).unwrap();
        source.set("train.lr=0.5").unwrap();
        source.set("model.name=alexnet").unwrap();
        source.set("schedule.name = 'cosine'").unwrap();
        let file = source.typed().unwrap();
        assert_eq!((file.train.lr, file.model.name.as_str()), (0.5, "alexnet"));
        assert!(file.schedule.is_some());
        source.set("train.lr=fast").unwrap();
        let line = source.typed().unwrap_err().to_string();
        assert_eq!(line, "a.toml: --set train.lr=fast: `lr` is the string \"fast\", expected a number");
        assert!(source.set("train.lr").is_err());
        assert!(source.set("seed.x=1").is_err());
    }
}
