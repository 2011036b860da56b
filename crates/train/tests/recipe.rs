//! The parts of a recipe, each against its equation.

mod tiny;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use burn::module::Param;
use burn::nn::{Linear, LinearConfig};
use burn::prelude::*;
use kiln_core::{Batches, Network, Result, Task};
use kiln_train::{
    Average, Clip, EarlyStop, Event, Fit, Freeze, Length, Observer, Outcome, Recipe, RunningStatistics, Sam,
    Trainer,
};
use serde_json::json;
use tiny::{Halves, Stop, Tiny, TwoClasses, alone, fit, metrics, trainer};

/// Without batch normalization and dropout, so that a gradient of many images is the average of theirs.
#[derive(Module, Debug)]
struct Plain {
    linear: Linear,
}

impl Plain {
    fn new() -> Self {
        let device = Device::flex().autodiff();
        device.seed(5);
        let plain = Self { linear: LinearConfig::new(48, 2).init(&device) };
        plain.weights();
        plain
    }

    fn weights(&self) -> Vec<f32> {
        let bias = self.linear.bias.as_ref().expect("a bias").val();
        let both = [self.linear.weight.val().into_data(), bias.into_data()];
        both.iter().flat_map(|data| data.iter::<f32>().collect::<Vec<_>>()).collect()
    }
}

impl Network for Plain {
    type Output = Tensor<2>;

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.linear.forward(images.flatten(1, 3))
    }
}

/// Keeps the weights after every epoch, and their average.
#[derive(Default)]
struct Weights {
    after: Vec<Vec<f32>>,
    averages: Vec<Option<Vec<f32>>>,
}

impl Observer<Plain> for Weights {
    fn notify(&mut self, event: &Event<Plain>) -> Result<()> {
        if let Event::Evaluated { network, average, .. } = event {
            self.after.push(network.weights());
            self.averages.push(average.map(Plain::weights));
        }
        Ok(())
    }
}

/// A run of stochastic gradient descent at a constant rate of 0.1.
fn run(folder: &Path, items: usize, batch: usize, epochs: usize, recipe: Recipe) -> Weights {
    let sgd = serde_json::from_value(json!({"name": "sgd"})).expect("an optimizer");
    let trainer = Trainer { recipe, ..Trainer::new(folder, Length::Epochs(epochs), 0.1, sgd) };
    let mut weights = Weights::default();
    let observers: &mut [&mut dyn Observer<Plain>] = &mut [&mut weights];
    let (train, test) = (Halves::train(items, batch), Halves::test(10, 8));
    let stop = AtomicBool::new(false);
    trainer.fit(Plain::new(), &TwoClasses::default(), &train, &test, observers, &stop).expect("a run");
    weights
}

fn near(ours: &[f32], theirs: &[f32], what: &str) {
    assert_eq!(ours.len(), theirs.len());
    let furthest = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(furthest < 2e-6, "{what}: {furthest}");
}

#[test]
fn accumulated_gradients_are_those_of_the_large_batch() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    // 30 images in batches of 5 by two are those in batches of 10; in batches of 4 by two (8, 8, 8 and 4 + 2) those of 8, where
    // the last step weighs a batch of 4 and one of 2.
    for (large, small, accumulate) in [(10, 5, 2), (8, 4, 2), (12, 4, 3)] {
        let whole = run(&path(&format!("{large}")), 30, large, 3, Recipe::default());
        let recipe = Recipe { accumulate, ..Recipe::default() };
        let parts = run(&path(&format!("{large}-{small}")), 30, small, 3, recipe);
        for (parts, whole) in parts.after.iter().zip(&whole.after) {
            near(parts, whole, &format!("{small} x {accumulate}"));
        }
        assert_ne!(whole.after[0], whole.after[2]);
    }
}

/// The gradient of the loss over the first batch, and the weights.
fn first_gradient(network: &Plain, batch: usize) -> Vec<f32> {
    let batch = Halves::train(30, batch).epoch(0, 0).next().expect("a batch").expect("readable");
    let losses = TwoClasses::default().loss(network.forward(batch.images.clone()), &batch);
    let gradients = losses.total().backward();
    let weight = network.linear.weight.val().grad(&gradients).expect("a gradient").into_data();
    let bias = network.linear.bias.as_ref().expect("a bias").val().grad(&gradients).expect("one").into_data();
    [weight, bias].iter().flat_map(|data| data.iter::<f32>().collect::<Vec<_>>()).collect()
}

