//! `progress.json`: how far a run is, for whoever watches it; and `times.csv`: where its time went.

use std::path::Path;
use std::time::{Duration, Instant};

use kiln_core::{Error, Result};
use kiln_train::{Event, Observer, Outcome, Times};
use serde::{Deserialize, Serialize};

use super::RunFolder;
use super::rows::{Rows, read};
use crate::report::{PARTS, TimesRow};

/// So long the files are at most behind the run; a step that takes longer is waited for.
const EVERY: Duration = Duration::from_secs(1);
const HEADER: &str = "step,epoch,items,data_s,forward_s,backward_s,step_s,saving_s,other_s,testing_s";

/// What a run is doing, by its own words. One that was killed could not say so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It takes steps.
    #[default]
    Training,
    /// It tries the network on the test images.
    Testing,
    /// It came to its end.
    Finished,
    /// It got no better and ended early.
    StoppedEarly,
    /// It was asked to stop, and can go on.
    Interrupted,
}

/// How far a run is: what `progress.json` holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// What it is doing.
    pub stage: Stage,
    /// The epoch it is in, counted from 1; 0 before the first.
    pub epoch: usize,
    /// Epochs it will have.
    pub epochs: usize,
    /// Steps done.
    pub step: usize,
    /// Steps it will have in all.
    pub steps: usize,
    /// Training images a second since it went on, testing left out; 0 before the first step.
    pub images_per_second: f64,
    /// Seconds that the rest will take at the pace of the steps so far, testing included; none before the first step.
    pub seconds_left: Option<f64>,
    /// Where the time went that is not in `times.csv` yet.
    pub since: TimesRow,
}

impl Standing {
    /// Of a run that has written one.
    ///
    /// # Errors
    /// A file that cannot be read or holds something else.
    pub fn read(run: &RunFolder) -> Result<Option<Self>> {
        let path = run.file("progress.json");
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path).map_err(|why| Error::unreadable(&path, &why))?;
        let standing = serde_json::from_str(&text);
        standing.map(Some).map_err(|why| Error::input(format!("is no progress of a run: {why}")).file(&path))
    }
}

/// Writes both files, the first one every second, the second at checkpoints and at the ends of epochs.
pub struct Pulse {
    run: RunFolder,
    times: Rows,
    standing: Standing,
    written: Instant,
    /// When the run went on, and after which step.
    began: (Instant, usize),
    /// The end of the last step.
    last: Instant,
    /// Of the epoch: its times, and what of them is in `times.csv`.
    epoch: [f64; 6],
    told: [f64; 6],
    /// Since the run went on: images, and the time of their steps up to the epoch before.
    items: usize,
    busy: f64,
}

impl Pulse {
    /// Of a run.
    pub fn new(run: &RunFolder) -> Self {
        let now = Instant::now();
        Self {
            times: Rows::new(run.file("times.csv"), HEADER),
            run: run.clone(),
            standing: Standing::default(),
            written: now,
            began: (now, 0),
            last: now,
            epoch: [0.0; 6],
            told: [0.0; 6],
            items: 0,
            busy: 0.0,
        }
    }

    /// The rows of a `times.csv`; none if it is not there.
    ///
    /// # Errors
    /// A file that cannot be read or holds something else.
    pub fn read(path: &Path) -> Result<Vec<TimesRow>> {
        read(path, |cells| {
            let [step, epoch, items, seconds @ ..] = cells else { return None };
            let seconds = seconds.iter().map(|cell| cell.parse().ok()).collect::<Option<Vec<f64>>>()?;
            Some(TimesRow {
                step: step.parse().ok()?,
                epoch: epoch.parse().ok()?,
                items: items.parse().ok()?,
                seconds: seconds.try_into().ok()?,
            })
        })
    }

    fn write(&mut self, at_once: bool) -> Result<()> {
        if !at_once && self.written.elapsed() < EVERY {
            return Ok(());
        }
        self.written = Instant::now();
        let Self { standing, began: (began, from), .. } = self;
        let taken = standing.step - *from;
        let pace = began.elapsed().as_secs_f64() / taken.max(1) as f64;
        standing.seconds_left = (taken > 0).then(|| pace * (standing.steps - standing.step) as f64);
        let text = serde_json::to_string(standing).map_err(|why| Error::failure(why.to_string()))?;
        self.run.write("progress.json", format!("{text}\n").as_bytes())
    }

    /// Times of the epoch, up to now.
    fn spend(&mut self, times: &Times) {
        self.epoch = times.parts().map(|(_, time)| time.as_secs_f64());
        for (part, (all, told)) in self.epoch.iter().zip(self.told).enumerate() {
            self.standing.since.seconds[part] = all - told;
        }
    }

    /// What went on since the last row becomes one.
    fn tell(&mut self) -> Result<()> {
        let since = std::mem::take(&mut self.standing.since);
        if since.total() == 0.0 {
            return Ok(());
        }
        self.told = self.epoch;
        let (step, epoch) = (self.standing.step, self.standing.epoch);
        let seconds = since.seconds.map(|seconds| format!(",{seconds:.4}")).concat();
        self.times.push(&format!("{step},{epoch},{}{seconds}", since.items))
    }
}

impl<N> Observer<N> for Pulse {
    fn notify(&mut self, event: &Event<N>) -> Result<()> {
        let now = Instant::now();
        match event {
            Event::RunStarted { epochs, steps, resumed, .. } => {
                let done = resumed.map_or(0, |place| place.global_step);
                self.times.begin(done)?;
                (self.standing.epochs, self.standing.steps, self.standing.step) = (*epochs, *steps, done);
                self.began = (now, done);
                self.write(true)
            }
            Event::EpochStarted { epoch, .. } => {
                self.standing.epoch = *epoch;
                self.busy += self.epoch.iter().sum::<f64>();
                (self.epoch, self.told, self.last) = ([0.0; 6], [0.0; 6], now);
                self.write(false)
            }
            Event::Step { global_step, items, times, .. } => {
                (self.standing.stage, self.standing.step, self.last) = (Stage::Training, *global_step, now);
                self.standing.since.items += items;
                self.spend(times);
                self.items += items;
                let busy = self.busy + self.epoch.iter().sum::<f64>();
                self.standing.images_per_second = self.items as f64 / busy.max(1e-9);
                self.write(false)
            }
            Event::EvaluationStep { .. } => {
                let begins = self.standing.stage != Stage::Testing;
                self.standing.stage = Stage::Testing;
                self.write(begins)
            }
            Event::Evaluated { times, .. } => {
                self.spend(times);
                self.standing.since.seconds[PARTS.len() - 1] = (now - self.last).as_secs_f64();
                self.tell()?;
                self.times.flush()?;
                self.write(true)
            }
            // A run that goes on from the checkpoint must find its times.
            Event::Checkpointing { .. } => {
                self.tell()?;
                self.times.sync()
            }
            Event::Learned { .. } | Event::Checkpointed { .. } | Event::Damaged { .. } => Ok(()),
            Event::Interrupted { .. } => {
                self.standing.stage = Stage::Interrupted;
                self.write(true)
            }
            Event::Finished { outcome, .. } => {
                self.standing.stage = match outcome {
                    Outcome::StoppedEarly => Stage::StoppedEarly,
                    Outcome::Finished | Outcome::Interrupted => Stage::Finished,
                };
                self.times.flush()?;
                self.write(true)
            }
        }
    }
}
