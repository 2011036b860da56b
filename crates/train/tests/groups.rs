//! Groups of parameters.

mod tiny;

use burn::module::{ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::prelude::*;
use kiln_train::{OptimizerConfig, Pace};
use serde_json::{Value, json};
use tiny::{Stop, Tiny, alone, fit, trainer};

/// Every parameter's gradient is 1.
struct Ones(GradientsParams);

impl ModuleVisitor for Ones {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.val().is_require_grad() {
            self.0.register(param.id, param.val().inner().ones_like());
        }
    }
}

/// All values by the paths of their parameters.
#[derive(Default)]
struct Values {
    path: Vec<String>,
    all: Vec<(String, Vec<f32>)>,
}

impl ModuleVisitor for Values {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = param.val().try_into_vec_as::<f32>().expect("32-bit");
        self.all.push((self.path.join("."), values));
    }
}

fn values(network: &Tiny) -> Vec<(String, Vec<f32>)> {
    let mut values = Values::default();
    network.visit(&mut values);
    values.all
}

fn config(more: Value) -> OptimizerConfig {
    let mut config = json!({"name": "sgd"});
    config.as_object_mut().expect("a table").extend(more.as_object().expect("a table").clone());
    serde_json::from_value(config).expect("a config")
}

/// How far each parameter moves along a gradient of 1 at rate 1, as a share of the rate; the first value of each.
fn moves(more: Value) -> Vec<(String, f32)> {
    moves_at(1.0.into(), more)
}

/// The same, at another pace.
fn moves_at(pace: Pace, more: Value) -> Vec<(String, f32)> {
    let config = config(more);
    let network = config.freeze(Tiny::new(0.0)).expect("groups that fit");
    let before = values(&network);
    let mut ones = Ones(GradientsParams::new());
    network.visit(&mut ones);
    let mut optimizer = config.init().expect("sane");
    let after = values(&optimizer.step(pace, network, ones.0));
    let moved =
        before.into_iter().zip(after).map(|((name, before), (_, after))| (name, before[0] - after[0]));
    moved.filter(|(name, _)| !name.contains("running_")).collect()
}

fn near(moves: &[(String, f32)], expected: [f32; 6]) {
    let names: Vec<&str> = moves.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["conv.weight", "conv.bias", "norm.gamma", "norm.beta", "linear.weight", "linear.bias"]
    );
    for ((name, moved), expected) in moves.iter().zip(expected) {
        assert!((moved - expected).abs() < 1e-5, "{name}: {moved}, not {expected}");
    }
}

#[test]
fn biases_and_momentum_go_at_their_own_pace() {
    let _alone = alone();
    let pace = Pace { rate: 1.0, biases: 4.0, momentum: None };
    near(&moves_at(pace, json!({})), [1.0, 4.0, 1.0, 4.0, 1.0, 4.0]);
    // Nesterov's first step is g + m g: half of the way from 0.2 to 0.8 is 0.5.
    let pace = Pace { rate: 1.0, biases: 1.0, momentum: Some((0.2, 0.5)) };
    near(&moves_at(pace, json!({"momentum": 0.8, "nesterov": true})), [1.5; 6]);
}

#[test]
fn a_group_has_its_own_rate_and_is_found_by_its_path() {
    let _alone = alone();
    near(&moves(json!({})), [1.0; 6]);
    let backbone = [0.1, 0.1, 0.1, 0.1, 1.0, 1.0];
    near(&moves(json!({"groups": [{"parameters": ["conv", "norm"], "rate": 0.1}]})), backbone);
    near(&moves(json!({"groups": [{"parameters": ["*n*"], "except": ["linear"], "rate": 0.1}]})), backbone);
    near(&moves(json!({"groups": [{"except": ["linear"], "rate": 0.1}]})), backbone);
    // The beginning of a path is whole parts: `lin` is not `linear`, but `lin*` is.
    near(&moves(json!({"groups": [{"parameters": ["lin*"], "rate": 0.5}]})), [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]);
    near(
        &moves(
            json!({"groups": [{"parameters": ["**.bias"], "rate": 2.0}, {"parameters": ["norm.beta"], "rate": 3.0}]}),
        ),
        [1.0, 2.0, 1.0, 3.0, 1.0, 2.0],
    );
}

#[test]
fn layers_near_the_images_learn_more_slowly() {
    let _alone = alone();
    // Three layers: 0.5², 0.5, 1; with a depth of 2 too, since no path here has more parts.
    let halves = [0.25, 0.25, 0.5, 0.5, 1.0, 1.0];
    near(&moves(json!({"layer_decay": {"factor": 0.5}})), halves);
    near(&moves(json!({"layer_decay": {"factor": 0.5, "depth": 2}})), halves);
    let both =
        json!({"layer_decay": {"factor": 0.5}, "groups": [{"parameters": ["conv.bias"], "rate": 0.1}]});
    near(&moves(both), [0.25, 0.025, 0.5, 0.5, 1.0, 1.0]);
}

