//! The front door before a house with a `kiln` that only says what it was called with.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const KILN: &str = r#"
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    println!("{} {} wgpu={}", std::process::id(), args.join(" "), cfg!(feature = "wgpu"));
    std::process::exit(args.len() as i32);
}
"#;

fn house(kiln: &str) -> TempDir {
    let house = tempfile::tempdir().unwrap();
    let manifest =
        "[package]\nname = \"kiln\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[features]\nwgpu = []\n";
    for (path, text) in [
        ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"kiln\"]\n"),
        ("kiln/Cargo.toml", manifest),
        ("kiln/src/main.rs", kiln),
        // A library of the same name, as the real one has it.
        ("kiln/src/lib.rs", "//! A library.\n"),
        ("xtask/.keep", ""),
    ] {
        let path = house.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    house
}

/// Calls the front door; gives its own process id too.
fn call(house: &TempDir, args: &[&str]) -> (u32, Output) {
    let child = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(args)
        .env("CARGO_MANIFEST_DIR", house.path().join("xtask"))
        .env("CARGO_TARGET_DIR", house.path().join("elsewhere"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (child.id(), child.wait_with_output().unwrap())
}

#[test]
fn a_verb_goes_to_kiln_with_its_arguments_and_comes_back_with_its_exit_code() {
    let house = house(KILN);
    let (id, first) = call(&house, &["train", "a b.toml", "--set", "x=1"]);
    let said = String::from_utf8(first.stdout).unwrap();
    assert!(said.ends_with(" train a b.toml --set x=1 wgpu=false\n"), "{said}");
    assert_eq!(said.lines().count(), 1, "standard output is kiln's alone");
    assert_eq!(first.status.code(), Some(4));
    let progress = String::from_utf8(first.stderr).unwrap();
    assert!(progress.contains("Compiling"), "the first build shows that it lives: {progress}");
    if cfg!(unix) {
        // Ctrl-C and every other signal then reach it without help.
        assert!(said.starts_with(&format!("{id} ")), "xtask becomes kiln");
    }

    let (_, second) = call(&house, &["models"]);
    assert_eq!(second.status.code(), Some(1));
    assert_eq!(String::from_utf8(second.stderr).unwrap(), "", "later builds are quiet where nobody watches");

    let (_, third) = call(&house, &["models", "--features", "wgpu"]);
    assert!(String::from_utf8(third.stdout).unwrap().ends_with(" models wgpu=true\n"));
}

#[test]
fn a_kiln_that_does_not_build_says_why_and_nothing_runs() {
    let house = house("fn main() { let x: u8 = \"no\"; }\n");
    let (_, output) = call(&house, &["models"]);
    assert_eq!(output.status.code(), Some(101), "cargo's own exit code");
    assert!(String::from_utf8(output.stderr).unwrap().contains("mismatched types"));
    assert!(output.stdout.is_empty());
}

#[test]
fn a_wrong_call_ends_with_two_and_help_with_zero() {
    let house = house(KILN);
    for (args, code) in [(&[][..], 2), (&["tidy", "x"][..], 2), (&["--help"][..], 0)] {
        assert_eq!(call(&house, args).1.status.code(), Some(code), "{args:?}");
    }
}
