//! How many numbers are where.

use serde::{Deserialize, Serialize};

/// Bins of a histogram.
const BINS: usize = 30;

/// Quantiles are taken of so many numbers, evenly spread over all: of more, a sort would take longer than a small network's step.
const SORTED: usize = 1 << 15;

/// The shares of the numbers that lie below a histogram's quantiles.
pub const SHARES: [f64; 7] = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99];

/// How the numbers of a tensor are distributed.
///
/// Bins and figures are of the finite numbers alone; where there is none, there is no bin, and the figures are 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Finite numbers.
    pub count: u64,
    /// Those of them that are 0.
    pub zeros: u64,
    /// Numbers that are none.
    pub nan: u64,
    /// Infinite numbers.
    pub infinite: u64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation: the root of the mean square distance from the mean.
    pub std: f64,
    /// Below these lie the [`SHARES`] of the numbers: each is a number of the tensor. Of a large tensor they are those of an evenly
    /// spread part.
    pub quantiles: [f64; SHARES.len()],
    /// How many lie in each of equally wide bins from the least number to the greatest; one bin if they are the same.
    pub bins: Vec<u64>,
}

impl Histogram {
    /// Of these numbers.
    pub fn of(values: &[f32]) -> Self {
        let finite = || values.iter().filter(|value| value.is_finite()).map(|value| f64::from(*value));
        let nan = values.iter().filter(|value| value.is_nan()).count() as u64;
        let count = finite().count() as u64;
        let infinite = values.len() as u64 - count - nan;
        if count == 0 {
            return Self { nan, infinite, ..Self::default() };
        }
        let zeros = finite().filter(|value| *value == 0.0).count() as u64;
        let (min, max) = finite()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), value| (min.min(value), max.max(value)));
        let mean = finite().sum::<f64>() / count as f64;
        let variance = finite().map(|value| (value - mean).powi(2)).sum::<f64>() / count as f64;
        let mut bins = vec![0; if max > min { BINS } else { 1 }];
        let last = bins.len() - 1;
        let a_unit = if max > min { BINS as f64 / (max - min) } else { 0.0 };
        finite().for_each(|value| bins[(((value - min) * a_unit) as usize).min(last)] += 1);
        let (std, quantiles) = (variance.sqrt(), quantiles(values));
        Self { count, zeros, nan, infinite, min, max, mean, std, quantiles, bins }
    }

    /// Where the bins end, the last of them at the greatest number.
    pub fn ends(&self) -> impl Iterator<Item = f64> + '_ {
        let width = (self.max - self.min) / self.bins.len() as f64;
        let last = self.bins.len();
        (1..=last).map(move |bin| if bin == last { self.max } else { self.min + bin as f64 * width })
    }
}

/// The quantiles of the finite ones of these numbers.
fn quantiles(values: &[f32]) -> [f64; SHARES.len()] {
    let apart = values.len().div_ceil(SORTED).max(1);
    let mut some: Vec<f32> =
        values.iter().copied().step_by(apart).filter(|value| value.is_finite()).collect();
    some.sort_unstable_by(f32::total_cmp);
    SHARES.map(|share| some.get((share * some.len() as f64) as usize).map_or(0.0, |value| f64::from(*value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_numbers() {
        // 0, 1, …, 99: their variance is (100² - 1) / 12. Bins of 3.3: 0 to 3, 4 to 6, 7 to 9, then 10 to 13.
        let values: Vec<f32> = (0..100).map(|value| value as f32).collect();
        let all = Histogram::of(&values);
        assert_eq!((all.count, all.zeros, all.nan, all.infinite), (100, 1, 0, 0));
        assert_eq!((all.min, all.max, all.mean), (0.0, 99.0, 49.5));
        assert!((all.std - (9_999.0f64 / 12.0).sqrt()).abs() < 1e-12, "{}", all.std);
        assert_eq!(all.quantiles, [1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 99.0]);
        assert_eq!((all.bins.len(), all.bins.iter().sum::<u64>()), (30, 100));
        assert_eq!(all.bins[..4], [4, 3, 3, 4]);
        let ends: Vec<f64> = all.ends().collect();
        assert!((ends[0] - 3.3).abs() < 1e-12 && ends[29] == 99.0, "{ends:?}");
    }

    #[test]
    fn numbers_that_are_not_finite_are_counted_and_nothing_else() {
        let some = Histogram::of(&[f32::NAN, 2.0, f32::INFINITY, f32::NEG_INFINITY, -2.0, f32::NAN]);
        assert_eq!((some.count, some.nan, some.infinite), (2, 2, 2));
        assert_eq!((some.min, some.max, some.mean, some.std), (-2.0, 2.0, 0.0, 2.0));
        let none = Histogram::of(&[f32::NAN]);
        assert_eq!(none, Histogram { nan: 1, ..Histogram::default() });
        assert_eq!(none.ends().count(), 0);
        assert_eq!(Histogram::of(&[]), Histogram::default());
    }

    #[test]
    fn equal_numbers_are_one_bin_and_the_widest_range_is_one_too() {
        let same = Histogram::of(&[1.0; 7]);
        assert_eq!((same.bins.as_slice(), same.std, same.quantiles), ([7].as_slice(), 0.0, [1.0; 7]));
        let wide = Histogram::of(&[f32::MIN, f32::MAX]);
        assert_eq!((wide.bins[0], wide.bins[29], wide.mean), (1, 1, 0.0));
    }
}
