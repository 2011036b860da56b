//! What a report shows of a detector, from its score and from what it found.

use image::RgbImage;
use kiln_core::{BoundingBox, Detection, Object, Result, Truth};
use kiln_tasks::DetectionScore;
use kiln_tasks::average_precision::{BoxIou, Similarity, XywhBox};

use crate::evaluation::Found;
use crate::experiment::class_name;
use crate::report::{ClassCurve, Fate, ObjectReport, Scene, SceneDetection, SceneTruth, Verdict};

/// The overlap of a detection that has found an object.
const OVERLAP: f64 = 0.5;
/// Where no least score is better than others.
const LEAST: f64 = 0.25;

/// The report of a score and of what was found in each image, with at most `count` of the worst and of the best images, read
/// by `image`.
///
/// # Errors
/// What `image` says.
pub fn object_report(
    score: &DetectionScore,
    found: &[Found],
    names: &[String],
    count: usize,
    image: impl Fn(usize) -> Result<RgbImage>,
) -> Result<ObjectReport> {
    let classes = class_curves(score, names);
    let best = ObjectReport::best_score(&classes).filter(|[_, f1]| *f1 > 0.0);
    let least_score = best.map_or(LEAST, |[score, _]| score);
    let judged: Vec<Judged> = found.iter().map(|one| Judged::of(one, least_score)).collect();
    // Of equally good images one with more objects shows more; of equally bad ones that with more mistakes.
    let mut order: Vec<usize> = (0..judged.len()).collect();
    order.sort_by(|a, b| {
        let key = |at: &usize| (judged[*at].f1(), judged[*at].mistakes());
        let ((a, many), (b, more)) = (key(a), key(b));
        a.total_cmp(&b).then(more.cmp(&many))
    });
    let wrong = order.iter().copied().filter(|at| judged[*at].mistakes() > 0).take(count);
    let wrong: Vec<usize> = wrong.collect();
    let mut right: Vec<usize> =
        order.into_iter().filter(|at| !wrong.contains(at) && judged[*at].right() > 0).collect();
    right.sort_by(|a, b| {
        let key = |at: &usize| (judged[*at].f1(), judged[*at].right());
        let ((a, few), (b, more)) = (key(a), key(b));
        b.total_cmp(&a).then(more.cmp(&few))
    });
    right.truncate(count);
    let scene = |at: &usize| Ok(judged[*at].scene(&found[*at], names, image(found[*at].index)?));
    let (worst, best) =
        (wrong.iter().map(scene).collect::<Result<_>>()?, right.iter().map(scene).collect::<Result<_>>()?);
    Ok(ObjectReport { classes, worst, best, least_score })
}

/// The curves of each class at an overlap of a half; a class without a name is called by its number.
pub fn class_curves(score: &DetectionScore, names: &[String]) -> Vec<ClassCurve> {
    let precision = score.precision();
    let of_class = |(class, ap): (usize, Option<f64>)| {
        let curve = precision.curve(class, 0);
        ClassCurve {
            name: class_name(names, class),
            objects: curve.objects,
            ap,
            precision: curve.at_101().to_vec(),
            f1: (0..=100).map(|hundredth| curve.f1(f64::from(hundredth) / 100.0)).collect(),
            best_f1: curve.best_f1().map(|(score, f1)| [score, f1]),
        }
    };
    precision.summary().per_class().enumerate().map(of_class).collect()
}

/// What became of the objects of an image, and of those of its detections that are sure enough.
struct Judged {
    fates: Vec<Fate>,
    /// Of the detections by place, the surest first.
    verdicts: Vec<(usize, Verdict)>,
}

impl Judged {
    /// The surest detection first takes the object of its class that it overlaps most and that no other has.
    fn of(Found { truth, detections, .. }: &Found, least_score: f64) -> Self {
        let fate = |object: &Object| if object.is_sought() { Fate::Missed } else { Fate::Excused };
        let mut fates: Vec<Fate> = truth.objects.iter().map(fate).collect();
        let mut sure: Vec<usize> =
            (0..detections.len()).filter(|at| f64::from(detections[*at].score) >= least_score).collect();
        sure.sort_by(|a, b| detections[*b].score.total_cmp(&detections[*a].score));
        let mut verdict = |at: usize| {
            let detection = &detections[at];
            let best = |wanted: Fate| {
                let such = near(truth, detection).filter(|(object, _)| fates[*object] == wanted);
                such.reduce(|best, other| if other.1 > best.1 { other } else { best })
            };
            if let Some((object, _)) = best(Fate::Missed) {
                fates[object] = Fate::Found;
                return (at, Verdict::Right);
            }
            let excused = best(Fate::Excused).map(|_| Verdict::Excused);
            (at, excused.or(best(Fate::Found).map(|_| Verdict::Doubled)).unwrap_or(Verdict::Wrong))
        };
        let verdicts = sure.into_iter().map(&mut verdict).collect();
        Self { fates, verdicts }
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.verdicts.iter().filter(|(_, other)| *other == verdict).count()
    }

    fn right(&self) -> usize {
        self.count(Verdict::Right)
    }

    fn mistakes(&self) -> usize {
        let missed = self.fates.iter().filter(|fate| **fate == Fate::Missed).count();
        missed + self.count(Verdict::Wrong) + self.count(Verdict::Doubled)
    }

    fn f1(&self) -> f64 {
        let (right, mistakes) = (self.right(), self.mistakes());
        if right + mistakes == 0 { 1.0 } else { 2.0 * right as f64 / (2 * right + mistakes) as f64 }
    }

