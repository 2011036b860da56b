//! The loop.

mod tiny;

use std::sync::atomic::AtomicBool;

use burn::module::{ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::prelude::*;
use kiln_core::Kind;
use kiln_train::{Length, Observer, OptimizerConfig, Place, Trainer, latest};
use serde_json::{Value, json};
use tiny::{ADAMW, Halves, MOMENTUM, Stop, Tiny, TwoClasses, Watch, alone, fit, trainer};

#[test]
fn a_loss_that_is_nan_stops_before_the_update() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let trainer = trainer(folder.path(), MOMENTUM(), 3);
    // An epoch is 4 training and 2 test batches, so the 8th loss is that of the second step of epoch 2.
    let task = TwoClasses { nan_after: Some(7), ..TwoClasses::default() };
    let stop = AtomicBool::new(false);
    let mut watch = Watch::new(&stop);
    let (train, test) = (Halves::train(30, 8), Halves::test(10, 8));
    let observers: &mut [&mut dyn Observer<Tiny>] = &mut [&mut watch];
    let error = trainer.fit(Tiny::new(0.3), &task, &train, &test, observers, &stop).expect_err("NaN");
    let text = error.to_string();
    assert_eq!(error.kind(), Kind::Failure);
    let place = "the loss is not finite: `entropy` is NaN in epoch 2, step 2 of 4 (step 6 of the run)";
    assert!(text.starts_with(place), "{text}");
    assert!(text.contains(&format!("the loss before it was {}", watch.losses[4])), "{text}");
    assert!(text.contains("lower learning rate"), "{text}");
    // Nobody heard of a sixth step, and what is kept is from before it.
    assert_eq!(watch.steps.len(), 5);
    let kept = latest(folder.path()).expect("readable").expect("a checkpoint");
    assert_eq!(kept.place(), Place { epoch: 1, step: 0, global_step: 4 });
    let network = kept.network(Tiny::new(0.3)).expect("the network");
    let finite = network.weights().into_iter().all(|bits| f32::from_bits(bits).is_finite());
    assert!(finite);
}

#[test]
fn weights_that_are_not_finite_are_not_kept() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    // One step of a rate that takes 32-bit weights out of their range, after which no loss is asked for any more.
    let trainer = Trainer {
        learning_rate: 1e39,
        schedule: serde_json::from_value(json!({"name": "constant"})).expect("a schedule"),
        length: Length::Steps(1),
        ..trainer(folder.path(), json!({"name": "sgd"}), 1)
    };
    let error = fit(&trainer, Stop::default()).expect_err("infinite weights");
    assert_eq!(error.kind(), Kind::Failure);
    assert!(error.to_string().contains("is no longer finite after step 1"), "{error}");
    assert!(latest(folder.path()).expect("readable").is_none());
}

#[test]
fn steps_are_counted() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let stop = AtomicBool::new(false);
    // 1000 images in batches of 100 are 10 steps an epoch; in batches of 300 they are 4, the last of 100.
    for (batch, steps) in [(100, 10), (300, 4)] {
        let trainer = trainer(&folder.path().join(batch.to_string()), json!({"name": "sgd"}), 2);
        let mut watch = Watch::new(&stop);
        let (train, test) = (Halves::train(1000, batch), Halves::test(10, 10));
        let observers: &mut [&mut dyn Observer<Tiny>] = &mut [&mut watch];
        trainer.fit(Tiny::new(0.0), &TwoClasses::default(), &train, &test, observers, &stop).expect("a run");
        let expected = (0..2 * steps).map(|step| [step / steps + 1, step % steps + 1, steps, step + 1]);
        assert_eq!(watch.steps, expected.collect::<Vec<_>>());
        assert_eq!((watch.items, watch.bests.len()), (2000, 2));
        assert!(watch.bests[0]);
        // Warm-up of one epoch from a tenth of 0.02: 0.002 first, 0.02 with the second epoch.
        assert!((watch.rates[0] - 0.002).abs() < 1e-15 && (watch.rates[steps] - 0.02).abs() < 1e-15);
    }
    // A length in steps cuts the last epoch short: 14 steps are 4, 4, 4 and 2.
    let trainer = Trainer { length: Length::Steps(14), ..trainer(&folder.path().join("cut"), MOMENTUM(), 0) };
    let short = fit(&trainer, Stop::default()).expect("a run");
    let ends: Vec<_> = short.history.iter().map(|epoch| epoch.step).collect();
    assert_eq!(ends, [4, 8, 12, 14]);
    let longer = Trainer { length: Length::Steps(16), resume: true, ..trainer };
    let error =
        fit(&longer, Stop::default()).expect_err("the second half of an epoch is not to be had").to_string();
    assert!(
        error.contains("epoch-0004: a run of 16 steps does not come through step 0 of epoch 5"),
        "{error}"
    );
}

