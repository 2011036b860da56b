//! What augmentations make of images, a row an image or a batch, for `kiln data view`.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use kiln_core::{Batches, Error, Result, Truth};
use kiln_data::{
    Batching, Dataset, Interpolation, Loader, LoaderOptions, OnCorrupt, Opened, Operation, Pipeline, Sample,
    Size, Space, Step, Subset, Transform,
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::view::{as_it_is, named};
use crate::experiment::{Source, class_name, explained};

/// What is to be shown, in order.
pub struct Augmentations(Vec<Shown>);

/// One thing to be shown.
enum Shown {
    /// Transforms in a row, with a name.
    Transforms(String, Vec<Transform>),
    /// One transform of each kind, made for the images.
    EachTransform,
    /// Batches as they are put together, after transforms; after none but what gives them one size if left out.
    Batches(Option<Vec<Transform>>, Batching),
    /// The operations of the policies.
    Operations,
}

/// A cell of the sheet: an image and what is written under it.
type Cell = (Sample, String);

/// Longest side of an image that is mixed with others.
const SIDE: usize = 224;

/// One of each for an image whose shorter side is `SIDE`; large enough to be seen.
const EACH: [&str; 17] = [
    "{ name = 'random-resized-crop', size = SIDE }",
    "{ name = 'pad-and-crop', size = SIDE, pad = EIGHTH }",
    "{ name = 'horizontal-flip' }",
    "{ name = 'vertical-flip' }",
    "{ name = 'letterbox', size = SIDE }",
    "{ name = 'mosaic', size = SIDE }",
    "{ name = 'random-perspective', degrees = 10.0, shear = 5.0 }",
    "{ name = 'hsv-jitter' }",
    "{ name = 'lighting', std = 0.3 }",
    "{ name = 'color-jitter', brightness = 0.4, contrast = 0.4, saturation = 0.4, hue = 0.1 }",
    "{ name = 'auto-augment', policy = 'imagenet' }",
    "{ name = 'auto-augment', policy = 'cifar10' }",
    "{ name = 'auto-augment', policy = 'svhn' }",
    "{ name = 'rand-augment' }",
    "{ name = 'trivial-augment' }",
    "{ name = 'random-erasing', probability = 1.0 }",
    "{ name = 'cutout', size = HALF }",
];

impl Augmentations {
    /// What was typed; `None` if nothing was.
    ///
    /// # Errors
    /// A name that is not known, a parameter that is missing or wrong; an experiment that cannot be read.
    pub fn new(typed: &[String], config: Option<&Path>) -> Result<Option<Self>> {
        let mut shown = Vec::new();
        if let Some(file) = config {
            let data = Source::read(file)?.typed()?.data;
            let transforms = data.train_transforms.unwrap_or_default();
            shown.push(Shown::Transforms(String::new(), transforms.clone()));
            if let Some(batching) = data.train_batches {
                shown.push(Shown::Batches(Some(transforms), batching));
            }
        }
        for what in typed {
            match what.as_str() {
                "all" => shown.push(Shown::EachTransform),
                "operations" => shown.push(Shown::Operations),
                "mixup" => {
                    shown.push(Shown::Batches(None, Batching { mixup: 1.0, ..Batching::default() }));
                }
                "cutmix" => {
                    shown.push(Shown::Batches(None, Batching { cutmix: 1.0, ..Batching::default() }));
                }
                _ => {
                    let transform = transform(what)?;
                    shown.push(Shown::Transforms(name_of(what), vec![transform]));
                }
            }
        }
        Ok((!shown.is_empty()).then_some(Self(shown)))
    }
}

/// A transform by its name, or as it stands in an experiment.
fn transform(typed: &str) -> Result<Transform> {
    #[derive(serde::Deserialize)]
    struct Typed {
        transform: Transform,
    }
    let table = match typed.trim_start().starts_with('{') {
        true => typed.to_string(),
        false => format!("{{ name = {typed:?} }}"),
    };
    let place = format!("--augment {typed}");
    let parsed: Typed = toml::from_str(&format!("transform = {table}")).map_err(|why| {
        let error = explained(why.message(), None).place(&place);
        match error.hint_given() {
            Some(_) => error,
            None => error.hint("write it as in an experiment: --augment \"{ name = 'cutout', size = 16 }\""),
        }
    })?;
    parsed.transform.check().map_err(|error| error.place(place))?;
    Ok(parsed.transform)
}

fn name_of(typed: &str) -> String {
    let quoted = typed.split('\'').nth(1).or(typed.split('"').nth(1));
    quoted.unwrap_or(typed).to_string()
}

/// The cells of a sheet of `columns` columns: `items` rows for each thing that is shown.
///
/// # Errors
/// An image that cannot be read, or is too small for a cut.
pub fn rows(
    shown: &Augmentations,
    images: &Arc<dyn Dataset>,
    opened: &Opened,
    items: usize,
    columns: usize,
) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    for shown in &shown.0 {
        match shown {
            Shown::Transforms(name, transforms) => {
                for item in 0..items {
                    let (sample, class) = as_it_is(&**images, item, items, opened)?;
                    let label = if name.is_empty() { class } else { name.clone() };
                    cells.extend(draws(sample, label, transforms, images, item, columns)?);
                }
            }
            Shown::EachTransform => {
                for (row, table) in EACH.iter().enumerate() {
                    let item = row % items;
                    let (sample, _) = as_it_is(&**images, item, items, opened)?;
                    let side = sample.image.width().min(sample.image.height());
                    let sides = [("SIDE", side), ("EIGHTH", (side / 8).max(1)), ("HALF", (side / 2).max(1))];
                    let table = sides.iter().fold(table.to_string(), |text, (name, value)| {
                        text.replace(name, &value.to_string())
                    });
                    let transforms = [transform(&table)?];
                    cells.extend(draws(sample, name_of(&table), &transforms, images, row, columns)?);
                }
            }
            Shown::Batches(transforms, batching) => {
                let transforms = match transforms {
                    Some(transforms) => transforms.clone(),
                    None => squares(&images.get(0)?),
                };
                cells.extend(batches(&transforms, batching, images, opened, items, columns)?);
            }
            Shown::Operations => {
                let (sample, class) = as_it_is(&**images, 0, items, opened)?;
                cells.extend(operations(&sample, &class, columns));
            }
        }
    }
    Ok(cells)
}

