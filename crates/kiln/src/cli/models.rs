//! `kiln models`.

use std::process::ExitCode;

use kiln_core::Result;
use kiln_zoo::REGISTRY;
use serde_json::json;

use super::output::{Output, table, thousands};

/// List the models there are
///
/// Example: kiln models --json
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_: Args, output: &Output) -> Result<ExitCode> {
    let rows: Vec<[String; 6]> = (REGISTRY.iter())
        .map(|entry| {
            let [_, _, height, width] = entry.input();
            let (top1, source) = match entry.published {
                Some((top1, top5, source)) => (format!("{top1:.3} / {top5:.3}"), source.to_string()),
                None => ("-".to_string(), String::new()),
            };
            let family = entry.family().name().to_string();
            [
                entry.name.to_string(),
                family,
                thousands(entry.params),
                format!("{height}x{width}"),
                top1,
                source,
            ]
        })
        .collect();
    let objects = REGISTRY.iter().map(|entry| {
        let published = entry.published.map(|(top1, top5, source)| json!({"top1": top1, "top5": top5, "source": source}));
        let family = entry.family().name();
        json!({"name": entry.name, "family": family, "params": entry.params, "input": entry.input(), "published": published})
    });
    let header = ["model", "family", "parameters", "input", "top-1 / top-5 %", "published by"];
    output.answer(&table(header, &rows), json!({"models": objects.collect::<Vec<_>>()}));
    Ok(ExitCode::SUCCESS)
}
