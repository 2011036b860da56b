//! `kiln-bench`, which `cargo xtask bench` runs: Kiln's times and memory beside those of PyTorch and ONNX Runtime.

mod layer;
mod looped;
mod memory;
mod network;
mod pace;
mod peer;
mod score;
mod stack;
mod table;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use kiln_core::{Error, Kind, Result};
use kiln_kernels::{Isa, peak_gflops};
use serde_json::json;

use network::{SINGLE, TRAINED, Training};
use pace::Pace;
use score::Size;
use table::{Column, Table};
use work::{Peers, Work};

#[global_allocator]
static ALLOCATOR: kiln_kernels::LineAligned = kiln_kernels::LineAligned;

/// pycocotools takes minutes for one.
const TURNS_OF_SCORES: usize = 3;

/// Kiln's times and memory beside those of PyTorch and ONNX Runtime
#[derive(Parser)]
#[command(name = "kiln-bench", version, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Training steps of networks, and single convolutions
    ///
    /// A step is forward pass, cross entropy, backward pass and SGD with momentum and weight decay. Example: cargo xtask
    /// bench train --peer-python venv/bin/python
    Train {
        #[command(flatten)]
        what: What,
        #[command(flatten)]
        how: How,
        /// Networks alone
        #[arg(long, conflicts_with = "layers")]
        networks: bool,
        /// Single convolutions alone: those of ResNet-50 and of ShuffleNet V2
        #[arg(long)]
        layers: bool,
    },
    /// Forward passes of networks in evaluation mode, also beside ONNX Runtime where Python has it
    Eval {
        #[command(flatten)]
        what: What,
        #[command(flatten)]
        how: How,
    },
    /// The memory that training steps take, on Linux
    Memory {
        #[command(flatten)]
        what: What,
    },
    /// The training loop on generated JPEG files: the share of time that computes nothing, and whether memory grows, on Linux
    ///
    /// Example: cargo xtask bench loop --check; for memory, which takes many steps: --model cifar10-resnet20 --side 32 --batch 8
    /// --steps 2000
    Loop(looped::Setting),
    /// COCO's figures of boxes beside pycocotools, as many as val2017 has with 100 predictions an image
    ///
    /// The evaluation alone, on one thread, and the whole command `kiln score`. Example: cargo xtask bench score --peer-python
    /// venv/bin/python
    Score {
        /// A Python with pycocotools; without it our side is measured alone
        #[arg(long, value_name = "PATH")]
        peer_python: Option<PathBuf>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// A hundredth of the images: a look, not a measurement
        #[arg(long)]
        quick: bool,
    },
    /// A few training steps of the network of that row; prints how much memory they took
    #[command(hide = true)]
    Peak { name: String },
}

#[derive(clap::Args)]
struct What {
    /// A Python with torch and torchvision; without it our side is measured alone
    #[arg(long, value_name = "PATH")]
    peer_python: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Only rows whose name has this in it
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

#[derive(clap::Args)]
struct How {
    /// Turns of each side; the median counts
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(10..))]
    steps: u16,
    /// Three turns: a look, not a measurement
    #[arg(long, conflicts_with = "steps")]
    quick: bool,
}

fn main() -> ExitCode {
    kiln_kernels::keep_freed_memory();
    kiln_kernels::pin_threads();
    match run(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            match error.kind() {
                Kind::Input => ExitCode::from(2),
                Kind::Failure => ExitCode::from(1),
            }
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Train { what, how, networks, layers } => {
            let steps = if layers { Vec::new() } else { TRAINED.map(Work::Train).into() };
            let layers = if networks { Vec::new() } else { convolutions()? };
            times(&what, &how, "training step", Column::None, [steps, layers])
        }
        Verb::Eval { what, how } => {
            let passes = SINGLE.into_iter().chain(TRAINED).map(Work::Evaluate).collect();
            times(&what, &how, "forward pass", Column::OnnxRuntime, [passes, Vec::new()])
        }
        Verb::Memory { what } => memories(&what),
        Verb::Loop(setting) => looped::run(&setting),
        Verb::Score { peer_python, json, quick } => {
            let size = if quick { Size::SMALL } else { Size::COCO };
            score::compare(size, TURNS_OF_SCORES, peer_python.as_deref(), json)
        }
        Verb::Peak { name } => {
            let work = TRAINED.into_iter().find(|work| work.name() == name);
            let work = work.ok_or_else(|| Error::input(format!("`{name}` is no row")))?;
            memory::peak(Training::new(work)?)
        }
    }
}

