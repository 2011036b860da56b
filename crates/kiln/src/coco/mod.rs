//! COCO's files: a truth (`images`, `annotations`, `categories`) and a list of predictions, read as far as a score needs
//! them. Keys that are not needed are passed over.

mod entries;
mod results;
mod segmentation;

use std::path::Path;

use kiln_core::{Error, Result};
use kiln_tasks::AveragePrecision;
use kiln_tasks::average_precision::{Actual, BoxIou, MaskIou, Oks, Predicted, Similarity, Summary};
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use results::results;

use entries::{
    BoxObject, BoxPrediction, Entry, Image, MaskObject, MaskPrediction, PoseObject, PosePrediction,
};

/// A class.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Category {
    /// Its number in the files.
    pub id: i64,
    /// What it is called.
    #[serde(default)]
    pub name: String,
}

/// What came of a comparison.
pub struct Scored {
    /// All figures; classes are in the order of `categories`.
    pub summary: Summary,
    /// The classes, by number.
    pub categories: Vec<Category>,
    /// Images of the truth.
    pub images: usize,
    /// Objects of the truth.
    pub objects: usize,
    /// Predictions.
    pub predictions: usize,
}

#[derive(Deserialize)]
struct TruthFile<O> {
    images: Vec<Image>,
    annotations: Vec<O>,
    categories: Vec<Category>,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Boxes
    Bbox,
    /// Masks
    Segm,
    /// The 17 points of a person
    Keypoints,
}

/// Compares predictions with a truth.
///
/// # Errors
/// A file that is not there, that is no JSON, or whose entries lack something, or name an image or a class that the truth
/// does not have.
pub fn score(kind: Kind, truth: &Path, predictions: &Path) -> Result<Scored> {
    match kind {
        Kind::Bbox => compare::<_, BoxObject, BoxPrediction>(BoxIou, truth, predictions),
        Kind::Segm => compare::<_, MaskObject, MaskPrediction>(MaskIou, truth, predictions),
        Kind::Keypoints => compare::<_, PoseObject, PosePrediction>(Oks::coco(), truth, predictions),
    }
}

fn compare<S: Similarity, O, P>(similarity: S, truth: &Path, predictions: &Path) -> Result<Scored>
where
    O: Entry<Actual<S::Object>>,
    P: Entry<Predicted<S::Prediction>>,
{
    let (known, predicted) = rayon::join(
        || read::<TruthFile<O>>(truth, '{', "an object with `images`, `annotations` and `categories`"),
        || read::<Vec<P>>(predictions, '[', "a list of predictions"),
    );
    let (TruthFile { mut images, annotations, mut categories }, predicted) = (known?, predicted?);
    // pycocotools' order of images, which decides among equal scores.
    images.sort_by_key(|image| image.id);
    images.dedup_by_key(|image| image.id);
    categories.sort_by_key(|category| category.id);
    categories.dedup_by_key(|category| category.id);

    let known = Known { images: &images, categories: &categories };
    let (objects, count) = (annotations.len(), predicted.len());
    let place = |at: usize| format!("`annotations[{at}]`");
    let annotations = known.by_image(annotations, place).map_err(|error| error.file(truth))?;
    let place = |at: usize| format!("`[{at}]`");
    let predicted = known.by_image(predicted, place).map_err(|error| error.file(predictions))?;
    let mut precision = AveragePrecision::new(similarity, categories.len());
    for (predicted, annotations) in predicted.iter().zip(&annotations) {
        precision.add(predicted, annotations);
    }
    let summary = precision.summary();
    Ok(Scored { summary, categories, images: images.len(), objects, predictions: count })
}

/// What a truth has, by number.
struct Known<'a> {
    images: &'a [Image],
    categories: &'a [Category],
}

impl Known<'_> {
    /// The entries of each image, in the order of the file.
    fn by_image<T, E: Entry<T>>(
        &self,
        entries: Vec<E>,
        place: impl Fn(usize) -> String,
    ) -> Result<Vec<Vec<T>>> {
        let mut sorted: Vec<Vec<T>> = self.images.iter().map(|_| Vec::new()).collect();
        for (at, entry) in entries.into_iter().enumerate() {
            let [image, class] = entry.ids();
            let found = self
                .images
                .binary_search_by_key(&image, |one| one.id)
                .map_err(|_| unknown("image", image, self.images.iter().map(|image| image.id).collect()));
            let class = self
                .categories
                .binary_search_by_key(&class, |one| one.id)
                .map_err(|_| unknown("category", class, self.categories.iter().map(|one| one.id).collect()));
            let read = found.and_then(|image| Ok((image, entry.of_class(class?, &self.images[image])?)));
            let (image, thing) = read.map_err(|error| error.place(place(at)))?;
            sorted[image].push(thing);
        }
        Ok(sorted)
    }
}

/// A number that is none of those that are `known`.
fn unknown(what: &str, id: i64, known: Vec<i64>) -> Error {
    let error = Error::input(format!("{what} {id} is not in the truth"));
    match known[..] {
        [] => error.hint("it has none"),
        [only] => error.hint(format!("it has {only} alone")),
        [first, .., last] => error.hint(format!("it has {}, from {first} to {last}", known.len())),
    }
}

/// Reads a file whose JSON begins with `first`.
fn read<T: DeserializeOwned>(file: &Path, first: char, wanted: &str) -> Result<T> {
    let bytes = std::fs::read(file).map_err(|why| Error::unreadable(file, &why))?;
    let begins = bytes.iter().find(|byte| !byte.is_ascii_whitespace()).copied();
    // serde would take a list for a struct too, and say what its first entry is not.
    if matches!(begins, Some(b'{' | b'[')) && begins != Some(first as u8) {
        let hint = "the truth comes first, the predictions second";
        return Err(Error::input(format!("is not {wanted}")).file(file).hint(hint));
    }
    serde_json::from_slice(&bytes).map_err(|_| explained::<T>(&bytes).file(file))
}

/// What is wrong with a text that is not a `T`. It is read once more, now with an eye on where in it we are.
fn explained<T: DeserializeOwned>(bytes: &[u8]) -> Error {
    let mut text = serde_json::Deserializer::from_slice(bytes);
    let (path, why) = match serde_path_to_error::deserialize::<_, T>(&mut text) {
        Err(error) => (error.path().to_string(), error.into_inner()),
        // What stands after its end.
        Ok(_) => match text.end() {
            Err(why) => (".".into(), why),
            Ok(()) => return Error::input("cannot be read"),
        },
    };
    let message = why.to_string();
    let message = message.split(" at line ").next().unwrap_or_default().to_string();
    let place = format!("line {}, column {}", why.line(), why.column());
    // A key that is none has no name.
    let error = match path.trim_end_matches("?").trim_end_matches('.') {
        "" => Error::input(message).place(place),
        path => Error::input(message).place(format!("{place}, `{path}`")),
    };
    match path.ends_with("bbox") {
        true => error.hint("a box is [left, top, width, height]"),
        false => error,
    }
}
