//! What a segmenter says of images.

use std::sync::Arc;

use image::GrayImage;
use image::imageops::{FilterType, resize};
use kiln_core::{LabelMap, Result};
use kiln_data::overlaid;
use kiln_tasks::label_maps;
use kiln_zoo::{Entry, Kind, Output as Said, Preprocessing};
use serde_json::json;

use super::photographs::Photographs;
use super::{Args, Speaker, Spoken};
use crate::cli::shown::only_for;
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
        only_for(Kind::Classifier, entry, &args.of_classifiers())?;
        only_for(Kind::Detector, entry, &args.of_detectors())?;
        Ok(Self { names: preprocessing.classes.clone(), photographs })
    }
}

impl Speaker for Labeller {
    fn say(&mut self, said: Said, indices: &[usize]) -> Vec<Spoken<'_>> {
        let Said::Labels(logits) = said else { return Vec::new() };
        let names = &self.names;
        let spoken = |(index, map): (&usize, LabelMap)| {
            let map = match self.photographs.size(*index) {
                Some(size) => scaled(map, size),
                None => map,
            };
            let shares = shares(&map);
            let name = |class: usize| class_name(names, class);
            let line = |(class, share): &(usize, f64)| format!("{:5.1} %  {}", share * 100.0, name(*class));
            let classes = (shares.iter())
                .map(|(class, share)| json!({"name": name(*class), "class": class, "share": share}))
                .collect();
            Spoken {
                lines: shares.iter().map(line).collect(),
                things: ("classes", classes),
                draw: Box::new(move |image| overlaid(image, &map, names)),
            }
        };
        indices.iter().zip(label_maps(logits.main)).map(spoken).collect()
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
