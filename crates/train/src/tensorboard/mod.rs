//! Event files, for TensorBoard to read.

mod file;
mod proto;

use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_core::Result;

use crate::{EpochSummary, Event, Histogram, Observer, Times, Tried};
use file::EventFile;
use proto::{Value, What};

/// As many steps of a run are written at most; TensorBoard shows a thousand of them.
const STEPS: usize = 2000;

/// Writes `events.out.tfevents.*` into a run folder: what TensorBoard shows of the run while it goes on.
///
/// A run that goes on gets another file, which takes back what the others say of the steps after its checkpoint. It is written in
/// the time between steps, and what is not on the disk yet is at most a few seconds old.
#[derive(Debug)]
pub struct TensorBoard {
    run: PathBuf,
    /// The experiment, as typed.
    experiment: String,
    file: Option<EventFile>,
    /// Steps from one that is written to the next.
    stride: usize,
    since: Since,
}

/// What there was since the last step that was written, within an epoch.
#[derive(Debug, Default)]
struct Since {
    steps: usize,
    items: usize,
    times: Times,
}

impl TensorBoard {
    /// For the run whose folder is `run`, of an experiment as it was typed.
    pub fn new(run: impl AsRef<Path>, experiment: &str) -> Self {
        let (run, experiment) = (run.as_ref().to_path_buf(), experiment.to_string());
        Self { run, experiment, file: None, stride: 1, since: Since::default() }
    }

    /// Writes how the numbers of tensors were distributed at a step, by their tags. A slash in a tag is where its group ends.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn histograms<'a>(
        &mut self,
        step: usize,
        histograms: impl IntoIterator<Item = (String, &'a Histogram)>,
    ) -> Result<()> {
        let values = histograms.into_iter().map(|(tag, histogram)| (tag, Value::Histogram(histogram)));
        self.values(step, values.collect())
    }

    /// A file of its own for what is said from now on. `void` is the first step that is not said yet.
    fn begin(&mut self, void: usize) -> Result<()> {
        let mut file = EventFile::create(&self.run)?;
        file.write(void, What::Start)?;
        if void == 0 {
            let text = Value::Text(format!("```toml\n{}\n```\n", self.experiment.trim_end()));
            file.write(0, What::Values(vec![("experiment".into(), text)]))?;
        }
        file.flush()?;
        self.file = Some(file);
        Ok(())
    }

    fn values(&mut self, step: usize, values: Vec<(String, Value)>) -> Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.write(step, What::Values(values)))
    }

    fn scalars(&mut self, step: usize, values: Vec<(String, f64)>) -> Result<()> {
        let values = values.into_iter().map(|(tag, value)| (tag, Value::Scalar(value as f32)));
        self.values(step, values.collect())
    }
}

impl<N> Observer<N> for TensorBoard {
    fn notify(&mut self, event: &Event<N>) -> Result<()> {
        match event {
            Event::RunStarted { steps_per_epoch, steps, resumed, .. } => {
                self.stride = steps.div_ceil(STEPS);
                self.begin(resumed.map_or(0, |place| {
                    // Between the last step of an epoch and its trial, the epoch's figures are still to come.
                    let in_epoch =
                        (*steps_per_epoch).min(steps.saturating_sub(place.epoch * steps_per_epoch));
                    place.global_step + usize::from(place.step == 0 || place.step != in_epoch)
                }))
            }
            Event::EpochStarted { .. } => {
                self.since = Since::default();
                Ok(())
            }
            Event::Step { step, steps, global_step, losses, loss, rate, items, times, .. } => {
                self.since.steps += 1;
                self.since.items += items;
                if !(global_step.is_multiple_of(self.stride) || step == steps || *global_step == 1) {
                    return Ok(());
                }
                let Since { steps, items, times: before } =
                    std::mem::replace(&mut self.since, Since { times: *times, ..Since::default() });
                let spent = *times - before;
                let mut values = vec![
                    ("loss/step".to_string(), f64::from(*loss)),
                    ("rate/learning_rate".to_string(), *rate),
                    ("speed/images_per_second".to_string(), per_second(items, spent.total())),
                ];
                if losses.len() > 1 {
                    let part = |(name, value): &(&str, f32)| (format!("loss/step/{name}"), f64::from(*value));
                    values.extend(losses.iter().map(part));
                }
                let of_a_step = |(name, time): (&str, Duration)| {
                    (format!("seconds_a_step/{name}"), time.as_secs_f64() / steps as f64)
                };
                values.extend(spent.parts().map(of_a_step));
                self.scalars(*global_step, values)
            }
            Event::Evaluated { summary, .. } => {
                self.scalars(summary.step, figures(summary))?;
                self.file.as_mut().map_or(Ok(()), EventFile::flush)
            }
            // A run that goes on from the checkpoint must find its steps.
            Event::Checkpointing { .. } => self.file.as_mut().map_or(Ok(()), EventFile::sync),
            Event::Interrupted { .. } | Event::Finished { .. } => {
                self.file.as_mut().map_or(Ok(()), EventFile::flush)
            }
            _ => Ok(()),
        }
    }
}

