//! What a segmenter says of images.

use std::path::Path;
use std::sync::Arc;

use image::imageops::{FilterType, resize};
use image::{GrayImage, RgbImage};
use kiln_core::{Error, LabelMap, Result};
use kiln_data::overlaid;
use kiln_tasks::label_maps;
use kiln_zoo::{Entry, Output as Said, Preprocessing};
use serde_json::{Value, json};

use super::photographs::Photographs;
use super::{Answer, Args, Drawings, Speaker};
use crate::experiment::class_name;

/// Labels every pixel.
pub struct Labeller {
    names: Vec<String>,
    photographs: Arc<Photographs>,
}

impl Labeller {
    /// As the options say.
    ///
    /// # Errors
    /// An option that only other models have.
    pub fn new(
        args: &Args,
        entry: &Entry,
        preprocessing: &Preprocessing,
        photographs: Arc<Photographs>,
    ) -> Result<Self> {
        args.shown.check_none(entry)?;
        let given = [
            ("--top", args.top.is_some()),
            ("--classes", !args.classes.is_empty()),
            ("--results", args.results.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((option, _)) => {
                Err(Error::input(format!("`{option}` is not for {}, which is a segmenter", entry.name)))
            }
            None => Ok(Self { names: preprocessing.classes.clone(), photographs }),
        }
    }
}

impl Speaker for Labeller {
    fn say(
        &mut self,
        said: Said,
        files: &[(usize, &Path)],
        drawings: &mut Option<Drawings>,
    ) -> Result<Vec<Answer>> {
        let Said::Labels(logits) = said else { return Ok(Vec::new()) };
        let answer = |((index, file), map): (&(usize, &Path), LabelMap)| {
            let map = match self.photographs.size(*index) {
                Some(size) => scaled(map, size),
                None => map,
            };
            let draw = |image: &RgbImage| overlaid(image, &map, &self.names);
            let drawing = drawings.as_mut().map(|drawings| drawings.add(file, draw)).transpose()?;
            let shares = shares(&map);
            let name = |class: usize| class_name(&self.names, class);
            let classes: Vec<Value> = (shares.iter())
                .map(|(class, share)| json!({"name": name(*class), "class": class, "share": share}))
                .collect();
            let line =
                |(class, share): &(usize, f64)| format!("\n  {:5.1} %  {}", share * 100.0, name(*class));
            Ok(Answer {
                lines: format!("{}{}", file.display(), shares.iter().map(line).collect::<String>()),
                object: json!({"file": file, "classes": classes, "drawing": drawing}),
            })
        };
        files.iter().zip(label_maps(logits.main)).map(answer).collect()
    }
}

/// A label map at the size of its image.
fn scaled(map: LabelMap, [height, width]: [usize; 2]) -> LabelMap {
    let (columns, rows) = (map.width as u32, map.height as u32);
    let Some(image) = GrayImage::from_raw(columns, rows, map.labels) else {
        panic!("a label map of {columns}x{rows} has another number of labels");
    };
    let labels = resize(&image, width as u32, height as u32, FilterType::Nearest).into_raw();
    LabelMap { width, height, labels }
}

/// The share of the pixels that each class has, the largest first.
fn shares(map: &LabelMap) -> Vec<(usize, f64)> {
    let mut counts = [0usize; 256];
    map.labels.iter().for_each(|label| counts[usize::from(*label)] += 1);
    let there = counts.into_iter().enumerate().filter(|(_, count)| *count > 0);
    let share = |(class, count): (usize, usize)| (class, count as f64 / map.labels.len() as f64);
    let mut shares: Vec<_> = there.map(share).collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}
