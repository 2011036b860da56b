//! `kiln explain …`.

mod assign;
mod panels;

use std::process::ExitCode;

use kiln_core::Result;
use kiln_data::Roots;

use super::output::Output;

/// Look at what a model does, step by step
#[derive(clap::Subcommand)]
pub enum Topic {
    Assign(assign::Args),
}

pub fn run(topic: Topic, roots: &Roots, output: &Output) -> Result<ExitCode> {
    match topic {
        Topic::Assign(args) => assign::run(args, roots, output),
    }
}