/// Every distinct convolution of the networks that are compared layer by layer.
fn convolutions() -> Result<Vec<Work>> {
    let networks =
        TRAINED.into_iter().filter(|work| ["resnet50", "shufflenet_v2_x1_0"].contains(&work.model));
    let layers = networks.map(layer::layers).collect::<Result<Vec<_>>>()?;
    Ok(layers.into_iter().flatten().map(Work::Layer).collect())
}

/// Measures networks and layers and prints a table of each.
fn times(what: &What, how: &How, title: &str, column: Column, works: [Vec<Work>; 2]) -> Result<()> {
    let [networks, layers] = wanted(what, works)?;
    let steps = if how.quick { 3 } else { how.steps.into() };
    let threads = rayon::current_num_threads();
    let python = what.peer_python.as_deref();
    let with_onnxruntime = column == Column::OnnxRuntime;
    let mut peers = python.map(|python| Peers::start(python, threads, with_onnxruntime)).transpose()?;
    let torch = peers.as_ref().map(|peers| peers.version().to_string());
    let (isa, peak) = (format!("{:?}", Isa::best()), peak_gflops(threads));
    if !what.json {
        let torch = match &torch {
            Some(version) => format!("torch {version}"),
            None => "no other side: give one with --peer-python".to_string(),
        };
        println!(
            "{threads} threads, {isa}, at most {peak:.0} GFLOP/s; {torch}; medians of {steps} turns, of {} for convolutions",
            2 * steps
        );
    }

    let mut tables = [Vec::new(), Vec::new()];
    // A turn of a short layer is a few milliseconds, which another process disturbs wholly or not at all: the median of
    // many turns is a quiet one.
    let kinds = [(title, column, steps), ("convolution", Column::Rate, 2 * steps)];
    for ((works, rows), (title, column, steps)) in [networks, layers].into_iter().zip(&mut tables).zip(kinds)
    {
        let names: Vec<String> = works.iter().map(Work::name).collect();
        let table = (!what.json && !works.is_empty()).then(|| Table::begin(title, column, &names));
        for work in works {
            let row = work::measure(&work, Pace { steps, least: 4.0 }, peers.as_mut())?;
            if let Some(table) = &table {
                table.print(&row);
            }
            rows.push(row);
        }
        if let Some(table) = &table {
            table.end(rows);
        }
    }
    if what.json {
        let head =
            json!({"threads": threads, "isa": isa, "peak_gflops": peak, "steps": steps, "torch": torch});
        println!("{}", table::object(&tables[0], &tables[1], head));
    }
    Ok(())
}

/// Measures the memory of each network's training steps and prints a table.
fn memories(what: &What) -> Result<()> {
    let [networks, _] = wanted(what, [TRAINED.map(Work::Train).into(), Vec::new()])?;
    let width = networks.iter().map(|work| work.name().len()).max().unwrap_or(0).max(memory::TITLE.len());
    if !what.json {
        println!("{}", memory::header(width));
    }
    let mut rows = Vec::new();
    for work in &networks {
        let row = memory::measure(work, what.peer_python.as_deref(), rayon::current_num_threads())?;
        if !what.json {
            println!("{}", row.line(width));
        }
        rows.push(row.object());
    }
    if what.json {
        println!("{}", json!({"rows": rows}));
    }
    Ok(())
}

/// The rows that were asked for.
fn wanted(what: &What, works: [Vec<Work>; 2]) -> Result<[Vec<Work>; 2]> {
    let Some(text) = &what.only else { return Ok(works) };
    let mut kept = works;
    kept.iter_mut().for_each(|works| works.retain(|work| work.name().contains(text)));
    match kept.iter().all(Vec::is_empty) {
        true => {
            Err(Error::input(format!("`{text}` is in no row's name")).place("--only").hint("try `resnet`"))
        }
        false => Ok(kept),
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
