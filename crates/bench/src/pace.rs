//! Measuring in turns: whatever else the machine does falls on every side alike.

use std::time::Duration;

use kiln_core::Result;

/// One side of a comparison: does its work so many times and says how many milliseconds one took.
pub type Side<'a> = Box<dyn FnMut(usize) -> Result<f64> + 'a>;

/// How often is measured.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Turns.
    pub steps: usize,
    /// Milliseconds that a turn takes at least: short work is done several times in it.
    pub least: f64,
}

/// Turns before the first that counts: memory is fetched from the system, threads are started, plans are made.
const WARM_UP: usize = 2;

/// Between two turns: OpenMP's threads spin for 3 milliseconds after the other side's work is done.
const PAUSE: Duration = Duration::from_millis(6);

/// The median of each side's milliseconds.
///
/// # Errors
/// A side that fails.
pub fn in_turns(pace: Pace, sides: &mut [Side]) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for side in &mut *sides {
        for _ in 0..WARM_UP {
            side(1)?;
        }
        times.push((pace.least / side(1)?).ceil().clamp(1.0, 1000.0) as usize);
    }
    let mut measured = vec![Vec::new(); sides.len()];
    for _ in 0..pace.steps {
        for ((side, times), measured) in sides.iter_mut().zip(&times).zip(&mut measured) {
            std::thread::sleep(PAUSE);
            if *times > 1 {
                // Short work would show that caches are cold and threads asleep.
                side(1)?;
            }
            measured.push(side(*times)?);
        }
    }
    Ok(measured.iter().map(|values| median(values)).collect())
}

/// The middle value, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// The root of the product; `None` of nothing.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (sum / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_median_is_the_middle_value_or_the_mean_of_two() {
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), 3.0);
    }

    #[test]
    fn the_geometric_mean_is_the_root_of_the_product() {
        // (0.5 * 4 * 0.5)^(1/3) = 1, and twice as fast and twice as slow cancel.
        for values in [&[0.5, 4.0, 0.5][..], &[0.5, 2.0]] {
            assert!(geometric_mean(values).is_some_and(|mean| (mean - 1.0).abs() < 1e-12), "{values:?}");
        }
        assert_eq!(geometric_mean(&[]), None);
    }

    #[test]
    fn sides_take_turns_and_short_work_is_repeated() {
        let calls = RefCell::new(Vec::new());
        let side = |name: char, takes: f64| -> Side {
            let calls = &calls;
            Box::new(move |times| {
                calls.borrow_mut().push((name, times));
                Ok(takes)
            })
        };
        let pace = Pace { steps: 2, least: 10.0 };
        let medians = in_turns(pace, &mut [side('a', 4.0), side('b', 30.0)]).expect("no side fails");
        assert_eq!(medians, [4.0, 30.0]);
        // Each warms up twice and is timed once; 10 / 4 is 3 times, rounded up.
        let warm = [('a', 1), ('a', 1), ('a', 1), ('b', 1), ('b', 1), ('b', 1)];
        // What is repeated is done once more before.
        let turns = [('a', 1), ('a', 3), ('b', 1), ('a', 1), ('a', 3), ('b', 1)];
        assert_eq!(*calls.borrow(), [&warm[..], &turns].concat());
    }
}
