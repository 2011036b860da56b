//! What each verb does.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cargo::{become_program, cargo, code, metadata, root};
use crate::table;
use crate::tidy::{self, Violation};

/// The backends that `test --backends` tries: a Cargo feature, and the devices of which the first that is there is taken
/// (a machine without a graphics card may have a Vulkan made of software).
const BACKENDS: [(&str, &[&str]); 2] = [("ndarray", &["ndarray"]), ("wgpu", &["wgpu", "wgpu:cpu"])];

/// What `kiln` returns for a device that is not there.
const NOT_THERE: u8 = 2;

type Step<'a> = (&'static str, Box<dyn Fn() -> Result<u8, String> + 'a>);

/// Runs all checks, the quick ones first; the first failure ends it.
pub fn test(backends: bool, args: &[OsString]) -> Result<u8, String> {
    let plain = |line: &'static str| move || run(line, &[], &[]);
    let mut steps: Vec<Step> = vec![
        ("formatting", Box::new(plain("fmt --all --check"))),
        ("layout rules", Box::new(|| tidy(false))),
        ("lints", Box::new(plain("clippy --release --workspace --all-targets -- -D warnings"))),
        ("tests", Box::new(|| run("test --release --workspace --", args, &[]))),
    ];
    if backends {
        steps.push(("backends", Box::new(other_backends)));
    }
    let start = Instant::now();
    let mut done = Vec::new();
    for (name, step) in steps {
        eprintln!("── {name}");
        let started = Instant::now();
        let code = step()?;
        let outcome = if code == 0 { "ok" } else { "FAILED" };
        eprintln!("── {name}: {outcome}, {}", spelt(started.elapsed()));
        done.push(format!("{name} {outcome} ({})", spelt(started.elapsed())));
        if code != 0 {
            eprintln!("── {}; the rest was not run", done.join(", "));
            return Ok(code);
        }
    }
    eprintln!("── all ok: {}; {} in all", done.join(", "), spelt(start.elapsed()));
    Ok(0)
}

/// Checks the layout rules, and the README's table of models against what `kiln` says.
pub fn tidy(write: bool) -> Result<u8, String> {
    let mut violations = tidy::check(&root())?;
    match model_table(write)? {
        Ok(violation) => violations.extend(violation),
        Err(code) => return Ok(code),
    }
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => Ok(0),
        count => {
            eprintln!(
                "error: the layout rules are broken in {count} {}",
                if count == 1 { "place" } else { "places" }
            );
            Ok(1)
        }
    }
}

/// What is wrong with the README's table of models, or the exit code of what failed before that could be seen.
fn model_table(write: bool) -> Result<Result<Option<Violation>, u8>, String> {
    let program = match build("kiln", &[])? {
        Ok(program) => program,
        Err(code) => return Ok(Err(code)),
    };
    let listed = Command::new(&program).args(["models", "--markdown"]).stderr(Stdio::inherit()).output();
    let listed = listed.map_err(|why| format!("{}: {why}", program.display()))?;
    if !listed.status.success() {
        return Ok(Err(code(listed.status)));
    }
    let file = root().join("README.md");
    let failed = |why: std::io::Error| format!("{}: {why}", file.display());
    let readme = std::fs::read_to_string(&file).map_err(failed)?;
    let broken = |line, advice: &str| Violation {
        file: "README.md".into(),
        line,
        rule: "table",
        advice: advice.into(),
    };
    let Some(right) = table::put(&readme, &String::from_utf8_lossy(&listed.stdout)) else {
        return Ok(Ok(Some(broken(1, "the marks around the table of models are gone; put them back"))));
    };
    if write {
        std::fs::write(&file, &right).map_err(failed)?;
    }
    let line = table::first_difference(&readme, &right);
    let advice = "the table is not what `kiln models --markdown` prints; run `cargo xtask tidy --write`";
    Ok(Ok((!write && readme != right).then(|| broken(line, advice))))
}

