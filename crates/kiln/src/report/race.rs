//! A race as one picture: for each racer a panel with its own loss before those of all others. An SVG that stands alone,
//! in light and dark.

use std::fmt::Write;

use super::curves::{smoothed, thinned};
use super::html::{escape, shorten};
use super::scale::{Scale, Spelling};

/// A race.
#[derive(Debug, Clone, Default)]
pub struct Race {
    /// The headline.
    pub title: String,
    /// What is to be known beside it.
    pub subtitle: String,
    /// The racers, the best first.
    pub lines: Vec<RaceLine>,
}

/// A racer.
#[derive(Debug, Clone, Default)]
pub struct RaceLine {
    /// Its name.
    pub name: String,
    /// What is to be known of it.
    pub detail: String,
    /// What it came to.
    pub result: String,
    /// Steps and losses.
    pub losses: Vec<[f64; 2]>,
}

const COLUMNS: usize = 4;
/// A panel, in the picture's own units, and what stands around its curves.
const PANEL: [f64; 2] = [270.0, 190.0];
const LEFT: f64 = 42.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 24.0;
const MARGIN: f64 = 20.0;
const HEAD: f64 = 64.0;
/// As many letters of a name have room.
const NAME: usize = 29;

const STYLE: &str = "
.race { --paper: #fdfdfb; --ink: #1c2024; --soft: #5c646c; --line: #dcdcd6; --own: #0072b2; --rest: #c4c6c2; }
@media (prefers-color-scheme: dark) {
  .race { --paper: #14171a; --ink: #e7e9ea; --soft: #a2abb3; --line: #2c3136; --own: #56b4e9; --rest: #454c53; }
}
text { font: 11px system-ui, -apple-system, \"Segoe UI\", Roboto, \"Liberation Sans\", sans-serif; fill: var(--soft); }
.paper { fill: var(--paper); }
.title { font-size: 19px; font-weight: 600; fill: var(--ink); }
.subtitle { font-size: 12.5px; }
.name { font-size: 13.5px; font-weight: 600; fill: var(--ink); }
.result { font-size: 13.5px; fill: var(--own); font-weight: 600; text-anchor: end; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.grid { stroke: var(--line); fill: none; }
.axis { stroke: var(--soft); fill: none; }
.rest { stroke: var(--rest); stroke-width: .7; fill: none; stroke-linejoin: round; }
.own { stroke: var(--own); stroke-width: 2; fill: none; stroke-linejoin: round; stroke-linecap: round; }
";

impl Race {
    /// The picture.
    pub fn svg(&self) -> String {
        let lines: Vec<Vec<[f64; 2]>> = self.lines.iter().map(|line| drawn(&line.losses)).collect();
        let losses = usual(&lines);
        let steps = self.lines.iter().flat_map(|line| &line.losses).map(|point| point[0]).fold(1.0, f64::max);
        let scales = [Scale::counts(steps), Scale::around(&losses)];
        let rows = self.lines.len().div_ceil(COLUMNS);
        let width = 2.0 * MARGIN + COLUMNS as f64 * PANEL[0];
        let height = HEAD + rows as f64 * PANEL[1] + MARGIN;
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"race\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-label=\"{title}\">\n<style>{STYLE}</style>\n<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n\
             <text class=\"title\" x=\"{MARGIN}\" y=\"30\">{title}</text>\n\
             <text class=\"subtitle\" x=\"{MARGIN}\" y=\"50\">{}</text>\n",
            escape(&self.subtitle),
            title = escape(&self.title),
        );
        // Drawn once: axes and all lines, pale.
        text.push_str("<defs><g id=\"all\">\n");
        axes(&mut text, &scales);
        for line in &lines {
            polylines(&mut text, "rest", line, &scales);
        }
        text.push_str("</g></defs>\n");
        for (place, (racer, line)) in self.lines.iter().zip(&lines).enumerate() {
            let x = MARGIN + (place % COLUMNS) as f64 * PANEL[0];
            let y = HEAD + (place / COLUMNS) as f64 * PANEL[1];
            let _ = writeln!(
                text,
                "<g transform=\"translate({x} {y})\">\n<use href=\"#all\"/>\n<text class=\"name\" x=\"{LEFT}\" y=\"16\">{}</text>\
                 <text class=\"result\" x=\"{:.1}\" y=\"32\">{}</text><text x=\"{LEFT}\" y=\"32\">{}</text>",
                escape(&shorten(&racer.name, NAME)),
                PANEL[0] - RIGHT,
                escape(&racer.result),
                escape(&racer.detail)
            );
            polylines(&mut text, "own", line, &scales);
            text.push_str("</g>\n");
        }
        text.push_str("</svg>\n");
        text
    }
}

/// The losses that the axis is made for: all but the highest fiftieth, which would press the rest to the floor. They
/// are drawn at the axis's end.
fn usual(lines: &[Vec<[f64; 2]>]) -> Vec<f64> {
    let mut losses: Vec<f64> =
        lines.iter().flatten().map(|point| point[1]).filter(|loss| loss.is_finite()).collect();
    losses.sort_by(f64::total_cmp);
    losses.truncate(losses.len() - losses.len() / 50);
    losses
}

/// The points of a line that are drawn. The mean over the last few steps is of ever fewer of them; it is left out.
fn drawn(losses: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let mut smooth = smoothed(losses);
    smooth.truncate(losses.len() - losses.len() / 60);
    thinned(smooth)
}

fn place([x, y]: [f64; 2], [across, up]: &[Scale; 2]) -> [f64; 2] {
    let (width, height) = (PANEL[0] - LEFT - RIGHT, PANEL[1] - TOP - BOTTOM);
    [LEFT + width * across.place(x), TOP + height * (1.0 - up.place(y))]
}

fn axes(text: &mut String, scales: &[Scale; 2]) {
    let [across, up] = scales;
    let (right, floor) = (PANEL[0] - RIGHT, PANEL[1] - BOTTOM);
    for (tick, name) in up.ticks.iter().zip(up.names(Spelling::Number)) {
        let y = place([across.low, *tick], scales)[1];
        let _ = writeln!(
            text,
            "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
            LEFT - 5.0,
            y + 4.0
        );
    }
    for (tick, name) in across.ticks.iter().zip(across.names(Spelling::Number)) {
        let x = place([*tick, up.low], scales)[0];
        let _ = writeln!(
            text,
            "<path class=\"axis\" d=\"M{x:.1} {floor}v3\"/><text class=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{name}</text>",
            floor + 14.0
        );
    }
    let _ = writeln!(text, "<path class=\"axis\" d=\"M{LEFT} {floor}H{right}\"/>");
}

fn polylines(text: &mut String, class: &str, line: &[[f64; 2]], scales: &[Scale; 2]) {
    for run in line.split(|point| !point[1].is_finite()).filter(|run| run.len() > 1) {
        let places = run.iter().map(|point| place(*point, scales)).map(|[x, y]| format!("{x:.1},{y:.1}"));
        let _ = writeln!(
            text,
            "<polyline class=\"{class}\" points=\"{}\"/>",
            places.collect::<Vec<_>>().join(" ")
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn race() -> Race {
        let line = |name: &str, losses: &[f64]| RaceLine {
            name: name.into(),
            detail: "rate 0.1".into(),
            result: "50 %".into(),
            losses: losses.iter().enumerate().map(|(step, loss)| [step as f64 + 1.0, *loss]).collect(),
        };
        let lines = vec![line("A & B", &[2.0, 1.0, 0.5]), line("C", &[2.0, f64::NAN, 3.0, 2.5, 2.0])];
        Race { title: "a < b".into(), subtitle: String::new(), lines }
    }

    #[test]
    fn every_racer_has_a_panel_and_the_picture_is_sound() {
        let svg = race().svg();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let of = |class: &str| {
            document.descendants().filter(|node| node.attribute("class") == Some(class)).collect::<Vec<_>>()
        };
        let names: Vec<_> = of("name").iter().map(|node| node.text().unwrap().to_string()).collect();
        assert_eq!(names, ["A & B", "C"]);
        // A line is broken where its loss was no number: A's one piece and C's second; C's first is a single point.
        assert_eq!((of("own").len(), of("rest").len()), (2, 2));
        assert_eq!(document.descendants().filter(|node| node.has_tag_name("use")).count(), 2);
        // All axes are the same: losses of 0.5 to 3 stand within one panel.
        let points =
            of("own")[0].attribute("points").unwrap().split([' ', ',']).map(|n| n.parse::<f64>().unwrap());
        let points: Vec<f64> = points.collect();
        assert!(
            points.chunks(2).all(|p| p[0] >= LEFT && p[0] <= PANEL[0] && p[1] >= TOP && p[1] <= PANEL[1])
        );
        // The loss falls, so the line does too: y grows downwards.
        assert!(points[1] < points[3] && points[3] < points[5]);
    }
}
