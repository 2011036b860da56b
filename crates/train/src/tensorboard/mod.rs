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
