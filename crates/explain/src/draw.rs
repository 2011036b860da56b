//! Drawings as SVG, in the colours of the pages' style.

use std::fmt::Write;
use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, RgbImage};
use kiln_page::text::escape;

/// Beside the style of all pages.
pub const STYLE: &str = "\
.shade { fill: var(--c); stroke: none; shape-rendering: crispEdges; } .cell { fill: none; stroke: var(--line); stroke-width: 1; }
.flow { stroke: var(--soft); stroke-width: 1.2; fill: none; } .dashed { stroke-dasharray: 5 3; } .thin { stroke-width: 1.2; }
.arrow { fill: var(--soft); stroke: none; } .node { fill: var(--paper); stroke: var(--c); stroke-width: 1.6; }
.drawing { width: 100%; height: auto; font-size: 11.5px; font-variant-numeric: tabular-nums; }
.drawing .big { font-size: 13px; } .drawing .small { font-size: 9.5px; } .tinted { fill: var(--c); } .strong { font-weight: 600; }
";

/// A drawing.
#[derive(Debug, Clone)]
pub struct Drawing {
    /// What is shown, for those who cannot see it.
    title: String,
    size: [f64; 2],
    /// On a page it is at most so many pixels wide.
    widest: f64,
    body: String,
}

/// Where a text stands to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

impl Drawing {
    /// An empty one, of a size in units: as many as a phone's pixels at 400.
    pub fn new(title: impl Into<String>, size: [f64; 2]) -> Self {
        Self { title: title.into(), size, widest: 1.6 * size[0], body: String::new() }
    }

    /// Not wider than so many pixels.
    pub fn at_most(self, widest: f64) -> Self {
        Self { widest, ..self }
    }

    /// A text, in the class of its colour.
    pub fn text(&mut self, [x, y]: [f64; 2], anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " middle",
            Anchor::End => " end",
        };
        let text = escape(text);
        let _ =
            writeln!(self.body, "<text class=\"{class}{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
    }

