//! A line chart as SVG. Its colours are classes of the page's style, so that it follows the reader's light or dark
//! setting, and its drawing is small, so that its words stay legible when a phone shrinks it.

use std::fmt::Write;

use super::scale::{Scale, Spelling};
use super::text::escape;

/// The size of the drawing, in its own units.
pub const SIZE: [f64; 2] = [400.0, 250.0];
/// Left of the axes.
pub const LEFT: f64 = 46.0;
/// Right of them.
pub const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
/// Below them.
pub const BOTTOM: f64 = 36.0;

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A line.
    Line,
    /// A thin, pale line, behind the others.
    Pale,
    /// A line with a dot at every point.
    Dots,
    /// A heavy line.
    Bold,
}

/// A named line.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its colour: the class `colour-N` of the style.
    pub colour: usize,
    /// How it is drawn.
    pub look: Look,
    /// Its points; one that is not finite leaves a gap.
    pub points: Vec<[f64; 2]>,
}

/// A line chart.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What is shown, for those who cannot see it.
    pub title: String,
    /// The name of the horizontal axis.
    pub x_name: &'static str,
    /// The horizontal axis.
    pub x: Scale,
    /// The vertical axis.
    pub y: Scale,
    /// How the numbers of the vertical axis are spelt.
    pub spelling: Spelling,
    /// The lines, the later ones in front.
    pub series: Vec<Series>,
    /// A point to be set off by a ring and a line down to the axis.
    pub marked: Option<[f64; 2]>,
}

impl Chart {
    /// The drawing with its legend above it.
    pub fn draw(&self) -> String {
        let [width, height] = SIZE;
        let title = escape(&self.title);
        let open = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">"
        );
        format!("{}{open}\n{}</svg>\n", self.legend(), self.lines())
    }

    /// The drawing as a file of its own, with its title and a line of text above it and no legend.
    pub fn alone(&self, caption: &str) -> String {
        let ([width, height], head) = (SIZE, 44.0);
        let title = escape(&self.title);
        let style = super::STYLE;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {}\" role=\"img\" aria-label=\"{title}\">\n\
             <style>{style}\ntext {{ font: 11.5px system-ui, -apple-system, \"Segoe UI\", Roboto, \"Liberation Sans\", sans-serif; }}\n\
             .title {{ font-size: 14px; font-weight: 600; }}</style>\n\
             <rect width=\"100%\" height=\"100%\" style=\"fill: var(--paper)\"/>\n\
             <text class=\"name title\" x=\"12\" y=\"20\">{title}</text><text class=\"tick\" x=\"12\" y=\"37\">{}</text>\n\
             <g transform=\"translate(0 {head})\">\n{}</g>\n</svg>\n",
            height + head,
            escape(caption),
            self.lines()
        )
    }

    /// Axes and lines.
    fn lines(&self) -> String {
        let height = SIZE[1];
        let mut text = String::new();
        self.axes(&mut text);
        if let Some(point) = self.marked {
            let [x, y] = self.place(point);
            let floor = height - BOTTOM;
            let _ = writeln!(text, "<path class=\"mark\" d=\"M{x:.1} {y:.1}V{floor:.1}\"/>");
        }
        for series in &self.series {
            self.line(&mut text, series);
        }
        if let Some(point) = self.marked {
            let [x, y] = self.place(point);
            let _ = writeln!(text, "<circle class=\"ring\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\"/>");
        }
        text
    }

    /// The names of the lines, in HTML so that they keep their size. One line needs no legend.
    fn legend(&self) -> String {
        if self.series.len() < 2 {
            return String::new();
        }
        let mut text = String::from("<ul class=\"legend\">\n");
        for Series { name, colour, look, .. } in &self.series {
            let dot =
                if *look == Look::Dots { "<circle class=\"dot\" cx=\"11\" cy=\"6\" r=\"2.8\"/>" } else { "" };
            let _ = writeln!(
                text,
                "<li><svg class=\"colour-{colour}\" viewBox=\"0 0 22 12\" aria-hidden=\"true\"><path class=\"{}\" \
                 d=\"M1 6H21\"/>{dot}</svg>{}</li>",
                look.class(),
                escape(name)
            );
        }
        text.push_str("</ul>\n");
        text
    }

    fn axes(&self, text: &mut String) {
        let (right, floor) = (SIZE[0] - RIGHT, SIZE[1] - BOTTOM);
        for (tick, name) in self.y.ticks.iter().zip(self.y.names(self.spelling)) {
            let y = self.place([self.x.low, *tick])[1];
            let _ = writeln!(
                text,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text class=\"tick end\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        for (tick, name) in self.x.ticks.iter().zip(self.x.names(Spelling::Number)) {
            let x = self.place([*tick, self.y.low])[0];
            // A long name at the end of the axis would be cut off.
            let (place, anchor) = match x > right - 4.0 && name.chars().count() > 3 {
                true => (SIZE[0] - 2.0, "end"),
                false => (x, "middle"),
            };
            let _ = writeln!(
                text,
                "<path class=\"axis\" d=\"M{x:.1} {floor:.1}v4\"/><text class=\"tick {anchor}\" x=\"{place:.1}\" y=\"{:.1}\">{name}</text>",
                floor + 16.0
            );
        }
        let _ = writeln!(
            text,
            "<path class=\"axis\" d=\"M{LEFT} {floor}H{right}\"/><text class=\"tick middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            (LEFT + right) / 2.0,
            SIZE[1] - 4.0,
            escape(self.x_name)
        );
    }

    fn line(&self, text: &mut String, series: &Series) {
        let _ = writeln!(text, "<g class=\"colour-{}\">", series.colour);
        let finite = |point: &[f64; 2]| point.iter().all(|value| value.is_finite());
        for run in series.points.split(|point| !finite(point)).filter(|run| !run.is_empty()) {
            if let [alone] = run {
                // A line of one point would not be seen.
                let [x, y] = self.place(*alone);
                let _ = writeln!(text, "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.8\"/>");
                continue;
            }
            let places = run.iter().map(|point| self.place(*point));
            let places: Vec<String> = places.map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(
                text,
                "<polyline class=\"{}\" points=\"{}\"/>",
                series.look.class(),
                places.join(" ")
            );
            if series.look == Look::Dots {
                // Many epochs stand so close that their dots would hide the line.
                let radius = (120.0 / run.len() as f64).clamp(0.9, 2.8);
                for point in run {
                    let [x, y] = self.place(*point);
                    let _ = writeln!(
                        text,
                        "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"/>"
                    );
                }
            }
        }
        text.push_str("</g>\n");
    }

    /// Where a point stands in the drawing.
    pub fn place(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let (width, height) = (SIZE[0] - LEFT - RIGHT, SIZE[1] - TOP - BOTTOM);
        [LEFT + width * self.x.place(x), TOP + height * (1.0 - self.y.place(y))]
    }
}

impl Look {
    fn class(self) -> &'static str {
        match self {
            Self::Pale => "pale",
            Self::Bold => "line bold",
            Self::Line | Self::Dots => "line",
        }
    }
}