fn length(values: &[f32]) -> f32 {
    values.iter().map(|value| value * value).sum::<f32>().sqrt()
}

#[test]
fn clipping_shortens_the_gradient_as_a_whole_or_each_number() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let (before, gradient) = (Plain::new().weights(), first_gradient(&Plain::new(), 30));
    let norm = length(&gradient);
    assert!(norm > 0.2, "{norm}");
    let clipped = |clip: Clip| {
        let recipe = Recipe { clip: Some(clip), ..Recipe::default() };
        let name = format!("{clip:?}").replace(['{', '}', ' ', ':'], "");
        run(&folder.path().join(name), 30, 30, 1, recipe).after.remove(0)
    };
    // One step of w - 0.1 g over all 30 images; PyTorch's factor is max / (norm + 1e-6), where that is below 1.
    let stepped = |change: &dyn Fn(f32) -> f32| -> Vec<f32> {
        before.iter().zip(&gradient).map(|(w, g)| w - 0.1 * change(*g)).collect()
    };
    near(&clipped(Clip::Norm { max: 0.1 }), &stepped(&|g| g * 0.1 / (norm + 1e-6)), "norm");
    near(&clipped(Clip::Norm { max: 1e3 }), &stepped(&|g| g), "a norm that is never reached");
    near(&clipped(Clip::Value { max: 0.01 }), &stepped(&|g| g.clamp(-0.01, 0.01)), "value");
    assert!(gradient.iter().any(|g| *g > 0.01) && gradient.iter().any(|g| *g < -0.01));
}

#[test]
fn sam_takes_the_gradient_uphill() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let network = Plain::new();
    let (before, gradient) = (network.weights(), first_gradient(&network, 30));
    // w + rho g / |g|, and the gradient there.
    let rho = 0.5;
    let scale = rho / length(&gradient);
    let mut uphill = Plain::new();
    let moved: Vec<f32> = before.iter().zip(&gradient).map(|(w, g)| w + scale * g).collect();
    let device = Device::flex().autodiff();
    let weight = Tensor::<1>::from_data(&moved[..96], &device).reshape([48, 2]);
    uphill.linear.weight = Param::from_tensor(weight);
    uphill.linear.bias = Some(Param::from_tensor(Tensor::from_data(&moved[96..], &device)));
    let there = first_gradient(&uphill, 30);
    let expected: Vec<f32> = before.iter().zip(&there).map(|(w, g)| w - 0.1 * g).collect();
    let recipe = Recipe { sam: Some(Sam { rho: f64::from(rho) }), ..Recipe::default() };
    let ours = run(folder.path(), 30, 30, 1, recipe).after.remove(0);
    near(&ours, &expected, "sam");
    let plain: Vec<f32> = before.iter().zip(&gradient).map(|(w, g)| w - 0.1 * g).collect();
    assert!(ours.iter().zip(&plain).any(|(a, b)| (a - b).abs() > 1e-4), "another step than without");
}

#[test]
fn a_moving_average_is_corrected_for_having_begun_at_zero() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    // An epoch is one step, so that the weights after every step are known.
    for (name, decay, ramp_steps) in [("plain", 0.9, 0), ("ramp", 0.99, 3)] {
        let average = Average::Ema { decay, ramp_steps, every_steps: 1, statistics: Default::default() };
        let recipe = Recipe { average: Some(average), ..Recipe::default() };
        let weights = run(&folder.path().join(name), 30, 30, 6, recipe);
        // v <- d v + (1 - d) w from 0, divided by 1 - the product of the d, as Adam has it.
        let (mut v, mut product) = (vec![0.0; 98], 1.0);
        for (step, after) in weights.after.iter().enumerate() {
            let d = match ramp_steps {
                0 => decay,
                ramp => decay * (1.0 - (-(step as f64 + 1.0) / ramp as f64).exp()),
            };
            product *= d;
            v.iter_mut().zip(after).for_each(|(v, w)| *v = d * *v + (1.0 - d) * f64::from(*w));
            let expected: Vec<f32> = v.iter().map(|v| (v / (1.0 - product)) as f32).collect();
            let ours = weights.averages[step].as_ref().expect("one an epoch");
            near(ours, &expected, &format!("{name}, step {step}"));
        }
        // The first is the weights themselves.
        assert_eq!(weights.averages[0].as_ref(), Some(&weights.after[0]));
    }
}

