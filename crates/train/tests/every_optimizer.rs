//! What must hold for every optimizer.

mod tiny;

use kiln_train::{OptimizerConfig, ScheduleConfig, Trainer};
use serde_json::{Value, json};
use tiny::{Stop, alone, fit, metrics, trainer};

/// Options under which all that an optimizer can remember is remembered, and a rate at which it learns.
fn table() -> Vec<(Value, f64)> {
    vec![
        (json!({"name": "sgd"}), 0.1),
        (json!({"name": "sgd", "momentum": 0.9, "dampening": 0.1}), 0.02),
        (json!({"name": "sgd", "momentum": 0.9, "nesterov": true, "weight_decay": 1e-3}), 0.02),
        (json!({"name": "adagrad"}), 0.05),
        (json!({"name": "adagrad", "lr_decay": 0.01}), 0.05),
        (json!({"name": "rmsprop"}), 0.005),
        (json!({"name": "rmsprop", "centered": true, "momentum": 0.9}), 0.001),
        (json!({"name": "adadelta"}), 1.0),
        (json!({"name": "adam"}), 0.02),
        (json!({"name": "adam", "amsgrad": true}), 0.02),
        (json!({"name": "adamw"}), 0.02),
        (json!({"name": "adamw", "amsgrad": true}), 0.02),
        (json!({"name": "adamax"}), 0.02),
        (json!({"name": "nadam"}), 0.02),
        (json!({"name": "radam"}), 0.02),
        (json!({"name": "lars", "trust": 0.02}), 0.5),
        (json!({"name": "lamb"}), 0.02),
        (json!({"name": "lion"}), 0.005),
        (json!({"name": "swats"}), 0.02),
        // Is SGD from the third step on.
        (json!({"name": "swats", "tolerance": 1e9}), 0.02),
        (
            json!({"name": "adam", "layer_decay": {"factor": 0.5}, "groups": [{"parameters": ["norm"], "rate": 2}]}),
            0.02,
        ),
    ]
}

#[test]
fn the_table_holds_every_optimizer() {
    let unknown =
        serde_json::from_value::<OptimizerConfig>(json!({"name": "?"})).expect_err("unknown").to_string();
    let names: Vec<&str> = unknown.split('`').skip(3).step_by(2).collect();
    assert!(names.len() >= 13 && names.contains(&"swats"), "{unknown}");
    for name in names {
        assert!(table().iter().any(|(config, _)| config["name"] == *name), "`{name}` is not in the table");
        let config: OptimizerConfig = serde_json::from_value(json!({"name": name})).expect("its defaults");
        assert_eq!(config.name(), name);
        // As written, it is read again.
        let written = serde_json::to_value(&config).expect("JSON");
        assert_eq!(serde_json::from_value::<OptimizerConfig>(written).expect("the same"), config);
        config.init().expect("its defaults make sense");
    }
}

#[test]
fn a_resumed_run_equals_the_unbroken_one_by_every_optimizer() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    for (place, (optimizer, learning_rate)) in table().into_iter().enumerate() {
        let path = |what: &str| folder.path().join(format!("{place}-{what}"));
        let whole = Trainer { learning_rate, ..trainer(&path("whole"), optimizer.clone(), 3) };
        let unbroken = fit(&whole, Stop::default()).expect("a run");
        let mut broken = Trainer { run: path("broken"), ..whole.clone() };
        fit(&broken, Stop { at: Some(6), ..Stop::default() }).expect("a run");
        broken.resume = true;
        let resumed = fit(&broken, Stop::default()).expect("a run");
        assert_eq!(resumed.network.weights(), unbroken.network.weights(), "{optimizer}");
        assert_eq!(metrics(&broken.run), metrics(&whole.run), "{optimizer}");
    }
}

#[test]
fn every_optimizer_learns() {
    let _alone = alone();
    for (optimizer, learning_rate) in table() {
        let folder = tempfile::tempdir().expect("a folder");
        let trainer = Trainer { learning_rate, ..trainer(folder.path(), optimizer.clone(), 10) };
        let fit = fit(&trainer, Stop::default()).expect("a run");
        // Two classes at random cost ln 2 = 0.69.
        let last = fit.last().expect("an epoch");
        assert!(last.test_loss < 0.4, "{optimizer}: {last:?}");
    }
}

#[test]
fn a_resumed_run_has_the_rates_of_the_unbroken_one_by_every_schedule() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let plateau = json!({"name": "plateau", "patience": 0, "threshold": 0.99, "factor": 0.5});
    let schedules = [
        plateau.clone(),
        json!({"name": "one-cycle"}),
        json!({"name": "sequence", "parts": [{"epochs": 1, "schedule": {"name": "constant"}}, {"schedule": plateau}]}),
    ];
    for (place, schedule) in schedules.into_iter().enumerate() {
        let config: ScheduleConfig = serde_json::from_value(schedule.clone()).expect("a schedule");
        let path = |what: &str| folder.path().join(format!("{place}-{what}"));
        let whole = Trainer { schedule: config, ..trainer(&path("whole"), json!({"name": "adam"}), 6) };
        let unbroken = fit(&whole, Stop::default()).expect("a run");
        for at in [4, 18] {
            let mut broken = Trainer { run: path(&format!("broken-{at}")), ..whole.clone() };
            fit(&broken, Stop { at: Some(at), ..Stop::default() }).expect("a run");
            broken.resume = true;
            let resumed = fit(&broken, Stop::default()).expect("a run");
            assert_eq!(resumed.network.weights(), unbroken.network.weights(), "{schedule}");
            assert_eq!(metrics(&broken.run), metrics(&whole.run), "{schedule}");
        }
        // The rate did fall on the way.
        let rates: Vec<f64> = unbroken.history.iter().map(|epoch| epoch.rate).collect();
        assert!(rates.last() < rates.first() || schedule["name"] == "one-cycle", "{schedule}: {rates:?}");
    }
}
