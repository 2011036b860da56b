//! `kiln train`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::tensor::Device;
use kiln_core::{Error, Result, learnable_parameters};
use kiln_data::{Batching, Loader, LoaderOptions, Roots};
use kiln_tasks::Classification;
use kiln_train::{EpochSummary, Fit, Log, MetricsFiles, Observer, Outcome, TensorBoard, Trainer};
use kiln_zoo::{Classifier, StateDict};
use serde_json::{Map, Value, json};

use super::network::filled;
use super::output::{Output, thousands};
use crate::evaluation::evaluate;
use crate::experiment::{Experiment, Images, Prepared, Source};
use crate::run::{BestAndLast, Histograms, Progress, RunFolder, Steps, environment, write_report};

/// Run an experiment; without CONFIG the quickstart, on generated data
///
/// Example: kiln train configs/classification/fashion-mnist-resnet.toml --set train.epochs=2
#[derive(clap::Args)]
pub struct Args {
    /// An experiment file, or the resolved.json of an earlier run
    config: Option<PathBuf>,
    /// Change a value of the experiment: --set train.lr=0.05
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where to compute: flex, ndarray, wgpu, wgpu:0, cuda:0, …
    #[arg(long, default_value = "flex")]
    device: String,
    /// The run's folder; runs/<config>-<time> if left out
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Go on with the run in --run, or with the newest of this experiment
    #[arg(long)]
    resume: bool,
    /// Keep every so many steps how weights, gradients and activations are distributed
    #[arg(long, value_name = "STEPS")]
    histograms: Option<NonZeroUsize>,
    /// Only check that the experiment is complete and its data is there
    #[arg(long)]
    check: bool,
}

const QUICKSTART: &str = "configs/quickstart.toml";
pub(super) const RUNS: &str = "runs";

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let config = args.config.clone().unwrap_or_else(|| PathBuf::from(QUICKSTART));
    let resumed = resumed_run(&args, &config)?;
    let source = match &resumed {
        Some(run) => Source::read(&run.file("resolved.json"))?,
        None => read(&config, &args.set)?,
    };
    let device = kiln_core::device(&args.device)?;
    let prepared = Prepared::new(&source, roots)?;
    let training_device = device.clone().autodiff();
    // A run that was killed before its first checkpoint begins anew.
    let goes_on = match &resumed {
        Some(run) => kiln_train::latest(run.path())?.is_some(),
        None => false,
    };
    let network = match &prepared.experiment.model.weights {
        Some(file) if !goes_on => {
            filled(&prepared.entry, StateDict::read(file)?, prepared.classes.len(), file, &training_device)?
        }
        _ => prepared.entry.init(prepared.classes.len(), &training_device),
    };
    if args.check {
        checked(&source, &prepared, output);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(absence) = prepared.absence {
        return Err(absence);
    }

    let first = prepared.test.0.get(0)?;
    let size = [first.image.height() as usize, first.image.width() as usize];
    let preprocessing = prepared.preprocessing(size);
    prepared.takes(Some(size))?;
    let train = loader(&prepared.train, &prepared.experiment, true, &training_device)?;
    let test = loader(&prepared.test, &prepared.experiment, false, &device)?;
    let stop = stop_on_interrupt()?;
    let run = match resumed {
        Some(run) => run,
        None => {
            let path = args.run.unwrap_or_else(|| RunFolder::fresh_path(Path::new(RUNS), &config));
            RunFolder::create(path, &source, &prepared.experiment)?
        }
    };

    let Experiment { model, data, train: plan, .. } = &prepared.experiment;
    let classes = prepared.classes.len();
    let parameters = thousands(learnable_parameters(&network));
    let items = thousands(data.train_items);
    eprintln!(
        "{} ({parameters} parameters) learns {classes} classes from {items} images of {}; {}",
        model.name,
        data.name,
        run.path().display(),
    );
    let environment = environment(&args.device);
    let mut log = Log::open(run.path())?;
    for (name, value) in &environment {
        log.line(&format!("{name}: {value}"))?;
    }
    let trainer = Trainer {
        run: run.path().to_path_buf(),
        length: plan.length,
        learning_rate: plan.lr,
        optimizer: prepared.experiment.optimizer.clone(),
        schedule: prepared.experiment.schedule.clone(),
        recipe: plan.recipe.clone(),
        seed: prepared.experiment.seed,
        saving: plan.saving(),
        resume: goes_on,
    };
    let (label_smoothing, loss) = (plan.label_smoothing, plan.loss);
    let task = Classification { num_classes: classes, label_smoothing, loss };
    let mut progress = Progress::new();
    let mut metrics = MetricsFiles::new(run.path());
    let mut steps = Steps::new(run.file("steps.csv"));
    let mut weights = BestAndLast { run: run.path().to_path_buf(), preprocessing };
    let board = TensorBoard::new(run.path(), &source.text());
    let mut histograms = Histograms::new(run.file("histograms.jsonl"), args.histograms, board);
    let mut observers: [&mut dyn Observer<Classifier>; 6] =
        [&mut progress, &mut metrics, &mut steps, &mut log, &mut weights, &mut histograms];
    let began = Instant::now();
    let fit = trainer.fit(network, &task, &train, &test, &mut observers, &stop)?;
    let seconds = began.elapsed().as_secs_f64();
    left_out(&train, &mut log)?;
    left_out(&test, &mut log)?;

    if let Some(best) = fit.best() {
        let file = run.file("best.safetensors");
        let network = prepared.entry.init(classes, &device);
        let network = kiln_zoo::load(network, &prepared.entry, StateDict::read(&file)?, &file)?;
        let evaluation = evaluate(&network, classes, &test, |_| ())?;
        let tiles = [
            ("Best epoch", format!("{} of {}", best.epoch, fit.history.len())),
            ("Parameters", parameters),
            ("Training images", items),
            ("Time", format!("{seconds:.0} s")),
            ("Images a second", format!("{:.0}", progress.speed())),
            ("Steps' time", progress.split()),
        ];
        write_report(&run, &source, &prepared, &fit.history, &evaluation, &tiles, environment)?;
    }
    answer(&run, &fit, seconds, args.histograms, output);
    Ok(ExitCode::SUCCESS)
}