#[test]
fn swa_is_the_mean_of_the_weights_at_the_ends_of_epochs() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let average = Average::Swa { after_epochs: 2, every_epochs: 2, lr: Some(0.05) };
    let recipe = Recipe { average: Some(average), ..Recipe::default() };
    let weights = run(folder.path(), 30, 10, 6, recipe);
    // After epochs 2, 4 and 6; tried after the last alone.
    assert!(weights.averages[..5].iter().all(Option::is_none));
    let mean = |at: usize| (weights.after[1][at] + weights.after[3][at] + weights.after[5][at]) / 3.0;
    let expected: Vec<f32> = (0..98).map(mean).collect();
    near(weights.averages[5].as_ref().expect("the last"), &expected, "swa");
}

/// Keeps what the average of a network with batch normalization is.
#[derive(Default)]
struct Statistics {
    averages: Vec<[Vec<f32>; 3]>,
    networks: Vec<Tiny>,
}

fn statistics(network: &Tiny) -> [Vec<f32>; 3] {
    let values = |tensor: Tensor<1>| tensor.into_data().iter::<f32>().collect();
    let norm = &network.norm;
    [values(norm.running_mean.value()), values(norm.running_var.value()), values(norm.gamma.val())]
}

impl Observer<Tiny> for Statistics {
    fn notify(&mut self, event: &Event<Tiny>) -> Result<()> {
        if let Event::Evaluated { network, average, .. } = event {
            self.networks.push((*network).clone());
            self.averages.extend(average.map(statistics));
        }
        Ok(())
    }
}

fn run_tiny(folder: &Path, batch: usize, epochs: usize, recipe: Recipe) -> (Statistics, Fit<Tiny>) {
    let sgd = serde_json::from_value(json!({"name": "sgd", "momentum": 0.9})).expect("an optimizer");
    let trainer = Trainer { recipe, ..Trainer::new(folder, Length::Epochs(epochs), 0.1, sgd) };
    let mut seen = Statistics::default();
    let observers: &mut [&mut dyn Observer<Tiny>] = &mut [&mut seen];
    let (train, test) = (Halves::train(30, batch), Halves::test(10, 8));
    let stop = AtomicBool::new(false);
    let fit = trainer.fit(Tiny::new(0.0), &TwoClasses::default(), &train, &test, observers, &stop);
    (seen, fit.expect("a run"))
}

#[test]
fn swa_computes_running_statistics_anew() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    // Of one epoch alone: the average is the weights after it, and only its running statistics differ from theirs.
    let average = Average::Swa { after_epochs: 1, every_epochs: 1, lr: None };
    let recipe = Recipe { average: Some(average), ..Recipe::default() };
    let (seen, _) = run_tiny(folder.path(), 10, 1, recipe);
    let network = &seen.networks[0];
    let [mean, variance, gamma] = &seen.averages[0];
    assert_eq!(*gamma, statistics(network)[2]);
    // The mean over the batches of each batch's mean, and of its variance divided by n (as Burn's layer has it): what the
    // layer is given is what the convolution says.
    let (mut means, mut variances, mut batches) = (vec![0.0; 4], vec![0.0; 4], 0.0);
    for batch in Halves::test(30, 10).epoch(1, 0) {
        let x = network.conv.forward(batch.expect("a batch").images);
        let x = x.swap_dims(0, 1).flatten::<2>(1, 3);
        let values: Vec<f64> = x.clone().into_data().iter::<f64>().collect();
        let count = values.len() / 4;
        for (channel, values) in values.chunks(count).enumerate() {
            let mean = values.iter().sum::<f64>() / count as f64;
            means[channel] += mean;
            variances[channel] += values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count as f64;
        }
        batches += 1.0;
    }
    let expected: Vec<f32> = means.iter().map(|sum| (sum / batches) as f32).collect();
    near(mean, &expected, "means");
    for (ours, sum) in variance.iter().zip(variances) {
        assert!((f64::from(*ours) / (sum / batches) - 1.0).abs() < 1e-4, "{ours}, not {}", sum / batches);
    }
    assert_ne!(*mean, statistics(network)[0]);
}

