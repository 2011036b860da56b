//! Where the time of a run went: as one bar, and by epoch.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::chart::SIZE;
use super::html::{fixed, percent};
use super::scale::{Scale, Spelling};

/// What time is spent on: the parts of steps, in their order, and testing. Saving is that of checkpoints in the middle of epochs.
pub const PARTS: [&str; 7] = ["data", "forward", "backward", "step", "saving", "other", "testing"];

/// As many columns have room.
const COLUMNS: usize = 60;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 36.0;

/// Where the time of some steps of an epoch went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TimesRow {
    /// The steps done with the last of them, all epochs counted.
    pub step: usize,
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Training images in them.
    pub items: usize,
    /// Seconds a part, as [`PARTS`] names them.
    pub seconds: [f64; PARTS.len()],
}

impl TimesRow {
    /// Seconds in all.
    pub fn total(&self) -> f64 {
        self.seconds.iter().sum()
    }
}

/// The section of the page; nothing if no time is known.
pub fn section(rows: &[TimesRow]) -> String {
    let whole = sum(rows);
    let total: f64 = whole.iter().sum();
    if total <= 0.0 {
        return String::new();
    }
    let mut text =
        String::from("<section>\n<h2>Where the time went</h2>\n<div class=\"stack\" aria-hidden=\"true\">");
    for (part, seconds) in spent(&whole) {
        // The space keeps an element that is empty otherwise from being written short.
        let _ =
            write!(text, "<i class=\"part-{part}\" style=\"width:{:.3}%\"> </i>", 100.0 * seconds / total);
    }
    text.push_str("</div>\n<dl class=\"parts\">\n");
    for (part, seconds) in spent(&whole) {
        let _ = writeln!(
            text,
            "<div><dt><i class=\"part-{part}\"> </i>{}</dt><dd><b>{}</b> {}</dd></div>",
            PARTS[part],
            percent(seconds / total, 1),
            spelt(seconds)
        );
    }
    text.push_str("</dl>\n");
    let items: usize = rows.iter().map(|row| row.items).sum();
    let steps = total - whole[PARTS.len() - 1];
    let _ = writeln!(
        text,
        "<p class=\"note\">{} in all; {} training images a second, testing left out.</p>",
        spelt(total),
        fixed(items as f64 / steps.max(1e-9), if items as f64 >= 10.0 * steps { 0 } else { 2 })
    );
    let epochs = by_epoch(rows);
    if epochs.len() > 1 {
        text.push_str(&columns(&epochs));
    }
    text.push_str("</section>\n");
    text
}

fn sum<'a>(rows: impl IntoIterator<Item = &'a TimesRow>) -> [f64; PARTS.len()] {
    let mut sum = [0.0; PARTS.len()];
    for row in rows {
        sum.iter_mut().zip(row.seconds).for_each(|(sum, seconds)| *sum += seconds);
    }
    sum
}

/// The parts that took any time, with their numbers.
fn spent(seconds: &[f64]) -> impl Iterator<Item = (usize, f64)> {
    seconds.iter().copied().enumerate().filter(|(_, seconds)| *seconds > 0.0)
}

/// Seconds of each epoch in order; an epoch may have several rows.
fn by_epoch(rows: &[TimesRow]) -> Vec<(usize, [f64; PARTS.len()])> {
    rows.chunk_by(|a, b| a.epoch == b.epoch).map(|rows| (rows[0].epoch, sum(rows))).collect()
}

