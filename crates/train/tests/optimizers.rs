//! Optimizers beside PyTorch's and beside their papers.

mod traces;

use burn::module::Param;
use burn::optim::GradientsParams;
use burn::prelude::*;
use burn::tensor::{DType, TensorData};
use kiln_train::OptimizerConfig;
use serde_json::{Value, json};
use traces::{numbers, shared};

/// A network of one flat parameter.
#[derive(Module, Debug)]
struct Flat {
    x: Param<Tensor<1>>,
}

fn tensor(values: &[f64], dtype: DType, device: &Device) -> Tensor<1> {
    let data = TensorData::new(values.to_vec(), [values.len()]).convert_dtype(dtype);
    Tensor::from_data(data, (device, dtype))
}

impl Flat {
    fn values(&self) -> Vec<f64> {
        self.x.val().into_data().iter::<f64>().collect()
    }
}

/// The parameter after each of `steps` steps along `gradient(x, step)`.
fn trace(
    config: Value,
    rate: f64,
    start: &[f64],
    steps: usize,
    dtype: DType,
    gradient: impl Fn(&[f64], usize) -> Vec<f64>,
) -> Vec<Vec<f64>> {
    let config: OptimizerConfig = serde_json::from_value(config).expect("a config");
    let mut optimizer = config.init().expect("sane options");
    let x = tensor(start, dtype, &Device::flex().autodiff());
    let mut flat = Flat { x: Param::from_tensor(x) };
    let rows = (0..steps).map(|step| {
        let mut gradients = GradientsParams::new();
        gradients.register(flat.x.id, tensor(&gradient(&flat.values(), step), dtype, &Device::flex()));
        flat = optimizer.step(rate, flat.clone(), gradients);
        flat.values()
    });
    rows.collect()
}

#[test]
fn every_row_of_pytorchs_traces_is_met() {
    let Some(traces) = shared() else { return };
    let start = numbers(&traces["start"]);
    // As make_traces.py writes it down: sin(1 + i + 0.7 t) (1 + 0.1 t) + 0.05 x.
    let gradient = |x: &[f64], t: usize| {
        let t = t as f64;
        let at = |(i, x): (usize, &f64)| (1.0 + i as f64 + 0.7 * t).sin() * (1.0 + 0.1 * t) + 0.05 * x;
        x.iter().enumerate().map(at).collect::<Vec<_>>()
    };
    let rows = traces["optimizers"].as_object().expect("rows");
    assert!(rows.len() >= 17);
    for (row, expected) in rows {
        // Names and options are PyTorch's; a row that we lack does not parse.
        let mut config = expected["options"].clone();
        let options = config.as_object_mut().expect("options");
        let rate = options.remove("lr").and_then(|rate| rate.as_f64()).expect("a rate");
        options.insert("name".into(), expected["kind"].as_str().expect("a kind").to_lowercase().into());
        // PyTorch decays what it is given; the parameter here has one dimension.
        options.insert("decay_norms_and_biases".into(), true.into());
        let rows = expected["x"].as_array().expect("rows");
        assert_eq!(rows.len(), 25, "{row}");
        // A value that passes through 0 is held against 0.1.
        for (dtype, tolerance) in [(DType::F64, 1e-10), (DType::F32, 1e-5)] {
            let ours = trace(config.clone(), rate, &start, 25, dtype, gradient);
            for (step, (ours, theirs)) in ours.iter().zip(rows).enumerate() {
                for (x, y) in ours.iter().zip(numbers(theirs)) {
                    let near = (x - y).abs() <= tolerance * y.abs().max(0.1);
                    assert!(near, "{row}, {dtype:?}, step {step}: {x}, PyTorch has {y}");
                }
            }
        }
    }
}

