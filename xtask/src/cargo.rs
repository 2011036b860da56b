//! Cargo, as it is called from here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde_json::Value;

/// The root of the workspace.
pub fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let here = PathBuf::from(here);
    here.parent().map_or_else(|| here.clone(), Path::to_path_buf)
}

/// The cargo that started this program, called with `args`.
pub fn cargo(args: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// What cargo knows of a workspace, without its dependencies.
pub fn metadata(root: &Path) -> Result<Value, String> {
    let mut command = cargo(&["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]);
    let output = command.arg(root.join("Cargo.toml")).stderr(Stdio::piped()).output();
    let output = output.map_err(|why| format!("cargo metadata: {why}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|why| format!("cargo metadata: {why}"))
}

/// The exit code of a program that ended, as a shell gives it.
pub fn code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return (128 + signal) as u8;
    }
    status.code().map_or(1, |code| u8::try_from(code).unwrap_or(1))
}

/// Becomes the program: Ctrl-C, other signals and the exit code are then its own.
#[cfg(unix)]
pub fn become_program(command: &mut Command) -> Result<u8, String> {
    let why = std::os::unix::process::CommandExt::exec(command);
    Err(format!("{}: {why}", command.get_program().display()))
}

/// Runs the program and waits; a Ctrl-C is the program's to answer.
#[cfg(not(unix))]
pub fn become_program(command: &mut Command) -> Result<u8, String> {
    ctrlc::set_handler(|| {}).map_err(|why| why.to_string())?;
    let status = command.status().map_err(|why| format!("{}: {why}", command.get_program().display()))?;
    Ok(code(status))
}
