//! Images with the objects that are in them and those that a detector finds.

use std::fmt::Write;

use image::RgbImage;

use super::html::{escape, fixed, jpeg, percent};
use super::samples::reduced;

/// A larger image is reduced to this, so that the page stays small.
const LARGEST: u32 = 480;
/// The longer side of a drawing, in its own units: letters and lines are equally large in all.
const SIDE: f64 = 320.0;
/// A smaller image is magnified with hard pixels, as the network sees it.
const SMALL: u32 = 160;
const FONT: f64 = 11.0;
/// What a letter is wide, of its size: names are set in a tag that is no narrower than they are.
const LETTER: f64 = 0.6;
/// A word or two more than that would say no more.
const LISTED: usize = 4;

/// An image with what is in it and what was found in it.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// As a person would see it, of any size; a large one is reduced.
    pub image: RgbImage,
    /// What is in it.
    pub truths: Vec<SceneTruth>,
    /// What was found.
    pub detections: Vec<SceneDetection>,
    /// Twice the objects found over the objects and the detections; 1 where there are none and nothing was found.
    pub f1: f64,
}

/// An object of an image.
#[derive(Debug, Clone)]
pub struct SceneTruth {
    /// Its class.
    pub name: String,
    /// Left, upper, right and lower edge, in pixels of the image.
    pub edges: [f64; 4],
    /// What became of it.
    pub fate: Fate,
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A detection stands for it.
    Found,
    /// None does.
    Missed,
    /// Nobody has to find it.
    Excused,
}

/// What a detector says is in an image.
#[derive(Debug, Clone)]
pub struct SceneDetection {
    /// The class it says.
    pub name: String,
    /// How sure it is.
    pub score: f64,
    /// Left, upper, right and lower edge, in pixels of the image.
    pub edges: [f64; 4],
    /// Whether it is right.
    pub verdict: Verdict,
}

/// Whether a detection is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stands for an object.
    Right,
    /// A surer one stands for its object.
    Doubled,
    /// There is no such object.
    Wrong,
    /// It stands for what nobody has to find.
    Excused,
}

/// The section of the page.
pub fn section(worst: &[Scene], best: &[Scene], least_score: f64) -> String {
    if worst.is_empty() && best.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "<section>\n<h2>Test images</h2>\n<p>Detections with a score of {} and more.</p>\n<ul class=\"legend scene-key\">\n",
        fixed(least_score, 2)
    );
    for (class, name) in [
        ("there", "what is there"),
        ("found", "found"),
        ("false", "✗ not there, or found twice"),
        ("excused", "need not be found"),
    ] {
        let _ = writeln!(
            text,
            "<li><svg viewBox=\"0 0 26 16\" aria-hidden=\"true\">{}</svg>{name}</li>",
            outline([3.0, 3.0, 20.0, 10.0], class, "")
        );
    }
    text.push_str("</ul>\n");
    for (title, scenes) in [("Worst", worst), ("Best", best)] {
        if scenes.is_empty() {
            continue;
        }
        let _ = writeln!(text, "<h3>{title}</h3>\n<ul class=\"scenes\">");
        scenes.iter().for_each(|scene| card(&mut text, scene));
        text.push_str("</ul>\n");
    }
    text.push_str("</section>\n");
    text
}

fn card(text: &mut String, scene: &Scene) {
    let _ = write!(text, "<li>{}<p><b>F1 {}</b> {}</p>", drawing(scene), percent(scene.f1, 0), counts(scene));
    let missed = scene.truths.iter().filter(|truth| truth.fate == Fate::Missed);
    list(text, "missed", missed.map(|truth| truth.name.clone()).collect());
    for (verdict, word) in [(Verdict::Wrong, "not there"), (Verdict::Doubled, "found twice")] {
        let such = scene.detections.iter().filter(|detection| detection.verdict == verdict);
        list(text, word, such.map(|one| format!("{} {}", one.name, percent(one.score, 0))).collect());
    }
    text.push_str("</li>\n");
}

