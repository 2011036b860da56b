//! `kiln train`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use kiln_core::{Error, Network, Result, learnable_parameters};
use kiln_data::{Loader, Roots};
use kiln_train::{EpochSummary, Fit, Log, MetricsFiles, Observer, Outcome, TensorBoard, Trainer};
use kiln_zoo::{Model, StateDict};
use serde_json::{Map, Value, json};

use super::opening::{Chosen, Opening, QUICKSTART, RUNS, stop_on_interrupt};
use super::output::{Output, thousands};
use crate::evaluation::evaluate;
use crate::experiment::{Experiment, Source};
use crate::run::{
    BestAndLast, Histograms, Lock, Progress, Pulse, RunFolder, Steps, environment, write_report,
};

/// Run an experiment; without CONFIG the quickstart, on generated data
///
/// Example: kiln train configs/classification/fashion-mnist-resnet.toml --set train.epochs=2
#[derive(clap::Args)]
pub struct Args {
    /// An experiment file, or the resolved.json of an earlier run
    config: Option<PathBuf>,
    #[command(flatten)]
    chosen: Chosen,
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

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let config = args.config.clone().unwrap_or_else(|| PathBuf::from(QUICKSTART));
    let resumed = resumed_run(&args, &config)?;
    let source = match &resumed {
        Some(run) => Source::read(&run.file("resolved.json"))?,
        None => args.chosen.read(&config)?,
    };
    let opening = args.chosen.open(source, roots)?;
    // A run that was killed before its first checkpoint begins anew.
    let goes_on = match &resumed {
        Some(run) => kiln_train::latest(run.path())?.is_some(),
        None => false,
    };
    let network = if goes_on { opening.fresh() } else { opening.network()? };
    let goal = opening.prepared.goal(&network);
    if args.check {
        checked(&opening, output);
        return Ok(ExitCode::SUCCESS);
    }
    let size = opening.image_size()?;
    let (train, test) = (opening.train_loader()?, opening.test_loader()?);
    let Opening { source, prepared, device, .. } = &opening;
    let stop = stop_on_interrupt()?;
    let run = match resumed {
        Some(run) => run,
        None => {
            let path = args.run.unwrap_or_else(|| RunFolder::fresh_path(Path::new(RUNS), &config));
            RunFolder::create(path, source, &prepared.experiment)?
        }
    };

    let _lock = Lock::take(&run)?;
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
    let environment = environment(&args.chosen.device);
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
    let mut progress = Progress::new();
    let mut metrics = MetricsFiles::new(run.path());
    let mut steps = Steps::new(run.file("steps.csv"));
    let mut pulse = Pulse::new(&run);
    let preprocessing = prepared.preprocessing(size);
    let mut weights = BestAndLast { run: run.path().to_path_buf(), preprocessing };
    let board = TensorBoard::new(run.path(), &source.text());
    let mut histograms = Histograms::new(run.file("histograms.jsonl"), args.histograms, board);
    let mut observers: [&mut dyn Observer<Model>; 7] =
        [&mut progress, &mut metrics, &mut steps, &mut pulse, &mut log, &mut weights, &mut histograms];
    let began = Instant::now();
    let fit = trainer.fit(network, &goal, &train, &test, &mut observers, &stop)?;
    let seconds = began.elapsed().as_secs_f64();
    left_out(&train, &mut log)?;
    left_out(&test, &mut log)?;

    if let Some(best) = fit.best() {
        let file = run.file("best.safetensors");
        let network = prepared.entry.model(classes, device);
        let network = kiln_zoo::load(network, &prepared.entry, StateDict::read(&file)?, &file)?;
        let (images, options) = (prepared.test.clone(), opening.test_options());
        let evaluation = evaluate(|batch| network.forward(batch), &goal, images, options, device, |_| ())?;
        let tiles = [
            ("Best epoch", format!("{} of {}", best.epoch, fit.history.len())),
            ("Parameters", parameters),
            ("Training images", items),
            ("Time", format!("{seconds:.0} s")),
            ("Images a second", format!("{:.0}", progress.speed())),
        ];
        write_report(&run, source, prepared, &fit.history, &evaluation, &tiles, environment)?;
    }
    answer(&run, &fit, seconds, args.histograms, output);
    Ok(ExitCode::SUCCESS)
}

/// The run that `--resume` goes on with.
fn resumed_run(args: &Args, config: &Path) -> Result<Option<RunFolder>> {
    if !args.resume {
        return Ok(None);
    }
    if !args.chosen.set.is_empty() || (args.config.is_some() && args.run.is_some()) {
        let error =
            Error::input("a run goes on as it began: `--resume` takes no other experiment and no `--set`");
        return Err(error.hint("leave out CONFIG and `--set`"));
    }
    match &args.run {
        Some(run) => RunFolder::open(run).map(Some),
        None => RunFolder::newest(Path::new(RUNS), config).map(Some),
    }
}

fn checked(Opening { source, prepared, .. }: &Opening, output: &Output) {
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
    fit: &Fit<Model>,
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