#[test]
fn weight_decay_leaves_biases_and_norms_alone() {
    let _alone = alone();
    let decayed = |config: Value| {
        let network = Tiny::new(0.0);
        // With gradients of 0, decay is all that moves a weight.
        struct Zeros(GradientsParams);
        impl ModuleVisitor for Zeros {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if param.val().is_require_grad() {
                    self.0.register(param.id, param.val().inner().zeros_like());
                }
            }
        }
        let mut zeros = Zeros(GradientsParams::new());
        network.visit(&mut zeros);
        let values = |n: &Tiny| {
            let bias = |b: &Option<Param<Tensor<1>>>| b.as_ref().expect("a bias").val().into_data();
            let weights = [n.conv.weight.val().into_data(), n.linear.weight.val().into_data()];
            let norm = [n.norm.gamma.val().into_data(), n.norm.beta.val().into_data()];
            (weights, norm, [bias(&n.conv.bias), bias(&n.linear.bias)])
        };
        let before = values(&network);
        let config: OptimizerConfig = serde_json::from_value(config).expect("a config");
        let mut optimizer = config.init().expect("sane");
        let after = values(&optimizer.step(0.5, network, zeros.0));
        (before, after)
    };
    for config in [json!({"name": "sgd", "weight_decay": 0.5}), json!({"name": "adamw", "weight_decay": 0.5})]
    {
        let (before, after) = decayed(config.clone());
        assert_eq!((&before.1, &before.2), (&after.1, &after.2), "{config}");
        for (before, after) in before.0.iter().zip(&after.0) {
            // Both shrink a weight by rate * weight_decay = 0.25; times 0.75 in 32-bit.
            let pairs = before.iter::<f32>().zip(after.iter::<f32>());
            assert!(pairs.into_iter().all(|(b, a)| (a - 0.75 * b).abs() <= 1e-6 * b.abs()), "{config}");
        }
    }
    let (before, after) =
        decayed(json!({"name": "sgd", "weight_decay": 0.5, "decay_norms_and_biases": true}));
    assert_ne!((&before.1, &before.2), (&after.1, &after.2));
}

#[test]
fn the_loss_of_a_tiny_problem_falls_near_zero() {
    let _alone = alone();
    for optimizer in [MOMENTUM(), json!({"name": "adam"}), ADAMW()] {
        let folder = tempfile::tempdir().expect("a folder");
        let trainer = trainer(folder.path(), optimizer.clone(), 30);
        let stop = AtomicBool::new(false);
        let (train, test) = (Halves::train(30, 8), Halves::test(10, 8));
        let fit = trainer
            .fit(Tiny::new(0.1), &TwoClasses::default(), &train, &test, &mut [], &stop)
            .expect("a run");
        let (first, last) = (&fit.history[0], fit.last().expect("an epoch"));
        // Two classes at random cost ln 2 = 0.69.
        assert!(last.test_loss < 0.05 && last.test_loss < first.test_loss, "{optimizer}: {last:?}");
        assert_eq!(last.figures, [("accuracy".to_string(), 1.0)]);
        assert_eq!(fit.best().map(|best| best.figures[0].1), Some(1.0));
    }
}
