//! The training loop on JPEG files: what of a step is spent otherwise than on computing, and whether memory grows.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::prelude::*;
use image::codecs::jpeg::JpegEncoder;
use kiln_core::{Batch, Batches, Error, Result};
use kiln_data::{
    Dataset, ImageFolder, Loader, LoaderOptions, OnCorrupt, Pipeline, Shapes, ShapesConfig, Transform,
};
use kiln_tasks::Classification;
use kiln_train::{Event, Length, Log, MetricsFiles, Observer, Rule, Sgd, Times, Trainer};
use serde_json::{Value, json};

use crate::memory::{mebibytes, status};

/// What is trained.
#[derive(clap::Args)]
pub struct Setting {
    /// A name of the registry
    #[arg(long, default_value = "resnet18")]
    model: String,
    /// Side of the network's images; the files' is 16/9 of it, cropped at random and resized
    #[arg(long, default_value_t = 224, value_parser = clap::value_parser!(u32).range(16..=1024))]
    side: u32,
    /// Images a batch
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    batch: u32,
    /// Steps in all
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(10..))]
    steps: u32,
    /// JPEG files: an epoch
    #[arg(long, default_value_t = 320, value_parser = clap::value_parser!(u32).range(1..))]
    files: u32,
    /// The loader's threads
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Exit with 1 where more than 2 % of a step's time, or more memory at the end than after a fifth, is lost
    #[arg(long)]
    check: bool,
}

/// The largest share of a step's time that may be spent otherwise than on forward pass, backward pass and update.
const BOUND: f64 = 0.02;

/// The share of memory, and the bytes, by which two looks at the same state may differ.
const SAME: (f64, u64) = (0.01, 4 << 20);

/// Trains, prints a row and, if asked to, judges it.
///
/// # Errors
/// A model that is not known; a temporary folder that cannot be written; a bound that is not kept.
pub fn run(setting: &Setting) -> Result<()> {
    let entry = kiln_zoo::find(&setting.model)?;
    let folder = tempfile::tempdir().map_err(|why| Error::unwritable(std::env::temp_dir(), &why))?;
    let classes = write_files(setting, &folder.path().join("train"))?;
    let device = Device::flex();
    let training_device = device.clone().autodiff();
    let files = ImageFolder::recognize(folder.path())?;
    let files = files.ok_or_else(|| Error::failure("the files just written are not found"))?.open("train")?;
    let transforms: Vec<Transform> = serde_json::from_value(json!([
        {"name": "random-resized-crop", "size": setting.side}, {"name": "horizontal-flip"},
    ]))
    .map_err(|why| Error::failure(why.to_string()))?;
    let options = LoaderOptions {
        shuffle: true,
        drop_last: true,
        workers: setting.workers,
        ..LoaderOptions::in_order(setting.batch as usize, OnCorrupt::Error)
    };
    let pipeline = Pipeline::new(transforms, [0.5; 3], [0.25; 3])?;
    let train = Loader::new(Arc::new(files), pipeline, options, training_device.clone())?;
    let test = tried(&train)?;

    let run = folder.path().join("run");
    let sgd = Sgd { momentum: 0.9, weight_decay: 1e-4, ..Sgd::default() };
    let length = Length::Steps(setting.steps as usize);
    let trainer = Trainer::new(&run, length, 1e-3, Rule::Sgd(sgd).into());
    // Before the end of the first epoch no image was tried and no checkpoint written, and memory is yet to be fetched for both.
    let early = (setting.steps as usize / 5).max(train.steps() + 1);
    let mut watch = Watch { looks: [early, setting.steps as usize], ..Watch::default() };
    let (mut metrics, mut log) = (MetricsFiles::new(&run), Log::open(&run)?);
    let observers: &mut [&mut dyn Observer<_>] = &mut [&mut metrics, &mut log, &mut watch];
    let (network, task) = (entry.init(classes, &training_device), Classification::new(classes));
    trainer.fit(network, &task, &train, &test, observers, &AtomicBool::new(false))?;

    let lost = watch.lost();
    match setting.json {
        true => println!("{}", watch.object(setting)),
        false => println!("{}", watch.lines(setting)),
    }
    if !setting.check {
        return Ok(());
    }
    if lost >= BOUND {
        let message =
            format!("{:.2} % of a step's time is lost, of at most {:.0} %", 100.0 * lost, 100.0 * BOUND);
        return Err(Error::failure(message).hint("is the machine busy with something else?"));
    }
    let [early, end] = watch.memory;
    if end > early + SAME.1.max((early as f64 * SAME.0) as u64) {
        let [early, end] = [early, end].map(|bytes| mebibytes(bytes as f64));
        let message =
            format!("memory grows: {early:.0} MiB after {} steps, {end:.0} MiB at the end", watch.looks[0]);
        return Err(Error::failure(message));
    }
    Ok(())
}