/// The run that `--resume` goes on with.
fn resumed_run(args: &Args, config: &Path) -> Result<Option<RunFolder>> {
    if !args.resume {
        return Ok(None);
    }
    if !args.set.is_empty() || (args.config.is_some() && args.run.is_some()) {
        let error =
            Error::input("a run goes on as it began: `--resume` takes no other experiment and no `--set`");
        return Err(error.hint("leave out CONFIG and `--set`"));
    }
    match &args.run {
        Some(run) => RunFolder::open(run).map(Some),
        None => RunFolder::newest(Path::new(RUNS), config).map(Some),
    }
}

fn checked(source: &Source, prepared: &Prepared, output: &Output) {
    let Experiment { model, data, .. } = &prepared.experiment;
    let mut line = format!(
        "{}: good; {} learns from {} images of {} and is tried on {}",
        source.path().display(),
        model.name,
        thousands(data.train_items),
        data.name,
        thousands(data.test_items)
    );
    if let Some(absence) = &prepared.absence {
        line.push_str(&format!("\ndata not here: {absence}"));
    }
    let object = json!({
        "config": source.path(), "model": model.name, "train": data.train_items, "test": data.test_items,
        "data_is_here": prepared.absence.is_none(),
    });
    output.answer(&line, object);
}

/// Batches to learn from, or to be tried on.
pub(super) fn loader(
    images: &Images,
    experiment: &Experiment,
    learn: bool,
    device: &Device,
) -> Result<Loader> {
    let options = LoaderOptions {
        batch_size: experiment.train.batch_size,
        seed: experiment.seed,
        shuffle: learn,
        drop_last: learn && experiment.train.drop_last,
        workers: experiment.data.workers,
        on_corrupt: experiment.data.on_corrupt,
        batching: if learn { experiment.data.train_batches.clone() } else { Batching::default() },
    };
    let (dataset, pipeline) = images;
    Loader::new(Arc::clone(dataset), pipeline.clone(), options, device.clone())
}

/// Says how many images could not be read.
fn left_out(loader: &Loader, log: &mut Log) -> Result<()> {
    let origins = loader.skipped_origins();
    let Some(first) = origins.first() else { return Ok(()) };
    let line = format!("{} images could not be read and were left out, as {first}", origins.len());
    eprintln!("{line}");
    log.line(&line)
}

fn answer(
    run: &RunFolder,
    fit: &Fit<Classifier>,
    seconds: f64,
    histograms: Option<NonZeroUsize>,
    output: &Output,
) {
    let report = run.file("report.html");
    let lines = match (fit.outcome, fit.best()) {
        (Outcome::Finished | Outcome::StoppedEarly, Some(best)) => {
            let figures = best.average.as_ref().map_or(&best.figures, |average| &average.figures);
            let figures = figures.iter().map(|(name, value)| format!("  {name} {:.2} %", value * 100.0));
            let figures: String = figures.collect();
            let early = match fit.outcome {
                Outcome::StoppedEarly => {
                    format!("stopped early after epoch {}, as it got no better\n", fit.history.len())
                }
                _ => String::new(),
            };
            format!(
                "{early}best epoch {}:{figures}  in {seconds:.0} s\nreport: {}",
                best.epoch,
                report.display()
            )
        }
        _ => {
            let histograms = histograms.map_or(String::new(), |steps| format!(" --histograms {steps}"));
            format!("stopped; go on with `kiln train --resume --run {}{histograms}`", run.path().display())
        }
    };
    let object = json!({
        "run": run.path(),
        "epochs": fit.history.len(),
        "seconds": seconds,
        "finished": fit.outcome != Outcome::Interrupted,
        "stopped_early": fit.outcome == Outcome::StoppedEarly,
        "best": fit.best().map(|best| summary(best, false)),
        "last": fit.last().map(|last| summary(last, true)),
        "report": report.exists().then_some(report),
    });
    output.answer(&lines, object);
}

/// The quickstart is in the program, so that an installed `kiln` has it too.
pub(super) fn read(config: &Path, sets: &[String]) -> Result<Source> {
    let mut source = match config == Path::new(QUICKSTART) && !config.exists() {
        true => Source::parse(config, include_str!("../../../../configs/quickstart.toml").to_string())?,
        false => Source::read(config)?,
    };
    for assignment in sets {
        source.set(assignment)?;
    }
    Ok(source)
}

/// A flag that Ctrl-C sets; a second Ctrl-C ends the process at once.
pub(super) fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("\nstopping after this step (once more: at once)");
    })
    .map_err(|why| Error::failure(format!("Ctrl-C cannot be caught: {why}")))?;
    Ok(stop)
}

fn summary(epoch: &EpochSummary, loss: bool) -> Value {
    let mut object = Map::from_iter([("epoch".to_string(), json!(epoch.epoch))]);
    if loss {
        object.insert("loss".to_string(), json!(epoch.train_loss));
    }
    object.extend(epoch.figures.iter().map(|(name, value)| (name.clone(), json!(value))));
    if let Some(average) = &epoch.average {
        let figures = average.figures.iter().map(|(name, value)| (format!("average_{name}"), json!(value)));
        object.extend(figures);
    }
    Value::Object(object)
}
