//! `kiln explain …`.

mod assign;
mod cam;
mod field;
mod filters;
mod panels;
mod topic;

use std::path::PathBuf;
use std::process::ExitCode;

use kiln_core::Result;
use kiln_data::Roots;

use super::output::Output;
pub use field::layer;

/// Explain a concept of deep learning by running its code; without a name, list the topics
///
/// Example: kiln explain backprop --out pages
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    of_a_model: Option<OfModel>,
    /// What is explained
    topic: Option<String>,
    /// Explain everything: a page a topic, and one that leads to all
    #[arg(long, conflicts_with = "topic", requires = "out")]
    all: bool,
    /// Where pages and pictures (SVG) go; left out, the terminal tells everything but the pictures
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// An image to look at, for topics that do: receptive-field, pooling, sobel; left out, one of `shapes`
    #[arg(long, value_name = "FILE", requires = "out")]
    image: Option<PathBuf>,
    /// What is random comes from it
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(clap::Subcommand)]
enum OfModel {
    Assign(assign::Args),
    Field(field::Args),
    Cam(cam::Args),
    Filters(filters::Args),
}

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let Args { of_a_model, topic, all, out, image, seed } = args;
    match of_a_model {
        Some(OfModel::Assign(args)) => assign::run(args, roots, output),
        Some(OfModel::Field(args)) => field::run(args, roots, output),
        Some(OfModel::Cam(args)) => cam::run(args, roots, output),
        Some(OfModel::Filters(args)) => filters::run(args, roots, output),
        None => topic::run(topic.as_deref(), all, out.as_deref(), image.as_deref(), seed, output),
    }
}
