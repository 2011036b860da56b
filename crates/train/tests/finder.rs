//! The learning-rate finder.

mod tiny;

use kiln_train::{OptimizerConfig, RateFinder, Sweep};
use serde_json::json;
use tiny::{Halves, Tiny, TwoClasses, alone};

#[test]
fn the_suggestion_is_where_the_loss_falls_fastest() {
    // Against l = log10(rate), the loss is 2 - tanh(3 (l + 2)) up to a rate of 1, steepest at l = -2, and rises after it;
    // a ripple of 0.05 from step to step is on top.
    let points = |ripple: f64| -> Vec<[f64; 2]> {
        let point = |step: i32| {
            let l = -5.0 + 6.0 * f64::from(step) / 120.0;
            let rise = if l > 0.0 { 5.0 * l * l } else { 0.0 };
            [10f64.powf(l), 2.0 - (3.0 * (l + 2.0)).tanh() + rise + ripple * f64::from(step % 2 * 2 - 1)]
        };
        (0..=120).map(point).collect()
    };
    for ripple in [0.0, 0.05] {
        let sweep = Sweep::new(&points(ripple));
        let steepest = sweep.steepest().expect("it falls").rate;
        // Within two steps of the sweep, of which 20 are a power of ten.
        assert!((steepest.log10() + 2.0).abs() <= 0.11, "{steepest}");
        let lowest = sweep.lowest().expect("points").rate;
        assert!((lowest.log10() + 0.2).abs() < 0.45, "{lowest}");
    }
    let rising: Vec<[f64; 2]> = (1..50).map(|step| [f64::from(step), f64::from(step)]).collect();
    assert_eq!(Sweep::new(&rising).steepest(), None);
    assert_eq!(Sweep::new(&[]).steepest(), None);
}

#[test]
fn a_sweep_rises_evenly_and_ends_when_the_loss_blows_up() {
    let _alone = alone();
    let optimizer: OptimizerConfig = serde_json::from_value(json!({"name": "sgd"})).expect("an optimizer");
    let finder = RateFinder { from: 1e-4, to: 1e4, steps: 81, seed: 7 };
    let find = |finder: &RateFinder| {
        let mut seen = 0;
        let train = Halves::train(30, 8);
        let sweep =
            finder.find(Tiny::new(0.0), &optimizer, &TwoClasses::default(), &train, |step| seen = step)?;
        assert_eq!(seen, sweep.points.len());
        Ok::<_, kiln_core::Error>(sweep)
    };
    let sweep = find(&finder).expect("a sweep");
    // 10 steps are a power of ten.
    for (step, point) in sweep.points.iter().enumerate() {
        let rate = 1e-4 * 10f64.powf(step as f64 / 10.0);
        assert!((point.rate / rate - 1.0).abs() < 1e-12);
    }
    // It learns on the way, and no rate of 10^4 is borne.
    assert!(sweep.points.len() > 20 && sweep.points.len() < 81, "{}", sweep.points.len());
    let steepest = sweep.steepest().expect("it learns");
    assert!(steepest.rate > 1e-4 && steepest.rate < 10.0, "{steepest:?}");
    assert!(steepest.rate < sweep.lowest().expect("points").rate);
    // The same seed, the same sweep.
    assert_eq!(find(&finder).expect("a sweep"), sweep);
    for wrong in [RateFinder { from: 0.0, ..finder.clone() }, RateFinder { steps: 3, ..finder.clone() }] {
        assert!(find(&wrong).is_err());
    }
}
