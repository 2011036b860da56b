//! `metrics.csv` and `metrics.jsonl`: a row an epoch, without times, so that the same seed gives the same files.

use std::path::{Path, PathBuf};

use kiln_core::Result;

use crate::files::{make_folder, write_whole};
use crate::{EpochSummary, Event, Observer};

/// Writes `metrics.csv` and `metrics.jsonl` into a run folder after every epoch.
///
/// Both are rewritten whole from the run's history, so a resumed run leaves the files of the unbroken one.
#[derive(Debug)]
pub struct MetricsFiles {
    run: PathBuf,
    history: Vec<EpochSummary>,
}

impl MetricsFiles {
    /// For the run whose folder is `run`.
    pub fn new(run: impl AsRef<Path>) -> Self {
        Self { run: run.as_ref().to_path_buf(), history: Vec::new() }
    }

    fn write(&self) -> Result<()> {
        make_folder(&self.run)?;
        write_whole(&self.run.join("metrics.csv"), csv(&self.history).as_bytes())?;
        write_whole(&self.run.join("metrics.jsonl"), jsonl(&self.history).as_bytes())
    }
}

impl<N> Observer<N> for MetricsFiles {
    fn notify(&mut self, event: &Event<N>) -> Result<()> {
        match event {
            Event::RunStarted { history, .. } => self.history = history.to_vec(),
            Event::Evaluated { summary, .. } => self.history.push((*summary).clone()),
            _ => return Ok(()),
        }
        self.write()
    }
}

/// The columns of a row before the task's figures.
fn columns(row: &EpochSummary) -> [(&'static str, String); 5] {
    [
        ("epoch", row.epoch.to_string()),
        ("step", row.step.to_string()),
        ("rate", row.rate.to_string()),
        ("train_loss", row.train_loss.to_string()),
        ("test_loss", row.test_loss.to_string()),
    ]
}

/// All columns of a row: what the average came to last, if any epoch of the run has one; NaN where this one has none.
fn row(row: &EpochSummary, history: &[EpochSummary]) -> Vec<(String, String)> {
    let fixed = columns(row).into_iter().map(|(name, value)| (name.to_string(), value));
    let figures = row.figures.iter().map(|(name, value)| (name.clone(), value.to_string()));
    let mut all: Vec<_> = fixed.chain(figures).collect();
    if history.iter().any(|row| row.average.is_some()) {
        let average = row.average.as_ref();
        let loss = average.map_or(f64::NAN, |average| average.loss);
        all.push(("average_loss".to_string(), loss.to_string()));
        for (index, (name, _)) in row.figures.iter().enumerate() {
            let value = average.map_or(f64::NAN, |average| average.figures[index].1);
            all.push((format!("average_{name}"), value.to_string()));
        }
    }
    all
}

fn csv(history: &[EpochSummary]) -> String {
    let Some(first) = history.first() else {
        return String::new();
    };
    let mut lines = vec![row(first, history).into_iter().map(|(name, _)| name).collect::<Vec<_>>()];
    lines.extend(history.iter().map(|epoch| row(epoch, history).into_iter().map(|(_, v)| v).collect()));
    lines.iter().map(|line| line.join(",") + "\n").collect()
}

fn jsonl(history: &[EpochSummary]) -> String {
    let line = |epoch: &EpochSummary| {
        let pairs = row(epoch, history).into_iter().map(|(name, value)| {
            // JSON has neither NaN nor infinity.
            let number = value.parse::<f64>().is_ok_and(f64::is_finite);
            format!("\"{name}\": {}", if number { &value } else { "null" })
        });
        format!("{{{}}}\n", pairs.collect::<Vec<_>>().join(", "))
    };
    history.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Tried;

    #[test]
    fn a_row_an_epoch_in_both_files() {
        let row = |epoch: usize, test_loss: f64| EpochSummary {
            epoch,
            step: 10 * epoch,
            rate: 0.1,
            train_loss: 0.25,
            test_loss,
            figures: vec![("accuracy".into(), 0.5), ("top5".into(), 1.0)],
            average: None,
        };
        let history = [row(1, 2.0), row(2, f64::NAN)];
        let text = "epoch,step,rate,train_loss,test_loss,accuracy,top5\n1,10,0.1,0.25,2,0.5,1\n2,20,0.1,0.25,NaN,0.5,1\n";
        assert_eq!(csv(&history), text);
        let lines = jsonl(&history);
        let rows: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0]["test_loss"].as_f64(), rows[0]["accuracy"].as_f64()), (Some(2.0), Some(0.5)));
        assert!(rows[1]["test_loss"].is_null());

        // An average that was tried after the second epoch alone.
        let tried = Tried { loss: 0.125, figures: vec![("accuracy".into(), 0.75), ("top5".into(), 1.0)] };
        let history = [row(1, 2.0), EpochSummary { average: Some(tried), ..row(2, 1.0) }];
        let text = csv(&history);
        let ends: Vec<_> = text.lines().map(|line| line.splitn(8, ',').last().unwrap()).collect();
        assert_eq!(ends, ["average_loss,average_accuracy,average_top5", "NaN,NaN,NaN", "0.125,0.75,1"]);
    }
}