fn per_second(items: usize, time: Duration) -> f64 {
    items as f64 / time.as_secs_f64().max(1e-9)
}

/// What an epoch came to, by tags.
fn figures(summary: &EpochSummary) -> Vec<(String, f64)> {
    let EpochSummary { epoch, train_loss, test_loss, figures, average, .. } = summary;
    let mut values = vec![
        ("epoch/done".to_string(), *epoch as f64),
        ("loss/train".to_string(), *train_loss),
        ("loss/test".to_string(), *test_loss),
    ];
    values.extend(figures.iter().map(|(name, value)| (format!("score/{name}"), *value)));
    if let Some(Tried { loss, figures }) = average {
        values.push(("loss/average".to_string(), *loss));
        values.extend(figures.iter().map(|(name, value)| (format!("score/average_{name}"), *value)));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Place;

    /// The records of the latest event file, without their times.
    fn records(run: &Path) -> Vec<Vec<u8>> {
        let entries = std::fs::read_dir(run).expect("a folder").map(|entry| entry.expect("an entry").path());
        let mut bytes = std::fs::read(entries.max().expect("a file")).expect("readable");
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
            // After the length and its checksum, 9 bytes of time.
            records.push(bytes[12 + 9..12 + length].to_vec());
            bytes.drain(..12 + length + 4);
        }
        records
    }

    fn started(run: &Path, steps_per_epoch: usize, steps: usize, resumed: Option<Place>) -> TensorBoard {
        let mut board = TensorBoard::new(run, "seed = 1\n");
        let epochs = steps.div_ceil(steps_per_epoch);
        let start: Event<()> =
            Event::RunStarted { epochs, steps_per_epoch, steps, items: 1, resumed, history: &[] };
        board.notify(&start).expect("a file");
        board
    }

    #[test]
    fn a_run_that_goes_on_takes_back_what_comes_after_its_checkpoint() {
        let run = tempfile::tempdir().expect("a folder");
        let place = |epoch, step, global_step| Some(Place { epoch, step, global_step });
        // Of two epochs of 4 steps: from the middle of an epoch, from its end, from between its last step and its trial, whose figures
        // are said of that step, and from the end of all.
        let rows = [
            (place(1, 2, 6), 7),
            (place(1, 0, 4), 5),
            (place(0, 4, 4), 4),
            (place(1, 4, 8), 8),
            (place(2, 0, 8), 9),
        ];
        for (resumed, void) in rows {
            drop(started(run.path(), 4, 8, resumed));
            let [version, start] = &records(run.path())[..] else { panic!("{resumed:?}") };
            assert_eq!(version, b"\x1a\x0dbrain.Event:2");
            // Field 2 is the step; the 1 in field 7 is `START`.
            assert_eq!(start, &[0x10, void, 0x3a, 2, 0x08, 1], "{resumed:?}");
        }
        drop(started(run.path(), 4, 8, None));
        let [_, start, text] = &records(run.path())[..] else { panic!("a fresh run") };
        assert_eq!(start, &[0x3a, 2, 0x08, 1]);
        assert!(String::from_utf8_lossy(text).ends_with("```toml\nseed = 1\n```\n"));
    }

    #[test]
    fn a_long_run_is_thinned_and_keeps_its_ends() {
        let run = tempfile::tempdir().expect("a folder");
        let mut board = started(run.path(), 4001, 4001, None);
        for step in 1..=4001 {
            let place = Place { epoch: 0, step, global_step: step };
            let times = Times { forward: Duration::from_millis(step as u64), ..Times::default() };
            board.notify(&Event::<()>::step(place, 4001, &[], 1.0, 0.1, 8, times)).expect("written");
        }
        drop(board);
        // Every third step, as 4001 / 2000 is more than 2; the first and the last.
        let records = records(run.path());
        assert_eq!(records.len(), 3 + 4001 / 3 + 2);
        // A step takes a millisecond, however many lie between.
        let says = |record: &Vec<u8>, tag: &str, value: f32| {
            let value =
                [&[0x0a, tag.len() as u8][..], tag.as_bytes(), &[0x15], &value.to_le_bytes()].concat();
            record.windows(value.len()).any(|window| window == value)
        };
        let steps = &records[3..];
        assert!(steps.iter().all(|record| says(record, "seconds_a_step/forward", 0.001)));
        assert!(steps.iter().all(|record| says(record, "speed/images_per_second", 8000.0)));
    }
}