/// Writes JPEG files of the generated shapes, a folder a class; gives the number of classes.
fn write_files(setting: &Setting, folder: &Path) -> Result<usize> {
    let side = setting.side as usize * 16 / 9;
    let shapes = Shapes::new(ShapesConfig::new("train", setting.files as usize, 1).with_size(side))?;
    let mut classes = std::collections::BTreeSet::new();
    for index in 0..shapes.len() {
        let sample = shapes.get(index)?;
        let class = sample.truth.class.unwrap_or_default();
        classes.insert(class);
        let folder = folder.join(class.to_string());
        let file = folder.join(format!("{index}.jpg"));
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, 90)
            .encode_image(&sample.image)
            .map_err(|why| Error::failure(why.to_string()))?;
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&file, bytes))
            .map_err(|why| Error::unwritable(&file, &why))?;
    }
    Ok(classes.len())
}

/// One batch, on the device without autodiff: what comes between epochs is not measured.
fn tried(train: &Loader) -> Result<Vec<Batch>> {
    let batch = train.epoch(0, 0).next().transpose()?;
    let batch =
        batch.ok_or_else(|| Error::input("there are fewer files than a batch has").place("--files"))?;
    Ok(vec![Batch { images: batch.images.clone().inner(), ..batch }])
}

/// Gathers the times of steps, and the memory after two of them.
#[derive(Default)]
struct Watch {
    /// After a fifth of the steps, or the first epoch, and after the last.
    looks: [usize; 2],
    times: Times,
    memory: [u64; 2],
}

impl<N> Observer<N> for Watch {
    fn notify(&mut self, event: &Event<N>) -> Result<()> {
        match event {
            Event::Step { global_step, .. } => {
                for (look, memory) in self.looks.iter().zip(&mut self.memory) {
                    if look == global_step {
                        *memory = status("VmRSS")?;
                    }
                }
            }
            Event::Evaluated { times, .. } => self.times += *times,
            _ => {}
        }
        Ok(())
    }
}

impl Watch {
    /// The share of time that computes nothing.
    fn lost(&self) -> f64 {
        let Times { data, saving, other, .. } = self.times;
        self.times.share(data + saving + other)
    }

    fn object(&self, setting: &Setting) -> Value {
        let shares = self.times.parts().map(|(name, time)| (name.to_string(), json!(self.times.share(time))));
        let [early, end] = self.memory.map(|bytes| mebibytes(bytes as f64));
        json!({
            "model": setting.model, "side": setting.side, "batch": setting.batch, "steps": setting.steps,
            "workers": setting.workers, "step_ms": 1e3 * self.times.total().as_secs_f64() / f64::from(setting.steps),
            "shares": serde_json::Map::from_iter(shares), "lost": self.lost(),
            "early_mib": early, "end_mib": end,
        })
    }

    fn lines(&self, setting: &Setting) -> String {
        let shares =
            self.times.parts().map(|(name, time)| format!("{name} {:.2} %", 100.0 * self.times.share(time)));
        let [early, end] = self.memory.map(|bytes| mebibytes(bytes as f64));
        format!(
            "{} {}x{}x{}, {} steps of {:.0} ms, {} threads load JPEG files\n{}; lost {:.2} %\nmemory after {} steps {early:.1} MiB, \
             after {} {end:.1} MiB",
            setting.model,
            setting.batch,
            setting.side,
            setting.side,
            setting.steps,
            1e3 * self.times.total().as_secs_f64() / f64::from(setting.steps),
            setting.workers,
            shares.join("  "),
            100.0 * self.lost(),
            self.looks[0],
            self.looks[1]
        )
    }
}
