//! COCO's figures of boxes beside pycocotools: the evaluation alone, and the whole command from two files to figures.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use kiln_core::{Error, Result};
use kiln_tasks::AveragePrecision;
use kiln_tasks::average_precision::{Actual, BoxIou, Predicted, XywhBox};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::pace::median;

const SCRIPT: &str = include_str!("../score.py");

/// How much is compared: as much as in COCO's val2017, with 100 predictions an image.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    images: usize,
    objects: usize,
    predictions: usize,
}

impl Size {
    /// That of val2017.
    pub const COCO: Self = Self { images: 5000, objects: 36_781, predictions: 100 };
    /// A hundredth, for a look.
    pub const SMALL: Self = Self { images: 50, objects: 368, predictions: 100 };
}

const CLASSES: usize = 80;
const IMAGE: [f64; 2] = [640.0, 480.0];

/// What is in each image, and what is predicted there.
struct Drawn {
    objects: Vec<Vec<Actual<XywhBox>>>,
    predictions: Vec<Vec<Predicted<XywhBox>>>,
}

impl Drawn {
    /// Boxes at random, predictions near two thirds of the objects and anywhere.
    fn new(size: Size, seed: u64) -> Self {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut objects = vec![Vec::new(); size.images];
        for _ in 0..size.objects {
            let (shape, crowd) = (anywhere(rng), rng.random_bool(0.01));
            let area = rounded(0.7 * shape[2] * shape[3]);
            let class = rng.random_range(0..CLASSES);
            objects[rng.random_range(0..size.images)].push(Actual {
                class,
                area,
                crowd,
                ignored: false,
                shape,
            });
        }
        let predictions = objects.iter().map(|objects| predicted(size, objects, rng)).collect();
        Self { objects, predictions }
    }

    /// The truth as COCO has it; images, classes and objects are numbered from 1.
    fn truth(&self) -> Value {
        let numbered = |count: usize| (1..=count).map(|id| json!({"id": id}));
        let images: Vec<Value> = numbered(self.objects.len()).collect();
        let categories: Vec<Value> = numbered(CLASSES).collect();
        let objects = (1..).zip(&self.objects).flat_map(|(image, of)| of.iter().map(move |one| (image, one)));
        let annotations = (1..).zip(objects).map(|(id, (image, object)): (usize, (usize, _))| {
            json!({
                "id": id, "image_id": image, "category_id": object.class + 1, "bbox": object.shape,
                "area": object.area, "iscrowd": u8::from(object.crowd),
            })
        });
        json!({"images": images, "categories": categories, "annotations": annotations.collect::<Vec<_>>()})
    }

    /// The predictions as COCO has them.
    fn results(&self) -> Value {
        let images = (1usize..).zip(&self.predictions);
        let all = images.flat_map(|(image, predictions)| {
            predictions.iter().map(move |one| {
                json!({"image_id": image, "category_id": one.class + 1, "bbox": one.shape, "score": one.score})
            })
        });
        all.collect()
    }

    /// All twelve figures; -1 where there is none. On one thread.
    fn figures(&self) -> Vec<f64> {
        let mut score = AveragePrecision::new(BoxIou, CLASSES);
        for (predictions, objects) in self.predictions.iter().zip(&self.objects) {
            score.add(predictions, objects);
        }
        score.summary().figures().map(|(_, value)| value.unwrap_or(-1.0)).collect()
    }
}

fn anywhere(rng: &mut ChaCha8Rng) -> XywhBox {
    let [width, height] = [0, 1].map(|_| rng.random_range(8f64.ln()..300f64.ln()).exp());
    let [x, y] = [rng.random_range(0.0..IMAGE[0] - width), rng.random_range(0.0..IMAGE[1] - height)];
    [x, y, width, height].map(rounded)
}