/// A column an epoch, or several where there are many; its height is the mean of theirs.
fn columns(epochs: &[(usize, [f64; PARTS.len()])]) -> String {
    let together = epochs.len().div_ceil(COLUMNS);
    let columns: Vec<(usize, [f64; PARTS.len()])> = epochs
        .chunks(together)
        .map(|chunk| {
            let mean = |part: usize| chunk.iter().map(|(_, of)| of[part]).sum::<f64>() / chunk.len() as f64;
            (chunk[0].0, std::array::from_fn(mean))
        })
        .collect();
    let ([width, height], last) = (SIZE, epochs.last().map_or(1, |(epoch, _)| *epoch));
    let highest = columns.iter().map(|(_, of)| of.iter().sum::<f64>()).fold(0.0, f64::max);
    let y = Scale::around(&[0.0, highest]);
    let (right, floor) = (width - RIGHT, height - BOTTOM);
    let across = |epoch: f64| LEFT + (right - LEFT) * epoch / last as f64;
    let up = |seconds: f64| floor - (floor - TOP) * y.place(seconds);
    let mut text = format!(
        "<figure class=\"epochs\">\n<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Seconds of \
         every epoch\">\n"
    );
    for (tick, name) in y.ticks.iter().zip(y.names(Spelling::Number)) {
        let at = up(*tick);
        let _ = writeln!(
            text,
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/><text class=\"tick end\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
            LEFT - 6.0,
            at + 4.0
        );
    }
    for (epoch, of) in &columns {
        let (from, to) = (across((*epoch - 1) as f64), across((*epoch - 1 + together).min(last) as f64));
        let gap = (0.12 * (to - from)).min(3.0);
        let mut below = 0.0;
        for (part, seconds) in spent(of) {
            let (bottom, top) = (up(below), up(below + seconds));
            below += seconds;
            let _ = writeln!(
                text,
                "<rect class=\"part-{part}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                from + gap,
                to - from - 2.0 * gap,
                bottom - top
            );
        }
    }
    // A column stands before its epoch's end, so its number stands under its middle.
    let ticks = Scale::counts(last as f64).ticks;
    let mut ticks: Vec<f64> = ticks.into_iter().filter(|tick| *tick >= 1.0).collect();
    if ticks.first().is_some_and(|first| *first > 1.0) {
        ticks.insert(0, 1.0);
    }
    for tick in ticks {
        let at = across(tick - 0.5);
        let _ = writeln!(
            text,
            "<text class=\"tick middle\" x=\"{at:.1}\" y=\"{:.1}\">{tick}</text>",
            floor + 16.0
        );
    }
    let _ = writeln!(
        text,
        "<path class=\"axis\" d=\"M{LEFT} {floor}H{right}\"/><text class=\"tick middle\" x=\"{:.1}\" y=\"{:.1}\">epoch</text>\n\
         </svg>\n<figcaption>Seconds of every epoch{}.</figcaption>\n</figure>",
        (LEFT + right) / 2.0,
        height - 4.0,
        if together > 1 { format!(", a column the mean of {together}") } else { String::new() }
    );
    text
}

/// `0.042 s`, `12.3 s`, `5 min 3 s`, `2 h 5 min`.
pub fn spelt(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0 => format!("{} s", fixed(seconds, 3)),
        1..60 => format!("{} s", fixed(seconds, 1)),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row(epoch: usize, seconds: [f64; 7]) -> TimesRow {
        TimesRow { step: 10 * epoch, epoch, items: 100, seconds }
    }

    #[test]
    fn the_bar_and_the_columns_are_as_long_as_the_time() {
        // Two rows are of the first epoch: 1 + 2 + 5 and 2 s; the second took 10 s of testing.
        let rows = [
            row(1, [1.0, 2.0, 5.0, 0.0, 0.0, 0.0, 0.0]),
            row(1, [0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0]),
            row(2, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 10.0]),
        ];
        let text = section(&rows);
        let document = roxmltree::Document::parse(&text).unwrap();
        let with = |name: &'static str, attribute: &'static str| {
            let nodes = document.descendants().filter(move |node| node.has_tag_name(name));
            nodes.filter_map(|node| node.attribute(attribute)).map(str::to_string).collect::<Vec<_>>()
        };
        assert_eq!(with("i", "style"), ["width:5.000%", "width:10.000%", "width:35.000%", "width:50.000%"]);
        // 300 images in 10 s of steps.
        assert!(text.contains("20.0 s in all; 30 training images a second"), "{text}");
        let heights: Vec<f64> = with("rect", "height").iter().map(|height| height.parse().unwrap()).collect();
        // The drawing is 250 high and has 204 for 10 s.
        let expected = [20.4, 40.8, 142.8, 204.0];
        assert!(heights.iter().zip(expected).all(|(ours, right)| (ours - right).abs() < 0.11), "{heights:?}");
        assert_eq!(section(&[]), "");
        assert!(!section(&rows[..2]).contains("<svg"));
    }

    #[test]
    fn many_epochs_share_columns() {
        let rows: Vec<TimesRow> = (1..=150).map(|epoch| row(epoch, [1.0; 7])).collect();
        let text = section(&rows);
        assert_eq!((text.matches("<rect").count(), text.contains("the mean of 3")), (50 * 7, true));
    }

    #[test]
    fn time_is_spelt_in_two_units_at_most() {
        assert_eq!(
            [0.0421, 12.34, 303.0, 7500.0].map(spelt),
            ["0.042 s", "12.3 s", "5 min 3 s", "2 h 5 min"]
        );
    }
}
