//! `kiln batch-size`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use bytesize::ByteSize;
use kiln_core::{Error, Result};
use kiln_data::Roots;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::opening::Chosen;
use super::output::{Output, table, thousands};
use crate::batch_size::{ENOUGH, Found, Search, Trial, mebibytes};
use crate::machine::{available_memory, resident};
use crate::run::bar;

/// Find the largest batch whose training step fits into memory
///
/// Every batch is tried in a process of its own, with all that the experiment asks for: its loader's threads, its optimizer, its
/// average, a checkpoint. What counts is the most memory that the process had (VmHWM); one that wants more than is given is
/// ended. Only the CPU's memory is known: not that of graphics cards. Example: kiln batch-size configs/quickstart.toml --memory 4GiB
#[derive(clap::Args)]
pub struct Args {
    /// An experiment file; its own batch size does not matter
    config: PathBuf,
    #[command(flatten)]
    chosen: Chosen,
    /// The memory there is, as 8GiB; what the machine and its control groups have left if left out
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// The largest batch of interest
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    max: u32,
}

/// How often a trial's memory is looked at.
const LOOK: Duration = Duration::from_millis(5);

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let backend = args.chosen.device.split(':').next().unwrap_or_default();
    if !["flex", "ndarray"].contains(&backend) {
        let error = Error::input(format!(
            "`{}` may have a memory of its own, and only the CPU's is known",
            args.chosen.device
        ));
        return Err(error.place("--device").hint("`flex` or `ndarray`; on others, try batches by hand"));
    }
    let mut source = args.chosen.read(&args.config)?;
    // The experiment's own batch may be more than there are images of.
    source.set("train.drop_last=false")?;
    let opening = args.chosen.open(source, roots)?;
    let size = opening.image_size()?;
    let experiment = &opening.prepared.experiment;
    let unit = experiment.data.train_batches.repeats;
    let most = (args.max as usize).min(experiment.data.train_items) / unit * unit;
    let memory = args.memory.map_or_else(available_memory, |memory| Ok(memory.as_u64()))?;
    let search = Search { memory, most, unit };
    let title = format!("{} on {}", experiment.model.name, experiment.data.name);
    if most == 0 {
        return Err(Error::input(format!("no batch of {unit} images can be made")).place("--max"));
    }
    let size = opening.prepared.train.1.output_size(size);
    drop(opening);

    let bar = bar(0, "{spinner} {msg}");
    let found = search.run(|batch| {
        bar.set_message(format!("trying {} images", thousands(batch)));
        bar.tick();
        attempt(&args, memory, batch)
    })?;
    bar.finish_and_clear();
    let lines = format!("{title}, images of {}x{}\n{}", size[1], size[0], told(&search, &found));
    output.answer(&lines, object(&search, &found));
    Ok(ExitCode::SUCCESS)
}

