//! Optimizers and schedules beside PyTorch's.

use std::path::Path;

use burn::module::Param;
use burn::optim::GradientsParams;
use burn::prelude::*;
use kiln_train::{OptimizerConfig, Schedule, ScheduleConfig};
use serde_json::{Value, json};

/// A network of one flat parameter.
#[derive(Module, Debug)]
struct Flat {
    x: Param<Tensor<1>>,
}

impl Flat {
    fn new(start: &[f64]) -> Self {
        let start: Vec<f32> = start.iter().map(|x| *x as f32).collect();
        Self { x: Param::from_data(start.as_slice(), &Device::flex().autodiff()) }
    }

    fn values(&self) -> Vec<f64> {
        self.x.val().try_into_vec_as::<f32>().expect("32-bit").into_iter().map(f64::from).collect()
    }
}

/// The parameter after each of `steps` steps along `gradient(x, step)`.
fn trace(
    config: Value,
    rate: f64,
    start: &[f64],
    steps: usize,
    gradient: impl Fn(&[f64], usize) -> Vec<f64>,
) -> Vec<Vec<f64>> {
    let config: OptimizerConfig = serde_json::from_value(config).expect("a config");
    let mut optimizer = config.init().expect("sane options");
    let mut flat = Flat::new(start);
    let rows = (0..steps).map(|step| {
        let gradient: Vec<f32> = gradient(&flat.values(), step).into_iter().map(|g| g as f32).collect();
        let mut gradients = GradientsParams::new();
        gradients.register(flat.x.id, Tensor::<1>::from_data(gradient.as_slice(), &Device::flex()));
        flat = optimizer.step(rate, flat.clone(), gradients);
        flat.values()
    });
    rows.collect()
}

fn shared() -> Option<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/optim/traces.json");
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).expect("traces are JSON")),
        Err(_) => {
            println!("skipped: {} is not there", path.display());
            None
        }
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

#[test]
fn optimizers_agree_with_pytorch_over_25_steps() {
    let Some(traces) = shared() else { return };
    let start = numbers(&traces["start"]);
    // As make_traces.py writes it down: sin(1 + i + 0.7 t) (1 + 0.1 t) + 0.05 x.
    let gradient = |x: &[f64], t: usize| {
        let t = t as f64;
        let at = |(i, x): (usize, &f64)| (1.0 + i as f64 + 0.7 * t).sin() * (1.0 + 0.1 * t) + 0.05 * x;
        x.iter().enumerate().map(at).collect::<Vec<_>>()
    };
    for (row, kind) in [
        ("sgd", "sgd"),
        ("sgd_wd", "sgd"),
        ("momentum", "sgd"),
        ("momentum_dampening", "sgd"),
        ("nesterov", "sgd"),
        ("adam", "adam"),
        ("adam_wd", "adam"),
        ("adamw", "adamw"),
    ] {
        let expected = &traces["optimizers"][row];
        let mut config = expected["options"].clone();
        let rate = config["lr"].as_f64().expect("a rate");
        let options = config.as_object_mut().expect("options");
        options.remove("lr");
        options.insert("name".into(), kind.into());
        // PyTorch decays what it is given; the parameter here has one dimension.
        options.insert("decay_norms_and_biases".into(), true.into());
        let rows = expected["x"].as_array().expect("rows");
        assert_eq!(rows.len(), 25, "{row}");
        let ours = trace(config, rate, &start, 25, gradient);
        for (step, (ours, theirs)) in ours.iter().zip(rows).enumerate() {
            for (x, y) in ours.iter().zip(numbers(theirs)) {
                // 1e-5 relative; a value that passes through 0 is held against 0.1.
                assert!((x - y).abs() <= 1e-5 * y.abs().max(0.1), "{row}, step {step}: {x}, PyTorch has {y}");
            }
        }
    }
}

