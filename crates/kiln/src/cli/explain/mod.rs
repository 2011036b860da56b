//! `kiln explain …`.

mod assign;
mod cam;
mod field;
mod filters;
mod panels;

use std::process::ExitCode;

use kiln_core::Result;
use kiln_data::Roots;

use super::output::Output;
pub use field::layer;

/// Look at what a model does, step by step
#[derive(clap::Subcommand)]
pub enum Topic {
    Assign(assign::Args),
    Field(field::Args),
    Cam(cam::Args),
    Filters(filters::Args),
}

pub fn run(topic: Topic, roots: &Roots, output: &Output) -> Result<ExitCode> {
    match topic {
        Topic::Assign(args) => assign::run(args, roots, output),
        Topic::Field(args) => field::run(args, roots, output),
        Topic::Cam(args) => cam::run(args, roots, output),
        Topic::Filters(args) => filters::run(args, roots, output),
    }
}
