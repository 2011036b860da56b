//! `kiln data …`.

use std::process::ExitCode;

use kiln_core::{Error, Result, nearest};
use kiln_data::{Manifest, Progress, Roots, fetch};
use serde_json::json;

use super::anchors;
use super::output::{Output, table, thousands};
use super::view;
use crate::run::bar;

/// Look for, check, download and look at data sets
#[derive(clap::Subcommand)]
pub enum Verb {
    /// List the data sets that are known, and where they are
    ///
    /// Example: KILN_DATA=~/data kiln data list
    List,
    /// Check that a data set is whole: sizes and checksums, or every image
    ///
    /// Example: kiln data check fashion-mnist
    Check {
        /// A name or a path
        data: String,
    },
    /// Download a data set, checked and resumed if it was broken off
    ///
    /// Example: kiln data fetch cifar10
    Fetch {
        /// A name of `kiln data list`
        name: String,
    },
    View(view::Args),
    Anchors(anchors::Args),
}

pub fn run(verb: Verb, roots: &Roots, output: &Output) -> Result<ExitCode> {
    match verb {
        Verb::List => list(roots, output),
        Verb::Check { data } => check(&data, roots, output),
        Verb::Fetch { name } => download(&name, roots, output),
        Verb::View(args) => view::run(args, roots, output),
        Verb::Anchors(args) => anchors::run(args, roots, output),
    }
}

fn list(roots: &Roots, output: &Output) -> Result<ExitCode> {
    let listed = kiln_data::list(roots)?;
    let state = |data: &kiln_data::Listed| match (&data.problem, data.present, &data.root) {
        (Some(problem), ..) => problem.to_string(),
        (None, true, Some(root)) => root.display().to_string(),
        (None, true, None) => "built in".to_string(),
        (None, false, _) => format!("not here: {}", data.advice.as_deref().unwrap_or_default()),
    };
    let rows: Vec<[String; 5]> = (listed.iter())
        .map(|data| {
            let licence = data.licence.clone().unwrap_or_default();
            [data.name.clone(), thousands(data.items), data.title.clone(), licence, state(data)]
        })
        .collect();
    let objects = listed.iter().map(|data| {
        let problem = data.problem.as_ref().map(Error::to_string);
        json!({
            "name": data.name, "items": data.items, "title": data.title, "licence": data.licence,
            "present": data.present, "root": data.root, "problem": problem,
        })
    });
    output.answer(
        &table(["data", "images", "what", "licence", "where"], &rows),
        json!({"data": objects.collect::<Vec<_>>()}),
    );
    Ok(ExitCode::SUCCESS)
}

fn check(data: &str, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let report = kiln_data::check(data, roots)?;
    let wrong: Vec<String> = report.wrong.iter().map(Error::to_string).collect();
    let mut lines = match report.files.len() {
        0 => format!("{}: {} images, {} wrong\n", report.name, thousands(report.images), wrong.len()),
        files => format!("{}: {files} files, {} wrong\n", report.name, wrong.len()),
    };
    wrong.iter().for_each(|line| lines.push_str(&format!("  {line}\n")));
    let object = json!({
        "data": report.name, "root": report.root, "files": report.files.len(), "images": report.images,
        "whole": report.is_whole(), "wrong": wrong,
    });
    output.answer(&lines, object);
    Ok(if report.is_whole() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn download(name: &str, roots: &Roots, output: &Output) -> Result<ExitCode> {
    let manifest = Manifest::find(name, &roots.datasets)?.ok_or_else(|| {
        let names = Manifest::names(&roots.datasets);
        let near = nearest(name, names.iter().map(String::as_str));
        Error::input(format!("nothing is known of where to download `{name}`")).hint(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("can be downloaded: {}", names.join(", ")),
        })
    })?;
    let into = match (&roots.data, roots.datasets.is_dir()) {
        (Some(data), false) => data.join(name),
        _ => roots.datasets.join(name).join("raw"),
    };
    let bar = bar(0, "{msg:32!} {bar:24} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left");
    let say = |line: String| match bar.is_hidden() {
        true => eprintln!("{line}"),
        false => bar.println(line),
    };
    fetch(&manifest, &into, &mut |progress| match progress {
        Progress::Downloading { file, done, total } => {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(file);
        }
        Progress::Present { file } => say(format!("{file}: here already")),
        Progress::Unpacking { file } => say(format!("{file}: unpacking")),
        Progress::Ready { file } => say(format!("{file}: checked and in place")),
    })?;
    bar.finish_and_clear();
    output.answer(&format!("{name}: in {}", into.display()), json!({"data": name, "root": into}));
    Ok(ExitCode::SUCCESS)
}
