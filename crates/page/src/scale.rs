//! The scale of an axis: its ends and its ticks, all of them round numbers.

use super::text::{percent, short};

/// How the numbers of an axis are spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `0.05`
    Number,
    /// `5 %` for 0.05
    Percent,
}

/// The scale of an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// The value at the start of the axis.
    pub low: f64,
    /// The value at its end.
    pub high: f64,
    /// Where ticks stand, in order.
    pub ticks: Vec<f64>,
    /// Whether equal lengths are equal ratios.
    pub log: bool,
}

impl Scale {
    /// Counts from 0 to `last`, the ticks at whole numbers.
    pub fn counts(last: f64) -> Self {
        let high = last.max(1.0);
        let step = round_step(high / 6.0).max(1.0);
        let ticks = ticks(0.0, high, step);
        Self { low: 0.0, high, ticks, log: false }
    }

    /// Wide enough for all finite values, its ends at ticks; logarithmic where a linear one would press a third of the values
    /// into its lowest tenth and all are positive.
    pub fn around(values: &[f64]) -> Self {
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let low = finite.iter().copied().fold(f64::INFINITY, f64::min);
        let high = finite.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if finite.is_empty() {
            return Self::linear(0.0, 1.0);
        }
        let pressed = finite.iter().filter(|value| **value < high / 10.0).count();
        if low > 0.0 && 3 * pressed >= finite.len() { Self::log(low, high) } else { Self::linear(low, high) }
    }

    /// Sizes, all positive: logarithmic, its ends at the smallest and the largest, and some of the round numbers between.
    pub fn sizes(values: &[f64]) -> Self {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(0.0, f64::max);
        // One size, or none, has room around it.
        let (low, high) = match high > low {
            true => (low, high),
            false if high > 0.0 => (high / 2.0, high * 2.0),
            false => (1.0, 10.0),
        };
        let within = |multiples: &[f64]| -> Vec<f64> {
            let decades = low.log10().floor() as i32..=high.log10().floor() as i32;
            let all = decades.flat_map(|decade| multiples.iter().map(move |m| m * 10f64.powi(decade)));
            all.filter(|tick| (low..=high).contains(tick)).collect()
        };
        let grades = [&[1.0, 1.5, 2.0, 3.0, 5.0, 7.0][..], &[1.0, 2.0, 5.0], &[1.0]].map(within);
        let few = grades.iter().find(|ticks| ticks.len() <= 8).unwrap_or(&grades[2]);
        Self { low, high, ticks: few.clone(), log: true }
    }

    /// Shares of a whole: as `around`, linear and never beyond 0 and 1.
    pub fn shares(values: &[f64]) -> Self {
        let finite =
            || values.iter().copied().filter(|value| value.is_finite()).map(|value| value.clamp(0.0, 1.0));
        let (low, high) = (finite().fold(1.0, f64::min), finite().fold(0.0, f64::max));
        if low >= high {
            // One value, or none: the whole range says more than a range made up around it.
            return Self::linear(0.0, 1.0);
        }
        Self::linear(low, high)
    }

    fn linear(low: f64, high: f64) -> Self {
        let (low, high) = if high > low {
            (low, high)
        } else if low == 0.0 {
            (0.0, 1.0)
        } else {
            (low.min(2.0 * low).min(0.0), (2.0 * low).max(0.0))
        };
        let step = round_step((high - low) / 5.0);
        let (low, high) = ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step);
        Self { low, high, ticks: ticks(low, high, step), log: false }
    }

    fn log(low: f64, high: f64) -> Self {
        let rungs = |multiples: &[f64]| {
            let decades = low.log10().floor() as i32..=high.log10().floor() as i32 + 1;
            let all = decades.flat_map(|decade| multiples.iter().map(move |m| m * 10f64.powi(decade)));
            let all: Vec<f64> = all.collect();
            let first = all.iter().rposition(|rung| *rung <= low * (1.0 + 1e-9));
            let last = all.iter().position(|rung| *rung >= high * (1.0 - 1e-9));
            all[first.unwrap_or_default()..=last.unwrap_or(all.len() - 1)].to_vec()
        };
        let fine = rungs(&[1.0, 2.0, 5.0]);
        let ticks = if fine.len() <= 7 { fine } else { rungs(&[1.0]) };
        let (low, high) = (ticks[0], ticks[ticks.len() - 1]);
        // More than eight decades: every second, third … of them is named.
        let stride = ticks.len().div_ceil(8);
        Self { low, high, ticks: ticks.into_iter().step_by(stride).collect(), log: true }
    }

    /// Where a value stands, from 0 at the start to 1 at the end; a value beyond an end stands at that end.
    pub fn place(&self, value: f64) -> f64 {
        let along = |value: f64| if self.log { value.max(f64::MIN_POSITIVE).ln() } else { value };
        ((along(value) - along(self.low)) / (along(self.high) - along(self.low))).clamp(0.0, 1.0)
    }

    /// The ticks in words.
    pub fn names(&self, spelling: Spelling) -> Vec<String> {
        let unit = if spelling == Spelling::Percent { 100.0 } else { 1.0 };
        let step = self.ticks.windows(2).map(|pair| unit * (pair[1] - pair[0])).fold(f64::INFINITY, f64::min);
        let decimals = if step < 1.0 { (-(step.log10() + 1e-9).floor()).clamp(0.0, 6.0) as usize } else { 0 };
        let name = |tick: &f64| match spelling {
            Spelling::Percent => percent(*tick, decimals),
            Spelling::Number if self.log || *tick == 0.0 => short(*tick),
            Spelling::Number if tick.abs() < 1e-3 || tick.abs() >= 1e5 => short(*tick),
            Spelling::Number => format!("{tick:.decimals$}"),
        };
        self.ticks.iter().map(name).collect()
    }
}

/// The least of 1, 2 and 5 times a power of ten that is no less than `about`.
fn round_step(about: f64) -> f64 {
    let power = 10f64.powf(about.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().find(|multiple| multiple * power >= about * (1.0 - 1e-9));
    step.unwrap_or(10.0) * power
}

/// The multiples of `step` from `low` to `high`.
fn ticks(low: f64, high: f64, step: f64) -> Vec<f64> {
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|multiple| multiple as f64 * step).collect()
}
