//! `kiln race`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use kiln_core::{Error, Kind, Result};
use kiln_data::Roots;
use kiln_train::{EpochSummary, Event, Observer, Outcome, Saving, Trainer};
use kiln_zoo::Model;
use serde_json::json;

use super::opening::{Chosen, Opening, RUNS, stop_on_interrupt};
use super::output::{Output, table};
use crate::experiment::{Experiment, Racer, folder_of};
use crate::report::{Race, RaceLine};
use crate::run::{Progress, RunFolder};

/// Train one network by several optimizers, from the same weights on the same batches, and draw their losses
///
/// Example: kiln race configs/races/optimizers.toml
#[derive(clap::Args)]
pub struct Args {
    /// An experiment file with a `[[race]]`
    config: PathBuf,
    #[command(flatten)]
    chosen: Chosen,
    /// The race's folder; runs/<config>-<time> if left out
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
}

/// How a racer did.
struct Finish {
    /// Of every step: its number and its loss.
    losses: Vec<[f64; 2]>,
    /// The last epoch, if one was done.
    last: Option<EpochSummary>,
    seconds: f64,
    /// Why it did not come to the end.
    fell: Option<String>,
}

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let opening = args.chosen.open(args.chosen.read(&args.config)?, roots)?;
    let Opening { source, prepared, .. } = &opening;
    let race = &prepared.experiment.race;
    if race.is_empty() {
        let error = Error::input("has no `[[race]]`").file(source.path());
        return Err(error.hint("as in `configs/races/optimizers.toml`"));
    }
    opening.image_size()?;
    let stop = stop_on_interrupt()?;
    let path = args.run.unwrap_or_else(|| RunFolder::fresh_path(Path::new(RUNS), &args.config));
    let run = RunFolder::create(path, source, &prepared.experiment)?;

    let mut done = Vec::new();
    for racer in race {
        eprintln!("{} ({} of {})", racer.name, done.len() + 1, race.len());
        let Some(finish) = one(racer, &opening, &run, &stop)? else { break };
        if let Some(why) = &finish.fell {
            eprintln!("{why}");
        }
        done.push((racer, finish));
    }
    // The lowest test loss first; those that fell, last.
    let key = |finish: &Finish| finish.last.as_ref().map_or(f64::NAN, |last| last.test_loss);
    done.sort_by(|(_, a), (_, b)| {
        (a.fell.is_some(), key(a).is_nan())
            .cmp(&(b.fell.is_some(), key(b).is_nan()))
            .then(key(a).total_cmp(&key(b)))
    });
    run.write("race.csv", csv(&done).as_bytes())?;
    run.write("curves.csv", curves(&done).as_bytes())?;
    run.write("race.svg", picture(&prepared.experiment, &done).svg().as_bytes())?;
    answer(&run, &done, output);
    Ok(ExitCode::SUCCESS)
}

/// Trains by one racer; nothing if it was asked to stop.
fn one(racer: &Racer, opening: &Opening, run: &RunFolder, stop: &AtomicBool) -> Result<Option<Finish>> {
    let experiment = &opening.prepared.experiment;
    let (train, test) = (opening.train_loader()?, opening.test_loader()?);
    let trainer = Trainer {
        run: run.file(&folder_of(&racer.name)),
        length: experiment.train.length,
        learning_rate: racer.lr,
        optimizer: racer.optimizer.clone(),
        schedule: racer.schedule.clone().unwrap_or_else(|| experiment.schedule.clone()),
        recipe: experiment.train.recipe.clone(),
        seed: experiment.seed,
        saving: Saving { keep: 1, ..Saving::default() },
        resume: false,
    };
    let (mut course, mut progress) = (Course::default(), Progress::new());
    let mut observers: [&mut dyn Observer<Model>; 2] = [&mut course, &mut progress];
    let began = Instant::now();
    let network = opening.fresh();
    let goal = opening.prepared.goal(&network);
    let fit = trainer.fit(network, &goal, &train, &test, &mut observers, stop);
    let seconds = began.elapsed().as_secs_f64();
    let fell = match fit {
        Ok(fit) if fit.outcome == Outcome::Interrupted => return Ok(None),
        Ok(_) => None,
        // A loss that is no number ends this racer, not the race.
        Err(error) if error.kind() == Kind::Failure => Some(error.message().to_string()),
        Err(error) => return Err(error),
    };
    // Nobody goes on with a racer.
    let folder = trainer.run.as_path();
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(|why| Error::unwritable(folder, &why))?;
    }
    Ok(Some(Finish { losses: course.losses, last: course.last, seconds, fell }))
}

/// Writes down the losses.
#[derive(Default)]
struct Course {
    losses: Vec<[f64; 2]>,
    last: Option<EpochSummary>,
}

