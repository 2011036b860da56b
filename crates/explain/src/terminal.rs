//! Explanations as text and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::page::{Page, Table};
use crate::topics::Topic;

/// Of a topic, for a terminal.
pub fn text(topic: &Topic, page: &Page) -> String {
    let mut text = format!("{}\n\n", topic.title);
    page.idea.iter().for_each(|sentence| wrapped(&mut text, sentence));
    text.push('\n');
    for formula in &page.formulas {
        let _ = writeln!(text, "    {}", formula.text);
    }
    page.tables.iter().for_each(|one| table(&mut text, one));
    let experiment = &page.experiment;
    let _ = writeln!(text);
    wrapped(&mut text, &format!("{} {}", experiment.question, experiment.method));
    experiment.tables.iter().for_each(|one| table(&mut text, one));
    text.push('\n');
    wrapped(&mut text, &experiment.result);
    let _ = writeln!(text, "\ncode: {}\ntests: {}", page.code.join(", "), page.tests.join(", "));
    for [name, address] in &page.sources {
        let _ = writeln!(text, "source: {name}, {address}");
    }
    text
}

/// Of a topic, for programs.
pub fn value(topic: &Topic, page: &Page) -> Value {
    let tables: Vec<Value> = page
        .all_tables()
        .map(|table| json!({"caption": table.caption, "header": table.header, "rows": table.rows}))
        .collect();
    json!({
        "topic": topic.name, "title": topic.title, "idea": page.idea, "formulas": page.formulas.iter().map(|one| one.latex).collect::<Vec<_>>(),
        "tables": tables, "question": page.experiment.question, "method": page.experiment.method, "result": page.experiment.result, "code": page.code, "tests": page.tests,
        "sources": page.sources,
    })
}

/// In lines of at most 100 letters.
fn wrapped(text: &mut String, words: &str) {
    let mut length = 0;
    for word in words.split_whitespace() {
        let letters = word.chars().count();
        if length > 0 && length + 1 + letters > 100 {
            text.push('\n');
            length = 0;
        } else if length > 0 {
            text.push(' ');
            length += 1;
        }
        text.push_str(word);
        length += letters;
    }
    text.push('\n');
}

fn table(text: &mut String, table: &Table) {
    let rows = || std::iter::once(&table.header).chain(&table.rows);
    let widths: Vec<usize> = (0..table.header.len())
        .map(|at| rows().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let _ = writeln!(text, "\n{}", table.caption);
    for row in rows() {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| match at {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        let _ = writeln!(text, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
