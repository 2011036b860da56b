//! Every topic makes a whole page, the same for the same seed.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Mutex;

use kiln_explain::topics::TOPICS;
use kiln_explain::{Picture, html, index, mathml, text};

/// The device's random numbers, of which fresh weights are made, are shared by all threads.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn pages_are_whole_and_well_formed() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let pages: Vec<_> = TOPICS.iter().map(|topic| (topic, topic.page(0, None))).collect();
    for (topic, page) in &pages {
        let written = html(topic, page, 0);
        let body = written.trim_start_matches("<!DOCTYPE html>\n");
        if let Err(why) = roxmltree::Document::parse(body) {
            panic!("{}: {why}", topic.name);
        }
        assert!(
            !page.formulas.is_empty() && !page.figures.is_empty() && !page.tables.is_empty(),
            "{}",
            topic.name
        );
        assert!(!page.sources.is_empty() && !page.experiment.result.is_empty(), "{}", topic.name);
        for sentence in page.idea {
            assert!(
                sentence.ends_with('.') && sentence.matches(". ").count() == 0,
                "{}: {sentence}",
                topic.name
            );
        }
        for table in page.all_tables() {
            assert!(!table.rows.is_empty(), "{}: {}", topic.name, table.caption);
            assert!(
                table.rows.iter().all(|row| row.len() == table.header.len()),
                "{}: {}",
                topic.name,
                table.caption
            );
        }
        // What a page names is there: a test by its function, code by its file or folder.
        for named in &page.tests {
            let (file, name) = named.split_once(": ").unwrap();
            let source = std::fs::read_to_string(root.join(file)).unwrap_or_else(|_| panic!("{named}"));
            assert!(source.contains(&format!("fn {name}()")), "{named}");
        }
        for named in &page.code {
            assert!(root.join(named.split_once(": ").unwrap().0).exists(), "{named}");
        }
        for figure in page.all_figures() {
            let files = match &figure.picture {
                Picture::Chart(chart) => vec![chart.alone(&figure.caption)],
                Picture::Drawing(drawing) => vec![drawing.file()],
                Picture::Small(list) => list.iter().map(|(_, drawing)| drawing.file()).collect(),
            };
            files.iter().for_each(|file| {
                roxmltree::Document::parse(file)
                    .unwrap_or_else(|why| panic!("{} {}: {why}", topic.name, figure.name));
            });
        }
        // The letters of an embedded image may spell anything.
        let mut said = written.split('"').filter(|part| !part.starts_with("data:"));
        assert!(
            said.all(|part| !part.contains("NaN")) && !text(topic, page).contains("NaN"),
            "{}",
            topic.name
        );
    }
    roxmltree::Document::parse(index(&pages).trim_start_matches("<!DOCTYPE html>\n")).unwrap();
}

#[test]
fn a_seed_makes_the_same_page() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    // Times that are measured differ.
    for topic in TOPICS.iter().filter(|topic| !["dense", "flops", "shuffle"].contains(&topic.name)) {
        let of = |seed| text(topic, &topic.page(seed, None));
        assert_eq!(of(3), of(3), "{}", topic.name);
    }
}

#[test]
fn formulas_are_mathml() {
    let formula = mathml(r"\frac{a}{b}");
    assert!(formula.starts_with("<math") && formula.contains("<mfrac>"), "{formula}");
}
