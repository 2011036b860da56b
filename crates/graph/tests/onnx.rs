//! Every model as an ONNX file, run by ONNX Runtime.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod zoo;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use burn::module::{ModuleMapper, Param};
use burn::prelude::*;
use burn::tensor::Distribution;
use kiln_core::Network;
use kiln_graph::Graph;
use kiln_zoo::{Entry, Output as Said, REGISTRY};

/// The Python that has `onnxruntime` and `numpy`.
const PYTHON: &str = "KILN_ONNX_PYTHON";

/// Reads a line a model: its file, and before each of its outputs' names a file of floats, the images' first. Answers with the
/// largest difference as a share of the largest output.
const SCRIPT: &str = r#"
import sys, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
for line in sys.stdin:
    model, images, *outputs = line.split()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    x = session.get_inputs()[0]
    said = session.run(None, {x.name: numpy.fromfile(images, "float32").reshape(x.shape)})
    worst = 0.0
    for value, description, file in zip(said, session.get_outputs(), outputs):
        ours = numpy.fromfile(file, "float32").reshape(value.shape)
        assert list(value.shape) == list(description.shape), (value.shape, description.shape)
        assert numpy.isfinite(ours).all() and numpy.isfinite(value).all()
        worst = max(worst, float(numpy.abs(value - ours).max() / numpy.abs(ours).max()))
    print(worst, flush=True)
"#;

struct Runtime {
    child: Child,
    tell: ChildStdin,
    hear: BufReader<ChildStdout>,
}

impl Runtime {
    fn new(python: &str) -> Self {
        let mut child = Command::new(python)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, hear) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, tell, hear }
    }

    fn ask(&mut self, files: &[String]) -> Option<f64> {
        writeln!(self.tell, "{}", files.join(" ")).ok()?;
        let mut line = String::new();
        self.hear.read_line(&mut line).ok()?;
        line.trim().parse().ok()
    }
}

/// Gives normalizations numbers that none of them could do without, and that keep the deepest network's in bounds; biases such
/// that a detector's scores are not all next to nothing, where ONNX Runtime's sigmoid is coarse; and numbers to layers that
/// begin with zeros.
struct Uneven {
    path: Vec<String>,
}

impl ModuleMapper for Uneven {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (low, high) = match self.path.last().map(String::as_str) {
            Some("gamma") => (0.05, 0.25),
            Some("beta" | "bias" | "running_mean") => (-0.2, 0.2),
            Some("running_var") => (0.5, 1.5),
            Some("weight") if param.val().abs().max().into_scalar::<f32>() == 0.0 => (-0.05, 0.05),
            _ => return param,
        };
        let shape = param.lazy_shape();
        param.map(|tensor| Tensor::random(shape, Distribution::Uniform(low, high), &tensor.device()))
    }
}

fn write(folder: &Path, name: &str, values: Vec<f32>) -> String {
    let file = folder.join(name);
    std::fs::write(&file, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    file.to_str().unwrap().to_string()
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

fn check(entry: &Entry, runtime: &mut Runtime, folder: &Path) {
    let device = Device::flex();
    device.seed(7);
    let model = entry.model(entry.num_classes(), &device).map(&mut Uneven { path: Vec::new() });
    // Where two pixels are nearly the same, which of them a max pool finds depends on the last bit, and SegNet puts values back
    // at that place: a small image has none.
    let size = if entry.family() == "SegNet" { [1, 3, 32, 32] } else { entry.input() };
    let images = Tensor::<4>::random(size, Distribution::Normal(0.0, 1.0), &device);
    let graph = Graph::capture(&model, size, |model, x| zoo::outputs(&model.forward(x))).unwrap();
    let file = folder.join("model.onnx");
    std::fs::write(&file, graph.onnx(&model, &[]).unwrap()).unwrap();
    let mut files = vec![file.to_str().unwrap().to_string(), write(folder, "images", floats(images.clone()))];
    match model.forward(images) {
        Said::Logits(said) => files.push(write(folder, "logits", floats(said.main))),
        Said::Labels(said) => files.push(write(folder, "logits", floats(said.main))),
        Said::Predictions(said) => {
            files.push(write(folder, "boxes", floats(said.boxes)));
            files.push(write(folder, "scores", floats(said.scores)));
        }
    }
    let worst = runtime.ask(&files);
    println!("{}: {worst:?}", entry.name);
    assert!(worst.is_some_and(|worst| worst <= 1e-4), "{}: {worst:?}", entry.name);
}

#[test]
fn what_onnx_does_not_have_is_named() {
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    let conv = Conv2dConfig::new([3, 4], [3, 3]).init(&Device::flex());
    let run = |conv: &Conv2d, x: Tensor<4>| vec![kiln_graph::Output::new("map", &conv.forward(x).cumsum(1))];
    let graph = Graph::capture(&conv, [1, 3, 8, 8], run).unwrap();
    let error = graph.onnx(&conv, &[]).unwrap_err().to_string();
    assert!(error.contains("cumsum"), "{error}");
}

#[test]
fn onnx_runtime_says_what_the_model_says() {
    let Ok(python) = std::env::var(PYTHON) else {
        println!("skipped: {PYTHON} names no Python with onnxruntime");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut runtime = Runtime::new(&python);
    let only = std::env::var("KILN_ONNX_MODELS").ok();
    let chosen =
        |entry: &&Entry| only.as_ref().is_none_or(|names| names.split(',').any(|name| name == entry.name));
    REGISTRY.iter().filter(chosen).for_each(|entry| check(entry, &mut runtime, folder.path()));
    drop(runtime.tell);
    runtime.child.wait().unwrap();
}