/// Builds the documentation.
pub fn docs() -> Result<u8, String> {
    run("doc --release --workspace --no-deps", &[], &[("RUSTDOCFLAGS", "-D warnings")])
}

/// Builds `kiln` and becomes it.
pub fn kiln(features: &[String], args: &[OsString]) -> Result<u8, String> {
    become_built("kiln", features, args)
}

/// Builds `kiln-bench`, and `kiln` where it measures that, and becomes it.
pub fn bench(args: &[OsString]) -> Result<u8, String> {
    if args.first().is_some_and(|verb| verb == "score")
        && let Err(code) = build("kiln", &[])?
    {
        return Ok(code);
    }
    become_built("kiln-bench", &[], args)
}

fn become_built(package: &str, features: &[String], args: &[OsString]) -> Result<u8, String> {
    match build(package, features)? {
        Ok(program) => become_program(Command::new(program).args(args)),
        Err(code) => Ok(code),
    }
}

/// Builds a package's program of the same name; gives the program, or cargo's exit code.
fn build(package: &str, features: &[String]) -> Result<Result<PathBuf, u8>, String> {
    let root = root();
    let metadata = metadata(&root)?;
    let target = PathBuf::from(metadata["target_directory"].as_str().unwrap_or("target"));
    let built = target.join("release").join(format!("{package}{}", std::env::consts::EXE_SUFFIX)).exists();
    let mut command =
        cargo(&["build", "--release", "--package", package, "--message-format=json-render-diagnostics"]);
    command.arg("--manifest-path").arg(root.join("Cargo.toml"));
    if !features.is_empty() {
        command.arg("--features").arg(features.join(","));
    }
    // The first build takes minutes and shows that it lives; afterwards a program that reads us wants no more than
    // what `kiln` says.
    if built && !std::io::stderr().is_terminal() {
        command.arg("--quiet");
    }
    let output = command.stderr(Stdio::inherit()).output().map_err(|why| format!("cargo build: {why}"))?;
    if !output.status.success() {
        return Ok(Err(code(output.status)));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut programs = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == package).then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    programs.next_back().map(Ok).ok_or_else(|| format!("cargo built `{package}` but named no program"))
}

/// A few training steps on each of the other backends.
fn other_backends() -> Result<u8, String> {
    let features = BACKENDS.map(|(feature, _)| feature.to_string());
    let program = match build("kiln", &features)? {
        Ok(program) => program,
        Err(code) => return Ok(code),
    };
    let folder = std::env::temp_dir().join(format!("kiln-backends-{}", std::process::id()));
    for (_, devices) in BACKENDS {
        let mut outcome = NOT_THERE;
        for device in devices {
            outcome = few_steps(&program, device, &folder.join(device.replace(':', "-")))?;
            if outcome != NOT_THERE {
                break;
            }
        }
        if outcome != 0 {
            return Ok(outcome);
        }
    }
    std::fs::remove_dir_all(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    Ok(0)
}

/// The quickstart on a few images.
fn few_steps(program: &Path, device: &str, folder: &Path) -> Result<u8, String> {
    eprintln!("── a few steps on {device}");
    let mut command = Command::new(program);
    command.current_dir(root()).args(["train", "configs/quickstart.toml", "--device", device]);
    for few in ["data.train_items=128", "data.test_items=64", "train.batch_size=32"] {
        command.args(["--set", few]);
    }
    let status = command.arg("--run").arg(folder).status();
    status.map(code).map_err(|why| format!("{}: {why}", program.display()))
}

/// Runs cargo in the root.
fn run(line: &str, more: &[OsString], environment: &[(&str, &str)]) -> Result<u8, String> {
    let words: Vec<&str> = line.split(' ').collect();
    let mut command = cargo(&words);
    command.args(more).current_dir(root()).envs(environment.iter().copied());
    command.status().map(code).map_err(|why| format!("cargo {line}: {why}"))
}

fn spelt(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
