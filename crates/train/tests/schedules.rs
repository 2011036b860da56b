//! Schedules beside PyTorch's and beside arithmetic.

mod traces;

use kiln_train::{EpochSummary, Schedule, ScheduleConfig};
use serde_json::{Value, json};
use traces::{numbers, shared};

fn schedule(config: Value, base: f64, steps_per_epoch: usize, steps: usize) -> Schedule {
    let config: ScheduleConfig = serde_json::from_value(config).expect("a config");
    config.resolve(base, steps_per_epoch, steps).expect("sane options")
}

/// Epochs of one step each, with these test losses and scores.
fn history(losses: &[f64], scores: &[f64]) -> Vec<EpochSummary> {
    let epoch = |(index, loss): (usize, &f64)| EpochSummary {
        epoch: index + 1,
        step: index + 1,
        rate: 0.0,
        train_loss: 0.0,
        test_loss: *loss,
        figures: scores.get(index).map(|score| ("accuracy".to_string(), *score)).into_iter().collect(),
        average: None,
    };
    losses.iter().enumerate().map(epoch).collect()
}

#[test]
fn every_row_of_pytorchs_schedules_is_met() {
    let Some(traces) = shared() else { return };
    let rows = traces["schedules"].as_object().expect("rows");
    assert!(rows.len() >= 11);
    for (row, expected) in rows {
        // The options of make_traces.py. PyTorch's schedules are stepped once a step there: an epoch is one step long.
        let (base, configs) = match row.as_str() {
            "constant" => (0.1, vec![json!({"name": "constant"})]),
            "step" => (0.1, vec![json!({"name": "step", "every_epochs": 7})]),
            "multistep" => (
                0.1,
                vec![
                    json!({"name": "multistep", "milestones": [5, 12, 20], "gamma": 0.2}),
                    json!({"name": "multistep", "milestones_steps": [5, 12, 20], "gamma": 0.2}),
                ],
            ),
            "exponential" => (0.1, vec![json!({"name": "exponential", "gamma": 0.9})]),
            "linear" => (
                0.1,
                vec![
                    json!({"name": "linear", "start": 0.1, "epochs": 10}),
                    json!({"name": "constant", "warmup": {"epochs": 10, "start": 0.1}}),
                ],
            ),
            "cosine" => (0.1, vec![json!({"name": "cosine", "final_rate": 1e-3})]),
            "warm_restarts" => (0.1, vec![json!({"name": "warm-restarts", "first_epochs": 5, "factor": 2})]),
            "polynomial" => (0.1, vec![json!({"name": "polynomial", "power": 0.9})]),
            // Its highest rate is its own there, 0.5.
            "one_cycle" => (0.5, vec![json!({"name": "one-cycle"})]),
            "warmup_cosine" => (
                0.1,
                vec![
                    json!({"name": "cosine", "warmup": {"epochs": 5, "start": 0.01}}),
                    json!({"name": "sequence", "parts": [
                        {"epochs": 5, "schedule": {"name": "linear", "start": 0.01}},
                        {"schedule": {"name": "cosine"}},
                    ]}),
                ],
            ),
            "plateau" => (0.1, vec![json!({"name": "plateau", "patience": 2, "factor": 0.5})]),
            _ => panic!("there is no schedule for the row `{row}`"),
        };
        let rates = numbers(expected.get("rate").unwrap_or(expected));
        let scores = expected.get("scores").map(numbers).unwrap_or_default();
        assert_eq!(rates.len(), 25, "{row}");
        for config in configs {
            let ours = schedule(config, base, 1, 25);
            for (step, theirs) in rates.iter().enumerate() {
                let rate = ours.rate(step, &history(&scores[..step.min(scores.len())], &[]));
                assert!((rate - theirs).abs() < 1e-12, "{row}, step {step}: {rate}, not {theirs}");
            }
        }
    }
}