#[test]
fn running_statistics_of_a_moving_average_are_averaged_or_copied() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    for statistics_are in [RunningStatistics::Average, RunningStatistics::Copy] {
        let average = Average::Ema { decay: 0.5, ramp_steps: 0, every_steps: 1, statistics: statistics_are };
        let recipe = Recipe { average: Some(average), ..Recipe::default() };
        let (seen, _) = run_tiny(&folder.path().join(format!("{statistics_are:?}")), 30, 2, recipe);
        let [first, second] = [0, 1].map(|epoch| statistics(&seen.networks[epoch]));
        let [mean, _, gamma] = &seen.averages[1];
        // (0.5 * 0.5 * a + 0.5 * b) / (1 - 0.25) = a / 3 + 2 b / 3.
        let averaged = |at: usize| -> Vec<f32> {
            first[at].iter().zip(&second[at]).map(|(a, b)| a / 3.0 + b * 2.0 / 3.0).collect()
        };
        near(gamma, &averaged(2), "weights");
        match statistics_are {
            RunningStatistics::Average => near(mean, &averaged(0), "averaged"),
            RunningStatistics::Copy => assert_eq!(*mean, second[0]),
        }
        assert_ne!(first[0], second[0]);
    }
}

#[test]
fn sam_leaves_running_statistics_as_the_first_pass_moved_them() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let seen = [None, Some(Sam { rho: 0.1 })].map(|sam| {
        let recipe = Recipe { sam, ..Recipe::default() };
        run_tiny(&folder.path().join(format!("{}", sam.is_some())), 30, 1, recipe).0
    });
    // One step from the same weights: the same first pass, another gradient.
    let [without, with] = seen.map(|seen| statistics(&seen.networks[0]));
    assert_eq!((&with[0], &with[1]), (&without[0], &without[1]));
    assert_ne!(with[2], without[2]);
}

#[test]
fn a_frozen_part_stays_as_it_is_until_it_is_let_go() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let freeze = vec![
        Freeze { path: "conv".into(), from_epoch: 0, until_epoch: Some(2) },
        Freeze { path: "norm".into(), from_epoch: 1, until_epoch: None },
    ];
    let recipe = Recipe { freeze, ..Recipe::default() };
    let (seen, _) = run_tiny(folder.path(), 10, 3, recipe);
    let conv = |epoch: usize| seen.networks[epoch].conv.weight.val().into_data();
    let linear = |epoch: usize| seen.networks[epoch].linear.weight.val().into_data();
    let norm = |epoch: usize| statistics(&seen.networks[epoch]);
    assert_eq!(conv(0), conv(1));
    assert_ne!(conv(1), conv(2));
    // Its weights and its running statistics.
    assert_eq!((norm(0), norm(1)), (norm(1), norm(2)));
    assert!(norm(0)[0].iter().all(|mean| *mean != 0.0), "it learned in the first epoch");
    assert_ne!(linear(0), linear(1));
    assert_ne!(linear(1), linear(2));
}

#[test]
fn parts_that_are_not_there_or_leave_nothing_are_named() {
    let _alone = alone();
    let says = |path: &str, until_epoch| {
        let freeze = vec![Freeze { path: path.into(), from_epoch: 0, until_epoch }];
        let recipe = Recipe { freeze, ..Recipe::default() };
        recipe.check_parts(&Plain::new(), 3).map_err(|error| error.to_string())
    };
    assert_eq!(
        says("linaer", None),
        Err("train.freeze: no parameter's path begins with `linaer`; did you mean `linear`?".into())
    );
    assert_eq!(says("linear", None), Err("train.freeze: nothing is left to learn in epoch 1".into()));
    assert_eq!(
        says("linear.bias", Some(0)).map_err(|said| said.contains("not frozen for an epoch")),
        Err(true)
    );
    assert_eq!(says("linear.bias", Some(2)), Ok(()));
    // A name, not letters: `lin` is no part of `linear`.
    assert!(says("lin", None).is_err());
}

#[test]
fn a_run_that_gets_no_better_ends_and_stays_ended() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    // The problem is easy: after some epochs all ten test images are right, and no epoch is better than the first such one.
    let recipe = Recipe { early_stop: Some(EarlyStop { patience: 3, min_gain: 0.0 }), ..Recipe::default() };
    let mut trainer = Trainer { recipe, ..trainer(folder.path(), json!({"name": "adam"}), 200) };
    let first = fit(&trainer, Stop::default()).expect("a run");
    assert_eq!(first.outcome, Outcome::StoppedEarly);
    let best = first.best().expect("one").epoch;
    assert_eq!(first.history.len(), best + 3);
    let before = metrics(folder.path());
    trainer.resume = true;
    let again = fit(&trainer, Stop::default()).expect("a run");
    assert_eq!((again.outcome, again.history.len()), (Outcome::StoppedEarly, best + 3));
    assert_eq!(metrics(folder.path()), before);
}
