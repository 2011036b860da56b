//! What a detector finds, class by class: precision against recall, F1 by score, and a table.

use std::fmt::Write;

use super::chart::{Chart, Look, Series};
use super::html::{escape, fixed, grouped, percent};
use super::scale::{Scale, Spelling};
use super::scenes::{self, Scene};

/// So many classes have lines of their own colours; of more only the best and the worst have, and the others are pale.
const COLOURS: [usize; 5] = [1, 2, 4, 5, 6];
/// Of many classes so many of the best and of the worst are named.
const ENDS: usize = 2;
/// Of more classes the table is folded, and sorted.
const SHORT: usize = 20;

/// What a detector's run shows beside what every run shows.
#[derive(Debug, Clone, Default)]
pub struct ObjectReport {
    /// How well each class is found.
    pub classes: Vec<ClassCurve>,
    /// Images of which most is wrong, the worst first.
    pub worst: Vec<Scene>,
    /// Images of which most is right.
    pub best: Vec<Scene>,
    /// The least score of the detections that the images show.
    pub least_score: f64,
}

/// How well the objects of a class are found.
#[derive(Debug, Clone, Default)]
pub struct ClassCurve {
    /// Its name.
    pub name: String,
    /// Objects to be found.
    pub objects: usize,
    /// COCO's average precision; none where there is no object.
    pub ap: Option<f64>,
    /// The best precision at the recalls from 0 to 1, in equal steps, or above, for detections that overlap an object by half:
    /// its mean is AP50.
    pub precision: Vec<f64>,
    /// F1 of the detections whose score is at least 0 … 1, in equal steps, at the same overlap.
    pub f1: Vec<f64>,
    /// The best F1 of all least scores as `[score, F1]`; none without detections.
    pub best_f1: Option<[f64; 2]>,
}

impl ClassCurve {
    /// Average precision at an overlap of a half.
    pub fn ap50(&self) -> f64 {
        mean(self.precision.iter().copied())
    }
}

impl ObjectReport {
    /// The least score at which the mean F1 of all classes with objects is best, and that F1; of equals the largest score.
    pub fn best_score(classes: &[ClassCurve]) -> Option<[f64; 2]> {
        let points = points(&mean_of(classes, |class| &class.f1));
        points.into_iter().reduce(|best, point| if point[1] >= best[1] { point } else { best })
    }
}

/// The curves and the table.
pub fn section(report: &ObjectReport) -> String {
    let mut text = String::from("<section>\n<h2>Objects found</h2>\n");
    if report.classes.iter().all(|class| class.objects == 0) {
        text.push_str("<p>There is no object to be found.</p>\n</section>\n");
        return text;
    }
    text.push_str("<div class=\"curves\">\n");
    for (chart, caption) in [precision(&report.classes), f1(&report.classes)] {
        let _ = write!(text, "<figure>\n{}<figcaption>{caption}</figcaption>\n</figure>\n", chart.draw());
    }
    text.push_str("</div>\n");
    text.push_str(&table(&report.classes));
    text.push_str("</section>\n");
    text
}

/// The images.
pub fn images(report: &ObjectReport) -> String {
    scenes::section(&report.worst, &report.best, report.least_score)
}

fn precision(classes: &[ClassCurve]) -> (Chart, String) {
    let chart = Chart {
        title: "Precision against recall".into(),
        x_name: "recall",
        x: Scale::shares(&[0.0, 1.0]),
        y: Scale::shares(&[0.0, 1.0]),
        spelling: Spelling::Percent,
        series: series(classes, |class| &class.precision, |line| mean(line.iter().copied())),
        marked: None,
    };
    let caption = "Precision at each recall or above, of detections that overlap an object by half. With each name the mean \
                   of its line, <b>AP50</b>.";
    (chart, caption.into())
}

fn f1(classes: &[ClassCurve]) -> (Chart, String) {
    let highest = |line: &[f64]| line.iter().copied().fold(0.0, f64::max);
    let best = ObjectReport::best_score(classes).filter(|[_, f1]| *f1 > 0.0);
    let chart = Chart {
        title: "F1 by the least score".into(),
        x_name: "least score of a detection",
        x: Scale::shares(&[0.0, 1.0]),
        y: Scale::shares(&[0.0, 1.0]),
        spelling: Spelling::Percent,
        series: series(classes, |class| &class.f1, highest),
        marked: best,
    };
    let mut caption =
        String::from("F1 of the detections that are at least so sure. With each name its best.");
    if let Some([score, f1]) = best {
        let _ = write!(
            caption,
            " The ring marks the best mean, <b>{}</b> at a score of <b>{}</b>.",
            percent(f1, 1),
            fixed(score, 2)
        );
    }
    (chart, caption)
}

