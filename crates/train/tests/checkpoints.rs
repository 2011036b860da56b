//! Runs that are resumed, and the checkpoints they are resumed from.

mod tiny;

use std::fs;
use std::path::Path;

use kiln_core::Kind;
use kiln_train::{
    Average, Clip, Freeze, Length, Outcome, Place, Recipe, RunningStatistics, Sam, ScheduleConfig, Trainer,
};
use serde_json::json;
use tiny::{ADAMW, MOMENTUM, Stop, alone, fit, metrics, trainer};

#[test]
fn resume_equals_the_unbroken_run() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    for optimizer in [MOMENTUM(), ADAMW()] {
        let name = optimizer["name"].as_str().expect("a name").to_string();
        let whole = trainer(&folder.path().join(format!("{name}-whole")), optimizer.clone(), 3);
        let unbroken = fit(&whole, Stop::default()).expect("a run");
        assert_eq!((unbroken.outcome, unbroken.place.global_step), (Outcome::Finished, 12));
        let cases = [
            ("border", Stop { at: Some(4), ..Stop::default() }, Place { epoch: 0, step: 4, global_step: 4 }),
            ("middle", Stop { at: Some(6), ..Stop::default() }, Place { epoch: 1, step: 2, global_step: 6 }),
            ("start", Stop { at: Some(1), ..Stop::default() }, Place { epoch: 0, step: 1, global_step: 1 }),
            (
                "evaluation",
                Stop { in_evaluation: Some(3), ..Stop::default() },
                Place { epoch: 2, step: 4, global_step: 12 },
            ),
        ];
        for (case, stop, place) in cases {
            let mut broken = trainer(&folder.path().join(format!("{name}-{case}")), optimizer.clone(), 3);
            let first = fit(&broken, stop).expect("a run");
            assert_eq!((first.outcome, first.place), (Outcome::Interrupted, place), "{name} {case}");
            assert!(first.history.len() < 3);
            broken.resume = true;
            let second = fit(&broken, Stop::default()).expect("a run");
            assert_eq!(second.outcome, Outcome::Finished);
            assert_eq!(second.network.weights(), unbroken.network.weights(), "{name} {case}");
            assert_eq!(metrics(&broken.run), metrics(&whole.run), "{name} {case}");
            assert_eq!(second.history, unbroken.history);
            let log = fs::read_to_string(broken.run.join("log.txt")).expect("a log");
            assert!(
                log.contains(&format!("interrupted after step {} of epoch {}", place.step, place.epoch + 1)),
                "{log}"
            );
            assert!(log.contains("finished; best was epoch"), "{log}");
        }
        // Between epochs: two epochs, then a third; a constant rate, since a cosine depends on the length.
        let constant = serde_json::from_value::<ScheduleConfig>(json!({"name": "constant"})).expect("one");
        let path = |what: &str| folder.path().join(format!("{name}-{what}"));
        let whole = Trainer { schedule: constant.clone(), ..trainer(&path("three"), optimizer.clone(), 3) };
        let unbroken = fit(&whole, Stop::default()).expect("a run");
        let two = Trainer { schedule: constant, ..trainer(&path("two"), optimizer.clone(), 2) };
        fit(&two, Stop::default()).expect("a run");
        let three = Trainer { length: Length::Epochs(3), resume: true, ..two };
        let longer = fit(&three, Stop::default()).expect("a run");
        assert_eq!(longer.network.weights(), unbroken.network.weights(), "{name}, lengthened");
        assert_eq!(metrics(&three.run), metrics(&whole.run), "{name}, lengthened");
    }
}

#[test]
fn a_run_with_every_part_resumes_as_the_unbroken_run() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let ema =
        || Average::Ema { decay: 0.9, ramp_steps: 4, every_steps: 2, statistics: RunningStatistics::Average };
    let swa = || Average::Swa { after_epochs: 1, every_epochs: 1, lr: Some(0.01) };
    let full = |average| Recipe {
        accumulate: 2,
        clip: Some(Clip::Norm { max: 0.5 }),
        sam: Some(Sam { rho: 0.05 }),
        average: Some(average),
        freeze: vec![Freeze { path: "conv".into(), from_epoch: 1, until_epoch: Some(2) }],
        early_stop: None,
    };
    for (name, recipe) in [("ema", full(ema())), ("swa", full(swa()))] {
        let path = |what: &str| folder.path().join(format!("{name}-{what}"));
        let optimizer = json!({"name": "adamw"});
        let run =
            |what: &str| Trainer { recipe: recipe.clone(), ..trainer(&path(what), optimizer.clone(), 3) };
        let whole = run("whole");
        let unbroken = fit(&whole, Stop::default()).expect("a run");
        // Two batches a step: two steps an epoch of four batches.
        assert_eq!(unbroken.place.global_step, 6);
        assert!(unbroken.history[2].average.is_some());
        let cases = [
            ("first", Stop { at: Some(1), ..Stop::default() }),
            ("middle", Stop { at: Some(3), ..Stop::default() }),
            ("border", Stop { at: Some(4), ..Stop::default() }),
            ("evaluation", Stop { in_evaluation: Some(3), ..Stop::default() }),
        ];
        for (case, stop) in cases {
            let mut broken = run(case);
            assert_eq!(fit(&broken, stop).expect("a run").outcome, Outcome::Interrupted, "{name} {case}");
            broken.resume = true;
            let second = fit(&broken, Stop::default()).expect("a run");
            assert_eq!(second.network.weights(), unbroken.network.weights(), "{name} {case}");
            assert_eq!(second.history, unbroken.history, "{name} {case}");
            assert_eq!(metrics(&broken.run), metrics(&whole.run), "{name} {case}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_metrics() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let runs = [("a", 7), ("b", 7), ("c", 8)].map(|(name, seed)| {
        let trainer = Trainer { seed, ..trainer(&folder.path().join(name), MOMENTUM(), 2) };
        fit(&trainer, Stop::default()).expect("a run");
        metrics(&trainer.run)
    });
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    assert!(runs[0][0].starts_with("epoch,step,rate,train_loss,test_loss,accuracy\n1,4,"), "{}", runs[0][0]);
    assert_eq!(runs[0][0].lines().count(), 3);
}

