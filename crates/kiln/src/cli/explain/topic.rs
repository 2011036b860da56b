//! `kiln explain TOPIC`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use image::RgbImage;
use kiln_core::{Error, Result, nearest};
use kiln_data::decode_rgb;
use kiln_explain::topics::{TOPICS, Topic, of_images};
use kiln_explain::{Page, Picture};
use serde_json::{Value, json};

use crate::cli::output::{Output, table, write};

pub fn run(
    name: Option<&str>,
    all: bool,
    out: Option<&Path>,
    image: Option<&Path>,
    seed: u64,
    output: &Output,
) -> Result<ExitCode> {
    if let Some(name) = name.filter(|name| image.is_some() && !of_images().any(|other| other == *name)) {
        topic(name)?;
        let error = Error::input(format!("`{name}` looks at no image")).place("--image");
        return Err(error.hint(format!("those that do are {}", of_images().collect::<Vec<_>>().join(", "))));
    }
    let image = image.map(decode_rgb).transpose()?;
    let image = image.as_ref();
    match (name, out) {
        (None, Some(out)) if all => gallery(out, image, seed, output)?,
        (None, Some(_)) => {
            let error = Error::input("no topic is named").place("--out");
            return Err(error.hint("name one of `kiln explain`, or say `--all`"));
        }
        (None, None) => list(output),
        (Some(name), out) => one(topic(name)?, out, image, seed, output)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn topic(name: &str) -> Result<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name).ok_or_else(|| {
        let error = Error::input(format!("there is no topic `{name}`"));
        error.hint(match nearest(name, TOPICS.iter().map(|topic| topic.name)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`kiln explain` lists them".to_string(),
        })
    })
}

fn list(output: &Output) {
    let rows: Vec<[String; 2]> =
        TOPICS.iter().map(|topic| [topic.name.to_string(), topic.summary.to_string()]).collect();
    let lines = format!(
        "{}{} topics; `kiln explain TOPIC` tells one, `kiln explain --all --out DIR` writes all pages\n\
         of a model: `kiln explain assign`, `field`, `cam`, `filters`, each with `--help`",
        table(["topic", "what it is about"], &rows),
        TOPICS.len()
    );
    let topics: Vec<Value> = TOPICS
        .iter()
        .map(|topic| json!({"name": topic.name, "title": topic.title, "summary": topic.summary}))
        .collect();
    output.answer(&lines, json!({ "topics": topics }));
}

fn one(
    topic: &Topic,
    out: Option<&Path>,
    image: Option<&RgbImage>,
    seed: u64,
    output: &Output,
) -> Result<()> {
    let page = topic.page(seed, image);
    let mut lines = kiln_explain::text(topic, &page);
    let mut answer = kiln_explain::value(topic, &page);
    if let Some(out) = out {
        made(out)?;
        let files = pictures(topic, &page, out)?;
        let file = out.join(format!("{}.html", topic.name));
        write(&file, kiln_explain::html(topic, &page, seed))?;
        lines.push_str(&format!("page: {}, and {} pictures beside it\n", file.display(), files.len()));
        answer["page"] = json!(file);
        answer["pictures"] = json!(files);
    }
    output.answer(&lines, answer);
    Ok(())
}

fn gallery(out: &Path, image: Option<&RgbImage>, seed: u64, output: &Output) -> Result<()> {
    made(out)?;
    let started = Instant::now();
    let mut pages = Vec::new();
    for topic in TOPICS {
        let page = topic.page(seed, image);
        write(&out.join(format!("{}.html", topic.name)), kiln_explain::html(topic, &page, seed))?;
        pages.push((topic, page));
    }
    let index = out.join("index.html");
    write(&index, kiln_explain::index(&pages))?;
    let seconds = started.elapsed().as_secs_f64();
    let lines = format!("{} pages in {seconds:.1} s: {}", TOPICS.len(), index.display());
    output.answer(&lines, json!({"index": index, "pages": TOPICS.len(), "seconds": seconds}));
    Ok(())
}

fn made(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|why| Error::unwritable(folder, &why))
}

/// Writes every picture as a file of its own.
fn pictures(topic: &Topic, page: &Page, out: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for figure in page.all_figures() {
        let stem = format!("{}-{}", topic.name, figure.name);
        let pictures = match &figure.picture {
            Picture::Chart(chart) => vec![(stem, chart.alone(&figure.caption))],
            Picture::Drawing(drawing) => vec![(stem, drawing.file())],
            Picture::Small(list) => list
                .iter()
                .map(|(name, drawing)| {
                    let name = name.to_lowercase().replace([' ', '(', ')', ','], "-");
                    (format!("{stem}-{}", name.trim_matches('-')), drawing.file())
                })
                .collect(),
        };
        for (stem, picture) in pictures {
            let file = out.join(format!("{stem}.svg"));
            write(&file, picture)?;
            files.push(file);
        }
    }
    Ok(files)
}
