//! What is told between the backward pass and the step.

mod tiny;

use std::sync::atomic::AtomicBool;

use kiln_core::Result;
use kiln_train::{Clip, Event, Length, Observer, Parameter, Recipe, Sam, Trainer, parameters};
use serde_json::json;
use tiny::{Halves, Tiny, TwoClasses, alone};

/// Weights and gradients of every step.
#[derive(Default)]
struct Between(Vec<[Vec<f32>; 2]>);

impl Observer<Tiny> for Between {
    fn notify(&mut self, event: &Event<Tiny>) -> Result<()> {
        if let Event::Learned { global_step, network, gradients } = event {
            assert_eq!(*global_step, self.0.len() + 1);
            let (mut both, mut paths) = ([Vec::new(), Vec::new()], Vec::new());
            parameters(*network, gradients, |Parameter { path, value, gradient, .. }| {
                paths.push(path.to_string());
                both[0].extend(value.into_data().iter::<f32>());
                both[1].extend(gradient.expect("a gradient").into_data().iter::<f32>());
            });
            let all = ["conv.weight", "conv.bias", "norm.gamma", "norm.beta", "linear.weight", "linear.bias"];
            assert_eq!(paths, all);
            self.0.push(both);
        }
        Ok(())
    }
}

#[test]
fn gradients_are_told_as_the_step_follows_them() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let rows = [
        Recipe::default(),
        Recipe { accumulate: 2, clip: Some(Clip::Norm { max: 0.3 }), ..Recipe::default() },
        Recipe { sam: Some(Sam { rho: 0.05 }), ..Recipe::default() },
    ];
    for (number, recipe) in rows.into_iter().enumerate() {
        let sgd = serde_json::from_value(json!({"name": "sgd"})).expect("an optimizer");
        let path = folder.path().join(number.to_string());
        let trainer = Trainer { recipe, ..Trainer::new(path, Length::Epochs(2), 0.1, sgd) };
        let mut between = Between::default();
        let (train, test) = (Halves::train(30, 8), Halves::test(10, 8));
        let (task, stop) = (TwoClasses::default(), AtomicBool::new(false));
        let fit =
            trainer.fit(Tiny::new(0.3), &task, &train, &test, &mut [&mut between], &stop).expect("a run");
        assert_eq!(between.0.len(), fit.place.global_step);
        for steps in between.0.windows(2) {
            let [[weights, gradient], [after, _]] = steps else { unreachable!("pairs") };
            let expected = weights.iter().zip(gradient).map(|(w, g)| w - 0.1 * g);
            let furthest = after.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(furthest < 1e-6 && after != weights, "row {number}: {furthest}");
        }
    }
}