#[test]
fn old_checkpoints_are_removed() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    fit(&trainer(folder.path(), ADAMW(), 4), Stop::default()).expect("a run");
    let names = |run: &Path| {
        let entries = fs::read_dir(run.join("checkpoints")).expect("checkpoints");
        let mut names: Vec<_> =
            entries.map(|e| e.expect("one").file_name().into_string().expect("a name")).collect();
        names.sort();
        names
    };
    assert_eq!(names(folder.path()), ["epoch-0003", "epoch-0004"]);

    let folder = tempfile::tempdir().expect("a folder");
    fit(&trainer(folder.path(), ADAMW(), 4), Stop { at: Some(6), ..Stop::default() }).expect("a run");
    assert_eq!(names(folder.path()), ["epoch-0001", "epoch-0001-step-000002"]);
    let files = |name: &str| folder.path().join("checkpoints/epoch-0001").join(name).is_file();
    assert!(["network.bpk", "optimizer.safetensors", "state.json"].into_iter().all(files));
}

#[test]
fn a_damaged_checkpoint_is_named() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let mut trainer = trainer(folder.path(), MOMENTUM(), 1);
    fit(&trainer, Stop::default()).expect("a run");
    (trainer.length, trainer.resume) = (Length::Epochs(2), true);
    let checkpoint = folder.path().join("checkpoints/epoch-0001");
    let says = |name: &str, damage: &dyn Fn(Vec<u8>) -> Option<Vec<u8>>| {
        let file = checkpoint.join(name);
        let whole = fs::read(&file).expect("a file");
        match damage(whole.clone()) {
            Some(bytes) => fs::write(&file, bytes).expect("written"),
            None => fs::remove_file(&file).expect("removed"),
        }
        let error = fit(&trainer, Stop::default()).expect_err("damaged");
        assert_eq!((error.kind(), error.file_named()), (Kind::Input, Some(&*file)), "{error}");
        fs::write(&file, whole).expect("written");
        error.message().to_string()
    };
    for name in ["network.bpk", "optimizer.safetensors", "state.json"] {
        let half = says(name, &|bytes| Some(bytes[..bytes.len() / 2].to_vec()));
        assert!(half.starts_with("the checkpoint is damaged"), "{half}");
        assert!(says(name, &|_| None).contains("no such file"));
    }
    let flipped = says("network.bpk", &|mut bytes| {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        Some(bytes)
    });
    assert!(flipped.contains("SHA-256"), "{flipped}");
    assert!(says("state.json", &|_| Some(b"{\"a\": 1}".to_vec())).contains("no version"));
    let newer = |bytes: Vec<u8>| {
        Some(String::from_utf8(bytes).expect("text").replace("\"version\": 2", "\"version\": 9").into())
    };
    assert!(says("state.json", &newer).starts_with("is of version 9"));
    // Whole again, it is resumed.
    assert_eq!(fit(&trainer, Stop::default()).expect("a run").place.epoch, 2);
}

#[test]
fn a_resume_that_would_be_another_run_is_refused() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let first = trainer(folder.path(), MOMENTUM(), 1);
    let says = |trainer: &Trainer| fit(trainer, Stop::default()).expect_err("refused").to_string();
    let none = says(&Trainer { resume: true, ..first.clone() });
    assert!(none.contains("has no checkpoint to resume from; start the run without resuming"), "{none}");
    fit(&first, Stop::default()).expect("a run");
    assert!(
        says(&first).contains("the run has checkpoints already; resume it, or choose another run folder")
    );
    let seed = says(&Trainer { seed: 8, resume: true, ..first.clone() });
    assert!(seed.contains("state.json: seed: was 7 in this run, and now is 8"), "{seed}");
    let optimizer = serde_json::from_value(ADAMW()).expect("an optimizer");
    let optimizer = says(&Trainer { optimizer, resume: true, ..first.clone() });
    assert!(optimizer.contains("optimizer: was sgd in this run, and now is adamw"), "{optimizer}");
    let done = fit(&Trainer { resume: true, ..first }, Stop::default()).expect("nothing left to do");
    assert_eq!((done.outcome, done.history.len()), (Outcome::Finished, 1));
}