/// To hundredths, as in COCO's files.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn predicted(size: Size, objects: &[Actual<XywhBox>], rng: &mut ChaCha8Rng) -> Vec<Predicted<XywhBox>> {
    let one = |at: usize, rng: &mut ChaCha8Rng| {
        // Three times at each object, about the first two thirds of them.
        let near = objects.get(at / 3).filter(|_| rng.random_bool(0.67));
        let (class, shape, score) = match near {
            Some(object) => {
                let [x, y, width, height] = object.shape;
                let mut off = |side: f64| side * rng.random_range(-0.2..0.2);
                let shape = [x + off(width), y + off(height), width + off(width), height + off(height)];
                (object.class, shape.map(rounded), rng.random_range(0.2..1.0))
            }
            None => (rng.random_range(0..CLASSES), anywhere(rng), rng.random_range(0.0..0.6)),
        };
        Predicted { class, score: (score * 1e5f64).round() / 1e5, area: shape[2] * shape[3], shape }
    };
    (0..size.predictions).map(|at| one(at, rng)).collect()
}

/// Files that are gone when this is.
struct Files {
    folder: PathBuf,
    truth: PathBuf,
    predictions: PathBuf,
}

impl Files {
    fn write(drawn: &Drawn) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("kiln-bench-score-{}", std::process::id()));
        let [truth, predictions] = ["truth.json", "predictions.json"].map(|name| folder.join(name));
        let files = Self { folder, truth, predictions };
        let written = |file: &Path, why| Error::unwritable(file, &why);
        std::fs::create_dir_all(&files.folder).map_err(|why| written(&files.folder, why))?;
        for (file, value) in [(&files.truth, drawn.truth()), (&files.predictions, drawn.results())] {
            std::fs::write(file, value.to_string()).map_err(|why| written(file, why))?;
        }
        Ok(files)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // What is left in a temporary folder is not worth an error.
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// Milliseconds of the evaluation alone and of the whole command, and the figures.
struct Turn {
    times: [f64; 2],
    figures: Vec<f64>,
    version: String,
}

/// Both sides in turns, and prints what the medians are.
///
/// # Errors
/// A program that is not there, and figures that differ.
pub fn compare(size: Size, turns: usize, python: Option<&Path>, as_json: bool) -> Result<()> {
    let drawn = Drawn::new(size, 1);
    let files = Files::write(&drawn)?;
    let (mut ours, mut theirs) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let mut version = None;
    let mut difference = 0.0f64;
    for _ in 0..turns {
        let other = python.map(|python| their_turn(python, &files)).transpose()?;
        let turn = our_turn(&drawn, &files)?;
        ours.iter_mut().zip(turn.times).for_each(|(times, time)| times.push(time));
        let Some(other) = other else { continue };
        theirs.iter_mut().zip(other.times).for_each(|(times, time)| times.push(time));
        let differences = turn.figures.iter().zip(&other.figures).map(|(ours, theirs)| (ours - theirs).abs());
        difference = differences.fold(difference, f64::max);
        version = Some(other.version);
    }
    if difference > 1e-9 {
        return Err(Error::failure(format!("the figures differ by {difference:e}")));
    }

    let names = ["evaluation alone", "whole command"];
    let rows = names.iter().zip(ours.iter().zip(&theirs)).map(|(name, (ours, theirs))| {
        let (ours, theirs) = (median(ours), python.map(|_| median(theirs)));
        (*name, ours, theirs, theirs.map(|theirs| ours / theirs))
    });
    let rows: Vec<_> = rows.collect();
    let Size { images, objects, predictions } = size;
    if as_json {
        let rows: Vec<Value> = (rows.iter())
            .map(|(name, ours, theirs, ratio)| {
                json!({"name": name, "ours_ms": ours, "peer_ms": theirs, "ratio": ratio})
            })
            .collect();
        let head = json!({
            "images": images, "objects": objects, "predictions": images * predictions, "turns": turns,
            "pycocotools": version, "largest_difference": python.map(|_| difference), "rows": rows,
        });
        println!("{head}");
        return Ok(());
    }
    let other = match &version {
        Some(version) => format!("pycocotools {version}, figures differ by at most {difference:.0e}"),
        None => "no other side: give one with --peer-python".to_string(),
    };
    println!(
        "{images} images, {objects} objects, {} predictions; {other}; medians of {turns} turns",
        images * predictions
    );
    println!("\n{:16}  {:>9}  {:>9}  {:>6}", "boxes", "ours ms", "theirs ms", "ratio");
    for (name, ours, theirs, ratio) in rows {
        let show = |value: Option<f64>, digits: usize| {
            value.map_or("-".to_string(), |value| format!("{value:.digits$}"))
        };
        println!("{name:16}  {ours:9.0}  {:>9}  {:>6}", show(theirs, 0), show(ratio, 4));
    }
    Ok(())
}

