//! What was taken for what: the matrix as a heat map, the pairs most often confused, and each class's figures.

use std::fmt::Write;

use image::{Rgba, RgbaImage};

use super::Confusion;
use super::html::{escape, grouped, percent, png, shorten};

/// Up to this many classes a cell has room for its count.
const COUNTED: usize = 20;
/// Up to this many classes each cell is an element of its own, with a tooltip; beyond it the cells are one picture.
const DRAWN: usize = 30;
const PAIRS: usize = 8;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Whole images.
    Images,
    /// Objects and what is found of them; the last class is the background.
    Objects,
    /// Pixels.
    Pixels,
}

/// A class's figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassFigures {
    /// How many images, or objects, are of this class.
    pub support: u64,
    /// Of what was taken for this class, the share that is; none if nothing was.
    pub precision: Option<f64>,
    /// Of what is of this class, the share taken for it; none if there is none.
    pub recall: Option<f64>,
    /// The harmonic mean of both, 2 right / (support + taken for it); none if neither is known.
    pub f1: Option<f64>,
}

impl Confusion {
    fn count(&self, truth: usize, predicted: usize) -> u64 {
        self.counts.get(truth).and_then(|row| row.get(predicted)).copied().unwrap_or(0)
    }

    fn support(&self, truth: usize) -> u64 {
        (0..self.classes.len()).map(|predicted| self.count(truth, predicted)).sum()
    }

    fn share(&self, truth: usize, predicted: usize) -> f64 {
        self.count(truth, predicted) as f64 / self.support(truth).max(1) as f64
    }

    /// The figures of each class, in order.
    pub fn figures(&self) -> Vec<ClassFigures> {
        let ratio = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let of = |class: usize| {
            let (right, support) = (self.count(class, class), self.support(class));
            let taken: u64 = (0..self.classes.len()).map(|truth| self.count(truth, class)).sum();
            ClassFigures {
                support,
                precision: ratio(right, taken),
                recall: ratio(right, support),
                f1: ratio(2 * right, support + taken),
            }
        };
        (0..self.classes.len()).map(of).collect()
    }

    /// The wrong pairs (truth, predicted, count), the most frequent first.
    pub fn mistakes(&self) -> Vec<(usize, usize, u64)> {
        let classes = self.classes.len();
        let pairs = (0..classes).flat_map(|truth| (0..classes).map(move |predicted| (truth, predicted)));
        let wrong = pairs.filter(|(truth, predicted)| truth != predicted);
        let counted = wrong.map(|(truth, predicted)| (truth, predicted, self.count(truth, predicted)));
        let mut mistakes: Vec<_> = counted.filter(|(.., count)| *count > 0).collect();
        mistakes.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
        mistakes
    }
}

/// The section of the page.
pub fn section(confusion: &Confusion, subject: Subject) -> String {
    let mut text = String::from("<section>\n<h2>What is taken for what</h2>\n");
    if confusion.classes.is_empty() {
        text.push_str("<p>There are no classes.</p>\n</section>\n");
        return text;
    }
    let crowded = confusion.classes.len() > COUNTED;
    let _ = writeln!(text, "<div class=\"{}\">", if crowded { "stacked" } else { "beside" });
    let wide = if crowded { " wide" } else { "" };
    let _ = writeln!(text, "<figure>\n<div class=\"scroll\">\n<div class=\"matrix{wide}\">");
    text.push_str(&matrix(confusion, subject));
    text.push_str("</div>\n</div>\n");
    text.push_str(&key());
    let meaning = match subject {
        Subject::Images => "A row is a true class, a column what its images were taken for.",
        Subject::Pixels => "A row is a true class, a column what its pixels were taken for, in percent.",
        Subject::Objects => {
            "A row is a true class, a column what its objects were taken for. The last column has objects that were not found, \
             the last row what was found where there is no object."
        }
    };
    let _ = write!(
        text,
        "<figcaption>The confusion matrix. {meaning} Colour is the share of the row, small shares made visible.</figcaption>\n\
         </figure>\n<div>\n"
    );
    text.push_str(&pairs(confusion, subject));
    text.push_str(&table(confusion, subject));
    text.push_str("</div>\n</div>\n</section>\n");
    text
}

/// How strongly a share of a row is coloured: 0 to 1, steep at the start so that one mistake in a hundred shows.
fn strength(share: f64) -> f64 {
    if share > 0.0 { 0.08 + 0.92 * share.min(1.0).powf(0.6) } else { 0.0 }
}

