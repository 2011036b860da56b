//! What a run's folder says of the run.

use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kiln_core::{Error, Result};
use serde_json::Value;

use crate::report::{EpochRow, Live, Mood, TimesRow};
use crate::run::{Life, Pulse, RunFolder, Stage, Standing, Steps};

/// Lines of the log that are shown.
const LINES: usize = 14;

/// What readers may want, and what it is. Other pages and pictures come after them.
const FILES: [(&str, &str); 6] = [
    ("report.html", "the report"),
    ("metrics.csv", "a row an epoch"),
    ("steps.csv", "a row a step"),
    ("times.csv", "where the time went"),
    ("log.txt", "what happened when"),
    ("resolved.json", "the complete experiment"),
];

/// Everything that the page says.
///
/// # Errors
/// A file that cannot be read or holds something else.
pub fn live(run: &RunFolder) -> Result<Live> {
    // In this order: a run that ends meanwhile is not taken for one that was killed.
    let life = Life::of(run);
    let standing = Standing::read(run)?;
    let (mood, state) = state(run, life, standing.as_ref());
    let mut times = Pulse::read(&run.file("times.csv"))?;
    let steps = Steps::read(&run.file("steps.csv"))?;
    let log = read(run, "log.txt")?;
    let lines: Vec<&str> = log.lines().collect();
    let standing = standing.unwrap_or_default();
    // What is in the file by now is not counted twice.
    if standing.since.total() > 0.0 && times.last().is_none_or(|last| last.step < standing.step) {
        let since = standing.since.clone();
        times.push(TimesRow { step: standing.step, epoch: standing.epoch, ..since });
    }
    Ok(Live {
        mood,
        state,
        epoch: [standing.epoch, standing.epochs],
        step: [standing.step, standing.steps],
        images_per_second: (standing.images_per_second > 0.0).then_some(standing.images_per_second),
        seconds_left: standing.seconds_left,
        epochs: epochs(&read(run, "metrics.csv")?),
        steps,
        times,
        log: lines[lines.len().saturating_sub(LINES)..].join("\n"),
        files: files(run.path()),
        configuration: read(run, "experiment.toml")?,
        ..named(run)
    })
}

/// The page of a run that cannot be read.
pub fn unreadable(run: &RunFolder, error: &Error) -> Live {
    let state = ["Cannot be read".to_string(), error.to_string()];
    Live { mood: Mood::Unknown, state, files: files(run.path()), ..named(run) }
}

fn named(run: &RunFolder) -> Live {
    let path = run.path().canonicalize().unwrap_or_else(|_| run.path().to_path_buf());
    let title = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let resolved = read(run, "resolved.json").ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let name = |part: &str| Some(resolved.as_ref()?[part]["name"].as_str()?.to_string());
    let subtitle = name("model").zip(name("data")).map(|(model, data)| format!("{model} on {data}"));
    Live { title, subtitle: subtitle.unwrap_or_default(), ..Live::default() }
}

/// Whether a run goes on, in words.
fn state(run: &RunFolder, life: Life, standing: Option<&Standing>) -> (Mood, [String; 2]) {
    let resume = format!("go on with: kiln train --resume --run {}", run.path().display());
    let written = written(run.path());
    let stage = standing.map(|standing| standing.stage);
    let at = standing.map_or(0, |standing| standing.step);
    let (mood, heading, detail) = match (life, stage) {
        (Life::Goes, None) => (Mood::Goes, "Starting", String::new()),
        (Life::Goes, Some(Stage::Training)) => (Mood::Goes, "Running", format!("as of {written}")),
        (Life::Goes, Some(Stage::Testing)) => (Mood::Goes, "Testing", format!("as of {written}")),
        (Life::Goes, Some(Stage::Interrupted)) => {
            (Mood::Goes, "Running", "stopping, or going on".to_string())
        }
        (Life::Goes, Some(Stage::Finished | Stage::StoppedEarly)) => {
            (Mood::Goes, "Trained", "the best network is tried once more, for the report".to_string())
        }
        (_, Some(Stage::Finished)) => (Mood::Done, "Finished", written),
        (_, Some(Stage::StoppedEarly)) => {
            (Mood::Done, "Finished", format!("early, as it got no better; {written}"))
        }
        (Life::Gone | Life::Unknown, Some(Stage::Interrupted)) => {
            (Mood::Stopped, "Interrupted", format!("{written}; {resume}"))
        }
        (Life::Gone, None) => (Mood::Stopped, "Ended before it began", written),
        (Life::Gone, Some(Stage::Training | Stage::Testing)) => (
            Mood::Stopped,
            "Killed or failed",
            format!("after step {at}, {written}; its process is gone; {resume}"),
        ),
        (Life::Unknown, None) => (
            Mood::Unknown,
            "Not known whether it goes on",
            format!("it writes neither lock nor progress; last written {written}"),
        ),
        (Life::Unknown, Some(Stage::Training | Stage::Testing)) => (
            Mood::Unknown,
            "Not known whether it goes on",
            format!("there is no lock on this file system; last written {written}"),
        ),
    };
    (mood, [heading.to_string(), detail])
}

