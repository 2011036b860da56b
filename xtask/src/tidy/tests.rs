#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::source::code_of;
use super::*;
use crate::cargo::root;

/// A small house that breaks no rule.
fn house() -> TempDir {
    let house = tempfile::tempdir().unwrap();
    let workspace = "[workspace]\nresolver = \"3\"\nmembers = [\"crates/core\", \"crates/nn\", \"crates/data\", \"crates/models/*\", \"crates/kiln\"]\n\
                     \n[workspace.dependencies]\nburn = { version = \"=0.22.1\" }\nkiln-core = { path = \"crates/core\" }\n\
                     kiln-nn = { path = \"crates/nn\" }\nkiln-data = { path = \"crates/data\" }\n\
                     kiln-resnet = { path = \"crates/models/resnet\" }\n\n[workspace.lints.rust]\nunsafe_code = \"deny\"\n";
    write(&house, "Cargo.toml", workspace);
    for page in ["ARCHITECTURE.md", "README.md", "STYLE.md", "LICENSE-MIT", "LICENSE-APACHE", "Cargo.lock"] {
        write(&house, page, "# it says something\n");
    }
    for (folder, name, dependencies) in [
        ("core", "kiln-core", "burn.workspace = true\n"),
        ("nn", "kiln-nn", "kiln-core.workspace = true\n"),
        ("data", "kiln-data", "kiln-core.workspace = true\n"),
        ("models/resnet", "kiln-resnet", "kiln-nn.workspace = true\n"),
        (
            "kiln",
            "kiln",
            "kiln-core.workspace = true\nkiln-data.workspace = true\nkiln-resnet.workspace = true\n",
        ),
    ] {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[lints]\nworkspace = true\n\n[dependencies]\n{dependencies}"
        );
        write(&house, &format!("crates/{folder}/Cargo.toml"), &manifest);
        write(&house, &format!("crates/{folder}/src/lib.rs"), "//! A crate.\n");
    }
    write(
        &house,
        "configs/quickstart.toml",
        "# cargo xtask train\n# 2 minutes on two cores, 96 % test accuracy\nseed = 1\n",
    );
    house
}

fn write(house: &TempDir, path: &str, text: &str) {
    let path = house.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The house with one file changed: the violations, each as its line without the advice.
fn broken(path: &str, text: &str) -> Vec<String> {
    let house = house();
    write(&house, path, text);
    places(house.path())
}

fn places(root: &Path) -> Vec<String> {
    let violations = check(root).unwrap();
    assert!(violations.iter().all(|violation| !violation.advice.is_empty()));
    violations.iter().map(|v| format!("{}:{}: {}", v.file.display(), v.line, v.rule)).collect()
}

fn manifest(name: &str, dependencies: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[lints]\nworkspace = true\n\n{dependencies}"
    )
}

