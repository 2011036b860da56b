//! `log.txt`: what happened when.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kiln_core::{Error, Result};

use crate::files::make_folder;
use crate::{EpochSummary, Event, Observer, Outcome, Times, Tried};

/// Appends a line an epoch, with the time, to the `log.txt` of a run folder.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    epoch_started: Instant,
}

impl Log {
    /// Opens the log of the run whose folder is `run`.
    ///
    /// # Errors
    /// A folder or file that cannot be written.
    pub fn open(run: impl AsRef<Path>) -> Result<Self> {
        make_folder(run.as_ref())?;
        let path = run.as_ref().join("log.txt");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|why| Error::unwritable(&path, &why))?;
        Ok(Self { path, file, epoch_started: Instant::now() })
    }

    /// Appends a line, with the time.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn line(&mut self, text: &str) -> Result<()> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        writeln!(self.file, "{}  {text}", utc(seconds)).map_err(|why| Error::unwritable(&self.path, &why))
    }
}

impl<N> Observer<N> for Log {
    fn notify(&mut self, event: &Event<N>) -> Result<()> {
        let text = match event {
            Event::RunStarted { epochs, steps_per_epoch, steps, items, resumed, .. } => {
                let begins = match resumed {
                    None => "starts".to_string(),
                    Some(place) => format!("goes on after step {}", place.global_step),
                };
                format!(
                    "{begins}: {epochs} epochs of {steps_per_epoch} steps ({items} images), {steps} steps in all"
                )
            }
            Event::EpochStarted { .. } => {
                self.epoch_started = Instant::now();
                return Ok(());
            }
            Event::Learned { .. }
            | Event::Step { .. }
            | Event::EvaluationStep { .. }
            | Event::Checkpointing { .. } => return Ok(()),
            Event::Evaluated { summary, best, times, .. } => {
                let seconds = self.epoch_started.elapsed().as_secs_f64();
                let best = if *best { " (best)" } else { "" };
                format!("{}{best}, {seconds:.1} s; steps: {}", figures(summary), split(times))
            }
            Event::Damaged { why, instead } => format!("{why}; going on from {}", instead.display()),
            Event::Checkpointed { path } => format!("wrote {}", path.display()),
            Event::Interrupted { place } => {
                format!("interrupted after step {} of epoch {}", place.step, place.epoch + 1)
            }
            Event::Finished { best, outcome, .. } => {
                let ended = match outcome {
                    Outcome::StoppedEarly => "stopped early, as it got no better",
                    Outcome::Finished | Outcome::Interrupted => "finished",
                };
                match best {
                    None => ended.to_string(),
                    Some(best) => format!("{ended}; best was {}", figures(best)),
                }
            }
        };
        self.line(&text)
    }
}

fn figures(summary: &EpochSummary) -> String {
    let EpochSummary { epoch, train_loss, test_loss, average, .. } = summary;
    let named = |figures: &[(String, f64)]| -> String {
        figures.iter().map(|(name, value)| format!(", {name} {value:.4}")).collect()
    };
    let average = average.iter().map(|Tried { loss, figures }| {
        format!("; average of the weights: test loss {loss:.4}{}", named(figures))
    });
    let figures = named(&summary.figures);
    let average: String = average.collect();
    format!("epoch {epoch}: train loss {train_loss:.4}, test loss {test_loss:.4}{figures}{average}")
}

/// The time of an epoch's steps and its parts, in percent: `12.3 s, data 0.1 %, …`.
fn split(times: &Times) -> String {
    let parts = times.parts().map(|(name, time)| format!(", {name} {:.2} %", 100.0 * times.share(time)));
    format!("{:.1} s{}", times.total().as_secs_f64(), parts.concat())
}

/// Seconds since 1970 as `2026-01-31 23:59:59 UTC` (Gregorian calendar, eras of 400 years that begin in March).
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, turn) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + turn;
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_date_prints_them() {
        // As `date -u -d @SECONDS` says.
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_735_689_599), "2024-12-31 23:59:59 UTC");
    }
}