/// The lines of the classes with objects, those in front last: the mean.
fn series(
    classes: &[ClassCurve],
    line: fn(&ClassCurve) -> &Vec<f64>,
    figure: impl Fn(&[f64]) -> f64,
) -> Vec<Series> {
    let named = |name: &str, line: &[f64]| format!("{name}  {}", percent(figure(line), 1));
    let mut sorted: Vec<&ClassCurve> = classes.iter().filter(|class| class.objects > 0).collect();
    let rest = if sorted.len() > COLOURS.len() {
        sorted.sort_by(|a, b| b.ap50().total_cmp(&a.ap50()));
        let rest = sorted.drain(ENDS..sorted.len() - ENDS).collect();
        sorted.truncate(2 * ENDS);
        rest
    } else {
        Vec::new()
    };
    let mut all = Vec::new();
    if !rest.is_empty() {
        // One name for all: gaps keep their lines apart.
        let lines = rest.iter().flat_map(|class| points(line(class)).into_iter().chain([[f64::NAN; 2]]));
        let name = format!("the other {} classes", rest.len());
        all.push(Series { name, colour: 3, look: Look::Pale, points: lines.collect() });
    }
    all.extend(sorted.iter().zip(COLOURS).map(|(class, colour)| Series {
        name: named(&class.name, line(class)),
        colour,
        look: Look::Line,
        points: points(line(class)),
    }));
    if sorted.len() > 1 {
        let mean = mean_of(classes, line);
        let name = named("mean", &mean);
        all.push(Series { name, colour: 3, look: Look::Bold, points: points(&mean) });
    }
    all
}

fn table(classes: &[ClassCurve]) -> String {
    let mut rows: Vec<&ClassCurve> = classes.iter().collect();
    let many = rows.len() > SHORT;
    if many {
        // Nobody reads eighty rows: the worst come first, those without objects last.
        let key = |class: &ClassCurve| class.ap.unwrap_or(f64::INFINITY);
        rows.sort_by(|a, b| key(a).total_cmp(&key(b)));
    }
    let (open, order) = if many { ("", ", the worst first") } else { (" open=\"open\"", "") };
    let mut text = format!(
        "<details{open}>\n<summary>Average precision of the classes{order}</summary>\n<div class=\"scroll\">\n\
         <table class=\"classes\">\n<thead><tr><th>class</th><th>objects</th><th>AP</th><th>AP50</th><th>best F1</th>\
         <th>at a score of</th></tr></thead>\n<tbody>\n"
    );
    for class in rows {
        let there = |value: f64| if class.objects > 0 { value } else { f64::NAN };
        let [score, f1] = class.best_f1.unwrap_or([f64::NAN; 2]);
        let _ = writeln!(
            text,
            "<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&class.name),
            grouped(class.objects as u64),
            percent(class.ap.unwrap_or(f64::NAN), 1),
            percent(there(class.ap50()), 1),
            percent(there(f1), 1),
            fixed(there(score), 2)
        );
    }
    text.push_str("</tbody>\n</table>\n</div>\n</details>\n");
    text
}

/// The mean line of the classes that have objects.
fn mean_of(classes: &[ClassCurve], line: fn(&ClassCurve) -> &Vec<f64>) -> Vec<f64> {
    let lines: Vec<&Vec<f64>> = classes.iter().filter(|class| class.objects > 0).map(line).collect();
    let length = lines.iter().map(|line| line.len()).min().unwrap_or(0);
    (0..length).map(|at| mean(lines.iter().map(|line| line[at]))).collect()
}

/// Values at equal steps from 0 to 1, as points.
fn points(line: &[f64]) -> Vec<[f64; 2]> {
    let last = line.len().saturating_sub(1).max(1) as f64;
    line.iter().enumerate().map(|(at, value)| [at as f64 / last, *value]).collect()
}

/// 0 of nothing.
fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1);
    values.sum::<f64>() / count as f64
}