#[test]
fn the_tree_is_tidy() {
    let violations = check(&root()).unwrap();
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

#[test]
fn a_tidy_house_breaks_no_rule() {
    assert_eq!(places(house().path()), [""; 0]);
}

#[test]
fn an_arrow_that_the_house_does_not_have_is_named_with_its_line() {
    let on_data =
        manifest("kiln-resnet", "[dependencies]\nkiln-nn.workspace = true\nkiln-data.workspace = true\n");
    assert_eq!(
        broken("crates/models/resnet/Cargo.toml", &on_data),
        ["crates/models/resnet/Cargo.toml:11: arrows"]
    );
    let upward = manifest("kiln-data", "[dependencies]\nkiln-nn = { path = \"../nn\" }\n");
    assert_eq!(broken("crates/data/Cargo.toml", &upward), ["crates/data/Cargo.toml:10: arrows"]);
    let in_tests = manifest("kiln-data", "[dev-dependencies]\nkiln-nn.workspace = true\n");
    assert_eq!(broken("crates/data/Cargo.toml", &in_tests), [""; 0]);
    let typed = manifest("kiln-nn", "[dependencies]\ntoml = \"1\"\n");
    assert_eq!(broken("crates/nn/Cargo.toml", &typed), ["crates/nn/Cargo.toml:10: arrows"]);
    let unknown = manifest("kiln-attic", "");
    let stranger = house();
    write(&stranger, "crates/data/Cargo.toml", &unknown);
    write(&stranger, "crates/kiln/Cargo.toml", &manifest("kiln", ""));
    let workspace = fs::read_to_string(stranger.path().join("Cargo.toml")).unwrap();
    write(&stranger, "Cargo.toml", &workspace.replace("kiln-data =", "kiln-attic ="));
    assert_eq!(places(stranger.path()), ["crates/data/Cargo.toml:1: arrows"]);
}

#[test]
fn burn_is_pinned_in_one_place() {
    for wrong in ["burn = \"0.22.1\"\n", "burn-flex = \"=0.22.1\"\n"] {
        let text = manifest("kiln-nn", &format!("[dependencies]\n{wrong}"));
        assert_eq!(broken("crates/nn/Cargo.toml", &text), ["crates/nn/Cargo.toml:10: burn"], "{wrong}");
    }
    let right = "[features]\nwgpu = [\"burn/wgpu\"]\n\n[dependencies]\nburn = { workspace = true, optional = false }\n";
    assert_eq!(broken("crates/nn/Cargo.toml", &manifest("kiln-nn", right)), [""; 0]);
    let loose = house();
    let workspace = fs::read_to_string(loose.path().join("Cargo.toml")).unwrap();
    write(&loose, "Cargo.toml", &workspace.replace("=0.22.1", "0.22"));
    assert_eq!(places(loose.path()), ["Cargo.toml:6: burn"]);
}

#[test]
fn every_crate_takes_the_shared_lints() {
    let text = "[package]\nname = \"kiln-nn\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    assert_eq!(broken("crates/nn/Cargo.toml", text), ["crates/nn/Cargo.toml:1: lints"]);
}

#[test]
fn a_file_has_at_most_400_lines_and_the_architecture_150() {
    let lines = |count: usize| "// a line\n".repeat(count);
    assert_eq!(broken("crates/nn/src/long.rs", &lines(400)), [""; 0]);
    assert_eq!(broken("crates/nn/src/long.rs", &lines(401)), ["crates/nn/src/long.rs:401: length"]);
    assert_eq!(broken("ARCHITECTURE.md", &"a line\n".repeat(150)), [""; 0]);
    assert_eq!(broken("ARCHITECTURE.md", &"a line\n".repeat(151)), ["ARCHITECTURE.md:151: length"]);
}

#[test]
fn a_name_says_what_is_in_the_file() {
    for name in ["utils", "common", "helpers", "misc"] {
        let path = format!("crates/nn/src/{name}.rs");
        assert_eq!(broken(&path, "\n"), [format!("{path}:1: names")]);
    }
    assert_eq!(broken("crates/nn/tests/common/mod.rs", "\n"), ["crates/nn/tests/common/mod.rs:1: names"]);
}

#[test]
fn a_config_begins_with_its_command_its_time_and_its_result() {
    let path = "configs/classification/a.toml";
    for right in [
        "# cargo xtask train configs/classification/a.toml\n# 2 h 30 min on two cores; top-1 accuracy 92.3 %\nseed = 1\n",
        "# cargo xtask --features wgpu train configs/classification/a.toml --device wgpu\n#\n# 40s, accuracy 0.92\n",
    ] {
        assert_eq!(broken(path, right), [""; 0], "{right}");
    }
    for wrong in [
        "seed = 1\n# cargo xtask train configs/classification/a.toml\n# 2 minutes, 92 % accuracy\n",
        "# cargo xtask train configs/classification/b.toml\n# 2 minutes, 92 % accuracy\n",
        "# cargo xtask train configs/classification/a.toml\n# 92 % accuracy\n",
        "# cargo xtask train configs/classification/a.toml\n# 2 minutes\n",
        "# cargo xtask train configs/classification/a.toml\n\n# 2 minutes, 92 % accuracy\n",
    ] {
        assert_eq!(broken(path, wrong), [format!("{path}:1: header")], "{wrong}");
    }
    let (path, text) = ("configs/races/a.toml", |verb| {
        format!("# cargo xtask {verb} configs/races/a.toml\n# 2 minutes, 92 % accuracy\n")
    });
    assert_eq!(broken(path, &text("race")), [""; 0]);
    assert_eq!(broken(path, &text("train")), [format!("{path}:1: header")]);
}

#[test]
fn unsafe_lives_in_kernels_alone() {
    let text = "//! unsafe in words\n/* unsafe */\nconst A: &str = \"unsafe\";\nconst B: &str = r#\"an \" unsafe\"#;\n#![forbid(unsafe_code)]\n";
    assert_eq!(broken("crates/nn/src/a.rs", text), [""; 0]);
    let text = "fn a<'a>(x: &'a u8) -> char { '\"' }\nfn b() { unsafe { } }\n";
    assert_eq!(broken("crates/nn/src/a.rs", text), ["crates/nn/src/a.rs:2: unsafe"]);
    assert_eq!(broken("crates/kernels/src/a.rs", text), [""; 0]);
}

#[test]
fn the_device_is_never_taken_by_default() {
    let text = "// Device::default()\nlet device = Device::default();\n";
    assert_eq!(broken("crates/kiln/src/a.rs", text), ["crates/kiln/src/a.rs:2: device"]);
}

#[test]
fn models_and_tasks_know_no_files() {
    let text =
        "fn a() {\n    std::fs::read(\"x\");\n}\n\n#[cfg(test)]\nmod tests {\n    use std::fs::File;\n}\n";
    assert_eq!(broken("crates/models/resnet/src/a.rs", text), ["crates/models/resnet/src/a.rs:2: files"]);
    assert_eq!(broken("crates/models/resnet/tests/a.rs", text), [""; 0]);
    assert_eq!(broken("crates/data/src/a.rs", text), [""; 0]);
}

#[test]
fn only_tests_name_what_lies_outside() {
    let outside = ["..", "shared"].join("/");
    let text = format!("//! See {outside}.\n#[cfg(test)]\nmod tests {{\n    // {outside}\n}}\n");
    assert_eq!(broken("crates/nn/src/a.rs", &text), ["crates/nn/src/a.rs:1: whole"]);
    assert_eq!(broken("README.md", &text), ["README.md:1: whole", "README.md:4: whole"]);
}

#[test]
fn the_licences_and_the_pages_are_there() {
    let house = house();
    fs::remove_file(house.path().join("LICENSE-MIT")).unwrap();
    write(&house, "LICENSE-APACHE", "\n");
    assert_eq!(places(house.path()), ["LICENSE-APACHE:1: whole", "LICENSE-MIT:1: whole"]);
}

#[test]
fn comments_and_texts_are_blanked_and_lines_kept() {
    let source = "a /* b /* c */ d\n */ e // f\n\"g\\\"h\" i 'j' '\\'' 'k: l r#type br##\"m\"# n\"## o";
    let gap = |letters: usize| " ".repeat(letters);
    let first = format!("a{}", gap(" /* b /* c */ d".len()));
    let second = format!("{}e{}", gap(" */ ".len()), gap(" // f".len()));
    let third = format!(
        "{}i{}'k: l r#type b{}o",
        gap("_g__h_ ".len()),
        gap(" 'j' '__' ".len()),
        gap("r##_m_# n_## ".len())
    );
    let expected = [first, second, third].join("\n");
    assert_eq!(code_of(source), expected);
}