fn matrix(confusion: &Confusion, subject: Subject) -> String {
    let classes = confusion.classes.len();
    let (cell, font, letters) = match classes {
        0..=12 => (30.0, 11.0, 12),
        13..=COUNTED => (23.0, 9.5, 14),
        21..=DRAWN => (24.0, 10.0, 18),
        _ => ((800.0 / classes as f64).min(20.0), 7.0, 22),
    };
    // More names than there is room for: every second, third … is written.
    let stride = (font / cell).ceil().max(1.0) as usize;
    let names: Vec<String> = confusion.classes.iter().map(|name| shorten(name, letters)).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let gutter = 24.0 + 0.63 * font * longest as f64;
    let side = cell * classes as f64;
    // The columns' names lean, and the last one leans out to the left, within the gutter.
    let (width, height) = (gutter + side + 4.0, side + gutter);
    let mut text = format!(
        "<svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"Confusion matrix of {classes} classes\">\n"
    );
    let _ = writeln!(text, "<g font-size=\"{font}\">");
    if classes <= DRAWN {
        cells(&mut text, confusion, subject, [gutter, cell]);
    } else if let Some(picture) = picture(confusion) {
        let _ = writeln!(
            text,
            "<image class=\"pixels\" x=\"{gutter:.1}\" y=\"0\" width=\"{side:.1}\" height=\"{side:.1}\" preserveAspectRatio=\"none\" href=\"{picture}\"/>"
        );
    }
    let _ = writeln!(
        text,
        "<rect class=\"frame\" x=\"{gutter:.1}\" y=\"0.5\" width=\"{side:.1}\" height=\"{:.1}\"/>",
        side - 0.5
    );
    for (class, name) in names.iter().enumerate().step_by(stride) {
        let middle = cell * (class as f64 + 0.5);
        let (name, full) = (escape(name), escape(&confusion.classes[class]));
        let _ = writeln!(
            text,
            "<text class=\"name end\" x=\"{:.1}\" y=\"{:.1}\">{name}<title>{full}</title></text>",
            gutter - 4.0,
            middle + 0.35 * font
        );
        let (x, y) = (gutter + middle + 0.35 * font, side + 5.0);
        let turn = if classes <= DRAWN { -55 } else { -90 };
        let y = if turn == -90 { y } else { y + 0.45 * font };
        let _ = writeln!(
            text,
            "<text class=\"name end\" transform=\"translate({x:.1} {y:.1}) rotate({turn})\">{name}<title>{full}</title></text>"
        );
    }
    let _ = writeln!(
        text,
        "<g font-size=\"11\"><text class=\"tick middle\" transform=\"translate(12 {:.1}) rotate(-90)\">true</text>\
         <text class=\"tick middle\" x=\"{:.1}\" y=\"{:.1}\">taken for</text></g>",
        side / 2.0,
        gutter + side / 2.0,
        height - 4.0
    );
    text.push_str("</g>\n</svg>\n");
    text
}

/// What a cell counts, its names between two marks.
fn said(
    confusion: &Confusion,
    subject: Subject,
    truth: usize,
    predicted: usize,
    [open, close]: [&str; 2],
) -> String {
    let name = |class: usize| format!("{open}{}{close}", escape(&confusion.classes[class]));
    let background = confusion.classes.len() - 1;
    match subject {
        Subject::Objects if predicted == background => format!("{} not found", name(truth)),
        Subject::Objects if truth == background => format!("{} where there is none", name(predicted)),
        _ => format!("{} taken for {}", name(truth), name(predicted)),
    }
}

fn cells(text: &mut String, confusion: &Confusion, subject: Subject, [gutter, cell]: [f64; 2]) {
    let classes = confusion.classes.len();
    for truth in 0..classes {
        for predicted in 0..classes {
            let count = confusion.count(truth, predicted);
            if count == 0 {
                continue;
            }
            let (x, y) = (gutter + cell * predicted as f64, cell * truth as f64);
            let strength = strength(confusion.share(truth, predicted));
            let class = if truth == predicted { "right" } else { "wrong" };
            let _ = write!(
                text,
                "<g><title>{}: {count} ({})</title><rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" \
                 height=\"{:.1}\" fill-opacity=\"{strength:.2}\"/>",
                said(confusion, subject, truth, predicted, ["", ""]),
                percent(confusion.share(truth, predicted), 1),
                x + 0.75,
                y + 0.75,
                cell - 1.5,
                cell - 1.5
            );
            if classes <= COUNTED {
                let digits = match subject {
                    // Millions have no room, and shares are what is compared.
                    Subject::Pixels => format!("{:.1}", 100.0 * confusion.share(truth, predicted)),
                    Subject::Images | Subject::Objects => count.to_string(),
                };
                let font = (1.55 * cell / digits.len() as f64).min(0.37 * cell);
                let ink = if strength > 0.55 { " on" } else { "" };
                let _ = write!(
                    text,
                    "<text class=\"count middle{ink}\" font-size=\"{font:.1}\" x=\"{:.1}\" y=\"{:.1}\">{digits}</text>",
                    x + cell / 2.0,
                    y + cell / 2.0 + 0.36 * font
                );
            }
            text.push_str("</g>\n");
        }
    }
}

/// A pixel a cell, see-through where the count is small, so that it lies well on a light and on a dark page.
fn picture(confusion: &Confusion) -> Option<String> {
    let classes = confusion.classes.len() as u32;
    let supports: Vec<u64> = (0..confusion.classes.len()).map(|truth| confusion.support(truth)).collect();
    let picture = RgbaImage::from_fn(classes, classes, |predicted, truth| {
        let count = confusion.count(truth as usize, predicted as usize);
        let share = count as f64 / supports[truth as usize].max(1) as f64;
        let [red, green, blue] = if truth == predicted { [34, 136, 205] } else { [222, 105, 30] };
        Rgba([red, green, blue, (255.0 * strength(share)).round() as u8])
    });
    png(picture)
}

