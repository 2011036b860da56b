//! How well objects are found, while a network trains and after.

use kiln_core::{BoundingBox, Detection, Object, Truth};

use crate::ConfusionMatrix;
use crate::average_precision::{Actual, AveragePrecision, BoxIou, Predicted, Similarity, XywhBox};

/// The least score of a detection in the confusion matrix. This and the next are what users of YOLO are used to.
const CONFIDENCE: f32 = 0.25;

/// The overlap above which a detection may stand for an object in the confusion matrix.
const OVERLAP: f64 = 0.45;

/// COCO's average precision of boxes, and what is taken for what.
#[derive(Debug, Clone)]
pub struct DetectionScore {
    precision: AveragePrecision<BoxIou>,
    confusion: ConfusionMatrix,
    background: usize,
}

impl DetectionScore {
    /// Of `num_classes` classes, nothing gathered.
    pub fn new(num_classes: usize) -> Self {
        Self {
            precision: AveragePrecision::new(BoxIou, num_classes),
            confusion: ConfusionMatrix::new(num_classes + 1),
            background: num_classes,
        }
    }

    /// Counts one more image: what was found in it, in the pixels of its truth, and what is there.
    ///
    /// # Panics
    /// If a class is not below the number of classes.
    pub fn add(&mut self, detections: &[Detection], truth: &Truth) {
        let predicted: Vec<_> = detections.iter().map(predicted).collect();
        let actual: Vec<_> = truth.objects.iter().map(actual).collect();
        self.precision.add(&predicted, &actual);
        self.confuse(detections, &predicted, &actual);
    }

    /// Named figures between 0 and 1, the one that decides first; 0 where there is no object.
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        let summary = self.precision.summary();
        let names = [("ap", "AP"), ("ap50", "AP50"), ("ap75", "AP75"), ("ar100", "AR100")];
        names.map(|(ours, name)| (ours, summary.figure(name).unwrap_or(0.0))).into()
    }

    /// All of COCO's figures, and the curves of each class.
    pub fn precision(&self) -> &AveragePrecision<BoxIou> {
        &self.precision
    }

    /// What is taken for what: objects by true class (row) and by the class of the detection that stands for them (column).
    /// The last row has detections that stand for no object, the last column objects that were not found.
    ///
    /// A detection with a score of 0.25 or more stands, whatever its class, for the object it overlaps most, if by more than
    /// 0.45; of several for one object the one that overlaps it most does. Crowds, difficult objects and what stands for them do not
    /// count.
    pub fn confusion(&self) -> &ConfusionMatrix {
        &self.confusion
    }

    fn confuse(
        &mut self,
        detections: &[Detection],
        predicted: &[Predicted<XywhBox>],
        actual: &[Actual<XywhBox>],
    ) {
        let sure = detections.iter().zip(predicted).filter(|(detection, _)| detection.score >= CONFIDENCE);
        let (mut best, mut alone) = (vec![None::<(f64, usize)>; actual.len()], Vec::new());
        for (detection, prediction) in sure {
            let overlap =
                |object: &Actual<XywhBox>| BoxIou.between(&prediction.shape, &object.shape, object.crowd);
            let most = |sought: bool| {
                let objects = actual.iter().enumerate().filter(|(_, object)| is_sought(object) == sought);
                let overlaps = objects.map(|(at, object)| (at, overlap(object)));
                overlaps.filter(|(_, overlap)| *overlap > OVERLAP).max_by(|a, b| a.1.total_cmp(&b.1))
            };
            match most(true) {
                // What stands for it until now stands for nothing after that.
                Some((at, overlap)) if best[at].is_none_or(|(other, _)| overlap > other) => {
                    alone.extend(best[at].replace((overlap, detection.class)).map(|(_, class)| class));
                }
                None if most(false).is_some() => {}
                _ => alone.push(detection.class),
            }
        }
        for (object, best) in actual.iter().zip(best).filter(|(object, _)| is_sought(object)) {
            self.confusion.count(object.class, best.map_or(self.background, |(_, class)| class));
        }
        alone.into_iter().for_each(|class| self.confusion.count(self.background, class));
    }
}

fn xywh(bounds: &BoundingBox) -> XywhBox {
    let BoundingBox { x1, y1, x2, y2 } = *bounds;
    let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(f64::from);
    [x1, y1, x2 - x1, y2 - y1]
}

fn predicted(detection: &Detection) -> Predicted<XywhBox> {
    let shape = xywh(&detection.bounding_box);
    Predicted { class: detection.class, score: detection.score.into(), area: shape[2] * shape[3], shape }
}

fn actual(object: &Object) -> Actual<XywhBox> {
    let shape = xywh(&object.bounding_box);
    let area = object.mask.as_ref().map_or(shape[2] * shape[3], |mask| mask.area() as f64);
    Actual { class: object.class, area, crowd: object.crowd, ignored: object.difficult, shape }
}

