//! The course of a run: the loss, the figures and the learning rate, over the epochs.

use std::fmt::Write;

use super::chart::{Chart, Look, Series};
use super::html::{escape, percent};
use super::scale::{Scale, Spelling};
use super::{EpochRow, StepRow};

/// As many points a line gets at most: more than the drawing is wide would not be seen.
const POINTS: usize = 400;

/// The curves, side by side where there is room.
pub fn section(epochs: &[EpochRow], steps: &[StepRow]) -> String {
    let mut text = String::from("<section>\n<h2>Training</h2>\n");
    if epochs.is_empty() && steps.is_empty() {
        text.push_str("<p>No step was taken.</p>\n</section>\n");
        return text;
    }
    let clock = Clock::new(epochs, steps);
    text.push_str("<div class=\"curves\">\n");
    for (chart, caption) in
        [figures(epochs, &clock), Some(loss(epochs, steps, &clock)), rate(epochs, steps, &clock)]
            .into_iter()
            .flatten()
    {
        let _ = write!(text, "<figure>\n{}<figcaption>{caption}</figcaption>\n</figure>\n", chart.draw());
    }
    text.push_str("</div>\n</section>\n");
    text
}

/// The row whose first figure is highest, the earliest of equals, and that figure.
pub fn best(epochs: &[EpochRow]) -> Option<(usize, f64)> {
    let figures = epochs.iter().enumerate().filter_map(|(row, epoch)| Some((row, epoch.figures.first()?.1)));
    figures
        .filter(|(_, figure)| figure.is_finite())
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// The horizontal axis all curves share: epochs, or steps while no epoch is done.
struct Clock {
    /// (steps, epochs) known to belong together, in order.
    known: Vec<[f64; 2]>,
    last: f64,
}

impl Clock {
    fn new(epochs: &[EpochRow], steps: &[StepRow]) -> Self {
        let start = [0.0, 0.0];
        let ends = epochs.iter().map(|row| [row.step as f64, row.epoch as f64]);
        let mut known = vec![start];
        for end in ends {
            if known.last().is_none_or(|last| end[0] > last[0]) {
                known.push(end);
            }
        }
        let mut clock = Self { known, last: 0.0 };
        let last_epoch = epochs.last().map_or(0.0, |row| row.epoch as f64);
        let last_step = steps.last().map_or(0.0, |row| clock.at(row.step));
        clock.last = last_epoch.max(last_step);
        clock
    }

    fn name(&self) -> &'static str {
        if self.known.len() > 1 { "epoch" } else { "step" }
    }

    /// The time of a step: between the epochs it lies between, or beyond the last at the pace of the last.
    fn at(&self, step: usize) -> f64 {
        let step = step as f64;
        if self.known.len() < 2 {
            return step;
        }
        let after =
            self.known.iter().position(|[steps, _]| *steps >= step).unwrap_or(self.known.len() - 1).max(1);
        let ([from, start], [to, end]) = (self.known[after - 1], self.known[after]);
        start + (end - start) * (step - from) / (to - from)
    }
}

fn loss(epochs: &[EpochRow], steps: &[StepRow], clock: &Clock) -> (Chart, String) {
    let each = thinned(steps.iter().map(|row| [clock.at(row.step), row.loss]).collect());
    let smooth = smoothed(&each);
    let of = |value: fn(&EpochRow) -> f64| {
        epochs.iter().map(|row| [row.epoch as f64, value(row)]).collect::<Vec<_>>()
    };
    let (train, test) = (of(|row| row.train_loss), of(|row| row.test_loss));
    // Single batches stray: they are drawn within the range of the rest.
    let range: Vec<f64> = [&smooth, &train, &test].into_iter().flatten().map(|point| point[1]).collect();
    let series = [
        ("each batch", 1, Look::Pale, each),
        ("batches, smoothed", 1, Look::Line, smooth),
        ("training, by epoch", 3, Look::Dots, train),
        ("test, by epoch", 2, Look::Dots, test),
    ];
    let series = series.into_iter().filter(|(.., points)| points.iter().any(|point| point[1].is_finite()));
    let y = Scale::around(&range);
    let lost = range.iter().filter(|value| !value.is_finite()).count();
    let mut caption = format!("The loss{}.", if y.log { " (logarithmic scale)" } else { "" });
    if lost > 0 {
        caption.push_str(" Gaps: it was not a number there.");
    }
    let series =
        series.map(|(name, colour, look, points)| Series { name: name.into(), colour, look, points });
    let chart = Chart {
        title: "The loss over the epochs".into(),
        x_name: clock.name(),
        x: Scale::counts(clock.last),
        y,
        spelling: Spelling::Number,
        series: series.collect(),
        marked: None,
    };
    (chart, caption)
}