#[test]
fn one_cycle_in_straight_lines_and_in_three_legs() {
    // 11 steps, of which 0.4 * 11 - 1 = 3.4 rise from 1 / 4 to 1; the rest, to step 10, fall to 1 / 4 / 10.
    let line = json!({"name": "one-cycle", "pct_start": 0.4, "div_factor": 4, "final_div_factor": 10, "anneal": "linear"});
    let ours = schedule(line.clone(), 1.0, 1, 11);
    for (step, rate) in [
        (0, 0.25),
        (1, 0.25 + 0.75 / 3.4),
        (3, 0.25 + 0.75 * 3.0 / 3.4),
        (4, 1.0 - 0.975 * 0.6 / 6.6),
        (10, 0.025),
    ] {
        assert!((ours.rate(step, &[]) - rate).abs() < 1e-12, "step {step}: {}", ours.rate(step, &[]));
    }
    // The same, but back at 1 / 4 with step 6.8 first.
    let mut three = line;
    three["three_phase"] = true.into();
    let ours = schedule(three, 1.0, 1, 11);
    for (step, rate) in [
        (3, 0.25 + 0.75 * 3.0 / 3.4),
        (5, 1.0 - 0.75 * 1.6 / 3.4),
        (8, 0.25 - 0.225 * 1.2 / 3.2),
        (10, 0.025),
    ] {
        assert!((ours.rate(step, &[]) - rate).abs() < 1e-12, "step {step}: {}", ours.rate(step, &[]));
    }
    // So short a run that it does not rise at all.
    let short = schedule(json!({"name": "one-cycle"}), 1.0, 1, 3);
    assert!((0..3).all(|step| short.rate(step, &[]).is_finite()));
}

#[test]
fn a_plateau_waits_cools_down_and_stops_at_the_last_rate() {
    let rate = |more: Value, losses: &[f64], scores: &[f64]| {
        let mut config = json!({"name": "plateau", "patience": 1, "factor": 0.1});
        config.as_object_mut().expect("a table").extend(more.as_object().expect("a table").clone());
        schedule(config, 1.0, 1, 100).rate(losses.len(), &history(losses, scores))
    };
    let flat = [1.0; 9];
    // The first is the best; then one is waited out, and with the one after it the rate falls: at 3, 5, 7, 9.
    for (epochs, falls) in [(2, 0), (3, 1), (4, 1), (5, 2), (7, 3)] {
        let ours = rate(json!({}), &flat[..epochs], &[]);
        assert!((ours / 0.1f64.powi(falls) - 1.0).abs() < 1e-12, "{epochs}: {ours}");
    }
    // After a fall two are not counted: at 3, then 4 and 5 pass, 6 is waited out, 7.
    for (epochs, falls) in [(3, 1), (6, 1), (7, 2)] {
        let ours = rate(json!({"cooldown": 2}), &flat[..epochs], &[]);
        assert!((ours / 0.1f64.powi(falls) - 1.0).abs() < 1e-12, "{epochs}: {ours}");
    }
    assert_eq!(rate(json!({"final_rate": 0.05}), &flat, &[]), 0.05);
    // Better by less than the threshold is not better; a tenth of 1 is more than 0.95 leaves.
    assert_eq!(rate(json!({"threshold": 0.1}), &[1.0, 0.95, 0.91], &[]), 0.1);
    assert_eq!(rate(json!({"threshold": 0.1}), &[1.0, 0.95, 0.89], &[]), 1.0);
    // The score rises while the loss does too.
    let (losses, scores) = ([1.0, 1.1, 1.2, 1.3], [0.5, 0.6, 0.7, 0.8]);
    assert_eq!(rate(json!({"watch": "score"}), &losses, &scores), 1.0);
    assert_eq!(rate(json!({"watch": "loss"}), &losses, &scores), 0.1);
    // What is no number is no better, and nothing is worse than it.
    assert_eq!(rate(json!({}), &[1.0, f64::NAN, f64::NAN], &[]), 0.1);
    assert_eq!(rate(json!({}), &[f64::NAN, 1.0, 0.9], &[]), 1.0);
}

#[test]
fn a_part_of_a_sequence_counts_from_its_own_beginning() {
    // 2 epochs level, then a plateau of its own: of the epochs, the first two are not its.
    let ours = schedule(
        json!({"name": "sequence", "parts": [
            {"epochs": 2, "schedule": {"name": "constant"}},
            {"epochs": 4, "schedule": {"name": "plateau", "patience": 0, "factor": 0.5}},
            {"schedule": {"name": "linear", "start": 1.0, "end": 0.0}},
        ]}),
        1.0,
        1,
        10,
    );
    let flat = history(&[1.0; 10], &[]);
    let rates: Vec<f64> = (0..10).map(|step| ours.rate(step, &flat[..step])).collect();
    // Its first evaluation, the third of all, is its best; each one after it is none better.
    assert_eq!(rates, [1.0, 1.0, 1.0, 1.0, 0.5, 0.25, 1.0, 0.75, 0.5, 0.25]);
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
        assert!(near(steps.rate(step, &[]), rate), "step {step}: {}", steps.rate(step, &[]));
    }
    // Half an epoch of 10 steps is 5 steps.
    let epochs = schedule(json!({"name": "multistep", "milestones": [1.5, 3]}), 1.0, 10, 40);
    for (step, rate) in [(14, 1.0), (15, 0.1), (29, 0.1), (30, 0.01)] {
        assert!(near(epochs.rate(step, &[]), rate), "step {step}: {}", epochs.rate(step, &[]));
    }
    // A straight line from 1 to 0.2 in 4 steps.
    let line = schedule(json!({"name": "polynomial", "final_rate": 0.2}), 1.0, 4, 4);
    for (step, rate) in [(0, 1.0), (1, 0.8), (2, 0.6), (3, 0.4)] {
        assert!(near(line.rate(step, &[]), rate), "step {step}: {}", line.rate(step, &[]));
    }
    // Warm-up of half an epoch from a fifth: 0.2, 0.36, 0.52, 0.68, 0.84, then 1.
    let warm = schedule(json!({"name": "constant", "warmup": {"epochs": 0.5, "start": 0.2}}), 1.0, 10, 40);
    for (step, rate) in [(0, 0.2), (1, 0.36), (4, 0.84), (5, 1.0), (39, 1.0)] {
        assert!(near(warm.rate(step, &[]), rate), "step {step}: {}", warm.rate(step, &[]));
    }
}

