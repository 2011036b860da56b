//! `kiln compare`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor, TensorData};
use kiln_core::{Error, Network, Result, devices_compiled_in};
use kiln_data::Roots;
use kiln_nn::{Draws, Tap};
use kiln_train::parameters;
use kiln_zoo::{Model, Output as Said};
use serde_json::{Value, json};

use super::output::{Output, table};
use super::subject::Subject;
use super::summary::{Size, size};
use crate::run::layer_of;

/// Compare what a model gives on several devices, its weights and the images being the same
///
/// All are held against the same network in 64 bits, which Burn's own operations compute on the CPU. Exit code 1 if a device
/// is further from it than the bound. Example: kiln compare resnet18 --devices flex,wgpu --layers
#[derive(clap::Args)]
pub struct Args {
    /// A name of `kiln models`, a Darknet .cfg, an experiment's .toml, or a run's folder
    model: String,
    /// Devices, with commas between; left out, all that this build has
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    devices: Vec<String>,
    /// A weight file: safetensors, .pt, .pth, .weights; a run has its best weights
    #[arg(long)]
    weights: Option<PathBuf>,
    /// The images, of normal noise: a side, or HEIGHTxWIDTH, or BATCHx3xHEIGHTxWIDTH
    #[arg(long, value_parser = size)]
    input: Option<Size>,
    /// A row for every layer that has weights
    #[arg(long)]
    layers: bool,
    /// How far a device may be off, as a share of the largest value
    #[arg(long, default_value_t = 1e-3)]
    bound: f64,
    /// Of the images, and of weights that are fresh
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Times that each device is timed, in turns; the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    turns: u16,
}

pub fn run(args: Args, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let mut subject = Subject::of(&args.model, args.weights.as_deref(), roots)?;
    let batch = args.input.map_or(1, |size| size.batch);
    subject.sides = args.input.map_or(subject.sides, |size| size.sides);
    let names = match args.devices.is_empty() {
        true => devices_compiled_in().into_iter().map(str::to_string).collect(),
        false => args.devices,
    };
    let devices: Vec<Device> = names.iter().map(|name| kiln_core::device(name)).collect::<Result<_>>()?;
    let flex = kiln_core::device("flex")?;
    flex.seed(args.seed);
    let network = subject.network(&flex)?;
    let [height, width] = subject.sides;
    let noise: Tensor<4> =
        Draws::new(args.seed).normal([batch, 3, height, width], &Tensor::<1>::zeros([1], &flex));
    let images = noise.into_data();

    let precise = given(&network.valid().map(&mut Precise), &images, (&flex, DType::F64));
    let largest = precise.outputs.iter().flat_map(|(_, values)| values).fold(0.0, |a: f64, b| a.max(b.abs()));
    if largest > f64::from(f32::MAX) {
        let what = format!("{} gives up to {largest:.0e}, which is beyond 32 bits", subject.entry.name);
        return Err(Error::failure(what)
            .hint("fresh weights grow with the depth; give trained ones: `--weights FILE`"));
    }
    let mut runs: Vec<Run> = (names.into_iter().zip(devices))
        .map(|(name, device)| Run::begin(name, device, &network, &images, &precise))
        .collect::<Result<_>>()?;
    for _ in 0..args.turns {
        runs.iter_mut().for_each(|run| run.time(&images));
    }

    let title = format!("{}: images {batch}x3x{height}x{width}, seed {}", subject.entry.name, args.seed);
    let mut lines = format!("{title}\n\n{}", summary(&runs, batch));
    if args.layers {
        lines += &format!("\n{}", layers(&runs, &precise.layers));
    }
    let agreeing = runs.iter().filter(|run| run.agrees(args.bound)).count();
    lines += &format!("\n{agreeing} of {} within {:e} of the largest value", runs.len(), args.bound);
    let devices: Vec<Value> = runs.iter().map(|run| run.object(batch, args.bound, &precise.layers)).collect();
    output.answer(
        &lines,
        json!({
            "model": subject.entry.name, "input": [batch, 3, height, width], "seed": args.seed, "bound": args.bound,
            "devices": devices,
        }),
    );
    Ok(if agreeing == runs.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// In 64 bits.
struct Precise;

impl ModuleMapper for Precise {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|value| value.cast(DType::F64))
    }
}

