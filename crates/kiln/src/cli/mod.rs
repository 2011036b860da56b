//! The command line: `kiln VERB …`, and `cargo xtask VERB …`, which is the same.

mod anchors;
mod augment;
mod batch_size;
mod batch_trial;
mod compare;
mod data;
mod eval;
mod explain;
mod export;
mod gradcheck;
mod labelling;
mod lr_find;
mod models;
mod network;
mod noise_scale;
mod opening;
mod output;
mod parity;
mod pictures;
mod predict;
mod race;
mod score;
mod shown;
mod subject;
mod summary;
mod train;
mod view;
mod watch;
mod weights;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use kiln_core::{Error, Kind, Result};
use kiln_data::Roots;

use output::Output;

/// Vision models on Burn: train them, score them, use them.
#[derive(Parser)]
#[command(
    name = "kiln",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    /// Print one JSON object on standard output, and nothing else there
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Train(train::Args),
    Race(race::Args),
    LrFind(lr_find::Args),
    Watch(watch::Args),
    BatchSize(batch_size::Args),
    #[command(hide = true)]
    BatchTrial(batch_trial::Args),
    NoiseScale(noise_scale::Args),
    Eval(eval::Args),
    Predict(predict::Args),
    Models(models::Args),
    Summary(summary::Args),
    Export(export::Args),
    Parity(parity::Args),
    Compare(compare::Args),
    Score(score::Args),
    Explain(explain::Args),
    Gradcheck(gradcheck::Args),
    #[command(subcommand)]
    Data(data::Verb),
    #[command(subcommand)]
    Weights(weights::Verb),
}

/// Runs the command that the process was called with. Exit code 0: it worked; 2: a wrong call or a bad input; 1: a
/// failure while working.
pub fn main() -> ExitCode {
    kiln_kernels::keep_freed_memory();
    kiln_kernels::pin_threads();
    let json = std::env::args().any(|argument| argument == "--json");
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() || !json => error.exit(),
        Err(error) => {
            let message = error.to_string();
            let line = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
            return failed(&Error::input(line).hint("see `kiln --help`"), true);
        }
    };
    // On a thread of the pool, so that a kernel shares its work without waking anyone to take it over first.
    match rayon::scope(|_| run(cli.verb, &Output { json: cli.json })) {
        Ok(code) => code,
        Err(error) => failed(&error, cli.json),
    }
}

fn run(verb: Verb, output: &Output) -> Result<ExitCode> {
    let roots =
        Roots { datasets: PathBuf::from("datasets"), data: std::env::var_os("KILN_DATA").map(PathBuf::from) };
    match verb {
        Verb::Train(args) => train::run(args, &roots, output),
        Verb::Race(args) => race::run(args, &roots, output),
        Verb::LrFind(args) => lr_find::run(args, &roots, output),
        Verb::Watch(args) => watch::run(args, output),
        Verb::BatchSize(args) => batch_size::run(args, &roots, output),
        Verb::BatchTrial(args) => batch_trial::run(args, &roots),
        Verb::NoiseScale(args) => noise_scale::run(args, &roots, output),
        Verb::Eval(args) => eval::run(args, &roots, output),
        Verb::Predict(args) => predict::run(args, output),
        Verb::Models(args) => models::run(args, output),
        Verb::Summary(args) => summary::run(args, &roots, output),
        Verb::Export(args) => export::run(args, &roots, output),
        Verb::Parity(args) => parity::run(args, output),
        Verb::Compare(args) => compare::run(args, &roots, output),
        Verb::Score(args) => score::run(args, output),
        Verb::Explain(args) => explain::run(args, &roots, output),
        Verb::Gradcheck(args) => gradcheck::run(args, output),
        Verb::Data(verb) => data::run(verb, &roots, output),
        Verb::Weights(verb) => weights::run(verb, output),
    }
}

fn failed(error: &Error, json: bool) -> ExitCode {
    if json {
        let object = serde_json::json!({"error": {
            "message": error.message(),
            "file": error.file_named(),
            "place": error.place_named(),
            "hint": error.hint_given(),
        }});
        println!("{object}");
    }
    eprintln!("error: {error}");
    match error.kind() {
        Kind::Input => ExitCode::from(2),
        Kind::Failure => ExitCode::from(1),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