fn our_turn(drawn: &Drawn, files: &Files) -> Result<Turn> {
    let start = Instant::now();
    let figures = drawn.figures();
    let alone = start.elapsed().as_secs_f64() * 1e3;
    // It is built into the same folder.
    let failed = |why: String| Error::failure(why).place("kiln score");
    let program = std::env::current_exe().map_err(|why| failed(why.to_string()))?;
    let program = program.with_file_name(format!("kiln{}", std::env::consts::EXE_SUFFIX));
    let mut command = Command::new(&program);
    command.args(["score", "bbox", "--json"]).args([&files.truth, &files.predictions]);
    let start = Instant::now();
    let output = command.output().map_err(|why| {
        Error::unreadable(&program, &why).hint("build it: cargo build --release --package kiln")
    })?;
    let whole = start.elapsed().as_secs_f64() * 1e3;
    let said: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed(String::from_utf8_lossy(&output.stderr).trim().to_string()))?;
    match said["AP"].as_f64().zip(figures.first()) {
        Some((ap, first)) if (ap - first).abs() < 1e-9 => {
            Ok(Turn { times: [alone, whole], figures, version: String::new() })
        }
        _ => Err(failed(format!(
            "its AP is {}, that of the evaluation alone {:?}",
            said["AP"],
            figures.first()
        ))),
    }
}

fn their_turn(python: &Path, files: &Files) -> Result<Turn> {
    let wanted = "give a Python with pycocotools";
    let start = Instant::now();
    let output = Command::new(python)
        .args(["-W", "ignore", "-c", SCRIPT])
        .args([&files.truth, &files.predictions])
        .output()
        .map_err(|why| Error::unreadable(python, &why).hint(wanted))?;
    let whole = start.elapsed().as_secs_f64() * 1e3;
    let said: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| Error::input("does not run as a Python").file(python).hint(wanted))?;
    if let Some(why) = said["error"].as_str() {
        return Err(Error::input(why).file(python).hint(wanted));
    }
    let alone = said["ms"].as_f64();
    let alone = alone.ok_or_else(|| Error::failure(format!("answered {said}")).file(python))?;
    let figures = said["figures"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let version = said["pycocotools"].as_str().unwrap_or_default().to_string();
    Ok(Turn { times: [alone, whole], figures, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_has_the_size_and_is_worth_scoring() {
        let drawn = Drawn::new(Size::SMALL, 1);
        assert_eq!(drawn.objects.iter().map(Vec::len).sum::<usize>(), 368);
        assert_eq!(drawn.predictions.iter().map(Vec::len).sum::<usize>(), 5000);
        let same = Drawn::new(Size::SMALL, 1);
        assert_eq!(drawn.figures(), same.figures());
        assert!(drawn.predictions == same.predictions && drawn.objects == same.objects);
        // Neither nothing nor everything is found, of any area.
        let figures = drawn.figures();
        assert_eq!(figures.len(), 12);
        assert!(figures.iter().all(|figure| (0.05..0.95).contains(figure)), "{figures:?}");
    }
}