/// When the run wrote last.
fn written(run: &Path) -> String {
    let times = ["progress.json", "steps.csv", "log.txt", "resolved.json"].map(|name| {
        std::fs::metadata(run.join(name)).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
    });
    let last = times.into_iter().max().unwrap_or(SystemTime::UNIX_EPOCH);
    let last = Timestamp::try_from(last).unwrap_or_default().to_zoned(TimeZone::system());
    last.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A file of the run; empty if it is not there yet.
fn read(run: &RunFolder, name: &str) -> Result<String> {
    let path = run.file(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(why) => Err(Error::unreadable(&path, &why)),
    }
}

/// The rows of a `metrics.csv`: five columns, the figures, and the average's loss and figures where there is one. As in the
/// report, the average's figures are before the weights' own.
fn epochs(csv: &str) -> Vec<EpochRow> {
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let Some(header) = lines.next() else { return Vec::new() };
    let row = |cells: Vec<&str>| {
        let value = |name: &str| {
            let place = header.iter().position(|other| *other == name);
            place.and_then(|place| cells.get(place)?.parse::<f64>().ok()).unwrap_or(f64::NAN)
        };
        let own: Vec<(String, f64)> = header
            .iter()
            .skip(5)
            .filter(|name| !name.starts_with("average_"))
            .map(|name| (name.to_string(), value(name)))
            .collect();
        let averaged = header.contains(&"average_loss");
        let counts = own.iter().map(|(name, value_of)| {
            let average = value(&format!("average_{name}"));
            (name.clone(), if average.is_nan() { *value_of } else { average })
        });
        let weights = own.iter().map(|(name, value)| (format!("{name} of the weights"), *value));
        EpochRow {
            epoch: value("epoch") as usize,
            step: value("step") as usize,
            rate: value("rate"),
            train_loss: value("train_loss"),
            test_loss: value("test_loss"),
            figures: counts.chain(weights.filter(|_| averaged)).collect(),
        }
    };
    lines.map(row).collect()
}

fn files(run: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = FILES
        .iter()
        .filter(|(name, _)| run.join(name).is_file())
        .map(|(name, what)| (name.to_string(), what.to_string()))
        .collect();
    let entries = std::fs::read_dir(run).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut others: Vec<(String, String)> = names
        .filter(|name| !FILES.iter().any(|(known, _)| known == name))
        .filter_map(|name| match Path::new(&name).extension()?.to_str()? {
            "html" => Some((name, "a page".to_string())),
            "png" | "svg" => Some((name, "a picture".to_string())),
            _ => None,
        })
        .collect();
    others.sort();
    files.append(&mut others);
    files
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::run::Lock;

    #[test]
    fn what_is_said_of_a_run_is_what_is_known_of_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("resolved.json"), "{}").unwrap();
        let run = RunFolder::open(folder.path()).unwrap();
        let say = |stage: Option<Stage>| {
            match stage {
                None => _ = std::fs::remove_file(run.file("progress.json")),
                Some(stage) => {
                    let standing = Standing { stage, step: 7, ..Standing::default() };
                    run.write("progress.json", serde_json::to_string(&standing).unwrap().as_bytes()).unwrap();
                }
            }
            let live = live(&run).unwrap();
            (live.mood, live.state[0].clone())
        };
        let said = |mood, text: &str| (mood, text.to_string());
        let unknown = said(Mood::Unknown, "Not known whether it goes on");
        assert_eq!([say(None), say(Some(Stage::Testing))], [unknown.clone(), unknown]);
        let lock = Lock::take(&run).unwrap();
        assert_eq!(say(None), said(Mood::Goes, "Starting"));
        assert_eq!(say(Some(Stage::Training)), said(Mood::Goes, "Running"));
        assert_eq!(say(Some(Stage::Finished)), said(Mood::Goes, "Trained"));
        drop(lock);
        assert_eq!(say(Some(Stage::Training)), said(Mood::Stopped, "Killed or failed"));
        assert!(live(&run).unwrap().state[1].contains("after step 7"));
        assert_eq!(say(Some(Stage::Interrupted)), said(Mood::Stopped, "Interrupted"));
        assert_eq!(say(Some(Stage::Finished)), said(Mood::Done, "Finished"));
        assert_eq!(say(None), said(Mood::Stopped, "Ended before it began"));
        // What is no progress is said, and the page is there all the same.
        std::fs::write(run.file("progress.json"), "{").unwrap();
        let error = live(&run).err().unwrap();
        assert!(unreadable(&run, &error).state[1].contains("progress.json"), "{error}");
    }

    #[test]
    fn the_average_decides_where_there_is_one() {
        let csv = "epoch,step,rate,train_loss,test_loss,accuracy,average_loss,average_accuracy\n\
                   1,10,0.1,2,2.5,0.5,NaN,NaN\n2,20,0.1,1,1.5,0.6,1.2,0.7\n";
        let rows = epochs(csv);
        let figures = |row: usize| rows[row].figures.iter().map(|(_, value)| *value).collect::<Vec<_>>();
        assert_eq!((figures(0), figures(1)), (vec![0.5, 0.5], vec![0.7, 0.6]));
        assert_eq!((rows[1].step, rows[1].figures[1].0.as_str()), (20, "accuracy of the weights"));
        assert!(epochs("").is_empty());
    }
}
