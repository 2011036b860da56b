//! `kiln batch-trial`, which `kiln batch-size` starts for every batch it tries: a process whose memory is that of one training.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kiln_core::{Batch, Batches, Error, Result};
use kiln_data::{Loader, Roots};
use kiln_train::{Event, Length, Observer, Saving, ScheduleConfig, Trainer};
use serde_json::json;

use super::opening::Chosen;
use crate::machine::resident;

/// Take a few steps of an experiment; print the most memory they took, and how fast they were
#[derive(clap::Args)]
pub struct Args {
    config: PathBuf,
    #[command(flatten)]
    chosen: Chosen,
    /// A folder for what a run leaves
    #[arg(long)]
    run: PathBuf,
}

/// More than are done, and than any recipe counts.
const EPOCHS: usize = 10_000;
/// Steps at least: from the second on the optimizer has what it remembers, and memory is used again.
const STEPS: usize = 3;
/// Time at least, from the first step on, so that a speed is one.
const TIME: Duration = Duration::from_millis(800);

pub fn run(args: Args, roots: &Roots) -> Result<ExitCode> {
    // Should memory run out, this process is the first to go. Where Linux does not let it say so, it is one among others.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let mut source = args.chosen.read(&args.config)?;
    // A schedule takes no memory, and may not fit into epochs of so many steps; nor may averages and frozen parts fit into a
    // number of steps.
    ["schedule", "race", "train.steps"].iter().for_each(|key| source.unset(key));
    source.set(&format!("train.epochs={EPOCHS}"))?;
    let mut opening = args.chosen.open(source, roots)?;
    opening.image_size()?;
    let experiment = &mut opening.prepared.experiment;
    // Of images of several sizes the largest count; of parts that are frozen, those that always are.
    let sizes = &mut experiment.data.train_batches.sizes;
    *sizes = Vec::from_iter(sizes.iter().copied().max());
    experiment.train.recipe.freeze.retain(|part| part.from_epoch == 0 && part.until_epoch.is_none());
    let experiment = &opening.prepared.experiment;
    let trainer = Trainer {
        run: args.run,
        length: Length::Epochs(EPOCHS),
        // So small that no batch blows the weights up.
        learning_rate: 1e-12,
        optimizer: experiment.optimizer.clone(),
        schedule: ScheduleConfig::default(),
        recipe: experiment.train.recipe.clone(),
        seed: experiment.seed,
        saving: Saving::default(),
        resume: false,
    };
    let (stop, loader) = (AtomicBool::new(false), opening.train_loader()?);
    let mut pace = Pace { stop: &stop, began: None, items: 0, time: Duration::ZERO };
    // Stopped, it writes the checkpoint that every run writes, and is not tried on any image.
    let network = opening.network()?;
    let goal = opening.prepared.goal(&network);
    trainer.fit(network, &goal, &Endless(loader), &Vec::new(), &mut [&mut pace], &stop)?;
    let peak = resident(std::process::id(), "VmHWM")?;
    let speed = pace.items as f64 / pace.time.as_secs_f64().max(1e-9);
    println!("{}", json!({"peak": peak, "speed": speed}));
    Ok(ExitCode::SUCCESS)
}

/// Stops after some steps, and counts the images of all but the first.
struct Pace<'a> {
    stop: &'a AtomicBool,
    began: Option<Instant>,
    items: usize,
    time: Duration,
}

impl<N> Observer<N> for Pace<'_> {
    fn notify(&mut self, event: &Event<N>) -> Result<()> {
        let Event::Step { global_step, items, .. } = event else { return Ok(()) };
        match self.began {
            None => self.began = Some(Instant::now()),
            Some(began) => {
                self.items += items;
                self.time = began.elapsed();
                self.stop.store(*global_step >= STEPS && self.time >= TIME, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

/// Epoch after epoch as one, so that a batch of all images has a second step too.
struct Endless(Loader);

impl Batches for Endless {
    fn items(&self) -> usize {
        self.0.items()
    }

    fn steps(&self) -> usize {
        // More than are taken.
        1 << 40
    }

    fn epoch(&self, epoch: usize, first: usize) -> impl Iterator<Item = Result<Batch>> {
        let epochs = (epoch..).take_while(|_| self.0.steps() > 0);
        let batches = epochs.flat_map(|epoch| self.0.epoch(epoch, 0)).skip(first);
        batches.chain(std::iter::once_with(|| Err(Error::failure("there is no batch to learn from"))))
    }
}
