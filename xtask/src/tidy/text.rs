//! Rules about files as a whole: which there are, how they are named, how long they are, how they begin.

use std::path::Path;

use super::Violation;
use super::files::File;

const THERE: [&str; 6] =
    ["ARCHITECTURE.md", "Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT", "README.md", "STYLE.md"];
const NAMELESS: [&str; 4] = ["common", "helpers", "misc", "utils"];
const LONGEST_SOURCE: usize = 400;
const LONGEST_ARCHITECTURE: usize = 150;

pub fn check(tree: &[File]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for name in THERE {
        if !tree.iter().any(|file| file.path == Path::new(name) && !file.text.trim().is_empty()) {
            let advice = "the file is missing or empty; write it".into();
            violations.push(Violation { file: name.into(), line: 1, rule: "whole", advice });
        }
    }
    for file in tree {
        let mut broken =
            |line, rule, advice| violations.push(Violation { file: file.path.clone(), line, rule, advice });
        let longest = match file.path.to_str() {
            Some("ARCHITECTURE.md") => LONGEST_ARCHITECTURE,
            _ if file.is("rs") => LONGEST_SOURCE,
            _ => usize::MAX,
        };
        let lines = file.text.lines().count();
        if lines > longest {
            broken(
                longest + 1,
                "length",
                format!("{lines} lines; {longest} at most: split it by what it is about"),
            );
        }
        let stem = file.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let nameless = NAMELESS.iter().find(|name| stem == **name || file.below(name));
        if let (true, Some(name)) = (file.is("rs"), nameless) {
            broken(1, "names", format!("`{name}` says nothing; name it by what is in it"));
        }
        if file.path.starts_with("configs")
            && file.is("toml")
            && let Some(advice) = header(file)
        {
            broken(1, "header", advice);
        }
    }
    violations
}

/// What an experiment file's first lines lack: the command that runs it, the time it takes, the result it reaches.
fn header(file: &File) -> Option<String> {
    let path = file.path.to_string_lossy().replace('\\', "/");
    let default = path == "configs/quickstart.toml";
    let word = if path.starts_with("configs/races/") { "race" } else { "train" };
    let command = if default { format!("cargo xtask {word}") } else { format!("cargo xtask {word} {path}") };
    let mut lines = file.text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
    let first = lines.next().unwrap_or_default();
    // Features, devices and the folder of the data may stand around the verb.
    let verb = first.contains("cargo xtask") && first.split(' ').any(|other| other == word);
    if !verb || (!default && !first.split(' ').any(|word| word == path)) {
        return Some(format!("begin with the command: `# {command}`"));
    }
    let rest = lines.collect::<Vec<_>>().join(" ").to_lowercase();
    let words: Vec<&str> = rest.split(|letter: char| !letter.is_alphanumeric() && letter != '%').collect();
    let follows_number = |units: &[&str]| {
        words
            .windows(2)
            .any(|pair| pair[0].ends_with(|last: char| last.is_ascii_digit()) && units.contains(&pair[1]))
            || words.iter().any(|word| {
                let unit = word.trim_start_matches(|letter: char| letter.is_ascii_digit());
                unit.len() < word.len() && units.contains(&unit)
            })
    };
    let times = ["s", "second", "seconds", "min", "minute", "minutes", "h", "hour", "hours", "day", "days"];
    if !follows_number(&times) {
        return Some(
            "say in the lines after the command how long it takes, as in `# 3 minutes on two cores`".into(),
        );
    }
    let named = ["accuracy", "miou", "ap", "ap50", "top5"].iter().any(|name| words.contains(name));
    if !named || !rest.contains(|letter: char| letter.is_ascii_digit()) {
        return Some(
            "say in the lines after the command what it reaches, as in `# 96.1 % test accuracy`".into(),
        );
    }
    None
}