/// Tries a batch: the most bytes it took and its speed, none if it was ended for wanting too many.
fn attempt(args: &Args, memory: u64, batch: usize) -> Result<(Option<u64>, Option<f64>)> {
    let failed = |why: String| Error::failure(format!("the trial of {batch} images {why}"));
    let folder = TempDir::new().map_err(|why| Error::unwritable(std::env::temp_dir(), &why))?;
    let program = std::env::current_exe().map_err(|why| failed(format!("cannot begin: {why}")))?;
    let mut command = Command::new(program);
    command.arg("batch-trial").arg(&args.config).args(["--device", &args.chosen.device]);
    command.arg("--run").arg(folder.path().join("run"));
    let sets = [format!("train.batch_size={batch}"), "train.drop_last=true".to_string()];
    args.chosen.set.iter().chain(&sets).for_each(|set| _ = command.args(["--set", set]));
    // Files, as nobody reads a pipe meanwhile.
    let said = |name: &str| folder.path().join(name);
    let open = |file: &Path| std::fs::File::create(file).map_err(|why| Error::unwritable(file, &why));
    command.stdin(Stdio::null()).stdout(open(&said("out"))?).stderr(open(&said("err"))?);
    let mut child = command.spawn().map_err(|why| failed(format!("cannot begin: {why}")))?;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|why| failed(why.to_string()))? {
            break status;
        }
        let taken = resident(child.id(), "VmRSS");
        if !matches!(taken, Ok(taken) if taken.unwrap_or(0) <= memory) {
            let ended = child.kill().and_then(|()| child.wait());
            ended.map_err(|why| failed(format!("does not end: {why}")))?;
            return taken.map(|_| (None, None));
        }
        std::thread::sleep(LOOK);
    };
    let read = |name: &str| std::fs::read_to_string(said(name)).unwrap_or_default();
    let errors = read("err");
    match status.code() {
        Some(0) => {
            let answer: Value = serde_json::from_str(&read("out")).unwrap_or_default();
            let peak = answer["peak"].as_u64().ok_or_else(|| failed("does not say what it took".into()))?;
            Ok((Some(peak), answer["speed"].as_f64()))
        }
        Some(code) => {
            let line = errors.lines().find_map(|line| line.strip_prefix("error: "));
            let line = line.map_or(format!("ended with {status}"), |line| format!("failed: {line}"));
            let error = failed(line);
            Err(if code == 2 { Error::input(error.message()) } else { error })
        }
        // Linux ended it, or it asked for more than there is.
        None if errors.contains("memory allocation of") || errors.is_empty() => Ok((None, None)),
        None => Err(failed(format!("ended with {status}: {}", errors.lines().last().unwrap_or_default()))),
    }
}

/// What was found, for people.
fn told(search: &Search, found: &Found) -> String {
    let mib = |bytes: f64| format!("{:.0}", mebibytes(bytes));
    let row = |trial: &Trial| {
        let peak = match trial.peak {
            Some(peak) if search.fits(trial) => mib(peak as f64),
            Some(peak) => format!("{}, too much", mib(peak as f64)),
            None => "too much".to_string(),
        };
        let speed = |speed: f64| format!("{speed:.digits$}", digits = usize::from(speed < 10.0));
        let speed = trial.speed.map_or("-".to_string(), speed);
        [trial.batch.to_string(), trial.predicted.map_or("-".into(), mib), peak, speed]
    };
    let rows: Vec<[String; 4]> = found.trials.iter().map(row).collect();
    let mut text = table(["batch", "predicted MiB", "peak MiB", "images/s"], &rows);
    let Trial { batch, predicted, peak, .. } = found.largest;
    let measured = mib(peak.unwrap_or_default() as f64);
    let promised = predicted.map(|bytes| format!("; predicted {} MiB", mib(bytes))).unwrap_or_default();
    let why = match batch + search.unit > search.most {
        true => "the largest that was asked for or that there are images of",
        false => "the largest that fits",
    };
    text.push_str(&format!(
        "suggested: train.batch_size={batch}, {why}: {measured} of {} MiB{promised}\n",
        mib(search.memory as f64)
    ));
    if found.fast.batch < batch {
        text.push_str(&format!(
            "from {} on a batch goes through no more images a second ({:.0} % of the most)\n",
            found.fast.batch,
            100.0 * ENOUGH
        ));
    }
    if let Some(line) = found.line {
        text.push_str(&format!("{} MiB, and {:.2} an image\n", mib(line.fixed), mebibytes(line.per_image)));
    }
    text
}

/// What was found, for machines.
fn object(search: &Search, found: &Found) -> Value {
    let trial = |trial: &Trial| {
        json!({
            "batch": trial.batch, "predicted_mib": trial.predicted.map(mebibytes), "fits": search.fits(trial),
            "peak_mib": trial.peak.map(|peak| mebibytes(peak as f64)), "images_per_second": trial.speed,
        })
    };
    json!({
        "memory_mib": mebibytes(search.memory as f64),
        "suggestion": found.largest.batch,
        "fast_from": found.fast.batch,
        "largest": trial(&found.largest),
        "fixed_mib": found.line.map(|line| mebibytes(line.fixed)),
        "mib_per_image": found.line.map(|line| mebibytes(line.per_image)),
        "trials": found.trials.iter().map(trial).collect::<Vec<_>>(),
    })
}