/// An image as it is, and what the transforms make of it, each time anew.
fn draws(
    sample: Sample,
    label: String,
    transforms: &[Transform],
    images: &Arc<dyn Dataset>,
    row: usize,
    columns: usize,
) -> Result<Vec<Cell>> {
    let pipeline = pipeline(transforms)?;
    let mut cells = vec![(sample.clone(), label)];
    for column in 1..columns {
        let mut rng = ChaCha8Rng::seed_from_u64((row * columns + column) as u64);
        let partner = |rng: &mut ChaCha8Rng| images.get(rng.random_range(0..images.len()));
        let ready = pipeline.prepare_with(sample.clone(), &partner, &mut rng)?;
        let image = pipeline.picture(&ready.numbers, ready.size);
        cells.push((Sample { image, truth: ready.truth }, told(&ready.steps)));
    }
    Ok(cells)
}

/// A picture is not seen normalized: the erased is grey.
fn pipeline(transforms: &[Transform]) -> Result<Pipeline> {
    Pipeline::new(transforms.to_vec(), [0.5; 3], [0.25; 3])
}

/// Squares of one size, about as large as an image.
fn squares(sample: &Sample) -> Vec<Transform> {
    let side = Size::Side(SIDE.min(sample.image.width().min(sample.image.height()) as usize));
    let resize = Transform::Resize { size: side, interpolation: Interpolation::default() };
    vec![resize, Transform::CenterCrop { size: side }]
}

/// What was done, a line each.
fn told(steps: &[Step]) -> String {
    let words: Vec<String> = steps.iter().map(Step::to_string).filter(|words| !words.is_empty()).collect();
    if words.is_empty() { "as it is".to_string() } else { words.join("\n") }
}