/// What a network gives for images, and its layers on the way, all of it flat.
struct Given {
    outputs: Vec<(&'static str, Vec<f64>)>,
    layers: Vec<(String, Vec<f64>)>,
}

fn given(network: &Model, images: &TensorData, place: (&Device, DType)) -> Given {
    let seen = Rc::new(RefCell::new(Vec::<(ParamId, Vec<f64>)>::new()));
    let to = Rc::clone(&seen);
    let tap = Tap::open(move |id, x| to.borrow_mut().push((id, numbers(x))));
    let outputs = outputs(network.forward(Tensor::from_data(images.clone(), place)));
    drop(tap);
    let mut names = HashMap::new();
    parameters(network, &GradientsParams::new(), |parameter| {
        names.insert(parameter.id, layer_of(parameter.path).to_string());
    });
    let layers = seen.take().into_iter();
    let layers = layers.map(|(id, values)| (names.get(&id).cloned().unwrap_or_default(), values)).collect();
    Given { outputs: outputs.into_iter().map(|(name, x)| (name, numbers(x))).collect(), layers }
}

fn outputs(said: Said) -> Vec<(&'static str, Tensor<1>)> {
    match said {
        Said::Logits(said) => vec![("logits", said.main.reshape([-1]))],
        Said::Labels(said) => vec![("logits", said.main.reshape([-1]))],
        Said::Predictions(said) => {
            vec![("boxes", said.boxes.reshape([-1])), ("scores", said.scores.reshape([-1]))]
        }
    }
}

fn numbers(x: Tensor<1>) -> Vec<f64> {
    x.into_data().iter().collect()
}

/// How far numbers are from what they should be.
#[derive(Debug, Clone, Copy)]
struct Apart {
    most: f64,
    /// Of the largest of what they should be.
    share: f64,
}

impl Apart {
    fn of(found: &[f64], precise: &[f64]) -> Self {
        // A number that is none is as far as can be.
        let distance = |(a, b): (&f64, &f64)| if (a - b).is_nan() { f64::INFINITY } else { (a - b).abs() };
        let most = found.iter().zip(precise).map(distance).fold(0.0, f64::max);
        let largest = precise.iter().fold(f64::MIN_POSITIVE, |most, value| most.max(value.abs()));
        Self { most, share: most / largest }
    }
}

/// A network on a device.
struct Run {
    name: String,
    device: Device,
    network: Model,
    outputs: Vec<(&'static str, Apart)>,
    layers: Vec<Apart>,
    seconds: Vec<f64>,
}

impl Run {
    fn begin(
        name: String,
        device: Device,
        network: &Model,
        images: &TensorData,
        precise: &Given,
    ) -> Result<Self> {
        // `valid`, unlike `clone`, gives it running statistics of its own.
        let network = network.valid().to_device(&device);
        let Given { outputs, layers } = given(&network, images, (&device, DType::F32));
        if layers.len() != precise.layers.len() {
            return Err(Error::failure(format!(
                "{name}: the network has other layers there than in 64 bits"
            )));
        }
        let outputs = outputs.iter().zip(&precise.outputs);
        let outputs =
            outputs.map(|((name, found), (_, precise))| (*name, Apart::of(found, precise))).collect();
        let layers = layers.iter().zip(&precise.layers);
        let layers = layers.map(|((_, found), (_, precise))| Apart::of(found, precise)).collect();
        Ok(Self { name, device, network, outputs, layers, seconds: Vec::new() })
    }

    fn time(&mut self, images: &TensorData) {
        let images = Tensor::from_data(images.clone(), &self.device);
        let began = Instant::now();
        for (_, x) in outputs(self.network.forward(images)) {
            // A GPU is asked for numbers, or it only begins.
            drop(x.into_data());
        }
        self.seconds.push(began.elapsed().as_secs_f64());
    }

    fn median(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    fn agrees(&self, bound: f64) -> bool {
        self.outputs.iter().all(|(_, apart)| apart.share <= bound)
    }

    fn object(&self, batch: usize, bound: f64, layers: &[(String, Vec<f64>)]) -> Value {
        let told = |name: &str, apart: &Apart| json!({"name": name, "error": finite(apart.most), "share": finite(apart.share)});
        let outputs: Vec<Value> = self.outputs.iter().map(|(name, apart)| told(name, apart)).collect();
        let layers: Vec<Value> =
            layers.iter().zip(&self.layers).map(|((name, _), apart)| told(name, apart)).collect();
        json!({
            "device": self.name, "outputs": outputs, "layers": layers, "agrees": self.agrees(bound),
            "seconds": self.median(), "images_per_second": batch as f64 / self.median(),
        })
    }
}

/// JSON has no infinity.
fn finite(number: f64) -> Option<f64> {
    Some(number).filter(|number| number.is_finite())
}

/// A row for each output of each device.
fn summary(runs: &[Run], batch: usize) -> String {
    let rows: Vec<[String; 6]> = runs
        .iter()
        .flat_map(|run| run.outputs.iter().map(move |output| (run, output)))
        .map(|(run, (name, apart))| {
            [
                run.name.clone(),
                name.to_string(),
                format!("{:.1e}", apart.most),
                format!("{:.1e}", apart.share),
                format!("{:.3}", batch as f64 / run.median()),
                format!("{:.2}", runs[0].median() / run.median()),
            ]
        })
        .collect();
    let first = format!("times {}", runs[0].name);
    table(["device", "output", "largest error", "of the largest value", "images/s", &first], &rows)
}

/// A row for each layer: of its largest value, what each device is off.
fn layers(runs: &[Run], precise: &[(String, Vec<f64>)]) -> String {
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    let width = precise.iter().map(|(name, _)| name.chars().count()).fold("layer".len(), usize::max);
    let line = |layer: &str, cells: &[String]| {
        let cells: String = cells
            .iter()
            .zip(&names)
            .map(|(cell, name)| format!("  {cell:>w$}", w = name.len().max(7)))
            .collect();
        format!("{layer:<width$}{cells}\n")
    };
    let mut text = line("layer", &names.iter().map(|name| name.to_string()).collect::<Vec<_>>());
    for (at, (layer, _)) in precise.iter().enumerate() {
        let cells: Vec<String> = runs.iter().map(|run| format!("{:.1e}", run.layers[at].share)).collect();
        text += &line(layer, &cells);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_is_a_share_of_the_largest_value() {
        let Apart { most, share } = Apart::of(&[1.0, -3.5, 0.0], &[1.0, -4.0, 0.25]);
        assert_eq!((most, share), (0.5, 0.125));
        assert_eq!(Apart::of(&[0.0], &[0.0]).share, 0.0);
        assert_eq!(Apart::of(&[f64::NAN, 1.0], &[1.0, 1.0]).most, f64::INFINITY);
    }
}