#[test]
fn three_steps_by_hand() {
    // x = 1, gradients 1, -0.5, 0.25.
    let gradient = |_: &[f64], step: usize| vec![[1.0, -0.5, 0.25][step]];
    let check = |config: Value, rate: f64, expected: [f64; 3]| {
        let rows = trace(config.clone(), rate, &[1.0], 3, gradient);
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

fn schedule(config: Value, base: f64, steps_per_epoch: usize, steps: usize) -> Schedule {
    let config: ScheduleConfig = serde_json::from_value(config).expect("a config");
    config.resolve(base, steps_per_epoch, steps).expect("sane options")
}

#[test]
fn schedules_agree_with_pytorch() {
    let Some(traces) = shared() else { return };
    // PyTorch's schedules are stepped once a step here, so an epoch is one step long.
    for (row, config) in [
        ("constant", json!({"name": "constant"})),
        ("step", json!({"name": "step", "every_epochs": 7})),
        ("multistep", json!({"name": "multistep", "milestones": [5, 12, 20], "gamma": 0.2})),
        ("multistep", json!({"name": "multistep", "milestones_steps": [5, 12, 20], "gamma": 0.2})),
        ("linear", json!({"name": "constant", "warmup": {"epochs": 10, "start": 0.1}})),
        ("cosine", json!({"name": "cosine", "final_rate": 1e-3})),
        ("polynomial", json!({"name": "polynomial", "power": 0.9})),
        ("warmup_cosine", json!({"name": "cosine", "warmup": {"epochs": 5, "start": 0.01}})),
    ] {
        let ours = schedule(config, 0.1, 1, 25);
        let theirs = numbers(&traces["schedules"][row]);
        assert_eq!(theirs.len(), 25);
        for (step, rate) in theirs.into_iter().enumerate() {
            assert!(
                (ours.rate(step) - rate).abs() < 1e-12,
                "{row}, step {step}: {}, not {rate}",
                ours.rate(step)
            );
        }
    }
}

#[test]
fn milestones_in_epochs_and_in_steps_are_the_same_places() {
    // ResNet's recipe for CIFAR (He et al., 2015, section 4.2): 0.1, divided by 10 at 32k and 48k of 64k iterations; of
    // 50000 images in batches of 128, 391 to the epoch.
    let steps =
        schedule(json!({"name": "multistep", "milestones_steps": [32_000, 48_000]}), 0.1, 391, 64_000);
    let near = |rate: f64, expected: f64| (rate / expected - 1.0).abs() < 1e-12;
    for (step, rate) in
        [(0, 0.1), (31_999, 0.1), (32_000, 0.01), (47_999, 0.01), (48_000, 0.001), (63_999, 0.001)]
    {
        assert!(near(steps.rate(step), rate), "step {step}: {}", steps.rate(step));
    }
    // Half an epoch of 10 steps is 5 steps.
    let epochs = schedule(json!({"name": "multistep", "milestones": [1.5, 3]}), 1.0, 10, 40);
    for (step, rate) in [(14, 1.0), (15, 0.1), (29, 0.1), (30, 0.01)] {
        assert!(near(epochs.rate(step), rate), "step {step}: {}", epochs.rate(step));
    }
    // A straight line from 1 to 0.2 in 4 steps.
    let line = schedule(json!({"name": "polynomial", "final_rate": 0.2}), 1.0, 4, 4);
    for (step, rate) in [(0, 1.0), (1, 0.8), (2, 0.6), (3, 0.4)] {
        assert!(near(line.rate(step), rate), "step {step}: {}", line.rate(step));
    }
    // Warm-up of half an epoch from a fifth: 0.2, 0.36, 0.52, 0.68, 0.84, then 1.
    let warm = schedule(json!({"name": "constant", "warmup": {"epochs": 0.5, "start": 0.2}}), 1.0, 10, 40);
    for (step, rate) in [(0, 0.2), (1, 0.36), (4, 0.84), (5, 1.0), (39, 1.0)] {
        assert!(near(warm.rate(step), rate), "step {step}: {}", warm.rate(step));
    }
}

#[test]
fn schedules_that_make_no_sense_are_named() {
    let says = |config: Value, base: f64| {
        let config: ScheduleConfig = serde_json::from_value(config).expect("a config");
        config.resolve(base, 10, 40).expect_err("no sense").to_string()
    };
    assert_eq!(
        says(json!({"name": "constant"}), -0.1),
        "learning_rate: -0.1 is no rate; give a number above 0, as 0.1"
    );
    assert!(says(json!({"name": "multistep"}), 0.1).starts_with("schedule.milestones: one of"));
    assert!(
        says(json!({"name": "multistep", "milestones": [3, 2]}), 0.1)
            .starts_with("schedule.milestones: do not")
    );
    assert!(
        says(json!({"name": "step", "every_epochs": 0.0}), 0.1)
            .starts_with("schedule.every_epochs: 0 epochs")
    );
    assert!(
        says(json!({"name": "cosine", "final_rate": 1.0}), 0.1).starts_with("schedule.final_rate: 1 is not")
    );
    let long = says(json!({"name": "cosine", "warmup": {"epochs": 5}}), 0.1);
    assert!(long.starts_with("schedule.warmup.epochs: 5 do not fit in a run of 4 epochs"), "{long}");
    let unknown =
        serde_json::from_value::<ScheduleConfig>(json!({"name": "step", "every_epochs": 1, "gama": 0.1}));
    assert!(unknown.expect_err("misspelt").to_string().contains("unknown field `gama`"));
}
