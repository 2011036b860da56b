//! `steps.csv`: the loss and the rate of every step, for the report's curves.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use kiln_core::{Error, Result};
use kiln_train::{Event, Observer};

use crate::report::StepRow;

/// Writes down every step. A run that goes on drops the steps that it will take again.
pub struct Steps {
    path: PathBuf,
    file: Option<BufWriter<File>>,
}

const HEADER: &str = "step,loss,rate";

impl Steps {
    /// Of the run whose `steps.csv` is at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// The steps written so far; none if there is no such file.
    ///
    /// # Errors
    /// A file that cannot be read or holds something else.
    pub fn read(&self) -> Result<Vec<StepRow>> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        let text = std::fs::read_to_string(&self.path).map_err(|why| Error::unreadable(&self.path, &why))?;
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        let rows = complete.lines().enumerate().skip(1).map(|(number, line)| {
            let cells: Vec<&str> = line.split(',').collect();
            let row = match cells.as_slice() {
                [step, loss, rate] => step.parse().ok().zip(loss.parse().ok()).zip(rate.parse().ok()),
                _ => None,
            };
            let wrong = || {
                Error::input(format!("`{line}` is no step"))
                    .file(&self.path)
                    .place(format!("line {}", number + 1))
            };
            row.map(|((step, loss), rate)| StepRow { step, loss, rate }).ok_or_else(wrong)
        });
        rows.collect()
    }

    /// The rows up to step `done`, written beside and renamed: until then the old file is whole.
    fn begin(&mut self, done: usize) -> std::io::Result<BufWriter<File>> {
        let kept = if done == 0 { Vec::new() } else { self.read().map_err(std::io::Error::other)? };
        let beside = self.path.with_extension("csv.part");
        let mut file = BufWriter::new(File::create(&beside)?);
        writeln!(file, "{HEADER}")?;
        for StepRow { step, loss, rate } in kept.iter().filter(|row| row.step <= done) {
            writeln!(file, "{step},{loss},{rate}")?;
        }
        synced(&mut file)?;
        std::fs::rename(beside, &self.path)?;
        Ok(file)
    }
}

fn synced(file: &mut BufWriter<File>) -> std::io::Result<()> {
    file.flush()?;
    file.get_ref().sync_data()
}

impl<N> Observer<N> for Steps {
    fn notify(&mut self, event: &Event<N>) -> Result<()> {
        let written = match event {
            Event::RunStarted { resumed, .. } => {
                let done = resumed.map_or(0, |place| place.global_step);
                self.begin(done).map(|file| self.file = Some(file))
            }
            Event::Step { global_step, loss, rate, .. } => {
                self.file.as_mut().map_or(Ok(()), |file| writeln!(file, "{global_step},{loss},{rate}"))
            }
            // A run that goes on from the checkpoint must find its steps.
            Event::Checkpointing { .. } => self.file.as_mut().map_or(Ok(()), synced),
            Event::Finished { .. } => self.file.as_mut().map_or(Ok(()), |file| file.flush()),
            _ => Ok(()),
        };
        written.map_err(|why| Error::unwritable(&self.path, &why))
    }
}