fn rate(epochs: &[EpochRow], steps: &[StepRow], clock: &Clock) -> Option<(Chart, String)> {
    let points: Vec<[f64; 2]> = match steps {
        [] => epochs.iter().map(|row| [row.epoch as f64, row.rate]).collect(),
        steps => thinned(steps.iter().map(|row| [clock.at(row.step), row.rate]).collect()),
    };
    let values: Vec<f64> = points.iter().map(|point| point[1]).filter(|rate| rate.is_finite()).collect();
    if values.is_empty() {
        return None;
    }
    let mut y = Scale::around(&values);
    if !y.log {
        // A rate is read against zero.
        y = Scale::around(&[values.as_slice(), &[0.0]].concat());
    }
    let caption = format!("The learning rate{}.", if y.log { " (logarithmic scale)" } else { "" });
    let chart = Chart {
        title: "The learning rate over the epochs".into(),
        x_name: clock.name(),
        x: Scale::counts(clock.last),
        y,
        spelling: Spelling::Number,
        series: vec![Series { name: "rate".into(), colour: 5, look: Look::Line, points }],
        marked: None,
    };
    Some((chart, caption))
}

fn figures(epochs: &[EpochRow], clock: &Clock) -> Option<(Chart, String)> {
    let names: Vec<&String> = epochs.last()?.figures.iter().map(|(name, _)| name).collect();
    let first = *names.first()?;
    let line = |(place, name): (usize, &&String)| {
        let of =
            |row: &EpochRow| row.figures.iter().find(|(other, _)| other == *name).map(|(_, value)| *value);
        let points = epochs.iter().map(|row| [row.epoch as f64, of(row).unwrap_or(f64::NAN)]).collect();
        // The test's colour for what decides, the others beside it.
        let colour = [2, 1, 3, 4, 5, 6][place % 6];
        Series { name: (*name).clone(), colour, look: Look::Dots, points }
    };
    let series: Vec<Series> = names.iter().enumerate().map(line).collect();
    let values: Vec<f64> = series.iter().flat_map(|line| line.points.iter().map(|point| point[1])).collect();
    let best = best(epochs).map(|(row, value)| [epochs[row].epoch as f64, value]);
    let what = escape(&names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", "));
    let caption = match best {
        Some([epoch, value]) => format!(
            "On the test images: {what}. The ring marks the best {}, <b>{}</b> after epoch <b>{epoch}</b>.",
            escape(first),
            percent(value, 2)
        ),
        None => format!("On the test images: {what}."),
    };
    let chart = Chart {
        title: format!(
            "{} over the epochs",
            names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
        ),
        x_name: clock.name(),
        x: Scale::counts(clock.last),
        y: Scale::shares(&values),
        spelling: Spelling::Percent,
        series,
        marked: best,
    };
    Some((chart, caption))
}

/// At most [`POINTS`] points, each the mean of as many neighbours.
pub fn thinned(points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    let size = points.len().div_ceil(POINTS).max(1);
    let mean = |points: &[[f64; 2]], axis: usize| {
        points.iter().map(|point| point[axis]).sum::<f64>() / points.len() as f64
    };
    points.chunks(size).map(|chunk| [mean(chunk, 0), mean(chunk, 1)]).collect()
}

/// The mean over a thirtieth of the run around each point, narrower towards the ends so that it is never one-sided: a
/// one-sided mean would lag behind.
pub fn smoothed(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let reach = points.len() / 60;
    let smooth = points.iter().enumerate().map(|(at, [x, y])| {
        if !y.is_finite() {
            return [*x, f64::NAN];
        }
        let reach = reach.min(at).min(points.len() - 1 - at);
        let around = points[at - reach..=at + reach].iter().map(|point| point[1]);
        let finite: Vec<f64> = around.filter(|y| y.is_finite()).collect();
        [*x, finite.iter().sum::<f64>() / finite.len() as f64]
    });
    smooth.collect()
}
