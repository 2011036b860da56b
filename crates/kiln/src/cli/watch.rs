//! `kiln watch`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use kiln_core::Result;
use serde_json::json;

use super::opening::RUNS;
use super::output::Output;
use crate::run::RunFolder;
use crate::watch::Watch;

/// Show a run in the browser while it goes on: curves, progress, where the time goes; without RUN the newest one. Ctrl-C ends it
///
/// Example: kiln watch runs/quickstart-2026-01-31-120000 --port 8080
#[derive(clap::Args)]
pub struct Args {
    /// A run's folder
    run: Option<PathBuf>,
    /// The port on this machine, which alone can see the page; 0 is any that is free
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
}

pub fn run(args: Args, output: &Output) -> Result<ExitCode> {
    let run = match args.run {
        Some(run) => RunFolder::open(run)?,
        None => RunFolder::latest(Path::new(RUNS))?,
    };
    let path = run.path().to_path_buf();
    let watch = Watch::open(run, args.port)?;
    let address = watch.address();
    output.answer(
        &format!("watching {} at {address}", path.display()),
        json!({"run": path, "address": address}),
    );
    watch.serve();
    Ok(ExitCode::SUCCESS)
}