fn key() -> String {
    let mut text = String::from("<ul class=\"key\">\n");
    for (class, name) in [("right", "right"), ("wrong", "wrong")] {
        let _ = write!(text, "<li>{name}");
        for share in [0.01, 0.1, 0.5, 1.0] {
            let _ = write!(
                text,
                "<span><svg viewBox=\"0 0 14 14\" aria-hidden=\"true\"><rect class=\"{class}\" width=\"14\" height=\"14\" \
                 fill-opacity=\"{:.2}\"/></svg>{}</span>",
                strength(share),
                percent(share, 0)
            );
        }
        text.push_str("</li>\n");
    }
    text.push_str("</ul>\n");
    text
}

fn pairs(confusion: &Confusion, subject: Subject) -> String {
    let mistakes = confusion.mistakes();
    // What is found where there is nothing is no object that was taken for another.
    let true_classes = confusion.classes.len() - usize::from(subject == Subject::Objects);
    let all: u64 = (0..true_classes).map(|class| confusion.support(class)).sum();
    let nowhere: u64 = (true_classes..confusion.classes.len()).map(|class| confusion.support(class)).sum();
    let wrong = mistakes.iter().map(|(.., count)| count).sum::<u64>() - nowhere;
    let (things, fate) = match subject {
        Subject::Images => ("test images", "taken for another class"),
        Subject::Pixels => ("pixels", "taken for another class"),
        Subject::Objects => ("objects", "taken for another class or not found"),
    };
    if all + nowhere == 0 {
        return match subject {
            Subject::Images => "<p>No test image was counted.</p>\n".into(),
            Subject::Pixels => "<p>No pixel was counted.</p>\n".into(),
            Subject::Objects => "<p>There is no object, and none was found.</p>\n".into(),
        };
    }
    let Some((.., most)) = mistakes.first() else {
        return format!("<p>None of the {} {things} was {fate}.</p>\n", grouped(all));
    };
    let mut text = format!(
        "<h3>Most often confused</h3>\n<p>{} of {} {things} were {fate} ({}).",
        grouped(wrong),
        grouped(all),
        percent(wrong as f64 / all as f64, 2)
    );
    if subject == Subject::Objects {
        let _ = write!(text, " Where there is no object, {} were found.", grouped(nowhere));
    }
    text.push_str("</p>\n<ol class=\"pairs\">\n");
    for (truth, predicted, count) in mistakes.iter().take(PAIRS) {
        let _ = writeln!(
            text,
            "<li><span>{}</span><span class=\"figure\">{} · {}</span><i class=\"bar wrong\" style=\"width:{:.1}%\"></i></li>",
            said(confusion, subject, *truth, *predicted, ["<b>", "</b>"]),
            grouped(*count),
            percent(confusion.share(*truth, *predicted), 1),
            100.0 * *count as f64 / *most as f64
        );
    }
    let note = match subject {
        Subject::Images => "How many images, and their share of the true class.",
        Subject::Pixels => "How many pixels, and their share of the true class.",
        Subject::Objects => "How many, and their share of the true class; of what is nowhere, of all such.",
    };
    let _ = writeln!(text, "</ol>\n<p class=\"note\">{note}</p>");
    text
}

fn table(confusion: &Confusion, subject: Subject) -> String {
    let mut rows: Vec<(usize, ClassFigures)> = confusion.figures().into_iter().enumerate().collect();
    let (title, things) = match subject {
        Subject::Images => ("The classes one by one", "images"),
        Subject::Pixels => ("Precision and recall of the classes", "pixels"),
        Subject::Objects => ("Precision and recall of the classes", "objects"),
    };
    // The background is no class.
    rows.truncate(rows.len() - usize::from(subject == Subject::Objects));
    let many = rows.len() > COUNTED;
    if many {
        // Nobody reads a hundred rows: the worst come first.
        rows.sort_by(|(_, a), (_, b)| a.f1.unwrap_or(0.0).total_cmp(&b.f1.unwrap_or(0.0)));
    }
    let (open, order) = if many { ("", ", the worst first") } else { (" open=\"open\"", "") };
    let mut text = format!(
        "<details{open}>\n<summary>{title}{order}</summary>\n<div class=\"scroll\">\n<table class=\"classes\">\n\
         <thead><tr><th>class</th><th>{things}</th><th>precision</th><th>recall</th><th>F1</th></tr></thead>\n<tbody>\n"
    );
    let share = |value: Option<f64>| percent(value.unwrap_or(f64::NAN), 1);
    for (class, figures) in rows {
        let _ = writeln!(
            text,
            "<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&confusion.classes[class]),
            grouped(figures.support),
            share(figures.precision),
            share(figures.recall),
            share(figures.f1)
        );
    }
    text.push_str("</tbody>\n</table>\n</div>\n</details>\n");
    text
}
