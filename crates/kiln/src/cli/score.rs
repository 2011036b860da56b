//! `kiln score`.

use std::path::PathBuf;
use std::process::ExitCode;

use kiln_core::Result;
use serde_json::{Map, Value, json};

use super::output::{Output, table};
use crate::coco;

/// Compare predictions with a truth, both in COCO's formats
///
/// The figures are those of pycocotools; -1 where there is nothing to be found. Example: kiln score bbox
/// instances_val2017.json predictions.json
#[derive(clap::Args)]
pub struct Args {
    /// What is compared
    kind: coco::Kind,
    /// An object with `images`, `annotations` and `categories`
    truth: PathBuf,
    /// A list of `{"image_id": 1, "category_id": 1, "bbox": [left, top, width, height], "score": 0.9}`, with `segmentation`
    /// or `keypoints` in place of `bbox`
    predictions: PathBuf,
    /// The average precision of each class too
    #[arg(long)]
    per_class: bool,
}

pub fn run(args: Args, output: &Output) -> Result<ExitCode> {
    let scored = coco::score(args.kind, &args.truth, &args.predictions)?;
    let (mut lines, mut object) = (String::new(), Map::new());
    for (figure, value) in scored.summary.figures() {
        let value = value.unwrap_or(-1.0);
        lines += &format!(" {figure} = {value:.3}\n");
        object.insert(figure.name.into(), value.into());
    }
    let per_class = || scored.categories.iter().zip(scored.summary.per_class());
    if args.per_class {
        let row = |(category, value): (&coco::Category, Option<f64>)| {
            let value = value.map_or("-".to_string(), |value| format!("{value:.3}"));
            [category.id.to_string(), category.name.clone(), value]
        };
        lines += &format!("\n{}", table(["category", "", "AP"], &per_class().map(row).collect::<Vec<_>>()));
    }
    let classes: Map<String, Value> = per_class()
        .map(|(category, value)| (category.id.to_string(), value.unwrap_or(-1.0).into()))
        .collect();
    object.insert("per_class_AP".into(), classes.into());
    object.insert("images".into(), json!(scored.images));
    object.insert("objects".into(), json!(scored.objects));
    object.insert("predictions".into(), json!(scored.predictions));
    output.answer(&lines, object.into());
    Ok(ExitCode::SUCCESS)
}