#[test]
fn a_warm_up_takes_biases_from_a_fast_rate_and_momentum_from_a_small_one() {
    // YOLOv5's: over three epochs weights rise from 0, biases fall from 0.1, momentum rises from 0.8, here to 0.9; the rate
    // itself falls from 1 to 0 in the 40 steps after the warm-up.
    let warmup = json!({"epochs": 1, "start": 0.0, "bias_rate": 0.1, "momentum": 0.8});
    let ours = schedule(json!({"name": "linear", "start": 1.0, "end": 0.0, "warmup": warmup}), 0.02, 10, 50);
    let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
    for (step, rate, biases, momentum) in
        [(0, 0.0, 0.1, 0.8), (5, 0.01, 0.06, 0.85), (10, 0.02, 0.02, 0.9), (30, 0.01, 0.01, 0.9)]
    {
        let pace = ours.pace(step, &[]);
        let found = [pace.rate, pace.biases, pace.momentum(0.9)];
        assert!(
            found.into_iter().zip([rate, biases, momentum]).all(|(a, b)| near(a, b)),
            "{step}: {found:?}"
        );
    }
    let plain = schedule(json!({"name": "constant", "warmup": {"epochs": 1, "start": 0.5}}), 0.02, 10, 50);
    assert_eq!(plain.pace(0, &[]), 0.01.into());
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
    let part = |more: Value| json!({"name": "sequence", "parts": [more, {"schedule": {"name": "constant"}}]});
    for (config, start) in [
        (json!({"name": "sequence", "parts": []}), "schedule.parts: a sequence of nothing"),
        (part(json!({"schedule": {"name": "constant"}})), "schedule.parts.0.epochs: is missing"),
        (
            part(json!({"epochs": 4, "schedule": {"name": "constant"}})),
            "schedule.parts.0.epochs: 4 leave nothing",
        ),
        (
            part(json!({"epochs": 1, "schedule": {"name": "cosine", "final_rate": 9}})),
            "schedule.parts.0.schedule.final_rate: 9 is not between",
        ),
        (json!({"name": "plateau", "factor": 1.0}), "schedule.factor: 1 is no factor"),
        (json!({"name": "plateau", "final_rate": 1.0}), "schedule.final_rate: 1 is not between"),
        (json!({"name": "one-cycle", "pct_start": 1.5}), "schedule.pct_start: 1.5 is no share"),
        (
            json!({"name": "one-cycle", "pct_start": 0.6, "three_phase": true}),
            "schedule.pct_start: 0.6 is no share",
        ),
        (
            json!({"name": "warm-restarts", "first_epochs": 0}),
            "schedule.first_epochs: 0 epochs are not a step",
        ),
        (json!({"name": "warm-restarts", "first_epochs": 1, "factor": 0}), "schedule.factor: 0 would leave"),
        (json!({"name": "linear", "start": 2.0}), "schedule.start: 2 is no share"),
        (json!({"name": "linear", "start": 0.0, "epochs": 9}), "schedule.epochs: 9 are not a part"),
        (json!({"name": "exponential", "gamma": 0.0}), "schedule.gamma: 0 is no factor"),
    ] {
        let said = says(config, 0.1);
        assert!(said.starts_with(start), "{said}");
    }
    let unknown =
        serde_json::from_value::<ScheduleConfig>(json!({"name": "step", "every_epochs": 1, "gama": 0.1}));
    assert!(unknown.expect_err("misspelt").to_string().contains("unknown field `gama`"));
}
