//! The front door: `cargo xtask VERB …`. It links nothing of the library, so that it is built in seconds.

mod call;
mod cargo;
mod table;
mod tidy;
mod verbs;

use std::process::ExitCode;

use call::Call;

const HELP: &str = "\
cargo xtask [--features LIST] VERB …

of the project:
  test [--backends] [-- ARGS]  formatting, lints, layout rules, all tests; ARGS go to the test programs
  tidy [--write]               the layout rules alone; --write renews the README's table of models
  docs                         the documentation, in target/doc
  bench VERB                   train, eval, memory, score: beside PyTorch and others with --peer-python PATH
  bench loop [--check]         what of a training step computes nothing, and whether memory grows

of the library, run by `kiln` (built first; `cargo xtask VERB --help` explains each):
  train [CONFIG]               runs an experiment; without CONFIG the quickstart
  watch [RUN]                  a page of a run while it goes on
  race, lr-find                one network by several optimizers; the rate at which the loss falls fastest
  batch-size, noise-scale      the largest batch that fits into memory; how large a batch pays
  eval, predict                scores a run or a weight file; names what images show
  models, parity               the registry; agreement with reference outputs
  score                        COCO's figures of a file of predictions
  data                         data sets: list, check, fetch, view, anchors
  …                            every other verb as well: `cargo xtask kiln --help` lists them all

--features LIST builds `kiln` with more backends: ndarray, wgpu, vulkan, metal, webgpu, cuda, rocm, tch
  cargo xtask --features wgpu train --device wgpu
";

fn main() -> ExitCode {
    let done = match Call::parse(std::env::args_os().skip(1)) {
        Ok(Call::Help) => {
            print!("{HELP}");
            Ok(0)
        }
        Ok(Call::Test { backends, args }) => verbs::test(backends, &args),
        Ok(Call::Tidy { write }) => verbs::tidy(write),
        Ok(Call::Docs) => verbs::docs(),
        Ok(Call::Bench { args }) => verbs::bench(&args),
        Ok(Call::Kiln { features, args }) => verbs::kiln(&features, &args),
        Err(message) => {
            eprintln!("error: {message}; `cargo xtask --help` lists the verbs");
            Ok(2)
        }
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