    /// A straight line.
    pub fn line(&mut self, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2], class: &str) {
        let _ = writeln!(self.body, "<path class=\"{class}\" d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\"/>");
    }

    /// A line with a head.
    pub fn arrow(&mut self, from: [f64; 2], to: [f64; 2]) {
        self.line(from, to, "flow");
        let [dx, dy] = [to[0] - from[0], to[1] - from[1]];
        let length = dx.hypot(dy).max(1e-9);
        let (dx, dy) = (dx / length, dy / length);
        let back = |side: f64| [to[0] - 7.0 * dx + side * 3.2 * dy, to[1] - 7.0 * dy - side * 3.2 * dx];
        let ([a, b], [c, d]) = (back(1.0), back(-1.0));
        let _ = writeln!(
            self.body,
            "<path class=\"arrow\" d=\"M{:.1} {:.1}L{a:.1} {b:.1}L{c:.1} {d:.1}Z\"/>",
            to[0], to[1]
        );
    }

    /// A line through points; those that are not finite leave a gap.
    pub fn path(&mut self, points: &[[f64; 2]], class: &str) {
        let mut path = String::new();
        let mut pen_is_up = true;
        for [x, y] in points {
            if x.is_finite() && y.is_finite() {
                let _ = write!(path, "{}{x:.1} {y:.1}", if pen_is_up { 'M' } else { 'L' });
                pen_is_up = false;
            } else {
                pen_is_up = true;
            }
        }
        let _ = writeln!(self.body, "<path class=\"{class}\" d=\"{path}\"/>");
    }

    /// A circle.
    pub fn circle(&mut self, [x, y]: [f64; 2], radius: f64, class: &str) {
        let _ = writeln!(self.body, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>");
    }

    /// A rectangle of a colour, of which so much is seen.
    pub fn shade(&mut self, [x, y, width, height]: [f64; 4], colour: usize, share: f64) {
        let _ = writeln!(
            self.body,
            "<rect class=\"shade colour-{colour}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill-opacity=\"{share:.3}\"/>"
        );
    }

    /// The outline of a rectangle.
    pub fn frame(&mut self, [x, y, width, height]: [f64; 4], class: &str) {
        let _ = writeln!(
            self.body,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
    }

    /// An image, its pixels sharp.
    pub fn image(&mut self, [x, y, width, height]: [f64; 4], image: &RgbImage) {
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, ImageFormat::Png).expect("memory takes every PNG");
        let file = STANDARD.encode(file.into_inner());
        let _ = writeln!(
            self.body,
            "<image class=\"pixels\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             href=\"data:image/png;base64,{file}\"/>"
        );
    }

    /// A grid of numbers, each on as much of a colour as its share of the largest demands (positive ones on the first colour, negative ones on the second),
    /// written with so many decimals; `None` leaves the numbers out.
    pub fn grid(&mut self, corner: [f64; 2], cell: f64, values: &[Vec<f64>], decimals: Option<usize>) {
        let largest = values.iter().flatten().fold(1e-12, |most: f64, value| most.max(value.abs()));
        self.grid_of(corner, cell, values, decimals, largest);
    }

    /// As [`Self::grid`], the largest number being given, so that several grids share a scale.
    pub fn grid_of(
        &mut self,
        [x, y]: [f64; 2],
        cell: f64,
        values: &[Vec<f64>],
        decimals: Option<usize>,
        largest: f64,
    ) {
        for (row, list) in values.iter().enumerate() {
            for (column, value) in list.iter().enumerate() {
                let corner = [x + column as f64 * cell, y + row as f64 * cell];
                let colour = if *value < 0.0 { 2 } else { 1 };
                // Ink on half a colour is still read.
                let most = if decimals.is_some() { 0.5 } else { 1.0 };
                self.shade([corner[0], corner[1], cell, cell], colour, most * value.abs() / largest);
                self.frame([corner[0], corner[1], cell, cell], "cell");
                if let Some(decimals) = decimals {
                    let text = format!("{value:.decimals$}");
                    // What rounds to zero has no sign.
                    let sign = if text.parse() == Ok(0.0) { "" } else { "\u{2212}" };
                    let text = text.replace('-', sign);
                    let middle = [corner[0] + cell / 2.0, corner[1] + cell / 2.0 + 4.0];
                    self.text(middle, Anchor::Middle, "name", &text);
                }
            }
        }
    }

    /// A small square matrix, its numbers as colours.
    pub fn matrix(title: impl Into<String>, values: &[Vec<f64>]) -> Self {
        let mut drawing = Self::new(title, [168.0, 168.0]).at_most(220.0);
        drawing.grid([4.0, 4.0], 160.0 / values.len() as f64, values, None);
        drawing
    }

    /// A bar for each name, as long as its value's share of the largest, with the value in words behind it.
    pub fn bars(title: impl Into<String>, bars: &[(&str, f64, String)]) -> Self {
        let mut drawing = Self::new(title, [420.0, 34.0 * bars.len() as f64 + 6.0]);
        let largest = bars.iter().fold(1e-12, |most: f64, (_, value, _)| most.max(*value));
        for (at, (name, value, words)) in bars.iter().enumerate() {
            let top = 34.0 * at as f64;
            drawing.text([2.0, top + 12.0], Anchor::Start, "name", name);
            let length = 310.0 * value / largest;
            drawing.shade([2.0, top + 17.0, length.max(1.0), 10.0], 1, 0.9);
            drawing.text([length + 8.0, top + 26.0], Anchor::Start, "tick", words);
        }
        drawing
    }

    /// As part of a page.
    pub fn inline(&self) -> String {
        let [width, height] = self.size;
        format!(
            "<svg class=\"drawing\" style=\"max-width: {:.0}px\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\n{}</svg>\n",
            self.widest,
            escape(&self.title),
            self.body
        )
    }

    /// As a file of its own.
    pub fn file(&self) -> String {
        let [width, height] = self.size;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"drawing\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\n\
             <style>{}{STYLE}text {{ font-family: system-ui, -apple-system, \"Segoe UI\", Roboto, \"Liberation Sans\", sans-serif; }}</style>\n\
             <rect width=\"100%\" height=\"100%\" style=\"fill: var(--paper)\"/>\n{}</svg>\n",
            escape(&self.title),
            kiln_page::STYLE,
            self.body
        )
    }
}