/// Batches as a training run has them, a row each, and before the first its images as they are.
fn batches(
    transforms: &[Transform],
    batching: &Batching,
    images: &Arc<dyn Dataset>,
    opened: &Opened,
    rows: usize,
    columns: usize,
) -> Result<Vec<Cell>> {
    let in_a_row = columns.min(images.len());
    let batch_size = in_a_row / batching.repeats.max(1) * batching.repeats.max(1);
    if batch_size == 0 {
        let error = Error::input(format!("a row of {in_a_row} images, each {} times", batching.repeats));
        return Err(error.place("--columns").hint("give more columns, or fewer `repeats`"));
    }
    let picked = Arc::new(Subset::evenly(images.clone(), (rows * batch_size).min(images.len())));
    let pipeline = pipeline(transforms)?;
    let options = LoaderOptions {
        batching: batching.clone(),
        drop_last: true,
        ..LoaderOptions::in_order(batch_size, OnCorrupt::Error)
    };
    let plain = LoaderOptions { batching: Batching::default(), ..options.clone() };
    let loaded = |options| Loader::new(picked.clone(), pipeline.clone(), options, Device::flex());
    let (mixing, plain) = (loaded(options)?, loaded(plain)?);
    let mut cells = Vec::new();
    let all = plain.epoch(0, 0).take(1).map(|batch| (batch, false));
    for (batch, mixed) in all.chain(mixing.epoch(0, 0).take(rows).map(|batch| (batch, true))) {
        let batch = batch?;
        let [items, _, height, width] = batch.images.dims();
        let numbers = batch.images.into_data().convert::<f32>();
        let numbers = numbers.as_slice::<f32>().expect("converted to f32 above");
        for (numbers, truth) in numbers.chunks(3 * height * width).zip(batch.truths) {
            let label = match mixed {
                true => shares(&truth, opened),
                false => named(&truth, opened),
            };
            cells.push((Sample { image: pipeline.picture(numbers, [height, width]), truth }, label));
        }
        let blank = || (Sample { image: image::RgbImage::new(1, 1), truth: Truth::default() }, String::new());
        cells.extend((items..columns).map(|_| blank()));
    }
    Ok(cells)
}

fn shares(truth: &Truth, opened: &Opened) -> String {
    let share = |(class, share): &(usize, f32)| {
        format!("{:.0} % {}", share * 100.0, class_name(&opened.classes, *class))
    };
    match truth.mixture.as_slice() {
        [] => named(truth, opened),
        mixture => mixture.iter().map(share).collect::<Vec<_>>().join("\n"),
    }
}

/// Every operation from weak to strong, or from one side to the other, a row each; those without a magnitude in one row.
fn operations(sample: &Sample, class: &str, columns: usize) -> Vec<Cell> {
    const BINS: usize = 31;
    let size = [sample.image.height() as usize, sample.image.width() as usize];
    let cell = |operation: Operation, magnitude: f64| {
        let (interpolation, fill) = (Interpolation::Bilinear, [0; 3]);
        let step = Step::Operation { operation, magnitude, interpolation, fill };
        (step.apply(sample.clone()), step.to_string())
    };
    let (graded, plain): (Vec<_>, Vec<_>) =
        Operation::ALL.into_iter().partition(|operation| operation.is_graded());
    let mut cells = Vec::new();
    for operation in graded {
        cells.push((sample.clone(), class.to_string()));
        let last = (columns - 1).max(2) - 1;
        for column in 0..columns - 1 {
            let part = column as f64 / last as f64;
            let along = if operation.is_signed() { 2.0 * part - 1.0 } else { part };
            let level = (along.abs() * (BINS - 1) as f64).round() as usize;
            let strength = Space::Wide.magnitude(operation, level, BINS, size);
            cells.push(cell(operation, if along < 0.0 { -strength } else { strength }));
        }
    }
    cells.extend(plain.into_iter().map(|operation| cell(operation, 0.0)));
    cells
}
