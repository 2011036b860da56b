//! `kiln models`.

use std::process::ExitCode;

use kiln_core::Result;
use kiln_zoo::{Entry, Kind, Published, REGISTRY};
use serde_json::json;

use super::output::{Output, table, thousands};
use crate::recorded;

/// List the models there are
///
/// Multiply-accumulate operations (MACs) are those of convolutions and linear layers for one image. Example: kiln models
/// --json
#[derive(clap::Args)]
pub struct Args {
    /// As a table in Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

/// A model and what it costs.
struct Row {
    entry: &'static Entry,
    macs: u64,
}

/// The columns of a kind of models.
fn header(kind: Kind) -> [&'static str; 8] {
    let [first, second] = match kind {
        Kind::Classifier => ["top-1 %", "top-5 %"],
        Kind::Detector => ["AP %", "AP50 %"],
        Kind::Segmenter => ["mIoU %", "pixels %"],
    };
    ["model", "family", "parameters", "million MACs", "input", first, second, "published by"]
}

pub fn run(args: Args, output: &Output) -> Result<ExitCode> {
    let row = |entry: &'static Entry| {
        let graph = recorded::fresh(entry, entry.num_classes(), entry.input(), false)?;
        Ok(Row { entry, macs: graph.cost().macs })
    };
    let rows = REGISTRY.iter().map(row).collect::<Result<Vec<_>>>()?;
    let tables = [Kind::Classifier, Kind::Detector, Kind::Segmenter].map(|kind| {
        let of_kind = rows.iter().filter(|row| row.entry.kind() == kind);
        let cells: Vec<[String; 8]> = of_kind.map(Row::cells).collect();
        match args.markdown {
            true => markdown(header(kind), &cells),
            false => table(header(kind), &cells),
        }
    });
    output.answer(&tables.join("\n"), json!({"models": rows.iter().map(Row::object).collect::<Vec<_>>()}));
    Ok(ExitCode::SUCCESS)
}

impl Row {
    fn cells(&self) -> [String; 8] {
        let Self { entry, macs } = self;
        let [_, _, height, width] = entry.input();
        let percent = |value: Option<f64>| value.map_or("-".to_string(), |value| format!("{value:.2}"));
        let published = entry.published.as_ref();
        [
            entry.name.to_string(),
            entry.family().to_string(),
            thousands(entry.params),
            format!("{:.1}", *macs as f64 / 1e6),
            format!("{height}x{width}"),
            percent(published.and_then(|published| published.first)),
            percent(published.and_then(|published| published.second)),
            published.map(|published| published.source.to_string()).unwrap_or_default(),
        ]
    }

    fn object(&self) -> serde_json::Value {
        let Self { entry, macs } = self;
        let published = entry.published.map(|Published { first, second, source }| match entry.kind() {
            Kind::Classifier => json!({"top1": first, "top5": second, "source": source}),
            Kind::Detector => json!({"ap": first, "ap50": second, "source": source}),
            Kind::Segmenter => json!({"miou": first, "pixels": second, "source": source}),
        });
        json!({
            "name": entry.name, "family": entry.family(), "params": entry.params, "macs": macs,
            "input": entry.input(), "num_classes": entry.num_classes(), "published": published,
        })
    }
}

fn markdown(header: [&str; 8], cells: &[[String; 8]]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rows = cells.iter().map(|cells| {
        let mut cells = cells.clone();
        cells[0] = format!("`{}`", cells[0]);
        line(&cells)
    });
    let header = line(&header.map(str::to_string));
    format!("{header}|---|---|---:|---:|---:|---:|---:|---|\n{}", rows.collect::<String>())
}
