//! Which crate may know which: the arrows of ARCHITECTURE.md, and what every manifest says.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Violation;
use super::files::File;

/// A crate and what it may depend on; `models` stands for all crates under `crates/models/`. What tests
/// depend on is free.
const ARROWS: [(&str, &[&str]); 14] = [
    ("kiln-core", &[]),
    ("kiln-kernels", &[]),
    ("kiln-nn", &["kiln-core", "kiln-kernels"]),
    ("models", &["kiln-core", "kiln-nn", "models"]),
    ("kiln-zoo", &["kiln-core", "kiln-nn", "models"]),
    ("kiln-data", &["kiln-core"]),
    ("kiln-tasks", &["kiln-core", "kiln-kernels"]),
    ("kiln-train", &["kiln-core", "kiln-kernels"]),
    ("kiln-graph", &["kiln-core", "kiln-nn"]),
    ("kiln-page", &[]),
    (
        "kiln-explain",
        &[
            "kiln-core",
            "kiln-data",
            "kiln-kernels",
            "kiln-nn",
            "models",
            "kiln-tasks",
            "kiln-train",
            "kiln-graph",
            "kiln-page",
        ],
    ),
    ("kiln", &[ANY]),
    (
        "kiln-bench",
        &["kiln-core", "kiln-data", "kiln-kernels", "kiln-nn", "kiln-tasks", "kiln-train", "kiln-zoo"],
    ),
    ("xtask", &[]),
];

/// Every crate.
const ANY: &str = "any";

struct Crate<'a> {
    name: &'a str,
    /// The name in the table.
    role: &'a str,
    /// Its manifest, from the root.
    manifest: PathBuf,
    dependencies: &'a [Value],
}

pub fn check(root: &Path, metadata: &Value, tree: &[File]) -> Vec<Violation> {
    let crates: Vec<Crate> =
        metadata["packages"].as_array().into_iter().flatten().map(|one| read(root, one)).collect();
    let mut violations = Vec::new();
    for one in &crates {
        let Some(file) = tree.iter().find(|file| file.path == one.manifest) else { continue };
        let mut broken = |rule, line, advice: String| {
            violations.push(Violation { file: one.manifest.clone(), line, rule, advice });
        };
        let allowed = ARROWS.iter().find(|(role, _)| *role == one.role).map(|(_, allowed)| *allowed);
        if allowed.is_none() {
            broken(
                "arrows",
                1,
                format!("`{}` has no place in the house; give it one in xtask/src/tidy/arrows.rs", one.name),
            );
        }
        for dependency in one.dependencies.iter().filter(|dependency| dependency["kind"] != "dev") {
            let name = dependency["name"].as_str().unwrap_or_default();
            let line = file.line_of(|line| {
                line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
            });
            if let Some(known) = crates.iter().find(|other| other.name == name) {
                let allowed = allowed.unwrap_or(&[ANY]);
                if !allowed.contains(&ANY) && !allowed.contains(&known.role) {
                    broken(
                        "arrows",
                        line,
                        format!("`{}` must not know `{name}`; join them in `kiln`", one.name),
                    );
                }
            }
            if name == "toml" && !["kiln", "kiln-data"].contains(&one.name) {
                broken(
                    "arrows",
                    line,
                    "experiment files are read in `kiln`, manifests in `kiln-data`".into(),
                );
            }
            if one.name == "xtask" && (name == "burn" || name.starts_with("burn-")) {
                broken("arrows", line, "xtask is built in seconds; leave Burn out of it".into());
            }
        }
        let lints = file.text.lines().skip_while(|line| line.trim() != "[lints]").nth(1);
        if lints.is_none_or(|line| line.trim() != "workspace = true") {
            broken("lints", 1, "add `[lints]` with `workspace = true`".into());
        }
    }
    violations.extend(pins(tree));
    violations
}

fn read<'a>(root: &Path, package: &'a Value) -> Crate<'a> {
    let name = package["name"].as_str().unwrap_or_default();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    // Cargo gives paths without links; the root may have been reached through one.
    let root = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    let manifest = manifest.strip_prefix(&root).unwrap_or(manifest).to_path_buf();
    let role = if manifest.starts_with("crates/models") { "models" } else { name };
    let dependencies = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
    Crate { name, role, manifest, dependencies }
}

/// Burn stands with its exact version in the root's manifest, and in no other.
fn pins(tree: &[File]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.iter().filter(|file| file.path.ends_with("Cargo.toml")) {
        let at_root = file.path == Path::new("Cargo.toml");
        for (line, text) in file.text.lines().enumerate() {
            let key = text.split(['=', '.', ' ']).next().unwrap_or_default();
            let table = text.starts_with('[') && (text.contains(".burn]") || text.contains(".burn-"));
            if key != "burn" && !key.starts_with("burn-") && !table {
                continue;
            }
            let compact = text.replace(' ', "");
            let right = match at_root {
                true => compact.contains("\"=0.22.1\""),
                false => compact.contains("workspace=true"),
            };
            if !right {
                let advice = "Burn is pinned to `=0.22.1` in the root's Cargo.toml; elsewhere write `burn.workspace = true`";
                violations.push(Violation {
                    file: file.path.clone(),
                    line: line + 1,
                    rule: "burn",
                    advice: advice.into(),
                });
            }
        }
    }
    violations
}