#[test]
fn three_steps_by_hand() {
    // x = 1, gradients 1, -0.5, 0.25.
    let gradient = |_: &[f64], step: usize| vec![[1.0, -0.5, 0.25][step]];
    let check = |config: Value, rate: f64, expected: [f64; 3]| {
        let rows = trace(config.clone(), rate, &[1.0], 3, DType::F32, gradient);
        for (row, expected) in rows.iter().zip(expected) {
            assert!((row[0] - expected).abs() < 2e-7, "{config}: {} is not {expected}", row[0]);
        }
    };
    // 1 - 0.1 * 1, + 0.1 * 0.5, - 0.1 * 0.25
    check(json!({"name": "sgd"}), 0.1, [0.9, 0.95, 0.925]);
    // Velocities 1, 0.9 * 1 - 0.5 = 0.4, 0.9 * 0.4 + 0.25 = 0.61.
    check(json!({"name": "sgd", "momentum": 0.9}), 0.1, [0.9, 0.86, 0.799]);
    // The same, and ahead of it: 1 + 0.9 * 1 = 1.9, -0.5 + 0.9 * 0.4 = -0.14, 0.25 + 0.9 * 0.61 = 0.799.
    check(json!({"name": "sgd", "momentum": 0.9, "nesterov": true}), 0.1, [0.81, 0.824, 0.7441]);
    // Velocities 1 (undampened), 0.9 - 0.9 * 0.5 = 0.45, 0.9 * 0.45 + 0.9 * 0.25 = 0.63.
    check(json!({"name": "sgd", "momentum": 0.9, "dampening": 0.1}), 0.1, [0.9, 0.855, 0.792]);
    // Step 2: m = 0.09 - 0.05 = 0.04, /(1 - 0.81) = 0.2105263; v = 0.000999 + 0.00025 = 0.001249,
    // /(1 - 0.998001) = 0.6248124, root 0.7904508; 0.2105263 / 0.7904508 = 0.2663370.
    check(json!({"name": "adam"}), 1e-3, [0.999, 0.9987336630, 0.9983932338]);
    let every = json!({"name": "adam", "weight_decay": 0.01, "decay_norms_and_biases": true});
    check(every, 1e-3, [0.999, 0.9987221497, 0.9983686630]);
    // Step 1: 1 * (1 - 1e-3 * 0.01) - 1e-3.
    check(
        json!({"name": "adamw", "decay_norms_and_biases": true}),
        1e-3,
        [0.99899, 0.9987136731, 0.9983632568],
    );
    // Squares' sums 1, 1.25, 1.3125: 0.99 + 0.01 * 0.5 / 1.1180340, - 0.01 * 0.25 / 1.1456439.
    check(json!({"name": "adagrad"}), 0.01, [0.99, 0.9944721360, 0.9922899571]);
    // Rates 0.1, 0.1 / 2, 0.1 / 3: 0.9 + 0.05 * 0.5 / 1.1180340 = 0.9223607, - 0.25 / 30 / 1.1456439 = 0.0072739.
    check(json!({"name": "adagrad", "lr_decay": 1.0}), 0.1, [0.9, 0.9223606798, 0.9150867583]);
    // Mean squares 0.01, 0.0124, 0.012901; roots 0.1, 0.1113553, 0.1135826.
    check(json!({"name": "rmsprop"}), 0.01, [0.90000001, 0.9449013315, 0.9228909139]);
    // Step 1: sqrt(1e-6) / sqrt(0.1 + 1e-6) = 0.0031623.
    check(json!({"name": "adadelta"}), 1.0, [0.9968377382, 0.9989228680, 0.9977697929]);
    // Largest 1, 0.999, 0.998001; averages 0.1, 0.04, 0.061, over 0.1, 0.19, 0.271.
    check(json!({"name": "adamax"}), 2e-3, [0.998, 0.9975785259, 0.9971274397]);
    check(json!({"name": "nadam"}), 2e-3, [0.9978870965, 0.9987093159, 0.9981652015]);
    // Worth fewer than 5 gradients, the second moment is not used: corrected averages 1, 0.2105263, 0.2250923.
    check(json!({"name": "radam"}), 0.1, [0.9, 0.8789473684, 0.8564381434]);
    // Directions 0.1, 0.9 * 0.01 - 0.05 = -0.041, 0.9 * 0.0049 + 0.025 = 0.02941: their signs.
    check(json!({"name": "lion"}), 0.1, [0.9, 1.0, 0.9]);
    // One dimension is not decayed unless asked for.
    check(json!({"name": "adamw"}), 1e-3, [0.999, 0.9987336630, 0.9983932338]);
    check(json!({"name": "sgd", "weight_decay": 0.5}), 0.1, [0.9, 0.95, 0.925]);
}

#[test]
fn options_that_make_no_sense_are_named() {
    let says = |config: Value| {
        let config: OptimizerConfig = serde_json::from_value(config).expect("a config");
        config.init().map(|_| ()).expect_err("no sense").to_string()
    };
    assert_eq!(
        says(json!({"name": "sgd", "nesterov": true})),
        "optimizer.nesterov: has nothing to look ahead along; set `momentum` above 0 and `dampening` to 0"
    );
    assert!(
        says(json!({"name": "sgd", "momentum": 1.0})).starts_with("optimizer.momentum: 1 is out of range")
    );
    assert!(says(json!({"name": "adam", "betas": [0.9, 1.5]})).starts_with("optimizer.betas: [0.9, 1.5] is"));
    assert!(says(json!({"name": "adamw", "weight_decay": -1.0})).starts_with("optimizer.weight_decay: -1"));
    let unknown = serde_json::from_value::<OptimizerConfig>(json!({"name": "sgd", "momentun": 0.9}));
    assert!(unknown.expect_err("misspelt").to_string().contains("unknown field `momentun`"));
}