impl<N> Observer<N> for Course {
    fn notify(&mut self, event: &Event<N>) -> Result<()> {
        match event {
            Event::Step { global_step, loss, .. } => {
                self.losses.push([*global_step as f64, f64::from(*loss)]);
            }
            Event::Evaluated { summary, .. } => self.last = Some((*summary).clone()),
            _ => {}
        }
        Ok(())
    }
}

/// What is known of every racer, in words.
fn rows(done: &[(&Racer, Finish)]) -> Vec<[String; 7]> {
    let row = |(place, (racer, finish)): (usize, &(&Racer, Finish))| {
        let of = |value: fn(&EpochSummary) -> f64| finish.last.as_ref().map_or(f64::NAN, value);
        let fixed = |value: f64, digits: usize| match value.is_nan() {
            true => "-".to_string(),
            false => format!("{value:.digits$}"),
        };
        [
            (place + 1).to_string(),
            racer.name.clone(),
            racer.lr.to_string(),
            fixed(of(|last| last.train_loss), 4),
            fixed(of(|last| last.test_loss), 4),
            fixed(of(|last| last.figures.first().map_or(f64::NAN, |(_, figure)| 100.0 * figure)), 2),
            fixed(finish.seconds, 1),
        ]
    };
    done.iter().enumerate().map(row).collect()
}

/// What the score is called.
fn figure<'a>(done: &'a [(&Racer, Finish)]) -> &'a str {
    let mut figures = done.iter().filter_map(|(_, finish)| finish.last.as_ref()?.figures.first());
    figures.next().map_or("score", |(name, _)| name)
}

fn csv(done: &[(&Racer, Finish)]) -> String {
    let quoted = |cell: &String| match cell.contains([',', '"']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    let lines = rows(done).into_iter().map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n");
    let figure = figure(done);
    format!("place,name,rate,train_loss,test_loss,{figure},seconds\n{}", lines.collect::<String>())
}

/// The loss of every step, a column a racer.
fn curves(done: &[(&Racer, Finish)]) -> String {
    let names = done.iter().map(|(racer, _)| folder_of(&racer.name));
    let mut text = format!("step,{}\n", names.collect::<Vec<_>>().join(","));
    let steps = done.iter().map(|(_, finish)| finish.losses.len()).max().unwrap_or(0);
    for step in 0..steps {
        let loss = |(_, finish): &(&Racer, Finish)| {
            finish.losses.get(step).map(|[_, loss]| loss.to_string()).unwrap_or_default()
        };
        let losses: Vec<String> = done.iter().map(loss).collect();
        text.push_str(&format!("{},{}\n", step + 1, losses.join(",")));
    }
    text
}

fn picture(experiment: &Experiment, done: &[(&Racer, Finish)]) -> Race {
    let line = |(racer, finish): &(&Racer, Finish)| {
        let figure = finish.last.as_ref().and_then(|last| last.figures.first());
        let result = match (&finish.fell, figure) {
            (Some(_), _) => "fell".to_string(),
            (None, Some((_, figure))) => format!("{:.1} %", 100.0 * figure),
            (None, None) => String::new(),
        };
        RaceLine {
            name: racer.name.clone(),
            detail: format!("rate {}", racer.lr),
            result,
            losses: finish.losses.clone(),
        }
    };
    let Experiment { model, data, seed, .. } = experiment;
    Race {
        title: format!("{} on {}: the loss of every step, by optimizer", model.name, data.name),
        subtitle: format!(
            "{} training images, batches of {}, seed {seed}; smoothed. Ordered by test loss; on the right the {} on {} test \
             images. Pale: all others.",
            data.train_items,
            experiment.train.batch_size,
            figure(done),
            data.test_items
        ),
        lines: done.iter().map(line).collect(),
    }
}

fn answer(run: &RunFolder, done: &[(&Racer, Finish)], output: &Output) {
    let rows = rows(done);
    let picture = run.file("race.svg");
    let score = format!("{} %", figure(done));
    let columns = ["place", "name", "rate", "train loss", "test loss", &score, "seconds"];
    let lines = format!("{}picture: {}", table(columns, &rows), picture.display());
    let racer = |(racer, finish): &(&Racer, Finish)| {
        json!({
            "name": racer.name, "lr": racer.lr, "seconds": finish.seconds, "fell": finish.fell,
            "steps": finish.losses.len(),
            "test_loss": finish.last.as_ref().map(|last| last.test_loss),
            "figures": finish.last.as_ref().map(|last| last.figures.clone()),
        })
    };
    let racers: Vec<_> = done.iter().map(racer).collect();
    output.answer(&lines, json!({"run": run.path(), "picture": picture, "racers": racers}));
}
