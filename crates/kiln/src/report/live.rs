//! The page of a run while it goes on: the report's own drawings, and a small script that exchanges what changed.

use std::fmt::Write;

use super::html::{escape, fixed, grouped, percent};
use super::times::spelt;
use super::{EpochRow, StepRow, TimesRow, curves, epochs_table, page, times, toml};

/// Nothing but the page's own server is asked for anything.
const POLICY: &str = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      connect-src 'self'";

/// Whether a run goes on, and what else is to be said of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mood {
    /// It goes on.
    #[default]
    Goes,
    /// It is done.
    Done,
    /// It stopped before its end.
    Stopped,
    /// Nobody knows.
    Unknown,
}

/// Everything the page says of a run.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// The name of the run.
    pub title: String,
    /// The model and the data set.
    pub subtitle: String,
    /// Whether it goes on.
    pub mood: Mood,
    /// That in words, the first of them a heading.
    pub state: [String; 2],
    /// The epoch it is in, and how many there will be.
    pub epoch: [usize; 2],
    /// Steps done, and how many there will be; 0 if that is not known.
    pub step: [usize; 2],
    /// Training images a second.
    pub images_per_second: Option<f64>,
    /// Seconds to the end.
    pub seconds_left: Option<f64>,
    /// One row an epoch, in order.
    pub epochs: Vec<EpochRow>,
    /// Some or all steps, in order.
    pub steps: Vec<StepRow>,
    /// Where the time went.
    pub times: Vec<TimesRow>,
    /// The last lines of the log.
    pub log: String,
    /// Files of the run that a reader may want: their names, and what they are.
    pub files: Vec<(String, String)>,
    /// The experiment file, as typed.
    pub configuration: String,
}

/// The page, complete, with its script.
pub fn live_page(live: &Live) -> String {
    let head = format!("<style>\n{}</style>\n", include_str!("live.css"));
    let body = format!(
        "<p class=\"gone\" id=\"gone\" hidden=\"\" role=\"alert\">The server does not answer: what is here is of <span>before</span>. \
         <code>kiln watch</code> starts it again.</p>\n{}<script>\n{}</script>\n",
        live_parts(live),
        include_str!("live.js")
    );
    page(&live.title, POLICY, &head, &body)
}

/// What the script exchanges: elements with an id each.
pub fn live_parts(live: &Live) -> String {
    let parts = [
        ("head", head(live)),
        ("curves", curves::section(&live.epochs, &live.steps) + &epochs_table(&live.epochs)),
        ("times", times::section(&live.times)),
        ("log", log(live)),
        ("files", files(live)),
    ];
    parts.map(|(id, part)| format!("<div class=\"live\" id=\"{id}\">\n{part}</div>\n")).concat()
}

fn head(live: &Live) -> String {
    let mood = match live.mood {
        Mood::Goes => "goes",
        Mood::Done => "done",
        Mood::Stopped => "stopped",
        Mood::Unknown => "unknown",
    };
    let [state, detail] = live.state.each_ref().map(|text| escape(text));
    let share = live.step[0] as f64 / live.step[1].max(1) as f64;
    let mut text = format!(
        "<header>\n<h1>{}</h1>\n<p class=\"subtitle\">{}</p>\n<p class=\"state {mood}\"><b>{state}</b> <span>{detail}</span></p>\n\
         <div class=\"progress {mood}\"><i style=\"width:{:.2}%\"> </i></div>\n<dl class=\"tiles\">\n",
        escape(&live.title),
        escape(&live.subtitle),
        100.0 * share.clamp(0.0, 1.0),
    );
    for (name, value) in tiles(live) {
        let _ = writeln!(text, "<div><dt>{}</dt><dd>{}</dd></div>", escape(&name), escape(&value));
    }
    text.push_str("</dl>\n</header>\n");
    text
}

fn tiles(live: &Live) -> Vec<(String, String)> {
    let of = |[done, all]: [usize; 2]| match all {
        0 => grouped(done as u64),
        _ => format!("{} of {}", grouped(done as u64), grouped(all as u64)),
    };
    let mut tiles = vec![("Epoch".to_string(), of(live.epoch)), ("Step".to_string(), of(live.step))];
    let mut tile = |name: &str, value: Option<String>| {
        tiles.extend(value.map(|value| (name.to_string(), value)));
    };
    tile("Time left", live.seconds_left.filter(|_| live.mood == Mood::Goes).map(spelt));
    let spent: f64 = live.times.iter().map(TimesRow::total).sum();
    tile("Time so far", (spent > 0.0).then(|| spelt(spent)));
    let digits = |speed: f64| if speed < 10.0 { 1 } else { 0 };
    tile("Images a second", live.images_per_second.map(|speed| fixed(speed, digits(speed))));
    // A few steps together, for one strays.
    let last = &live.steps[live.steps.len().saturating_sub(20)..];
    let mean = last.iter().map(|row| row.loss).sum::<f64>() / last.len() as f64;
    tile("Loss, last steps", (!last.is_empty()).then(|| fixed(mean, 4)));
    if let (Some(first), Some((_, best))) =
        (live.epochs.last().and_then(|row| row.figures.first()), curves::best(&live.epochs))
    {
        tile(&format!("Best {}", first.0), Some(percent(best, 2)));
    }
    tiles
}

fn log(live: &Live) -> String {
    match live.log.trim().is_empty() {
        true => String::new(),
        false => format!(
            "<section>\n<h2>Log</h2>\n<pre><code>{}</code></pre>\n</section>\n",
            escape(live.log.trim_end())
        ),
    }
}

fn files(live: &Live) -> String {
    let mut text = String::from("<section>\n<h2>Its files</h2>\n<ul class=\"files\">\n");
    for (name, what) in &live.files {
        let _ =
            writeln!(text, "<li><a href=\"{name}\">{name}</a> {}</li>", escape(what), name = escape(name));
    }
    text.push_str("</ul>\n");
    if !live.configuration.trim().is_empty() {
        let _ = writeln!(
            text,
            "<details>\n<summary>The experiment, as typed</summary>\n<pre><code>{}</code></pre>\n</details>",
            toml(&live.configuration)
        );
    }
    text.push_str("</section>\n");
    text
}
