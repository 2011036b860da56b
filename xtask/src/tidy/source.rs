//! Rules about what is written in Rust: read without comments and texts where a rule is about code.

use std::ops::Range;

use super::Violation;
use super::files::File;

/// Crates that know no files: what they need is handed to them.
const FILELESS: [&str; 6] =
    ["crates/core", "crates/nn", "crates/tasks", "crates/models", "crates/graph", "crates/kernels"];

pub fn check(tree: &[File]) -> Vec<Violation> {
    let mut violations = Vec::new();
    // Spelt in two parts, so that this very line is no violation.
    let elsewhere = ["..", "shared"].join("/");
    for file in tree {
        let rust = file.is("rs");
        let code = if rust { code_of(&file.text) } else { String::new() };
        let tests = if rust { test_lines(file, &code) } else { 0..0 };
        let mut broken = |line: usize, rule, advice: &str| {
            violations.push(Violation {
                file: file.path.clone(),
                line: line + 1,
                rule,
                advice: advice.into(),
            });
        };
        for (line, text) in code.lines().enumerate() {
            if has_word(text, "unsafe") && !file.path.starts_with("crates/kernels") {
                broken(
                    line,
                    "unsafe",
                    "`unsafe` lives in crates/kernels alone; find the safe way or move it there",
                );
            }
            let compact: String = text.split_whitespace().collect();
            if compact.contains("Device::default()") || compact.contains("DeviceasDefault>") {
                broken(
                    line,
                    "device",
                    "the device is handed over, never taken by default; add a `&Device` parameter",
                );
            }
            let fileless = FILELESS.iter().any(|folder| file.path.starts_with(folder));
            let touches = compact.contains("std::fs")
                || ["File::open", "File::create"].iter().any(|call| compact.contains(call));
            if fileless && touches && !tests.contains(&line) {
                broken(
                    line,
                    "files",
                    "only data, zoo, train and kiln touch files; take bytes or a reader instead",
                );
            }
        }
        let names = rust || file.is("toml") || file.is("md") || file.path.starts_with(".ci");
        for (line, text) in file.text.lines().enumerate().filter(|_| names) {
            if text.contains(&elsewhere) && !tests.contains(&line) {
                broken(
                    line,
                    "whole",
                    "only tests may name what lies outside the project; say it here in full",
                );
            }
        }
    }
    violations
}

/// The lines that only tests are built from: files of tests, and a `#[cfg(test)] mod … { }`, which comes last.
fn test_lines(file: &File, code: &str) -> Range<usize> {
    let lines = code.lines().count();
    let stem = file.path.file_stem().is_some_and(|stem| stem == "tests");
    if stem || file.below("tests") {
        return 0..lines;
    }
    let all: Vec<&str> = code.lines().map(str::trim).collect();
    let start = all.iter().enumerate().position(|(line, text)| {
        let module = all[line + 1..].iter().find(|text| !text.starts_with("#[") && !text.is_empty());
        text.starts_with("#[cfg(test)]")
            && module.is_some_and(|module| module.starts_with("mod ") && module.ends_with('{'))
    });
    start.map_or(0..0, |start| start..lines)
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|part| part == word)
}

/// The source with comments, texts and letters blanked out, line by line as before.
pub fn code_of(source: &str) -> String {
    let letters: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < letters.len() {
        let end = blank_end(&letters, at);
        match end {
            Some(end) => {
                code.extend(letters[at..end].iter().map(|letter| if *letter == '\n' { '\n' } else { ' ' }));
                at = end;
            }
            None => {
                code.push(letters[at]);
                at += 1;
            }
        }
    }
    code
}

/// Where the comment, text or letter ends that begins at `at`, if one does.
fn blank_end(letters: &[char], at: usize) -> Option<usize> {
    let peek = |offset: usize| letters.get(at + offset).copied().unwrap_or('\0');
    let find =
        |from: usize, wanted: &dyn Fn(usize) -> bool| (from..letters.len()).find(|place| wanted(*place));
    let end = letters.len();
    match (peek(0), peek(1)) {
        ('/', '/') => Some(find(at, &|place| letters[place] == '\n').unwrap_or(end)),
        ('/', '*') => {
            // Block comments nest.
            let (mut depth, mut place) = (1, at + 2);
            while depth > 0 && place < end {
                match (letters[place], letters.get(place + 1)) {
                    ('/', Some('*')) => (depth, place) = (depth + 1, place + 2),
                    ('*', Some('/')) => (depth, place) = (depth - 1, place + 2),
                    _ => place += 1,
                }
            }
            Some(place.min(end))
        }
        ('"', _) => Some(quoted_end(letters, at + 1, '"')),
        ('r', '"' | '#') if !continues_word(letters, at) => {
            let hashes = letters[at + 1..].iter().take_while(|letter| **letter == '#').count();
            if letters.get(at + 1 + hashes) != Some(&'"') {
                // A raw name such as `r#type`.
                return None;
            }
            let closes = |place: usize| {
                letters[place] == '"'
                    && letters[place + 1..].iter().take_while(|letter| **letter == '#').count() >= hashes
            };
            Some(find(at + 2 + hashes, &closes).map_or(end, |place| place + 1 + hashes))
        }
        // A letter, as opposed to a lifetime: it is closed, or begins with a backslash.
        ('\'', '\\') => Some(quoted_end(letters, at + 1, '\'')),
        ('\'', _) if peek(2) == '\'' => Some(at + 3),
        _ => None,
    }
}

fn quoted_end(letters: &[char], mut at: usize, quote: char) -> usize {
    while at < letters.len() && letters[at] != quote {
        at += if letters[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(letters.len())
}

/// Whether the `r` at `at` is the end of a word that is no `br` or `cr`.
fn continues_word(letters: &[char], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|place| letters[place]);
    let in_word =
        |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    match before(1) {
        Some('b' | 'c') => in_word(before(2)),
        letter => in_word(letter),
    }
}
