//! Average precision as COCO has it: predictions are matched with objects, best score first, at ten least similarities,
//! and the precision is averaged over recall, least similarities and classes.
//!
//! Lin et al. 2014, *Microsoft COCO*, <https://cocodataset.org/#detection-eval>. The figures are those of pycocotools: its
//! matching, its order among equal scores, its rounding. An object whose id is 0, which pycocotools takes for none, is an
//! object here.

mod curve;
mod matching;
mod rules;
mod runs;
mod similarity;
mod summary;

use std::cmp::Reverse;

use matching::Record;

pub(crate) use matching::ordered;

pub use curve::Curve;
pub use rules::{Area, Figure, Kind, Rules, THRESHOLDS};
pub use runs::Runs;
pub use similarity::{BoxIou, MaskIou, Oks, Similarity, TruePose, XywhBox};
pub use summary::Summary;

/// Something predicted in an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicted<P> {
    /// Its class.
    pub class: usize,
    /// How sure the prediction is; any scale.
    pub score: f64,
    /// Square pixels.
    pub area: f64,
    /// Where it is.
    pub shape: P,
}

/// Something that is in an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Actual<O> {
    /// Its class.
    pub class: usize,
    /// Square pixels: of its mask, where there is one.
    pub area: f64,
    /// A region of many objects: any number of predictions may lie in it, and none of them counts.
    pub crowd: bool,
    /// Not to be found, but a prediction that finds it is not blamed. A crowd is ignored in any case.
    pub ignored: bool,
    /// Where it is.
    pub shape: O,
}

/// The average precision of predictions, gathered image by image.
///
/// It keeps 32 bytes a prediction, of an image's predictions of a class at most the 100 best (20 of keypoints).
#[derive(Debug, Clone)]
pub struct AveragePrecision<S> {
    similarity: S,
    classes: Vec<Class>,
}

/// What is known of one class.
#[derive(Debug, Clone, Default)]
struct Class {
    /// Image by image; those of an image by score.
    records: Vec<Record>,
    /// Objects to be found, of each area.
    objects: [usize; rules::MAX_AREAS],
}

impl<S: Similarity> AveragePrecision<S> {
    /// Of `num_classes` classes, nothing gathered.
    pub fn new(similarity: S, num_classes: usize) -> Self {
        Self { similarity, classes: vec![Class::default(); num_classes] }
    }

    /// Counts one more image. Among predictions with equal scores those of the image that was counted first come first.
    ///
    /// # Panics
    /// If a class is not below the number of classes.
    pub fn add(&mut self, predictions: &[Predicted<S::Prediction>], objects: &[Actual<S::Object>]) {
        let mut predicted: Vec<&Predicted<_>> = predictions.iter().collect();
        predicted.sort_by_key(|one| (one.class, Reverse(ordered(one.score))));
        let mut actual: Vec<&Actual<_>> = objects.iter().collect();
        actual.sort_by_key(|one| one.class);
        let (mut predicted, mut actual) = (predicted.as_slice(), actual.as_slice());
        let next = |predicted: &[&Predicted<_>], actual: &[&Actual<_>]| {
            let first = predicted.first().map(|one| one.class).into_iter();
            first.chain(actual.first().map(|one| one.class)).min()
        };
        while let Some(class) = next(predicted, actual) {
            let found;
            let there;
            (found, predicted) = predicted.split_at(predicted.partition_point(|one| one.class == class));
            (there, actual) = actual.split_at(actual.partition_point(|one| one.class == class));
            assert!(class < self.classes.len(), "class {class} of {}", self.classes.len());
            self.classes[class].add(&self.similarity, found, there);
        }
    }

    /// The figures of everything counted so far.
    pub fn summary(&self) -> Summary {
        Summary::of(S::RULES, self.classes.iter().map(Class::sorted))
    }

    /// Precision and recall of one class at one of the [`THRESHOLDS`], objects of all areas.
    ///
    /// # Panics
    /// If there is no such class or threshold.
    pub fn curve(&self, class: usize, threshold: usize) -> Curve {
        assert!(threshold < THRESHOLDS.len(), "threshold {threshold} of {}", THRESHOLDS.len());
        let (records, objects) = self.classes[class].sorted();
        let counted =
            records.iter().filter_map(|record| Some((record.score, record.is_right(0, threshold)?)));
        Curve::new(counted, objects[0])
    }
}

impl Class {
    /// Counts an image: predictions by score, and objects.
    fn add<S: Similarity>(
        &mut self,
        similarity: &S,
        predicted: &[&Predicted<S::Prediction>],
        actual: &[&Actual<S::Object>],
    ) {
        for (objects, area) in self.objects.iter_mut().zip(S::RULES.areas) {
            *objects += actual.iter().filter(|object| matching::counts(object, area)).count();
        }
        let most = S::RULES.most[S::RULES.most.len() - 1];
        let kept = &predicted[..predicted.len().min(most)];
        matching::matched(similarity, kept, actual, &mut self.records);
    }

    /// The predictions of all images by score, and how many objects there are to be found of each area.
    fn sorted(&self) -> (Vec<Record>, [usize; rules::MAX_AREAS]) {
        // Sixteen bytes are moved more quickly than a record.
        let keys = self.records.iter().zip(0u32..);
        let mut order: Vec<(Reverse<u64>, u32)> =
            keys.map(|(record, at)| (Reverse(ordered(record.score)), at)).collect();
        order.sort_unstable();
        (order.iter().map(|(_, at)| self.records[*at as usize]).collect(), self.objects)
    }
}

#[cfg(test)]
mod tests;