/// `3 found, 1 missed, 2 wrong`, of which only what there is.
fn counts(scene: &Scene) -> String {
    let of = |verdict: Verdict| scene.detections.iter().filter(|one| one.verdict == verdict).count();
    let missed = scene.truths.iter().filter(|truth| truth.fate == Fate::Missed).count();
    let parts = [
        (of(Verdict::Right), "found"),
        (missed, "missed"),
        (of(Verdict::Wrong), "not there"),
        (of(Verdict::Doubled), "twice"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = parts.map(|(count, word)| format!("{count} {word}")).collect();
    if words.is_empty() { "nothing there, nothing found".into() } else { words.join(", ") }
}

/// A line of names, equal ones counted.
fn list(text: &mut String, word: &str, names: Vec<String>) {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for name in names {
        match counted.iter_mut().find(|(other, _)| *other == name) {
            Some((_, count)) => *count += 1,
            None => counted.push((name, 1)),
        }
    }
    if counted.is_empty() {
        return;
    }
    let more = if counted.len() > LISTED { " …" } else { "" };
    let words = counted.into_iter().take(LISTED).map(|(name, count)| match count {
        1 => escape(&name),
        count => format!("{count} × {}", escape(&name)),
    });
    let _ = write!(text, "<p class=\"note\">{word}: {}{more}</p>", words.collect::<Vec<_>>().join(", "));
}

/// The image under its boxes.
fn drawing(scene: &Scene) -> String {
    let (width, height) = scene.image.dimensions();
    let longest = width.max(height);
    let small = if longest > LARGEST { reduced(&scene.image, LARGEST) } else { scene.image.clone() };
    let Some(address) = jpeg(small) else { return "<p class=\"note\">an image without pixels</p>".into() };
    let scale = SIDE / f64::from(longest);
    let size = [f64::from(width) * scale, f64::from(height) * scale];
    let pixels = if longest < SMALL { " class=\"pixels\"" } else { "" };
    let mut text = format!(
        "<svg class=\"scene\" viewBox=\"0 0 {:.1} {:.1}\" role=\"img\" aria-label=\"{}\">\n\
         <image{pixels} width=\"{:.1}\" height=\"{:.1}\" preserveAspectRatio=\"none\" href=\"{address}\"/>\n",
        size[0],
        size[1],
        escape(&counts(scene)),
        size[0],
        size[1]
    );
    let place = |[x1, y1, x2, y2]: [f64; 4]| {
        let inside =
            |at: f64, axis: usize| if at.is_finite() { (at * scale).clamp(0.0, size[axis]) } else { 0.0 };
        let [x1, y1, x2, y2] = [inside(x1, 0), inside(y1, 1), inside(x2, 0), inside(y2, 1)];
        [x1, y1, (x2 - x1).max(0.0), (y2 - y1).max(0.0)]
    };
    // Detections lie over the objects, dashes over both so that both are seen where they agree; then all words.
    let mut words = String::new();
    for detection in scene.detections.iter().rev() {
        let (class, mark) = match detection.verdict {
            Verdict::Right => ("found", ""),
            Verdict::Wrong => ("false", "✗ "),
            Verdict::Doubled => ("false", "✗ twice "),
            Verdict::Excused => ("excused", ""),
        };
        let title = format!("{mark}{} {}", detection.name, percent(detection.score, 0));
        let place = place(detection.edges);
        text.push_str(&outline(place, class, &title));
        tag(&mut words, place, size, class, &title);
    }
    for truth in &scene.truths {
        let place = place(truth.edges);
        let (class, title) = match truth.fate {
            Fate::Found => ("there", truth.name.clone()),
            Fate::Missed => ("there missed", format!("missed {}", truth.name)),
            Fate::Excused => ("excused", format!("{}: need not be found", truth.name)),
        };
        text.push_str(&outline(place, class, &title));
        if truth.fate == Fate::Missed {
            let [x, y, width, height] = place;
            // At the foot of its box: detections have theirs at the head.
            tag(&mut words, [x, y + height + FONT + 4.0, width, 0.0], size, "missing", &title);
        }
    }
    text + &words + "</svg>\n"
}

/// A box with a dark line under the bright one: seen on every ground.
fn outline([x, y, width, height]: [f64; 4], class: &str, title: &str) -> String {
    let box_ = format!("x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"");
    let title = if title.is_empty() { String::new() } else { format!("<title>{}</title>", escape(title)) };
    format!(
        "<g class=\"outline {class}\">{title}<rect class=\"under\" {box_}/><rect class=\"over\" {box_}/></g>\n"
    )
}

/// A name over the upper edge of a box, or under it where there is no room, and never beyond the image.
fn tag(text: &mut String, [x, y, ..]: [f64; 4], [width, height]: [f64; 2], class: &str, name: &str) {
    let (long, high) = (LETTER * FONT * name.chars().count() as f64 + 5.0, FONT + 3.0);
    let left = x.min(width - long).max(0.0);
    let top = if y >= high { y - high } else { y };
    let top = top.min(height - high).max(0.0);
    let _ = writeln!(
        text,
        "<g class=\"tag {class}\"><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{long:.1}\" height=\"{high:.1}\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"{FONT}\">{}</text></g>",
        left + 2.5,
        top + FONT - 0.5,
        escape(name)
    );
}