fn is_sought(object: &Actual<XywhBox>) -> bool {
    !(object.crowd || object.ignored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(at: f32) -> BoundingBox {
        BoundingBox { x1: at, y1: 0.0, x2: at + 10.0, y2: 10.0 }
    }

    fn object(class: usize, at: f32, crowd: bool) -> Object {
        Object { class, bounding_box: square(at), mask: None, keypoints: Vec::new(), crowd, difficult: false }
    }

    fn detection(class: usize, score: f32, at: f32) -> Detection {
        Detection { class, score, bounding_box: square(at) }
    }

    /// Detections, objects, and the rows of the matrix of two classes and the background.
    type Row = (&'static str, Vec<Detection>, Vec<Object>, [[u64; 3]; 3]);

    #[test]
    fn what_is_not_found_and_what_is_not_there_are_background() {
        let difficult = |object: Object| Object { difficult: true, ..object };
        let rows: [Row; 7] = [
            (
                "a class for another",
                vec![detection(1, 0.9, 1.0)],
                vec![object(0, 0.0, false)],
                [[0, 1, 0], [0; 3], [0; 3]],
            ),
            ("not found", vec![], vec![object(0, 0.0, false)], [[0, 0, 1], [0; 3], [0; 3]]),
            ("not there", vec![detection(1, 0.9, 0.0)], vec![], [[0; 3], [0; 3], [0, 1, 0]]),
            ("not sure", vec![detection(1, 0.24, 0.0)], vec![], [[0; 3]; 3]),
            (
                // Overlaps 8/12 and 9/11: the nearer stands for it, sure or not.
                "two for one",
                vec![detection(0, 0.9, 2.0), detection(1, 0.3, 1.0)],
                vec![object(0, 0.0, false)],
                [[0, 1, 0], [0; 3], [1, 0, 0]],
            ),
            (
                // 5 of its 10 in the crowd; 4 of 10 are too few.
                "in a crowd",
                vec![detection(0, 0.9, 5.0), detection(1, 0.9, 6.0)],
                vec![object(0, 0.0, true)],
                [[0; 3], [0; 3], [0, 1, 0]],
            ),
            (
                // 9/11 of the difficult one; 1/3 is not enough. An object of its own goes before.
                "difficult",
                vec![detection(1, 0.9, 1.0), detection(0, 0.9, 5.0), detection(1, 0.9, 41.0)],
                vec![
                    difficult(object(0, 0.0, false)),
                    difficult(object(0, 41.0, false)),
                    object(1, 40.0, false),
                ],
                [[0; 3], [0, 1, 0], [1, 0, 0]],
            ),
        ];
        for (what, detections, objects, expected) in rows {
            let mut score = DetectionScore::new(2);
            score.add(&detections, &Truth { objects, ..Truth::default() });
            assert!(
                score.confusion().rows().eq(expected.iter().map(|row| row.as_slice())),
                "{what}: {score:?}"
            );
        }
    }

    #[test]
    fn figures_are_cocos_over_all_images() {
        let mut score = DetectionScore::new(3);
        assert_eq!(score.figures(), [("ap", 0.0), ("ap50", 0.0), ("ap75", 0.0), ("ar100", 0.0)]);
        // Class 0: found at every threshold. Class 1: 8/12 is enough at 0.5, 0.55, 0.6 and 0.65. Class 2 has no object.
        let truth = |class| Truth { objects: vec![object(class, 0.0, false)], ..Truth::default() };
        score.add(&[detection(0, 0.9, 0.0)], &truth(0));
        score.add(&[detection(1, 0.8, 2.0), detection(2, 0.9, 2.0)], &truth(1));
        let figures = score.figures();
        for ((name, value), expected) in figures.into_iter().zip([0.7, 1.0, 0.5, 0.7]) {
            assert!((value - expected).abs() < 1e-12, "{name}: {value}");
        }
    }

    #[test]
    fn a_difficult_object_is_not_to_be_found_but_who_finds_it_is_not_blamed() {
        let image = |difficult: bool, detections: &[Detection]| {
            let mut score = DetectionScore::new(1);
            let objects = vec![object(0, 0.0, false), Object { difficult, ..object(0, 50.0, false) }];
            score.add(detections, &Truth { objects, ..Truth::default() });
            score.figures()[1].1
        };
        // Found alone, one of one and one of two objects: the recalls 0 to 0.5 are 51 of 101.
        let first = [detection(0, 0.8, 0.0)];
        for (difficult, expected) in [(true, 1.0), (false, 51.0 / 101.0)] {
            let found = image(difficult, &first);
            assert!((found - expected).abs() < 1e-12, "{difficult}: {found}");
        }
        // A better one for the difficult object is not there; a second one for it, which VOC and COCO see differently, is wrong
        // in COCO: it takes an object once. Precision: 1 of 2.
        let twice = |count: usize| {
            let more = (0..count).map(|at| detection(0, 0.99 - 0.01 * at as f32, 50.0));
            image(true, &more.chain(first.clone()).collect::<Vec<_>>())
        };
        for (count, expected) in [(1, 1.0), (2, 0.5)] {
            assert!((twice(count) - expected).abs() < 1e-12, "{count}: {}", twice(count));
        }
    }
}
