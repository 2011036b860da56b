//! Explanations as pages of HTML that need nothing else.

use std::fmt::Write;

use kiln_page::text::escape;
use kiln_page::{POLICY, page};
use pulldown_latex::config::{DisplayMode, RenderConfig};
use pulldown_latex::mathml::push_mathml;
use pulldown_latex::{Parser, Storage};

use crate::draw;
use crate::page::{Figure, Page, Picture, Table};
use crate::topics::Topic;

/// Beside the style of all pages and drawings.
const STYLE: &str = "\
.idea { font-size: 1.08rem; max-width: 44rem; margin-top: 1rem; }
.formula { overflow-x: auto; overflow-y: hidden; padding: .5rem 0; } math { font-size: 1.2rem; font-family: \"Cambria Math\", \"STIX Two Math\", \"STIX Math\", \"Latin Modern Math\", \"XITS Math\", \"Noto Sans Math\", \"DejaVu Math TeX Gyre\", math; }
.prose { max-width: 44rem; margin: 1rem 0; } main > section > figure { margin: 1.25rem 0; }
.said { margin: 1.5rem 0 .25rem; font-size: .875rem; max-width: 44rem; color: var(--soft); }
.tabled { overflow-x: auto; background: linear-gradient(to left, var(--paper) 50%, transparent) right / 2rem 100% no-repeat local, linear-gradient(to left, var(--line), transparent) right / .8rem 100% no-repeat; }
.tabled table { width: auto; min-width: min(100%, 20rem); } .tabled th { overflow-wrap: break-word; }
.tabled th:first-child { position: sticky; left: 0; background: var(--paper); padding-right: .6rem; }
.small-ones { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(46%, 150px), 1fr)); gap: 1rem; }
.small-ones p { margin: 0; font-size: .875rem; text-align: center; }
.topics { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 280px), 1fr)); gap: 1.25rem; margin-top: 1.5rem; }
.topics li { border: 1px solid var(--line); border-radius: 6px; padding: .9rem 1rem; break-inside: avoid; } .topics a { font-weight: 600; }
.shown { display: flex; gap: .5rem; justify-content: center; margin-bottom: .8rem; } .shown svg { height: 8rem; min-width: 0; } .shown .legend, .shown text { display: none; }
.topics p { margin: .1rem 0; color: var(--soft); font-size: .9375rem; }
a { color: var(--c1); } .places li { padding: .15rem 0; } .places code { font: .8125rem/1.5 ui-monospace, Menlo, Consolas, \"Liberation Mono\", monospace; }
nav { font-size: .875rem; margin-bottom: 1.5rem; }
@media (max-width: 480px) { math { font-size: 1.05rem; } .tabled th:first-child { padding-right: .3rem; } }
@media print { .tabled { overflow: visible; background: none; } .tabled table { font-size: 8.5pt; } .tabled th:first-child { position: static; } .topics a, .places a { color: inherit; }
  figure:has(.small-ones) { break-inside: auto; } .small-ones > div { break-inside: avoid; } .small-ones { grid-template-columns: repeat(auto-fill, minmax(3.4cm, 1fr)); }
  figure > div:not(.small-ones), figure > svg { max-width: 10.5cm !important; } .formula { break-inside: avoid; } .said { break-after: avoid; } }
";

fn head() -> String {
    format!("<style>\n{}{STYLE}</style>\n", draw::STYLE)
}

/// A formula as MathML.
///
/// # Panics
/// If it is no LaTeX: they are all ours.
pub fn mathml(latex: &str) -> String {
    let storage = Storage::new();
    let parser = Parser::new(latex, &storage);
    let mut text = String::new();
    let config = RenderConfig { display_mode: DisplayMode::Block, xml: true, ..RenderConfig::default() };
    push_mathml(&mut text, parser, config).expect("a String takes everything");
    assert!(!text.contains("merror"), "{latex}: {text}");
    // What it writes that is HTML and no XML.
    text.replace("<mo><</mo>", "<mo>&lt;</mo>").replace("&nbsp;", "\u{a0}")
}

/// The page of a topic.
pub fn html(topic: &Topic, explained: &Page, seed: u64) -> String {
    let mut body = String::new();
    let _ = write!(
        body,
        "<nav><a href=\"index.html\">All topics</a></nav>\n<header>\n<h1>{}</h1>\n<p class=\"subtitle\">{}</p>\n</header>\n",
        escape(topic.title),
        escape(topic.summary)
    );
    let _ = writeln!(body, "<p class=\"idea\">{}</p>", escape(&explained.idea.join(" ")));
    body.push_str("<section>\n<h2>The formula</h2>\n");
    for formula in &explained.formulas {
        let _ = writeln!(body, "<div class=\"formula\">{}</div>", mathml(formula.latex));
    }
    body.push_str("</section>\n<section>\n<h2>The picture</h2>\n");
    explained.figures.iter().for_each(|one| body.push_str(&figure(one)));
    body.push_str("</section>\n<section>\n<h2>The numbers</h2>\n");
    explained.tables.iter().for_each(|one| body.push_str(&table(one)));
    let experiment = &explained.experiment;
    let _ = write!(
        body,
        "</section>\n<section>\n<h2>An experiment</h2>\n<p class=\"prose\"><b>{}</b> {}</p>\n",
        escape(&experiment.question),
        escape(&experiment.method)
    );
    experiment.figures.iter().for_each(|one| body.push_str(&figure(one)));
    experiment.tables.iter().for_each(|one| body.push_str(&table(one)));
    let _ = writeln!(body, "<p class=\"prose\">{}</p>\n</section>", escape(&experiment.result));
    body.push_str("<section>\n<h2>Where it is</h2>\n<ul class=\"places\">\n");
    for place in &explained.code {
        let _ = writeln!(body, "<li>Code: <code>{}</code></li>", escape(place));
    }
    for place in &explained.tests {
        let _ = writeln!(body, "<li>Test: <code>{}</code></li>", escape(place));
    }
    for [name, address] in &explained.sources {
        let _ = writeln!(body, "<li>Source: <a href=\"{}\">{}</a></li>", escape(address), escape(name));
    }
    let seed = if seed == 0 { String::new() } else { format!(" --seed {seed}") };
    let _ = writeln!(
        body,
        "</ul>\n<pre class=\"command\"><code>kiln explain {}{seed}</code></pre>\n</section>",
        topic.name
    );
    page(topic.title, POLICY, &head(), &body)
}

/// The page that leads to all others, each shown by its first picture.
pub fn index(pages: &[(&Topic, Page)]) -> String {
    let mut body = String::from(
        "<header>\n<h1>Concepts of deep learning</h1>\n<p class=\"subtitle\">Each page was made by the code that it explains.</p>\n\
         </header>\n<ul class=\"topics\">\n",
    );
    for (topic, explained) in pages {
        let _ = writeln!(
            body,
            "<li><a href=\"{}.html\"><div class=\"shown\" aria-hidden=\"true\">{}</div>{}</a><p>{}</p></li>",
            topic.name,
            explained.figures.first().map(shown).unwrap_or_default(),
            escape(topic.title),
            escape(topic.summary)
        );
    }
    body.push_str("</ul>\n");
    page("Concepts of deep learning", POLICY, &head(), &body)
}

/// A picture for the index; of many small ones the first three.
fn shown(figure: &Figure) -> String {
    match &figure.picture {
        Picture::Chart(chart) => chart.draw(),
        Picture::Drawing(drawing) => drawing.inline(),
        Picture::Small(list) => list.iter().take(3).map(|(_, drawing)| drawing.inline()).collect(),
    }
}

fn figure(figure: &Figure) -> String {
    let caption = escape(&figure.caption);
    let picture = match &figure.picture {
        Picture::Chart(chart) => format!("<div style=\"max-width: 560px\">{}</div>", chart.draw()),
        Picture::Drawing(drawing) => drawing.inline(),
        Picture::Small(list) => {
            let mut text = String::from("<div class=\"small-ones\">\n");
            for (name, drawing) in list {
                let _ = writeln!(text, "<div>{}<p>{}</p></div>", drawing.inline(), escape(name));
            }
            text + "</div>\n"
        }
    };
    format!("<figure>\n{picture}<figcaption>{caption}</figcaption>\n</figure>\n")
}

fn table(table: &Table) -> String {
    let caption = escape(&table.caption);
    let mut text = format!("<p class=\"said\">{caption}</p>\n<div class=\"tabled\">\n<table>\n<thead><tr>");
    for name in &table.header {
        let _ = write!(text, "<th>{}</th>", escape(name));
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        text.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let (open, close) = if at == 0 { ("<th>", "</th>") } else { ("<td>", "</td>") };
            let _ = write!(text, "{open}{}{close}", escape(cell));
        }
        text.push_str("</tr>\n");
    }
    text + "</tbody>\n</table>\n</div>\n"
}