#[test]
fn a_group_has_its_own_decay() {
    let _alone = alone();
    // With a decay d, a weight w moves by 1 + d w along a gradient of 1.
    let config = json!({"weight_decay": 0.5, "groups": [
        {"parameters": ["linear.weight"], "weight_decay": 0},
        {"parameters": ["norm.gamma"], "weight_decay": 0.25},
    ]});
    let moved = moves(config);
    // Gamma begins at 1; what is neither named nor of two dimensions is not decayed.
    let of = |name: &str| moved.iter().find(|(other, _)| other == name).expect("a parameter").1;
    assert!((of("linear.weight") - 1.0).abs() < 1e-5 && (of("norm.gamma") - 1.25).abs() < 1e-5);
    assert!((of("conv.bias") - 1.0).abs() < 1e-5 && (of("conv.weight") - 1.0).abs() > 1e-3);
}

#[test]
fn what_is_frozen_stays_as_it_is_through_a_run_and_a_resume() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    for (case, frozen) in [("begin", json!(["conv", "norm"])), ("norm", json!(["norm"]))] {
        let optimizer =
            json!({"name": "sgd", "momentum": 0.9, "groups": [{"parameters": frozen, "frozen": true}]});
        let path = |what: &str| folder.path().join(format!("{case}-{what}"));
        let first = fit(&trainer(&path("first"), optimizer.clone(), 1), Stop::default()).expect("a run");
        let whole = fit(&trainer(&path("whole"), optimizer.clone(), 3), Stop::default()).expect("a run");
        let mut broken = trainer(&path("broken"), optimizer, 3);
        fit(&broken, Stop { at: Some(6), ..Stop::default() }).expect("a run");
        broken.resume = true;
        let resumed = fit(&broken, Stop::default()).expect("a run");
        assert_eq!(resumed.network.weights(), whole.network.weights());
        for ((name, a), (_, b)) in values(&first.network).iter().zip(values(&whole.network)) {
            // Running statistics of a frozen normalization are as the layer began: 0 and 1.
            let is_frozen = name.starts_with("norm") || (case == "begin" && name.starts_with("conv"));
            assert_eq!(*a == b, is_frozen, "{case}: {name}");
            assert!(!name.ends_with("running_mean") || b.iter().all(|mean| *mean == 0.0));
        }
    }
}

#[test]
fn groups_that_make_no_sense_are_named() {
    let _alone = alone();
    let says = |more: Value| {
        let config = config(more);
        config.init().and_then(|_| config.check(&Tiny::new(0.0))).expect_err("no sense").to_string()
    };
    for (groups, said) in [
        (
            json!([{"parameters": ["linaer"], "rate": 0.1}]),
            "optimizer.groups.0.parameters: `linaer` matches none of the network's parameters; did you mean `linear`?",
        ),
        (
            json!([{"parameters": ["conv"]}, {"except": ["layer4"]}]),
            "optimizer.groups.1.except: `layer4` matches none of the network's parameters; the network has conv, norm, linear",
        ),
        (
            json!([{"parameters": ["conv"], "rate": 0.1}, {"except": ["linear"], "frozen": true}]),
            "optimizer.groups.1: `conv.weight` is in this group and in group 0 (counted from 0); leave it out of one of them with `except`",
        ),
        (
            json!([{"parameters": ["conv"], "except": ["c*"]}]),
            "optimizer.groups.0: the group holds no parameter; `except` takes all",
        ),
        (
            json!([{"frozen": true}]),
            "optimizer.groups: all parameters are frozen: there is nothing to train; leave some out with `except`",
        ),
        (
            json!([{"parameters": ["conv"], "rate": -1}]),
            "optimizer.groups.0.rate: -1 is no factor of the learning rate; 0 or more, as 0.1",
        ),
        (
            json!([{"parameters": ["a[b"]}]),
            "optimizer.groups.0.parameters: `a[b` is no pattern: invalid range pattern",
        ),
    ] {
        assert_eq!(says(json!({"groups": groups})), said);
    }
    let factor = says(json!({"layer_decay": {"factor": 1.5}}));
    assert_eq!(factor, "optimizer.layer_decay.factor: 1.5 is out of range; above 0, at most 1");
    assert!(says(json!({"layer_decay": {"factor": 0.5, "depth": 0}})).contains("0 parts of a path"));
    let unknown = json!({"name": "sgd", "grups": []});
    let unknown = serde_json::from_value::<OptimizerConfig>(unknown).expect_err("misspelt").to_string();
    assert!(unknown.contains("unknown field `grups`") && unknown.contains("`groups`"), "{unknown}");
}