    fn scene(&self, found: &Found, names: &[String], image: RgbImage) -> Scene {
        let name = |class| class_name(names, class);
        let edges = |bounds: &BoundingBox| bounds.xyxy().map(f64::from);
        let truth = |(object, fate): (&Object, &Fate)| SceneTruth {
            name: name(object.class),
            edges: edges(&object.bounding_box),
            fate: *fate,
        };
        let detection = |(at, verdict): &(usize, Verdict)| {
            let Detection { class, score, bounding_box } = &found.detections[*at];
            SceneDetection {
                name: name(*class),
                score: f64::from(*score),
                edges: edges(bounding_box),
                verdict: *verdict,
            }
        };
        Scene {
            image,
            truths: found.truth.objects.iter().zip(&self.fates).map(truth).collect(),
            detections: self.verdicts.iter().map(detection).collect(),
            f1: self.f1(),
        }
    }
}

/// The objects of a detection's class that it overlaps enough, with how much.
fn near<'a>(truth: &'a Truth, detection: &'a Detection) -> impl Iterator<Item = (usize, f64)> + use<'a> {
    let shape = |bounds: &BoundingBox| -> XywhBox { bounds.xywh().map(f64::from) };
    let same = truth.objects.iter().enumerate().filter(|(_, object)| object.class == detection.class);
    let overlaps = same.map(move |(at, object)| {
        (at, BoxIou.between(&shape(&detection.bounding_box), &shape(&object.bounding_box), object.crowd))
    });
    overlaps.filter(|(_, overlap)| *overlap >= OVERLAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten pixels square, so far to the right.
    fn square(at: f32) -> BoundingBox {
        BoundingBox::from_xywh([at, 0.0, 10.0, 10.0])
    }

    fn object(class: usize, at: f32, crowd: bool) -> Object {
        Object { class, bounding_box: square(at), mask: None, keypoints: Vec::new(), crowd, difficult: false }
    }

    fn detection(class: usize, score: f32, at: f32) -> Detection {
        Detection { class, score, bounding_box: square(at) }
    }

    fn found(index: usize, objects: Vec<Object>, detections: Vec<Detection>) -> Found {
        Found { index, truth: Truth { objects, ..Truth::default() }, detections }
    }

    #[test]
    fn curves_are_those_of_the_score() {
        // Class 0: two objects, found at 0.9 and at 0.5, with a wrong one at 0.7 between. Class 1 has none.
        let mut score = DetectionScore::new(2);
        let image = found(
            0,
            vec![object(0, 0.0, false), object(0, 50.0, false)],
            vec![
                detection(0, 0.9, 0.0),
                detection(0, 0.7, 100.0),
                detection(0, 0.5, 50.0),
                detection(1, 0.4, 200.0),
            ],
        );
        score.add(&image.detections, &image.truth);
        let [cat, dog] = class_curves(&score, &["cat".into()]).try_into().expect("two classes");
        assert_eq!((cat.name.as_str(), cat.objects, dog.objects, dog.ap), ("cat", 2, 0, None));
        // 1 up to a recall of a half, 2/3 beyond.
        assert_eq!([0, 50, 51, 100].map(|at| cat.precision[at]), [1.0, 1.0, 2.0 / 3.0, 2.0 / 3.0]);
        // pycocotools' guard of a division is of the 15th decimal.
        assert!(
            cat.ap.is_some_and(|ap| (ap - cat.ap50()).abs() < 1e-12),
            "boxes are equal: all overlaps find as much"
        );
        // F1 = 2 right / (objects + detections): 2/3 at 0.9, 2/4 at 0.7, 4/5 at 0.5.
        let f1 = [0, 49, 60, 80, 95].map(|at| cat.f1[at]);
        for (f1, expected) in f1.into_iter().zip([0.8, 0.8, 0.5, 2.0 / 3.0, 0.0]) {
            assert!((f1 - expected).abs() < 1e-12, "{f1}, not {expected}");
        }
        assert_eq!(cat.best_f1.map(|[score, _]| score), Some(0.5));
        let best = ObjectReport::best_score(&[cat, dog]).expect("there are objects");
        assert_eq!(best[0], 0.5);
    }

    #[test]
    fn every_box_is_judged_and_the_worst_image_comes_first() {
        use Verdict::{Doubled, Excused, Right, Wrong};
        let images = [
            // Right, doubled, of another class, in a crowd, not sure enough, missed: 2 / (2 + 1 missed + 2) = 2/5.
            found(
                7,
                vec![object(0, 0.0, false), object(1, 30.0, false), object(0, 60.0, true)],
                vec![
                    detection(0, 0.8, 1.0),
                    detection(0, 0.9, 0.0),
                    detection(0, 0.7, 30.0),
                    detection(0, 0.6, 60.0),
                    detection(1, 0.4, 30.0),
                ],
            ),
            found(8, vec![object(0, 0.0, false)], vec![detection(0, 0.6, 3.0)]),
            found(9, vec![], vec![]),
        ];
        let judged = images.each_ref().map(|image| Judged::of(image, 0.5));
        assert_eq!(judged[0].verdicts, [(1, Right), (0, Doubled), (2, Wrong), (3, Excused)]);
        assert_eq!(judged[0].fates, [Fate::Found, Fate::Missed, Fate::Excused]);
        assert_eq!(judged.each_ref().map(Judged::f1), [0.4, 1.0, 1.0]);

        let mut score = DetectionScore::new(2);
        images.iter().for_each(|image| score.add(&image.detections, &image.truth));
        let size = |index: usize| Ok(RgbImage::new(index as u32, 1));
        let report = object_report(&score, &images, &[], 5, size).expect("images");
        let order = |scenes: &[Scene]| scenes.iter().map(|scene| scene.image.width()).collect::<Vec<_>>();
        assert_eq!((order(&report.worst), order(&report.best)), (vec![7], vec![8]));
    }
}
