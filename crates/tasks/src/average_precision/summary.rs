//! The figures of everything that was counted.

use super::curve::average_of_101;
use super::matching::Record;
use super::rules::{Figure, Kind, MAX_AREAS, Rules, THRESHOLDS};

/// The figures, and the average precision of each class.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    rules: &'static Rules,
    classes: Vec<ClassSummary>,
}

/// A value for each threshold.
type Values = [f64; THRESHOLDS.len()];

/// What one class comes to: for each area; `None` where there is no object to be found.
#[derive(Debug, Clone, PartialEq)]
struct ClassSummary {
    precision: [Option<Values>; MAX_AREAS],
    /// For each number of predictions that an image may have.
    recall: [Option<Vec<Values>>; MAX_AREAS],
}

impl Summary {
    /// Of each class the predictions by score and the number of objects of each area.
    pub(super) fn of(
        rules: &'static Rules,
        classes: impl Iterator<Item = (Vec<Record>, [usize; MAX_AREAS])>,
    ) -> Self {
        let classes = classes.map(|(records, objects)| {
            let present = |area: usize| area < rules.areas.len() && objects[area] > 0;
            let precision = |area| present(area).then(|| precision(&records, area, objects[area]));
            let recall = |area| {
                let of = |most: &usize| recall(&records, area, *most, objects[area]);
                present(area).then(|| rules.most.iter().map(of).collect())
            };
            ClassSummary { precision: std::array::from_fn(precision), recall: std::array::from_fn(recall) }
        });
        Self { rules, classes: classes.collect() }
    }

    /// All figures of this kind of prediction, each between 0 and 1: means over the classes of which there are objects to
    /// be found; `None` where there are none of any class.
    pub fn figures(&self) -> impl Iterator<Item = (&'static Figure, Option<f64>)> {
        self.rules.figures.iter().map(|figure| (figure, self.value(figure)))
    }

    /// The figure of that short name; `None` too if there is none of that name.
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.value(self.rules.figures.iter().find(|figure| figure.name == name)?)
    }

    /// The average precision of each class; `None` for a class without objects.
    pub fn per_class(&self) -> impl Iterator<Item = Option<f64>> {
        self.classes.iter().map(|class| class.precision[0].map(|values| mean(values).unwrap_or_default()))
    }

    fn value(&self, figure: &Figure) -> Option<f64> {
        let area = self.rules.areas.iter().position(|area| *area == figure.area)?;
        let most = self.rules.most.iter().position(|most| *most == figure.most)?;
        let values = self.classes.iter().filter_map(|class| match figure.kind {
            Kind::Precision => class.precision[area],
            Kind::Recall => class.recall[area].as_ref().map(|recall| recall[most]),
        });
        match figure.threshold {
            Some(threshold) => mean(values.map(|values| values[threshold])),
            None => mean(values.flatten()),
        }
    }
}

fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.into_iter().fold((0.0, 0usize), |(sum, count), x| (sum + x, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// The average precision of one class at each threshold.
fn precision(records: &[Record], area: usize, objects: usize) -> Values {
    const EVERY: u64 = (1 << THRESHOLDS.len()) - 1;
    // At each threshold the precision where an object is found, and the predictions that found none.
    let mut points: [Vec<f64>; THRESHOLDS.len()] = std::array::from_fn(|_| Vec::new());
    let mut wrong = [0u32; THRESHOLDS.len()];
    let mut wrong_everywhere = 0;
    for record in records {
        match record.of_area(area) {
            [0, EVERY] => wrong_everywhere += 1,
            [0, 0] => {}
            bits => {
                for (threshold, points) in points.iter_mut().enumerate() {
                    let [is_right, is_wrong] = bits.map(|bits| bits >> threshold & 1);
                    wrong[threshold] += is_wrong as u32;
                    if is_right == 1 {
                        let right = points.len() as f64 + 1.0;
                        let all = f64::from(wrong[threshold] + wrong_everywhere) + right;
                        // pycocotools guards its division so, also where it need not.
                        points.push(right / (all + f64::EPSILON));
                    }
                }
            }
        }
    }
    points.map(|mut points| average_of_101(&mut points, objects))
}

/// The share of objects that are found at each threshold by the first `most` predictions of each image.
fn recall(records: &[Record], area: usize, most: usize, objects: usize) -> Values {
    let mut found = [0u32; THRESHOLDS.len()];
    for record in records.iter().filter(|record| (record.rank as usize) < most) {
        let [right, _] = record.of_area(area);
        if right != 0 {
            found
                .iter_mut()
                .enumerate()
                .for_each(|(threshold, found)| *found += (right >> threshold & 1) as u32);
        }
    }
    found.map(|found| f64::from(found) / objects as f64)
}
