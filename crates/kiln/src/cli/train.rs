//! `kiln train`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use kiln_core::{Batches, Error, Result, learnable_parameters};
use kiln_data::{Loader, LoaderOptions, Roots};
use kiln_tasks::Classification;
use kiln_train::{EpochSummary, Log, MetricsFiles, Outcome, Trainer};
use serde_json::{Map, Value, json};

use super::output::{Output, thousands};
use crate::evaluation::evaluate;
use crate::experiment::{Prepared, Source};
use crate::run::{BestAndLast, Progress, RunFolder, Steps, environment, write_report};

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
    /// Only check that the experiment is complete and its data is there
    #[arg(long)]
    check: bool,
}

const QUICKSTART: &str = "configs/quickstart.toml";
const RUNS: &str = "runs";

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let config = args.config.clone().unwrap_or_else(|| PathBuf::from(QUICKSTART));
    let resumed = match (args.resume, &args.run) {
        (false, _) => None,
        (true, Some(run)) => Some(RunFolder::open(run)?),
        (true, None) => Some(RunFolder::newest(Path::new(RUNS), &config)?),
    };
    let source = match &resumed {
        None => read(&config, &args.set)?,
        Some(_) if args.config.is_some() && args.run.is_some() || !args.set.is_empty() => {
            let error = Error::input(
                "a run goes on as it began: `--resume` takes no other experiment and no `--set`",
            );
            return Err(error.hint("leave out CONFIG and `--set`"));
        }
        Some(run) => Source::read(&run.file("resolved.json"))?,
    };
    let device = kiln_core::device(&args.device)?;
    let prepared = Prepared::new(&source, roots)?;
    let experiment = &prepared.experiment;
    if args.check {
        let (train, test) = (experiment.data.train_items, experiment.data.test_items);
        let line = format!(
            "{}: good; {} learns from {} images of {} and is tried on {}",
            source.path().display(),
            experiment.model.name,
            thousands(train),
            experiment.data.name,
            thousands(test)
        );
        output.answer(
            &line,
            json!({"config": source.path(), "model": experiment.model.name, "train": train, "test": test}),
        );
        return Ok(ExitCode::SUCCESS);
    }

    let first = prepared.test.0.get(0)?;
    let image_size = [first.image.height() as usize, first.image.width() as usize];
    let preprocessing = prepared.preprocessing(image_size);
    let loader = |(dataset, pipeline): &(_, kiln_data::Pipeline), learn: bool, device| {
        let options = LoaderOptions {
            batch_size: experiment.train.batch_size,
            seed: experiment.seed,
            shuffle: learn,
            drop_last: learn && experiment.train.drop_last,
            workers: experiment.data.workers,
            on_corrupt: experiment.data.on_corrupt,
        };
        Loader::new(Arc::clone(dataset), pipeline.clone(), options, device)
    };
    let training_device = device.clone().autodiff();
    let train = loader(&prepared.train, true, training_device.clone())?;
    let test = loader(&prepared.test, false, device.clone())?;
    let stop = stop_on_interrupt()?;
    let run = match resumed {
        Some(run) => run,
        None => {
            let path = args.run.unwrap_or_else(|| RunFolder::fresh_path(Path::new(RUNS), &config));
            RunFolder::create(path, &source, experiment)?
        }
    };

    let environment = environment(&args.device);
    let mut log = Log::open(run.path())?;
    for (name, value) in &environment {
        log.line(&format!("{name}: {value}"))?;
    }
    let classes = prepared.classes.len();
    let network = prepared.entry.init(classes, &training_device);
    let parameters = thousands(learnable_parameters(&network));
    eprintln!(
        "{} ({parameters} parameters) learns {classes} classes from {} images of {}; {}",
        experiment.model.name,
        thousands(experiment.data.train_items),
        experiment.data.name,
        run.path().display(),
    );
    let trainer = Trainer {
        run: run.path().to_path_buf(),
        length: experiment.train.length,
        learning_rate: experiment.train.lr,
        optimizer: experiment.optimizer.clone(),
        schedule: experiment.schedule.clone(),
        seed: experiment.seed,
        keep: experiment.train.keep,
        resume: args.resume,
    };
    let mut metrics = MetricsFiles::new(run.path());
    let mut steps = Steps::new(run.file("steps.csv"));
    let mut progress = Progress::new();
    let mut weights = BestAndLast { run: run.path().to_path_buf(), preprocessing };
    let began = Instant::now();
    let task = Classification { num_classes: classes };
    let fit = trainer.fit(
        network,
        &task,
        &train,
        &test,
        &mut [&mut progress, &mut metrics, &mut steps, &mut log, &mut weights],
        &stop,
    )?;
    let seconds = began.elapsed().as_secs_f64();
    for (split, loader) in [("training", &train), ("test", &test)] {
        if loader.skipped() > 0 {
            let line = format!("{} {split} images could not be read and were left out", loader.skipped());
            eprintln!("{line}, as {}", loader.skipped_origins()[0]);
            log.line(&line)?;
        }
    }

    let mut report = Value::Null;
    if let Some(best) = fit.best() {
        let file = run.file("best.safetensors");
        let dict = kiln_zoo::StateDict::read(&file)?;
        let network = kiln_zoo::load(prepared.entry.init(classes, &device), prepared.entry, dict, &file)?;
        let evaluation = evaluate(&network, classes, &test, |_| ())?;
        let tile = |name: &str, value: String| (name.to_string(), value);
        let tiles = vec![
            tile("Best epoch", format!("{} of {}", best.epoch, fit.history.len())),
            tile("Parameters", parameters),
            tile("Training images", thousands(experiment.data.train_items)),
            tile("Time", format!("{:.0} s", seconds)),
            tile("Images a second", format!("{:.0}", progress.speed())),
        ];
        write_report(&run, &source, &prepared, &fit.history, &evaluation, tiles, environment)?;
        report = json!(run.file("report.html"));
    }
    let lines = match (fit.outcome, fit.best()) {
        (Outcome::Finished, Some(best)) => format!(
            "best epoch {}:{}  in {seconds:.0} s\nreport: {}",
            best.epoch,
            figures(best)
                .iter()
                .map(|(name, value)| format!("  {name} {:.2} %", value * 100.0))
                .collect::<String>(),
            run.file("report.html").display()
        ),
        _ => format!("stopped; go on with `kiln train --resume --run {}`", run.path().display()),
    };
    let object = json!({
        "run": run.path(),
        "epochs": fit.history.len(),
        "seconds": seconds,
        "finished": fit.outcome == Outcome::Finished,
        "best": fit.best().map(|best| summary(best, false)),
        "last": fit.last().map(|last| summary(last, true)),
        "report": report,
    });
    output.answer(&lines, object);
    Ok(ExitCode::SUCCESS)
}

/// The quickstart is in the program, so that an installed `kiln` has it too.
fn read(config: &Path, sets: &[String]) -> Result<Source> {
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
fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
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

fn figures(summary: &EpochSummary) -> Vec<(String, f64)> {
    summary.figures.clone()
}

fn summary(epoch: &EpochSummary, loss: bool) -> Value {
    let mut object = Map::from_iter([("epoch".to_string(), json!(epoch.epoch))]);
    if loss {
        object.insert("loss".to_string(), json!(epoch.train_loss));
    }
    object.extend(epoch.figures.iter().map(|(name, value)| (name.clone(), json!(value))));
    Value::Object(object)
}
